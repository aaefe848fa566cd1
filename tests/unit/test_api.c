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
#include "fdcount.h"

/* ---- every endpoint in every state ---- */

static const struct row {
	const char *method;
	const char *endpoint;
	const char *body;
	int codes[5]; /* absent, created, running, paused, shutdown */
} rows[] = {
	{"GET", "vmm.ping", NULL, {200, 200, 200, 200, 200}},
	{"PUT", "vmm.shutdown", NULL, {204, 204, 204, 204, 204}},
	{"GET", "vm.info", NULL, {404, 200, 200, 200, 200}},
	{"GET", "vm.counters", NULL, {404, 500, 200, 200, 500}},
	{"PUT", "vm.create", CONFIG, {204, 500, 500, 500, 500}},
	{"PUT", "vm.delete", NULL, {204, 204, 204, 204, 204}},
	{"PUT", "vm.boot", NULL, {404, 204, 500, 500, 204}},
	{"PUT", "vm.shutdown", NULL, {404, 500, 204, 204, 500}},
	{"PUT", "vm.reboot", NULL, {404, 500, 204, 204, 500}},
	{"PUT", "vm.pause", NULL, {404, 500, 204, 500, 500}},
	{"PUT", "vm.resume", NULL, {404, 500, 500, 204, 500}},
	{"PUT", "vm.power-button", NULL, {404, 500, 204, 500, 500}},
	{"PUT", "vm.add-disk", "{\"path\":\"/e\"}", {404, 204, 500, 500, 500}},
	{"PUT", "vm.add-net", "{\"tap\":\"t0\"}", {404, 204, 500, 500, 500}},
	{"PUT", "vm.remove-device", "{\"id\":\"_disk0\"}", {404, 204, 500, 500, 500}},
	{"GET", "vm.processes", NULL, {404, 200, 200, 200, 200}},
	{"PUT", "vm.restart-device", "{\"id\":\"_disk0\"}", {404, 500, 500, 500, 500}},
	{"PUT", "vm.nmi", NULL, {500, 500, 500, 500, 500}},
	{"PUT", "vm.resize", "{}", {500, 500, 500, 500, 500}},
	{"PUT", "vm.add-device", "{}", {500, 500, 500, 500, 500}},
	{"PUT", "vm.snapshot", "{}", {500, 500, 500, 500, 500}},
	{"PUT", "vm.nonsense", NULL, {404, 404, 404, 404, 404}},
};

START_TEST(api_every_endpoint_in_every_state_answers_its_code)
{
	set_up();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int state = VM_ABSENT; state <= VM_SHUTDOWN; state++) {
			int code;

			enter((enum vm_state)state);
			code = request(rows[i].method, rows[i].endpoint, rows[i].body);
			ck_assert_msg(code == rows[i].codes[state], "%s in state %s: %s",
				      rows[i].endpoint, vm_state_name((enum vm_state)state),
				      last_reply);
		}
	}
	ck_assert_uint_eq(shutdowns, 5);
	tear_down();
	ck_assert_uint_eq(stub.created, stub.destroyed);
}
END_TEST

START_TEST(api_wrong_method_or_body_is_400)
{
	set_up();
	for (size_t i = 0; i + 1 < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *other = rows[i].method[0] == 'G' ? "PUT" : "GET";

		ck_assert_int_eq(request(other, rows[i].endpoint, rows[i].body), 400);
		ck_assert_int_eq(request("POST", rows[i].endpoint, rows[i].body), 400);
		ck_assert_int_eq(
			request(rows[i].method, rows[i].endpoint, rows[i].body ? NULL : "{}"), 400);
	}
	ck_assert_int_eq(request("PUT", "vm.create", "{"), 400);
	ck_assert_int_eq(request("PUT", "vm.create", "[]"), 400);
	ck_assert_int_eq(request("PUT", "vm.remove-device", "{}"), 400);
	tear_down();
}
END_TEST

