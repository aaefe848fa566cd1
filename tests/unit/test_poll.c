/* SPDX-License-Identifier: MIT */
/* Looking instead of sleeping: the loop's windows, and what drivers are asked for meanwhile. */
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <vmm/loop.h>

#include "fakedrv.h"
#include "suite.h"
#include "testdev.h"

#define MAX_NS UINT64_C(1000000)

/* ---- the loop ---- */

static struct {
	struct vmm_loop *loop;
	unsigned looks;
	unsigned rests;
	unsigned finds;     /* how often looking is to find something; UINT_MAX: always */
	unsigned late;      /* what rest is to find */
	bool goes_away;     /* poll takes the poller away */
	unsigned callbacks; /* of descriptors and timers */
} p;

static bool look(void *ctx)
{
	(void)ctx;
	p.looks++;
	if (p.goes_away) {
		vmm_loop_set_poller(p.loop, NULL, 0);
	}
	if (p.finds > 0 && p.finds != UINT32_MAX) {
		p.finds--;
		return true;
	}
	return p.finds > 0;
}

static bool rest(void *ctx)
{
	(void)ctx;
	p.rests++;
	if (p.late > 0) {
		p.late--;
		return true;
	}
	return false;
}

static void start(uint64_t max_ns)
{
	const struct vmm_loop_poller poller = {.poll = look, .rest = rest};

	p.looks = p.rests = p.finds = p.late = p.callbacks = 0;
	p.goes_away = false;
	ck_assert_int_eq(vmm_loop_create(&p.loop), 0);
	vmm_loop_set_poller(p.loop, &poller, max_ns);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

START_TEST(poll_idle_loop_stops_looking)
{
	unsigned looks;

	start(MAX_NS);
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(vmm_loop_dispatch(p.loop, 3), 0);
	}
	/* Each window but the last was half as long; each ended with a rest. */
	ck_assert_uint_ge(p.rests, 5);
	ck_assert_uint_le(p.rests, 12);
	looks = p.looks;
	ck_assert_uint_gt(looks, 0);
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(vmm_loop_dispatch(p.loop, 3), 0);
	}
	ck_assert_uint_eq(p.looks, looks);
	vmm_loop_destroy(p.loop);
}
END_TEST

START_TEST(poll_what_is_found_is_told_and_then_the_loop_sleeps)
{
	start(MAX_NS);
	p.finds = 3;
	ck_assert_int_eq(vmm_loop_dispatch(p.loop, 1000), 1);
	ck_assert_uint_eq(p.finds, 0);
	ck_assert_uint_eq(p.rests, 1);
	/* Nothing has happened since: no second window. */
	p.looks = 0;
	ck_assert_int_eq(vmm_loop_dispatch(p.loop, 3), 0);
	ck_assert_uint_eq(p.looks, 0);
	ck_assert_uint_eq(p.rests, 1);
	vmm_loop_destroy(p.loop);
}
END_TEST

START_TEST(poll_what_comes_while_resting_is_not_slept_over)
{
	uint64_t began = now_ns();

	start(MAX_NS);
	p.late = 1;
	ck_assert_int_eq(vmm_loop_dispatch(p.loop, 10000), 1);
	ck_assert_uint_lt(now_ns() - began, UINT64_C(5000000000));
	vmm_loop_destroy(p.loop);
}
END_TEST

static void count(void *ctx, int fd, uint32_t events)
{
	uint64_t value;

	(void)ctx;
	(void)events;
	ck_assert_int_eq(read(fd, &value, sizeof(value)), sizeof(value));
	p.callbacks++;
}

static void count_timer(void *ctx)
{
	(void)ctx;
	p.callbacks++;
}

START_TEST(poll_that_always_finds_starves_nobody)
{
	struct vmm_source *source;
	struct vmm_source *timer;
	uint64_t one = 1;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	start(MAX_NS);
	p.finds = UINT32_MAX;
	ck_assert_int_eq(vmm_loop_add_fd(p.loop, fd, VMM_LOOP_READABLE, count, NULL, &source), 0);
	ck_assert_int_eq(vmm_loop_add_timer(p.loop, count_timer, NULL, &timer), 0);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	ck_assert_int_gt(vmm_loop_dispatch(p.loop, -1), 0);
	ck_assert_uint_eq(p.callbacks, 1);
	ck_assert_int_eq(vmm_source_arm(timer, UINT64_C(5000000)), 0);
	for (unsigned i = 0; i < 1000 && p.callbacks < 2; i++) {
		ck_assert_int_gt(vmm_loop_dispatch(p.loop, -1), 0);
	}
	ck_assert_uint_eq(p.callbacks, 2);
	ck_assert_uint_eq(p.rests, 0);
	vmm_loop_destroy(p.loop);
	(void)close(fd);
}
END_TEST

