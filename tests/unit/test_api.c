/* SPDX-License-Identifier: MIT */
/*
 * The API over a real socket and loop, in one thread: the client's bytes wait in the socket while
 * the loop runs, and the reply waits there when it has run.
 */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/client.h"
#include "api/listen.h"
#include "api/manager.h"
#include "api/routes.h"
#include "api/server.h"
#include "api_stub.h"
#include "fdcount.h"

static struct vmm_loop *loop;
static struct vm_manager *manager;
static struct api_socket listener;
static struct api_server *server;
static struct api_routes routes;
static struct vm_events events;
static struct vmm_error err;
static unsigned shutdowns;
static enum vmm_exit_reason exit_reason;
static char dir[64];
static char sock_path[96];

static void on_shutdown(void *ctx)
{
	(void)ctx;
	shutdowns++;
}

static void on_exit_of_vm(void *ctx, const struct vmm_exit *why)
{
	(void)ctx;
	exit_reason = why->reason;
}

static void set_up(void)
{
	struct vm_manager_config config = {.tty_in = -1, .tty_out = -1, .on_exit = on_exit_of_vm};

	memset(&stub, 0, sizeof(stub));
	memset(&err, 0, sizeof(err));
	shutdowns = 0;
	exit_reason = VMM_EXIT_NONE;
	(void)snprintf(dir, sizeof(dir), "/tmp/test-api-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(sock_path, sizeof(sock_path), "%s/api", dir);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	vm_events_init(&events, -1);
	config.loop = loop;
	config.events = &events;
	ck_assert_int_eq(vm_manager_create(&manager, &config), 0);
	routes = (struct api_routes){.manager = manager, .on_shutdown = on_shutdown};
	ck_assert_msg(api_socket_bind(&listener, sock_path, 0600, &err) == 0, "%s", err.message);
	ck_assert_int_eq(
		api_server_create(&server, loop, listener.fd, api_routes_handle, &routes, NULL), 0);
}

static void tear_down(void)
{
	char command[128];

	api_server_destroy(server);
	api_socket_finish(&listener);
	vm_manager_destroy(manager);
	vm_events_finish(&events);
	vmm_loop_destroy(loop);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void pump(void)
{
	while (vmm_loop_dispatch(loop, 0) > 0) {
	}
}

static int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, sock_path, strlen(sock_path) + 1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void send_fds(int fd, const char *text, size_t len, const int *fds, size_t count)
{
	char control[CMSG_SPACE(16 * sizeof(int))] = {0};
	struct iovec iov = {.iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(&iov.iov_base, &text, sizeof(text));
	if (count > 0) {
		struct cmsghdr *cmsg = (struct cmsghdr *)(void *)control;

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(fd, &msg, MSG_NOSIGNAL), (ssize_t)len);
}

static void send_text(int fd, const char *text)
{
	send_fds(fd, text, strlen(text), NULL, 0);
}

/* What one recv gives, as libvirt reads a reply; "" when the server closed. */
static const char *recv_once(int fd)
{
	static char buf[65536];
	ssize_t n;

	pump();
	n = recv(fd, buf, sizeof(buf) - 1, 0);
	ck_assert_msg(n >= 0, "no reply: %s", strerror(errno));
	buf[n] = '\0';
	return buf;
}

static int code_of(const char *reply)
{
	int code = 0;

	ck_assert_msg(sscanf(reply, "HTTP/1.1 %d \r\n", &code) == 1, "reply: '%s'", reply);
	return code;
}

/* One request on a connection of its own: its code; the whole reply stays in the buffer. */
static const char *last_reply;

static int request(const char *method, const char *endpoint, const char *body)
{
	char text[4096];
	int fd = dial();
	int code;

	if (body) {
		(void)snprintf(text, sizeof(text),
			       "%s /api/v1/%s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
			       "Content-Length: %zu\r\n\r\n%s",
			       method, endpoint, strlen(body), body);
	} else {
		(void)snprintf(text, sizeof(text),
			       "%s /api/v1/%s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
			       method, endpoint);
	}
	send_text(fd, text);
	last_reply = recv_once(fd);
	code = code_of(last_reply);
	close(fd);
	pump();
	return code;
}

#define CONFIG                                                              \
	"{\"payload\":{\"kernel\":\"/k\"},\"console\":{\"mode\":\"Null\"}," \
	"\"disks\":[{\"path\":\"/d\"}]}"

static void enter(enum vm_state state)
{
	ck_assert_int_eq(request("PUT", "vm.delete", NULL), 204);
	if (state == VM_ABSENT) {
		return;
	}
	ck_assert_int_eq(request("PUT", "vm.create", CONFIG), 204);
	if (state == VM_CREATED) {
		return;
	}
	ck_assert_int_eq(request("PUT", "vm.boot", NULL), 204);
	if (state == VM_PAUSED) {
		ck_assert_int_eq(request("PUT", "vm.pause", NULL), 204);
	} else if (state == VM_SHUTDOWN) {
		stub_exit(VMM_EXIT_POWEROFF);
	}
	ck_assert_int_eq(vm_manager_state(manager), state);
}

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
		request("PUT", "vm.create", "{\"payload\":{\"kernel\":\"/k\"},\"fs\":[1]}"), 400);
	ck_assert_str_eq(strstr(last_reply, "\r\n\r\n") + 4,
			 "[\"The VM could not be created\",\"VmConfig: fs: this VMM does not "
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
	   api_uninvited_descriptors_are_closed, api_connection_is_kept_alive,
	   api_request_byte_by_byte_is_answered, api_expect_is_answered_before_the_body,
	   api_bad_requests_end_the_connection, api_eleventh_connection_is_turned_away,
	   api_slow_reader_gets_the_whole_reply, listen_socket_has_its_mode_and_goes_away,
	   listen_second_vmm_is_refused_and_first_unharmed, listen_stale_socket_is_replaced,
	   listen_bad_paths_are_refused, listen_inherited_socket_is_checked_and_kept,
	   events_are_json_and_an_empty_line)
