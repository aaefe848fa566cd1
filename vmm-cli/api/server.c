/* SPDX-License-Identifier: MIT */
#include "api/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE      16384
#define FDS_PER_RECV   253 /* SCM_MAX_FD of Linux */
#define REQUEST_MAX_NS UINT64_C(30000000000)
#define OUT_MAX        ((size_t)16 << 20)
#define RETRY_NS       UINT64_C(1000000000)

struct connection {
	struct api_server *server;
	struct vmm_source *source;
	struct vmm_source *timer; /* armed while a request is incomplete or a reply unread */
	int fd;
	bool closing; /* after the reply */
	struct http_in in;
	char *out; /* the rest of a reply */
	size_t out_len;
	size_t out_done;
};

struct api_server {
	struct vmm_loop *loop;
	const struct vmm_log *log;
	struct vmm_source *source;
	struct vmm_source *retry; /* armed while accept is held off for want of descriptors */
	int listen_fd;
	api_handler_fn handler;
	void *ctx;
	struct connection *connections[API_CONNECTIONS_MAX];
	char buf[READ_SIZE];
};

static void connection_close(struct connection *c)
{
	struct api_server *server = c->server;
	size_t i;

	for (i = 0; i < API_CONNECTIONS_MAX; i++) {
		if (server->connections[i] == c) {
			server->connections[i] = NULL;
		}
	}
	vmm_source_remove(c->source);
	vmm_source_remove(c->timer);
	http_in_finish(&c->in);
	close(c->fd);
	free(c->out);
	free(c);
}

static void on_timeout(void *ctx)
{
	struct connection *c = ctx;

	vmm_log(c->server->log, VMM_LOG_WARN, "API: closing a connection that stopped halfway");
	connection_close(c);
}

/* Sends what is left of the reply. False: the connection is gone. */
static bool flush(struct connection *c)
{
	while (c->out_done < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			/* Nothing more is read before the client took its reply. */
			(void)vmm_source_set_events(c->source, VMM_LOOP_WRITABLE);
			(void)vmm_source_arm(c->timer, REQUEST_MAX_NS);
			return true;
		}
		if (n < 0) {
			connection_close(c);
			return false;
		}
		c->out_done += (size_t)n;
	}
	free(c->out);
	c->out = NULL;
	c->out_len = 0;
	c->out_done = 0;
	if (c->closing) {
		connection_close(c);
		return false;
	}
	(void)vmm_source_set_events(c->source, VMM_LOOP_READABLE);
	(void)vmm_source_arm(c->timer, 0);
	return true;
}

/* Puts text behind what is still to be sent. */
static bool append(struct connection *c, const char *text, size_t len)
{
	char *grown = NULL;

	/* A client that sends requests without end and takes no reply. */
	if (len <= OUT_MAX - c->out_len) {
		grown = realloc(c->out, c->out_len + len);
	}
	if (!grown) {
		connection_close(c);
		return false;
	}
	memcpy(grown + c->out_len, text, len);
	c->out = grown;
	c->out_len += len;
	return true;
}

static bool reply(struct connection *c, int code, const char *body, bool keep_alive)
{
	char *text = NULL;
	size_t len = 0;
	bool alive;

	c->closing = c->closing || !keep_alive;
	if (http_reply(&text, &len, code, body, keep_alive) < 0) {
		connection_close(c);
		return false;
	}
	alive = append(c, text, len);
	free(text);
	return alive && flush(c);
}

/* A request that never reached a handler. text is constant and needs no escaping. */
static bool refuse(struct connection *c, int code, const char *text)
{
	char body[256];
	int n = snprintf(body, sizeof(body), "[\"The request was refused\",\"%s\"]", text);

	return reply(c, code, n > 0 && (size_t)n < sizeof(body) ? body : NULL, false);
}

static bool handle(struct connection *c)
{
	struct api_reply answer = {0, NULL};
	bool keep_alive = c->in.request.keep_alive;
	bool alive;

	c->server->handler(c->server->ctx, &c->in.request, &answer);
	http_in_next(&c->in);
	alive = reply(c, answer.code ? answer.code : 204, answer.body, keep_alive);
	free(answer.body);
	return alive;
}

/* Feeds bytes; a client may have sent several requests in one go. False: the connection is gone. */
static bool feed(struct connection *c, const char *data, size_t len)
{
	while (len > 0) {
		size_t used = 0;
		enum http_state state = http_in_feed(&c->in, data, len, &used);

		data += used;
		len -= used;
		if (state == HTTP_BAD) {
			return refuse(c, c->in.error_code, c->in.error_text);
		}
		if (state == HTTP_NEED_MORE) {
			break;
		}
		if (!handle(c)) {
			return false;
		}
	}
	if (c->in.expects_continue) {
		c->in.expects_continue = false;
		if (!append(c, http_continue(), strlen(http_continue())) || !flush(c)) {
			return false;
		}
	}
	if (c->in.started) {
		(void)vmm_source_arm(c->timer, REQUEST_MAX_NS);
	}
	return true;
}

