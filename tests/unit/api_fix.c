/* SPDX-License-Identifier: MIT */
#include "api_fix.h"

#include <check.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct vmm_loop *loop;
struct vm_manager *manager;
struct api_socket listener;
struct api_server *server;
struct api_routes routes;
struct vm_events events;
struct vmm_error err;
unsigned shutdowns;
enum vmm_exit_reason exit_reason;
char dir[64];
char sock_path[96];

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

void set_up(void)
{
	struct vm_manager_config config = {
		.body = &vm_body_inprocess,
		.tty_in = -1,
		.tty_out = -1,
		.on_exit = on_exit_of_vm,
	};

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

void tear_down(void)
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

void pump(void)
{
	while (vmm_loop_dispatch(loop, 0) > 0) {
	}
}

int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, sock_path, strlen(sock_path) + 1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

void send_fds(int fd, const char *text, size_t len, const int *fds, size_t count)
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

void send_text(int fd, const char *text)
{
	send_fds(fd, text, strlen(text), NULL, 0);
}

/* What one recv gives, as libvirt reads a reply; "" when the server closed. */
const char *recv_once(int fd)
{
	static char buf[65536];
	ssize_t n;

	pump();
	n = recv(fd, buf, sizeof(buf) - 1, 0);
	ck_assert_msg(n >= 0, "no reply: %s", strerror(errno));
	buf[n] = '\0';
	return buf;
}

int code_of(const char *reply)
{
	int code = 0;

	ck_assert_msg(sscanf(reply, "HTTP/1.1 %d \r\n", &code) == 1, "reply: '%s'", reply);
	return code;
}

/* One request on a connection of its own: its code; the whole reply stays in the buffer. */
const char *last_reply;

int request(const char *method, const char *endpoint, const char *body)
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

void enter(enum vm_state state)
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
