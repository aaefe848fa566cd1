/* SPDX-License-Identifier: MIT */
/* In the place of the calls by which queues come and go, see judge_virtq.c. */
#include "judge_priv.h"

#include <errno.h>
#include <string.h>

#include <vmm/virtio.h>

/* ---- which queue ---- */

static struct ring *find(const struct vmm_virtq *q)
{
	for (unsigned i = 0; i < judge.ring_count; i++) {
		if (judge.rings[i].live && judge.rings[i].q == q) {
			return &judge.rings[i];
		}
	}
	return NULL;
}

struct ring *judge_ring_of(const struct vmm_virtq *q)
{
	struct ring *r = find(q);

	RULE(r != NULL, "a queue that was not started");
	return r;
}

static struct ring *new_ring(void)
{
	for (unsigned i = 0; i < judge.ring_count; i++) {
		if (!judge.rings[i].live) {
			return &judge.rings[i];
		}
	}
	RULE(judge.ring_count < RINGS_MAX, "more queues than the judge can watch");
	return &judge.rings[judge.ring_count++];
}

/* Memory of queues that have all stopped may be something else tomorrow. */
static void forget_memory(void)
{
	for (unsigned i = 0; i < judge.ring_count; i++) {
		if (judge.rings[i].live) {
			return;
		}
	}
	judge.ram_count = 0;
	judge.ram_start = UINTPTR_MAX;
	judge.ram_end = 0;
}

void judge_op_begin(enum op op, struct ring *r)
{
	judge_begin();
	watch_settle();
	judge.op = op;
	judge.at = r;
	judge.store = (struct iovec){NULL, 0};
}

void judge_op_end(void)
{
	struct ring *r = judge.at;

	watch_settle();
	if (judge.store.iov_len > 0) {
		judge_allow(judge.store.iov_base, judge.store.iov_len);
	}
	judge.op = OP_NONE;
	judge.at = NULL;
	if (r && (judge.rules & JUDGE_RECORD)) {
		model_check_record(r);
	}
	judge_end();
}

void judge_may_store(void *p, size_t len)
{
	judge.store = (struct iovec){p, len};
}

/* ---- start and stop ---- */

static void raise_irq(struct vmm_irq *irq)
{
	struct ring *r = (struct ring *)((uint8_t *)irq - offsetof(struct ring, irq));

	r->irqs++;
	vmm_irq_raise(r->real_irq);
}

static int eventfd_of(struct vmm_irq *irq)
{
	const struct ring *r = (struct ring *)((uint8_t *)irq - offsetof(struct ring, irq));

	return r->real_irq && r->real_irq->eventfd ? r->real_irq->eventfd(r->real_irq) : -1;
}

static void note_broken(void *ctx, const char *why)
{
	struct ring *r = ctx;

	RULE(why && *why, "a queue broke without a reason");
	r->breaks++;
	if (r->broken_fn) {
		r->broken_fn(r->broken_ctx, why);
	}
}

static bool area(uint8_t **out, uint64_t gpa, uint64_t len, uint64_t align)
{
	*out = model_translate(gpa, len);
	return gpa % align == 0 && *out;
}

static bool prepare(struct ring *r, const struct vmm_virtq_config *c, uint16_t size_max)
{
	bool sized = c->size > 0 && (c->size & (c->size - 1)) == 0 && c->size <= c->size_max &&
		     c->size <= size_max;
	struct iovec *iovs = r->iovs;
	size_t cap = r->iovs_cap;

	if (!sized || !area(&r->desc, c->desc, UINT64_C(16) * c->size, 16) ||
	    !area(&r->avail, c->driver, UINT64_C(6) + UINT64_C(2) * c->size, 2) ||
	    !area(&r->used, c->device, UINT64_C(6) + UINT64_C(8) * c->size, 4)) {
		return false;
	}
	if (cap < (size_t)c->size * c->size) {
		free(iovs);
		cap = (size_t)c->size * c->size;
		iovs = calloc(cap, sizeof(*iovs));
		REQUIRE(iovs != NULL);
	}
	r->iovs = iovs;
	r->iovs_cap = cap;
	r->size = c->size;
	r->size_max = c->size_max;
	r->event_idx = c->features & VMM_VIRTIO_F_EVENT_IDX;
	r->indirect = c->features & VMM_VIRTIO_F_INDIRECT_DESC;
	r->broken = false;
	r->record = (uint8_t *)c->inflight;
	r->next_used = (uint16_t)model_get(r->used + 2, 2);
	r->published = r->next_used;
	r->next_avail = c->next_avail;
	r->seen_avail = c->next_avail;
	r->replay_count = 0;
	r->batch_count = 0;
	r->in_flight = 0;
	r->breaks = 0;
	r->confused = false;
	for (unsigned i = 0; i < r->size; i++) {
		r->chains[i].out = false;
		r->chains[i].iov = iovs + (size_t)i * r->size;
	}
	return !r->record || model_open_record(r);
}

