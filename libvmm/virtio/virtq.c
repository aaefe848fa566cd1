/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a split virtqueue (VIRTIO 1.2 section 2.7).
 *
 * Lost wake-ups: each side publishes its progress, then looks at what the other asked for, while
 * the other asks, then looks at the progress. Without a full fence between the two steps on both
 * sides, both may look too early and wait for ever. The two fences here are in vmm_virtq_flush and
 * vmm_virtq_kick_enable.
 */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/virtio.h>

#define BITS 64u

static bool is_taken(const struct vmm_virtq *q, uint16_t head)
{
	return q->is_taken[head / BITS] >> (head % BITS) & 1;
}

static void take(struct vmm_virtq *q, uint16_t head)
{
	q->is_taken[head / BITS] |= UINT64_C(1) << (head % BITS);
	q->in_flight++;
}

static void release(struct vmm_virtq *q, uint16_t head)
{
	q->is_taken[head / BITS] &= ~(UINT64_C(1) << (head % BITS));
	q->in_flight--;
}

static uint16_t slot(const struct vmm_virtq *q, uint16_t index)
{
	return (uint16_t)(index & (q->size - 1u));
}

void vmm_virtq_break(struct vmm_virtq *q, const char *why)
{
	if (q->broken) {
		return;
	}
	q->broken = true;
	if (q->broken_fn) {
		q->broken_fn(q->ctx, why);
	}
}

/* ---- create ---- */

static size_t avail_len(size_t size)
{
	return (3 + size) * sizeof(uint16_t);
}

static size_t used_len(size_t size)
{
	return 3 * sizeof(uint16_t) + size * sizeof(struct used_elem);
}

static int check_area(const struct vmm_mem *mem, vmm_gpa gpa, size_t len, size_t align)
{
	return gpa % align != 0 ? -EPROTO : vmm_mem_check(mem, gpa, len);
}

int vmm_virtq_check(const struct vmm_mem *mem, const struct vmm_virtq_config *config)
{
	uint16_t size = config->size;
	int ret;

	if (size == 0 || (size & (size - 1u)) != 0 || size > config->size_max ||
	    size > RING_SIZE_LIMIT) {
		return -EPROTO;
	}
	ret = check_area(mem, config->desc, DESC_SIZE * (size_t)size, DESC_SIZE);
	if (ret == 0) {
		ret = check_area(mem, config->driver, avail_len(size), 2);
	}
	return ret < 0 ? ret : check_area(mem, config->device, used_len(size), 4);
}

/* Translates the three areas. vmm_mem_ptr cannot fail after the checks, as memory never moves. */
static void map_areas(struct vmm_virtq *q, const struct vmm_virtq_config *config)
{
	size_t size = config->size;
	const uint16_t *avail;
	uint8_t *used;

	q->desc = vmm_mem_ptr(q->mem, config->desc, DESC_SIZE * size, DESC_SIZE);
	avail = vmm_mem_ptr(q->mem, config->driver, avail_len(size), 2);
	used = vmm_mem_ptr(q->mem, config->device, used_len(size), 4);
	q->avail_flags = avail;
	q->avail_idx = avail + 1;
	q->avail_ring = avail + 2;
	q->used_event = avail + 2 + size;
	q->used_flags = (uint16_t *)(void *)used;
	q->used_idx = q->used_flags + 1;
	q->used_ring = (struct used_elem *)(void *)(used + 4);
	q->avail_event = (uint16_t *)(void *)(used + 4 + size * sizeof(struct used_elem));
}

int vmm_virtq_alloc(struct vmm_virtq **out, uint16_t size_max)
{
	struct vmm_virtq *q = calloc(1, sizeof(*q));

	*out = NULL;
	if (!q) {
		return -ENOMEM;
	}
	q->size_max = size_max;
	q->order = calloc(size_max, sizeof(*q->order));
	q->room = calloc(size_max, sizeof(*q->room));
	q->is_taken = calloc((size_max + BITS - 1) / BITS, sizeof(*q->is_taken));
	q->batch = calloc(size_max, sizeof(*q->batch));
	q->counters = calloc(size_max, sizeof(*q->counters));
	if (!q->order || !q->room || !q->is_taken || !q->batch || !q->counters) {
		vmm_virtq_destroy(q);
		return -ENOMEM;
	}
	*out = q;
	return 0;
}

int vmm_virtq_start(struct vmm_virtq *q, struct vmm_mem *mem, const struct vmm_virtq_config *config,
		    struct vmm_irq *irq, vmm_virtq_broken_fn broken, void *ctx)
{
	uint16_t size = config->size;
	int ret = vmm_virtq_check(mem, config);

