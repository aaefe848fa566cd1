/* SPDX-License-Identifier: MIT */
/* What fakedrv.c (the device) and fakering.c (its queues) share. */
#ifndef TESTS_FAKEDRV_PRIV_H
#define TESTS_FAKEDRV_PRIV_H

#include "fakedrv.h"

#define NO_DESC UINT32_MAX

/* First member, so that vmm_irq_raise's argument is this. */
struct counter {
	struct vmm_irq irq;
	unsigned count; /* atomic */
	/* Of a queue that is read elsewhere: what is written to it is counted too. -1: none. */
	int fd;
	struct vmm_source *source;
};

/* What the driver remembers of one queue; nothing of it is in guest memory. */
struct queue {
	struct fakedrv_ring ring; /* ring.desc is NULL while the queue is not set up */
	uint32_t *next_free;      /* [desc]: the next free one or NO_DESC */
	uint32_t free_head;
	unsigned free_count;
	unsigned *descs; /* [head]: descriptors of a chain that is out, 0 when it is not */
	unsigned outstanding;
	uint16_t avail_idx;
	uint16_t kicked_idx; /* avail_idx at the last decision whether to kick */
	uint16_t used_idx;
	bool no_irq;
};

/* Guest memory of one queue, kept over resets: there is no way to free any. */
struct storage {
	struct fakedrv_desc *desc;
	uint16_t *avail;
	uint16_t *used;
	struct fakedrv_desc **tables; /* [head]: an indirect table, or NULL */
};

/* What a device has mapped into a shared memory region. */
struct shm_piece {
	uint8_t id;
	uint64_t offset;
	uint64_t len;
	void *host; /* NULL: free */
};

struct fakedrv {
	struct memfix fix;
	struct vmm_loop *loop;
	bool own_loop;
	struct vmm_carrier *carrier;
	struct vmm_virtio_device *dev;
	uint64_t features;
	struct counter config_irq;
	struct counter queue_irqs[VMM_VIRTIO_QUEUES_MAX];
	int kick_fds[VMM_VIRTIO_QUEUES_MAX]; /* -1 where the device reads its queues itself */
	struct queue queues[VMM_VIRTIO_QUEUES_MAX];
	struct storage storage[VMM_VIRTIO_QUEUES_MAX];
	struct vmm_carrier_ring rings[VMM_VIRTIO_QUEUES_MAX]; /* for fakedrv_driver_resumes */
	struct shm_piece shm[VMM_VIRTIO_SHM_MAPPINGS_MAX];
	int shm_error;
};

/* fakeshm.c; the context is the struct fakedrv. */
extern const struct vmm_carrier_shm_ops fakedrv_shm_ops;

_Noreturn void fakedrv_die(const char *what);

#endif
