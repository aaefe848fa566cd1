/* SPDX-License-Identifier: MIT */
/* A virtio-pci driver for the busy guest: several devices, several queues, no interrupts. */
#ifndef TESTS_JAIL_BUSY_H
#define TESTS_JAIL_BUSY_H

#include "hw.h"

#define VQ_SIZE 16u

struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* One queue; chains are of at most four descriptors and owned by slot: chain i uses 4i to 4i + 3.
 */
struct vq {
	struct vq_desc desc[4 * VQ_SIZE] __attribute__((aligned(16)));
	volatile uint16_t avail[3 + 4 * VQ_SIZE] __attribute__((aligned(2)));
	volatile uint32_t used[2 + 8 * VQ_SIZE] __attribute__((aligned(4)));
	uint64_t notify;
	uint16_t index;
	uint16_t offered;
	uint16_t seen;
	bool busy[VQ_SIZE];
};

struct vq_buf {
	const volatile void *ptr;
	uint32_t len;
	bool write; /* by the device */
};

struct vdev {
	uint64_t common; /* the common configuration */
	struct vq *queues;
	unsigned count;
};

/* Finds the device with this PCI device id and starts it with the queues given. */
bool vdev_start(struct vdev *dev, const struct acpi *acpi, uint16_t pci_id, struct vq *queues,
		unsigned count);
/* DEVICE_NEEDS_RESET shows. */
bool vdev_failed(const struct vdev *dev);
/* Offers a chain in slot and kicks. */
void vq_offer(struct vq *q, unsigned slot, const struct vq_buf *bufs, unsigned count);
/* A slot whose chain came back, or -1. "BAD" is said of one that comes back twice. */
int vq_take(struct vq *q);

#endif
