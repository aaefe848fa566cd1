/* SPDX-License-Identifier: MIT */
/* The supervisor's parts, each against a child that is hostile. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vmm/loop.h>
#include <vmm/vm.h>

#include "faultinj.h"
#include "fdcount.h"
#include "vm/channel.h"
#include "vm/childlog.h"
#include "vm/counters.h"
#include "vm/pump.h"
#include "vm/server.h"

static struct vmm_loop *loop;
static struct vmm_error err;
static unsigned before;

static void begin(void)
{
	before = fdcount();
	memset(&err, 0, sizeof(err));
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
}

static void end(void)
{
	vmm_loop_destroy(loop);
	ck_assert_uint_eq(fdcount(), before);
}

static void run_loop(void)
{
	while (vmm_loop_dispatch(loop, 0) > 0) {
	}
}

/* ---- log of a child ---- */

static struct {
	unsigned lines;
	enum vmm_log_level level;
	char last[1024];
} logged;

static void sink(void *user, enum vmm_log_level level, const char *message)
{
	(void)user;
	logged.lines++;
	logged.level = level;
	(void)snprintf(logged.last, sizeof(logged.last), "%s", message);
}

static const struct vmm_log test_log = {.level = VMM_LOG_INFO, .sink = sink};
static struct vm_childlog_limit limit;
static struct vm_childlog childlog;
static int child_fd;

static void open_log(void)
{
	begin();
	memset(&logged, 0, sizeof(logged));
	memset(&limit, 0, sizeof(limit));
	ck_assert_int_eq(vm_childlog_open(&childlog, loop, &test_log, &limit, "disk", &child_fd),
			 0);
}

static void say(const char *text)
{
	ck_assert_int_eq(write(child_fd, text, strlen(text)), (ssize_t)strlen(text));
	run_loop();
}

static void close_log(void)
{
	close(child_fd);
	vm_childlog_close(&childlog);
	end();
}

START_TEST(childlog_lines_bear_the_name_and_their_level)
{
	open_log();
	say("one\n");
	ck_assert_str_eq(logged.last, "disk: one");
	ck_assert_int_eq(logged.level, VMM_LOG_INFO);
	say("error: two");
	ck_assert_uint_eq(logged.lines, 1);
	say(" words\nwarning: three\n");
	ck_assert_uint_eq(logged.lines, 3);
	ck_assert_str_eq(logged.last, "disk: three");
	ck_assert_int_eq(logged.level, VMM_LOG_WARN);
	ck_assert_str_eq(childlog.last_error, "two words");
	say("vmm-device blk: error: four\n");
	ck_assert_str_eq(logged.last, "disk: four");
	ck_assert_int_eq(logged.level, VMM_LOG_ERROR);
	say("debug: five\n\n\n");
	ck_assert_uint_eq(logged.lines, 4);
	close_log();
}
END_TEST

START_TEST(childlog_ready_is_noticed_and_not_logged)
{
	open_log();
	say("vmm-device blk: not ready\n");
	ck_assert(!childlog.ready);
	say("vmm-device blk: ready\n");
	ck_assert(childlog.ready);
	ck_assert_uint_eq(logged.lines, 1);
	close_log();
}
END_TEST

START_TEST(childlog_bytes_are_made_printable_and_lines_bounded)
{
	static const char nasty[] = "a\033[2Jb\rc\xff\0d\n";
	char huge[4000];

	open_log();
	ck_assert_int_eq(write(child_fd, nasty, sizeof(nasty) - 1), (ssize_t)sizeof(nasty) - 1);
	run_loop();
	ck_assert_str_eq(logged.last, "disk: a?[2Jb?c??d");
	memset(huge, 'x', sizeof(huge));
	huge[sizeof(huge) - 1] = '\n';
	ck_assert_int_eq(write(child_fd, huge, sizeof(huge)), (ssize_t)sizeof(huge));
	run_loop();
	ck_assert_uint_eq(logged.lines, 2);
	ck_assert_uint_eq(strlen(logged.last), strlen("disk: ") + CHILDLOG_LINE_MAX);
	say("after\n");
	ck_assert_str_eq(logged.last, "disk: after");
	close_log();
}
END_TEST