	if (ret == 0 && size > q->size_max) {
		ret = -EPROTO;
	}
	if (ret < 0) {
		return ret;
	}
	q->mem = mem;
	q->irq = irq;
	q->broken_fn = broken;
	q->ctx = ctx;
	q->size = size;
	q->event_idx = config->features & VMM_VIRTIO_F_EVENT_IDX;
	q->indirect = config->features & VMM_VIRTIO_F_INDIRECT_DESC;
	q->broken = false;
	q->wants_kicks = false;
	q->polled = false;
	q->has_news = false;
	map_areas(q, config);
	memset(q->is_taken, 0, (size + BITS - 1) / BITS * sizeof(*q->is_taken));
	q->in_flight = 0;
	q->batch_count = 0;
	q->next_used = ring_load16(q->used_idx);
	q->published = q->next_used;
	q->next_avail = config->next_avail;
	q->seen_avail = config->next_avail;
	q->replay = 0;
	q->fresh = 0;
	q->record = config->inflight;
	return q->record ? vmm_inflight_open(q) : 0;
}

/*
 * Chains that are in flight will be popped again by whoever goes on: by the record, if there is
 * one, else because the index steps back over them. That works if they are the last ones popped.
 */
static bool in_flight_are_last(const struct vmm_virtq *q)
{
	for (unsigned i = 1; i <= q->in_flight; i++) {
		if (!is_taken(q, q->order[slot(q, (uint16_t)(q->next_avail - i))])) {
			return false;
		}
	}
	return true;
}

int vmm_virtq_stop(struct vmm_virtq *q, uint16_t *next_avail)
{
	vmm_virtq_flush(q);
	if (next_avail) {
		*next_avail = (uint16_t)(q->next_avail - q->in_flight);
	}
	return q->record || in_flight_are_last(q) ? 0 : -EBUSY;
}

void vmm_virtq_set_irq(struct vmm_virtq *q, struct vmm_irq *irq)
{
	q->irq = irq;
}

int vmm_virtq_create(struct vmm_virtq **out, struct vmm_mem *mem,
		     const struct vmm_virtq_config *config, struct vmm_irq *irq,
		     vmm_virtq_broken_fn broken, void *ctx)
{
	int ret;

	*out = NULL;
	/* Before memory is taken for a size that makes no sense. */
	ret = vmm_virtq_check(mem, config);
	if (ret == 0) {
		ret = vmm_virtq_alloc(out, config->size);
	}
	if (ret == 0) {
		ret = vmm_virtq_start(*out, mem, config, irq, broken, ctx);
	}
	if (ret < 0) {
		vmm_virtq_destroy(*out);
		*out = NULL;
	}
	return ret;
}

void vmm_virtq_destroy(struct vmm_virtq *q)
{
	if (!q) {
		return;
	}
	free(q->counters);
	free(q->batch);
	free(q->is_taken);
	free(q->room);
	free(q->order);
	free(q);
}

/* ---- the available ring ---- */

/*
 * Reads the driver's index. A driver has at most as many chains outstanding as the ring has
 * entries, so an index further ahead, or behind, makes no sense.
 */
static int look(struct vmm_virtq *q)
{
	uint16_t idx = ring_load16_acquire(q->avail_idx);

	if ((uint16_t)(idx - q->next_avail) > q->size) {
		vmm_virtq_break(q, "the available index jumped");
		return -EPROTO;
	}
	q->has_news = q->has_news || idx != q->seen_avail;
	q->seen_avail = idx;
	return 0;
}

static void make_empty(struct vmm_chain *chain)
{
	chain->readable = 0;
	chain->writable = 0;
	chain->readable_len = 0;
	chain->writable_len = 0;
}

/* The head that is due: one that a process that is gone had in flight, or the driver's next. */
static uint16_t next_head(const struct vmm_virtq *q)
{
	uint16_t at = slot(q, q->next_avail);

	return q->replay > 0 ? q->order[at] : ring_load16(&q->avail_ring[at]);
}

int vmm_virtq_pop(struct vmm_virtq *q, struct vmm_chain *chain)
{
	const char *why = NULL;
	uint16_t head;
	int ret;

	/* A caller that does not look at the result must not find the buffers of another chain. */
	make_empty(chain);
	if (q->broken) {
		return -EPROTO;
	}
	if (q->seen_avail == q->next_avail) {
		ret = look(q);
		if (ret < 0) {
			return ret;
		}
		if (q->seen_avail == q->next_avail) {
			return 0;
		}
	}
	head = next_head(q);
	if (head >= q->size) {
		vmm_virtq_break(q, "a head outside the ring");
		return -EPROTO;
	}
	/* Two requests sharing their buffers could end in a use after completion. */
	if (is_taken(q, head)) {
		vmm_virtq_break(q, "a head that is in flight already");
		return -EPROTO;
	}
	ret = vmm_chain_walk(q, head, chain, &why);
	if (ret < 0) {
		make_empty(chain);
		vmm_virtq_break(q, why);
		return ret;
	}
	take(q, head);
	q->room[head] = chain->writable_len;
	q->order[slot(q, q->next_avail)] = head;
	q->next_avail++;
	if (q->replay > 0) {
		q->replay--; /* in the record already */
	} else {
		q->fresh++;
		vmm_inflight_set(q, head, true);
	}
	return 1;
}

