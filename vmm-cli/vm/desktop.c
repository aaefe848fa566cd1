/* SPDX-License-Identifier: MIT */
#include "vm/desktop.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DISPLAY_DEFAULT "wayland-0"

/* ---- connections ---- */

/* As libwayland looks for it. */
static int find_socket(char path[PATH_MAX], struct vmm_error *err)
{
	const char *display = getenv("WAYLAND_DISPLAY");
	const char *dir = getenv("XDG_RUNTIME_DIR");

	display = display && display[0] ? display : DISPLAY_DEFAULT;
	if (display[0] != '/' && (!dir || dir[0] != '/')) {
		return vmm_error_set(err, -ENOENT,
				     "no Wayland compositor is named: neither a socket in the "
				     "configuration nor XDG_RUNTIME_DIR in the environment");
	}
	(void)snprintf(path, PATH_MAX, "%s%s%s", display[0] == '/' ? "" : dir,
		       display[0] == '/' ? "" : "/", display);
	return 0;
}

int vm_desktop_connect(const char *socket_path, struct vmm_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char path[PATH_MAX];
	int ret = 0;
	int fd;

	if (socket_path) {
		(void)snprintf(path, sizeof(path), "%s", socket_path);
	} else {
		ret = find_socket(path, err);
	}
	if (ret == 0 && strlen(path) >= sizeof(addr.sun_path)) {
		ret = vmm_error_set(err, -ENAMETOOLONG,
				    "Wayland socket '%.40s...': longer than %zu", path,
				    sizeof(addr.sun_path) - 1);
	}
	if (ret < 0) {
		return ret;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return vmm_error_wrap(err, -errno, "Wayland socket");
	}
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		ret = vmm_error_set(err, -errno, "Wayland socket '%.200s': %s", path,
				    strerror(errno));
		(void)close(fd);
		return ret;
	}
	return fd;
}

/* ---- on behalf of a process ---- */

struct vm_connector {
	const char *socket;
	struct vmm_loop *loop;
	const struct vmm_log *log;
	struct vmm_log_limit limit;
	int fd;
	struct vmm_source *source;
};

/* The connection, or its absence: an errno as a number of four bytes, see <vmm/dev/gpu.h>. */
static int answer(int fd, int connection)
{
	int32_t error = connection < 0 ? -connection : 0;
	struct iovec iov = {.iov_base = &error, .iov_len = sizeof(error)};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (connection >= 0) {
		struct cmsghdr *cmsg = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &connection, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Whoever waits for an answer learns that none will come. */
static void stop(struct vm_connector *c)
{
	vmm_source_remove(c->source);
	c->source = NULL;
	(void)shutdown(c->fd, SHUT_RDWR);
}

/* One question at a time: one that asks faster than it takes answers is a guest's, and waits. */
static void on_question(void *ctx, int fd, uint32_t events)
{
	struct vm_connector *c = ctx;
	struct vmm_error err = {0};
	char byte;
	ssize_t got = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);
	int connection;

	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got <= 0) {
		stop(c);
		return;
	}
	connection = vm_desktop_connect(c->socket, &err);
	if (connection < 0) {
		vmm_log_guest(c->log, &c->limit, "%s", err.message);
	}
	/* There may be a connection that cannot be handed over: too many are on their way. */
	if (answer(fd, connection) < 0 && (connection < 0 || answer(fd, -EMFILE) < 0)) {
		stop(c);
	}
	if (connection >= 0) {
		(void)close(connection);
	}
}

int vm_connector_renew(struct vm_connector *c, int *asker, struct vmm_error *err)
{
	struct vmm_source *source = NULL;
	int pair[2];
	int ret = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
		return vmm_error_wrap(err, -errno, "connections to a compositor");
	}
	ret = vmm_loop_add_fd(c->loop, pair[0], VMM_LOOP_READABLE, on_question, c, &source);
	if (ret < 0) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		return vmm_error_wrap(err, ret, "connections to a compositor");
	}
	if (c->fd >= 0) {
		stop(c);
		(void)close(c->fd);
		(void)close(*asker);
	}
	c->source = source;
	c->fd = pair[0];
	*asker = pair[1];
	return 0;
}

int vm_connector_open(struct vm_connector **out, int *asker, const char *socket,
		      struct vmm_loop *loop, const struct vmm_log *log, struct vmm_error *err)
{
	struct vm_connector *c = calloc(1, sizeof(*c));
	int ret;

	*out = NULL;
	*asker = -1;
	if (!c) {
		return vmm_error_wrap(err, -ENOMEM, "connections to a compositor");
	}
	c->socket = socket;
	c->loop = loop;
	c->log = log;
	c->fd = -1;
	ret = vm_connector_renew(c, asker, err);
	if (ret < 0) {
		free(c);
		return ret;
	}
	*out = c;
	return 0;
}

void vm_connector_close(struct vm_connector *c)
{
	if (c) {
		stop(c);
		(void)close(c->fd);
		free(c);
	}
}