START_TEST(childlog_flood_is_cut_for_all_children_together)
{
	struct vm_childlog other;
	int other_fd;

	open_log();
	ck_assert_int_eq(vm_childlog_open(&other, loop, &test_log, &limit, "net", &other_fd), 0);
	for (int i = 0; i < 500; i++) {
		say("error: flood\n");
		ck_assert_int_eq(write(other_fd, "x\n", 2), 2);
	}
	run_loop();
	/* The second may have changed meanwhile, twice at most. */
	ck_assert_uint_ge(logged.lines, CHILDLOG_PER_SECOND);
	ck_assert_uint_le(logged.lines, 3 * CHILDLOG_PER_SECOND + 2);
	ck_assert_uint_gt(limit.suppressed, 0);
	/* What is left out of the log still explains a failure. */
	ck_assert_str_eq(childlog.last_error, "flood");
	limit.second--;
	say("later\n");
	ck_assert_str_eq(logged.last, "disk: later");
	ck_assert_uint_eq(limit.suppressed, 0);
	close(other_fd);
	vm_childlog_close(&other);
	close_log();
}
END_TEST

START_TEST(childlog_last_words_without_a_newline_arrive)
{
	open_log();
	ck_assert_int_eq(write(child_fd, "error: dying", 12), 12);
	vm_childlog_close(&childlog);
	ck_assert_str_eq(logged.last, "disk: dying");
	ck_assert_int_eq(write(child_fd, "x", 1), -1);
	vm_childlog_close(&childlog);
	close_log();
}
END_TEST

START_TEST(childlog_never_makes_the_child_wait)
{
	ssize_t wrote = 1;

	open_log();
	while (wrote > 0) {
		wrote = write(child_fd, "0123456789abcdef\n", 17);
	}
	ck_assert_int_eq(errno, EAGAIN);
	close_log();
}
END_TEST

/* ---- counters ---- */

static unsigned emitted;
static uint64_t sum;

static void count(void *ctx, const char *name, uint64_t value)
{
	(void)ctx;
	ck_assert_uint_lt(strlen(name), COUNTERS_NAME_MAX);
	ck_assert_uint_gt(strlen(name), 0);
	emitted++;
	sum += value;
}

START_TEST(counters_of_a_hostile_page_are_bounded)
{
	struct vm_counter_record *page;
	struct vm_counters c;
	int fd;

	begin();
	ck_assert_int_eq(vm_counters_open(&c, &fd), 0);
	page = mmap(NULL, COUNTERS_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	emitted = 0;
	vm_counters_each(&c, count, NULL);
	ck_assert_uint_eq(emitted, 0);
	(void)strcpy(page[0].name, "read_ops");
	page[0].value = 7;
	(void)strcpy(page[1].name, "write_ops");
	page[1].value = 8;
	vm_counters_each(&c, count, NULL);
	ck_assert_uint_eq(emitted, 2);
	ck_assert_uint_eq(sum, 15);
	/* No end anywhere. */
	memset(page, 'x', COUNTERS_PAGE);
	emitted = 0;
	vm_counters_each(&c, count, NULL);
	ck_assert_uint_eq(emitted, COUNTERS_PAGE / sizeof(*page));
	/* Names that are none end the list. */
	(void)strcpy(page[3].name, "\033[2J");
	emitted = 0;
	vm_counters_each(&c, count, NULL);
	ck_assert_uint_eq(emitted, 3);
	/* The reader cannot be given a page that ends. */
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	munmap(page, COUNTERS_PAGE);
	close(fd);
	vm_counters_close(&c);
	vm_counters_close(&c);
	end();
}
END_TEST

/* ---- pump ---- */

/* A back end that remembers. */
struct memory {
	struct vmm_chardev base;
	size_t used;
	size_t given;
	char text[20000];
	bool wanted;
};

static void memory_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	struct memory *m = (struct memory *)cd;

	ck_assert_uint_le(len, sizeof(m->text) - m->used);
	memcpy(m->text + m->used, bytes, len);
	m->used += len;
}

/* Endless input. */
static size_t memory_read(struct vmm_chardev *cd, void *buf, size_t len)
{
	struct memory *m = (struct memory *)cd;

	memset(buf, 'i', len);
	m->given += len;
	return len;
}

static void memory_want(struct vmm_chardev *cd, bool want)
{
	((struct memory *)cd)->wanted = want;
}

static const struct vmm_chardev_ops memory_ops = {
	.write = memory_write, .read = memory_read, .want_input = memory_want};

START_TEST(pump_carries_output_and_ends_with_the_child)
{
	struct memory m = {.base = {.ops = &memory_ops}};
	struct vm_pump p;
	int ends[2];

	begin();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(vm_pump_start(&p, loop, ends[0], &m.base, false), 0);
	ck_assert_int_eq(write(ends[1], "hello", 5), 5);
	run_loop();
	ck_assert_uint_eq(m.used, 5);
	ck_assert_int_eq(write(ends[1], "world", 5), 5);
	close(ends[1]);
	/* What was left in the pipe comes with the stop. */
	vm_pump_stop(&p);
	ck_assert_uint_eq(m.used, 10);
	ck_assert(memcmp(m.text, "helloworld", 10) == 0);
	ck_assert_ptr_null(m.base.loop);
	vm_pump_stop(&p);
	end();
}
END_TEST

