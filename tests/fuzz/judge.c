/* SPDX-License-Identifier: MIT */
/* Brackets around the product's work, and what holds from one end to the other. */
#include "judge_priv.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CPU_NS_MAX   INT64_C(50000000) /* ten times as much as without sanitizers */
#define POPS_PER_ENT 4u                /* by the entries of the largest ring, in one bracket */

/* No allocation by this thread now: libFuzzer has others. */
static _Thread_local bool hot;

struct judge judge = {.flip = true, .rules = JUDGE_ALL};

/* From the sanitizers' run time, where there is one. */
__attribute__((weak)) int __sanitizer_install_malloc_and_free_hooks(
	void (*on_malloc)(const volatile void *, size_t), void (*on_free)(const volatile void *));

void judge_die(const char *rule, const char *what)
{
	hot = false;
	(void)fprintf(stderr, "judge: %s: %s\n", rule, what);
	abort();
}

/* ---- sets of addresses ---- */

void spans_add(struct spans *s, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < s->count;) {
		if (end < s->span[i].start || s->span[i].end < start) {
			i++;
			continue;
		}
		start = start < s->span[i].start ? start : s->span[i].start;
		end = end > s->span[i].end ? end : s->span[i].end;
		s->span[i] = s->span[--s->count];
	}
	if (s->count == SPANS_MAX) {
		s->full = true;
		return;
	}
	s->span[s->count].start = start;
	s->span[s->count++].end = end;
}

bool spans_meet(const struct spans *s, uintptr_t start, uintptr_t end)
{
	for (unsigned i = 0; i < s->count; i++) {
		if (start < s->span[i].end && s->span[i].start < end) {
			return true;
		}
	}
	return false;
}

bool spans_cover(const struct spans *s, uintptr_t start, uintptr_t end)
{
	if (s->full || start == end) {
		return true;
	}
	/* They are merged, so one has to hold it all. */
	for (unsigned i = 0; i < s->count; i++) {
		if (s->span[i].start <= start && end <= s->span[i].end) {
			return true;
		}
	}
	return false;
}

/* ---- memory, before and after ---- */

static bool compares(void)
{
	return judge.window && (judge.window_always || !judge.sees_loads);
}

void judge_window(void *ram, size_t len, bool always)
{
	if (judge.window_len < len) {
		free(judge.shadow);
		judge.shadow = malloc(len);
		REQUIRE(judge.shadow != NULL);
	}
	judge.window = ram;
	judge.window_len = len;
	judge.window_always = always;
}

void judge_allow(const void *p, size_t len)
{
	if (judge.allowed_count < ALLOWED_MAX) {
		judge.allowed[judge.allowed_count].iov_base = (void *)(uintptr_t)p;
		judge.allowed[judge.allowed_count].iov_len = len;
	}
	judge.allowed_count++;
}

void judge_allow_chain(const struct open_chain *c)
{
	for (unsigned i = c->readable; compares() && i < c->count; i++) {
		judge_allow(c->iov[i].iov_base, c->iov[i].iov_len);
	}
}

static void copy_allowed(const struct iovec *v)
{
	uintptr_t start = (uintptr_t)v->iov_base;
	uintptr_t end = start + v->iov_len;
	uintptr_t low = (uintptr_t)judge.window;
	uintptr_t high = low + judge.window_len;

	start = start < low ? low : start;
	end = end > high ? high : end;
	if (start < end) {
		memcpy(judge.shadow + (start - low), judge.window + (start - low), end - start);
	}
}

void judge_compare(void)
{
	if (!compares() || judge.allowed_count > ALLOWED_MAX) {
		return;
	}
	for (unsigned i = 0; i < judge.allowed_count; i++) {
		copy_allowed(&judge.allowed[i]);
	}
	if (!watch_same(judge.shadow, judge.window, judge.window_len)) {
		judge_die("writes", "guest memory changed that was not the device's to change");
	}
}

/* ---- brackets ---- */

static void on_malloc(const volatile void *p, size_t len)
{
	(void)p;
	(void)len;
	if (hot) {
		judge_die("bounds", "memory was allocated while a device was at work");
	}
}

static void on_free(const volatile void *p)
{
	(void)p;
}