/* Takes the descriptors of one message. False: some were lost or are too many. */
static bool take_fds(struct connection *c, struct msghdr *msg)
{
	bool good = (msg->msg_flags & MSG_CTRUNC) == 0;
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t count;
		size_t i;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			good = http_in_add_fd(&c->in, fd) == 0 && good;
		}
	}
	return good;
}

/* One recvmsg. False: the connection is gone or there is nothing more to read now. */
static bool receive(struct connection *c)
{
	union {
		char bytes[CMSG_SPACE(FDS_PER_RECV * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {c->server->buf, sizeof(c->server->buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
		return false;
	}
	if (n <= 0) {
		connection_close(c);
		return false;
	}
	if (!take_fds(c, &msg)) {
		(void)refuse(c, 400, "too many descriptors came with the request");
		return false;
	}
	return feed(c, c->server->buf, (size_t)n);
}

static void on_connection(void *ctx, int fd, uint32_t events)
{
	struct connection *c = ctx;

	(void)fd;
	if (c->out) {
		if (events & (VMM_LOOP_HANGUP | VMM_LOOP_ERROR)) {
			connection_close(c);
		} else {
			(void)flush(c);
		}
		return;
	}
	/* One message at a time: the loop comes back for more, and others have their turn. */
	(void)receive(c);
}

static int connection_open(struct api_server *server, int fd)
{
	struct connection *c;
	size_t slot = 0;
	int ret;

	while (slot < API_CONNECTIONS_MAX && server->connections[slot]) {
		slot++;
	}
	if (slot == API_CONNECTIONS_MAX) {
		return -EBUSY;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	c->server = server;
	c->fd = fd;
	http_in_init(&c->in);
	ret = vmm_loop_add_timer(server->loop, on_timeout, c, &c->timer);
	if (ret == 0) {
		ret = vmm_loop_add_fd(server->loop, fd, VMM_LOOP_READABLE, on_connection, c,
				      &c->source);
	}
	if (ret < 0) {
		vmm_source_remove(c->timer);
		free(c);
		return ret;
	}
	server->connections[slot] = c;
	return 0;
}

/* The client cannot be served; it gets the reason if it is quick to take it. */
static void turn_away(struct api_server *server, int fd, int error)
{
	char *text = NULL;
	size_t len = 0;

	vmm_log(server->log, VMM_LOG_WARN, "API: a connection was turned away: %s",
		error == -EBUSY ? "too many are open" : strerror(-error));
	if (http_reply(&text, &len, 503, "[\"Too many connections are open\"]", false) == 0) {
		(void)!send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		free(text);
	}
	close(fd);
}

static void on_retry(void *ctx)
{
	struct api_server *server = ctx;

	(void)vmm_source_set_events(server->source, VMM_LOOP_READABLE);
}

static void on_listen(void *ctx, int fd, uint32_t events)
{
	struct api_server *server = ctx;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int ret;

	(void)events;
	if (client < 0) {
		if (errno == EMFILE || errno == ENFILE) {
			/* The client stays queued; asking again at once would only spin. */
			vmm_log(server->log, VMM_LOG_WARN, "API: accept: %s", strerror(errno));
			(void)vmm_source_set_events(server->source, 0);
			(void)vmm_source_arm(server->retry, RETRY_NS);
		}
		return;
	}
	ret = connection_open(server, client);
	if (ret < 0) {
		turn_away(server, client, ret);
	}
}

int api_server_create(struct api_server **out, struct vmm_loop *loop, int listen_fd,
		      api_handler_fn handler, void *ctx, const struct vmm_log *log)
{
	struct api_server *server = calloc(1, sizeof(*server));
	int flags;
	int ret;

	*out = NULL;
	if (!server) {
		return -ENOMEM;
	}
	server->loop = loop;
	server->log = log;
	server->listen_fd = listen_fd;
	server->handler = handler;
	server->ctx = ctx;
	flags = fcntl(listen_fd, F_GETFL);
	if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		ret = -errno;
	} else {
		ret = vmm_loop_add_timer(loop, on_retry, server, &server->retry);
	}
	if (ret == 0) {
		ret = vmm_loop_add_fd(loop, listen_fd, VMM_LOOP_READABLE, on_listen, server,
				      &server->source);
	}
	if (ret < 0) {
		vmm_source_remove(server->retry);
		free(server);
		return ret;
	}
	*out = server;
	return 0;
}

void api_server_destroy(struct api_server *server)
{
	size_t i;

	if (!server) {
		return;
	}
	for (i = 0; i < API_CONNECTIONS_MAX; i++) {
		if (server->connections[i]) {
			connection_close(server->connections[i]);
		}
	}
	vmm_source_remove(server->source);
	vmm_source_remove(server->retry);
	free(server);
}

unsigned api_server_connections(const struct api_server *server)
{
	unsigned count = 0;
	size_t i;

	for (i = 0; i < API_CONNECTIONS_MAX; i++) {
		count += server->connections[i] != NULL;
	}
	return count;
}
