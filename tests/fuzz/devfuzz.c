/* SPDX-License-Identifier: MIT */
#include "devfuzz.h"

#include <string.h>

#define STEPS_MAX  2000u
#define ARENA_SIZE (256u << 10)
#define BUFS_MAX   32u
#define ROUNDS_MAX 64u
#define SLOTS      32u

/* A request that means something. Its memory is nobody else's, but for descriptors gone astray. */
struct slot {
	int head; /* -1: free */
	uint8_t request[DEVFUZZ_REQUEST];
	uint8_t *memory; /* it once more, and its answer, as the device sees them */
};

struct devfuzz {
	struct slot slots[SLOTS];
	struct devfuzz_device device;
	struct fakedrv *drv;
	struct fuzz_input *in;
	uint8_t *arena;
	unsigned queues;
	bool refill;      /* chains are offered again as soon as they come back, */
	unsigned refills; /* so many in one input: more than a kick may take */
	bool tainted;     /* descriptors were written past the fake driver's books */
	bool far;         /* and may have led anywhere in memory */
	uint64_t room[VMM_VIRTIO_QUEUES_MAX][VMM_VIRTQ_SIZE_MAX]; /* by head; UINT64_MAX: not out */
};

static void forget(struct devfuzz *f)
{
	for (unsigned i = 0; i < f->queues; i++) {
		memset(f->room[i], 0xff, f->device.dev->queue_sizes[i] * sizeof(f->room[i][0]));
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		f->slots[i].head = -1;
	}
	f->tainted = false;
}

static void start(struct devfuzz *f)
{
	uint8_t how = fuzz_u8(f->in);
	struct fakedrv_options options = {
		.no_event_idx = (how & 1u) != 0,
		.no_indirect = (how & 2u) != 0,
		.queue_size = how & 4u ? 8 : 0,
		.refuse = how & 8u ? (uint64_t)fuzz_u32(f->in) << 32 | fuzz_u32(f->in) : 0,
		.skip_queues = how & 16u ? fuzz_u8(f->in) : 0,
	};

	/* Bits of the transport stay: without VERSION_1 nothing starts. */
	options.refuse &= ~VMM_VIRTIO_F_VERSION_1;
	forget(f);
	f->refill = how >> 5 == 5;
	judge_flip((how & 64u) == 0);
	(void)fakedrv_start(f->drv, &options);
}

static bool usable(struct devfuzz *f, unsigned queue)
{
	struct vmm_carrier_queue q;

	return (fakedrv_status(f->drv) & VMM_VIRTIO_S_DRIVER_OK) != 0 &&
	       vmm_carrier_get_queue(fakedrv_carrier(f->drv), queue, &q) == 0 && q.enabled;
}

static void check_used(struct devfuzz *f, unsigned queue, const struct fakedrv_used *used)
{
	REQUIRE(used->head < VMM_VIRTQ_SIZE_MAX);
	REQUIRE(used->len <= f->room[queue][used->head]);
	REQUIRE(f->room[queue][used->head] != UINT64_MAX);
}

static void answered(struct devfuzz *f, const struct fakedrv_used *used)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *s = &f->slots[i];

		if (s->head == (int)used->head) {
			s->head = -1;
			f->device.answer(f->device.ctx, s->request, s->memory + DEVFUZZ_REQUEST,
					 used->len);
		}
	}
}

static void collect(struct devfuzz *f, unsigned queue)
{
	struct fakedrv_used used;

	while (!f->tainted && fakedrv_used(f->drv, queue, &used)) {
		check_used(f, queue, &used);
		f->room[queue][used.head] = UINT64_MAX;
		if (queue == 0) {
			answered(f, &used);
		}
	}
}

/* A driver on another CPU, which offers each chain again as soon as it sees it come back. */
static void refill(void *ctx, struct vmm_virtq *q)
{
	struct devfuzz *f = ctx;
	struct fakedrv_used used;

	for (unsigned i = 0; i < f->queues && f->refill && !f->tainted; i++) {
		if (!usable(f, i) || judge_queue_at(fakedrv_ring(f->drv, i)->desc) != q) {
			continue;
		}
		while (f->refills > 0 && fakedrv_used_raw(f->drv, i, &used)) {
			check_used(f, i, &used);
			fakedrv_offer(f->drv, i, (uint16_t)used.head);
			f->refills--;
		}
	}
}

