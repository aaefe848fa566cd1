/* SPDX-License-Identifier: MIT */
/*
 * Carrying a virtio device: the registers that every transport has, without any transport's layout.
 * virtio-pci, virtio-mmio, a vhost-user back end and the fake driver of the unit tests all drive a
 * device through these calls, with guest memory and a loop but with no hypervisor.
 *
 * Register calls are made from any thread (vCPUs, several at a time); the carrier locks. What
 * reaches the device (activate, reset, set_config, notify) always runs on the loop's thread: such a
 * call made from another thread waits for it through vmm_loop_call. A loop thread must therefore
 * never wait for a vCPU other than by vmm_loop_dispatch_posted.
 */
#ifndef VMM_CARRIER_H
#define VMM_CARRIER_H

#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Device status bits (VIRTIO 1.2 section 2.1). */
#define VMM_VIRTIO_S_ACKNOWLEDGE 0x01u
#define VMM_VIRTIO_S_DRIVER      0x02u
#define VMM_VIRTIO_S_DRIVER_OK   0x04u
#define VMM_VIRTIO_S_FEATURES_OK 0x08u
#define VMM_VIRTIO_S_NEEDS_RESET 0x40u
#define VMM_VIRTIO_S_FAILED      0x80u

struct vmm_carrier;

/*
 * Who can map into the shared memory regions of a device: the transport's owner. The carrier has
 * checked everything that vmm_virtio_shm_map documents, and never has two mappings overlap. Loop
 * thread. 0 or a negative errno.
 */
struct vmm_carrier_shm_ops {
	int (*map)(void *ctx, uint8_t id, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   bool writable);
	/* Always a mapping in whole. That it is gone is taken for granted, even on failure. */
	int (*unmap)(void *ctx, uint8_t id, uint64_t offset, uint64_t len);
};

struct vmm_carrier_config {
	struct vmm_mem *mem;       /* borrowed until destroy; NULL: see vmm_carrier_set_mem */
	struct vmm_loop *loop;     /* borrowed until destroy */
	const struct vmm_log *log; /* borrowed, may be NULL */
	const char *id; /* name of this device in logs, copied; NULL: the device's kind */
	struct vmm_irq *config_irq;        /* borrowed, may be NULL */
	struct vmm_irq *const *queue_irqs; /* queue_count entries or NULL; the array is copied */
	/*
	 * Called whenever the device was activated (true) or was reset (false), on the loop's
	 * thread; for transports that connect kicks only while active. May be NULL. It must not
	 * take a lock that is held around a register call: that call may be waiting for it.
	 */
	void (*on_active)(void *ctx, bool active);
	/*
	 * Configuration bytes have changed / the device or a queue has failed, as
	 * DEVICE_NEEDS_RESET shows as well; for transports that tell a driver in another process.
	 * Loop thread. May be NULL.
	 */
	void (*on_config)(void *ctx);
	void (*on_fail)(void *ctx, const char *why);
	void *ctx;
	/*
	 * For devices with external_queues: an eventfd for each queue that its notifications write
	 * to; queue_count entries, borrowed until destroy, the array is copied. NULL: none.
	 */
	const int *kick_fds;
	/*
	 * For devices with shared memory regions; borrowed until destroy, called with ctx. NULL:
	 * nothing can be mapped, which a device is told when it tries.
	 */
	const struct vmm_carrier_shm_ops *shm;
};

/*
 * Takes dev under its wing: dev->carrier is set. dev stays the caller's on failure; after success
 * it is destroyed with the carrier. Errors: -EINVAL (a constant of dev is out of range; err names
 * it), -EBUSY (dev has a carrier), -ENOMEM.
 */
int vmm_carrier_create(struct vmm_carrier **out, struct vmm_virtio_device *dev,
		       const struct vmm_carrier_config *config, struct vmm_error *err);
/* Resets an active device, destroys the device, frees. NULL is a no-op. Loop thread, no register
 * call in progress. */
void vmm_carrier_destroy(struct vmm_carrier *c);

/* Resets an active device and frees c, but not the device, which is returned. Thread as above. */
struct vmm_virtio_device *vmm_carrier_release(struct vmm_carrier *c);

struct vmm_virtio_device *vmm_carrier_device(const struct vmm_carrier *c);
const char *vmm_carrier_id(const struct vmm_carrier *c);

/* All features offered: the device's and the ring's and transport's. */
uint64_t vmm_carrier_features(const struct vmm_carrier *c);
uint64_t vmm_carrier_driver_features(struct vmm_carrier *c);
/* What the driver accepts; ignored once FEATURES_OK is set. */
void vmm_carrier_set_driver_features(struct vmm_carrier *c, uint64_t features);

