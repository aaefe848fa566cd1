/* SPDX-License-Identifier: MIT */
/*
 * A carrier's state. Private to virtio/.
 *
 * Two kinds of fields. The registers are guarded by lock, which is held for one register access and
 * never while the device, a queue or an interrupt is called. The rest belongs to the loop's thread.
 * Every write to status runs on the loop's thread too, so the protocol's steps cannot overtake each
 * other, however many vCPUs write; that thread alone may read status without the lock.
 */
#ifndef VMM_VIRTIO_CARRIER_PRIV_H
#define VMM_VIRTIO_CARRIER_PRIV_H

#include <pthread.h>

#include <vmm/carrier.h>

/* Part of a region that is mapped. */
struct shm_mapping {
	unsigned region; /* index into the device's */
	uint64_t offset;
	uint64_t len;
	bool orphan; /* of a back end that is gone */
};

struct vmm_carrier {
	struct vmm_virtio_device *dev;
	struct vmm_mem *mem;
	struct vmm_loop *loop;
	const struct vmm_log *log;
	char *id;
	struct vmm_irq *config_irq;
	struct vmm_irq *queue_irqs[VMM_VIRTIO_QUEUES_MAX];
	int kick_fds[VMM_VIRTIO_QUEUES_MAX];
	void (*on_active)(void *ctx, bool active);
	void (*on_config)(void *ctx);
	void (*on_fail)(void *ctx, const char *why);
	const struct vmm_carrier_shm_ops *shm;
	void *ctx;
	uint64_t offered;

	/* Registers: guarded by lock, as is dev->config. */
	pthread_mutex_t lock;
	uint8_t status;
	uint64_t driver_features;
	struct vmm_carrier_queue queues[VMM_VIRTIO_QUEUES_MAX];
	uint8_t generation;
	bool generation_read; /* since it last changed */

	/* Loop thread only. */
	bool activating;
	bool active;
	bool resetting;
	bool writing; /* the device is being told what the driver wrote to its configuration */
	bool polling; /* no driver is asked for kicks: vmm_carrier_poll */
	struct vmm_virtq *pool[VMM_VIRTIO_QUEUES_MAX];        /* one for each queue of the device */
	struct vmm_virtq *virtqs[VMM_VIRTIO_QUEUES_MAX];      /* those of them that are started */
	struct vmm_carrier_ring rings[VMM_VIRTIO_QUEUES_MAX]; /* as the driver set them up */
	struct vmm_log_limit fail_limit;
	struct shm_mapping *mappings; /* room for VMM_VIRTIO_SHM_MAPPINGS_MAX, or NULL */
	unsigned mapping_count;       /* in order of region and offset */
	unsigned orphans;             /* among them */
};

/* The lock around the registers. */
void vmm_carrier_lock(struct vmm_carrier *c);
void vmm_carrier_unlock(struct vmm_carrier *c);
/* Registers as after power-on. Lock held, or nobody knows c yet. */
void vmm_carrier_default_registers(struct vmm_carrier *c);
/* Registers as a driver leaves them that has started the device. */
void vmm_carrier_set_running_registers(struct vmm_carrier *c, uint64_t features);

/*
 * Starts queues and device; the registers show DRIVER_OK. On failure nothing is started and *why
 * says what was wrong. Loop thread.
 */
int vmm_carrier_run(struct vmm_carrier *c, const struct vmm_carrier_start *start, const char **why);

/* Shows DEVICE_NEEDS_RESET and tells the driver. Loop thread. */
void vmm_carrier_fail(struct vmm_carrier *c, const char *why);

/* shm.c: takes every mapping away. Loop thread. */
void vmm_carrier_unmap_all(struct vmm_carrier *c);

/* Changes configuration bytes whose range was checked. Loop thread. */
void vmm_carrier_update_config(struct vmm_carrier *c, size_t offset, const void *bytes, size_t len);

#endif