/* A chain of buffers anywhere in the arena, overlapping as they like; readable ones first. */
static void add(struct devfuzz *f, unsigned queue)
{
	struct fakedrv_buf bufs[BUFS_MAX];
	uint8_t shape = fuzz_u8(f->in);
	unsigned size = fakedrv_ring(f->drv, queue)->size;
	unsigned count = 1 + shape % (size < BUFS_MAX ? size : BUFS_MAX);
	unsigned readable = fuzz_u8(f->in) % (count + 1);
	uint64_t room = 0;
	int head;

	for (unsigned i = 0; i < count; i++) {
		uint32_t at = fuzz_u32(f->in);
		uint32_t len = at >> 24 == 0xff ? ARENA_SIZE : at >> 20;

		at %= ARENA_SIZE;
		len = len < ARENA_SIZE - at ? len : ARENA_SIZE - at;
		bufs[i] = (struct fakedrv_buf){f->arena + at, len, i >= readable};
		room += i >= readable ? len : 0;
		if (i < readable && len > 0) {
			fuzz_bytes(f->in, bufs[i].ptr, len < 64 ? len : 64);
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

/* One that means something. */
static void add_request(struct devfuzz *f)
{
	struct slot *s = f->slots;
	size_t len;

	while (s < f->slots + SLOTS && s->head >= 0) {
		s++;
	}
	if (s == f->slots + SLOTS) {
		return;
	}
	memset(s->request, 0, sizeof(s->request));
	len = f->device.request(f->device.ctx, f->in, s->request);
	REQUIRE(len > 0 && len <= DEVFUZZ_REQUEST);
	memcpy(s->memory, s->request, DEVFUZZ_REQUEST);
	s->head = fakedrv_add(f->drv, 0,
			      (const struct fakedrv_buf[]){
				      FAKEDRV_OUT(s->memory, (uint32_t)len),
				      FAKEDRV_IN(s->memory + DEVFUZZ_REQUEST, DEVFUZZ_REQUEST)},
			      2);
	if (s->head >= 0) {
		f->room[0][s->head] = DEVFUZZ_REQUEST;
	}
}

/* Descriptors and indices as no driver would write them. */
static void add_raw(struct devfuzz *f, unsigned queue)
{
	const struct fakedrv_ring *ring = fakedrv_ring(f->drv, queue);
	unsigned slot = fuzz_u8(f->in) % (unsigned)ring->size;
	struct fakedrv_desc *d = &ring->desc[slot];
	uint32_t at = fuzz_u32(f->in);

	f->tainted = true;
	f->far |= (at & 1u) != 0;
	d->addr = at & 1u ? (uint64_t)at << 12 : fakedrv_gpa(f->drv, f->arena + at % ARENA_SIZE);
	d->len = fuzz_u32(f->in) >> (at & 2u ? 8 : 20);
	d->flags = fuzz_u8(f->in);
	d->next = fuzz_u8(f->in);
	fakedrv_offer(f->drv, queue, (uint16_t)slot);
}

static void write_config(struct devfuzz *f)
{
	uint8_t bytes[16];
	size_t offset = fuzz_u8(f->in);
	size_t len = 1 + fuzz_u8(f->in) % sizeof(bytes);

	fuzz_bytes(f->in, bytes, len);
	fakedrv_write_config(f->drv, offset, bytes, len);
}

static void step(struct devfuzz *f, uint8_t op)
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
		if (f->device.other) {
			judge_begin();
			f->device.other(f->device.ctx, f->in);
			judge_end();
		}
		fakedrv_run(f->drv);
		break;
	case 14:
	case 15:
		if (f->device.request) {
			if (usable(f, 0) && !f->tainted) {
				add_request(f);
				fakedrv_kick(f->drv, 0);
				collect(f, 0);
			}
			break;
		}
		/* fall through */
	default:
		if (usable(f, queue) && !f->tainted) {
			add(f, queue);
			fakedrv_kick(f->drv, queue);
			collect(f, queue);
		}
		break;
	}
}

/* ---- the end ---- */

static bool all_back(struct devfuzz *f)
{
	for (unsigned q = 0; q < f->queues; q++) {
		const struct vmm_virtq *virtq;

		if (!usable(f, q) || !(f->device.drains >> q & 1) ||
		    (f->device.drains_with & ~fakedrv_features(f->drv)) != 0) {
			continue;
		}
		virtq = judge_queue_at(fakedrv_ring(f->drv, q)->desc);
		if (virtq && !judge_settled(virtq)) {
			return false;
		}
	}
	return true;
}

/*
 * When nothing holds a device up, it owes every chain, unless it shows DEVICE_NEEDS_RESET. The
 * driver has kicked for all it offered, but for what it wrote behind its own back: a device that
 * waits for another kick waits for ever.
 */
static void settle(struct devfuzz *f)
{
	f->refill = false;
	for (unsigned i = 0; i < ROUNDS_MAX && !fakedrv_needs_reset(f->drv); i++) {
		if (f->device.settle) {
			judge_begin();
			f->device.settle(f->device.ctx);
			judge_end();
		}
		for (unsigned q = 0; q < f->queues && f->tainted; q++) {
			fakedrv_kick(f->drv, q);
		}
		fakedrv_run(f->drv);
		if (all_back(f)) {
			break;
		}
	}
	REQUIRE(all_back(f) || fakedrv_needs_reset(f->drv));
	for (unsigned q = 0; q < f->queues; q++) {
		if (usable(f, q)) {
			collect(f, q);
		}
	}
}

/* Nothing that a driver does may wedge the device for the next one. */
static void serve(struct devfuzz *f)
{
	struct fakedrv_options options = {.refuse = f->device.refuse};

	fakedrv_reset(f->drv);
	forget(f);
	judge_flip(true);
	if (f->device.settle) {
		f->device.settle(f->device.ctx);
	}
	REQUIRE(fakedrv_start(f->drv, &options) == 0);
	f->device.serve(f->device.ctx, f->drv, f->arena);
	REQUIRE(!fakedrv_needs_reset(f->drv));
	fakedrv_reset(f->drv);
}

struct devfuzz *devfuzz_create(const struct devfuzz_device *device)
{
	struct devfuzz *f = calloc(1, sizeof(*f));

	REQUIRE(f != NULL);
	f->device = *device;
	f->drv = fakedrv_create(device->dev);
	if (device->prepare) {
		device->prepare(device->ctx, f->drv);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		f->slots[i].memory = fakedrv_alloc(f->drv, 2 * (size_t)DEVFUZZ_REQUEST);
	}
	f->arena = fakedrv_alloc(f->drv, ARENA_SIZE);
	f->queues = device->dev->queue_count;
	return f;
}

/* Each input finds memory as the first one did. */
static void clear(struct devfuzz *f)
{
	struct vmm_mem_mapping map;

	if (f->far) {
		REQUIRE(vmm_mem_clear(fakedrv_mem(f->drv)) == 0);
	}
	f->far = false;
	memset(f->arena, 0, ARENA_SIZE);
	for (unsigned i = 0; i < SLOTS; i++) {
		memset(f->slots[i].memory, 0, 2 * (size_t)DEVFUZZ_REQUEST);
	}
	REQUIRE(vmm_mem_get_mapping(fakedrv_mem(f->drv), 0, &map) == 0);
	judge_window(map.host, (size_t)(f->arena + ARENA_SIZE - (uint8_t *)map.host), false);
}

static void run(struct devfuzz *f, struct fuzz_input *in)
{
	f->in = in;
	judge_reset();
	judge_on_flush(refill, f);
	judge_flip(true);
	clear(f);
	forget(f);
	f->refill = false;
	f->refills = 5u * f->device.dev->queue_sizes[0];
	(void)fakedrv_start(f->drv, NULL);
	for (unsigned i = 0; i < STEPS_MAX && in->size > 0; i++) {
		step(f, fuzz_u8(in));
	}
	settle(f);
	serve(f);
	judge_on_flush(NULL, NULL);
}

void devfuzz_run(struct devfuzz *f, const struct fuzz_input *in)
{
	struct fuzz_input copy;

	do {
		copy = *in;
		run(f, &copy);
	} while (judge_again());
}
