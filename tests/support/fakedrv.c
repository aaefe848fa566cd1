/* SPDX-License-Identifier: MIT */
#include "fakedrv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <errno.h>

#define NO_DESC UINT32_MAX

/* First member, so that vmm_irq_raise's argument is this. */
struct counter {
	struct vmm_irq irq;
	unsigned count; /* atomic */
};

/* What the driver remembers of one queue; nothing of it is in guest memory. */
struct queue {
	struct fakedrv_ring ring; /* ring.desc is NULL while the queue is not set up */
	uint32_t *next_free;      /* [desc]: the next free one or NO_DESC */
	uint32_t free_head;
	unsigned free_count;
	unsigned *descs; /* [head]: descriptors of a chain that is out, 0 when it is not */
	unsigned outstanding;
	uint16_t avail_idx;
	uint16_t kicked_idx; /* avail_idx at the last decision whether to kick */
	uint16_t used_idx;
	bool no_irq;
};

/* Guest memory of one queue, kept over resets: there is no way to free any. */
struct storage {
	struct fakedrv_desc *desc;
	uint16_t *avail;
	uint16_t *used;
	struct fakedrv_desc **tables; /* [head]: an indirect table, or NULL */
};

struct fakedrv {
	struct memfix fix;
	struct vmm_loop *loop;
	struct vmm_carrier *carrier;
	struct vmm_virtio_device *dev;
	uint64_t features;
	struct counter config_irq;
	struct counter queue_irqs[VMM_VIRTIO_QUEUES_MAX];
	struct queue queues[VMM_VIRTIO_QUEUES_MAX];
	struct storage storage[VMM_VIRTIO_QUEUES_MAX];
};

static void die(const char *what)
{
	(void)fprintf(stderr, "fakedrv: %s\n", what);
	abort();
}

static void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p) {
		die("out of memory");
	}
	return p;
}

/* ---- lifecycle ---- */

static void count_irq(struct vmm_irq *irq)
{
	struct counter *counter = (struct counter *)irq;

	(void)__atomic_fetch_add(&counter->count, 1, __ATOMIC_SEQ_CST);
}

struct fakedrv *fakedrv_create_logged(struct vmm_virtio_device *dev, const struct vmm_log *log)
{
	struct fakedrv *drv = xcalloc(1, sizeof(*drv));
	struct vmm_irq *irqs[VMM_VIRTIO_QUEUES_MAX];
	struct vmm_error err = {0};
	struct vmm_carrier_config config;

	memfix_init(&drv->fix);
	if (vmm_loop_create(&drv->loop) < 0) {
		die("no event loop");
	}
	drv->dev = dev;
	drv->config_irq.irq.raise = count_irq;
	for (unsigned i = 0; i < VMM_VIRTIO_QUEUES_MAX; i++) {
		drv->queue_irqs[i].irq.raise = count_irq;
		irqs[i] = &drv->queue_irqs[i].irq;
	}
	config = (struct vmm_carrier_config){
		.mem = drv->fix.mem,
		.loop = drv->loop,
		.log = log,
		.config_irq = &drv->config_irq.irq,
		.queue_irqs = irqs,
	};
	if (vmm_carrier_create(&drv->carrier, dev, &config, &err) < 0) {
		die(err.message);
	}
	return drv;
}

struct fakedrv *fakedrv_create(struct vmm_virtio_device *dev)
{
	return fakedrv_create_logged(dev, NULL);
}

static void forget_queue(struct queue *q)
{
	free(q->next_free);
	free(q->descs);
	memset(q, 0, sizeof(*q));
}

static void forget_queues(struct fakedrv *drv)
{
	for (unsigned i = 0; i < VMM_VIRTIO_QUEUES_MAX; i++) {
		forget_queue(&drv->queues[i]);
	}
	drv->features = 0;
}

void fakedrv_destroy(struct fakedrv *drv)
{
	if (!drv) {
		return;
	}
	vmm_carrier_destroy(drv->carrier);
	vmm_loop_destroy(drv->loop);
	memfix_finish(&drv->fix);
	forget_queues(drv);
	for (unsigned i = 0; i < VMM_VIRTIO_QUEUES_MAX; i++) {
		free(drv->storage[i].tables);
	}
	free(drv);
}

