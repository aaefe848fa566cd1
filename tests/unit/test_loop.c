/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vmm/loop.h>

#include "fdcount.h"
#include "suite.h"

#define MS UINT64_C(1000000)

struct probe {
	struct vmm_loop *loop;
	struct vmm_source *self;
	struct vmm_source *other;
	unsigned calls;
	uint32_t events;
	int signo;
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

static void on_fd(void *ctx, int fd, uint32_t events)
{
	struct probe *p = ctx;

	(void)fd;
	p->calls++;
	p->events |= events;
}

static void on_fd_remove_self(void *ctx, int fd, uint32_t events)
{
	struct probe *p = ctx;

	on_fd(ctx, fd, events);
	vmm_source_remove(p->self);
}

static void on_fd_remove_other(void *ctx, int fd, uint32_t events)
{
	struct probe *p = ctx;

	on_fd(ctx, fd, events);
	vmm_source_remove(p->other);
	p->other = NULL;
}

START_TEST(loop_create_without_descriptors_fails_cleanly)
{
	struct rlimit old;
	struct rlimit tight;
	int first_free = dup(0);

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(close(first_free), 0);
	/* No descriptor, then one: each step of create fails once. */
	for (int spare = 0; spare < 2; spare++) {
		struct vmm_loop *loop;

		tight = old;
		tight.rlim_cur = (rlim_t)(first_free + spare);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
		ck_assert_int_eq(vmm_loop_create(&loop), -EMFILE);
		ck_assert_ptr_null(loop);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	}
	ck_assert_int_eq(dup(0), first_free);
	ck_assert_int_eq(close(first_free), 0);
}
END_TEST

START_TEST(loop_sources_without_descriptors_fail_cleanly)
{
	struct vmm_loop *loop = new_loop();
	struct vmm_source *source;
	struct rlimit old;
	struct rlimit tight;
	const int signos[] = {SIGUSR1, 9999};

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ck_assert_int_eq(vmm_loop_fd(loop), -EMFILE);
	ck_assert_int_eq(vmm_loop_add_timer(loop, NULL, NULL, &source), 0);
	ck_assert_int_eq(vmm_loop_add_signals(loop, signos, 1, NULL, NULL, &source), -EMFILE);
	ck_assert_ptr_null(source);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	ck_assert_int_eq(vmm_loop_add_signals(loop, signos, 2, NULL, NULL, &source), -EINVAL);
	vmm_loop_destroy(loop);
	vmm_loop_destroy(NULL);
	vmm_source_remove(NULL);
}
END_TEST

START_TEST(loop_fd_reports_what_is_ready)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {.loop = loop};
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(vmm_loop_add_fd(loop, fds[0], VMM_LOOP_READABLE, on_fd, &p, &p.self), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 0);
	ck_assert_int_eq((int)write(fds[1], "x", 1), 1);
	ck_assert_int_eq(vmm_loop_dispatch(loop, -1), 1);
	ck_assert_uint_eq(p.events, VMM_LOOP_READABLE);
	ck_assert_int_eq(close(fds[1]), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, -1), 1);
	ck_assert_uint_eq(p.events, VMM_LOOP_READABLE | VMM_LOOP_HANGUP);
	vmm_source_remove(p.self);
	ck_assert_int_eq(close(fds[0]), 0);
	vmm_loop_destroy(loop);
}
END_TEST

START_TEST(loop_add_fd_twice_or_unpollable_is_refused)
{
	struct vmm_loop *loop = new_loop();
	struct vmm_source *a;
	struct vmm_source *b;
	int fd = ready_fd();
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(vmm_loop_add_fd(loop, fd, VMM_LOOP_READABLE, on_fd, NULL, &a), 0);
	ck_assert_int_eq(vmm_loop_add_fd(loop, fd, VMM_LOOP_READABLE, on_fd, NULL, &b), -EEXIST);
	ck_assert_ptr_null(b);
	ck_assert_int_eq(vmm_loop_add_fd(loop, file, VMM_LOOP_READABLE, on_fd, NULL, &b), -EPERM);
	ck_assert_int_eq(vmm_source_arm(a, 1), -EINVAL);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(close(file), 0);
}
END_TEST

