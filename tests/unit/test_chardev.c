/* SPDX-License-Identifier: MIT */
/* Descriptors and pseudo-terminals as back ends: readers that are slow, late, or gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <vmm/dev/chardev.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"

#define RING 65536u

struct user {
	struct vmm_loop *loop;
	struct vmm_chardev *cd;
	bool idle; /* leaves input where it is */
	unsigned readable;
	unsigned resized;
	uint16_t columns;
	uint16_t rows;
	size_t got;
	char text[4096];
};

static void on_readable(void *ctx)
{
	struct user *u = ctx;

	u->readable++;
	if (u->idle) {
		vmm_chardev_want_input(u->cd, false);
		return;
	}
	u->got += vmm_chardev_read(u->cd, u->text + u->got, sizeof(u->text) - 1 - u->got);
	u->text[u->got] = '\0';
}

static void on_resized(void *ctx, uint16_t columns, uint16_t rows)
{
	struct user *u = ctx;

	u->resized++;
	u->columns = columns;
	u->rows = rows;
}

static const struct vmm_chardev_events events = {on_readable, on_resized};

static void begin(struct user *u)
{
	memset(u, 0, sizeof(*u));
	/* As every program that uses pipes does. */
	(void)signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(vmm_loop_create(&u->loop), 0);
}

static void start(struct user *u)
{
	ck_assert_int_eq(vmm_chardev_start(u->cd, u->loop, &events, u), 0);
	vmm_chardev_want_input(u->cd, true);
}

static void end(struct user *u)
{
	vmm_chardev_destroy(u->cd);
	vmm_loop_destroy(u->loop);
}

static void make(struct user *u, int in_fd, int out_fd)
{
	struct vmm_fdchar_config config = {.in_fd = in_fd, .out_fd = out_fd};

	ck_assert_int_eq(vmm_fdchar_create(&u->cd, &config, NULL), 0);
}

/* Runs until nothing happens for a while. */
static unsigned settle(struct user *u)
{
	unsigned ran = 0;

	for (int ret = 1; ret > 0 && ran < 1000;) {
		ret = vmm_loop_dispatch(u->loop, 30);
		ran += ret > 0 ? (unsigned)ret : 0;
	}
	return ran;
}

/* Reads everything there is. */
static size_t drain(int fd, char *buf, size_t cap)
{
	size_t got = 0;

	for (unsigned tries = 0; tries < 50; tries++) {
		ssize_t n = read(fd, buf + got, cap - got);

		if (n > 0) {
			got += (size_t)n;
			tries = 0;
		} else {
			(void)usleep(1000); /* a terminal's bytes come through a kernel thread */
		}
	}
	return got;
}

START_TEST(chardev_null_is_allowed_everywhere)
{
	uint16_t c = 7;
	uint16_t r = 7;
	char byte;

	ck_assert_int_eq(vmm_chardev_start(NULL, NULL, NULL, NULL), 0);
	vmm_chardev_write(NULL, "x", 1);
	ck_assert_uint_eq(vmm_chardev_read(NULL, &byte, 1), 0);
	vmm_chardev_want_input(NULL, true);
	ck_assert(!vmm_chardev_size(NULL, &c, &r));
	ck_assert_uint_eq(vmm_chardev_dropped(NULL), 0);
	vmm_chardev_stop(NULL);
	vmm_chardev_destroy(NULL);
}
END_TEST

START_TEST(chardev_second_user_is_refused)
{
	struct user u;

	begin(&u);
	make(&u, -1, -1);
	start(&u);
	ck_assert_int_eq(vmm_chardev_start(u.cd, u.loop, NULL, NULL), -EBUSY);
	vmm_chardev_stop(u.cd);
	ck_assert_int_eq(vmm_chardev_start(u.cd, u.loop, NULL, NULL), 0);
	end(&u);
}
END_TEST

