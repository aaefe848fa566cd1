/* SPDX-License-Identifier: MIT */
/*
 * In the place of vmm_virtq_*, for every caller outside virtq.c: each call is made and compared
 * with the model's.
 */
#include "judge_priv.h"

#include <errno.h>
#include <string.h>

/* ---- pop ---- */

/* The index is read only when no chain seen earlier is left, or when the device asks. */
static void look(struct ring *r)
{
	uint16_t idx = model_avail_idx(r);

	if (r->broken) {
		return;
	}
	if ((uint16_t)(idx - r->next_avail) > r->size) {
		r->broken = true;
	} else {
		r->seen_avail = idx;
	}
}

static uint16_t next_head(const struct ring *r)
{
	return r->replay_count > 0
		       ? r->replay[0]
		       : (uint16_t)model_get(r->avail + 4 + 2 * (r->next_avail % r->size), 2);
}

/* What pop must find; false when there is nothing or nothing good. */
static bool expect(struct ring *r, unsigned cap, uint16_t *head)
{
	struct model_chain *c = &judge.model;

	c->valid = false;
	c->overlaps = false;
	c->count = 0;
	c->readable = 0;
	c->fetch_count = 0;
	c->total[0] = 0;
	c->total[1] = 0;
	judge.head_fetched = r->replay_count > 0;
	if (!r->broken && r->seen_avail == r->next_avail) {
		look(r);
	}
	if (r->broken || r->seen_avail == r->next_avail) {
		return false;
	}
	*head = next_head(r);
	judge.head = *head;
	if (*head < r->size && !r->chains[*head].out) {
		model_walk(r, *head, c);
	}
	c->valid = c->valid && c->count <= cap;
	r->broken = !c->valid;
	return c->valid;
}

static void peek(uint16_t head)
{
	const struct model_chain *c = &judge.model;
	struct judge_peek *p = &judge.peek;

	p->head = head;
	p->readable = c->total[0];
	p->writable = c->total[1];
	p->len = 0;
	for (unsigned i = 0; i < c->readable && p->len < JUDGE_PEEK; i++) {
		size_t n = c->buf[i].iov_len < JUDGE_PEEK - p->len ? c->buf[i].iov_len
								   : JUDGE_PEEK - p->len;

		memcpy(p->bytes + p->len, c->buf[i].iov_base, n);
		p->len += n;
	}
}

static void take(struct ring *r, uint16_t head)
{
	const struct model_chain *c = &judge.model;
	struct open_chain *chain = &r->chains[head];
	bool replayed = r->replay_count > 0;

	for (unsigned i = 0; i < r->batch_count; i++) {
		r->confused |= r->batch[i] == head;
	}
	chain->out = true;
	chain->count = c->count;
	chain->readable = c->readable;
	memcpy(chain->iov, c->buf, c->count * sizeof(*c->buf));
	chain->room = c->total[1];
	chain->fetched.count = 0;
	chain->fetched.full = false;
	chain->written.count = 0;
	chain->written.full = false;
	r->popped[r->next_avail] = head;
	r->replayed[r->next_avail] = replayed;
	if (replayed) {
		r->replay_count--;
		memmove(r->replay, r->replay + 1, r->replay_count * sizeof(r->replay[0]));
	}
	r->next_avail++;
	r->in_flight++;
	r->pops++;
	judge.totals.pops++;
	judge_allow_chain(chain);
}

static void compare(const struct vmm_chain *chain, uint16_t head)
{
	const struct model_chain *c = &judge.model;

	RULE(chain->head == head, "another head was popped");
	RULE(chain->readable == c->readable && chain->readable + chain->writable == c->count,
	     "a chain of another shape was popped");
	RULE(chain->readable_len == c->total[0] && chain->writable_len == c->total[1],
	     "a chain of another length was popped");
	for (unsigned i = 0; i < c->count; i++) {
		RULE(chain->iov[i].iov_base == c->buf[i].iov_base &&
			     chain->iov[i].iov_len == c->buf[i].iov_len,
		     "a buffer somewhere else was popped");
	}
}

int REAL(pop)(struct vmm_virtq *q, struct vmm_chain *chain);
int WRAP(pop)(struct vmm_virtq *q, struct vmm_chain *chain);

int WRAP(pop)(struct vmm_virtq *q, struct vmm_chain *chain)
{
	struct ring *r = judge_ring_of(q);
	uint16_t head = 0;
	bool good;
	int ret;

	judge_op_begin(OP_POP, r);
	good = expect(r, chain->iov_cap, &head);
	if (good) {
		peek(head);
	}
	ret = REAL(pop)(q, chain);
	if (good) {
		RULE(ret == 1, "a good chain was refused");
		compare(chain, head);
		take(r, head);
	} else {
		RULE(ret == (r->broken ? ret : 0) && ret <= 0, "a chain where there is none");
		RULE(!r->broken || ret == -EPROTO || ret == -EFAULT, "a bad chain was taken");
		RULE(chain->readable + chain->writable == 0 && chain->readable_len == 0 &&
			     chain->writable_len == 0,
		     "no chain, but buffers");
	}
	RULE(r->breaks == r->broken, "a queue broke, or did not, against the rules");
	judge_op_end();
	return ret;
}

