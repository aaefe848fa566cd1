/* SPDX-License-Identifier: MIT */
#include "planted.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

static const uint16_t sizes[] = {PLANTED_SIZE};

static struct planted *from_base(struct vmm_virtio_device *dev)
{
	return (struct planted *)dev;
}

static volatile uint8_t *readable(const struct vmm_chain *chain)
{
	return chain->iov[0].iov_base;
}

static volatile uint8_t *writable(const struct vmm_chain *chain)
{
	return chain->iov[chain->readable].iov_base;
}

static void spin_ms(long ms)
{
	struct timespec from;
	struct timespec to;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	do {
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	} while ((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < ms);
}

/* The length of a request; mistakes in how it is read. */
static uint8_t get_length(struct planted *p, struct vmm_reader *r)
{
	struct vmm_reader again = *r;
	uint8_t len = 0;

	if (p->fault == FETCH_TWICE && *readable(&p->chain) > PLANTED_MAX) {
		return 0;
	}
	if (p->fault == FETCH_TWICE) {
		return *readable(&p->chain);
	}
	(void)vmm_reader_get(r, &len, 1);
	if (p->fault == FETCH_TWICE_COPY && len <= PLANTED_MAX) {
		(void)vmm_reader_get(&again, &len, 1);
		return len;
	}
	return len > PLANTED_MAX ? 0 : len;
}

/* Mistakes made with a chain in hand; true when that was all. */
static bool err_before(struct planted *p, struct vmm_virtq *q)
{
	struct vmm_chain *c = &p->chain;
	void *volatile block;

	switch (p->fault) {
	case READ_WRITABLE:
		p->answered = *writable(c);
		break;
	case READ_ELSEWHERE:
		p->answered = readable(c)[c->iov[0].iov_len];
		break;
	case WRITE_READABLE:
		*readable(c) = 1;
		break;
	case WRITE_BEYOND:
		writable(c)[c->iov[c->readable].iov_len] = 1;
		break;
	case WRITE_RING:
		*(volatile uint8_t *)vmm_mem_ptr(p->active.mem, p->active.mem ? 0x10000000 : 0, 1,
						 1) = 1;
		break;
	case PUSH_TOO_MUCH:
		(void)vmm_virtq_push(q, c->head, c->writable_len + 1);
		return true;
	case PUSH_UNWRITTEN:
		(void)vmm_virtq_push(q, c->head, 1);
		return true;
	case KEEP:
		return true;
	case ALLOCATE:
		block = malloc(16);
		free(block);
		break;
	default:
		break;
	}
	return false;
}

static void err_after(struct planted *p, struct vmm_virtq *q)
{
	struct vmm_chain *c = &p->chain;

	switch (p->fault) {
	case READ_AFTER_PUSH:
		p->answered = *readable(c);
		break;
	case WRITE_AFTER_PUSH:
		*writable(c) = 1;
		break;
	case PUSH_TWICE:
		(void)vmm_virtq_push(q, c->head, 0);
		break;
	default:
		break;
	}
}

static void answer(struct planted *p, struct vmm_virtq *q)
{
	uint8_t bytes[256] = {0};
	struct vmm_reader r;
	struct vmm_writer w;
	uint8_t len;

	vmm_chain_reader(&p->chain, &r);
	vmm_chain_writer(&p->chain, &w);
	if (err_before(p, q)) {
		return;
	}
	len = get_length(p, &r);
	p->answered = len;
	if (p->fault == FETCH_COMPARE && memcmp(p->chain.iov[0].iov_base, "\x04", 1) == 0) {
		return;
	}
	p->poisoned |= p->fault == WEDGE && len == 3;
	(void)vmm_reader_read(&r, bytes, len);
	len = (uint8_t)vmm_writer_write(&w, bytes, len);
	if (p->fault == FETCH_TWICE_LATER) {
		p->later = p->chain;
		p->later.iov = p->later_iov;
		memcpy(p->later_iov, p->iov, sizeof(p->iov));
		vmm_loop_post(p->active.loop, &p->later_work);
		return;
	}
	(void)vmm_virtq_push(q, p->chain.head, len);
	err_after(p, q);
}

static void drain(struct planted *p)
{
	struct vmm_virtq *q = p->active.queues[0];
	unsigned budget = PLANTED_SIZE;

	do {
		if (p->fault == NEVER_YIELD) {
			budget = PLANTED_SIZE;
		}
		while (budget > 0 && vmm_virtq_pop(q, &p->chain) == 1) {
			answer(p, q);
			budget--;
		}
		vmm_virtq_flush(q);
		if (budget == 0) {
			if (p->fault != FORGET) {
				vmm_loop_post(p->active.loop, &p->again);
			}
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}

static void drain_again(void *ctx)
{
	drain(ctx);
}

static void serve_later(void *ctx)
{
	struct planted *p = ctx;

	p->answered = *readable(&p->later);
	(void)vmm_virtq_push(p->active.queues[0], p->later.head, 0);
	vmm_virtq_flush(p->active.queues[0]);
}

static int planted_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	from_base(dev)->active = *active;
	return active->queues[0] ? 0 : -1;
}

static void planted_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	struct planted *p = from_base(dev);

	(void)queue;
	if (p->fault == LEAK_FD) {
		(void)eventfd(0, EFD_CLOEXEC);
	}
	if (p->fault == TAKE_LONG) {
		spin_ms(100);
	}
	if (!p->wedged) {
		drain(p);
	}
}

static void planted_reset(struct vmm_virtio_device *dev)
{
	struct planted *p = from_base(dev);

	p->wedged = p->poisoned;
	vmm_loop_cancel(p->active.loop, &p->later_work);
	vmm_loop_cancel(p->active.loop, &p->again);
	memset(&p->active, 0, sizeof(p->active));
}

static const struct vmm_virtio_ops planted_ops = {
	.activate = planted_activate,
	.notify = planted_notify,
	.reset = planted_reset,
};

void planted_init(struct planted *p, enum fault fault)
{
	memset(p, 0, sizeof(*p));
	p->base.ops = &planted_ops;
	p->base.name = "planted";
	p->base.device_id = 42;
	p->base.queue_count = 1;
	p->base.queue_sizes = sizes;
	p->fault = fault;
	p->later_work = (struct vmm_work){.fn = serve_later, .ctx = p};
	p->again = (struct vmm_work){.fn = drain_again, .ctx = p};
	p->chain.iov = p->iov;
	p->chain.iov_cap = PLANTED_SIZE;
}