START_TEST(fdchar_bytes_pass_both_ways)
{
	struct user u;
	char buf[16] = {0};
	int in[2];
	int out[2];

	begin(&u);
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	make(&u, in[0], out[1]);
	start(&u);
	vmm_chardev_write(u.cd, "output", 6);
	ck_assert_int_eq(read(out[0], buf, sizeof(buf)), 6);
	ck_assert_str_eq(buf, "output");
	ck_assert_int_eq(write(in[1], "input", 5), 5);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "input");
	/* Other users of the pipes block as before. */
	ck_assert_int_eq(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(out[1], F_GETFL) & O_NONBLOCK, 0);
	end(&u);
	for (int i = 0; i < 2; i++) {
		(void)close(in[i]);
		(void)close(out[i]);
	}
}
END_TEST

START_TEST(fdchar_one_socket_serves_both_ways)
{
	struct user u;
	char buf[8] = {0};
	int fds[2];

	begin(&u);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	make(&u, fds[0], fds[0]);
	start(&u);
	vmm_chardev_write(u.cd, "ping", 4);
	ck_assert_int_eq(read(fds[1], buf, sizeof(buf)), 4);
	ck_assert_int_eq(write(fds[1], "pong", 4), 4);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "pong");
	(void)close(fds[1]);
	ck_assert_uint_lt(settle(&u), 10);
	vmm_chardev_write(u.cd, "gone", 4);
	ck_assert_uint_eq(vmm_chardev_dropped(u.cd), 4);
	ck_assert_uint_lt(settle(&u), 10);
	end(&u);
	(void)close(fds[0]);
}
END_TEST

START_TEST(fdchar_slow_reader_gets_the_beginning_and_the_end)
{
	static char buf[4 * RING];
	struct user u;
	size_t pipe_size;
	size_t got;
	int out[2];

	begin(&u);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	pipe_size = (size_t)fcntl(out[1], F_GETPIPE_SZ);
	make(&u, -1, out[1]);
	start(&u);
	for (unsigned i = 0; i < 1u << 16; i++) {
		char line[17];

		(void)snprintf(line, sizeof(line), "%015u\n", i);
		vmm_chardev_write(u.cd, line, 16);
	}
	ck_assert_uint_eq(settle(&u), 0);
	ck_assert_uint_eq(vmm_chardev_dropped(u.cd), (1u << 20) - pipe_size - RING);
	got = drain(out[0], buf, sizeof(buf));
	ck_assert_uint_eq(got, pipe_size);
	ck_assert_int_eq(memcmp(buf, "000000000000000\n", 16), 0);
	(void)settle(&u);
	got = drain(out[0], buf, sizeof(buf));
	ck_assert_uint_eq(got, RING);
	ck_assert_int_eq(memcmp(buf + got - 16, "000000000065535\n", 16), 0);
	end(&u);
	(void)close(out[0]);
	(void)close(out[1]);
}
END_TEST

START_TEST(fdchar_write_larger_than_the_ring_reaches_the_reader)
{
	static char big[3 * RING];
	static char buf[4 * RING];
	struct user u;
	int fds[2];

	begin(&u);
	for (size_t i = 0; i < sizeof(big); i++) {
		big[i] = (char)('a' + i % 23);
	}
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_ge(fcntl(fds[1], F_SETPIPE_SZ, 4 * RING), 4 * (int)RING);
	make(&u, -1, fds[1]);
	start(&u);
	vmm_chardev_write(u.cd, big, sizeof(big));
	ck_assert_uint_eq(drain(fds[0], buf, sizeof(buf)), sizeof(big));
	ck_assert_int_eq(memcmp(buf, big, sizeof(big)), 0);
	end(&u);
	(void)close(fds[0]);
	(void)close(fds[1]);
}
END_TEST

START_TEST(fdchar_end_of_input_does_not_spin)
{
	struct user u;
	int in[2];

	begin(&u);
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	make(&u, in[0], -1);
	start(&u);
	(void)close(in[1]);
	ck_assert_uint_lt(settle(&u), 10);
	vmm_chardev_want_input(u.cd, true);
	ck_assert_uint_eq(settle(&u), 0);
	vmm_chardev_write(u.cd, "nowhere", 7);
	end(&u);
	(void)close(in[0]);
}
END_TEST

