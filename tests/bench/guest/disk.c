/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <stddef.h>

#define PARTS     3u /* descriptors of a request: header, data, status */
#define RING_SIZE 128u
#define TYPE_IN   0u
#define TYPE_OUT  1u

static void lay_out(struct disk *d, uint8_t *data, uint32_t stride)
{
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		uint16_t first = (uint16_t)(PARTS * i);

		d->q.desc[first] = (struct virtio_desc){
			.addr = (uint64_t)&d->headers[i],
			.len = sizeof(d->headers[i]),
			.flags = VIRTIO_DESC_NEXT,
			.next = (uint16_t)(first + 1),
		};
		d->q.desc[first + 1] = (struct virtio_desc){
			.addr = (uint64_t)data + (uint64_t)i * stride,
			.next = (uint16_t)(first + 2),
		};
		d->q.desc[first + 2] = (struct virtio_desc){
			.addr = (uint64_t)&d->status[i],
			.len = 1,
			.flags = VIRTIO_DESC_WRITE,
		};
	}
}

void disk_want_writes(struct disk *d, bool want)
{
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		d->headers[i].type = want ? TYPE_OUT : TYPE_IN;
		d->q.desc[PARTS * i + 1].flags =
			(uint16_t)(VIRTIO_DESC_NEXT | (want ? 0 : VIRTIO_DESC_WRITE));
	}
}

bool disk_start(struct disk *d, struct virtio *v, uint64_t features, uint8_t *data, uint32_t stride)
{
	lay_out(d, data, stride);
	disk_want_writes(d, false);
	if (!virtio_begin(v, features) || !queue_start(&d->q, v, 0, RING_SIZE)) {
		return false;
	}
	if (v->config) {
		d->sectors = (uint64_t)get32(v->config + 4) << 32 | get32(v->config);
	}
	return virtio_ready(v);
}

void disk_offer(struct disk *d, unsigned i, uint64_t sector, uint32_t len)
{
	d->headers[i].sector = sector;
	d->q.desc[PARTS * i + 1].len = len;
	d->status[i] = 0xff;
	queue_offer(&d->q, (uint16_t)(PARTS * i));
}

unsigned disk_take(struct disk *d)
{
	unsigned i = queue_take(&d->q, NULL) / PARTS;

	if (i >= DEPTH_MAX || d->status[i] != 0) {
		d->errors++;
		return 0;
	}
	return i;
}
