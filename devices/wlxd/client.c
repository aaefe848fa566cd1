/* SPDX-License-Identifier: MIT */
/* Bytes between a client and the compositor, and when to read which. */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Beyond this much that a client has not read, the compositor is to wait. */
#define OUT_HIGH   (256u << 10)
#define PIPES_HIGH (1u << 20)

#define DISPLAY_ERROR_NO_MEMORY 2

/* Who is read from, given who has yet to take something. */
static void steer(struct client *client)
{
	bool read = !client->ended && !client->closing && !client->waiting &&
		    host_pending(client->host) == 0;
	size_t out = outbuf_len(&client->out);

	(void)vmm_source_set_events(client->source, (read ? VMM_LOOP_READABLE : 0) |
							    (out > 0 ? VMM_LOOP_WRITABLE : 0));
	host_listen(client->host, !client->ended && !client->closing && out < OUT_HIGH &&
					  client->pipes.pending < PIPES_HIGH);
}

static void end(struct client *client)
{
	client->gone(client->ctx, client);
	client_destroy(client);
}

/* What happened last has ended the client, or it goes on. No word about it behind this call. */
static void settle(struct client *client, int ret)
{
	if (ret == 0) {
		ret = host_flush(client->host);
	}
	if (ret == 0 || ret == -ECONNABORTED) {
		/* One that has closed its socket may still have said something. */
		if (outbuf_flush(&client->out, client->fd) < 0) {
			outbuf_finish(&client->out);
		}
	} else {
		vmm_log(client->log, VMM_LOG_WARN, "client %u: %s", client->number,
			ret == -EPROTO ? "not the protocol" : strerror(-ret));
	}
	if ((ret < 0 && ret != -ECONNABORTED) ||
	    (client->closing && outbuf_len(&client->out) == 0) ||
	    (client->ended && host_pending(client->host) == 0)) {
		end(client);
		return;
	}
	steer(client);
}

int client_no_memory(struct client *client, uint32_t object, const char *what)
{
	uint8_t data[VMM_WL_HEADER_SIZE + 12 + 64] = {0};
	size_t len = strlen(what) + 1;
	size_t size = VMM_WL_HEADER_SIZE + 12 + (len + 3) / 4 * 4;

	vmm_wl_header(data, VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_ERROR, size);
	vmm_wl_set_word(data, 0, object);
	vmm_wl_set_word(data, 1, DISPLAY_ERROR_NO_MEMORY);
	vmm_wl_set_word(data, 2, (uint32_t)len);
	memcpy(data + VMM_WL_HEADER_SIZE + 12, what, len);
	vmm_log(client->log, VMM_LOG_WARN, "client %u: %s: %s", client->number, what,
		strerror(errno));
	(void)outbuf_put(&client->out, data, size, -1);
	client->closing = true;
	return -ECONNABORTED;
}

/*
 * Hands on whole messages from the front of data. How many bytes that were, or -errno.
 * client->waiting tells why not all that are whole.
 */
static int hand_on(struct client *client, uint8_t *data, size_t len,
		   int (*each)(struct client *client, uint8_t *message, size_t size))
{
	size_t at = 0;

	while (at < len) {
		int size = vmm_wl_frame(data + at, len - at);
		int ret = size > 0 ? each(client, data + at, (size_t)size) : size;

		if (ret < 0) {
			return ret;
		}
		if (size == 0) {
			break;
		}
		if (ret == REQUEST_LATER) {
			client->waiting = true;
			break;
		}
		at += (size_t)size;
	}
	memmove(data, data + at, len - at);
	return (int)at;
}

static int requests(struct client *client)
{
	int ret = hand_on(client, client->in, client->in_len, client_request);

	if (ret >= 0) {
		client->in_len -= (size_t)ret;
	}
	return ret < 0 ? ret : 0;
}

static int take_fds(struct client *client, struct msghdr *msg)
{
	bool good = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (client->in_fd_count == CLIENT_FDS) {
				(void)close(fd);
				good = false;
				continue;
			}
			client->in_fds[client->in_fd_count++] = fd;
		}
	}
	return good ? 0 : -EPROTO;
}

/* 0; -errno; 1: the client has hung up. */
static int receive(struct client *client)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(VMM_WL_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = client->in + client->in_len,
			    .iov_len = sizeof(client->in) - client->in_len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t got = recvmsg(client->fd, &msg, MSG_CMSG_CLOEXEC);
	int ret;

	if (got < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : 1;
	}
	ret = take_fds(client, &msg);
	if (ret < 0 || got == 0) {
		return ret < 0 ? ret : 1;
	}
	client->in_len += (size_t)got;
	return requests(client);
}

