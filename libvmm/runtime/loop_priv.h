/* SPDX-License-Identifier: MIT */
/* Inside of the event loop. */
#ifndef RUNTIME_LOOP_PRIV_H
#define RUNTIME_LOOP_PRIV_H

#include <vmm/loop.h>

#include <pthread.h>

enum vmm_source_kind {
	SOURCE_FD,
	SOURCE_TIMER,
	SOURCE_SIGNAL,
};

struct vmm_source {
	struct vmm_loop *loop;
	enum vmm_source_kind kind;
	int fd;         /* SOURCE_FD: the caller's; SOURCE_SIGNAL: owned; SOURCE_TIMER: -1 */
	bool watched;   /* in the epoll set */
	uint32_t asked; /* with these events */
	bool removed;
	union {
		vmm_loop_fd_fn fd;
		vmm_loop_timer_fn timer;
		vmm_loop_signal_fn signal;
	} fn;
	void *ctx;
	struct vmm_source *prev;
	struct vmm_source *next;
	/* Of a timer that is armed. */
	uint64_t due; /* CLOCK_MONOTONIC, nanoseconds */
	bool armed;
	struct vmm_source *later;
};

struct vmm_loop {
	int epoll_fd;
	int wake_fd;
	pthread_t thread; /* atomic: the thread that owns the loop */
	bool stopping;    /* atomic */
	unsigned depth;
	struct vmm_source *sources;
	struct vmm_source *dead;  /* removed while a batch is in progress that may name them */
	struct vmm_source *spare; /* to be used again: a loop that has run for a while allocates
				     nothing */

	struct vmm_source *timers; /* the armed ones, the nearest first */
	int timer_fd;              /* for who waits for vmm_loop_fd; -1 until somebody asks */
	uint64_t timer_fd_due;     /* what it is set to; 0: not at all */

	struct vmm_loop_poller poller;
	uint64_t poll_max;   /* nanoseconds; 0: there is no poller */
	uint64_t poll_now;   /* how long it is worth looking at present */
	uint64_t poll_since; /* since when there has been nothing; 0: a window is to begin */
	bool poll_rested;    /* rest was called, and nothing has happened since */

	pthread_mutex_t lock; /* the queue of posted work */
	struct vmm_work *first;
	struct vmm_work *last;
};

/* loop_timer.c */

/* timeout_ms, or less when a timer is due before it is over. */
int vmm_loop_wait_ms(const struct vmm_loop *loop, int timeout_ms);
/* Runs the timers that are due now; returns how many. */
int vmm_loop_run_timers(struct vmm_loop *loop);
void vmm_source_disarm(struct vmm_source *source);
/* Makes the timer descriptor. 0 or a negative errno. */
int vmm_loop_make_timer_fd(struct vmm_loop *loop);

/* CLOCK_MONOTONIC. */
uint64_t vmm_loop_now_ns(void);

/* loop_poll.c */

/*
 * epoll_pwait for a loop that may look first: returns as that does, or 0 with *looked set when the
 * poller found something to do.
 */
struct epoll_event;
int vmm_loop_look_and_wait(struct vmm_loop *loop, struct epoll_event *events, int max,
			   int timeout_ms, bool *looked);

/* loop_work.c */

void vmm_loop_wake(struct vmm_loop *loop);
/* Runs the calls that were posted before; returns how many. */
int vmm_loop_run_posted(struct vmm_loop *loop);

/* loop.c */

/* What was removed meanwhile may be used again, unless a batch is still in progress. */
void vmm_loop_collect(struct vmm_loop *loop);

#endif
