/* SPDX-License-Identifier: MIT */
/*
 * What virtio-pci and virtio-mmio have in common, which is all but where registers stand and how
 * an interrupt is raised:
 *   transport.c  making it, and the bytes of the configuration space
 *   registers.c  the registers of VIRTIO 1.2 sections 4.1.4.3 and 4.2.2 that mean the same
 *   kick.c       from a notification to the device
 *   shm.c        shared memory regions
 *
 * Locks, each held for a few instructions and never while waiting for the loop's thread:
 *   lock       select registers and read-modify-write of a queue's registers; may take the
 *              carrier's
 *   kick_lock  where notifications arrive, and where shared memory is to be seen; innermost
 */
#ifndef VMM_TRANSPORT_TRANSPORT_H
#define VMM_TRANSPORT_TRANSPORT_H

#include <pthread.h>

#include <vmm/carrier.h>
#include <vmm/irq.h>
#include <vmm/loop.h>

#include "transport/events.h"

/* What a driver that polls, or asks what an interrupt was for, is told (sections 4.1.4.5, 4.2.2).
 */
#define VMM_ISR_QUEUE  0x1u
#define VMM_ISR_CONFIG 0x2u

/* What whoever adds a device to a transport says about it. */
struct vmm_transport_device {
	struct vmm_mem *mem; /* this and what follows as for a carrier */
	struct vmm_loop *loop;
	const struct vmm_log *log;
	const char *id;
};

struct vmm_transport;

struct vmm_transport_queue {
	struct vmm_transport *transport;
	unsigned index;
	int kick_fd;
	struct vmm_source *source; /* kick_fd, paused while the device is not active */
	/* kick_lock: */
	bool enabled;
	bool connected; /* ioeventfd, at bell */
	struct vmm_doorbell bell;
};

/* A shared memory region of the device, in the order of the device's. */
struct vmm_transport_shm {
	struct vmm_window *window; /* NULL: there is none. The loop's thread's. */
	/* kick_lock: where the guest is to see it */
	bool visible;
	vmm_gpa gpa;
};

/* Embedded in the transport's own struct. */
struct vmm_transport {
	struct vmm_virtio_device *dev;
	struct vmm_carrier *carrier;
	struct vmm_loop *loop;
	const struct vmm_log *log;
	struct vmm_log_limit limit;
	const struct vmm_event_ops *events;
	void *events_ctx;

	pthread_mutex_t lock;
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint32_t queue_select;

	pthread_mutex_t kick_lock;
	bool active;
	bool reachable;      /* notifications arrive at notify_gpa */
	uint64_t notify_gpa; /* of queue 0 */
	/* To the next queue's address; 0: all queues have one, and the value written says which. */
	unsigned notify_stride;

	unsigned queue_count;
	struct vmm_transport_queue *queues;
	struct vmm_transport_shm shm[VMM_VIRTIO_SHM_MAX];
};

/* ---- transport.c; configuration time, loop's thread ---- */

struct vmm_transport_config {
	const struct vmm_transport_device *device;
	const struct vmm_event_ops *events; /* borrowed, with events_ctx */
	void *events_ctx;
	unsigned notify_stride;
};

/* Does dev have as many queues as there may be, and an id that the transport can name? -EINVAL. */
int vmm_transport_check(const struct vmm_virtio_device *dev, uint32_t device_id_max,
			struct vmm_error *err);
/* Eventfds and locks for dev, which was checked; no carrier yet. On failure nothing is left.
 * -EMFILE, -ENOMEM. */
int vmm_transport_init(struct vmm_transport *t, struct vmm_virtio_device *dev,
		       const struct vmm_transport_config *config, struct vmm_error *err);
/* Not after init has failed. The carrier is destroyed before, or was never made. */
void vmm_transport_finish(struct vmm_transport *t);
/*
 * Takes the device. irqs: one for each queue, borrowed, in an array that is copied. Errors as of
 * vmm_carrier_create.
 */
int vmm_transport_carry(struct vmm_transport *t, const struct vmm_transport_device *device,
			struct vmm_irq *config_irq, struct vmm_irq *const *irqs,
			struct vmm_error *err);

/* The configuration space: len is 1, 2, 4 or 8; bytes past its end read 0. Any thread, no lock. */
uint64_t vmm_transport_config_read(struct vmm_transport *t, size_t offset, unsigned len);
void vmm_transport_config_write(struct vmm_transport *t, size_t offset, unsigned len,
				uint64_t value);

/* ---- registers.c; lock held, any thread ---- */

enum vmm_transport_register {
	VMM_REG_NONE, /* reads 0, writes nothing */
	VMM_REG_DEVICE_FEATURE_SELECT,
	VMM_REG_DEVICE_FEATURE,
	VMM_REG_DRIVER_FEATURE_SELECT,
	VMM_REG_DRIVER_FEATURE,
	VMM_REG_STATUS, /* written by vmm_transport_set_status */
	VMM_REG_GENERATION,
	VMM_REG_QUEUE_SELECT,
	/* Of the selected queue; all 0 when there is no such queue. */
	VMM_REG_QUEUE_SIZE,
	VMM_REG_QUEUE_SIZE_MAX,
	VMM_REG_QUEUE_ENABLE, /* only 1 does anything: QUEUE_RESET is not offered */
	VMM_REG_QUEUE_DESC,   /* this and the others: 64 bits */
	VMM_REG_QUEUE_DRIVER,
	VMM_REG_QUEUE_DEVICE,
};

uint64_t vmm_transport_read(struct vmm_transport *t, enum vmm_transport_register reg);
/* Of 64-bit registers bits [shift, shift + 8 * len) are written: all of them, or a half. */
void vmm_transport_write(struct vmm_transport *t, enum vmm_transport_register reg, unsigned shift,
			 unsigned len, uint64_t value);
/* Select registers and queues as after power-on; the carrier has reset its own. */
void vmm_transport_reset_registers(struct vmm_transport *t);

/* ---- kick.c; any thread, no lock held but maybe `lock` ---- */

int vmm_transport_kick_init(struct vmm_transport *t);
void vmm_transport_kick_finish(struct vmm_transport *t);
/* A notification that came as a register write. One of no queue is ignored. */
void vmm_transport_kick(struct vmm_transport *t, uint32_t queue);
void vmm_transport_set_enabled(struct vmm_transport *t, unsigned queue, bool enabled);
void vmm_transport_set_reachable(struct vmm_transport *t, bool reachable, uint64_t notify_gpa);
/* The carrier's on_active; ctx is the struct vmm_transport. */
void vmm_transport_set_active(void *ctx, bool active);

/* ---- shm.c ---- */

/* A window for each region, where the hypervisor has such; configuration time. finish also after
 * init has failed. -ENOMEM, -ENOSPC. */
int vmm_transport_shm_init(struct vmm_transport *t, struct vmm_error *err);
void vmm_transport_shm_finish(struct vmm_transport *t);
/* NULL: nothing can be mapped. The context is t. */
const struct vmm_carrier_shm_ops *vmm_transport_shm_ops(const struct vmm_transport *t);
/* Where the guest is to see a region, if at all; any thread. */
void vmm_transport_shm_decode(struct vmm_transport *t, unsigned index, bool visible, vmm_gpa gpa);
/* Returns when it is so. Any thread, under no lock: waits for the loop's. */
void vmm_transport_shm_settle(struct vmm_transport *t);
/* The device was reset: nothing is mapped. Loop's thread. */
void vmm_transport_shm_clear(struct vmm_transport *t);

#endif