START_TEST(api_error_body_is_an_array_outermost_first)
{
	set_up();
	ck_assert_int_eq(
		request("PUT", "vm.create", "{\"payload\":{\"kernel\":\"/k\"},\"pmem\":[1]}"), 400);
	ck_assert_str_eq(strstr(last_reply, "\r\n\r\n") + 4,
			 "[\"The VM could not be created\",\"VmConfig: pmem: this VMM does not "
			 "support it\"]");
	ck_assert_ptr_nonnull(strstr(last_reply, "Content-Length: "));
	tear_down();
}
END_TEST

START_TEST(api_failed_boot_leaves_the_vm_created)
{
	set_up();
	enter(VM_CREATED);
	stub.build_result = -ENOENT;
	ck_assert_int_eq(request("PUT", "vm.boot", NULL), 500);
	ck_assert_ptr_nonnull(strstr(last_reply, "kernel '/k': no such file"));
	ck_assert_int_eq(vm_manager_state(manager), VM_CREATED);
	stub.build_result = 0;
	ck_assert_int_eq(request("PUT", "vm.boot", NULL), 204);
	stub.op_result = -EIO;
	ck_assert_int_eq(request("PUT", "vm.pause", NULL), 500);
	ck_assert_int_eq(request("PUT", "vm.reboot", NULL), 500);
	ck_assert_int_eq(request("PUT", "vm.power-button", NULL), 500);
	ck_assert_int_eq(request("GET", "vm.info", NULL), 200);
	ck_assert_ptr_nonnull(strstr(last_reply, "\"state\":\"Running\""));
	tear_down();
}
END_TEST

START_TEST(api_shutdown_goes_back_to_created_with_its_config)
{
	set_up();
	enter(VM_RUNNING);
	ck_assert_int_eq(request("PUT", "vm.shutdown", NULL), 204);
	ck_assert_int_eq(request("GET", "vm.info", NULL), 200);
	ck_assert_ptr_nonnull(strstr(last_reply, "\"state\":\"Created\""));
	ck_assert_ptr_nonnull(strstr(last_reply, "\"path\":\"/d\""));
	ck_assert_int_eq(request("PUT", "vm.boot", NULL), 204);
	ck_assert_int_eq(request("PUT", "vm.reboot", NULL), 204);
	ck_assert_uint_eq(stub.reboots, 1);
	ck_assert_int_eq(request("PUT", "vm.power-button", NULL), 204);
	ck_assert_uint_eq(stub.buttons, 1);
	tear_down();
}
END_TEST

START_TEST(api_guest_poweroff_reaches_the_owner)
{
	set_up();
	enter(VM_SHUTDOWN);
	ck_assert_int_eq(exit_reason, VMM_EXIT_POWEROFF);
	ck_assert_int_eq(request("GET", "vm.info", NULL), 200);
	ck_assert_ptr_nonnull(strstr(last_reply, "\"state\":\"Shutdown\""));
	tear_down();
}
END_TEST

START_TEST(api_counters_are_by_device_and_name)
{
	set_up();
	enter(VM_RUNNING);
	ck_assert_int_eq(request("GET", "vm.counters", NULL), 200);
	ck_assert_str_eq(strstr(last_reply, "\r\n\r\n") + 4,
			 "{\"_disk0\":{\"read_bytes\":512,\"read_ops\":1}}");
	tear_down();
}
END_TEST

START_TEST(api_duplicate_device_is_409)
{
	set_up();
	enter(VM_CREATED);
	ck_assert_int_eq(request("PUT", "vm.add-disk", "{\"path\":\"/d\"}"), 409);
	ck_assert_int_eq(request("PUT", "vm.add-disk", "{\"path\":\"/e\",\"id\":\"_disk0\"}"), 409);
	ck_assert_int_eq(request("PUT", "vm.add-net", "{\"tap\":\"t\",\"id\":\"n\"}"), 204);
	ck_assert_int_eq(request("PUT", "vm.add-net", "{\"tap\":\"u\",\"id\":\"n\"}"), 409);
	ck_assert_int_eq(request("PUT", "vm.remove-device", "{\"id\":\"n\"}"), 204);
	ck_assert_int_eq(request("PUT", "vm.remove-device", "{\"id\":\"n\"}"), 404);
	tear_down();
}
END_TEST

