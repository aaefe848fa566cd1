/* SPDX-License-Identifier: MIT */
/*
 * The event loop: epoll, with an eventfd that wakes it for posted work. A removed source leaves the
 * epoll set at once but is not used again until the batch that may still name it is over.
 */
#include "runtime/loop_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BATCH 32

int vmm_loop_create(struct vmm_loop **out)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	struct vmm_loop *loop = calloc(1, sizeof(*loop));
	int ret;

	*out = NULL;
	if (!loop) {
		return -ENOMEM;
	}
	loop->wake_fd = -1;
	loop->timer_fd = -1;
	loop->thread = pthread_self();
	(void)pthread_mutex_init(&loop->lock, NULL);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		goto error;
	}
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0) {
		goto error;
	}
	/* The wake-up is the one event without a source. */
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev) != 0) {
		goto error;
	}
	*out = loop;
	return 0;
error:
	ret = -errno;
	vmm_loop_destroy(loop);
	return ret;
}

static void retire(struct vmm_source *source)
{
	struct vmm_loop *loop = source->loop;

	if (source->kind == SOURCE_SIGNAL) {
		(void)close(source->fd);
	}
	source->next = loop->spare;
	loop->spare = source;
}

void vmm_loop_collect(struct vmm_loop *loop)
{
	while (loop->dead && loop->depth == 0) {
		struct vmm_source *source = loop->dead;

		loop->dead = source->next;
		retire(source);
	}
}

void vmm_loop_destroy(struct vmm_loop *loop)
{
	if (!loop) {
		return;
	}
	while (loop->sources) {
		vmm_source_remove(loop->sources);
	}
	loop->depth = 0;
	vmm_loop_collect(loop);
	while (loop->spare) {
		struct vmm_source *source = loop->spare;

		loop->spare = source->next;
		free(source);
	}
	if (loop->timer_fd >= 0) {
		(void)close(loop->timer_fd);
	}
	if (loop->wake_fd >= 0) {
		(void)close(loop->wake_fd);
	}
	if (loop->epoll_fd >= 0) {
		(void)close(loop->epoll_fd);
	}
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop);
}

int vmm_loop_fd(struct vmm_loop *loop)
{
	int ret = loop->timer_fd < 0 ? vmm_loop_make_timer_fd(loop) : 0;

	return ret < 0 ? ret : loop->epoll_fd;
}

/* ---- sources ---- */

static uint32_t to_epoll(uint32_t events)
{
	return (events & VMM_LOOP_READABLE ? EPOLLIN : 0u) |
	       (events & VMM_LOOP_WRITABLE ? EPOLLOUT : 0u);
}

static uint32_t from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? VMM_LOOP_READABLE : 0u) |
	       (events & EPOLLOUT ? VMM_LOOP_WRITABLE : 0u) |
	       (events & EPOLLHUP ? VMM_LOOP_HANGUP : 0u) |
	       (events & EPOLLERR ? VMM_LOOP_ERROR : 0u);
}

static int watch(struct vmm_source *source, uint32_t events)
{
	struct epoll_event ev = {.events = to_epoll(events), .data.ptr = source};
	int op = source->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (events == 0) {
		/* epoll reports hang-ups even for an empty set, so a paused source has to leave it.
		 */
		if (source->watched) {
			(void)epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
			source->watched = false;
		}
		return 0;
	}
	if (source->watched && source->asked == ev.events) {
		return 0;
	}
	if (epoll_ctl(source->loop->epoll_fd, op, source->fd, &ev) != 0) {
		return -errno;
	}
	source->watched = true;
	source->asked = ev.events;
	return 0;
}

static struct vmm_source *new_source(struct vmm_loop *loop, enum vmm_source_kind kind, int fd,
				     void *ctx)
{
	struct vmm_source *source = loop->spare;

	if (source) {
		loop->spare = source->next;
		memset(source, 0, sizeof(*source));
	} else {
		source = calloc(1, sizeof(*source));
	}
	if (!source) {
		return NULL;
	}
	source->loop = loop;
	source->kind = kind;
	source->fd = fd;
	source->ctx = ctx;
	return source;
}

static void link_source(struct vmm_source *source)
{
	struct vmm_loop *loop = source->loop;

	source->next = loop->sources;
	if (loop->sources) {
		loop->sources->prev = source;
	}
	loop->sources = source;
}

int vmm_loop_add_fd(struct vmm_loop *loop, int fd, uint32_t events, vmm_loop_fd_fn fn, void *ctx,
		    struct vmm_source **out)
{
	struct vmm_source *source = new_source(loop, SOURCE_FD, fd, ctx);
	int ret;

	*out = NULL;
	if (!source) {
		return -ENOMEM;
	}
	source->fn.fd = fn;
	ret = watch(source, events);
	if (ret < 0) {
		retire(source);
		return ret;
	}
	link_source(source);
	*out = source;
	return 0;
}