uint8_t vmm_carrier_status(struct vmm_carrier *c);
/*
 * A write to the status register. 0 resets (and returns when the device is reset). FEATURES_OK
 * stays clear when the driver accepted bits that were not offered, or not VERSION_1
 * (section 3.1.1). DRIVER_OK activates. Bits cannot be cleared one by one; DEVICE_NEEDS_RESET is
 * the device's; illegal transitions are ignored.
 */
void vmm_carrier_set_status(struct vmm_carrier *c, uint8_t status);

/* The queue registers. size starts at the device's maximum; everything is back at its default after
 * a reset. */
struct vmm_carrier_queue {
	uint16_t size;
	bool enabled;
	vmm_gpa desc;
	vmm_gpa driver;
	vmm_gpa device;
};

unsigned vmm_carrier_queue_count(const struct vmm_carrier *c);
/* The largest size of a queue; 0 for one that does not exist. */
uint16_t vmm_carrier_queue_size_max(const struct vmm_carrier *c, unsigned queue);
/* -EINVAL when there is no such queue. */
int vmm_carrier_get_queue(struct vmm_carrier *c, unsigned queue, struct vmm_carrier_queue *out);
/*
 * Replaces the registers of a queue. Ignored (-EBUSY) unless status is at FEATURES_OK without
 * DRIVER_OK, and for a queue already enabled; -EINVAL when there is no such queue or size is 0, not
 * a power of two or above the maximum. Addresses are checked at activation.
 */
int vmm_carrier_set_queue(struct vmm_carrier *c, unsigned queue, const struct vmm_carrier_queue *q);
/*
 * Takes back that a queue is enabled, so that its registers can be replaced again: for transports
 * whose drivers may (QueueReady of virtio-mmio, section 4.2.2). -EBUSY outside the same stage;
 * -EINVAL when there is no such queue.
 */
int vmm_carrier_disable_queue(struct vmm_carrier *c, unsigned queue);

/*
 * Generation of the configuration space (section 2.5): two reads with any number of changes between
 * them give two values.
 */
uint8_t vmm_carrier_config_generation(struct vmm_carrier *c);
/* Any offset and length: bytes past the end read 0. */
void vmm_carrier_read_config(struct vmm_carrier *c, size_t offset, void *buf, size_t len);
/* Writes wholly or partly past the end, or to a device without set_config, are ignored. */
void vmm_carrier_write_config(struct vmm_carrier *c, size_t offset, const void *buf, size_t len);

/*
 * A kick of a queue, any number: ignored when the queue does not exist, is not enabled or is
 * broken, or the device is not active. Loop thread.
 */
void vmm_carrier_kick(struct vmm_carrier *c, unsigned queue);

/*
 * For a loop that looks before it sleeps (vmm_loop_set_poller): poll notifies the device of queues
 * that have something new, and says whether there were any; rest asks for notifications again,
 * and serves what has come before they were. Between the first poll and rest no driver kicks.
 */
bool vmm_carrier_poll(struct vmm_carrier *c);
bool vmm_carrier_rest(struct vmm_carrier *c);

/*
 * ---- for transports without status and queue registers (vhost-user): they start and stop the
 * device themselves and use none of the register calls but those of the configuration space. Loop
 * thread. ----
 */

struct vmm_carrier_start {
	uint64_t features;                    /* what the driver took */
	const struct vmm_carrier_ring *rings; /* queue_count entries, borrowed until stop */
	/* The driver set the device up before and goes on with it, see struct vmm_virtio_active. */
	bool resumed;
	/* The device is active and the next thing it does is to look at its rings. May be NULL. */
	void (*before_notify)(void *ctx);
	void *ctx;
};

/* Memory of the device from now on. -EBUSY while it is active. */
int vmm_carrier_set_mem(struct vmm_carrier *c, struct vmm_mem *mem);

/*
 * Activates the device and notifies every enabled queue once. On failure it is as before. -EBUSY
 * (active already), -EINVAL (features that were not offered, no memory), -EPROTO or -EFAULT (a
 * ring), the device's own.
 */
int vmm_carrier_start(struct vmm_carrier *c, const struct vmm_carrier_start *start);

/*
 * Resets the device if it is active. next_avail, NULL or queue_count entries, receives where each
 * enabled ring goes on, or a negative errno, as from vmm_virtq_stop.
 */
void vmm_carrier_stop(struct vmm_carrier *c, int *next_avail);

/* The interrupt of a queue (NULL: none), borrowed, from now on. */
void vmm_carrier_set_queue_irq(struct vmm_carrier *c, unsigned queue, struct vmm_irq *irq);

/* The eventfds behind the queues' interrupts may be others now: tells a device that asked for them
 * (external_queues). */
void vmm_carrier_irqs_changed(struct vmm_carrier *c);

#ifdef __cplusplus
}
#endif

#endif
