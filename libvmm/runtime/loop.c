/* SPDX-License-Identifier: MIT */
/*
 * The event loop: epoll, with an eventfd that wakes it for posted work. A removed source leaves the
 * epoll set at once but its memory lives until the batch that may still name it is over.
 */
#include <vmm/loop.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH         32
#define NS_PER_SECOND UINT64_C(1000000000)

enum kind {
	KIND_FD,
	KIND_TIMER,
	KIND_SIGNAL,
};

struct vmm_source {
	struct vmm_loop *loop;
	enum kind kind;
	int fd;       /* the caller's for KIND_FD, else owned */
	bool watched; /* in the epoll set */
	bool removed;
	union {
		vmm_loop_fd_fn fd;
		vmm_loop_timer_fn timer;
		vmm_loop_signal_fn signal;
	} fn;
	void *ctx;
	struct vmm_source *prev;
	struct vmm_source *next;
};

struct vmm_loop {
	int epoll_fd;
	int wake_fd;
	pid_t thread;  /* atomic: the thread that owns the loop */
	bool stopping; /* atomic */
	unsigned depth;
	struct vmm_source *sources;
	struct vmm_source *dead; /* removed, to be freed when no batch is in progress */

	pthread_mutex_t lock; /* the queue of posted work */
	struct vmm_work *first;
	struct vmm_work *last;
};

static void wake(struct vmm_loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN means the counter is at its maximum: the loop is awake already. */
	(void)!write(loop->wake_fd, &one, sizeof(one));
}

static void drain_wake(struct vmm_loop *loop)
{
	uint64_t count;

	(void)!read(loop->wake_fd, &count, sizeof(count));
}

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
	loop->thread = gettid();
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

static void free_source(struct vmm_source *source)
{
	if (source->kind != KIND_FD) {
		(void)close(source->fd);
	}
	free(source);
}

