/* SPDX-License-Identifier: MIT */
/* What crosses as a descriptor: files of the host, and pipes of the clipboard both ways. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_wlxd_fix.h"

#define CLIENT     (&fix.in)
#define COMPOSITOR (&fix.out)

static void keymap(int fd, uint32_t size)
{
	wlxd_say(COMPOSITOR, fd, WLXD_KEYBOARD, VMM_WL_EV_WL_KEYBOARD_KEYMAP, "uu", 1u, size);
}

START_TEST(a_keymap_is_a_copy_that_nobody_shortens)
{
	char text[8] = "";
	int theirs = wlxd_file("keymap", 30000);
	int ours = dup(theirs);
	struct stat st;

	ck_assert_int_eq(fcntl(theirs, F_ADD_SEALS, F_SEAL_WRITE), 0);
	keymap(theirs, 30000);
	wlxd_expect(CLIENT, 0, WLXD_KEYBOARD, VMM_WL_EV_WL_KEYBOARD_KEYMAP, "uu", 1u, 30000u);
	ck_assert_uint_eq(CLIENT->fd_count, 1);
	ck_assert_int_eq(ftruncate(ours, 0), 0);
	close(ours);
	ck_assert_int_eq(fstat(CLIENT->fds[0], &st), 0);
	ck_assert_int_eq(st.st_size, 30000);
	ck_assert_int_eq(pread(CLIENT->fds[0], text, 7, 0), 7);
	ck_assert_str_eq(text, "keymap");
	ck_assert_int_eq(fcntl(CLIENT->fds[0], F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
			 F_SEAL_SHRINK | F_SEAL_GROW);
}
END_TEST

START_TEST(a_keymap_that_is_shorter_than_said_is_zeroes_behind)
{
	struct stat st;

	keymap(wlxd_file("k", 1), 30000);
	ck_assert_uint_eq(CLIENT->fd_count, 1);
	ck_assert_int_eq(fstat(CLIENT->fds[0], &st), 0);
	ck_assert_int_eq(st.st_size, 30000);
}
END_TEST

START_TEST(no_keymap_is_an_empty_file)
{
	struct stat st;

	keymap(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	ck_assert_uint_eq(CLIENT->fd_count, 1);
	ck_assert_int_eq(fstat(CLIENT->fds[0], &st), 0);
	ck_assert_int_eq(st.st_size, 0);
}
END_TEST

#define SOURCE WLXD_FREE
#define OFFER  VMM_WL_SERVER_BASE

/* A pipe whose one end comes out at `far`; the other is returned. */
static int far_end(struct wlxd_end *near, struct wlxd_end *far, bool offer)
{
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	if (offer) {
		wlxd_say(COMPOSITOR, -1, WLXD_DATA_DEVICE, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u",
			 OFFER);
		wlxd_say(near, pipes[1], OFFER, VMM_WL_RQ_WL_DATA_OFFER_RECEIVE, "s", "text/plain");
	} else {
		wlxd_say(CLIENT, -1, WLXD_DATA_MANAGER,
			 VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_CREATE_DATA_SOURCE, "u", SOURCE);
		wlxd_say(near, pipes[1], SOURCE, VMM_WL_EV_WL_DATA_SOURCE_SEND, "s", "text/plain");
	}
	ck_assert_uint_eq(far->fd_count, 1);
	ck_assert_int_eq(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
	return pipes[0];
}

/* What goes into one end comes out of the other, to the last byte and no further. */
static void pump(struct wlxd_end *far, int to, int from)
{
	static uint8_t sent[300000], got[sizeof(sent) + 1];
	size_t in = 0, out = 0;
	ssize_t n;

	far->fd_count = 0;
	ck_assert_int_eq(fcntl(to, F_SETFL, O_NONBLOCK), 0);
	for (size_t i = 0; i < sizeof(sent); i++) {
		sent[i] = (uint8_t)(i * 7 + i / 256);
	}
	while (in < sizeof(sent)) {
		n = write(to, sent + in, sizeof(sent) - in);
		in += n > 0 ? (size_t)n : 0;
		wlxd_run();
		n = read(from, got + out, 5000);
		ck_assert(n > 0 || errno == EAGAIN);
		out += n > 0 ? (size_t)n : 0;
	}
	close(to);
	do {
		wlxd_run();
		n = read(from, got + out, sizeof(got) - out);
		out += n > 0 ? (size_t)n : 0;
	} while (n != 0);
	ck_assert_uint_eq(out, sizeof(sent));
	ck_assert_int_eq(memcmp(sent, got, sizeof(sent)), 0);
	close(from);
}

START_TEST(what_is_pasted_comes_in)
{
	int from = far_end(CLIENT, COMPOSITOR, true);

	pump(COMPOSITOR, COMPOSITOR->fds[0], from);
}
END_TEST

START_TEST(what_is_copied_goes_out)
{
	int from = far_end(COMPOSITOR, CLIENT, false);

	pump(CLIENT, CLIENT->fds[0], from);
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_ends)
{
	bool offer = _i;
	struct wlxd_end *far = offer ? COMPOSITOR : CLIENT;
	int from = far_end(offer ? CLIENT : COMPOSITOR, far, offer);
	int to = far->fds[0];

	far->fd_count = 0;
	close(from);
	for (unsigned i = 0; i < 100; i++) {
		if (write(to, "x", 1) != 1) {
			break;
		}
		wlxd_run();
	}
	ck_assert_int_eq(errno, EPIPE);
	close(to);
	wlxd_settle();
	ck_assert_ptr_nonnull(fix.client);
}
END_TEST

START_TEST(a_pipe_that_nobody_reads_fills_up)
{
	static const uint8_t block[65536];
	int from = far_end(CLIENT, COMPOSITOR, true);
	int to = COMPOSITOR->fds[0];
	size_t in = 0;

	COMPOSITOR->fd_count = 0;
	ck_assert_int_eq(fcntl(to, F_SETFL, O_NONBLOCK), 0);
	for (unsigned i = 0; i < 1000; i++) {
		ssize_t n = write(to, block, sizeof(block));

		in += n > 0 ? (size_t)n : 0;
		wlxd_run();
	}
	ck_assert_uint_gt(in, 1 << 20);
	ck_assert_uint_lt(in, 2 << 20);
	close(to);
	close(from);
	wlxd_settle();
}
END_TEST

START_TEST(what_a_client_copied_before_it_ended_goes_out)
{
	char text[8] = "";
	int from = far_end(COMPOSITOR, CLIENT, false);
	int to = CLIENT->fds[0];

	CLIENT->fd_count = 0;
	/* The end of the client is what the proxy hears of first. */
	close(fix.in.fd);
	fix.in.fd = -1;
	ck_assert_int_eq(write(to, "last", 4), 4);
	close(to);
	wlxd_run();
	ck_assert_ptr_null(fix.client);
	ck_assert_int_eq(read(from, text, 7), 4);
	ck_assert_str_eq(text, "last");
	ck_assert_int_eq(read(from, text, 7), 0);
	close(from);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{a_keymap_is_a_copy_that_nobody_shortens, 1},
		{a_keymap_that_is_shorter_than_said_is_zeroes_behind, 1},
		{no_keymap_is_an_empty_file, 1},
		{what_is_pasted_comes_in, 1},
		{what_is_copied_goes_out, 1},
		{a_pipe_that_nobody_reads_ends, 2},
		{a_pipe_that_nobody_reads_fills_up, 1},
		{what_a_client_copied_before_it_ended_goes_out, 1},
	};
	Suite *suite = suite_create("wlxd_pipes");

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, wlxd_setup, wlxd_teardown);
	}
	return suite_finish(suite);
}
