/* SPDX-License-Identifier: MIT */
/*
 * Which chains are in flight, kept in memory that outlives this process, so that another one can go
 * on where this one was killed: at any instruction. The steps and their order are those of the
 * vhost-user specification.
 *
 *	pop      counter, then inflight = 1
 *	push     next = the head pushed before
 *	flush    last_batch_head, then the used index in the ring, then inflight = 0 for the batch,
 *	         then used_idx
 *
 * So a record whose used_idx differs from the ring's was left between the last three steps: its
 * last batch has been given to the driver and only looks as if it were in flight.
 */
#include "ring.h"

#include <errno.h>
#include <string.h>

#define ALIGN ((size_t)64)

size_t vmm_inflight_size(uint16_t size)
{
	size_t len = sizeof(struct vmm_inflight) + size * sizeof(struct inflight_desc);

	return (len + ALIGN - 1) / ALIGN * ALIGN;
}

/* Release: whoever finds this store made finds those before it made as well. */
static void store8(uint8_t *p, uint8_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static void store16(uint16_t *p, uint16_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static uint16_t load16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void start_record(struct vmm_virtq *q)
{
	struct vmm_inflight *r = q->record;

	for (uint16_t i = 0; i < q->size; i++) {
		store8(&r->desc[i].inflight, 0);
	}
	store16(&r->desc_num, q->size);
	store16(&r->used_idx, q->next_used);
	store16(&r->version, INFLIGHT_VERSION);
}

/* Carries out what was left of the flush that was interrupted. */
static int finish_batch(struct vmm_virtq *q)
{
	struct vmm_inflight *r = q->record;
	uint16_t count = (uint16_t)(q->next_used - load16(&r->used_idx));
	uint16_t head = load16(&r->last_batch_head);

	if (count > q->size) {
		return -EPROTO;
	}
	for (; count > 0; count--) {
		if (head >= q->size) {
			return -EPROTO;
		}
		store8(&r->desc[head].inflight, 0);
		head = load16(&r->desc[head].next);
	}
	store16(&r->used_idx, q->next_used);
	return 0;
}

/* Sorts head into the count heads that are in order already, by their counters. */
static void insert(struct vmm_virtq *q, uint16_t count, uint16_t head)
{
	uint16_t mask = (uint16_t)(q->size - 1u);
	uint16_t at = count;

	for (; at > 0; at--) {
		uint16_t *before = &q->order[(q->next_avail + at - 1u) & mask];

		if (q->counters[*before] <= q->counters[head]) {
			break;
		}
		q->order[(q->next_avail + at) & mask] = *before;
	}
	q->order[(q->next_avail + at) & mask] = head;
}

int vmm_inflight_open(struct vmm_virtq *q)
{
	struct vmm_inflight *r = q->record;
	uint16_t count = 0;
	int ret;

	q->counter = 0;
	if (load16(&r->version) == 0) {
		start_record(q);
		return 0;
	}
	if (load16(&r->version) != INFLIGHT_VERSION || load16(&r->desc_num) != q->size) {
		return -EPROTO;
	}
	ret = finish_batch(q);
	if (ret < 0) {
		return ret;
	}
	/* What was popped and not used yet follows the used index. */
	q->next_avail = q->next_used;
	for (uint16_t head = 0; head < q->size; head++) {
		if (__atomic_load_n(&r->desc[head].inflight, __ATOMIC_ACQUIRE) == 0) {
			continue;
		}
		q->counters[head] = __atomic_load_n(&r->desc[head].counter, __ATOMIC_RELAXED);
		if (q->counters[head] >= q->counter) {
			q->counter = q->counters[head] + 1;
		}
		insert(q, count, head);
		count++;
	}
	q->seen_avail = q->next_avail;
	q->replay = count;
	return 0;
}

void vmm_inflight_set(struct vmm_virtq *q, uint16_t head, bool in_flight)
{
	if (!q->record) {
		return;
	}
	if (in_flight) {
		__atomic_store_n(&q->record->desc[head].counter, q->counter++, __ATOMIC_RELAXED);
	}
	store8(&q->record->desc[head].inflight, in_flight);
}

void vmm_inflight_publish(struct vmm_virtq *q)
{
	uint16_t before = 0;

	for (unsigned i = 0; q->record && i < q->batch_count; i++) {
		store16(&q->record->desc[q->batch[i]].next, before);
		before = q->batch[i];
	}
	if (q->record) {
		store16(&q->record->last_batch_head, before);
	}
}

void vmm_inflight_published(struct vmm_virtq *q)
{
	for (unsigned i = 0; q->record && i < q->batch_count; i++) {
		store8(&q->record->desc[q->batch[i]].inflight, 0);
	}
	if (q->record) {
		store16(&q->record->used_idx, q->published);
	}
	q->batch_count = 0;
}
