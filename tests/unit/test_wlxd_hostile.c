/* SPDX-License-Identifier: MIT */
/* Clients, compositors and circumstances that mean the proxy harm: it ends what they do, and
 * nothing else. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "faultinj.h"
#include "server.h"
#include "test_wlxd_fix.h"

#define POOL   (WLXD_FREE + 0u)
#define BUFFER (WLXD_FREE + 1u)

#define CLIENT     (&fix.in)
#define COMPOSITOR (&fix.out)

static void gone(void)
{
	wlxd_settle();
	ck_assert_ptr_null(fix.client);
	ck_assert(CLIENT->eof);
	ck_assert(COMPOSITOR->eof);
}

START_TEST(messages_that_are_none_end_the_client)
{
	static const uint32_t words[][8] = {
		{1, 0},                                      /* no size */
		{1, 4 << 16},                                /* less than a header */
		{1, 9 << 16},                                /* half a word */
		{1, 0xfffcu << 16},                          /* longer than any */
		{0, 8 << 16},                                /* of no object */
		{WLXD_FREE, 8 << 16},                        /* of one that is not there */
		{VMM_WL_SERVER_BASE, 8 << 16},               /* the same */
		{WLXD_SHM, 8 << 16 | 99},                    /* no such opcode */
		{WLXD_COMPOSITOR, 8 << 16},                  /* an argument is missing */
		{WLXD_COMPOSITOR, 12 << 16, WLXD_SHM},       /* an id that is taken */
		{WLXD_COMPOSITOR, 12 << 16, 0},              /* none */
		{WLXD_COMPOSITOR, 12 << 16, WLXD_FREE + 9u}, /* not the next */
		{WLXD_COMPOSITOR, 12 << 16, UINT32_MAX},
		{WLXD_REGISTRY, 28 << 16, 1, 0xfffffff0, 0x41414141, 1, WLXD_FREE},
		/* Pools of no descriptor. */
		{WLXD_SHM, 16 << 16, POOL, 4096},
	};
	uint8_t bytes[4096] = {0};
	uint32_t size = words[_i][1] >> 16;

	memcpy(bytes, words[_i], sizeof(words[_i]));
	wlxd_send(CLIENT, bytes, size < 8 || size > sizeof(bytes) ? 8 : (size + 3) / 4 * 4, -1);
	gone();
}
END_TEST

START_TEST(events_that_are_none_end_the_client)
{
	static const uint32_t words[][4] = {
		{1, 0},
		{0, 8 << 16},
		{WLXD_FREE, 8 << 16},
		{WLXD_SEAT, 8 << 16 | 99},
		{WLXD_SEAT, 12 << 16 | VMM_WL_EV_WL_SEAT_NAME, 0x7fffffff},
		/* A keymap and no file. */
		{WLXD_KEYBOARD, 16 << 16 | VMM_WL_EV_WL_KEYBOARD_KEYMAP, 1, 10},
	};
	uint8_t bytes[16];

	memcpy(bytes, words[_i], sizeof(bytes));
	wlxd_send(COMPOSITOR, bytes, words[_i][1] ? words[_i][1] >> 16 : 8, -1);
	gone();
}
END_TEST

START_TEST(a_keymap_must_be_a_file_of_some_size)
{
	int pair[2];
	int fd;

	if (_i == 0) {
		ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
		fd = pair[_i];
		close(pair[1]);
	} else if (_i == 1) {
		ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
		fd = pair[1];
		close(pair[0]);
	} else if (_i == 2) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	} else {
		fd = wlxd_file("", 1 << 30);
	}
	wlxd_put(COMPOSITOR, fd, WLXD_KEYBOARD, VMM_WL_EV_WL_KEYBOARD_KEYMAP, "uu", 1u, 10u);
	gone();
}
END_TEST