void vmm_virtq_unpop(struct vmm_virtq *q, uint16_t n)
{
	while (n > 0 && q->in_flight > 0) {
		uint16_t at = slot(q, (uint16_t)(q->next_avail - 1u));

		/* From our own memory: the guest may have overwritten its ring. */
		if (!is_taken(q, q->order[at])) {
			return;
		}
		release(q, q->order[at]);
		q->next_avail--;
		if (q->fresh > 0) {
			q->fresh--;
			vmm_inflight_set(q, q->order[at], false);
		} else {
			/* The available ring has no place for it any more: the record keeps it. */
			q->replay++;
		}
		n--;
	}
}

unsigned vmm_virtq_avail_count(struct vmm_virtq *q)
{
	if (q->broken || look(q) < 0) {
		return 0;
	}
	return (uint16_t)(q->seen_avail - q->next_avail);
}

bool vmm_virtq_has_avail(struct vmm_virtq *q)
{
	return vmm_virtq_avail_count(q) > 0;
}

/* ---- the used ring ---- */

int vmm_virtq_push(struct vmm_virtq *q, uint16_t head, uint32_t written)
{
	struct used_elem *elem;

	/* Claiming more than there was room for would show the driver stale memory as data. */
	if (head >= q->size || !is_taken(q, head) || written > q->room[head]) {
		return -EINVAL;
	}
	release(q, head);
	if (q->broken) {
		return 0;
	}
	if (q->batch_count == q->size) {
		/* The driver offered heads again that it had not been given back. */
		vmm_virtq_break(q, "more chains than the ring has entries");
		return 0;
	}
	elem = &q->used_ring[slot(q, q->next_used)];
	ring_store32(&elem->id, head);
	ring_store32(&elem->len, written);
	q->next_used++;
	q->batch[q->batch_count++] = head;
	return 0;
}

/* True when `event` lies in [from, to): the driver asked to hear when that entry is used. */
static bool passed(uint16_t event, uint16_t from, uint16_t to)
{
	return (uint16_t)(event - from) < (uint16_t)(to - from);
}

void vmm_virtq_flush(struct vmm_virtq *q)
{
	uint16_t from = q->published;
	bool wanted;

	if (q->broken || q->next_used == from) {
		return;
	}
	vmm_inflight_publish(q);
	ring_store16_release(q->used_idx, q->next_used);
	q->published = q->next_used;
	vmm_inflight_published(q);
	/*
	 * Pairs with the driver's fence between asking for an interrupt (used_event, or clearing
	 * NO_INTERRUPT) and looking at the used index once more.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->event_idx) {
		wanted = passed(ring_load16(q->used_event), from, q->published);
	} else {
		wanted = !(ring_load16(q->avail_flags) & AVAIL_F_NO_INTERRUPT);
	}
	if (wanted) {
		vmm_irq_raise(q->irq);
	}
}

/* ---- notifications ---- */

/* With EVENT_IDX the flags stay 0 (section 2.7.10.1); an avail_event left behind does it. */
static void ask_for_none(struct vmm_virtq *q)
{
	if (!q->broken && !q->event_idx) {
		ring_store16(q->used_flags, USED_F_NO_NOTIFY);
	}
}

void vmm_virtq_kick_disable(struct vmm_virtq *q)
{
	q->wants_kicks = false;
	if (!q->polled) {
		ask_for_none(q);
	}
}

bool vmm_virtq_kick_enable(struct vmm_virtq *q)
{
	q->wants_kicks = true;
	if (q->broken || look(q) < 0) {
		return false;
	}
	if (q->polled) {
		return vmm_virtq_has_avail(q);
	}
	if (q->event_idx) {
		ring_store16(q->avail_event, q->seen_avail);
	} else {
		ring_store16(q->used_flags, 0);
	}
	/*
	 * Pairs with the driver's fence between publishing the available index and looking at
	 * avail_event or flags.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vmm_virtq_has_avail(q);
}

void vmm_virtq_poll_begin(struct vmm_virtq *q)
{
	q->polled = true;
	ask_for_none(q);
	if (!q->broken && q->event_idx) {
		/* As far away as it can be: once in 65535 chains. */
		ring_store16(q->avail_event, (uint16_t)(q->seen_avail - 1));
	}
}

static bool take_news(struct vmm_virtq *q)
{
	bool had = q->has_news;

	q->has_news = false;
	return had;
}

bool vmm_virtq_poll_look(struct vmm_virtq *q)
{
	return q->wants_kicks && vmm_virtq_has_avail(q) && take_news(q);
}

bool vmm_virtq_poll_end(struct vmm_virtq *q)
{
	q->polled = false;
	return q->wants_kicks && vmm_virtq_kick_enable(q) && take_news(q);
}

/* ---- what it says about itself ---- */

uint16_t vmm_virtq_size(const struct vmm_virtq *q)
{
	return q->size;
}

unsigned vmm_virtq_in_flight(const struct vmm_virtq *q)
{
	return q->in_flight;
}

bool vmm_virtq_is_broken(const struct vmm_virtq *q)
{
	return q->broken;
}