/* The time of this thread takes a system call, so it is asked for only where it matters. */
static int64_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(judge.exact ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int lowest_free_fd(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	(void)close(fd);
	return fd;
}

/* What is pending may be the guest's own doing: from now on it is the product's. */
void judge_remember(void)
{
	judge.allowed_count = 0;
	if (!compares()) {
		return;
	}
	memcpy(judge.shadow, judge.window, judge.window_len);
	for (unsigned i = 0; i < judge.ring_count; i++) {
		struct ring *r = &judge.rings[i];

		for (unsigned k = 0; r->live && k < r->size; k++) {
			if (r->chains[k].out) {
				judge_allow_chain(&r->chains[k]);
			}
		}
	}
}

void judge_begin_hot(bool work)
{
	if (judge.depth++ > 0) {
		return;
	}
	for (unsigned i = 0; i < judge.ring_count; i++) {
		judge.rings[i].pops = 0;
	}
	judge_remember();
	hot = work;
	judge.hot_bracket = work;
	if (work) {
		judge.began_ns = now();
	}
}

void judge_begin(void)
{
	judge_begin_hot(false);
}

static void check_bounds(void)
{
	if (judge.hot_bracket && now() - judge.began_ns > CPU_NS_MAX) {
		if (judge.exact) {
			judge_die("bounds", "one kick took more than 50 ms");
		}
		judge.suspect = true;
	}
	for (unsigned i = 0; i < judge.ring_count; i++) {
		const struct ring *r = &judge.rings[i];

		if (r->live && (int64_t)r->pops > (int64_t)(POPS_PER_ENT * r->size_max)) {
			judge_die("bounds", "one kick popped far more than the ring holds");
		}
	}
}

void judge_end(void)
{
	if (--judge.depth > 0) {
		return;
	}
	hot = false;
	watch_undo();
	judge_compare();
	check_bounds();
}

/* ---- what a harness says and asks ---- */

void judge_reset(void)
{
	static bool installed;

	if (!installed && __sanitizer_install_malloc_and_free_hooks) {
		(void)__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
	}
	installed = true;
#ifdef FUZZ_WATCH
	judge.sees_loads = true;
#endif
	hot = false;
	judge.depth = 0;
	judge.op = OP_NONE;
	judge.suspect = false;
	watch_undo();
	judge.fd = lowest_free_fd();
}

bool judge_again(void)
{
	if (lowest_free_fd() != judge.fd) {
		judge_die("bounds", "the table of file descriptors changed");
	}
	judge.exact = judge.suspect && !judge.exact;
	return judge.exact;
}

void judge_kill(jmp_buf *where, unsigned stores)
{
	judge.kill = where;
	judge.kill_after = stores;
}

/* Less of what costs time and shows nothing here; what the environment says counts more. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "malloc_context_size=4:quarantine_size_mb=16";
}

void judge_rules(unsigned rules)
{
	judge.rules = rules;
}

void judge_load(const void *p, size_t len)
{
	if (judge.sees_loads) {
		watch_load(p, len);
	}
}

void judge_store(const void *p, size_t len)
{
	if (judge.sees_loads) {
		watch_store(p, len);
	}
}

const struct vmm_virtq *judge_queue_at(const void *desc)
{
	for (unsigned i = 0; i < judge.ring_count; i++) {
		if (judge.rings[i].live && judge.rings[i].desc == desc) {
			return judge.rings[i].q;
		}
	}
	return NULL;
}

const struct judge_peek *judge_last(void)
{
	return &judge.peek;
}

void judge_on_flush(void (*fn)(void *ctx, struct vmm_virtq *q), void *ctx)
{
	judge.on_flush = fn;
	judge.flush_ctx = ctx;
}

void judge_allow_reads(bool on)
{
	judge.reads_allowed = on;
}

void judge_allow_writes(bool on)
{
	if (on) {
		judge_compare();
	}
	judge.writes_allowed = on;
	if (!on) {
		judge_remember();
	}
}

void judge_flip(bool on)
{
	judge.flip = on;
}

const struct judge_totals *judge_totals(void)
{
	return &judge.totals;
}

bool judge_sees_loads(void)
{
#ifdef FUZZ_WATCH
	return true;
#else
	return false;
#endif
}
