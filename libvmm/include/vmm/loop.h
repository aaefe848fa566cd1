/* SPDX-License-Identifier: MIT */
/*
 * Event loop: one thread that waits for descriptors, timers, signals and calls
 * posted by other threads. It can be embedded in a foreign loop through
 * vmm_loop_fd().
 *
 * A source may be removed at any time, also from inside any callback, its own
 * included: after vmm_source_remove returns its callback never runs again, even if
 * its event was already reported in the same batch. Sources never own or close the
 * descriptor; remove the source before closing it.
 *
 * The memory of a removed source is kept for the next one, so a loop allocates only when it has
 * more sources at a time than ever before. Of one batch, timers run before everything else.
 *
 * Unless a function says otherwise it may be called on the loop's thread only (the
 * thread that dispatches; before the first dispatch: the thread that created it).
 */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmm_loop;
struct vmm_source;

#define VMM_LOOP_READABLE 0x1u
#define VMM_LOOP_WRITABLE 0x2u
#define VMM_LOOP_HANGUP   0x4u /* peer gone; always reported, need not be asked for */
#define VMM_LOOP_ERROR    0x8u /* always reported, need not be asked for */

typedef void (*vmm_loop_fd_fn)(void *ctx, int fd, uint32_t events);
typedef void (*vmm_loop_timer_fn)(void *ctx);
typedef void (*vmm_loop_signal_fn)(void *ctx, int signo);
typedef void (*vmm_loop_work_fn)(void *ctx);

/* -ENOMEM, -EMFILE, ... On failure *out is NULL. */
int vmm_loop_create(struct vmm_loop **out);
/*
 * Frees the loop and every source left. Posted work that has not run is dropped. NULL is a no-op.
 */
void vmm_loop_destroy(struct vmm_loop *loop);

/*
 * A descriptor that polls readable when dispatch(loop, 0) has something to do. Owned by the loop.
 * The first call makes a timerfd for it, which from then on is set to the nearest timer whenever
 * that changes; a loop that nobody asked for its descriptor needs none and sets none. -EMFILE,
 * -ENOMEM: it could not be made.
 */
int vmm_loop_fd(struct vmm_loop *loop);

/*
 * Waits at most timeout_ms (-1: no limit) and runs what is ready. Returns the number of
 * callbacks run, or a negative errno other than -EINTR. The calling thread becomes the loop's
 * thread.
 */
int vmm_loop_dispatch(struct vmm_loop *loop, int timeout_ms);

/* Dispatches until vmm_loop_stop. 0, or the errno that ended it. */
int vmm_loop_run(struct vmm_loop *loop);
/* Makes run return after the current batch. Any thread, also before run. */
void vmm_loop_stop(struct vmm_loop *loop);

/*
 * What a loop does instead of going to sleep at once, where the next event is likely to come before
 * it would have woken up: it looks. poll does what there is to do, without a system call if
 * possible, and says whether there was anything; rest says the loop is about to sleep, so that
 * whoever comes next has to wake it, and whether somebody has come already. Both on the loop's
 * thread. rest is called only after poll was.
 */
struct vmm_loop_poller {
	bool (*poll)(void *ctx);
	bool (*rest)(void *ctx);
	void *ctx;
};

/*
 * Looks for at most max_ns nanoseconds after the last thing that happened; less, and then not at
 * all, while looking is in vain, and more again when a sleep turns out to have been short. An idle
 * loop sleeps. poller is copied; NULL, or less than 4000: no looking. Not for a loop whose owner
 * waits for vmm_loop_fd. Loop thread, from a callback too.
 */
void vmm_loop_set_poller(struct vmm_loop *loop, const struct vmm_loop_poller *poller,
			 uint64_t max_ns);

/*
 * Watches fd for events (VMM_LOOP_*), level-triggered. *out receives the source (out must not be
 * NULL). -EEXIST when fd is watched already, -EPERM for files that cannot be polled, -ENOMEM.
 */
int vmm_loop_add_fd(struct vmm_loop *loop, int fd, uint32_t events, vmm_loop_fd_fn fn, void *ctx,
		    struct vmm_source **out);
/* Changes what an fd source waits for; 0 pauses it (hang-up and errors are then not reported
 * either). */
int vmm_source_set_events(struct vmm_source *source, uint32_t events);

/* A one-shot timer, disarmed until vmm_source_arm. It is no descriptor. -ENOMEM. */
int vmm_loop_add_timer(struct vmm_loop *loop, vmm_loop_timer_fn fn, void *ctx,
		       struct vmm_source **out);
/*
 * Fires once, delay_ns nanoseconds from now (CLOCK_MONOTONIC) or up to a millisecond later;
 * replaces an earlier arm. 0 disarms. No system call, unless vmm_loop_fd was called. -EINVAL: not a
 * timer.
 */
int vmm_source_arm(struct vmm_source *source, uint64_t delay_ns);

/*
 * Receives count signals through a signalfd. The caller must have blocked them in every thread.
 * -EINVAL (a number), -EMFILE, -ENOMEM.
 */
int vmm_loop_add_signals(struct vmm_loop *loop, const int *signos, size_t count,
			 vmm_loop_signal_fn fn, void *ctx, struct vmm_source **out);

/* Removes and frees a source of any kind; NULL is a no-op. */
void vmm_source_remove(struct vmm_source *source);

/*
 * A call to be run once on the loop's thread. Memory of the poster, zero-initialised with fn and
 * ctx set, untouched until it ran; inside fn it may be posted again. No allocation, so posting
 * cannot fail.
 */
struct vmm_work {
	vmm_loop_work_fn fn;
	void *ctx;
	struct vmm_work *next; /* private */
	bool queued;           /* private */
};

/* Queues work; one that is queued already is not queued twice. Any thread. */
void vmm_loop_post(struct vmm_loop *loop, struct vmm_work *work);

/*
 * Takes work back: on return it is not queued and will not run (unless posted again). Loop thread
 * only, so it cannot be running. Needed before the memory of the work is freed.
 */
void vmm_loop_cancel(struct vmm_loop *loop, struct vmm_work *work);

/*
 * Runs fn(ctx) on the loop's thread and waits until it returned; runs it at once when called there.
 * Any thread. A loop that no thread dispatches makes the caller wait.
 */
void vmm_loop_call(struct vmm_loop *loop, vmm_loop_work_fn fn, void *ctx);

/*
 * Waits for posted work and runs it, and only it: descriptors, timers and signals stay for
 * later. For a loop thread that must wait for another thread which may itself be inside
 * vmm_loop_call. timeout_ms as for dispatch. Returns the number of calls run.
 */
int vmm_loop_dispatch_posted(struct vmm_loop *loop, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
