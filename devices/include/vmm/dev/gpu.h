/* SPDX-License-Identifier: MIT */
/*
 * virtio-gpu (VIRTIO 1.2 section 5.7) without a GPU: screens that the guest draws itself, shown by
 * a display (<vmm/dev/display.h>), and, when asked for, contexts by which programs in the guest
 * speak to a Wayland compositor of the host.
 *
 * Counters: commands, errors (commands answered with one), copied_bytes (pixels fetched from the
 * guest), frames (flushes that changed what is shown), resources, memory_bytes (what the guest made
 * the host keep); with contexts also contexts and blob_bytes.
 *
 * A program with contexts ignores SIGPIPE: what the guest's programs write goes into pipes whose
 * readers are others'.
 */
#ifndef VMM_DEV_GPU_H
#define VMM_DEV_GPU_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/dev/display.h>
#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A screen's size: what an EDID can say, and the guest's driver takes. */
#define VMM_GPU_SIDE_MIN       64u
#define VMM_GPU_SIDE_MAX       4095u
#define VMM_GPU_WIDTH_DEFAULT  1280u
#define VMM_GPU_HEIGHT_DEFAULT 800u

#define VMM_GPU_MEMORY_DEFAULT (UINT64_C(256) << 20)
#define VMM_GPU_BLOBS_DEFAULT  (UINT64_C(512) << 20)
#define VMM_GPU_SHM_DEFAULT    (UINT64_C(1) << 30)
/* The shared memory region of a device with contexts (section 5.7.6.10). */
#define VMM_GPU_SHM_ID 1u

/* What may cross by the clipboard. */
#define VMM_GPU_CLIPBOARD_TO_GUEST   0x1u
#define VMM_GPU_CLIPBOARD_FROM_GUEST 0x2u

/*
 * How the device gets connections to the compositor: one for each program of the guest. The device
 * may be in a jail where nothing can be opened, so somebody else connects.
 */
struct vmm_gpu_connector {
	/*
	 * Asks for a connection. done(done_ctx, fd) is called once on the loop's thread, at once or
	 * later: fd is a connected stream socket, which is the receiver's, or a negative errno.
	 * 0, or a negative errno: done will not be called.
	 */
	int (*connect)(void *ctx, struct vmm_loop *loop, void (*done)(void *done_ctx, int fd),
		       void *done_ctx);
	/*
	 * The connection that done_ctx asked for is no longer wanted: done is not called any more.
	 */
	void (*cancel)(void *ctx, void *done_ctx);
	void *ctx;
};

/* Zero-initialise. */
struct vmm_gpu_config {
	/* 0 .. VMM_DISPLAY_SCANOUTS_MAX. With 0 the guest has no screen, only contexts. */
	unsigned scanouts;
	/* The size that screens have at first; 0: the default. */
	uint32_t width;
	uint32_t height;
	/* Borrowed until the device is destroyed, in use while it is active; may be NULL. */
	struct vmm_display *display;
	/* Bytes that the host keeps for the guest's resources; 0: VMM_GPU_MEMORY_DEFAULT. */
	uint64_t memory_max;

	/* Contexts (VIRGL, RESOURCE_BLOB, CONTEXT_INIT) and a shared memory region. */
	bool contexts;
	uint64_t shm_len;   /* bytes of the region, a power of two; 0: VMM_GPU_SHM_DEFAULT */
	uint64_t blobs_max; /* bytes of all blobs of the host; 0: VMM_GPU_BLOBS_DEFAULT */
	/* Copied, its ctx borrowed until the device is destroyed. NULL: there is no compositor. */
	const struct vmm_gpu_connector *connector;
	const char *vm_name; /* copied; goes before the titles of windows; NULL: nothing does */
	unsigned clipboard;  /* VMM_GPU_CLIPBOARD_* */
};

/*
 * Makes a virtio-gpu device. The caller owns it until it is handed to a carrier or a VM, and frees
 * it with vmm_virtio_device_destroy otherwise. Errors: -EINVAL (a number out of range; neither
 * scanouts nor contexts), -ENOMEM.
 */
int vmm_gpu_create(struct vmm_virtio_device **out, const struct vmm_gpu_config *config,
		   struct vmm_error *err);

/*
 * The screen has another size now: the guest is told, and may follow. Displays that know do so by
 * themselves. Sizes are brought into range, screens that do not exist are ignored. Loop thread. dev
 * must be one of vmm_gpu_create's.
 */
void vmm_gpu_resize(struct vmm_virtio_device *dev, unsigned scanout, uint32_t width,
		    uint32_t height);

/*
 * A connector that asks another process, the broker, over a SOCK_SEQPACKET socket: each request is
 * a packet of one byte (0), each answer a packet of four bytes, an errno as a little-endian number,
 * or 0 and one descriptor with it (SCM_RIGHTS). Answers come in the order of requests. The broker
 * is trusted to answer: one that goes away, or sends something else, leaves all requests, and later
 * ones, with -EPIPE.
 */
struct vmm_gpu_broker;

/* fd is taken on success. Errors: -EINVAL (not such a socket), -ENOMEM. */
int vmm_gpu_broker_create(struct vmm_gpu_broker **out, int fd, struct vmm_error *err);
/* What to put into vmm_gpu_config; owned by the broker. */
const struct vmm_gpu_connector *vmm_gpu_broker_connector(struct vmm_gpu_broker *broker);
/* After the device that uses it. NULL is a no-op. */
void vmm_gpu_broker_destroy(struct vmm_gpu_broker *broker);

#ifdef __cplusplus
}
#endif

#endif
