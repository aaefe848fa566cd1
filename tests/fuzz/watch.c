/* SPDX-License-Identifier: MIT */
/*
 * The judge's eyes on guest memory: every load and store that the product makes, as clang's
 * -fsanitize-coverage=trace-loads,trace-stores reports them before they happen, what the compiler
 * makes a copy or a fill of (the address sanitizer's calls for these, under another name), memcmp,
 * and what the kernel moves on the product's behalf (watch_sys.c).
 *
 * Double fetches. A guest may change its memory between two looks at it, so a value that was
 * checked must not be fetched again. For one chain each byte may be fetched once:
 *   - a descriptor, and the entry of the available ring that names the head: once for each pop.
 *     A chain given back (unpop) is fetched anew, wholly: nothing of the first look is kept.
 *   - a byte of a readable buffer: once while the chain is out. Where buffers of several chains, or
 *     of one, overlap, a byte has as many owners and is not judged.
 * Exceptions, all of them single fields that are read anew each time on purpose, and compared with
 * nothing that was read before:
 *   - flags and idx of the available ring, and used_event: the driver's progress and wishes,
 *   - idx of the used ring when a queue starts: where an earlier device left off.
 *
 * And whatever was fetched is changed right afterwards, until the bracket ends (judge.h): code that
 * looks twice, in a way that escapes the rule, goes wrong by it.
 */
#include "judge_priv.h"

#include <string.h>

#define LOG_BYTES 65536u
#define LOG_MAX   4096u
#define FLIP_MAX  4096u /* bytes of one load */

/* What was changed behind the product's back, to be taken back in reverse. */
static struct {
	unsigned count;
	size_t used;
	struct {
		uint8_t *p;
		size_t len;
		size_t at;
	} entry[LOG_MAX];
	uint8_t bytes[LOG_BYTES];
} undo;

static struct iovec pending; /* loaded, to be changed */

static bool in_ram(uintptr_t start, size_t len)
{
	for (unsigned i = 0; i < judge.ram_count; i++) {
		uintptr_t low = (uintptr_t)judge.ram[i].iov_base;

		if (start < low + judge.ram[i].iov_len && low < start + len) {
			return true;
		}
	}
	return false;
}

/* ---- changes ---- */

void watch_settle(void)
{
	uint8_t *p = pending.iov_base;
	size_t len = pending.iov_len;

	pending.iov_len = 0;
	if (len == 0 || undo.count == LOG_MAX || LOG_BYTES - undo.used < len) {
		return;
	}
	undo.entry[undo.count].p = p;
	undo.entry[undo.count].len = len;
	undo.entry[undo.count++].at = undo.used;
	memcpy(undo.bytes + undo.used, p, len);
	undo.used += len;
	for (size_t i = 0; i < len; i++) {
		p[i] ^= 0xff;
	}
	judge.totals.flips++;
}

void watch_undo(void)
{
	pending.iov_len = 0;
	while (undo.count > 0) {
		undo.count--;
		memcpy(undo.entry[undo.count].p, undo.bytes + undo.entry[undo.count].at,
		       undo.entry[undo.count].len);
	}
	undo.used = 0;
}

static void change_later(const void *p, size_t len)
{
	if (judge.flip && len > 0) {
		pending.iov_base = (void *)(uintptr_t)p;
		pending.iov_len = len < FLIP_MAX ? len : FLIP_MAX;
	}
}

/* ---- loads ---- */

static bool inside(const void *p, size_t len, const uint8_t *area, size_t size)
{
	const uint8_t *at = p;

	return at >= area && at < area + size && len <= (size_t)(area + size - at);
}

/* A field that is read anew on purpose, see above. */
static bool is_exempt(const struct ring *r, const void *p, size_t len)
{
	if (judge.op == OP_START) {
		return inside(p, len, r->used + 2, 2);
	}
	if (judge.op == OP_FLUSH) {
		return inside(p, len, r->avail, 2) ||
		       inside(p, len, r->avail + 4 + 2 * (size_t)r->size, 2);
	}
	return judge.op != OP_PUSH && inside(p, len, r->avail + 2, 2);
}