void fakedrv_reset(struct fakedrv *drv)
{
	vmm_carrier_set_status(drv->carrier, 0);
	forget_queues(drv);
}

/* ---- initialisation ---- */

static const struct storage *get_storage(struct fakedrv *drv, unsigned index)
{
	struct storage *s = &drv->storage[index];
	size_t max = vmm_carrier_queue_size_max(drv->carrier, index);

	if (!s->desc) {
		s->desc = memfix_alloc(&drv->fix, 16 * max, 16);
		s->avail = memfix_alloc(&drv->fix, 6 + 2 * max, 2);
		s->used = memfix_alloc(&drv->fix, 6 + 8 * max, 4);
		s->tables = xcalloc(max, sizeof(struct fakedrv_desc *));
	}
	memset(s->desc, 0, 16 * max);
	memset(s->avail, 0, 6 + 2 * max);
	memset(s->used, 0, 6 + 8 * max);
	return s;
}

static void place_ring(struct queue *q, const struct storage *storage, uint16_t size)
{
	struct fakedrv_ring *r = &q->ring;
	uint16_t *avail = storage->avail;
	uint16_t *used = storage->used;

	r->size = size;
	r->desc = storage->desc;
	r->avail_flags = avail;
	r->avail_idx = avail + 1;
	r->avail = avail + 2;
	r->used_event = avail + 2 + size;
	r->used_flags = used;
	r->used_idx = used + 1;
	r->used = (struct fakedrv_used *)(void *)(used + 2);
	r->avail_event = used + 2 + 4u * size;
	q->next_free = xcalloc(size, sizeof(*q->next_free));
	q->descs = xcalloc(size, sizeof(*q->descs));
	for (uint32_t i = 0; i < size; i++) {
		q->next_free[i] = i + 1u < size ? i + 1u : NO_DESC;
	}
	q->free_head = 0;
	q->free_count = size;
}

static void set_up_queue(struct fakedrv *drv, unsigned index, uint16_t wish)
{
	uint16_t size = vmm_carrier_queue_size_max(drv->carrier, index);
	struct queue *q = &drv->queues[index];
	struct vmm_carrier_queue regs = {.enabled = true};

	if (wish > 0 && wish < size) {
		size = wish;
	}
	place_ring(q, get_storage(drv, index), size);
	regs.size = size;
	regs.desc = fakedrv_gpa(drv, q->ring.desc);
	regs.driver = fakedrv_gpa(drv, q->ring.avail_flags);
	regs.device = fakedrv_gpa(drv, q->ring.used_flags);
	if (vmm_carrier_set_queue(drv->carrier, index, &regs) < 0) {
		die("the carrier refused a queue");
	}
}

int fakedrv_prepare(struct fakedrv *drv, const struct fakedrv_options *options)
{
	static const struct fakedrv_options defaults;
	struct vmm_carrier *c = drv->carrier;
	uint64_t refuse;

	options = options ? options : &defaults;
	refuse = options->refuse | (options->no_event_idx ? VMM_VIRTIO_F_EVENT_IDX : 0) |
		 (options->no_indirect ? VMM_VIRTIO_F_INDIRECT_DESC : 0);
	fakedrv_reset(drv);
	vmm_carrier_set_status(c, VMM_VIRTIO_S_ACKNOWLEDGE);
	vmm_carrier_set_status(c, fakedrv_status(drv) | VMM_VIRTIO_S_DRIVER);
	vmm_carrier_set_driver_features(c, vmm_carrier_features(c) & ~refuse);
	vmm_carrier_set_status(c, fakedrv_status(drv) | VMM_VIRTIO_S_FEATURES_OK);
	if (!(fakedrv_status(drv) & VMM_VIRTIO_S_FEATURES_OK)) {
		return -EPROTO;
	}
	drv->features = vmm_carrier_driver_features(c);
	for (unsigned i = 0; i < vmm_carrier_queue_count(c); i++) {
		if (i < 64 && (options->skip_queues >> i & 1)) {
			continue;
		}
		set_up_queue(drv, i, options->queue_size);
	}
	return 0;
}