START_TEST(fdchar_unwanted_input_stays_with_the_sender)
{
	struct user u;
	int in[2];

	begin(&u);
	u.idle = true;
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	make(&u, in[0], -1);
	start(&u);
	ck_assert_int_eq(write(in[1], "x", 1), 1);
	(void)settle(&u);
	ck_assert_uint_eq(u.readable, 1);
	u.idle = false;
	vmm_chardev_want_input(u.cd, true);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "x");
	end(&u);
	(void)close(in[0]);
	(void)close(in[1]);
}
END_TEST

START_TEST(fdchar_regular_files_are_read_to_their_end)
{
	struct user u;
	char buf[8] = {0};
	FILE *in = tmpfile();
	FILE *out = tmpfile();

	begin(&u);
	ck_assert_int_gt(fprintf(in, "typed before"), 0);
	(void)fflush(in);
	rewind(in);
	make(&u, fileno(in), fileno(out));
	start(&u);
	vmm_chardev_write(u.cd, "said", 4);
	ck_assert_uint_lt(settle(&u), 10);
	ck_assert_str_eq(u.text, "typed before");
	ck_assert_int_eq(pread(fileno(out), buf, sizeof(buf), 0), 4);
	ck_assert_str_eq(buf, "said");
	end(&u);
	(void)fclose(in);
	(void)fclose(out);
}
END_TEST

START_TEST(fdchar_output_kept_while_stopped_goes_out_later)
{
	static char buf[4 * RING];
	struct user u;
	size_t pipe_size;
	int out[2];

	begin(&u);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	pipe_size = (size_t)fcntl(out[1], F_GETPIPE_SZ);
	make(&u, -1, out[1]);
	start(&u);
	memset(buf, 'p', sizeof(buf));
	vmm_chardev_write(u.cd, buf, pipe_size);
	vmm_chardev_write(u.cd, "tail", 4);
	vmm_chardev_stop(u.cd);
	ck_assert_uint_eq(drain(out[0], buf, sizeof(buf)), pipe_size);
	start(&u);
	(void)settle(&u);
	ck_assert_uint_eq(drain(out[0], buf, sizeof(buf)), 4);
	ck_assert_int_eq(memcmp(buf, "tail", 4), 0);
	end(&u);
	(void)close(out[0]);
	(void)close(out[1]);
}
END_TEST

static size_t no_escape(void *ctx, uint8_t *bytes, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == 0x1d) {
			(*(unsigned *)ctx)++;
		} else {
			bytes[kept++] = bytes[i];
		}
	}
	return kept;
}

START_TEST(fdchar_filter_sees_input_first)
{
	struct user u;
	unsigned escapes = 0;
	int in[2];
	struct vmm_fdchar_config config = {.out_fd = -1, .filter = no_escape, .ctx = &escapes};

	begin(&u);
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	config.in_fd = in[0];
	ck_assert_int_eq(vmm_fdchar_create(&u.cd, &config, NULL), 0);
	start(&u);
	ck_assert_int_eq(write(in[1],
			       "a\x1d"
			       "b",
			       3),
			 3);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "ab");
	ck_assert_uint_eq(escapes, 1);
	ck_assert_int_eq(write(in[1], "\x1d", 1), 1);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "ab");
	ck_assert_uint_eq(escapes, 2);
	end(&u);
	(void)close(in[0]);
	(void)close(in[1]);
}
END_TEST

START_TEST(fdchar_bad_descriptor_is_refused)
{
	struct vmm_fdchar_config config = {.in_fd = 99999, .out_fd = -1};
	struct vmm_error err = {0};
	struct vmm_chardev *cd;

	ck_assert_int_eq(vmm_fdchar_create(&cd, &config, &err), -EBADF);
	ck_assert_ptr_nonnull(strstr(err.message, "99999"));
	config.in_fd = -1;
	config.out_fd = 99999;
	ck_assert_int_eq(vmm_fdchar_create(&cd, &config, NULL), -EBADF);
	ck_assert_ptr_null(cd);
}
END_TEST

