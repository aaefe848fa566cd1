/* SPDX-License-Identifier: MIT */
/*
 * Looking before sleeping. Waking an idle processor takes longer than most requests, so a device
 * whose driver sends one request after the other is quicker if it looks for the next one. How long
 * is learnt: a window that closes in vain is halved, down to none; a sleep shorter than the longest
 * window means that looking would have paid, and doubles it.
 */
#include "runtime/loop_priv.h"

#include <stddef.h>
#include <sys/epoll.h>

/* Windows shorter than this are not worth the two changes of what drivers are asked for. */
#define SHORTEST_NS UINT64_C(4000)
/* Looks between two at everything else: descriptors, posted work. */
#define LOOKS 16u
/* Timers, and whoever keeps count of what the device did, have their turn this often. */
#define TURN_NS UINT64_C(2000000)

void vmm_loop_set_poller(struct vmm_loop *loop, const struct vmm_loop_poller *poller,
			 uint64_t max_ns)
{
	loop->poll_max = poller && max_ns >= SHORTEST_NS ? max_ns : 0;
	loop->poll_now = loop->poll_max;
	loop->poll_rested = false;
	loop->poll_since = 0;
	if (poller) {
		loop->poller = *poller;
	}
}

static void shrink(struct vmm_loop *loop)
{
	loop->poll_now /= 2;
	if (loop->poll_now < SHORTEST_NS) {
		loop->poll_now = 0;
	}
}

static void grow(struct vmm_loop *loop)
{
	uint64_t next = loop->poll_now < SHORTEST_NS ? SHORTEST_NS : loop->poll_now * 2;

	loop->poll_now = next < loop->poll_max ? next : loop->poll_max;
}

/* One window: since when there has been nothing. */
struct window {
	uint64_t began;
	uint64_t idle_since;
	uint64_t now;
	bool found;
};

static bool is_over(const struct vmm_loop *loop, const struct window *w)
{
	return w->now - w->idle_since >= loop->poll_now;
}

static void look(struct vmm_loop *loop, struct window *w)
{
	/* A callback may take the poller away. */
	for (unsigned i = 0; i < LOOKS && loop->poll_max > 0 && !is_over(loop, w); i++) {
		bool found = loop->poller.poll(loop->poller.ctx);

		w->now = vmm_loop_now_ns();
		if (found) {
			w->found = true;
			w->idle_since = w->now;
		}
	}
}

/* As vmm_loop_look_and_wait, and *over: it is time to sleep. */
static int look_around(struct vmm_loop *loop, struct epoll_event *events, int max, struct window *w,
		       bool *over)
{
	int count = 0;

	w->began = w->now = vmm_loop_now_ns();
	/* A window may be longer than a turn. */
	w->idle_since = loop->poll_since != 0 ? loop->poll_since : w->began;
	*over = false;
	while (count == 0 && !*over && w->now - w->began < TURN_NS) {
		look(loop, w);
		count = epoll_pwait(loop->epoll_fd, events, max, 0, NULL);
		*over = count == 0 && (loop->poll_max == 0 || is_over(loop, w));
	}
	loop->poll_since = count == 0 && !*over ? w->idle_since : 0;
	return count;
}

static int sleep_until_event(struct vmm_loop *loop, struct epoll_event *events, int max,
			     int timeout_ms)
{
	uint64_t began = vmm_loop_now_ns();
	int count = epoll_pwait(loop->epoll_fd, events, max, timeout_ms, NULL);

	if (vmm_loop_now_ns() - began < loop->poll_max) {
		grow(loop);
	}
	loop->poll_rested = false;
	return count;
}

int vmm_loop_look_and_wait(struct vmm_loop *loop, struct epoll_event *events, int max,
			   int timeout_ms, bool *looked)
{
	struct window w = {0};
	bool over;
	int count;

	*looked = false;
	if (loop->poll_max == 0 || timeout_ms == 0) {
		return epoll_pwait(loop->epoll_fd, events, max, timeout_ms, NULL);
	}
	if (loop->poll_now == 0 || loop->poll_rested) {
		return sleep_until_event(loop, events, max, timeout_ms);
	}
	count = look_around(loop, events, max, &w, &over);
	*looked = w.found;
	if (!over || loop->poll_max == 0) {
		return count;
	}
	if (!w.found) {
		shrink(loop);
	}
	if (loop->poller.rest(loop->poller.ctx)) {
		*looked = true;
		return 0;
	}
	if (w.found) {
		/* The caller hears of what was done; then the loop sleeps. */
		loop->poll_rested = true;
		return 0;
	}
	return sleep_until_event(loop, events, max, timeout_ms);
}