static void on_client(void *ctx, int fd, uint32_t events)
{
	struct client *client = ctx;
	int ret = 0;

	(void)fd;
	if (client->ended || client->closing) {
		/* It is only to take what is left, if it is still there. */
		if (events & (VMM_LOOP_HANGUP | VMM_LOOP_ERROR)) {
			outbuf_finish(&client->out);
		}
		settle(client, 0);
		return;
	}
	if ((events & ~VMM_LOOP_WRITABLE) && !client->waiting && host_pending(client->host) == 0) {
		ret = receive(client);
		if (ret == 1) {
			pipes_drain(&client->pipes);
			client->ended = true;
			ret = 0;
		}
	} else if (events & (VMM_LOOP_HANGUP | VMM_LOOP_ERROR)) {
		/* While the compositor takes nothing there is no use in what it said last. */
		end(client);
		return;
	}
	settle(client, ret);
}

static void on_receive(void *ctx, const uint8_t *data, size_t len, const struct host_item *items,
		       unsigned count)
{
	struct client *client = ctx;
	bool waited = client->waiting;
	int ret = 0;

	if (client->ended || client->closing) {
		return;
	}
	if (count > CLIENT_FDS - client->item_count) {
		settle(client, -EPROTO);
		return;
	}
	memcpy(client->items + client->item_count, items, count * sizeof(*items));
	client->item_count += count;
	while (len > 0 && ret >= 0) {
		size_t room = sizeof(client->events) - client->event_len;
		size_t part = len < room ? len : room;

		memcpy(client->events + client->event_len, data, part);
		client->event_len += part;
		data += part;
		len -= part;
		ret = hand_on(client, client->events, client->event_len, client_event);
		if (ret >= 0) {
			client->event_len -= (size_t)ret;
		}
	}
	if (ret >= 0) {
		ret = waited && !client->waiting ? requests(client) : 0;
	}
	settle(client, ret);
}

static void on_pipe_data(void *ctx, uint32_t id, const uint8_t *data, size_t len, bool hang_up)
{
	struct client *client = ctx;

	pipes_data(&client->pipes, id, data, len, hang_up);
}

static void on_drained(void *ctx)
{
	settle(ctx, 0);
}

static void on_pipe_drained(void *ctx, uint32_t id)
{
	struct client *client = ctx;

	pipes_resume(&client->pipes, id);
}

static void on_closed(void *ctx)
{
	struct client *client = ctx;

	client->closing = true;
	settle(client, 0);
}

static void on_pipes_changed(void *ctx)
{
	steer(ctx);
}

static const struct host_events events = {
	.receive = on_receive,
	.pipe_data = on_pipe_data,
	.drained = on_drained,
	.pipe_drained = on_pipe_drained,
	.closed = on_closed,
};

int client_create(struct client **out, const struct host *host, struct vmm_loop *loop,
		  const struct vmm_log *log, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	int ret = -ENOMEM;

	*out = NULL;
	if (!client) {
		(void)close(fd);
		return ret;
	}
	client->fd = fd;
	client->loop = loop;
	client->log = log;
	client->wire = vmm_wl_conn_create();
	if (client->wire) {
		ret = host_connect(host, &events, client, &client->host);
	}
	if (ret == 0) {
		client->shadow.host = client->host;
		pipes_init(&client->pipes, loop, client->host, on_pipes_changed, client);
		ret = vmm_loop_add_fd(loop, fd, VMM_LOOP_READABLE, on_client, client,
				      &client->source);
	}
	if (ret < 0) {
		client_destroy(client);
		return ret;
	}
	steer(client);
	*out = client;
	return 0;
}

void client_destroy(struct client *client)
{
	for (uint32_t i = 1; i < client->things.count; i++) {
		client_drop_thing(client, (uint16_t)i);
	}
	table_finish(&client->things);
	pipes_finish(&client->pipes);
	shadow_finish(&client->shadow);
	host_close(client->host);
	vmm_wl_conn_destroy(client->wire);
	vmm_source_remove(client->source);
	for (unsigned i = 0; i < client->in_fd_count; i++) {
		(void)close(client->in_fds[i]);
	}
	outbuf_finish(&client->out);
	(void)close(client->fd);
	free(client);
}
