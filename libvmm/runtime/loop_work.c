/* SPDX-License-Identifier: MIT */
/* Calls that other threads leave for the loop's thread. */
#include "runtime/loop_priv.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <unistd.h>

void vmm_loop_wake(struct vmm_loop *loop)
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
		vmm_loop_wake(loop);
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
int vmm_loop_run_posted(struct vmm_loop *loop)
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
		vmm_loop_wake(loop);
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

	if (pthread_equal(__atomic_load_n(&loop->thread, __ATOMIC_ACQUIRE), pthread_self())) {
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
	const struct timespec limit = {.tv_sec = timeout_ms / 1000,
				       .tv_nsec = timeout_ms % 1000 * 1000000L};
	struct pollfd pfd = {.fd = loop->wake_fd, .events = POLLIN};
	int ran;

	__atomic_store_n(&loop->thread, pthread_self(), __ATOMIC_RELEASE);
	/*
	 * Not poll: the kernel goes on with that one after SIGSTOP by restart_syscall, which no
	 * jailed process may call.
	 */
	if (posted_count(loop) == 0 && ppoll(&pfd, 1, timeout_ms < 0 ? NULL : &limit, NULL) < 0 &&
	    errno != EINTR) {
		return -errno;
	}
	loop->depth++;
	ran = vmm_loop_run_posted(loop);
	loop->depth--;
	vmm_loop_collect(loop);
	return ran;
}