/* A process was gone: all it had in flight must be found, and nothing else. */
static void check_lost(const struct ring *r)
{
	bool found[SIZE_LIMIT] = {false};

	for (unsigned i = 0; i < r->replay_count; i++) {
		found[r->replay[i]] = true;
	}
	for (unsigned i = 0; judge.was_killed && i < r->size; i++) {
		RULE(found[i] || judge.lost[i] != LOST, "a chain in flight is lost");
		RULE(!found[i] || judge.lost[i] != NOT_LOST, "a chain would come back twice");
	}
	judge.was_killed = false;
}

int REAL(start)(struct vmm_virtq *q, struct vmm_mem *mem, const struct vmm_virtq_config *config,
		struct vmm_irq *irq, vmm_virtq_broken_fn broken, void *ctx);
int WRAP(start)(struct vmm_virtq *q, struct vmm_mem *mem, const struct vmm_virtq_config *config,
		struct vmm_irq *irq, vmm_virtq_broken_fn broken, void *ctx);

int WRAP(start)(struct vmm_virtq *q, struct vmm_mem *mem, const struct vmm_virtq_config *config,
		struct vmm_irq *irq, vmm_virtq_broken_fn broken, void *ctx)
{
	struct ring *r = find(q) ? find(q) : new_ring();
	bool valid;
	int ret;

	model_set_memory(mem);
	valid = prepare(r, config, config->size_max);
	r->q = q;
	r->irq = (struct vmm_irq){.raise = raise_irq, .eventfd = eventfd_of};
	r->real_irq = irq;
	r->broken_fn = broken;
	r->broken_ctx = ctx;
	r->live = false;
	judge_op_begin(OP_START, r);
	ret = REAL(start)(q, mem, config, &r->irq, note_broken, r);
	RULE((ret == 0) == valid, "a queue that starts, or does not, against the rules");
	RULE(ret == 0 || ret == -EPROTO || ret == -EFAULT,
	     "an error of start that nobody promised");
	r->live = ret == 0;
	if (r->live) {
		check_lost(r);
	}
	judge.at = r->live ? r : NULL;
	judge_op_end();
	if (ret < 0) {
		forget_memory();
	}
	return ret;
}

int REAL(create)(struct vmm_virtq **out, struct vmm_mem *mem, const struct vmm_virtq_config *config,
		 struct vmm_irq *irq, vmm_virtq_broken_fn broken, void *ctx);
int WRAP(create)(struct vmm_virtq **out, struct vmm_mem *mem, const struct vmm_virtq_config *config,
		 struct vmm_irq *irq, vmm_virtq_broken_fn broken, void *ctx);

/* As the product does it, but through the calls that are judged. */
int WRAP(create)(struct vmm_virtq **out, struct vmm_mem *mem, const struct vmm_virtq_config *config,
		 struct vmm_irq *irq, vmm_virtq_broken_fn broken, void *ctx)
{
	int ret = vmm_virtq_check(mem, config);

	*out = NULL;
	if (ret == 0) {
		ret = vmm_virtq_alloc(out, config->size);
	}
	if (ret == 0) {
		ret = WRAP(start)(*out, mem, config, irq, broken, ctx);
	}
	if (ret < 0) {
		vmm_virtq_destroy(*out);
		*out = NULL;
	}
	return ret;
}

void REAL(set_irq)(struct vmm_virtq *q, struct vmm_irq *irq);
void WRAP(set_irq)(struct vmm_virtq *q, struct vmm_irq *irq);

void WRAP(set_irq)(struct vmm_virtq *q, struct vmm_irq *irq)
{
	struct ring *r = find(q);

	if (r) {
		r->real_irq = irq;
	}
}

void REAL(destroy)(struct vmm_virtq *q);
void WRAP(destroy)(struct vmm_virtq *q);

void WRAP(destroy)(struct vmm_virtq *q)
{
	struct ring *r = find(q);

	if (r) {
		r->live = false;
		forget_memory();
	}
	REAL(destroy)(q);
}

static int stop_result;
static uint16_t stop_next;

int REAL(stop)(struct vmm_virtq *q, uint16_t *next_avail);
int WRAP(stop)(struct vmm_virtq *q, uint16_t *next_avail);

static void real_stop(struct vmm_virtq *q)
{
	stop_result = REAL(stop)(q, &stop_next);
}

int WRAP(stop)(struct vmm_virtq *q, uint16_t *next_avail)
{
	struct ring *r = judge_ring_of(q);
	bool last = true;

	for (unsigned i = 1; i <= r->in_flight; i++) {
		last = last && r->chains[r->popped[(uint16_t)(r->next_avail - i)]].out;
	}
	judge_op_begin(OP_FLUSH, r);
	judge_flush(r, real_stop, q);
	RULE(stop_result == (r->record || last ? 0 : -EBUSY), "stop says what is not so");
	RULE(stop_next == (uint16_t)(r->next_avail - r->in_flight), "stop names another place");
	r->live = false;
	judge_op_end();
	forget_memory();
	if (next_avail) {
		*next_avail = stop_next;
	}
	return stop_result;
}