static void *write_soon(void *arg)
{
	const int *fd = arg;
	uint64_t one = 1;

	for (unsigned i = 0; i < 50; i++) {
		(void)usleep(200);
		(void)!write(*fd, &one, sizeof(one));
	}
	return NULL;
}

START_TEST(poll_short_sleeps_bring_it_back)
{
	struct vmm_source *source;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_t thread;

	start(UINT64_C(50000000));
	do {
		p.looks = 0;
		ck_assert_int_eq(vmm_loop_dispatch(p.loop, 60), 0);
	} while (p.looks > 0);
	ck_assert_int_eq(vmm_loop_add_fd(p.loop, fd, VMM_LOOP_READABLE, count, NULL, &source), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_soon, &fd), 0);
	for (unsigned i = 0; i < 50 && p.looks == 0; i++) {
		(void)vmm_loop_dispatch(p.loop, 60);
	}
	ck_assert_uint_gt(p.looks, 0);
	(void)pthread_join(thread, NULL);
	vmm_loop_destroy(p.loop);
	(void)close(fd);
}
END_TEST

START_TEST(poll_may_end_in_its_own_callback)
{
	start(MAX_NS);
	p.goes_away = true;
	p.finds = 1;
	ck_assert_int_ge(vmm_loop_dispatch(p.loop, 3), 0);
	ck_assert_uint_eq(p.looks, 1);
	ck_assert_uint_eq(p.rests, 0);
	ck_assert_int_eq(vmm_loop_dispatch(p.loop, 3), 0);
	ck_assert_uint_eq(p.looks, 1);
	/* And too short a window is none. */
	vmm_loop_destroy(p.loop);
	start(100);
	ck_assert_int_eq(vmm_loop_dispatch(p.loop, 3), 0);
	ck_assert_uint_eq(p.looks, 0);
	vmm_loop_destroy(p.loop);
}
END_TEST

/* ---- a device's queues ---- */

static struct testdev dev;

static struct fakedrv *driver(bool event_idx)
{
	struct fakedrv_options options = {.no_event_idx = !event_idx};
	struct fakedrv *drv;

	testdev_init(&dev);
	dev.echo = true;
	drv = fakedrv_create(&dev.base);
	ck_assert_int_eq(fakedrv_start(drv, &options), 0);
	fakedrv_run(drv);
	return drv;
}

static void add(struct fakedrv *drv)
{
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fakedrv_alloc(drv, 16), 16),
				     FAKEDRV_IN(fakedrv_alloc(drv, 16), 16)};

	ck_assert_int_ge(fakedrv_add(drv, 0, bufs, 2), 0);
}