/* A pop loads the entry of the available ring, once. */
static bool take_entry(const struct ring *r, const void *p, size_t len)
{
	if (judge.op != OP_POP || judge.head_fetched ||
	    !inside(p, len, r->avail + 4 + 2 * (r->next_avail % r->size), 2)) {
		return false;
	}
	judge.head_fetched = true;
	return true;
}

/* A pop loads the descriptors on its way, each as often as it lies there. */
static bool take_desc(const void *p, size_t len)
{
	struct model_chain *c = &judge.model;

	for (unsigned i = 0; judge.op == OP_POP && i < c->fetch_count; i++) {
		size_t offset;
		uint16_t mask;

		if (!inside(p, len, c->fetch[i], 16)) {
			continue;
		}
		offset = (size_t)((const uint8_t *)p - c->fetch[i]);
		mask = (uint16_t)(((1u << len) - 1) << offset);
		if ((c->fetched[i] & mask) == 0) {
			c->fetched[i] |= mask;
			return true;
		}
	}
	return false;
}

static void load_ring(const void *p, size_t len)
{
	const struct ring *r = judge.at;

	if (is_exempt(r, p, len)) {
		return;
	}
	if (!take_entry(r, p, len) && !take_desc(p, len)) {
		judge_die("fetches", "a queue's memory was fetched again, or is not its own");
	}
	/* What lies on each other cannot be changed for one reader only. */
	if (!judge.model.overlaps) {
		change_later(p, len);
	}
}

/* The readable buffer of a chain that is out which holds start; and how many there are. */
static struct open_chain *owner(uintptr_t start, uintptr_t end, uintptr_t *until, unsigned *owners)
{
	struct open_chain *found = NULL;

	*owners = 0;
	*until = end;
	for (unsigned i = 0; i < judge.ring_count; i++) {
		struct ring *r = &judge.rings[i];

		for (unsigned k = 0; r->live && r->in_flight > 0 && k < r->size; k++) {
			struct open_chain *c = &r->chains[k];

			for (unsigned n = 0; c->out && n < c->readable; n++) {
				uintptr_t low = (uintptr_t)c->iov[n].iov_base;
				uintptr_t high = low + c->iov[n].iov_len;

				if (low <= start && start < high) {
					found = c;
					*until = *until < high ? *until : high;
				}
				*owners += low < end && start < high;
			}
		}
	}
	return found;
}

static void load_buffer(uintptr_t start, uintptr_t end)
{
	while (start < end) {
		unsigned owners;
		uintptr_t until;
		struct open_chain *c = owner(start, end, &until, &owners);

		if (!c) {
			judge_die("reads", "guest memory was read that no chain gives");
		}
		if (until < end) {
			c = owner(start, until, &until, &owners);
		}
		if (owners == 1 && !c->fetched.full) {
			if ((judge.rules & JUDGE_FETCH) && spans_meet(&c->fetched, start, until)) {
				judge_die("fetches", "a byte was fetched twice for one chain");
			}
			change_later((const void *)start, until - start);
		}
		spans_add(&c->fetched, start, until);
		start = until;
	}
}

/* Nearly all of what is loaded and stored is far from guest memory. */
static inline bool is_near(uintptr_t start, size_t len)
{
	return start < judge.ram_end && judge.ram_start < start + len && judge.sees_loads;
}

void watch_load(const void *p, size_t len)
{
	uintptr_t start = (uintptr_t)p;

	if (!is_near(start, len) || len == 0 || judge.reads_allowed || !in_ram(start, len)) {
		return;
	}
	watch_settle();
	judge.totals.loads++;
	if (judge.op != OP_NONE) {
		load_ring(p, len);
	} else {
		load_buffer(start, start + len);
	}
}

/* ---- stores ---- */