START_TEST(a_pool_that_is_no_file_is_told_so)
{
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	wlxd_put(CLIENT, pipes[0], WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", POOL, 4096u);
	close(pipes[1]);
	gone();
	ck_assert_uint_eq(wlxd_count(CLIENT), 1);
	ck_assert_uint_eq(vmm_wl_word(CLIENT->got, 0), WLXD_SHM);
	ck_assert_uint_eq(vmm_wl_word(CLIENT->got, 1), 2);
}
END_TEST

START_TEST(pools_of_no_size_are_the_compositors_to_refuse)
{
	wlxd_say(CLIENT, wlxd_file("", 0), WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", POOL,
		 (uint32_t)-_i);
	wlxd_expect(COMPOSITOR, 0, WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", POOL,
		    (uint32_t)-_i);
	wlxd_say(CLIENT, -1, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", BUFFER, 0u, 1u,
		 1u, 4u, 1u);
	wlxd_expect(COMPOSITOR, 1, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", BUFFER,
		    UINT32_MAX, 1u, 1u, 4u, 1u);
}
END_TEST

START_TEST(descriptors_that_no_message_takes_end_the_client)
{
	for (unsigned i = 0; i < 100 && fix.client; i++) {
		wlxd_put(CLIENT, wlxd_file("", 0), VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC,
			 "u", WLXD_FREE + i);
		wlxd_settle();
	}
	gone();
}
END_TEST

START_TEST(pipes_without_number_end_the_client)
{
	int pipes[2];

	wlxd_say(COMPOSITOR, -1, WLXD_DATA_DEVICE, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u",
		 VMM_WL_SERVER_BASE);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	for (unsigned i = 0; i < 1000 && fix.client; i++) {
		wlxd_put(CLIENT, dup(pipes[1]), VMM_WL_SERVER_BASE, VMM_WL_RQ_WL_DATA_OFFER_RECEIVE,
			 "s", "a");
		wlxd_settle();
	}
	close(pipes[0]);
	close(pipes[1]);
	gone();
}
END_TEST

/* Random changes of a sequence that does a bit of everything: nothing is said of what comes of it.
 */
START_TEST(noise_is_survived)
{
	unsigned seed = (unsigned)_i;
	uint8_t bytes[512];
	size_t len = 0;

	len += wlmsg(bytes + len, WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", POOL, 65536u);
	len += wlmsg(bytes + len, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", BUFFER, 0u,
		     8u, 8u, 32u, 1u);
	len += wlmsg(bytes + len, WLXD_COMPOSITOR, VMM_WL_RQ_WL_COMPOSITOR_CREATE_SURFACE, "u",
		     WLXD_FREE + 2u);
	for (unsigned i = 0; i < 3; i++) {
		len += wlmsg(bytes + len, WLXD_FREE + 2u, VMM_WL_RQ_WL_SURFACE_ATTACH, "uuu",
			     BUFFER, 0u, 0u);
		len += wlmsg(bytes + len, WLXD_FREE + 2u, VMM_WL_RQ_WL_SURFACE_DAMAGE, "uuuu", 0u,
			     0u, 8u, 8u);
		len += wlmsg(bytes + len, WLXD_FREE + 2u, VMM_WL_RQ_WL_SURFACE_COMMIT, "");
	}
	len += wlmsg(bytes + len, BUFFER, VMM_WL_RQ_WL_BUFFER_DESTROY, "");
	for (int n = rand_r(&seed) % 4; n >= 0; n--) {
		size_t at = (size_t)rand_r(&seed) % len;

		bytes[rand_r(&seed) % 2 ? at : at / 4 * 4] = (uint8_t)rand_r(&seed);
	}
	wlxd_send(CLIENT, bytes, len, wlxd_file("", 65536));
	wlxd_settle();
}
END_TEST

/* Whatever fails while a client does something: it goes on or ends. The fixture's client stands by.
 */
START_TEST(failures_end_the_client_or_nothing)
{
	struct faultinj f = {0};

	wlxd_teardown();
	for (bool more = true; more;) {
		wlxd_setup();
		wlxd_put(CLIENT, wlxd_file("", 65536), WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu",
			 POOL, 65536u);
		wlxd_put(CLIENT, -1, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", BUFFER,
			 0u, 8u, 8u, 32u, 1u);
		wlxd_put(CLIENT, -1, WLXD_COMPOSITOR, VMM_WL_RQ_WL_COMPOSITOR_CREATE_SURFACE, "u",
			 WLXD_FREE + 2u);
		wlxd_put(COMPOSITOR, wlxd_file("", 100), WLXD_KEYBOARD,
			 VMM_WL_EV_WL_KEYBOARD_KEYMAP, "uu", 1u, 100u);
		more = faultinj_next(&f);
		if (more) {
			for (unsigned i = 0; i < 100 && vmm_loop_dispatch(fix.loop, 0) > 0; i++) {
			}
			faultinj_stop(&f);
		}
		wlxd_settle();
		if (!f.failed) {
			ck_assert_ptr_nonnull(fix.client);
		} else if (!fix.client) {
			ck_assert(COMPOSITOR->eof && CLIENT->eof);
		}
		wlxd_teardown();
	}
	wlxd_setup();
}
END_TEST

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, path, strlen(path));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* A server beside the fixture's client. */
static struct server server;
static struct listener listener;

static void server_begin(void)
{
	char path[80];

	(void)snprintf(path, sizeof(path), "%s/clients", fix.dir);
	server = (struct server){.loop = fix.loop, .log = &fix.log, .host = fix.host};
	ck_assert_int_eq(listener_open(&listener, path), 0);
	ck_assert_int_eq(server_start(&server, listener.fd), 0);
}

static void server_end(void)
{
	server_finish(&server);
	listener_close(&listener);
	ck_assert_int_eq(access(listener.path, F_OK), -1);
}

START_TEST(a_name_that_is_taken_is_not_taken_away)
{
	struct listener second;

	server_begin();
	ck_assert_int_eq(listener_open(&second, listener.path), -EADDRINUSE);
	ck_assert_int_eq(access(listener.path, F_OK), 0);
	server_end();
}
END_TEST

START_TEST(clients_come_and_go)
{
	int fds[20];

	server_begin();
	for (unsigned i = 0; i < 20; i++) {
		fds[i] = connect_to(listener.path);
		wlxd_run();
	}
	ck_assert_uint_le(server.count, 20);
	/* The compositor takes those that its backlog holds. */
	ck_assert_uint_ge(server.count, 8);
	for (unsigned i = 0; i < 20; i += 2) {
		close(fds[i]);
	}
	wlxd_run();
	ck_assert_uint_le(server.count, 10);
	for (unsigned i = 1; i < 20; i += 2) {
		close(fds[i]);
	}
	server_end();
}
END_TEST

START_TEST(without_descriptors_clients_wait)
{
	struct rlimit old, none;
	int fd;

	server_begin();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	fd = connect_to(listener.path);
	none = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = old.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	/* It comes to rest, though the socket stays readable. */
	wlxd_run();
	ck_assert_uint_eq(server.count, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (unsigned i = 0; i < 100 && server.count == 0; i++) {
		(void)vmm_loop_dispatch(fix.loop, 100);
	}
	ck_assert_uint_eq(server.count, 1);
	close(fd);
	server_end();
}
END_TEST

START_TEST(without_a_compositor_clients_are_turned_away)
{
	char byte;
	int fd;

	server_begin();
	ck_assert_int_eq(unlink(fix.path), 0);
	fd = connect_to(listener.path);
	wlxd_run();
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
	ck_assert_uint_eq(server.count, 0);
	close(fd);
	server_end();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{messages_that_are_none_end_the_client, 15},
		{events_that_are_none_end_the_client, 6},
		{a_keymap_must_be_a_file_of_some_size, 4},
		{a_pool_that_is_no_file_is_told_so, 1},
		{pools_of_no_size_are_the_compositors_to_refuse, 2},
		{descriptors_that_no_message_takes_end_the_client, 1},
		{pipes_without_number_end_the_client, 1},
		{noise_is_survived, 500},
		{failures_end_the_client_or_nothing, 1},
		{a_name_that_is_taken_is_not_taken_away, 1},
		{clients_come_and_go, 1},
		{without_descriptors_clients_wait, 1},
		{without_a_compositor_clients_are_turned_away, 1},
	};
	Suite *suite = suite_create("wlxd_hostile");

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, wlxd_setup, wlxd_teardown);
	}
	return suite_finish(suite);
}
