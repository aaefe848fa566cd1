/* SPDX-License-Identifier: MIT */
/*
 * The front end of vhost-user: a virtio device whose work is done by another process, the back end,
 * over a UNIX socket. Any back end will do: vmm-device, or one that others wrote (virtiofsd).
 *
 * To the VM it is a device like any other (vmm_vm_add_virtio). The carrier keeps the registers;
 * when the driver starts the device, its queues, the guest's memory and the descriptors of kicks
 * and interrupts are handed to the back end, and this process is not involved in any request.
 *
 * The back end may die at any moment. What it had in flight is recorded in memory that outlives it,
 * so that another one can take its place under a running guest. All of the back end's bytes are
 * hostile: a message of the wrong kind, size or number of descriptors, or one that does not come in
 * time, ends the connection.
 *
 * All calls are made on the loop's thread, unless they say otherwise.
 */
#ifndef VMM_VHOST_FRONTEND_H
#define VMM_VHOST_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>
#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_VHOST_DEADLINE_MS_DEFAULT 5000u

struct vmm_vhost_frontend_config {
	struct vmm_loop *loop;     /* borrowed */
	const struct vmm_log *log; /* borrowed, may be NULL */
	/* A connected stream socket to the back end; taken on success. */
	int fd;
	/* What the protocol does not tell. name (for logs) is borrowed for life. */
	const char *name;
	uint32_t device_id;          /* VMM_VIRTIO_ID_*, or another of the specification */
	unsigned queue_count;        /* 1 to VMM_VIRTIO_QUEUES_MAX */
	const uint16_t *queue_sizes; /* queue_count entries, powers of two; copied */
	/*
	 * Length of the configuration space. Its bytes are the back end's; those of config (copied,
	 * may be NULL: zeroes) count for a back end that has none to tell.
	 */
	size_t config_len;
	const void *config;
	/*
	 * Device features that the driver may have, of those the back end offers; 0: all. A feature
	 * that needs more queues than there are has no place here.
	 */
	uint64_t features;
	/*
	 * Device features that are nothing but bytes of config, like a card's address: the driver
	 * is offered them, and the back end does not hear of them, if it has no configuration to
	 * tell.
	 */
	uint64_t own_features;
	/*
	 * Shared memory regions that the back end must have, shm_count entries, copied; or, with
	 * shm_any, whatever it has (VMM_VIRTIO_SHM_MAX at most), which another back end must have
	 * too. It says what is mapped there: files of memory, never parts of devices. What a back
	 * end has mapped stays until the driver resets the device or another one takes its place.
	 */
	const struct vmm_virtio_shm *shm;
	unsigned shm_count;
	bool shm_any;
	/* Milliseconds the back end has for each answer; 0: VMM_VHOST_DEADLINE_MS_DEFAULT. */
	unsigned deadline_ms;
	/*
	 * A back end that is lost will be replaced by vmm_vhost_frontend_connect: the driver waits
	 * meanwhile. Otherwise, and after vmm_vhost_frontend_give_up, it sees DEVICE_NEEDS_RESET.
	 */
	bool waits;
	/*
	 * The connection has ended: -ECONNRESET when the back end is gone, -ETIMEDOUT, -EPROTO and
	 * the like when it was given up. Must not destroy the device nor call connect at once: post
	 * that. May be NULL.
	 */
	void (*on_lost)(void *ctx, int why);
	void *ctx;
};

/*
 * Asks the back end for its features and configuration and makes the device. On failure *out is
 * NULL and fd stays the caller's. Errors: -EINVAL (config), -EPROTO (it offers no VERSION_1, fewer
 * queues, no configuration of that length or other shared memory regions, or broke a rule),
 * -ETIMEDOUT, -ECONNRESET, -ENOMEM, -EMFILE.
 */
int vmm_vhost_frontend_create(struct vmm_virtio_device **out,
			      const struct vmm_vhost_frontend_config *config,
			      struct vmm_error *err);

/*
 * Puts another back end, behind fd (taken on success), in the place of the present or lost one. If
 * the device is active the new one goes on with its queues, first with what was in flight. Whoever
 * was connected before must not touch guest memory or its resources any more: let it end first.
 * Errors as for create; -EPROTO also when features that the driver took are not offered any more.
 * The device is then without a back end, and on_lost is not called. dev must be one of
 * vmm_vhost_frontend_create's.
 */
int vmm_vhost_frontend_connect(struct vmm_virtio_device *dev, int fd, struct vmm_error *err);

/* Nobody will take the place of a back end that is lost. */
void vmm_vhost_frontend_give_up(struct vmm_virtio_device *dev);

/* Is there a back end? */
bool vmm_vhost_frontend_is_connected(const struct vmm_virtio_device *dev);

#ifdef __cplusplus
}
#endif

#endif
