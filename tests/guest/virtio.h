/* SPDX-License-Identifier: MIT */
/*
 * A virtio driver as small as it can be (VIRTIO 1.2), in three parts: how a device is found and
 * started (virtio.c; the registers of PCI in virtio_pci.c, those of MMIO in virtio_mmio.c), one
 * queue of it (queue.c), and whoever puts something into the queue.
 */
#ifndef TESTS_GUEST_VIRTIO_H
#define TESTS_GUEST_VIRTIO_H

#include "hw.h"

#define VIRTIO_NET     1u
#define VIRTIO_BLK     2u
#define VIRTIO_CONSOLE 3u

#define VIRTIO_VERSION_1 (UINT64_C(1) << 32)

/* What both transports have, at different places. */
enum virtio_register {
	VIRTIO_FEATURE_SELECT,
	VIRTIO_FEATURE,
	VIRTIO_DRIVER_SELECT,
	VIRTIO_DRIVER_FEATURE,
	VIRTIO_STATUS,
	VIRTIO_QUEUE_SELECT,
	VIRTIO_QUEUE_SIZE_MAX,
	VIRTIO_QUEUE_SIZE,
	VIRTIO_QUEUE_ENABLE,
	/* Pairs of 32 bits. */
	VIRTIO_QUEUE_DESC,
	VIRTIO_QUEUE_DRIVER,
	VIRTIO_QUEUE_DEVICE,
	VIRTIO_REGISTERS,
};

struct virtio_place {
	uint16_t offset;
	uint8_t bytes;
};

struct virtio {
	const struct virtio_place *places; /* VIRTIO_REGISTERS of them */
	uint64_t registers;
	uint64_t config;
	uint32_t type;
	uint64_t features; /* what was agreed on */
	/* Where queue n is kicked: by a write of so many bytes, n, at notify + offset * multiplier;
	 * the offset is a register, or 0 when there is none. */
	uint64_t notify;
	uint8_t notify_bytes;
	uint32_t notify_multiplier;
	uint16_t notify_offset;
	/* The shared memory region of the smallest id; shm_len 0: there is none. */
	uint64_t shm;
	uint64_t shm_len;
	uint64_t shm_bar; /* PCI only: the register */
	/* PCI only. */
	uint64_t msix_control; /* in configuration space */
	uint64_t msix_table;
	bool interrupts; /* queues send VECTOR */
};

/* ---- virtio_pci.c ---- */

/* Finds the blocks of the device in a slot by their capabilities. False when one is missing. */
bool virtio_find_pci(const struct acpi *acpi, unsigned slot, struct virtio *v);
/* From here on the device's queues send VECTOR by MSI-X. */
void virtio_use_interrupts(struct virtio *v);
/* Makes the selected queue do so. False when the device refuses. */
bool virtio_pci_set_vector(const struct virtio *v);

/* ---- virtio_mmio.c ---- */

/* False when there is no device of version 2 at that address. */
bool virtio_find_mmio(uint64_t gpa, struct virtio *v);

/* ---- virtio.c ---- */

uint32_t virtio_get(const struct virtio *v, enum virtio_register reg);
void virtio_put(const struct virtio *v, enum virtio_register reg, uint32_t value);
void virtio_put_address(const struct virtio *v, enum virtio_register reg, const volatile void *p);
/* Resets the device and agrees on what it has of the features wanted and on VERSION_1. */
bool virtio_begin(struct virtio *v, uint64_t wanted);
/* Starts it, after its queues. */
bool virtio_ready(const struct virtio *v);

/* ---- queue.c ---- */

#define VIRTIO_DESC_NEXT  1u
#define VIRTIO_DESC_WRITE 2u

#define QUEUE_SIZE_MAX 256u

struct virtio_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* A split queue whose used ring is polled. */
struct queue {
	struct virtio_desc desc[QUEUE_SIZE_MAX] __attribute__((aligned(16)));
	volatile uint16_t avail[3 + QUEUE_SIZE_MAX] __attribute__((aligned(4)));
	volatile uint32_t used[2 + 2 * QUEUE_SIZE_MAX] __attribute__((aligned(4)));
	uint64_t notify;
	uint8_t notify_bytes;
	uint16_t index;
	uint16_t size; /* a power of two */
	uint16_t offered;
	uint16_t taken;
	uint64_t kicks;
};

/* Sets queue `index` of the device up, with `size` entries or as many as it takes. It asks for no
 * interrupts. False when the device has no such queue. */
bool queue_start(struct queue *q, const struct virtio *v, uint16_t index, uint16_t size);
void queue_want_interrupts(struct queue *q, bool want);
/* Offers the chain that begins with a descriptor. */
void queue_offer(struct queue *q, uint16_t head);
/* Tells the device what was offered, if it wants to be told. */
void queue_kick(struct queue *q);
/* Whether a chain has come back. */
static inline bool queue_has_done(const struct queue *q)
{
	return (uint16_t)(q->used[0] >> 16) != q->taken;
}
/* The head of the next that has, and in *len, unless that is NULL, what the device wrote. */
uint16_t queue_take(struct queue *q, uint32_t *len);

#endif