START_TEST(fdchar_without_proc_works_on_the_descriptor_itself)
{
	struct faultinj f = {.only = "open"};
	struct user u;
	int in[2];

	begin(&u);
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert(faultinj_next(&f));
	make(&u, in[0], -1);
	faultinj_stop(&f);
	ck_assert_ptr_nonnull(f.failed);
	start(&u);
	ck_assert_int_ne(fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(write(in[1], "y", 1), 1);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "y");
	end(&u);
	(void)close(in[0]);
	(void)close(in[1]);
}
END_TEST

START_TEST(fdchar_terminal_size_follows_update)
{
	struct winsize size = {.ws_col = 90, .ws_row = 33};
	struct user u;
	uint16_t columns;
	uint16_t rows;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int slave;

	begin(&u);
	ck_assert_int_eq(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &size), 0);
	make(&u, slave, slave);
	start(&u);
	ck_assert(vmm_chardev_size(u.cd, &columns, &rows));
	ck_assert_uint_eq(columns, 90);
	ck_assert_uint_eq(rows, 33);
	vmm_fdchar_update_size(u.cd);
	ck_assert_uint_eq(u.resized, 0);
	size.ws_col = 91;
	ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &size), 0);
	vmm_fdchar_update_size(u.cd);
	ck_assert_uint_eq(u.resized, 1);
	ck_assert_uint_eq(u.columns, 91);
	end(&u);
	(void)close(slave);
	(void)close(master);
}
END_TEST

