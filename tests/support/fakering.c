/* SPDX-License-Identifier: MIT */
#include "fakedrv_priv.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

/* ---- chains ---- */

static struct queue *get_queue(struct fakedrv *drv, unsigned queue)
{
	if (queue >= VMM_VIRTIO_QUEUES_MAX || !drv->queues[queue].ring.desc) {
		fakedrv_die("a queue that is not set up");
	}
	return &drv->queues[queue];
}

const struct fakedrv_ring *fakedrv_ring(struct fakedrv *drv, unsigned queue)
{
	return &get_queue(drv, queue)->ring;
}

static void publish(struct queue *q, uint16_t head)
{
	q->ring.avail[q->avail_idx & (q->ring.size - 1u)] = head;
	q->avail_idx++;
	/* Pairs with the acquire load in the device's queue. */
	__atomic_store_n(q->ring.avail_idx, q->avail_idx, __ATOMIC_RELEASE);
}

static struct fakedrv_desc from_buf(struct fakedrv *drv, const struct fakedrv_buf *buf)
{
	return (struct fakedrv_desc){
		.addr = fakedrv_gpa(drv, buf->ptr),
		.len = buf->len,
		.flags = buf->write ? FAKEDRV_DESC_WRITE : 0,
	};
}

/* Takes count descriptors off the free list and links them. Returns the first. */
static uint16_t take_descs(struct queue *q, unsigned count)
{
	uint16_t head = (uint16_t)q->free_head;
	uint32_t at = head;

	for (unsigned i = 0; i < count; i++) {
		uint32_t next = q->next_free[at];

		q->ring.desc[at].next = (uint16_t)(i + 1 < count ? next : 0);
		at = next;
	}
	q->free_head = at;
	q->free_count -= count;
	q->descs[head] = count;
	q->outstanding++;
	return head;
}

static uint16_t fill_direct(struct fakedrv *drv, struct queue *q, uint16_t at,
			    const struct fakedrv_buf *bufs, unsigned count, bool more)
{
	for (unsigned i = 0; i < count; i++) {
		uint16_t next = q->ring.desc[at].next;

		q->ring.desc[at] = from_buf(drv, &bufs[i]);
		q->ring.desc[at].next = next;
		if (more || i + 1 < count) {
			q->ring.desc[at].flags |= FAKEDRV_DESC_NEXT;
		}
		at = next;
	}
	return at;
}

int fakedrv_add(struct fakedrv *drv, unsigned queue, const struct fakedrv_buf *bufs, unsigned count)
{
	struct queue *q = get_queue(drv, queue);
	uint16_t head;

	if (count == 0) {
		fakedrv_die("an empty chain");
	}
	if (count > q->free_count) {
		return -ENOSPC;
	}
	head = take_descs(q, count);
	(void)fill_direct(drv, q, head, bufs, count, false);
	publish(q, head);
	return head;
}

int fakedrv_add_indirect(struct fakedrv *drv, unsigned queue, const struct fakedrv_buf *bufs,
			 unsigned count, unsigned direct)
{
	struct queue *q = get_queue(drv, queue);
	struct fakedrv_desc **tables = drv->storage[queue].tables;
	struct fakedrv_desc *table;
	uint16_t head;
	uint16_t at;

	if (direct >= count || count - direct > q->ring.size) {
		fakedrv_die("a bad indirect chain");
	}
	if (direct + 1 > q->free_count) {
		return -ENOSPC;
	}
	head = take_descs(q, direct + 1);
	if (!tables[head]) {
		tables[head] = fakedrv_alloc(
			drv, sizeof(*table) * vmm_carrier_queue_size_max(drv->carrier, queue));
	}
	table = tables[head];
	for (unsigned i = 0; i < count - direct; i++) {
		table[i] = from_buf(drv, &bufs[direct + i]);
		if (i + 1 < count - direct) {
			table[i].flags |= FAKEDRV_DESC_NEXT;
			table[i].next = (uint16_t)(i + 1);
		}
	}
	at = fill_direct(drv, q, head, bufs, direct, true);
	q->ring.desc[at].addr = fakedrv_gpa(drv, table);
	q->ring.desc[at].len = 16u * (count - direct);
	q->ring.desc[at].flags = FAKEDRV_DESC_INDIRECT;
	publish(q, head);
	return head;
}

unsigned fakedrv_chop(const struct fakedrv_buf *bufs, unsigned count, uint32_t piece,
		      struct fakedrv_buf *out, unsigned cap)
{
	unsigned pieces = 0;

	if (piece == 0) {
		fakedrv_die("pieces of no bytes");
	}
	for (unsigned i = 0; i < count; i++) {
		uint32_t done = 0;

		while (done < bufs[i].len) {
			uint32_t left = bufs[i].len - done;

			if (pieces == cap) {
				fakedrv_die("too many pieces");
			}
			out[pieces].ptr = (uint8_t *)bufs[i].ptr + done;
			out[pieces].len = left < piece ? left : piece;
			out[pieces].write = bufs[i].write;
			done += out[pieces].len;
			pieces++;
		}
	}
	return pieces;
}

void fakedrv_offer(struct fakedrv *drv, unsigned queue, uint16_t head)
{
	publish(get_queue(drv, queue), head);
}

/* ---- running the device ---- */