int fakedrv_driver_ok(struct fakedrv *drv)
{
	vmm_carrier_set_status(drv->carrier, fakedrv_status(drv) | VMM_VIRTIO_S_DRIVER_OK);
	return fakedrv_needs_reset(drv) ? -EIO : 0;
}

int fakedrv_start(struct fakedrv *drv, const struct fakedrv_options *options)
{
	int ret = fakedrv_prepare(drv, options);

	return ret < 0 ? ret : fakedrv_driver_ok(drv);
}

/* ---- parts and registers ---- */

struct vmm_carrier *fakedrv_carrier(struct fakedrv *drv)
{
	return drv->carrier;
}

struct vmm_virtio_device *fakedrv_device(struct fakedrv *drv)
{
	return drv->dev;
}

struct vmm_loop *fakedrv_loop(struct fakedrv *drv)
{
	return drv->loop;
}

struct vmm_mem *fakedrv_mem(struct fakedrv *drv)
{
	return drv->fix.mem;
}

void *fakedrv_alloc(struct fakedrv *drv, size_t len)
{
	return memfix_alloc(&drv->fix, len, 16);
}

vmm_gpa fakedrv_gpa(struct fakedrv *drv, const void *ptr)
{
	return memfix_gpa(&drv->fix, ptr);
}

uint8_t fakedrv_status(struct fakedrv *drv)
{
	return vmm_carrier_status(drv->carrier);
}

bool fakedrv_needs_reset(struct fakedrv *drv)
{
	return fakedrv_status(drv) & VMM_VIRTIO_S_NEEDS_RESET;
}

uint64_t fakedrv_features(struct fakedrv *drv)
{
	return drv->features;
}

void fakedrv_read_config(struct fakedrv *drv, size_t offset, void *buf, size_t len)
{
	vmm_carrier_read_config(drv->carrier, offset, buf, len);
}

void fakedrv_write_config(struct fakedrv *drv, size_t offset, const void *buf, size_t len)
{
	vmm_carrier_write_config(drv->carrier, offset, buf, len);
}

unsigned fakedrv_queue_irqs(struct fakedrv *drv, unsigned queue)
{
	if (queue >= VMM_VIRTIO_QUEUES_MAX) {
		die("no such queue");
	}
	return __atomic_load_n(&drv->queue_irqs[queue].count, __ATOMIC_SEQ_CST);
}

unsigned fakedrv_config_irqs(struct fakedrv *drv)
{
	return __atomic_load_n(&drv->config_irq.count, __ATOMIC_SEQ_CST);
}

/* ---- chains ---- */

static struct queue *get_queue(struct fakedrv *drv, unsigned queue)
{
	if (queue >= VMM_VIRTIO_QUEUES_MAX || !drv->queues[queue].ring.desc) {
		die("a queue that is not set up");
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
		die("an empty chain");
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
		die("a bad indirect chain");
	}
	if (direct + 1 > q->free_count) {
		return -ENOSPC;
	}
	head = take_descs(q, direct + 1);
	if (!tables[head]) {
		tables[head] =
			fakedrv_alloc(drv, 16u * vmm_carrier_queue_size_max(drv->carrier, queue));
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
		die("pieces of no bytes");
	}
	for (unsigned i = 0; i < count; i++) {
		uint32_t done = 0;

		while (done < bufs[i].len) {
			uint32_t left = bufs[i].len - done;

			if (pieces == cap) {
				die("too many pieces");
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
	vmm_carrier_kick(drv->carrier, queue);
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
		die("a used element for a chain that is not out");
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
		die("no room for a request");
	}
	fakedrv_kick(drv, queue);
	if (!fakedrv_wait_used(drv, queue, &used, FAKEDRV_PATIENCE_MS)) {
		die("the device did not answer a request");
	}
	if (used.head != (uint32_t)head) {
		die("the device answered something else first");
	}
	return used.len;
}

unsigned fakedrv_outstanding(struct fakedrv *drv, unsigned queue)
{
	return get_queue(drv, queue)->outstanding;
}