/* The writable buffers of chains that are out: how far from start on they reach, and a note. */
static uintptr_t note_store(uintptr_t start, uintptr_t end)
{
	uintptr_t until = start;

	for (unsigned i = 0; i < judge.ring_count; i++) {
		struct ring *r = &judge.rings[i];

		for (unsigned k = 0; r->live && r->in_flight > 0 && k < r->size; k++) {
			struct open_chain *c = &r->chains[k];

			for (unsigned n = c->readable; c->out && n < c->count; n++) {
				uintptr_t low = (uintptr_t)c->iov[n].iov_base;
				uintptr_t high = low + c->iov[n].iov_len;
				uintptr_t from = low > start ? low : start;
				uintptr_t to = high < end ? high : end;

				if (from < to) {
					spans_add(&c->written, from, to);
				}
				if (low <= until && until < high) {
					until = to;
				}
			}
		}
	}
	return until;
}

void watch_store(const void *p, size_t len)
{
	uintptr_t start = (uintptr_t)p;
	uintptr_t end = start + len;

	if (judge.kill && judge.kill_after-- == 0) {
		longjmp(*judge.kill, 1);
	}
	if (!is_near(start, len) || len == 0 || judge.writes_allowed || !in_ram(start, len)) {
		return;
	}
	watch_settle();
	judge.totals.stores++;
	if (judge.op != OP_NONE) {
		if (judge.store.iov_len == 0 ||
		    !inside(p, len, judge.store.iov_base, judge.store.iov_len)) {
			judge_die("writes", "a queue wrote what the call is not about");
		}
		return;
	}
	while (start < end) {
		uintptr_t until = note_store(start, end);

		if (until == start) {
			judge_die("writes", "guest memory was written that no chain gives");
		}
		start = until;
	}
}

/* ---- what the compiler calls ---- */

void __sanitizer_cov_load1(const uint8_t *p);
void __sanitizer_cov_load2(const uint16_t *p);
void __sanitizer_cov_load4(const uint32_t *p);
void __sanitizer_cov_load8(const uint64_t *p);
void __sanitizer_cov_load16(const void *p);
void __sanitizer_cov_store1(const uint8_t *p);
void __sanitizer_cov_store2(const uint16_t *p);
void __sanitizer_cov_store4(const uint32_t *p);
void __sanitizer_cov_store8(const uint64_t *p);
void __sanitizer_cov_store16(const void *p);
void *vmm_watch_memcpy(void *to, const void *from, size_t len);
void *vmm_watch_memmove(void *to, const void *from, size_t len);
void *vmm_watch_memset(void *to, int byte, size_t len);

void __sanitizer_cov_load1(const uint8_t *p)
{
	watch_load(p, 1);
}

void __sanitizer_cov_load2(const uint16_t *p)
{
	watch_load(p, 2);
}

void __sanitizer_cov_load4(const uint32_t *p)
{
	watch_load(p, 4);
}

void __sanitizer_cov_load8(const uint64_t *p)
{
	watch_load(p, 8);
}

void __sanitizer_cov_load16(const void *p)
{
	watch_load(p, 16);
}

void __sanitizer_cov_store1(const uint8_t *p)
{
	watch_store(p, 1);
}

void __sanitizer_cov_store2(const uint16_t *p)
{
	watch_store(p, 2);
}

void __sanitizer_cov_store4(const uint32_t *p)
{
	watch_store(p, 4);
}

void __sanitizer_cov_store8(const uint64_t *p)
{
	watch_store(p, 8);
}

void __sanitizer_cov_store16(const void *p)
{
	watch_store(p, 16);
}

void *vmm_watch_memcpy(void *to, const void *from, size_t len)
{
	watch_load(from, len);
	watch_store(to, len);
	return memmove(to, from, len);
}

void *vmm_watch_memmove(void *to, const void *from, size_t len)
{
	return vmm_watch_memcpy(to, from, len);
}

void *vmm_watch_memset(void *to, int byte, size_t len)
{
	watch_store(to, len);
	return memset(to, byte, len);
}
