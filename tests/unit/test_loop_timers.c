/* SPDX-License-Identifier: MIT */
/* Timers, the loop's descriptor that they make readable, and sources that are used again. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <vmm/loop.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"

#define MS UINT64_C(1000000)

struct probe {
	struct vmm_source *self;
	struct vmm_source *other;
	unsigned calls;
};

static struct vmm_loop *new_loop(void)
{
	struct vmm_loop *loop;

	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	return loop;
}

static int ready_fd(void)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void on_timer(void *ctx)
{
	((struct probe *)ctx)->calls++;
}

static void on_fd(void *ctx, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	on_timer(ctx);
}

START_TEST(loop_timer_fires_once_and_can_be_disarmed)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};

	ck_assert_int_eq(vmm_loop_add_timer(loop, on_timer, &p, &p.self), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 10), 0);
	ck_assert_int_eq(vmm_source_arm(p.self, MS), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, -1), 1);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 10), 0);
	ck_assert_int_eq(vmm_source_arm(p.self, MS), 0);
	ck_assert_int_eq(vmm_source_arm(p.self, 0), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 10), 0);
	ck_assert_uint_eq(p.calls, 1);
	vmm_loop_destroy(loop);
}
END_TEST

struct order {
	struct vmm_loop *loop;
	struct vmm_source *timer[4];
	char seen[16];
	size_t count;
};

/* What a timer is known by in these tests. */
struct mark {
	struct order *order;
	char letter;
};

static void on_mark(void *ctx)
{
	struct mark *m = ctx;

	m->order->seen[m->order->count++] = m->letter;
}

static void on_mark_fd(void *ctx, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	on_mark(ctx);
}

static void wait_ms(unsigned ms)
{
	(void)usleep(ms * 1000);
}

START_TEST(loop_timers_run_in_order_and_before_descriptors)
{
	struct order o = {.loop = new_loop()};
	struct mark marks[] = {{&o, 'a'}, {&o, 'b'}, {&o, 'c'}, {&o, 'd'}, {&o, 'F'}};
	static const uint64_t delays[] = {3 * MS, 1 * MS, 2 * MS, UINT64_MAX};
	struct vmm_source *source;
	int fd = ready_fd();

	ck_assert_int_eq(
		vmm_loop_add_fd(o.loop, fd, VMM_LOOP_READABLE, on_mark_fd, &marks[4], &source), 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(vmm_loop_add_timer(o.loop, on_mark, &marks[i], &o.timer[i]), 0);
		ck_assert_int_eq(vmm_source_arm(o.timer[i], delays[i]), 0);
	}
	wait_ms(10);
	ck_assert_int_eq(vmm_loop_dispatch(o.loop, 0), 4);
	ck_assert_str_eq(o.seen, "bcaF");
	vmm_loop_destroy(o.loop);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(loop_timer_is_not_early_and_hardly_late)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};

	ck_assert_int_eq(vmm_loop_add_timer(loop, on_timer, &p, &p.self), 0);
	for (uint64_t delay = 1; delay <= 20 * MS; delay = delay * 3 + 1) {
		struct timespec from;
		struct timespec to;
		uint64_t took;

		(void)clock_gettime(CLOCK_MONOTONIC, &from);
		ck_assert_int_eq(vmm_source_arm(p.self, delay), 0);
		/* One call: no wake-up comes too early. */
		ck_assert_int_eq(vmm_loop_dispatch(loop, -1), 1);
		(void)clock_gettime(CLOCK_MONOTONIC, &to);
		took = (uint64_t)(to.tv_sec - from.tv_sec) * 1000 * MS + (uint64_t)to.tv_nsec -
		       (uint64_t)from.tv_nsec;
		ck_assert_uint_ge(took, delay);
		ck_assert_uint_lt(took, delay + 500 * MS);
	}
	vmm_loop_destroy(loop);
}
END_TEST

START_TEST(loop_timeout_shorter_than_the_timer_is_kept)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};

	ck_assert_int_eq(vmm_loop_add_timer(loop, on_timer, &p, &p.self), 0);
	ck_assert_int_eq(vmm_source_arm(p.self, 20000 * MS), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 2), 0);
	ck_assert_uint_eq(p.calls, 0);
	vmm_loop_destroy(loop);
}
END_TEST

static void on_timer_remove_other(void *ctx)
{
	struct probe *p = ctx;

	p->calls++;
	vmm_source_remove(p->other);
	vmm_source_remove(p->self);
}

START_TEST(loop_timer_may_remove_itself_and_one_that_is_due)
{
	struct vmm_loop *loop = new_loop();
	struct probe first = {0};
	struct probe second = {0};

	ck_assert_int_eq(vmm_loop_add_timer(loop, on_timer_remove_other, &first, &first.self), 0);
	ck_assert_int_eq(vmm_loop_add_timer(loop, on_timer, &second, &first.other), 0);
	ck_assert_int_eq(vmm_source_arm(first.self, 1), 0);
	ck_assert_int_eq(vmm_source_arm(first.other, 2), 0);
	wait_ms(2);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 1);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 5), 0);
	ck_assert_uint_eq(second.calls, 0);
	vmm_loop_destroy(loop);
}
END_TEST

static void on_timer_again(void *ctx)
{
	struct probe *p = ctx;

	p->calls++;
	ck_assert_int_eq(vmm_source_arm(p->self, 1), 0);
}

