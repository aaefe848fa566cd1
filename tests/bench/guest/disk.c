/* SPDX-License-Identifier: MIT */
#include "disk.h"

#define NO_INTERRUPT 1u
#define NO_NOTIFY    1u

/* The device's words change under the compiler's eyes; the processor keeps loads in order. */
#define BARRIER() __asm__ volatile("" : : : "memory")
#define FENCE()   __asm__ volatile("mfence" : : : "memory")

static void lay_out(struct disk *d)
{
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		uint16_t first = (uint16_t)(PARTS * i);

		d->desc[first] = (struct virtio_desc){
			.addr = (uint64_t)&d->headers[i],
			.len = sizeof(d->headers[i]),
			.flags = VIRTIO_DESC_NEXT,
			.next = (uint16_t)(first + 1),
		};
		d->desc[first + 1] = (struct virtio_desc){
			.addr = (uint64_t)d->data[i],
			.flags = VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE,
			.next = (uint16_t)(first + 2),
		};
		d->desc[first + 2] = (struct virtio_desc){
			.addr = (uint64_t)&d->status[i],
			.len = 1,
			.flags = VIRTIO_DESC_WRITE,
		};
	}
}

bool disk_start(struct disk *d, const struct acpi *acpi, unsigned slot)
{
	const struct virtio_ring ring = {RING_SIZE, d->desc, d->avail, d->used};
	struct virtio_blocks blocks;

	lay_out(d);
	if (!virtio_find(acpi, slot, &blocks) || !virtio_start(&blocks, &ring)) {
		return false;
	}
	d->notify = virtio_notify_address(&blocks);
	return true;
}

void disk_want_interrupts(struct disk *d, bool want)
{
	d->avail[0] = want ? 0 : NO_INTERRUPT;
	FENCE();
}

void disk_offer(struct disk *d, unsigned i, uint64_t sector, uint32_t len)
{
	d->headers[i].sector = sector;
	d->desc[PARTS * i + 1].len = len;
	d->status[i] = 0xff;
	d->avail[2 + d->offered % RING_SIZE] = (uint16_t)(PARTS * i);
	d->offered++;
	BARRIER();
	d->avail[1] = d->offered;
}

void disk_kick(struct disk *d)
{
	FENCE();
	if (!((uint16_t)d->used[0] & NO_NOTIFY)) {
		d->kicks++;
		put16(d->notify, 0);
	}
}

bool disk_has_done(const struct disk *d)
{
	return (uint16_t)(d->used[0] >> 16) != d->taken;
}

unsigned disk_take(struct disk *d)
{
	unsigned i;

	BARRIER();
	i = d->used[1 + 2 * (d->taken % RING_SIZE)] / PARTS;
	d->taken++;
	if (i >= DEPTH_MAX || d->status[i] != 0) {
		d->errors++;
		return 0;
	}
	return i;
}