START_TEST(poll_of_a_device_serves_without_kicks)
{
	struct fakedrv *drv = driver(_i != 0);
	struct vmm_carrier *c = fakedrv_carrier(drv);
	struct fakedrv_used used;

	ck_assert(!vmm_carrier_poll(c));
	for (unsigned i = 0; i < 200; i++) {
		add(drv);
		/* Nobody asks for a kick. */
		ck_assert_msg(!fakedrv_kick_if_needed(drv, 0), "request %u", i);
		ck_assert(vmm_carrier_poll(c));
		ck_assert(fakedrv_used(drv, 0, &used));
		ck_assert(!vmm_carrier_poll(c));
	}
	ck_assert_uint_eq(dev.echoed, 200);
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(poll_of_a_device_ends_with_kicks)
{
	struct fakedrv *drv = driver(_i != 0);
	struct vmm_carrier *c = fakedrv_carrier(drv);
	struct fakedrv_used used;

	ck_assert(!vmm_carrier_poll(c));
	ck_assert(!vmm_carrier_rest(c));
	add(drv);
	ck_assert(fakedrv_kick_if_needed(drv, 0));
	ck_assert(fakedrv_used(drv, 0, &used));

	/* What came before they were asked for is served by rest. */
	ck_assert(!vmm_carrier_poll(c));
	add(drv);
	ck_assert(!fakedrv_kick_if_needed(drv, 0));
	ck_assert(vmm_carrier_rest(c));
	ck_assert(fakedrv_used(drv, 0, &used));
	add(drv);
	ck_assert(fakedrv_kick_if_needed(drv, 0));
	ck_assert(fakedrv_used(drv, 0, &used));
	/* Without a poll before it, rest changes nothing. */
	ck_assert(!vmm_carrier_rest(c));
	fakedrv_destroy(drv);
}
END_TEST

/* A reset in the middle: the next driver is asked for kicks from the beginning. */
START_TEST(poll_of_a_device_is_forgotten_by_a_reset)
{
	struct fakedrv *drv = driver(_i != 0);
	struct fakedrv_options options = {.no_event_idx = _i == 0};
	struct vmm_carrier *c = fakedrv_carrier(drv);
	struct fakedrv_used used;

	ck_assert(!vmm_carrier_poll(c));
	fakedrv_reset(drv);
	ck_assert(!vmm_carrier_poll(c));
	ck_assert(!vmm_carrier_rest(c));
	ck_assert_int_eq(fakedrv_start(drv, &options), 0);
	fakedrv_run(drv);
	add(drv);
	ck_assert(fakedrv_kick_if_needed(drv, 0));
	ck_assert(fakedrv_used(drv, 0, &used));
	fakedrv_destroy(drv);
}
END_TEST

/* A device that has asked for kicks and can do nothing about them hears of each chain once, as it
 * would by kicks: else whoever looks would never sleep again. */
START_TEST(poll_of_a_device_that_takes_nothing_finds_each_chain_once)
{
	struct fakedrv *drv = driver(_i != 0);
	struct vmm_carrier *c = fakedrv_carrier(drv);

	dev.echo = false;
	ck_assert(!vmm_virtq_kick_enable(testdev_queue(&dev, 0)));
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(!vmm_carrier_poll(c));
		add(drv);
		ck_assert(vmm_carrier_poll(c));
		ck_assert(!vmm_carrier_poll(c));
		ck_assert(!vmm_carrier_rest(c));
		/* The next window begins where this one ended. */
		ck_assert(!vmm_carrier_poll(c));
		ck_assert(!vmm_carrier_rest(c));
	}
	fakedrv_destroy(drv);
}
END_TEST

/* One queue is broken, so none is served until the reset: the other's chains are not found again
 * and again. */
START_TEST(poll_of_a_device_that_needs_a_reset_lets_the_loop_sleep)
{
	struct fakedrv *drv = driver(_i != 0);
	struct vmm_carrier *c = fakedrv_carrier(drv);
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fakedrv_alloc(drv, 16), 16)};
	bool found = true;

	ck_assert(!vmm_carrier_poll(c));
	*fakedrv_ring(drv, 0)->avail_idx = 30000;
	ck_assert_int_ge(fakedrv_add(drv, 1, bufs, 1), 0);
	(void)vmm_carrier_poll(c);
	ck_assert(fakedrv_needs_reset(drv));
	for (unsigned i = 0; i < 10; i++) {
		found = vmm_carrier_poll(c);
		found = vmm_carrier_rest(c) || found;
	}
	ck_assert(!found);
	fakedrv_destroy(drv);
}
END_TEST

/* A device that has not asked for kicks is not bothered; a broken queue is not looked at for ever.
 */
START_TEST(poll_of_a_broken_queue_finds_nothing)
{
	struct fakedrv *drv = driver(true);
	struct vmm_carrier *c = fakedrv_carrier(drv);

	ck_assert(!vmm_carrier_poll(c));
	*fakedrv_ring(drv, 0)->avail_idx = 30000;
	(void)vmm_carrier_poll(c);
	for (unsigned i = 0; i < 10; i++) {
		ck_assert(!vmm_carrier_poll(c));
	}
	ck_assert(fakedrv_needs_reset(drv));
	ck_assert(!vmm_carrier_rest(c));
	fakedrv_destroy(drv);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		poll_idle_loop_stops_looking,
		poll_what_is_found_is_told_and_then_the_loop_sleeps,
		poll_what_comes_while_resting_is_not_slept_over,
		poll_that_always_finds_starves_nobody,
		poll_short_sleeps_bring_it_back,
		poll_may_end_in_its_own_callback,
		poll_of_a_broken_queue_finds_nothing,
	};
	const TTest *const both[] = {
		poll_of_a_device_serves_without_kicks,
		poll_of_a_device_ends_with_kicks,
		poll_of_a_device_is_forgotten_by_a_reset,
		poll_of_a_device_that_takes_nothing_finds_each_chain_once,
		poll_of_a_device_that_needs_a_reset_lets_the_loop_sleep,
	};
	Suite *suite = suite_create("poll");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, NULL, NULL);
	}
	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
		suite_add(suite, both[i], 2, NULL, NULL);
	}
	return suite_finish(suite);
}
