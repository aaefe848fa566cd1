/* SPDX-License-Identifier: MIT */
#include "devfuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX  2000u
#define ARENA_SIZE (256u << 10)
#define BUFS_MAX   32u

struct devfuzz {
	struct fakedrv *drv;
	struct devfuzz_input *in;
	uint8_t *arena;
	unsigned queues;
	bool tainted; /* descriptors were written past the fake driver's books */
	uint64_t room[VMM_VIRTIO_QUEUES_MAX][VMM_VIRTQ_SIZE_MAX]; /* by head; UINT64_MAX: not out */
};

#define REQUIRE(condition)                                                                 \
	do {                                                                               \
		if (!(condition)) {                                                        \
			(void)fprintf(stderr, "%s: not true: %s\n", __func__, #condition); \
			abort();                                                           \
		}                                                                          \
	} while (0)

uint8_t devfuzz_u8(struct devfuzz_input *in)
{
	uint8_t value;

	devfuzz_bytes(in, &value, 1);
	return value;
}

uint32_t devfuzz_u32(struct devfuzz_input *in)
{
	uint8_t b[4];

	devfuzz_bytes(in, b, sizeof(b));
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

void devfuzz_bytes(struct devfuzz_input *in, uint8_t *out, size_t len)
{
	size_t have = len < in->size ? len : in->size;

	memcpy(out, in->data, have);
	memset(out + have, 0, len - have);
	in->data += have;
	in->size -= have;
}

static void forget(struct devfuzz *f)
{
	memset(f->room, 0xff, sizeof(f->room));
	f->tainted = false;
}

static void start(struct devfuzz *f)
{
	uint8_t how = devfuzz_u8(f->in);
	struct fakedrv_options options = {
		.no_event_idx = (how & 1u) != 0,
		.no_indirect = (how & 2u) != 0,
		.queue_size = how & 4u ? 8 : 0,
		.refuse = how & 8u ? (uint64_t)devfuzz_u32(f->in) << 32 | devfuzz_u32(f->in) : 0,
		.skip_queues = how & 16u ? devfuzz_u8(f->in) : 0,
	};

	/* Bits of the transport stay: without VERSION_1 nothing starts. */
	options.refuse &= ~VMM_VIRTIO_F_VERSION_1;
	forget(f);
	(void)fakedrv_start(f->drv, &options);
}

static bool usable(struct devfuzz *f, unsigned queue)
{
	struct vmm_carrier_queue q;

	return (fakedrv_status(f->drv) & VMM_VIRTIO_S_DRIVER_OK) != 0 &&
	       vmm_carrier_get_queue(fakedrv_carrier(f->drv), queue, &q) == 0 && q.enabled;
}

static void collect(struct devfuzz *f, unsigned queue)
{
	struct fakedrv_used used;

	while (!f->tainted && fakedrv_used(f->drv, queue, &used)) {
		REQUIRE(used.head < VMM_VIRTQ_SIZE_MAX);
		REQUIRE(used.len <= f->room[queue][used.head]);
		REQUIRE(f->room[queue][used.head] != UINT64_MAX);
		f->room[queue][used.head] = UINT64_MAX;
	}
}

/* A chain of buffers anywhere in the arena, overlapping as they like; readable ones first. */
static void add(struct devfuzz *f, unsigned queue)
{
	struct fakedrv_buf bufs[BUFS_MAX];
	uint8_t shape = devfuzz_u8(f->in);
	unsigned size = fakedrv_ring(f->drv, queue)->size;
	unsigned count = 1 + shape % (size < BUFS_MAX ? size : BUFS_MAX);
	unsigned readable = devfuzz_u8(f->in) % (count + 1);
	uint64_t room = 0;
	int head;

	for (unsigned i = 0; i < count; i++) {
		uint32_t at = devfuzz_u32(f->in);
		uint32_t len = at >> 24 == 0xff ? ARENA_SIZE : at >> 20;

		at %= ARENA_SIZE;
		len = len < ARENA_SIZE - at ? len : ARENA_SIZE - at;
		bufs[i] = (struct fakedrv_buf){f->arena + at, len, i >= readable};
		room += i >= readable ? len : 0;
		if (i < readable && len > 0) {
			devfuzz_bytes(f->in, bufs[i].ptr, len < 64 ? len : 64);
		}
	}
	if ((shape & 0x80u) != 0 && (fakedrv_features(f->drv) & VMM_VIRTIO_F_INDIRECT_DESC) != 0) {
		head = fakedrv_add_indirect(f->drv, queue, bufs, count, count / 2);
	} else {
		head = fakedrv_add(f->drv, queue, bufs, count);
	}
	if (head >= 0) {
		f->room[queue][head] = room;
	}
}

/* Descriptors and indices as no driver would write them. */
static void add_raw(struct devfuzz *f, unsigned queue)
{
	const struct fakedrv_ring *ring = fakedrv_ring(f->drv, queue);
	unsigned slot = devfuzz_u8(f->in) % (unsigned)ring->size;
	struct fakedrv_desc *d = &ring->desc[slot];
	uint32_t at = devfuzz_u32(f->in);

	f->tainted = true;
	d->addr = at & 1u ? (uint64_t)at << 12 : fakedrv_gpa(f->drv, f->arena + at % ARENA_SIZE);
	d->len = devfuzz_u32(f->in) >> (at & 2u ? 8 : 20);
	d->flags = devfuzz_u8(f->in);
	d->next = devfuzz_u8(f->in);
	fakedrv_offer(f->drv, queue, (uint16_t)slot);
}

static void write_config(struct devfuzz *f)
{
	uint8_t bytes[16];
	size_t offset = devfuzz_u8(f->in);
	size_t len = 1 + devfuzz_u8(f->in) % sizeof(bytes);

	devfuzz_bytes(f->in, bytes, len);
	fakedrv_write_config(f->drv, offset, bytes, len);
}

static void step(struct devfuzz *f, uint8_t op, void (*other)(void *ctx, struct devfuzz_input *in),
		 void *ctx)
{
	unsigned queue = op / 16 % f->queues;

	switch (op % 16) {
	case 0:
		start(f);
		break;
	case 1:
		fakedrv_reset(f->drv);
		forget(f);
		break;
	case 2:
		write_config(f);
		break;
	case 3:
		if (usable(f, queue)) {
			add_raw(f, queue);
		}
		break;
	case 4:
	case 5:
		fakedrv_kick(f->drv, queue);
		break;
	case 6:
		/* Only the notification: what it posted may meet a reset. */
		vmm_carrier_kick(fakedrv_carrier(f->drv), queue);
		break;
	case 7:
	case 8:
	case 9:
		if (other) {
			other(ctx, f->in);
		}
		fakedrv_run(f->drv);
		break;
	default:
		if (usable(f, queue) && !f->tainted) {
			add(f, queue);
			fakedrv_kick(f->drv, queue);
			collect(f, queue);
		}
		break;
	}
}

void devfuzz_run(struct vmm_virtio_device *dev, struct devfuzz_input *in,
		 void (*other)(void *ctx, struct devfuzz_input *in), void *ctx)
{
	struct devfuzz *f = calloc(1, sizeof(*f));

	REQUIRE(f != NULL);
	f->drv = fakedrv_create(dev);
	f->in = in;
	f->arena = fakedrv_alloc(f->drv, ARENA_SIZE);
	f->queues = dev->queue_count;
	forget(f);
	(void)fakedrv_start(f->drv, NULL);
	for (unsigned i = 0; i < STEPS_MAX && in->size > 0; i++) {
		step(f, devfuzz_u8(in), other, ctx);
	}
	for (unsigned q = 0; q < f->queues; q++) {
		if (usable(f, q)) {
			collect(f, q);
		}
	}
	fakedrv_destroy(f->drv);
	free(f);
}
