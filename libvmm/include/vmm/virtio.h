/* SPDX-License-Identifier: MIT */
/*
 * How to write a virtio device. A device is written once: it embeds struct vmm_virtio_device first
 * in its own struct, fills the constant part in its create function, and implements struct
 * vmm_virtio_ops. Who carries it (a transport in this process, a process of its own, a unit test)
 * is none of its business: see <vmm/carrier.h>.
 *
 *	            FEATURES_OK ... DRIVER_OK                 status 0
 *	created  ----------------------------->  active  ----------------->  created
 *	         carrier: activate(dev, active)           carrier: reset(dev)
 *
 * The carrier owns everything about registers: feature negotiation, status, queue configuration,
 * index and range checks, the bytes of the configuration space and their generation, interrupts.
 * The device gets resources at activate and has given every one of them back when reset returns.
 *
 * All ops run on the device's loop thread.
 */
#ifndef VMM_VIRTIO_H
#define VMM_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>
#include <vmm/mem.h>
#include <vmm/virtq.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_VIRTIO_QUEUES_MAX 66
#define VMM_VIRTIO_CONFIG_MAX 256

/* Shared memory regions of a device, and what may be mapped into all of them at a time. */
#define VMM_VIRTIO_SHM_MAX          2
#define VMM_VIRTIO_SHM_MAPPINGS_MAX 4096
/* Offsets and lengths in a region are whole pages of this size, whatever the host's. */
#define VMM_VIRTIO_SHM_PAGE UINT64_C(4096)

/* Device ids (VIRTIO 1.2 section 5). */
#define VMM_VIRTIO_ID_NET     1u
#define VMM_VIRTIO_ID_BLOCK   2u
#define VMM_VIRTIO_ID_CONSOLE 3u
#define VMM_VIRTIO_ID_RNG     4u
#define VMM_VIRTIO_ID_GPU     16u
#define VMM_VIRTIO_ID_INPUT   18u
#define VMM_VIRTIO_ID_FS      26u

/*
 * Transport and ring features (section 6): the carrier offers them for every device (VERSION_1,
 * INDIRECT_DESC, EVENT_IDX); device features are the device's own bits below 24 and from 50 on.
 */
#define VMM_VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VMM_VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VMM_VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

struct vmm_virtio_device;
struct vmm_carrier;

/* A queue as the driver set it up. Addresses are guest physical and checked to lie in RAM. */
struct vmm_carrier_ring {
	bool enabled; /* nothing else counts if not */
	uint16_t size;
	vmm_gpa desc;
	vmm_gpa driver;
	vmm_gpa device;
	uint16_t next_avail;           /* as in struct vmm_virtq_config */
	struct vmm_inflight *inflight; /* likewise; may be NULL */
};

/*
 * What a device may use while it is active. Valid from activate until reset returns; the struct
 * itself may be copied, the queues belong to the carrier.
 */
struct vmm_virtio_active {
	struct vmm_mem *mem;
	struct vmm_loop *loop;
	const struct vmm_log *log; /* may be NULL */
	uint64_t features;         /* negotiated */
	unsigned queue_count;
	struct vmm_virtq *const
		*queues; /* queue_count entries, NULL where the driver enabled none */
	/*
	 * The driver set the device up before, in a process that is gone, and goes on: what it said
	 * through control queues is not known here.
	 */
	bool resumed;

	/* For a device with external_queues only; queues holds nothing then. queue_count entries.
	 */
	const struct vmm_carrier_ring *rings;
	struct vmm_irq *const *queue_irqs; /* entries may be NULL */
	const int *kick_fds;               /* eventfds, -1 where there is none */
};

struct vmm_virtio_ops {
	/*
	 * The driver set DRIVER_OK. 0, or a negative errno: the device then shows
	 * DEVICE_NEEDS_RESET. On failure the device has kept nothing. Right after success notify is
	 * called once for each enabled queue.
	 */
	int (*activate)(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active);
	/* The driver kicked queue (in range, enabled, not broken). */
	void (*notify)(struct vmm_virtio_device *dev, unsigned queue);
	/*
	 * The driver reset the device (or it is about to be destroyed while active). Finishes or
	 * cancels all work in flight; on return the device holds no reference to mem, queues or
	 * loop. Only called when active.
	 */
	void (*reset)(struct vmm_virtio_device *dev);
	/*
	 * The driver wrote len bytes at offset of the configuration space (range checked; the bytes
	 * are a private copy). NULL when nothing there is writable. To accept, or to answer with
	 * other bytes, the device calls vmm_virtio_config_update before it returns: the driver,
	 * whose write returns after that, gets no interrupt for its own doing.
	 */
	void (*set_config)(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			   size_t len);
	/* Frees the device, which is not active. May be NULL when the device is caller memory. */
	void (*destroy)(struct vmm_virtio_device *dev);
	/*
	 * Optional, for external_queues: queue_irqs[queue]->eventfd() may answer with another
	 * descriptor from now on. Only called when active.
	 */
	void (*irq_changed)(struct vmm_virtio_device *dev, unsigned queue);
	/*
	 * Optional: named counters for management ("read_bytes", ...). Calls emit once for each.
	 * Any thread: counters are relaxed atomics.
	 */
	void (*counters)(struct vmm_virtio_device *dev,
			 void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx);
};