START_TEST(api_pty_is_known_before_boot_and_stays)
{
	char before[8192];

	set_up();
	ck_assert_int_eq(
		request("PUT", "vm.create",
			"{\"payload\":{\"kernel\":\"/k\"},\"console\":{\"mode\":\"Pty\"}}"),
		204);
	ck_assert_int_eq(request("GET", "vm.info", NULL), 200);
	ck_assert_ptr_nonnull(strstr(last_reply, "\"file\":\"/dev/pts/"));
	(void)snprintf(before, sizeof(before), "%s", strstr(last_reply, "/dev/pts/"));
	before[strcspn(before, "\"")] = '\0';
	ck_assert_int_eq(request("PUT", "vm.boot", NULL), 204);
	ck_assert_int_eq(request("PUT", "vm.shutdown", NULL), 204);
	ck_assert_int_eq(request("PUT", "vm.boot", NULL), 204);
	ck_assert_int_eq(request("GET", "vm.info", NULL), 200);
	ck_assert_ptr_nonnull(strstr(last_reply, before));
	tear_down();
}
END_TEST

START_TEST(api_unwritable_serial_log_is_known_at_create)
{
	set_up();
	ck_assert_int_eq(request("PUT", "vm.create",
				 "{\"payload\":{\"kernel\":\"/k\"},\"console\":{\"mode\":\"Null\"},"
				 "\"serial\":{\"mode\":\"File\",\"file\":\"/no/such/log\"}}"),
			 500);
	ck_assert_ptr_nonnull(strstr(last_reply, "/no/such/log"));
	ck_assert_int_eq(request("GET", "vm.info", NULL), 404);
	tear_down();
}
END_TEST

/* ---- descriptors ---- */

START_TEST(api_add_net_keeps_its_descriptor_until_removal)
{
	static const char head[] = "PUT /api/v1/vm.add-net HTTP/1.1\r\nHost: localhost\r\n"
				   "Accept: */*\r\n";
	static const char body[] = "{\"id\":\"router7\",\"mac\":\"0A:B3:EC:80:00:07\",\"fds\":[9]}";
	char rest[256];
	unsigned before;
	int pair[2];
	int fd;

	set_up();
	enter(VM_CREATED);
	before = fdcount();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	fd = dial();
	/* As ch-remote does it: the descriptors with the first of several writes. */
	send_fds(fd, head, sizeof(head) - 1, &pair[0], 1);
	close(pair[0]);
	pump();
	(void)snprintf(rest, sizeof(rest), "Content-Length: %zu\r\n\r\n", sizeof(body) - 1);
	send_text(fd, rest);
	pump();
	send_text(fd, body);
	last_reply = recv_once(fd);
	ck_assert_msg(code_of(last_reply) == 204, "%s", last_reply);
	close(fd);
	pump();
	ck_assert_uint_eq(fdcount(), before + 2);
	ck_assert_int_eq(request("GET", "vm.info", NULL), 200);
	ck_assert_ptr_nonnull(strstr(last_reply, "\"fds\":[-1]"));
	ck_assert_int_eq(request("PUT", "vm.boot", NULL), 204);
	ck_assert_int_eq(request("PUT", "vm.shutdown", NULL), 204);
	ck_assert_uint_eq(fdcount(), before + 2);
	ck_assert_int_eq(request("PUT", "vm.remove-device", "{\"id\":\"router7\"}"), 204);
	ck_assert_uint_eq(fdcount(), before + 1);
	close(pair[1]);
	tear_down();
}
END_TEST

/* Sends body to vm.add-net with count copies of fd in one message, as Kata and libvirt do. */
static int add_net_with(const char *body, int fd, size_t count)
{
	char text[1024];
	int fds[8];
	int conn = dial();
	int code;

	for (size_t i = 0; i < count; i++) {
		fds[i] = fd;
	}
	(void)snprintf(text, sizeof(text),
		       "PUT /api/v1/vm.add-net HTTP/1.1\r\nHost: localhost\r\n"
		       "Content-Length: %zu\r\n\r\n%s",
		       strlen(body), body);
	send_fds(conn, text, strlen(text), fds, count);
	last_reply = recv_once(conn);
	code = code_of(last_reply);
	close(conn);
	pump();
	return code;
}

