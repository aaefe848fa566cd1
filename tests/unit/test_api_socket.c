/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api_fix.h"
#include "faultinj.h"
#include "fdcount.h"

/* ---- connections ---- */

START_TEST(api_connection_is_kept_alive)
{
	int fd;

	set_up();
	fd = dial();
	for (int i = 0; i < 3; i++) {
		send_text(fd, "GET /api/v1/vmm.ping HTTP/1.1\r\nHost: x\r\n\r\n");
		ck_assert_int_eq(code_of(recv_once(fd)), 200);
	}
	send_text(fd, "GET /api/v1/vmm.ping HTTP/1.1\r\nConnection: close\r\n\r\n");
	ck_assert_int_eq(code_of(recv_once(fd)), 200);
	ck_assert_str_eq(recv_once(fd), "");
	close(fd);
	tear_down();
}
END_TEST

START_TEST(api_request_byte_by_byte_is_answered)
{
	static const char text[] =
		"PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 53\r\n\r\n"
		"{\"payload\":{\"kernel\":\"/k\"},\"console\":{\"mode\":\"Null\"}}";
	int fd;

	set_up();
	fd = dial();
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		send_fds(fd, text + i, 1, NULL, 0);
		pump();
	}
	last_reply = recv_once(fd);
	ck_assert_msg(code_of(last_reply) == 204, "%s", last_reply);
	close(fd);
	tear_down();
}
END_TEST

START_TEST(api_expect_is_answered_before_the_body)
{
	int fd;

	set_up();
	fd = dial();
	send_text(fd, "PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 2\r\n"
		      "Expect: 100-continue\r\n\r\n");
	ck_assert_int_eq(code_of(recv_once(fd)), 100);
	send_text(fd, "{}");
	last_reply = recv_once(fd);
	ck_assert_int_eq(code_of(last_reply), 400);
	ck_assert_ptr_nonnull(strstr(last_reply, "payload.kernel is missing"));
	close(fd);
	tear_down();
}
END_TEST

START_TEST(api_bad_requests_end_the_connection)
{
	static const char *const texts[] = {
		"garbage\r\n\r\n",
		"PUT /api/v1/vm.create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
	};
	int fd;

	set_up();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		fd = dial();
		send_text(fd, texts[i]);
		ck_assert_int_eq(code_of(recv_once(fd)), 400);
		ck_assert_str_eq(recv_once(fd), "");
		close(fd);
	}
	fd = dial();
	send_text(fd, "PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n");
	ck_assert_int_eq(code_of(recv_once(fd)), 413);
	close(fd);
	pump();
	/* Others are not disturbed. */
	ck_assert_int_eq(request("GET", "vmm.ping", NULL), 200);
	tear_down();
}
END_TEST

START_TEST(api_eleventh_connection_is_turned_away)
{
	int fds[API_CONNECTIONS_MAX + 1];

	set_up();
	for (int i = 0; i < API_CONNECTIONS_MAX; i++) {
		fds[i] = dial();
	}
	pump();
	ck_assert_uint_eq(api_server_connections(server), API_CONNECTIONS_MAX);
	fds[API_CONNECTIONS_MAX] = dial();
	ck_assert_int_eq(code_of(recv_once(fds[API_CONNECTIONS_MAX])), 503);
	close(fds[0]);
	pump();
	ck_assert_int_eq(request("GET", "vmm.ping", NULL), 200);
	for (int i = 1; i <= API_CONNECTIONS_MAX; i++) {
		close(fds[i]);
	}
	pump();
	ck_assert_uint_eq(api_server_connections(server), 0);
	tear_down();
}
END_TEST

START_TEST(api_slow_reader_gets_the_whole_reply)
{
	static char text[70000];
	static const char info[] = "GET /api/v1/vm.info HTTP/1.1\r\n\r\n";
	struct vm_config config;
	json_t *json = NULL;
	size_t total = 0;
	size_t reply_len;
	int fd;

	set_up();
	(void)snprintf(text, sizeof(text),
		       "{\"payload\":{\"kernel\":\"/k\",\"cmdline\":\"%060000d\"},"
		       "\"console\":{\"mode\":\"Null\"}}",
		       0);
	vm_config_init(&config);
	ck_assert_int_eq(vm_json_parse(&json, text, strlen(text), &err), 0);
	ck_assert_int_eq(vm_config_from_json(&config, json, &err), 0);
	ck_assert_int_eq(vm_manager_define(manager, &config, &err), VM_OK);
	json_decref(json);
	fd = dial();
	send_text(fd, info);
	reply_len = strlen(recv_once(fd));
	ck_assert_uint_gt(reply_len, 60000);
	/* Far more than a socket holds: the server keeps the rest back and stays usable. */
	for (int i = 0; i < 20; i++) {
		send_text(fd, info);
		pump();
	}
	ck_assert_int_eq(request("GET", "vmm.ping", NULL), 200);
	for (;;) {
		ssize_t n = recv(fd, text, sizeof(text), 0);

		if (n > 0) {
			total += (size_t)n;
		} else if (n == 0 || vmm_loop_dispatch(loop, 0) <= 0) {
			break;
		}
	}
	ck_assert_uint_eq(total, 20 * reply_len);
	close(fd);
	tear_down();
}
END_TEST

/* ---- listening ---- */