/*
 * A shared memory region (VIRTIO 1.2 section 2.10): a range of guest physical addresses, outside of
 * RAM, into which the device maps parts of files while it is active. Where it lies is the
 * transport's choice. It is empty at activate, and no device reaches it by DMA.
 */
struct vmm_virtio_shm {
	uint8_t id; /* as the device's section of the specification has it; unique in the device */
	uint64_t len; /* bytes, a power of two from 4 KiB to 16 GiB */
};

/*
 * The part of a device that the carrier sees. All fields but the last group are filled by the
 * device before it is handed to a carrier and stay constant.
 */
struct vmm_virtio_device {
	const struct vmm_virtio_ops *ops;
	const char *name;   /* kind, for logs: "blk" */
	uint32_t device_id; /* VMM_VIRTIO_ID_* */
	uint64_t features;  /* device features offered; transport bits are added by the carrier */
	unsigned queue_count;
	const uint16_t *queue_sizes; /* queue_count entries: largest size of each, power of two */
	uint8_t config[VMM_VIRTIO_CONFIG_MAX]; /* initial bytes; afterwards the carrier's */
	size_t config_len;
	/*
	 * The queues are read elsewhere, by another process: the carrier makes none, and the device
	 * gets what it needs to hand over (rings, queue_irqs, kick_fds). features then says what is
	 * offered in full, ring and transport bits included. For vhost-user's front end.
	 */
	bool external_queues;
	/* shm_count entries, at most VMM_VIRTIO_SHM_MAX; NULL and 0 for none. */
	const struct vmm_virtio_shm *shm;
	unsigned shm_count;

	struct vmm_carrier *carrier; /* set by the carrier, NULL while there is none */
};

/*
 * Changes bytes of the configuration space, increments the generation and, once DRIVER_OK is set,
 * interrupts the driver (VIRTIO 1.2 section 2.5, 4.1.4.3.1), except from within set_config. Works
 * with and without a carrier. Loop thread. -EINVAL when the range lies outside config_len.
 */
int vmm_virtio_config_update(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			     size_t len);

/*
 * The device cannot go on: DEVICE_NEEDS_RESET and a configuration interrupt; queues get no more
 * notifications until reset (section 2.1.2). Loop thread. why is logged, rate-limited.
 */
void vmm_virtio_fail(struct vmm_virtio_device *dev, const char *why);

/*
 * Maps len bytes of fd from fd_offset on into the region id, at offset. The guest sees the file's
 * own pages at once, and may write to them if writable. It is done when this returns. fd is
 * borrowed: the mapping lives on when it is closed. The caller answers for the file: it has to be
 * of memory (a memfd) and must not shrink while it is mapped, so seal it (F_SEAL_SHRINK) or own it;
 * a guest that touches what is not there any more, or a part of the region where nothing is mapped,
 * is stopped.
 *
 * Mappings go when they are unmapped and at reset: after ops->reset has returned the carrier takes
 * them all away, so that a device may, but need not do so itself.
 *
 * Loop thread, from activate (inclusive) to reset (inclusive).
 * -EINVAL: no such region; offset, fd_offset or len is not a multiple of VMM_VIRTIO_SHM_PAGE; len
 * is 0; the range is not inside of the region, or past the largest offset of a file. -EEXIST: part
 * of it is mapped already. -ENOSPC: VMM_VIRTIO_SHM_MAPPINGS_MAX are mapped. -ENOTCONN: the device
 * is not active. -EOPNOTSUPP: whoever carries the device cannot map. -ETIMEDOUT, -EPIPE,
 * -EREMOTEIO: the front end, another process, did not answer, is gone, or refuses. Else what mmap
 * says: -EACCES, -EPERM (a descriptor or file that is read-only, and writable).
 */
int vmm_virtio_shm_map(struct vmm_virtio_device *dev, uint8_t id, uint64_t offset, int fd,
		       uint64_t fd_offset, uint64_t len, bool writable);

/*
 * Takes a mapping away, in whole: offset and len are those of one call of vmm_virtio_shm_map. The
 * guest cannot reach the file any more when this returns. Loop thread, stage as above.
 * -EINVAL: no such region. -ENOENT: no such mapping. Else as above; the mapping is forgotten even
 * then.
 */
int vmm_virtio_shm_unmap(struct vmm_virtio_device *dev, uint8_t id, uint64_t offset, uint64_t len);

/*
 * Whoever made the mappings is gone, and another one takes its place that knows nothing of them.
 * The guest reaches what is mapped as before, until reset, but it counts as not mapped any more:
 * what is mapped from now on replaces it. For vhost-user's front end. Loop thread; does nothing
 * without a carrier.
 */
void vmm_virtio_shm_orphan_all(struct vmm_virtio_device *dev);

/* Destroys a device that no carrier holds. NULL is a no-op. */
void vmm_virtio_device_destroy(struct vmm_virtio_device *dev);

#ifdef __cplusplus
}
#endif

#endif