START_TEST(pump_end_of_the_child_does_not_spin)
{
	struct vm_pump p;
	int ends[2];

	begin();
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(vm_pump_start(&p, loop, ends[0], NULL, false), 0);
	close(ends[1]);
	run_loop();
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 0);
	vm_pump_stop(&p);
	end();
}
END_TEST

START_TEST(pump_input_waits_for_the_child)
{
	struct memory m = {.base = {.ops = &memory_ops}};
	char bytes[8192];
	struct vm_pump p;
	size_t got = 0;
	int pair[2];

	begin();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	ck_assert_int_eq(vm_pump_start(&p, loop, pair[0], &m.base, true), 0);
	ck_assert(m.wanted);
	vmm_chardev_readable(&m.base);
	/* The socket is full: no more is taken than fits here. */
	ck_assert(!m.wanted);
	ck_assert_uint_gt(p.ahead_len, 0);
	for (int i = 0; i < 1000 && !m.wanted; i++) {
		ssize_t n = read(pair[1], bytes, sizeof(bytes));

		got += n > 0 ? (size_t)n : 0;
		run_loop();
	}
	ck_assert(m.wanted);
	ck_assert_uint_gt(got, sizeof(bytes)); /* more than was ahead had to go */
	while (read(pair[1], bytes, sizeof(bytes)) > 0) {
	}
	/* A child that is gone takes nothing, and that ends it. */
	close(pair[1]);
	vmm_chardev_readable(&m.base);
	run_loop();
	ck_assert(!p.input || p.ended);
	vm_pump_stop(&p);
	end();
}
END_TEST

/* ---- channel ---- */

static struct vm_channel channel;
static int peer;

static void open_channel(void)
{
	int pair[2];

	begin();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	memset(&channel, 0, sizeof(channel));
	channel.fd = pair[0];
	peer = pair[1];
}

static void close_channel(void)
{
	close(peer);
	vm_channel_close(&channel);
	vm_channel_close(&channel);
	end();
}

static void tell(enum wire_type type, uint32_t seq, int result)
{
	struct wire_message m;

	wire_begin(&m, type, seq);
	if (type == WIRE_REPLY) {
		m.u.reply.result = result;
		wire_set_text(m.u.reply.text, WIRE_TEXT_MAX, result < 0 ? "no \033[2Jway" : "");
	} else if (type == WIRE_EXITED) {
		m.u.exited.reason = VMM_EXIT_CRASH;
		wire_set_text(m.u.exited.detail, WIRE_TEXT_MAX, "boom\n");
	} else if (type == WIRE_DEVICE_LOST) {
		m.u.lost = (struct wire_device_lost){3, seq, -ETIMEDOUT};
		m.header.seq = 0;
	}
	ck_assert_int_eq(wire_send(peer, &m, NULL, 100), 0);
}

static int call(int timeout_ms)
{
	struct wire_message m;

	memset(&err, 0, sizeof(err));
	vm_channel_begin(&channel, &m, WIRE_PAUSE);
	return vm_channel_call(&channel, &m, NULL, timeout_ms, &err);
}

START_TEST(channel_reply_is_matched_and_news_are_kept)
{
	struct vm_news news;

	open_channel();
	tell(WIRE_REBOOTED, 0, 0);
	tell(WIRE_DEVICE_LOST, 5, 0);
	tell(WIRE_EXITED, 0, 0);
	tell(WIRE_REPLY, 1, 0);
	ck_assert_int_eq(call(1000), 0);
	ck_assert(vm_channel_has_news(&channel));
	vm_channel_take(&channel, &news);
	ck_assert(news.rebooted && news.exited && news.error == 0);
	ck_assert_uint_eq(news.lost, 1u << 3);
	ck_assert_uint_eq(news.generation[3], 5);
	ck_assert_int_eq(news.why[3], -ETIMEDOUT);
	ck_assert_str_eq(news.exit.detail, "boom?");
	ck_assert(!vm_channel_has_news(&channel));
	close_channel();
}
END_TEST

START_TEST(channel_refusal_comes_with_its_words_made_harmless)
{
	open_channel();
	tell(WIRE_REPLY, 1, -EBUSY);
	ck_assert_int_eq(call(1000), -EBUSY);
	ck_assert_str_eq(err.message, "no ?[2Jway");
	ck_assert(!vm_channel_has_news(&channel));
	close_channel();
}
END_TEST

