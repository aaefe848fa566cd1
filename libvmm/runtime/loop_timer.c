/* SPDX-License-Identifier: MIT */
/*
 * Timers: a list of those that are armed, the nearest first, which bounds how long the loop sleeps.
 * So arming one costs no system call and no descriptor. A foreign loop that waits for vmm_loop_fd
 * does not know that bound: it gets a timerfd in the epoll set, always set to the nearest timer.
 */
#include "runtime/loop_priv.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS     UINT64_C(1000000)

uint64_t vmm_loop_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

static void update_timer_fd(struct vmm_loop *loop)
{
	uint64_t due = loop->timers ? loop->timers->due : 0;
	struct itimerspec when = {
		.it_value.tv_sec = (time_t)(due / NS_PER_SECOND),
		.it_value.tv_nsec = (long)(due % NS_PER_SECOND),
	};

	/* Setting it also makes it unreadable, so nobody ever reads it. */
	if (loop->timer_fd >= 0 && due != loop->timer_fd_due &&
	    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0) {
		loop->timer_fd_due = due;
	}
}

int vmm_loop_make_timer_fd(struct vmm_loop *loop)
{
	/* Known by this address: it is nobody's source. */
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = loop};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int ret;

	if (fd < 0) {
		return -errno;
	}
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
		ret = -errno;
		(void)close(fd);
		return ret;
	}
	loop->timer_fd = fd;
	update_timer_fd(loop);
	return 0;
}

int vmm_loop_wait_ms(const struct vmm_loop *loop, int timeout_ms)
{
	uint64_t now;
	uint64_t left;

	if (!loop->timers || timeout_ms == 0) {
		return timeout_ms;
	}
	now = vmm_loop_now_ns();
	if (loop->timers->due <= now) {
		return 0;
	}
	/* Rounded up: who wakes too early finds nothing due and has to sleep again. */
	left = (loop->timers->due - now - 1) / NS_PER_MS + 1;
	if (left > INT_MAX) {
		left = INT_MAX;
	}
	return timeout_ms < 0 || left < (uint64_t)timeout_ms ? (int)left : timeout_ms;
}

static void unlink_timer(struct vmm_source *source)
{
	struct vmm_source **at = &source->loop->timers;

	while (*at != source) {
		at = &(*at)->later;
	}
	*at = source->later;
	source->later = NULL;
	source->armed = false;
}

static void link_timer(struct vmm_source *source)
{
	struct vmm_source **at = &source->loop->timers;

	/* Behind those of the same time: first come, first served. */
	while (*at && (*at)->due <= source->due) {
		at = &(*at)->later;
	}
	source->later = *at;
	source->armed = true;
	*at = source;
}

void vmm_source_disarm(struct vmm_source *source)
{
	if (source->armed) {
		unlink_timer(source);
		update_timer_fd(source->loop);
	}
}

int vmm_source_arm(struct vmm_source *source, uint64_t delay_ns)
{
	uint64_t now;

	if (source->kind != SOURCE_TIMER) {
		return -EINVAL;
	}
	if (source->armed) {
		unlink_timer(source);
	}
	if (delay_ns > 0) {
		now = vmm_loop_now_ns();
		source->due = delay_ns < UINT64_MAX - now ? now + delay_ns : UINT64_MAX;
		link_timer(source);
	}
	update_timer_fd(source->loop);
	return 0;
}

int vmm_loop_run_timers(struct vmm_loop *loop)
{
	uint64_t now;
	int ran = 0;

	if (!loop->timers) {
		return 0;
	}
	/* One that is armed from now on is due later than this, so the loop has an end. */
	now = vmm_loop_now_ns();
	while (loop->timers && loop->timers->due <= now) {
		struct vmm_source *source = loop->timers;

		unlink_timer(source);
		source->fn.timer(source->ctx);
		ran++;
	}
	update_timer_fd(loop);
	return ran;
}