START_TEST(fdchar_ptmx_is_not_opened_again)
{
	struct user u;
	char buf[8] = {0};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int slave;

	begin(&u);
	ck_assert_int_eq(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	make(&u, master, master);
	start(&u);
	vmm_chardev_write(u.cd, "same\n", 5);
	ck_assert_uint_eq(drain(slave, buf, sizeof(buf)), 5);
	end(&u);
	(void)close(slave);
	(void)close(master);
}
END_TEST

START_TEST(fdchar_create_survives_every_failure)
{
	struct faultinj f = {0};
	unsigned fds;
	int in[2];
	int out[2];

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	fds = fdcount();
	while (faultinj_next(&f)) {
		struct vmm_fdchar_config config = {.in_fd = in[0], .out_fd = out[1]};
		struct vmm_chardev *cd;
		int ret = vmm_fdchar_create(&cd, &config, NULL);

		faultinj_stop(&f);
		/* Not every failure is one of the whole: opening again may fail. */
		ck_assert(ret < 0 ? cd == NULL : cd != NULL);
		vmm_chardev_destroy(cd);
		ck_assert_uint_eq(fdcount(), fds);
	}
	ck_assert_uint_gt(f.n, 3);
	for (int i = 0; i < 2; i++) {
		(void)close(in[i]);
		(void)close(out[i]);
	}
}
END_TEST

START_TEST(fdchar_start_survives_every_failure)
{
	struct faultinj f = {0};
	struct user u;
	int ret;
	int in[2];
	int out[2];

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	do {
		begin(&u);
		make(&u, in[0], out[1]);
		if (!faultinj_next(&f)) {
			end(&u);
			break;
		}
		ret = vmm_chardev_start(u.cd, u.loop, &events, &u);
		faultinj_stop(&f);
		/* A source that cannot be paused is no reason not to start. */
		ck_assert(ret == 0 || f.failed);
		ck_assert_int_eq(u.cd->loop == NULL, ret != 0);
		end(&u);
	} while (true);
	ck_assert_uint_gt(f.n, 3);
	for (int i = 0; i < 2; i++) {
		(void)close(in[i]);
		(void)close(out[i]);
	}
}
END_TEST

/* ---- pty ---- */

static int open_client(const struct user *u)
{
	int fd = open(vmm_pty_path(u->cd), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void begin_pty(struct user *u)
{
	begin(u);
	ck_assert_int_eq(vmm_pty_create(&u->cd, NULL), 0);
	start(u);
}

START_TEST(pty_late_client_sees_early_output)
{
	char buf[32] = {0};
	struct user u;
	int fd;

	begin_pty(&u);
	vmm_chardev_write(u.cd, "boot\n", 5);
	ck_assert_uint_eq(settle(&u), 0);
	fd = open_client(&u);
	(void)settle(&u);
	ck_assert_uint_eq(drain(fd, buf, sizeof(buf)), 5);
	/* Raw: nothing was made of the newline. */
	ck_assert_str_eq(buf, "boot\n");
	(void)close(fd);
	end(&u);
}
END_TEST

START_TEST(pty_without_client_keeps_the_newest_output)
{
	static char buf[2 * RING];
	struct user u;
	size_t got = 0;
	int fd;

	begin_pty(&u);
	for (unsigned i = 0; i < 1u << 16; i++) {
		char line[17];

		(void)snprintf(line, sizeof(line), "%015u\n", i);
		vmm_chardev_write(u.cd, line, 16);
	}
	ck_assert_uint_eq(vmm_chardev_dropped(u.cd), (1u << 20) - RING);
	fd = open_client(&u);
	for (unsigned i = 0; i < 100 && got < RING; i++) {
		(void)vmm_loop_dispatch(u.loop, 10);
		got += drain(fd, buf + got, sizeof(buf) - got);
	}
	ck_assert_uint_eq(got, RING);
	ck_assert_int_eq(memcmp(buf, "000000000061440\n", 16), 0);
	ck_assert_int_eq(memcmp(buf + got - 16, "000000000065535\n", 16), 0);
	(void)close(fd);
	end(&u);
}
END_TEST

START_TEST(pty_clients_come_and_go)
{
	char first_path[64];
	struct user u;

	begin_pty(&u);
	(void)snprintf(first_path, sizeof(first_path), "%s", vmm_pty_path(u.cd));
	for (unsigned i = 0; i < 5; i++) {
		char buf[16] = {0};
		int fd = open_client(&u);

		(void)settle(&u);
		ck_assert_int_eq(write(fd, "k", 1), 1);
		(void)settle(&u);
		ck_assert_uint_eq(u.got, i + 1);
		vmm_chardev_write(u.cd, "echo", 4);
		ck_assert_uint_eq(drain(fd, buf, sizeof(buf)), 4);
		ck_assert_str_eq(buf, "echo");
		(void)close(fd);
		/* Nobody there: nothing to do, however long it lasts. */
		ck_assert_uint_lt(settle(&u), 5);
		ck_assert_int_eq(vmm_loop_dispatch(u.loop, 600), 0);
	}
	ck_assert_str_eq(vmm_pty_path(u.cd), first_path);
	end(&u);
}
END_TEST

START_TEST(pty_input_of_a_client_that_left_is_read)
{
	struct user u;
	int fd;

	begin_pty(&u);
	fd = open_client(&u);
	ck_assert_int_eq(write(fd, "last words", 10), 10);
	(void)close(fd);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "last words");
	end(&u);
}
END_TEST

START_TEST(pty_survives_stop_and_start)
{
	char buf[16] = {0};
	struct user u;
	int fd;

	begin_pty(&u);
	fd = open_client(&u);
	(void)settle(&u);
	vmm_chardev_stop(u.cd);
	vmm_chardev_write(u.cd, "between ", 8);
	start(&u);
	vmm_chardev_write(u.cd, "after", 5);
	(void)settle(&u);
	ck_assert_uint_eq(drain(fd, buf, sizeof(buf)), 13);
	ck_assert_str_eq(buf, "between after");
	(void)close(fd);
	end(&u);
}
END_TEST

static bool wait_resized(struct user *u, unsigned count)
{
	for (unsigned i = 0; i < 100 && u->resized < count; i++) {
		(void)vmm_loop_dispatch(u->loop, 20);
	}
	return u->resized == count;
}

START_TEST(pty_size_is_noticed)
{
	struct winsize size = {.ws_col = 100, .ws_row = 30};
	struct user u;
	int fd;

	begin_pty(&u);
	/* Set before anybody looks: seen when the client opens. */
	fd = open_client(&u);
	ck_assert_int_eq(ioctl(fd, TIOCSWINSZ, &size), 0);
	(void)vmm_loop_dispatch(u.loop, 100);
	ck_assert_uint_eq(u.resized, 1);
	ck_assert_uint_eq(u.columns, 100);
	ck_assert_uint_eq(u.rows, 30);
	/* With input. */
	size.ws_col = 101;
	ck_assert_int_eq(ioctl(fd, TIOCSWINSZ, &size), 0);
	ck_assert_int_eq(write(fd, "k", 1), 1);
	(void)vmm_loop_dispatch(u.loop, 100);
	ck_assert_uint_eq(u.columns, 101);
	/* And by itself. */
	size.ws_col = 102;
	ck_assert_int_eq(ioctl(fd, TIOCSWINSZ, &size), 0);
	ck_assert(wait_resized(&u, 3));
	ck_assert_uint_eq(u.columns, 102);
	(void)close(fd);
	end(&u);
}
END_TEST

START_TEST(pty_client_that_reads_nothing_blocks_nobody)
{
	struct user u;
	static char block[4096];
	int fd;

	begin_pty(&u);
	memset(block, 'n', sizeof(block));
	fd = open_client(&u);
	(void)settle(&u);
	for (unsigned i = 0; i < 256; i++) {
		vmm_chardev_write(u.cd, block, sizeof(block));
	}
	ck_assert_uint_gt(vmm_chardev_dropped(u.cd), (1u << 20) - 3 * RING);
	(void)close(fd);
	end(&u);
}
END_TEST

START_TEST(pty_without_inotify_still_finds_clients)
{
	struct faultinj f = {.only = "inotify_init1"};
	char buf[16] = {0};
	struct user u;
	int fd;

	begin(&u);
	ck_assert(faultinj_next(&f));
	ck_assert_int_eq(vmm_pty_create(&u.cd, NULL), 0);
	faultinj_stop(&f);
	ck_assert_ptr_nonnull(f.failed);
	start(&u);
	vmm_chardev_write(u.cd, "early", 5);
	fd = open_client(&u);
	for (unsigned i = 0; i < 20; i++) {
		(void)vmm_loop_dispatch(u.loop, 25);
	}
	ck_assert_uint_eq(drain(fd, buf, sizeof(buf)), 5);
	ck_assert_int_eq(write(fd, "k", 1), 1);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "k");
	(void)close(fd);
	end(&u);
}
END_TEST

START_TEST(pty_create_survives_every_failure)
{
	struct faultinj f = {0};
	unsigned fds = fdcount();

	while (faultinj_next(&f)) {
		struct vmm_error err = {0};
		struct vmm_chardev *cd;
		int ret = vmm_pty_create(&cd, &err);

		faultinj_stop(&f);
		ck_assert(ret < 0 ? cd == NULL && err.message[0] : cd != NULL);
		vmm_chardev_destroy(cd);
		ck_assert_uint_eq(fdcount(), fds);
	}
	ck_assert_uint_gt(f.n, 3);
}
END_TEST

START_TEST(pty_from_descriptors_works_like_any_other)
{
	char buf[16] = {0};
	char path[64];
	struct user u;
	int master;
	int inotify_fd;
	int fd;

	begin(&u);
	ck_assert_int_eq(vmm_pty_open(&master, &inotify_fd, path, sizeof(path), NULL), 0);
	ck_assert_int_ge(inotify_fd, 0);
	/* As they come through a socket or an exec: in blocking mode. */
	ck_assert_int_eq(fcntl(master, F_SETFL, O_RDWR), 0);
	ck_assert_int_eq(fcntl(inotify_fd, F_SETFL, 0), 0);
	ck_assert_int_eq(vmm_pty_from_fds(&u.cd, master, inotify_fd, NULL), 0);
	ck_assert_str_eq(vmm_pty_path(u.cd), path);
	start(&u);
	vmm_chardev_write(u.cd, "early", 5);
	ck_assert_uint_eq(settle(&u), 0);
	fd = open_client(&u);
	(void)settle(&u);
	ck_assert_uint_eq(drain(fd, buf, sizeof(buf)), 5);
	ck_assert_int_eq(write(fd, "k", 1), 1);
	(void)settle(&u);
	ck_assert_str_eq(u.text, "k");
	(void)close(fd);
	end(&u);
}
END_TEST

START_TEST(pty_from_other_descriptors_is_refused)
{
	unsigned fds = fdcount();
	struct vmm_chardev *cd;
	char path[64];
	int master;
	int inotify_fd;
	int pipe_fds[2];
	int slave;

	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	ck_assert_int_eq(vmm_pty_open(&master, &inotify_fd, path, sizeof(path), NULL), 0);
	slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_eq(vmm_pty_from_fds(&cd, 99999, inotify_fd, NULL), -EBADF);
	ck_assert_int_eq(vmm_pty_from_fds(&cd, -1, -1, NULL), -EBADF);
	ck_assert_int_eq(vmm_pty_from_fds(&cd, pipe_fds[0], -1, NULL), -ENOTTY);
	ck_assert_int_eq(vmm_pty_from_fds(&cd, slave, -1, NULL), -ENOTTY);
	ck_assert_int_eq(vmm_pty_from_fds(&cd, master, 99999, NULL), -EBADF);
	ck_assert_int_eq(vmm_pty_from_fds(&cd, master, pipe_fds[0], NULL), -EINVAL);
	ck_assert_ptr_null(cd);
	/* All of them are still the caller's. */
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	(void)close(slave);
	(void)close(master);
	(void)close(inotify_fd);
	ck_assert_uint_eq(fdcount(), fds);
	ck_assert_int_eq(vmm_pty_open(&master, &inotify_fd, path, 4, NULL), -ERANGE);
	ck_assert_uint_eq(fdcount(), fds);
}
END_TEST

START_TEST(pty_start_survives_every_failure)
{
	struct faultinj f = {0};
	struct user u;
	unsigned fds;

	begin(&u);
	ck_assert_int_eq(vmm_pty_create(&u.cd, NULL), 0);
	fds = fdcount();
	while (faultinj_next(&f)) {
		int ret = vmm_chardev_start(u.cd, u.loop, &events, &u);

		faultinj_stop(&f);
		if (ret == 0) {
			vmm_chardev_stop(u.cd);
		}
		ck_assert_uint_eq(fdcount(), fds);
	}
	ck_assert_uint_gt(f.n, 3);
	end(&u);
}
END_TEST

SUITE_MAIN("chardev", chardev_null_is_allowed_everywhere, chardev_second_user_is_refused,
	   fdchar_bytes_pass_both_ways, fdchar_one_socket_serves_both_ways,
	   fdchar_slow_reader_gets_the_beginning_and_the_end,
	   fdchar_write_larger_than_the_ring_reaches_the_reader, fdchar_end_of_input_does_not_spin,
	   fdchar_unwanted_input_stays_with_the_sender, fdchar_regular_files_are_read_to_their_end,
	   fdchar_output_kept_while_stopped_goes_out_later, fdchar_filter_sees_input_first,
	   fdchar_bad_descriptor_is_refused, fdchar_without_proc_works_on_the_descriptor_itself,
	   fdchar_terminal_size_follows_update, fdchar_ptmx_is_not_opened_again,
	   fdchar_create_survives_every_failure, fdchar_start_survives_every_failure,
	   pty_late_client_sees_early_output, pty_without_client_keeps_the_newest_output,
	   pty_clients_come_and_go, pty_input_of_a_client_that_left_is_read,
	   pty_survives_stop_and_start, pty_size_is_noticed,
	   pty_client_that_reads_nothing_blocks_nobody, pty_without_inotify_still_finds_clients,
	   pty_create_survives_every_failure, pty_from_descriptors_works_like_any_other,
	   pty_from_other_descriptors_is_refused, pty_start_survives_every_failure)