void fakedrv_run(struct fakedrv *drv)
{
	for (unsigned i = 0; i < FAKEDRV_BATCHES; i++) {
		if (vmm_loop_dispatch(drv->loop, 0) <= 0) {
			return;
		}
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool fakedrv_run_for(struct fakedrv *drv, int ms, const bool *flag)
{
	int64_t end = now_ms() + ms;

	for (;;) {
		int64_t left = end - now_ms();

		if (flag && __atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
			return true;
		}
		if (left <= 0) {
			return false;
		}
		/* Short waits: the flag may be set by another thread. */
		(void)vmm_loop_dispatch(drv->loop, left > 10 ? 10 : (int)left);
	}
}

void fakedrv_kick(struct fakedrv *drv, unsigned queue)
{
	if (queue < VMM_VIRTIO_QUEUES_MAX) {
		drv->queues[queue].kicked_idx = drv->queues[queue].avail_idx;
	}
	if (queue < VMM_VIRTIO_QUEUES_MAX && drv->kick_fds[queue] >= 0) {
		uint64_t one = 1;

		(void)!write(drv->kick_fds[queue], &one, sizeof(one));
	} else {
		vmm_carrier_kick(drv->carrier, queue);
	}
	fakedrv_run(drv);
}

static bool wants_kick(struct fakedrv *drv, const struct queue *q)
{
	uint16_t event;

	/* Pairs with the fence in vmm_virtq_kick_enable. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(drv->features & VMM_VIRTIO_F_EVENT_IDX)) {
		return (__atomic_load_n(q->ring.used_flags, __ATOMIC_RELAXED) & 1) == 0;
	}
	/* VIRTIO 1.2 section 2.7.10: the device asked to hear of the entry `event`. */
	event = __atomic_load_n(q->ring.avail_event, __ATOMIC_RELAXED);
	return (uint16_t)(q->avail_idx - event - 1) < (uint16_t)(q->avail_idx - q->kicked_idx);
}

bool fakedrv_kick_if_needed(struct fakedrv *drv, unsigned queue)
{
	struct queue *q = get_queue(drv, queue);
	bool wanted = wants_kick(drv, q);

	q->kicked_idx = q->avail_idx;
	if (wanted) {
		fakedrv_kick(drv, queue);
	}
	return wanted;
}

/* ---- what comes back ---- */

static void ask_for_irq(struct fakedrv *drv, struct queue *q)
{
	bool event_idx = drv->features & VMM_VIRTIO_F_EVENT_IDX;
	uint16_t event = q->no_irq ? (uint16_t)(q->used_idx - 1) : q->used_idx;

	if (event_idx) {
		__atomic_store_n(q->ring.used_event, event, __ATOMIC_RELAXED);
	} else {
		__atomic_store_n(q->ring.avail_flags, q->no_irq ? 1 : 0, __ATOMIC_RELAXED);
	}
	/* Pairs with the fence in vmm_virtq_flush. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void fakedrv_irq_disable(struct fakedrv *drv, unsigned queue)
{
	struct queue *q = get_queue(drv, queue);

	q->no_irq = true;
	ask_for_irq(drv, q);
}

void fakedrv_irq_enable(struct fakedrv *drv, unsigned queue)
{
	struct queue *q = get_queue(drv, queue);

	q->no_irq = false;
	ask_for_irq(drv, q);
}

bool fakedrv_used_raw(struct fakedrv *drv, unsigned queue, struct fakedrv_used *used)
{
	struct queue *q = get_queue(drv, queue);

	if (__atomic_load_n(q->ring.used_idx, __ATOMIC_ACQUIRE) == q->used_idx) {
		return false;
	}
	*used = q->ring.used[q->used_idx & (q->ring.size - 1u)];
	q->used_idx++;
	ask_for_irq(drv, q);
	return true;
}

static void give_back_descs(struct queue *q, uint32_t head)
{
	uint32_t last = head;

	for (unsigned i = 1; i < q->descs[head]; i++) {
		last = q->next_free[last];
	}
	q->next_free[last] = q->free_head;
	q->free_head = head;
	q->free_count += q->descs[head];
	q->descs[head] = 0;
	q->outstanding--;
}

bool fakedrv_used(struct fakedrv *drv, unsigned queue, struct fakedrv_used *used)
{
	struct queue *q = get_queue(drv, queue);

	if (!fakedrv_used_raw(drv, queue, used)) {
		return false;
	}
	if (used->head >= q->ring.size || q->descs[used->head] == 0) {
		fakedrv_die("a used element for a chain that is not out");
	}
	give_back_descs(q, used->head);
	return true;
}

bool fakedrv_wait_used(struct fakedrv *drv, unsigned queue, struct fakedrv_used *used,
		       int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	while (!fakedrv_used(drv, queue, used)) {
		int64_t left = end - now_ms();

		if (left <= 0) {
			return false;
		}
		(void)vmm_loop_dispatch(drv->loop, left > 10 ? 10 : (int)left);
	}
	return true;
}

uint32_t fakedrv_request(struct fakedrv *drv, unsigned queue, const struct fakedrv_buf *bufs,
			 unsigned count)
{
	struct fakedrv_used used;
	int head = fakedrv_add(drv, queue, bufs, count);

	if (head < 0) {
		fakedrv_die("no room for a request");
	}
	fakedrv_kick(drv, queue);
	if (!fakedrv_wait_used(drv, queue, &used, FAKEDRV_PATIENCE_MS)) {
		fakedrv_die("the device did not answer a request");
	}
	if (used.head != (uint32_t)head) {
		fakedrv_die("the device answered something else first");
	}
	return used.len;
}

unsigned fakedrv_outstanding(struct fakedrv *drv, unsigned queue)
{
	return get_queue(drv, queue)->outstanding;
}