int vmm_source_set_events(struct vmm_source *source, uint32_t events)
{
	return watch(source, events);
}

int vmm_loop_add_timer(struct vmm_loop *loop, vmm_loop_timer_fn fn, void *ctx,
		       struct vmm_source **out)
{
	struct vmm_source *source = new_source(loop, SOURCE_TIMER, -1, ctx);

	*out = source;
	if (!source) {
		return -ENOMEM;
	}
	source->fn.timer = fn;
	link_source(source);
	return 0;
}

/* Takes fd in any case. */
static int add_signal_fd(struct vmm_loop *loop, int fd, vmm_loop_signal_fn fn, void *ctx,
			 struct vmm_source **out)
{
	struct vmm_source *source = new_source(loop, SOURCE_SIGNAL, fd, ctx);
	int ret;

	if (!source) {
		(void)close(fd);
		return -ENOMEM;
	}
	source->fn.signal = fn;
	ret = watch(source, VMM_LOOP_READABLE);
	if (ret < 0) {
		retire(source);
		return ret;
	}
	link_source(source);
	*out = source;
	return 0;
}

int vmm_loop_add_signals(struct vmm_loop *loop, const int *signos, size_t count,
			 vmm_loop_signal_fn fn, void *ctx, struct vmm_source **out)
{
	sigset_t set;
	int fd;

	*out = NULL;
	(void)sigemptyset(&set);
	for (size_t i = 0; i < count; i++) {
		if (sigaddset(&set, signos[i]) != 0) {
			return -EINVAL;
		}
	}
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	return add_signal_fd(loop, fd, fn, ctx, out);
}

void vmm_source_remove(struct vmm_source *source)
{
	struct vmm_loop *loop;

	if (!source) {
		return;
	}
	loop = source->loop;
	(void)watch(source, 0);
	vmm_source_disarm(source);
	source->removed = true;
	if (source->prev) {
		source->prev->next = source->next;
	} else {
		loop->sources = source->next;
	}
	if (source->next) {
		source->next->prev = source->prev;
	}
	source->next = loop->dead;
	loop->dead = source;
	vmm_loop_collect(loop);
}

/* ---- dispatch ---- */

static void dispatch_signal(struct vmm_source *source)
{
	struct signalfd_siginfo info;

	while (!source->removed && read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		source->fn.signal(source->ctx, (int)info.ssi_signo);
	}
}

static void dispatch_source(struct vmm_source *source, uint32_t events)
{
	switch (source->kind) {
	case SOURCE_FD:
		source->fn.fd(source->ctx, source->fd, from_epoll(events));
		break;
	case SOURCE_SIGNAL:
		dispatch_signal(source);
		break;
	case SOURCE_TIMER: /* not in the epoll set */
		break;
	}
}

static int dispatch_event(struct vmm_loop *loop, const struct epoll_event *event)
{
	struct vmm_source *source = event->data.ptr;
	uint32_t events;

	if (!source) {
		return vmm_loop_run_posted(loop);
	}
	if (event->data.ptr == loop) {
		return 0; /* the timers have run */
	}
	if (source->removed || !source->watched) {
		return 0;
	}
	/* An earlier callback of this batch may have changed what is asked for. */
	events = event->events & (source->asked | EPOLLERR | EPOLLHUP);
	if (events == 0) {
		return 0;
	}
	dispatch_source(source, events);
	return 1;
}

int vmm_loop_dispatch(struct vmm_loop *loop, int timeout_ms)
{
	struct epoll_event events[BATCH];
	bool looked;
	int ran;
	int count;

	__atomic_store_n(&loop->thread, pthread_self(), __ATOMIC_RELEASE);
	/* epoll_pwait and not epoll_wait: one system call whatever the libc and the machine. */
	count = vmm_loop_look_and_wait(loop, events, BATCH, vmm_loop_wait_ms(loop, timeout_ms),
				       &looked);
	if (count < 0) {
		return errno == EINTR ? 0 : -errno;
	}
	loop->depth++;
	/* First, since a batch of descriptors may take long. */
	ran = vmm_loop_run_timers(loop) + (looked ? 1 : 0);
	for (int i = 0; i < count; i++) {
		ran += dispatch_event(loop, &events[i]);
	}
	loop->depth--;
	vmm_loop_collect(loop);
	return ran;
}

int vmm_loop_run(struct vmm_loop *loop)
{
	while (!__atomic_exchange_n(&loop->stopping, false, __ATOMIC_ACQ_REL)) {
		int ret = vmm_loop_dispatch(loop, -1);

		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

void vmm_loop_stop(struct vmm_loop *loop)
{
	__atomic_store_n(&loop->stopping, true, __ATOMIC_RELEASE);
	vmm_loop_wake(loop);
}