START_TEST(listen_socket_has_its_mode_and_goes_away)
{
	struct stat st;
	char lock[128];

	set_up();
	ck_assert_int_eq(stat(sock_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	api_server_destroy(server);
	server = NULL;
	api_socket_finish(&listener);
	ck_assert_int_eq(stat(sock_path, &st), -1);
	(void)snprintf(lock, sizeof(lock), "%s.lock", sock_path);
	ck_assert_int_eq(stat(lock, &st), -1);
	tear_down();
}
END_TEST

START_TEST(listen_second_vmm_is_refused_and_first_unharmed)
{
	struct api_socket second;
	struct vmm_error why = {0};

	set_up();
	ck_assert_int_eq(api_socket_bind(&second, sock_path, 0600, &why), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(why.message, sock_path));
	ck_assert_int_eq(request("GET", "vmm.ping", NULL), 200);
	tear_down();
}
END_TEST

START_TEST(listen_stale_socket_is_replaced)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct api_socket again;
	char path[96];
	int fd;

	set_up();
	(void)snprintf(path, sizeof(path), "%s/old", dir);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	/* Someone listens there without our lock: still not ours to take. */
	ck_assert_int_eq(api_socket_bind(&again, path, 0600, &err), -EADDRINUSE);
	close(fd);
	ck_assert_msg(api_socket_bind(&again, path, 0660, &err) == 0, "%s", err.message);
	api_socket_finish(&again);
	tear_down();
}
END_TEST

START_TEST(listen_bad_paths_are_refused)
{
	struct api_socket s;
	struct stat st;
	char path[300];
	FILE *f;

	set_up();
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(api_socket_bind(&s, path, 0600, &err), -ENAMETOOLONG);
	ck_assert_int_eq(api_socket_bind(&s, "", 0600, &err), -ENAMETOOLONG);
	ck_assert_int_eq(api_socket_bind(&s, "/no/such/dir/api", 0600, &err), -ENOENT);
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	(void)fclose(f);
	ck_assert_int_eq(api_socket_bind(&s, path, 0600, &err), -EEXIST);
	ck_assert_int_eq(stat(path, &st), 0);
	tear_down();
}
END_TEST

START_TEST(listen_inherited_socket_is_checked_and_kept)
{
	struct api_socket s;
	int pair[2];

	set_up();
	ck_assert_int_eq(api_socket_inherit(&s, 4000, &err), -EBADF);
	ck_assert_int_eq(api_socket_inherit(&s, 0, &err) < 0, 1);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(api_socket_inherit(&s, pair[0], &err), -EINVAL);
	ck_assert_int_eq(api_socket_inherit(&s, listener.fd, &err), 0);
	api_socket_finish(&s);
	ck_assert_int_ne(fcntl(listener.fd, F_GETFD), -1);
	ck_assert_int_eq(access(sock_path, F_OK), 0);
	close(pair[0]);
	close(pair[1]);
	tear_down();
}
END_TEST

/* ---- faults ---- */

START_TEST(api_set_up_failing_anywhere_leaves_nothing)
{
	struct faultinj f = {0};
	unsigned failures = 0;

	set_up();
	while (faultinj_next(&f)) {
		unsigned before = fdcount();
		struct api_server *other = NULL;
		struct api_socket s = {.fd = -1, .lock_fd = -1};
		char path[96];
		int ret;

		(void)snprintf(path, sizeof(path), "%s/other", dir);
		ret = api_socket_bind(&s, path, 0600, &err);
		if (ret == 0) {
			ret = api_server_create(&other, loop, s.fd, api_routes_handle, &routes,
						NULL);
		}
		faultinj_stop(&f);
		ck_assert_msg((ret < 0) == (f.failed != NULL), "%s failed: got %d", f.failed, ret);
		ck_assert(ret == 0 || other == NULL);
		failures += f.failed != NULL;
		api_server_destroy(other);
		api_socket_finish(&s);
		ck_assert_int_eq(access(path, F_OK), -1);
		ck_assert_uint_eq(fdcount(), before);
	}
	ck_assert_uint_gt(failures, 5);
	tear_down();
}
END_TEST

/* A client that meets any one failure gets a reply that says so, or is hung up on; the next one is
 * fine. */
START_TEST(api_request_failing_anywhere_harms_nobody_else)
{
	static const char text[] = "PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 76\r\n\r\n"
				   "{\"payload\":{\"kernel\":\"/k\"},\"disks\":[{\"path\":\"/d\"}],"
				   "\"console\":{\"mode\":\"Pty\"}}";
	struct faultinj f = {0};
	unsigned failures = 0;
	unsigned before;
	int fd;

	set_up();
	before = fdcount();
	for (;;) {
		char reply[1024] = "";
		ssize_t n;

		fd = dial();
		send_text(fd, text);
		if (!faultinj_next(&f)) {
			break;
		}
		pump();
		faultinj_stop(&f);
		n = recv(fd, reply, sizeof(reply) - 1, 0);
		ck_assert_msg(n > 0 || f.failed, "no reply");
		if (!f.failed) {
			ck_assert_int_eq(code_of(reply), 204);
		}
		failures += f.failed != NULL;
		close(fd);
		pump();
		ck_assert_int_eq(request("PUT", "vm.delete", NULL), 204);
		ck_assert_uint_eq(fdcount(), before);
	}
	ck_assert_uint_gt(failures, 5);
	tear_down();
}
END_TEST

SUITE_MAIN("api_socket", api_connection_is_kept_alive, api_request_byte_by_byte_is_answered,
	   api_expect_is_answered_before_the_body, api_bad_requests_end_the_connection,
	   api_eleventh_connection_is_turned_away, api_slow_reader_gets_the_whole_reply,
	   listen_socket_has_its_mode_and_goes_away,
	   listen_second_vmm_is_refused_and_first_unharmed, listen_stale_socket_is_replaced,
	   listen_bad_paths_are_refused, listen_inherited_socket_is_checked_and_kept,
	   api_set_up_failing_anywhere_leaves_nothing,
	   api_request_failing_anywhere_harms_nobody_else)