/* True when the chain that was popped last is still out and may be given back. */
static bool last_is_out(const struct ring *r)
{
	return r->in_flight > 0 && r->chains[r->popped[(uint16_t)(r->next_avail - 1)]].out;
}

static void give_back(struct ring *r)
{
	uint16_t head = r->popped[--r->next_avail];

	r->chains[head].out = false;
	r->in_flight--;
	r->pops--;
	if (r->replayed[r->next_avail]) {
		memmove(r->replay + 1, r->replay, r->replay_count * sizeof(r->replay[0]));
		r->replay[0] = head;
		r->replay_count++;
	}
}

void REAL(unpop)(struct vmm_virtq *q, uint16_t n);
void WRAP(unpop)(struct vmm_virtq *q, uint16_t n);

void WRAP(unpop)(struct vmm_virtq *q, uint16_t n)
{
	struct ring *r = judge_ring_of(q);

	judge_op_begin(OP_LOOK, r);
	judge.giving_back = n;
	REAL(unpop)(q, n);
	judge.giving_back = 0;
	for (; n > 0 && last_is_out(r); n--) {
		give_back(r);
	}
	/* They will be popped, and looked at, again. */
	watch_undo();
	judge_op_end();
}

unsigned judge_unpoppable(const struct vmm_virtq *q)
{
	const struct ring *r = judge_ring_of(q);
	bool seen[SIZE_LIMIT] = {false};
	unsigned n = 0;

	while (n < r->in_flight) {
		uint16_t head = r->popped[(uint16_t)(r->next_avail - 1 - n)];

		if (!r->chains[head].out || seen[head]) {
			break;
		}
		seen[head] = true;
		n++;
	}
	return n;
}

/* ---- push and flush ---- */

static void check_written(const struct open_chain *c, uint64_t written)
{
	for (unsigned i = c->readable; i < c->count && written > 0; i++) {
		uintptr_t start = (uintptr_t)c->iov[i].iov_base;
		uint64_t n = written < c->iov[i].iov_len ? written : c->iov[i].iov_len;

		RULE(spans_cover(&c->written, start, start + n),
		     "a chain came back with bytes that nobody wrote");
		written -= n;
	}
}

int REAL(push)(struct vmm_virtq *q, uint16_t head, uint32_t written);
int WRAP(push)(struct vmm_virtq *q, uint16_t head, uint32_t written);

int WRAP(push)(struct vmm_virtq *q, uint16_t head, uint32_t written)
{
	struct ring *r = judge_ring_of(q);
	bool good = head < r->size && r->chains[head].out && written <= r->chains[head].room;
	bool full = r->batch_count == r->size;
	uint8_t *elem = r->used + 4 + 8 * (r->next_used % r->size);
	bool seen = good && !r->broken && !full;
	int ret;

	RULE(good || !(judge.rules & JUDGE_PUSH), "a chain came back that is not out, or too full");
	if (good && judge.sees_loads && (judge.rules & JUDGE_WRITTEN)) {
		check_written(&r->chains[head], written);
	}
	judge_op_begin(OP_PUSH, r);
	if (seen) {
		judge_may_store(elem, 8);
	}
	ret = REAL(push)(q, head, written);
	RULE(ret == (good ? 0 : -EINVAL), "push says what is not so");
	if (good) {
		r->chains[head].out = false;
		r->in_flight--;
		r->broken = r->broken || full;
	}
	if (seen) {
		RULE(model_get(elem, 4) == head && model_get(elem + 4, 4) == written,
		     "the used ring says something else");
		r->next_used++;
		r->batch[r->batch_count++] = head;
	}
	RULE(r->breaks == r->broken, "a queue broke, or did not, against the rules");
	judge_op_end();
	return ret;
}

/* Whether the driver asked for an interrupt. */
static bool wants_irq(const struct ring *r)
{
	uint16_t event = (uint16_t)model_get(r->avail + 4 + 2 * (size_t)r->size, 2);

	if (!r->event_idx) {
		return !(model_get(r->avail, 2) & 1);
	}
	for (uint16_t i = r->published; i != r->next_used; i++) {
		if (i == event) {
			return true;
		}
	}
	return false;
}

void judge_flush(struct ring *r, void (*real)(struct vmm_virtq *q), struct vmm_virtq *q)
{
	bool news = !r->broken && r->next_used != r->published;
	unsigned irqs = r->irqs + (news && wants_irq(r));

	if (news) {
		judge_may_store(r->used + 2, 2);
	}
	real(q);
	if (news) {
		RULE(model_get(r->used + 2, 2) == r->next_used, "flush shows something else");
		r->published = r->next_used;
		r->batch_count = 0;
	}
	RULE(r->irqs == irqs, "an interrupt that was not asked for, or none that was");
}

void REAL(flush)(struct vmm_virtq *q);
void WRAP(flush)(struct vmm_virtq *q);