START_TEST(channel_reply_to_another_question_is_a_breach)
{
	open_channel();
	tell(WIRE_REPLY, 2, 0);
	ck_assert_int_eq(call(1000), -EPROTO);
	ck_assert_int_eq(channel.news.error, -EPROTO);
	close_channel();
	open_channel();
	tell(WIRE_REPLY, 7, 0);
	vm_channel_look(&channel);
	ck_assert_int_eq(channel.news.error, -EPROTO);
	close_channel();
}
END_TEST

START_TEST(channel_silence_and_endless_talk_have_an_end)
{
	struct timespec start;
	struct timespec now;

	open_channel();
	ck_assert_int_eq(call(30), -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(err.message, "does not answer"));
	close_channel();
	open_channel();
	/* As much as fits, and no reply among it. */
	for (int i = 0; i < 100; i++) {
		tell(WIRE_REBOOTED, 0, 0);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	ck_assert_int_eq(call(50), -ETIMEDOUT);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	ck_assert_int_le(now.tv_sec - start.tv_sec, 2);
	close_channel();
}
END_TEST

START_TEST(channel_end_is_noticed_once_what_was_said_before_is_read)
{
	struct vm_news news;

	open_channel();
	tell(WIRE_EXITED, 0, 0);
	close(peer);
	peer = open("/dev/null", O_RDONLY | O_CLOEXEC);
	vm_channel_look(&channel);
	vm_channel_take(&channel, &news);
	ck_assert(news.exited);
	ck_assert_int_eq(news.error, -ECONNRESET);
	ck_assert_int_eq(call(1000), -EPIPE);
	ck_assert_ptr_nonnull(strstr(err.message, "has ended"));
	close_channel();
}
END_TEST

/* ---- processes ---- */

static void on_end(void *ctx)
{
	(void)ctx;
}

/* Calls before, in and after those of fork; more than there are. */
#define FAULTS 150u

/*
 * Two devices' processes, of which the n-th call fails, in this process or in one of its copies:
 * both run, or neither does and nothing is left.
 */
START_TEST(servers_all_or_none_and_nothing_left)
{
	struct vm_nursery nursery = {.log = &test_log, .uid = 54321};
	struct vm_devices owner = {.nursery = &nursery, .program = "/bin/true"};
	struct vm_device devices[2];
	struct vm_device *list[] = {&devices[0], &devices[1]};
	unsigned failed = 0;
	unsigned fds;

	begin();
	nursery.loop = loop;
	for (unsigned i = 0; i < 2; i++) {
		devices[i] = (struct vm_device){.owner = &owner,
						.id = i == 0 ? "first" : "second",
						.shape = vmm_dev_shape_find("rng"),
						.fds = {STDIN_FILENO, -1}};
	}
	fds = fdcount();
	for (unsigned n = 0; n < FAULTS; n++) {
		struct faultinj f = {.n = n};
		struct vm_server *servers[2];
		size_t which = 99;
		int ret;

		memset(&err, 0, sizeof(err));
		(void)faultinj_next(&f);
		ret = vm_servers_start(servers, list, 2, on_end, &which, &err);
		faultinj_stop(&f);
		if (ret < 0) {
			failed++;
			ck_assert_uint_lt(which, 2);
			ck_assert_int_ne(err.message[0], '\0');
			ck_assert_ptr_null(servers[0]);
			ck_assert_ptr_null(servers[1]);
		} else {
			/* Which signals are ignored: all are reset where that cannot be read. */
			ck_assert_msg(!f.failed || strcmp(f.failed, "openat") == 0, "%u: %s", n,
				      f.failed ? f.failed : "");
			vm_server_end(servers[0]);
			vm_server_end(servers[1]);
		}
		ck_assert_uint_eq(fdcount(), fds);
		ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	}
	ck_assert_uint_ge(failed, 20);
	printf("figure: servers of devices: %u points made to fail, leaks 0\n", failed);
	end();
}
END_TEST

SUITE_MAIN("supervisor", childlog_lines_bear_the_name_and_their_level,
	   childlog_ready_is_noticed_and_not_logged,
	   childlog_bytes_are_made_printable_and_lines_bounded,
	   childlog_flood_is_cut_for_all_children_together,
	   childlog_last_words_without_a_newline_arrive, childlog_never_makes_the_child_wait,
	   counters_of_a_hostile_page_are_bounded, pump_carries_output_and_ends_with_the_child,
	   pump_end_of_the_child_does_not_spin, pump_input_waits_for_the_child,
	   channel_reply_is_matched_and_news_are_kept,
	   channel_refusal_comes_with_its_words_made_harmless,
	   channel_reply_to_another_question_is_a_breach,
	   channel_silence_and_endless_talk_have_an_end,
	   channel_end_is_noticed_once_what_was_said_before_is_read,
	   servers_all_or_none_and_nothing_left)
