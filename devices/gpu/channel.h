/* SPDX-License-Identifier: MIT */
/*
 * Private to virtio-gpu: the channel of one cross-domain context, which joins a Wayland client in
 * the guest to the host's compositor.
 *
 *	guest                                       compositor
 *	  SUBMIT_3D: SEND, WRITE  --->  queues  --->  socket, pipes
 *	  ring page + POLL's fence  <--- one message at a time <---  socket, pipes
 *
 * A message for the guest is read only when a POLL is there to take it: whoever is slow or stopped
 * on one side makes the other side wait and nobody else. Nothing here blocks. Sources are watched
 * until they have something that no POLL wants yet, and again when a POLL has found them empty.
 *
 * Whatever happens to the compositor, the guest learns of it as an end of file: one RECEIVE with
 * nothing in it, and POLLs behind that wait until the context is destroyed. Bytes of both sides are
 * hostile: what breaks a rule ends the channel, and only it.
 *
 * Everything runs on the loop's thread.
 */
#ifndef VMM_DEVICES_GPU_CHANNEL_H
#define VMM_DEVICES_GPU_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/log.h>
#include <vmm/loop.h>

#include "gpu/fds.h"
#include "wayland/filter.h"

/* Parked POLLs; the guest's proxies keep one. */
#define GPU_PARKED_MAX 8u
/* Bytes and descriptors waiting for a compositor, or for readers of pipes, that do not read. */
#define GPU_QUEUE_MAX     (1u << 20)
#define GPU_QUEUE_FDS_MAX 256u
/* Bytes waiting for the guest to POLL: what one read brings, and answers of the filter. */
#define GPU_IN_QUEUE_MAX (64u << 10)
#define GPU_ITEMS_MAX    4096u
#define GPU_PIPES_MAX    64u

struct gpu_channel;

/* What a channel needs of the device, called with gpu_channel_config's ctx. */
struct gpu_channel_ops {
	/*
	 * The descriptor, borrowed, of the host memory behind resource id. Negative errno when
	 * there is none or the context may not use it.
	 */
	int (*blob_fd)(void *ctx, uint32_t id);
	/*
	 * Copies len bytes to the start of guest memory, resource id. Without bytes it only says
	 * whether that is possible. Negative errno: the context has no such memory, or not so much.
	 */
	int (*ring_write)(void *ctx, uint32_t id, const void *bytes, size_t len);
	/* The POLL that was parked as token is done. */
	void (*complete)(void *ctx, uint64_t token);
	/*
	 * A connection to the compositor is wanted. When there is one, or an error,
	 * vmm_gpu_channel_connected is called, perhaps from within. 0 or a negative errno.
	 */
	int (*connect)(void *ctx);
};

struct gpu_channel_config {
	const struct gpu_channel_ops *ops;
	void *ctx;
	struct vmm_loop *loop;
	const struct vmm_log *log; /* may be NULL */
	struct vmm_log_limit *log_limit;
	struct gpu_budget *budget; /* of host memory that the VM may have */
	/* What may pass; NULL: everything. */
	const struct vmm_wl_filter_config *policy;
};

/* -ENOMEM. All that config points to is borrowed until destroy. */
int vmm_gpu_channel_create(struct gpu_channel **out, const struct gpu_channel_config *config);

/* Completes what is parked, closes everything. NULL is a no-op. */
void vmm_gpu_channel_destroy(struct gpu_channel *ch);

/*
 * Runs the commands of one SUBMIT_3D, a private copy of the guest's bytes. -EPROTO, -ENOENT: the
 * first that makes no sense; those before it have been done. -ENOMEM, -EMFILE, ...
 */
int vmm_gpu_channel_submit(struct gpu_channel *ch, const uint8_t *bytes, size_t len);

/*
 * Holds a POLL back until there is a message, perhaps from within. -EPROTO: there is no channel to
 * wait for. -ENOSPC: GPU_PARKED_MAX are waiting. It is then not parked.
 */
int vmm_gpu_channel_park(struct gpu_channel *ch, uint64_t token);

/*
 * The answer to connect: a connected stream socket, now the channel's, or a negative errno.
 */
void vmm_gpu_channel_connected(struct gpu_channel *ch, int fd);

/*
 * The memory for a blob of size bytes made from an item: a template gives a new one each time, a
 * file is gone afterwards. A descriptor for the caller, with as many bytes of the budget as its
 * file is long; or -ENOENT: no such item. -EPROTO: size does not fit it. -ENOSPC, -ENOMEM, -EMFILE,
 * ...
 */
int vmm_gpu_channel_take_blob(struct gpu_channel *ch, uint64_t item, uint64_t size);

#endif
