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

struct vmm_carrier {
	struct vmm_virtio_device *dev;
	struct vmm_mem *mem;
	struct vmm_loop *loop;
	const struct vmm_log *log;
	char *id;
	struct vmm_irq *config_irq;
	struct vmm_irq *queue_irqs[VMM_VIRTIO_QUEUES_MAX];
	void (*on_active)(void *ctx, bool active);
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
	bool active;
	bool resetting;
	struct vmm_virtq *virtqs[VMM_VIRTIO_QUEUES_MAX];
	struct vmm_log_limit fail_limit;
};

/* Shows DEVICE_NEEDS_RESET and tells the driver. Loop thread. */
void vmm_carrier_fail(struct vmm_carrier *c, const char *why);

/* Changes configuration bytes whose range was checked. Loop thread. */
void vmm_carrier_update_config(struct vmm_carrier *c, size_t offset, const void *bytes, size_t len);

#endif