START_TEST(api_refused_descriptors_are_closed)
{
	unsigned before;
	int pair[2];

	set_up();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	before = fdcount();
	ck_assert_int_eq(add_net_with("{}", pair[0], 1), 404); /* no VM */
	enter(VM_CREATED);
	ck_assert_int_eq(add_net_with("{}", pair[0], 2), 400);
	ck_assert_int_eq(add_net_with("{\"tap\":\"t\"}", pair[0], 1), 400);
	ck_assert_int_eq(add_net_with("{\"mac\":\"x\"}", pair[0], 1), 400);
	ck_assert_int_eq(add_net_with("{", pair[0], 1), 400);
	ck_assert_int_eq(add_net_with("{\"fds\":[3]}", -1, 0), 400);
	/* Neither a tap nor a packet socket. */
	ck_assert_int_eq(add_net_with("{}", listener.fd, 1), 400);
	enter(VM_RUNNING);
	ck_assert_int_eq(add_net_with("{}", pair[0], 1), 500);
	ck_assert_uint_eq(fdcount(), before);
	close(pair[0]);
	close(pair[1]);
	tear_down();
}
END_TEST

START_TEST(api_uninvited_descriptors_are_closed)
{
	static const char ping[] = "GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n";
	static const char garbage[] = "\x01\x02\r\n\r\n";
	unsigned before;
	int fds[4];
	int fd;

	set_up();
	before = fdcount();
	for (int i = 0; i < 4; i++) {
		fds[i] = listener.fd;
	}
	fd = dial();
	send_fds(fd, ping, sizeof(ping) - 1, fds, 4);
	ck_assert_int_eq(code_of(recv_once(fd)), 200);
	close(fd);
	fd = dial();
	send_fds(fd, garbage, sizeof(garbage) - 1, fds, 4);
	ck_assert_int_eq(code_of(recv_once(fd)), 400);
	close(fd);
	/* A client that goes away in the middle of its request. */
	fd = dial();
	send_fds(fd, ping, 10, fds, 4);
	pump();
	close(fd);
	pump();
	ck_assert_uint_eq(fdcount(), before);
	ck_assert_uint_eq(api_server_connections(server), 0);
	tear_down();
}
END_TEST

/* ---- events ---- */

START_TEST(events_are_json_and_an_empty_line)
{
	char text[4096] = "";
	json_t *json;
	int pipefd[2];

	set_up();
	ck_assert_int_eq(pipe(pipefd), 0);
	vm_events_init(&events, pipefd[1]);
	enter(VM_RUNNING);
	ck_assert_int_gt(read(pipefd[0], text, sizeof(text) - 1), 0);
	ck_assert_ptr_nonnull(strstr(text, "}\n\n{"));
	json = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
	ck_assert_str_eq(json_string_value(json_object_get(json, "event")), "booting");
	ck_assert_str_eq(json_string_value(json_object_get(json, "source")), "vm");
	ck_assert(json_is_integer(json_object_get(json_object_get(json, "timestamp"), "nanos")));
	json_decref(json);
	ck_assert_ptr_nonnull(strstr(text, "\"booted\""));
	close(pipefd[0]);
	tear_down();
}
END_TEST

SUITE_MAIN("api", api_every_endpoint_in_every_state_answers_its_code,
	   api_wrong_method_or_body_is_400, api_error_body_is_an_array_outermost_first,
	   api_failed_boot_leaves_the_vm_created, api_shutdown_goes_back_to_created_with_its_config,
	   api_guest_poweroff_reaches_the_owner, api_counters_are_by_device_and_name,
	   api_duplicate_device_is_409, api_pty_is_known_before_boot_and_stays,
	   api_unwritable_serial_log_is_known_at_create,
	   api_add_net_keeps_its_descriptor_until_removal, api_refused_descriptors_are_closed,
	   api_uninvited_descriptors_are_closed, events_are_json_and_an_empty_line)