START_TEST(loop_paused_source_is_silent_even_at_hangup)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(vmm_loop_add_fd(loop, fds[0], VMM_LOOP_READABLE, on_fd, &p, &p.self), 0);
	ck_assert_int_eq(vmm_source_set_events(p.self, 0), 0);
	ck_assert_int_eq(vmm_source_set_events(p.self, 0), 0);
	ck_assert_int_eq(close(fds[1]), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 0);
	ck_assert_int_eq(vmm_source_set_events(p.self, VMM_LOOP_READABLE), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 1);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(close(fds[0]), 0);
}
END_TEST

START_TEST(loop_source_removed_by_itself_does_not_run_again)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};
	int fd = ready_fd();

	ck_assert_int_eq(
		vmm_loop_add_fd(loop, fd, VMM_LOOP_READABLE, on_fd_remove_self, &p, &p.self), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 1);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 0);
	ck_assert_uint_eq(p.calls, 1);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* Both are ready in the same batch and each removes the other: exactly one callback may run. */
START_TEST(loop_sources_that_remove_each_other_run_once)
{
	struct vmm_loop *loop = new_loop();
	struct probe a = {0};
	struct probe b = {0};
	int fd_a = ready_fd();
	int fd_b = ready_fd();

	ck_assert_int_eq(
		vmm_loop_add_fd(loop, fd_a, VMM_LOOP_READABLE, on_fd_remove_other, &a, &a.self), 0);
	ck_assert_int_eq(
		vmm_loop_add_fd(loop, fd_b, VMM_LOOP_READABLE, on_fd_remove_other, &b, &b.self), 0);
	a.other = b.self;
	b.other = a.self;
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 1);
	ck_assert_uint_eq(a.calls + b.calls, 1);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(close(fd_a), 0);
	ck_assert_int_eq(close(fd_b), 0);
}
END_TEST

static void on_timer(void *ctx)
{
	struct probe *p = ctx;

	p->calls++;
}

static void on_signal(void *ctx, int signo)
{
	struct probe *p = ctx;

	p->calls++;
	p->signo = signo;
}

START_TEST(loop_signal_is_delivered)
{
	struct vmm_loop *loop = new_loop();
	const int signos[] = {SIGUSR1, SIGUSR2};
	struct probe p = {0};
	sigset_t set;

	ck_assert_int_eq(sigemptyset(&set), 0);
	ck_assert_int_eq(sigaddset(&set, SIGUSR1), 0);
	ck_assert_int_eq(sigaddset(&set, SIGUSR2), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	ck_assert_int_eq(vmm_loop_add_signals(loop, signos, 2, on_signal, &p, &p.self), 0);
	ck_assert_int_eq(raise(SIGUSR2), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, -1), 1);
	ck_assert_int_eq(p.signo, SIGUSR2);
	ck_assert_int_eq(raise(SIGUSR1), 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, -1), 1);
	ck_assert_int_eq(p.signo, SIGUSR1);
	vmm_loop_destroy(loop);
}
END_TEST

struct again {
	struct vmm_loop *loop;
	struct vmm_work work;
	unsigned runs;
};

static void post_again(void *ctx)
{
	struct again *a = ctx;

	a->runs++;
	vmm_loop_post(a->loop, &a->work);
}

START_TEST(loop_work_that_posts_itself_does_not_starve)
{
	struct vmm_loop *loop = new_loop();
	struct again a = {.loop = loop, .work = {.fn = post_again, .ctx = &a}};
	struct probe p = {0};
	int fd = ready_fd();

	ck_assert_int_eq(vmm_loop_add_fd(loop, fd, VMM_LOOP_READABLE, on_fd, &p, &p.self), 0);
	vmm_loop_post(loop, &a.work);
	vmm_loop_post(loop, &a.work);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 2);
	}
	ck_assert_uint_eq(a.runs, 10);
	ck_assert_uint_eq(p.calls, 10);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(loop_cancelled_work_does_not_run)
{
	struct vmm_loop *loop = new_loop();
	struct probe p = {0};
	struct vmm_work work[3] = {
		{.fn = on_timer, .ctx = &p},
		{.fn = on_timer, .ctx = &p},
		{.fn = on_timer, .ctx = &p},
	};

	/* Take away the middle, the last and the first; what is left still runs. */
	for (int gone = 0; gone < 3; gone++) {
		p.calls = 0;
		for (int i = 0; i < 3; i++) {
			vmm_loop_post(loop, &work[i]);
		}
		vmm_loop_cancel(loop, &work[gone]);
		vmm_loop_cancel(loop, &work[gone]);
		ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 2);
		ck_assert_uint_eq(p.calls, 2);
		vmm_loop_post(loop, &work[gone]);
		ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 1);
	}
	vmm_loop_destroy(loop);
}
END_TEST