void WRAP(flush)(struct vmm_virtq *q)
{
	struct ring *r = judge_ring_of(q);
	uint16_t before = r->published;

	judge_op_begin(OP_FLUSH, r);
	judge_flush(r, REAL(flush), q);
	if (judge.on_flush && r->published != before) {
		/* From here to there it is the driver who writes. */
		watch_undo();
		judge_allow(judge.store.iov_base, judge.store.iov_len);
		judge_compare();
		judge.op = OP_NONE;
		judge.on_flush(judge.flush_ctx, q);
		judge_remember();
	}
	judge_op_end();
}

/* ---- notifications and questions ---- */

void REAL(kick_disable)(struct vmm_virtq *q);
void WRAP(kick_disable)(struct vmm_virtq *q);

void WRAP(kick_disable)(struct vmm_virtq *q)
{
	struct ring *r = judge_ring_of(q);
	bool says = !r->broken && !r->event_idx;

	judge_op_begin(OP_KICK, r);
	if (says) {
		judge_may_store(r->used, 2);
	}
	REAL(kick_disable)(q);
	RULE(!says || model_get(r->used, 2) == 1, "kicks are still asked for");
	judge_op_end();
}

bool REAL(kick_enable)(struct vmm_virtq *q);
bool WRAP(kick_enable)(struct vmm_virtq *q);

bool WRAP(kick_enable)(struct vmm_virtq *q)
{
	struct ring *r = judge_ring_of(q);
	uint8_t *field = r->event_idx ? r->used + 4 + 8 * (size_t)r->size : r->used;
	bool ret;

	judge_op_begin(OP_KICK, r);
	look(r);
	if (!r->broken) {
		judge_may_store(field, 2);
	}
	ret = REAL(kick_enable)(q);
	RULE(r->broken || model_get(field, 2) == (r->event_idx ? r->seen_avail : 0),
	     "kicks are not asked for");
	RULE(ret == (!r->broken && r->seen_avail != r->next_avail), "there are chains, or none");
	RULE(r->breaks == r->broken, "a queue broke, or did not, against the rules");
	judge_op_end();
	return ret;
}

unsigned REAL(avail_count)(struct vmm_virtq *q);
unsigned WRAP(avail_count)(struct vmm_virtq *q);

unsigned WRAP(avail_count)(struct vmm_virtq *q)
{
	struct ring *r = judge_ring_of(q);
	unsigned ret;

	judge_op_begin(OP_LOOK, r);
	look(r);
	ret = REAL(avail_count)(q);
	RULE(ret == (r->broken ? 0u : (uint16_t)(r->seen_avail - r->next_avail)),
	     "another number of chains is available");
	judge_op_end();
	return ret;
}

bool WRAP(has_avail)(struct vmm_virtq *q);

bool WRAP(has_avail)(struct vmm_virtq *q)
{
	return WRAP(avail_count)(q) > 0;
}

void REAL(break)(struct vmm_virtq *q, const char *why);
void WRAP(break)(struct vmm_virtq *q, const char *why);

void WRAP(break)(struct vmm_virtq *q, const char *why)
{
	struct ring *r = judge_ring_of(q);

	judge_op_begin(OP_LOOK, r);
	r->broken = true;
	REAL(break)(q, why);
	RULE(r->breaks == 1, "a queue broke, or did not, against the rules");
	judge_op_end();
}

/* ---- for harnesses ---- */

void judge_lost(const struct vmm_virtq *q)
{
	struct ring *r = judge_ring_of(q);
	uint16_t shown = (uint16_t)model_get(r->used + 2, 2);

	for (unsigned i = 0; i < r->size; i++) {
		judge.lost[i] = r->chains[i].out ? LOST : NOT_LOST;
	}
	for (unsigned i = 0; i < r->replay_count; i++) {
		judge.lost[r->replay[i]] = LOST;
	}
	for (unsigned i = 0; i < r->batch_count; i++) {
		judge.lost[r->batch[i]] = shown == r->published ? LOST : NOT_LOST;
	}
	for (uint16_t i = 1; i <= judge.giving_back && i <= r->in_flight; i++) {
		judge.lost[r->popped[(uint16_t)(r->next_avail - i)]] = MAYBE_LOST;
	}
	if (judge.op == OP_POP && judge.model.valid) {
		judge.lost[judge.head] = MAYBE_LOST;
	}
	/* A driver that wrote to the used index has itself to blame. */
	judge.was_killed = !r->confused && (shown == r->published || shown == r->next_used);
	r->live = false;
	judge.giving_back = 0;
	judge.depth = 0;
	judge.op = OP_NONE;
	watch_undo();
}

bool judge_is_broken(const struct vmm_virtq *q)
{
	return judge_ring_of(q)->broken;
}

uint16_t judge_avail_idx(const struct vmm_virtq *q)
{
	return model_avail_idx(judge_ring_of(q));
}

bool judge_settled(const struct vmm_virtq *q)
{
	const struct ring *r = judge_ring_of(q);

	return r->broken || (r->in_flight == 0 && r->published == r->next_used &&
			     model_avail_idx(r) == r->next_avail);
}
