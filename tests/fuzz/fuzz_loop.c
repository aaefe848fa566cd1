/* SPDX-License-Identifier: MIT */
/*
 * An event loop whose callbacks do anything: add, change, arm, post, cancel and remove, themselves
 * included, and dispatch posted work from inside. Time is the input's.
 *   - no callback runs for a source that was removed, or for what it was not asked to watch,
 *   - a timer fires once for each time it was armed, when it is due, the nearest first,
 *   - work runs once for each time it was posted, unless it was taken back,
 *   - and when the loop has come to rest nothing is left that should have run.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <vmm/loop.h>

#include "input.h"
#include "judge.h"

#define COUNT      6u
#define STEPS_MAX  300u
#define ROUNDS_MAX 1000u
#define NS_PER_MS  UINT64_C(1000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct watch {
	struct vmm_source *source; /* NULL: not added */
	uint32_t events;
	int fd;
	bool full; /* somebody wrote to it */
};

struct timer {
	struct vmm_source *source;
	uint64_t due; /* 0: not armed */
};

struct work {
	struct vmm_work work;
	bool posted;
};

static struct {
	struct vmm_loop *loop;
	struct fuzz_input *in;
	struct watch watches[COUNT];
	struct timer timers[COUNT];
	struct work works[COUNT];
	uint64_t now_ns;
	unsigned depth;
	unsigned nested; /* steps made by callbacks */
} f;

/* ---- time ---- */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC || f.now_ns == 0) {
		return __real_clock_gettime(id, ts);
	}
	ts->tv_sec = (time_t)(f.now_ns / 1000000000);
	ts->tv_nsec = (long)(f.now_ns % 1000000000);
	return 0;
}

/* ---- callbacks ---- */

static void step(uint8_t op);

/* What a callback does is the input's, too, but not without end. */
static void do_anything(void)
{
	if (f.depth < 3 && f.nested < STEPS_MAX && f.in->size > 0) {
		f.depth++;
		f.nested++;
		step(fuzz_u8(f.in));
		f.depth--;
	}
}

static void on_fd(void *ctx, int fd, uint32_t events)
{
	struct watch *w = ctx;
	uint64_t count;

	REQUIRE(w->source && w->fd == fd);
	REQUIRE(events != 0 && (events & ~w->events) == 0);
	REQUIRE(!(events & VMM_LOOP_READABLE) || w->full);
	if (events & VMM_LOOP_READABLE) {
		REQUIRE(read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count));
		w->full = false;
	}
	do_anything();
}

static void on_timer(void *ctx)
{
	struct timer *t = ctx;

	REQUIRE(t->source && t->due != 0 && t->due <= f.now_ns);
	for (unsigned i = 0; i < COUNT; i++) {
		REQUIRE(!f.timers[i].source || f.timers[i].due == 0 || f.timers[i].due >= t->due);
	}
	t->due = 0;
	do_anything();
}

static void on_work(void *ctx)
{
	struct work *w = ctx;

	REQUIRE(w->posted);
	w->posted = false;
	do_anything();
}

/* ---- steps ---- */

static void step_watch(struct watch *w, uint8_t op)
{
	uint32_t events = fuzz_u8(f.in) & (VMM_LOOP_READABLE | VMM_LOOP_WRITABLE);
	uint64_t one = 1;

	if (op & 0x80) {
		REQUIRE(write(w->fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
		w->full = true;
	} else if (!w->source) {
		REQUIRE(vmm_loop_add_fd(f.loop, w->fd, events, on_fd, w, &w->source) == 0);
		w->events = events;
	} else if (op & 0x40) {
		vmm_source_remove(w->source);
		w->source = NULL;
	} else {
		REQUIRE(vmm_source_set_events(w->source, events) == 0);
		w->events = events;
	}
}

static void step_timer(struct timer *t, uint8_t op)
{
	uint64_t delay = fuzz_u8(f.in) * NS_PER_MS / 4;

	if (!t->source) {
		REQUIRE(vmm_loop_add_timer(f.loop, on_timer, t, &t->source) == 0);
		t->due = 0;
	} else if ((op & 0xc0) == 0x40) {
		vmm_source_remove(t->source);
		t->source = NULL;
	} else {
		REQUIRE(vmm_source_arm(t->source, delay) == 0);
		t->due = delay ? f.now_ns + delay : 0;
	}
}

static void step_work(struct work *w, uint8_t op)
{
	if (op & 0x80) {
		vmm_loop_cancel(f.loop, &w->work);
		w->posted = false;
	} else {
		vmm_loop_post(f.loop, &w->work);
		w->posted = true;
	}
}

static bool is_resting(void)
{
	for (unsigned i = 0; i < COUNT; i++) {
		const struct watch *w = &f.watches[i];
		const struct timer *t = &f.timers[i];

		if (w->source && (w->events & VMM_LOOP_READABLE) && w->full) {
			return false;
		}
		if (f.works[i].posted || (t->source && t->due != 0 && t->due <= f.now_ns)) {
			return false;
		}
	}
	return true;
}

/* Until nothing is ready. Who waits to write never rests, so that is as often as it takes. */
static void step_dispatch(void)
{
	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		int ran = vmm_loop_dispatch(f.loop, 0);

		REQUIRE(ran >= 0);
		if (ran == 0 || is_resting()) {
			break;
		}
	}
	REQUIRE(is_resting());
}

static void step(uint8_t op)
{
	unsigned which = op / 8 % 8 % COUNT;

	switch (op % 8) {
	case 0:
	case 1:
		step_watch(&f.watches[which], op);
		break;
	case 2:
	case 3:
		step_timer(&f.timers[which], op);
		break;
	case 4:
	case 5:
		step_work(&f.works[which], op);
		break;
	case 6:
		f.now_ns += fuzz_u8(f.in) * NS_PER_MS / 8;
		break;
	default:
		if (f.depth > 0) {
			REQUIRE(vmm_loop_dispatch_posted(f.loop, 0) >= 0);
		} else {
			step_dispatch();
		}
		break;
	}
}

static void set_up(struct fuzz_input *in)
{
	memset(&f, 0, sizeof(f));
	f.in = in;
	f.now_ns = NS_PER_MS;
	judge_rules(0);
	judge_reset();
	REQUIRE(vmm_loop_create(&f.loop) == 0);
	for (unsigned i = 0; i < COUNT; i++) {
		f.watches[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		REQUIRE(f.watches[i].fd >= 0);
		f.works[i].work = (struct vmm_work){.fn = on_work, .ctx = &f.works[i]};
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	set_up(&in);
	if (size > 0 && fuzz_u8(&in) & 1) {
		/* For a foreign loop: timers are in the descriptor, too. */
		REQUIRE(vmm_loop_fd(f.loop) >= 0);
	}
	for (unsigned i = 0; i < STEPS_MAX && in.size > 0; i++) {
		step(fuzz_u8(&in));
	}
	step_dispatch();
	vmm_loop_destroy(f.loop);
	for (unsigned i = 0; i < COUNT; i++) {
		(void)close(f.watches[i].fd);
	}
	REQUIRE(!judge_again());
	return 0;
}