struct caller {
	struct vmm_loop *loop;
	pthread_t ran_on;
	unsigned runs;
	bool returned;
};

static void note_thread(void *ctx)
{
	struct caller *c = ctx;

	c->ran_on = pthread_self();
	c->runs++;
}

static void *call_from_thread(void *ctx)
{
	struct caller *c = ctx;

	for (int i = 0; i < 100; i++) {
		vmm_loop_call(c->loop, note_thread, c);
	}
	__atomic_store_n(&c->returned, true, __ATOMIC_RELEASE);
	vmm_loop_stop(c->loop);
	return NULL;
}

START_TEST(loop_call_runs_on_the_loop_thread)
{
	struct vmm_loop *loop = new_loop();
	struct caller c = {.loop = loop};
	pthread_t thread;

	vmm_loop_call(loop, note_thread, &c);
	ck_assert_uint_eq(c.runs, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, call_from_thread, &c), 0);
	ck_assert_int_eq(vmm_loop_run(loop), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(c.runs, 101);
	ck_assert(pthread_equal(c.ran_on, pthread_self()));
	vmm_loop_destroy(loop);
}
END_TEST

START_TEST(loop_dispatch_posted_leaves_other_events)
{
	struct vmm_loop *loop = new_loop();
	struct caller c = {.loop = loop};
	struct probe p = {0};
	pthread_t thread;
	int fd = ready_fd();

	ck_assert_int_eq(vmm_loop_add_fd(loop, fd, VMM_LOOP_READABLE, on_fd, &p, &p.self), 0);
	ck_assert_int_eq(vmm_loop_dispatch_posted(loop, 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, call_from_thread, &c), 0);
	while (!__atomic_load_n(&c.returned, __ATOMIC_ACQUIRE)) {
		ck_assert_int_ge(vmm_loop_dispatch_posted(loop, -1), 0);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(c.runs, 100);
	ck_assert_uint_eq(p.calls, 0);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0) > 0, 1);
	ck_assert_uint_eq(p.calls, 1);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(loop_embeds_in_a_foreign_loop)
{
	struct vmm_loop *loop = new_loop();
	struct pollfd pfd = {.fd = vmm_loop_fd(loop), .events = POLLIN};
	struct probe p = {0};
	struct vmm_work work = {.fn = on_timer, .ctx = &p};

	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	vmm_loop_post(loop, &work);
	ck_assert_int_eq(poll(&pfd, 1, 0), 1);
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 1);
	ck_assert_int_eq(poll(&pfd, 1, 0), 0);
	vmm_loop_destroy(loop);
}
END_TEST

START_TEST(loop_signal_that_is_removed_leaves_no_descriptor)
{
	struct vmm_loop *loop = new_loop();
	struct vmm_source *source;
	unsigned fds = fdcount();
	const int signo = SIGUSR1;

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(vmm_loop_add_signals(loop, &signo, 1, on_signal, NULL, &source),
				 0);
		ck_assert_uint_eq(fdcount(), fds + 1);
		vmm_source_remove(source);
		ck_assert_uint_eq(fdcount(), fds);
	}
	vmm_loop_destroy(loop);
}
END_TEST

START_TEST(loop_stop_before_run_returns_at_once)
{
	struct vmm_loop *loop = new_loop();

	vmm_loop_stop(loop);
	ck_assert_int_eq(vmm_loop_run(loop), 0);
	vmm_loop_destroy(loop);
}
END_TEST

SUITE_MAIN("loop", loop_create_without_descriptors_fails_cleanly,
	   loop_sources_without_descriptors_fail_cleanly, loop_fd_reports_what_is_ready,
	   loop_add_fd_twice_or_unpollable_is_refused, loop_paused_source_is_silent_even_at_hangup,
	   loop_source_removed_by_itself_does_not_run_again,
	   loop_sources_that_remove_each_other_run_once, loop_signal_is_delivered,
	   loop_signal_that_is_removed_leaves_no_descriptor,
	   loop_work_that_posts_itself_does_not_starve, loop_cancelled_work_does_not_run,
	   loop_call_runs_on_the_loop_thread, loop_dispatch_posted_leaves_other_events,
	   loop_embeds_in_a_foreign_loop, loop_stop_before_run_returns_at_once)
