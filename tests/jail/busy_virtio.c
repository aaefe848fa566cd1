/* SPDX-License-Identifier: MIT */
#include "busy.h"

#define CAP_POINTER  0x34u
#define CAP_VENDOR   0x09u
#define CFG_COMMON   1u
#define CFG_NOTIFY   2u
#define STATUS_READY 0x0bu
#define STATUS_OK    0x0fu
#define STATUS_RESET 0x40u
#define DESC_NEXT    1u
#define DESC_WRITE   2u
#define ENTRIES      (4 * VQ_SIZE)

/* Offsets in the common configuration (VIRTIO 1.2 section 4.1.4.3). */
#define DRIVER_FEATURE_SELECT 0x08u
#define DRIVER_FEATURE        0x0cu
#define DEVICE_STATUS         0x14u
#define QUEUE_SELECT          0x16u
#define QUEUE_SIZE_REG        0x18u
#define QUEUE_ENABLE          0x1cu
#define QUEUE_NOTIFY_OFF      0x1eu
#define QUEUE_DESC            0x20u
#define QUEUE_DRIVER          0x28u
#define QUEUE_DEVICE          0x30u

static uint64_t bar(uint64_t space, unsigned index)
{
	uint32_t low = get32(space + 0x10 + 4 * index);

	return (low & 4u) ? ((uint64_t)get32(space + 0x14 + 4 * index) << 32 | (low & ~15u))
			  : (low & ~15u);
}

static uint64_t find_block(uint64_t space, uint8_t type, uint32_t *multiplier)
{
	unsigned at = get8(space + CAP_POINTER);

	for (unsigned i = 0; at != 0 && i < 48; i++, at = get8(space + at + 1)) {
		if (get8(space + at) == CAP_VENDOR && get8(space + at + 3) == type) {
			*multiplier = get32(space + at + 16);
			return bar(space, get8(space + at + 4)) + get32(space + at + 8);
		}
	}
	return 0;
}

static void put_address(uint64_t reg, const volatile void *p)
{
	put32(reg, (uint32_t)(uint64_t)p);
	put32(reg + 4, (uint32_t)((uint64_t)p >> 32));
}

static void set_up_queue(struct vdev *dev, unsigned i, uint64_t notify, uint32_t multiplier)
{
	struct vq *q = &dev->queues[i];

	put16(dev->common + QUEUE_SELECT, (uint16_t)i);
	put16(dev->common + QUEUE_SIZE_REG, ENTRIES);
	put_address(dev->common + QUEUE_DESC, q->desc);
	put_address(dev->common + QUEUE_DRIVER, q->avail);
	put_address(dev->common + QUEUE_DEVICE, q->used);
	q->notify = notify + get16(dev->common + QUEUE_NOTIFY_OFF) * multiplier;
	q->index = (uint16_t)i;
	put16(dev->common + QUEUE_ENABLE, 1);
}

static bool start(struct vdev *dev, uint64_t space)
{
	uint32_t multiplier = 0;
	uint64_t notify = find_block(space, CFG_NOTIFY, &multiplier);
	uint32_t ignored;

	dev->common = find_block(space, CFG_COMMON, &ignored);
	put8(dev->common + DEVICE_STATUS, 0);
	put8(dev->common + DEVICE_STATUS, 1);
	put8(dev->common + DEVICE_STATUS, 3);
	put32(dev->common + DRIVER_FEATURE_SELECT, 0);
	put32(dev->common + DRIVER_FEATURE, 1u << 9); /* blk: FLUSH; net: GUEST_ECN alone is none */
	put32(dev->common + DRIVER_FEATURE_SELECT, 1);
	put32(dev->common + DRIVER_FEATURE, 1); /* VERSION_1 */
	put8(dev->common + DEVICE_STATUS, STATUS_READY);
	if (get8(dev->common + DEVICE_STATUS) != STATUS_READY) {
		/* Not a disk: without it. */
		put8(dev->common + DEVICE_STATUS, 0);
		put8(dev->common + DEVICE_STATUS, 3);
		put32(dev->common + DRIVER_FEATURE_SELECT, 1);
		put32(dev->common + DRIVER_FEATURE, 1);
		put8(dev->common + DEVICE_STATUS, STATUS_READY);
	}
	for (unsigned i = 0; i < dev->count; i++) {
		set_up_queue(dev, i, notify, multiplier);
	}
	put8(dev->common + DEVICE_STATUS, STATUS_OK);
	return get8(dev->common + DEVICE_STATUS) == STATUS_OK;
}

bool vdev_start(struct vdev *dev, const struct acpi *acpi, uint16_t pci_id, struct vq *queues,
		unsigned count)
{
	dev->queues = queues;
	dev->count = count;
	for (unsigned slot = 0; slot < 32; slot++) {
		uint64_t space = pci_ecam(acpi, slot, 0);

		if (get32(space) == ((uint32_t)pci_id << 16 | 0x1af4u)) {
			return start(dev, space);
		}
	}
	return false;
}

bool vdev_failed(const struct vdev *dev)
{
	return (get8(dev->common + DEVICE_STATUS) & STATUS_RESET) != 0;
}

void vq_offer(struct vq *q, unsigned slot, const struct vq_buf *bufs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		bool last = i + 1 == count;

		q->desc[4 * slot + i] = (struct vq_desc){
			.addr = (uint64_t)bufs[i].ptr,
			.len = bufs[i].len,
			.flags = (uint16_t)((bufs[i].write ? DESC_WRITE : 0) |
					    (last ? 0 : DESC_NEXT)),
			.next = (uint16_t)(4 * slot + i + 1),
		};
	}
	q->busy[slot] = true;
	q->avail[2 + q->offered % ENTRIES] = (uint16_t)(4 * slot);
	__asm__ volatile("" : : : "memory");
	q->offered++;
	q->avail[1] = q->offered;
	__asm__ volatile("mfence" : : : "memory");
	put16(q->notify, q->index);
}

int vq_take(struct vq *q)
{
	unsigned slot;

	if ((uint16_t)(q->used[0] >> 16) == q->seen) {
		return -1;
	}
	__asm__ volatile("" : : : "memory");
	slot = q->used[1 + 2 * (q->seen % ENTRIES)] / 4;
	q->seen++;
	if (slot >= VQ_SIZE || !q->busy[slot]) {
		bad("a chain came back that was not out");
		return -1;
	}
	q->busy[slot] = false;
	return (int)slot;
}