static void free_dead(struct vmm_loop *loop)
{
	while (loop->dead) {
		struct vmm_source *source = loop->dead;

		loop->dead = source->next;
		free_source(source);
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
	free_dead(loop);
	if (loop->wake_fd >= 0) {
		(void)close(loop->wake_fd);
	}
	if (loop->epoll_fd >= 0) {
		(void)close(loop->epoll_fd);
	}
	(void)pthread_mutex_destroy(&loop->lock);
	free(loop);
}

int vmm_loop_fd(const struct vmm_loop *loop)
{
	return loop->epoll_fd;
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
	if (epoll_ctl(source->loop->epoll_fd, op, source->fd, &ev) != 0) {
		return -errno;
	}
	source->watched = true;
	return 0;
}

static struct vmm_source *new_source(struct vmm_loop *loop, enum kind kind, int fd, void *ctx)
{
	struct vmm_source *source = calloc(1, sizeof(*source));

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
	struct vmm_source *source = new_source(loop, KIND_FD, fd, ctx);
	int ret;

	*out = NULL;
	if (!source) {
		return -ENOMEM;
	}
	source->fn.fd = fn;
	ret = watch(source, events);
	if (ret < 0) {
		free(source);
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

/* Finishes a source that owns its descriptor: takes fd in any case. */
static int add_owned(struct vmm_loop *loop, enum kind kind, int fd, void *ctx,
		     struct vmm_source **out)
{
	struct vmm_source *source;
	int ret;

	*out = NULL;
	source = new_source(loop, kind, fd, ctx);
	if (!source) {
		(void)close(fd);
		return -ENOMEM;
	}
	ret = watch(source, VMM_LOOP_READABLE);
	if (ret < 0) {
		free_source(source);
		return ret;
	}
	link_source(source);
	*out = source;
	return 0;
}

int vmm_loop_add_timer(struct vmm_loop *loop, vmm_loop_timer_fn fn, void *ctx,
		       struct vmm_source **out)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int ret;

	*out = NULL;
	if (fd < 0) {
		return -errno;
	}
	ret = add_owned(loop, KIND_TIMER, fd, ctx, out);
	if (ret == 0) {
		(*out)->fn.timer = fn;
	}
	return ret;
}

int vmm_source_arm(struct vmm_source *source, uint64_t delay_ns)
{
	struct itimerspec when = {0};

	if (source->kind != KIND_TIMER) {
		return -EINVAL;
	}
	when.it_value.tv_sec = (time_t)(delay_ns / NS_PER_SECOND);
	when.it_value.tv_nsec = (long)(delay_ns % NS_PER_SECOND);
	return timerfd_settime(source->fd, 0, &when, NULL) == 0 ? 0 : -errno;
}

int vmm_loop_add_signal(struct vmm_loop *loop, int signo, vmm_loop_signal_fn fn, void *ctx,
			struct vmm_source **out)
{
	sigset_t set;
	int fd;
	int ret;

	*out = NULL;
	(void)sigemptyset(&set);
	if (sigaddset(&set, signo) != 0) {
		return -EINVAL;
	}
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	ret = add_owned(loop, KIND_SIGNAL, fd, ctx, out);
	if (ret == 0) {
		(*out)->fn.signal = fn;
	}
	return ret;
}

void vmm_source_remove(struct vmm_source *source)
{
	struct vmm_loop *loop;

	if (!source) {
		return;
	}
	loop = source->loop;
	(void)watch(source, 0);
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
	if (loop->depth == 0) {
		free_dead(loop);
	}
}

/* ---- posted work ---- */

void vmm_loop_post(struct vmm_loop *loop, struct vmm_work *work)
{
	bool queue;

	(void)pthread_mutex_lock(&loop->lock);
	queue = !work->queued;
	if (queue) {
		work->queued = true;
		work->next = NULL;
		if (loop->last) {
			loop->last->next = work;
		} else {
			loop->first = work;
		}
		loop->last = work;
	}
	(void)pthread_mutex_unlock(&loop->lock);
	if (queue) {
		wake(loop);
	}
}

void vmm_loop_cancel(struct vmm_loop *loop, struct vmm_work *work)
{
	struct vmm_work *before = NULL;

	(void)pthread_mutex_lock(&loop->lock);
	for (struct vmm_work *w = loop->first; w; before = w, w = w->next) {
		if (w != work) {
			continue;
		}
		if (before) {
			before->next = w->next;
		} else {
			loop->first = w->next;
		}
		if (loop->last == w) {
			loop->last = before;
		}
		break;
	}
	work->queued = false;
	work->next = NULL;
	(void)pthread_mutex_unlock(&loop->lock);
}

static size_t posted_count(struct vmm_loop *loop)
{
	size_t count = 0;

	(void)pthread_mutex_lock(&loop->lock);
	for (const struct vmm_work *w = loop->first; w; w = w->next) {
		count++;
	}
	(void)pthread_mutex_unlock(&loop->lock);
	return count;
}

static struct vmm_work *take_posted(struct vmm_loop *loop)
{
	struct vmm_work *work;

	(void)pthread_mutex_lock(&loop->lock);
	work = loop->first;
	if (work) {
		loop->first = work->next;
		if (!loop->first) {
			loop->last = NULL;
		}
		work->queued = false;
		work->next = NULL;
	}
	(void)pthread_mutex_unlock(&loop->lock);
	return work;
}

/* Runs as many calls as were waiting at the start: work that posts itself again must not starve the
 * rest. */
static int run_posted(struct vmm_loop *loop)
{
	size_t budget;
	int ran = 0;

	drain_wake(loop);
	for (budget = posted_count(loop); budget > 0; budget--) {
		struct vmm_work *work = take_posted(loop);

		if (!work) {
			break;
		}
		/* Once fn runs, work may be gone or queued again: not touched any more. */
		work->fn(work->ctx);
		ran++;
	}
	if (posted_count(loop) > 0) {
		wake(loop);
	}
	return ran;
}

struct call {
	struct vmm_work work;
	vmm_loop_work_fn fn;
	void *ctx;
	sem_t done;
};

static void run_call(void *ctx)
{
	struct call *call = ctx;

	call->fn(call->ctx);
	(void)sem_post(&call->done);
}

void vmm_loop_call(struct vmm_loop *loop, vmm_loop_work_fn fn, void *ctx)
{
	struct call call = {.fn = fn, .ctx = ctx};

	if (__atomic_load_n(&loop->thread, __ATOMIC_ACQUIRE) == gettid()) {
		fn(ctx);
		return;
	}
	call.work.fn = run_call;
	call.work.ctx = &call;
	(void)sem_init(&call.done, 0, 0);
	vmm_loop_post(loop, &call.work);
	while (sem_wait(&call.done) != 0) {
		/* EINTR: a vCPU thread's kick signal. */
	}
	(void)sem_destroy(&call.done);
}

int vmm_loop_dispatch_posted(struct vmm_loop *loop, int timeout_ms)
{
	struct pollfd pfd = {.fd = loop->wake_fd, .events = POLLIN};
	int ran;

	__atomic_store_n(&loop->thread, gettid(), __ATOMIC_RELEASE);
	if (posted_count(loop) == 0 && poll(&pfd, 1, timeout_ms) < 0 && errno != EINTR) {
		return -errno;
	}
	loop->depth++;
	ran = run_posted(loop);
	loop->depth--;
	if (loop->depth == 0) {
		free_dead(loop);
	}
	return ran;
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
	uint64_t expirations;

	switch (source->kind) {
	case KIND_FD:
		source->fn.fd(source->ctx, source->fd, from_epoll(events));
		break;
	case KIND_TIMER:
		/* Fails with EAGAIN when an earlier callback of this batch disarmed or re-armed it.
		 */
		if (read(source->fd, &expirations, sizeof(expirations)) > 0) {
			source->fn.timer(source->ctx);
		}
		break;
	case KIND_SIGNAL:
		dispatch_signal(source);
		break;
	}
}

int vmm_loop_dispatch(struct vmm_loop *loop, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int ran = 0;
	int count;

	__atomic_store_n(&loop->thread, gettid(), __ATOMIC_RELEASE);
	count = epoll_wait(loop->epoll_fd, events, BATCH, timeout_ms);
	if (count < 0) {
		return errno == EINTR ? 0 : -errno;
	}
	loop->depth++;
	for (int i = 0; i < count; i++) {
		struct vmm_source *source = events[i].data.ptr;

		if (!source) {
			ran += run_posted(loop);
		} else if (!source->removed && source->watched) {
			dispatch_source(source, events[i].events);
			ran++;
		}
	}
	loop->depth--;
	if (loop->depth == 0) {
		free_dead(loop);
	}
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
	wake(loop);
}