START_TEST(loop_timer_that_arms_itself_does_not_starve)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};
	struct probe q = {0};
	int fd = ready_fd();

	ck_assert_int_eq(vmm_loop_add_timer(loop, on_timer_again, &p, &p.self), 0);
	ck_assert_int_eq(vmm_loop_add_fd(loop, fd, VMM_LOOP_READABLE, on_fd, &q, &q.self), 0);
	ck_assert_int_eq(vmm_source_arm(p.self, 1), 0);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 2);
	}
	ck_assert_uint_eq(p.calls, 10);
	ck_assert_uint_eq(q.calls, 10);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(loop_fd_is_readable_when_a_timer_is_due)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};
	struct probe later = {0};
	struct pollfd pfd = {.events = POLLIN};

	ck_assert_int_eq(vmm_loop_add_timer(loop, on_timer, &p, &p.self), 0);
	ck_assert_int_eq(vmm_loop_add_timer(loop, on_timer, &later, &later.self), 0);
	ck_assert_int_eq(vmm_source_arm(p.self, 3 * MS), 0);
	/* Armed before somebody asked, and then nearer and farther than what is set. */
	pfd.fd = vmm_loop_fd(loop);
	ck_assert_int_eq(vmm_loop_fd(loop), pfd.fd);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	ck_assert_int_eq(poll(&pfd, 1, 1000), 1);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 1);
	ck_assert_int_eq(poll(&pfd, 1, 10), 0);
	ck_assert_int_eq(vmm_source_arm(later.self, 20000 * MS), 0);
	ck_assert_int_eq(vmm_source_arm(p.self, 2 * MS), 0);
	ck_assert_int_eq(poll(&pfd, 1, 1000), 1);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 1);
	ck_assert_int_eq(poll(&pfd, 1, 10), 0);
	/* One that is taken back, or removed, leaves nothing to do. */
	ck_assert_int_eq(vmm_source_arm(p.self, 1), 0);
	ck_assert_int_eq(poll(&pfd, 1, 1000), 1);
	ck_assert_int_eq(vmm_source_arm(p.self, 0), 0);
	ck_assert_int_eq(poll(&pfd, 1, 10), 0);
	ck_assert_int_eq(vmm_source_arm(p.self, 1), 0);
	ck_assert_int_eq(poll(&pfd, 1, 1000), 1);
	vmm_source_remove(p.self);
	ck_assert_int_eq(poll(&pfd, 1, 10), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 0);
	vmm_loop_destroy(loop);
}
END_TEST

START_TEST(loop_fd_that_cannot_be_made_fails_cleanly)
{
	struct faultinj f = {0};
	struct vmm_loop *loop = new_loop();
	unsigned fds = fdcount();

	while (faultinj_next(&f)) {
		int ret = vmm_loop_fd(loop);

		faultinj_stop(&f);
		ck_assert_int_eq(ret < 0, f.failed != NULL);
		ck_assert_uint_eq(fdcount(), ret < 0 ? fds : fds + 1);
	}
	ck_assert_uint_eq(f.n, 3);
	vmm_loop_destroy(loop);
}
END_TEST

/*
 * As many as a device has when the driver sets it up: descriptors and timers. With SUITE_REQUIRE,
 * since what check's own asserts allocate would be counted.
 */
static void add_and_remove(struct vmm_loop *loop, const int *fds, struct probe *p)
{
	struct vmm_source *sources[8];

	for (int i = 0; i < 8; i++) {
		int ret = i % 2 ? vmm_loop_add_timer(loop, on_timer, p, &sources[i])
				: vmm_loop_add_fd(loop, fds[i], VMM_LOOP_READABLE, on_fd, p,
						  &sources[i]);

		SUITE_REQUIRE(ret == 0);
		if (i % 2) {
			SUITE_REQUIRE(vmm_source_arm(sources[i], 1) == 0);
		} else {
			SUITE_REQUIRE(vmm_loop_add_fd(loop, fds[i], VMM_LOOP_READABLE, on_fd, p,
						      &p->other) == -EEXIST);
		}
	}
	SUITE_REQUIRE(vmm_loop_dispatch(loop, 10) > 0);
	for (int i = 0; i < 8; i++) {
		vmm_source_remove(sources[i]);
	}
	SUITE_REQUIRE(vmm_loop_dispatch(loop, 0) == 0);
}

START_TEST(loop_sources_that_come_and_go_allocate_nothing)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};
	struct faultinj_watch w;
	unsigned open_fds;
	int fds[8];

	for (int i = 0; i < 8; i++) {
		fds[i] = ready_fd();
	}
	open_fds = fdcount();
	add_and_remove(loop, fds, &p);
	faultinj_watch(&w);
	for (int i = 0; i < 20; i++) {
		add_and_remove(loop, fds, &p);
	}
	faultinj_unwatch();
	ck_assert_msg(w.calls == 0, "%u calls, first %s", w.calls, w.first);
	ck_assert_uint_eq(fdcount(), open_fds);
	vmm_loop_destroy(loop);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(close(fds[i]), 0);
	}
}
END_TEST

SUITE_MAIN("loop_timers", loop_timers_run_in_order_and_before_descriptors,
	   loop_timer_is_not_early_and_hardly_late, loop_timeout_shorter_than_the_timer_is_kept,
	   loop_timer_may_remove_itself_and_one_that_is_due,
	   loop_timer_that_arms_itself_does_not_starve, loop_fd_is_readable_when_a_timer_is_due,
	   loop_fd_that_cannot_be_made_fails_cleanly,
	   loop_sources_that_come_and_go_allocate_nothing,
	   loop_timer_fires_once_and_can_be_disarmed)
