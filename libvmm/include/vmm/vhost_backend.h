/* SPDX-License-Identifier: MIT */
/*
 * vhost-user: a virtio device in one process and the guest that uses it in another, with a Unix
 * socket between them. The back end is the process with the device.
 *
 * Each side takes the other for hostile. A message has exactly the size and the descriptors that
 * the specification gives it, a message that has begun is complete before a deadline, or the
 * connection is closed; everything that came with it is closed too.
 *
 * Replies and interrupts go out by write(2): a program with a back end ignores SIGPIPE.
 */
#ifndef VMM_VHOST_BACKEND_H
#define VMM_VHOST_BACKEND_H

#include <stdbool.h>

#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- back end ---- */

struct vmm_vhost_backend;

struct vmm_vhost_backend_config {
	struct vmm_loop *loop;     /* borrowed until destroy */
	const struct vmm_log *log; /* borrowed, may be NULL */
	/* A connected stream socket; the back end's after success, which makes it non-blocking. */
	int fd;
	/*
	 * The process is jailed by on_start so that it can neither map memory nor change flags of
	 * descriptors afterwards. Memory tables, inflight records, protocol features and the socket
	 * for requests of the back end then have to come before the first ring starts; later they
	 * close the connection. Guest memory has to be sealed against shrinking, is itself sealed
	 * (vmm_mem_seal), and stays mapped when the connection is closed: the process ends then.
	 */
	bool sealed_after_start;
	/* While the device runs, the loop looks at its rings for this long before it sleeps
	 * (vmm_loop_set_poller); 0: it does not. The loop has no other poller then. */
	uint64_t poll_ns;
	/*
	 * The device is active and has not looked at a ring yet; called once. < 0 closes the
	 * connection, and no ring is looked at. May be NULL.
	 */
	int (*on_start)(void *ctx);
	/*
	 * The connection has ended: 0 the front end closed it, -EPROTO it broke a rule, -ETIMEDOUT
	 * it stopped in the middle of a message or did not take a reply, or another errno. The
	 * device is reset, memory and descriptors are given back. Called once, from the loop; may
	 * destroy the back end.
	 */
	void (*on_closed)(void *ctx, int why);
	void *ctx;
};

/*
 * Serves dev on a connection. dev is borrowed until destroy and can be served on another
 * connection afterwards. -EINVAL (a constant of dev; external_queues), -EBUSY (dev is carried
 * already), -ENOMEM, another errno. Loop thread, as for the call below.
 */
int vmm_vhost_backend_create(struct vmm_vhost_backend **out, struct vmm_virtio_device *dev,
			     const struct vmm_vhost_backend_config *config, struct vmm_error *err);
/* Closes the connection without on_closed, resets the device. NULL is a no-op. */
void vmm_vhost_backend_destroy(struct vmm_vhost_backend *b);

#ifdef __cplusplus
}
#endif

#endif
