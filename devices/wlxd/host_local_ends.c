/* SPDX-License-Identifier: MIT */
#include "host_local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* What one message about a pipe carries in a cross-domain channel. */
#define PIECE_MAX 4072

void local_end_remove(struct local_end *end)
{
	struct local_end **at = &end->conn->ends;

	while (*at != end) {
		at = &(*at)->next;
	}
	*at = end->next;
	vmm_source_remove(end->source);
	(void)close(end->fd);
	outbuf_finish(&end->out);
	free(end);
}

static void read_some(struct local_end *end)
{
	struct local_conn *conn = end->conn;
	uint32_t id = end->id;
	uint8_t data[PIECE_MAX];
	ssize_t got = read(end->fd, data, sizeof(data));

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got <= 0) {
		local_end_remove(end);
		conn->base.events->pipe_data(conn->base.ctx, id, NULL, 0, true);
		return;
	}
	conn->base.events->pipe_data(conn->base.ctx, id, data, (size_t)got, false);
}

/* 0: all is written; 1: not yet; -EPIPE: the end is gone. */
static int write_some(struct local_end *end)
{
	int ret = outbuf_flush(&end->out, end->fd);

	if (ret == 1) {
		(void)vmm_source_set_events(end->source, VMM_LOOP_WRITABLE);
		return 1;
	}
	if (ret < 0 || end->hang_up) {
		local_end_remove(end);
		return ret < 0 ? -EPIPE : 0;
	}
	(void)vmm_source_set_events(end->source, 0);
	return 0;
}

static void on_end(void *ctx, int fd, uint32_t events)
{
	struct local_end *end = ctx;
	struct local_conn *conn = end->conn;
	uint32_t id = end->id;

	(void)fd;
	(void)events;
	if (end->kind == LOCAL_READ) {
		read_some(end);
	} else if (write_some(end) != 1) {
		conn->base.events->pipe_drained(conn->base.ctx, id);
	}
}

struct local_end *local_end_add(struct local_conn *conn, enum local_kind kind, uint32_t id, int fd)
{
	struct local_end *end = calloc(1, sizeof(*end));
	int ret = end ? 0 : -ENOMEM;

	if (ret == 0 && kind != LOCAL_FILE) {
		ret = fcntl(fd, F_SETFL, O_NONBLOCK);
	}
	if (ret == 0 && kind != LOCAL_FILE) {
		ret = vmm_loop_add_fd(conn->local->loop, fd,
				      kind == LOCAL_READ && conn->on ? VMM_LOOP_READABLE : 0,
				      on_end, end, &end->source);
	}
	if (ret != 0) {
		(void)close(fd);
		free(end);
		return NULL;
	}
	end->conn = conn;
	end->kind = kind;
	end->id = id;
	end->fd = fd;
	end->next = conn->ends;
	conn->ends = end;
	return end;
}

struct local_end *local_end_find(struct local_conn *conn, enum local_kind kind, uint32_t id)
{
	struct local_end *end = conn->ends;

	while (end && (end->kind != kind || end->id != id)) {
		end = end->next;
	}
	return end;
}

void local_ends_listen(struct local_conn *conn)
{
	for (struct local_end *end = conn->ends; end; end = end->next) {
		if (end->kind == LOCAL_READ) {
			(void)vmm_source_set_events(end->source, conn->on ? VMM_LOOP_READABLE : 0);
		}
	}
}

static int copy(int from, int to, uint64_t size)
{
	uint8_t data[PIECE_MAX];
	uint64_t at = 0;

	while (at < size) {
		size_t want = size - at < sizeof(data) ? (size_t)(size - at) : sizeof(data);
		ssize_t got = pread(from, data, want, (off_t)at);

		if (got <= 0) {
			return got < 0 ? -errno : -EIO;
		}
		if (pwrite(to, data, (size_t)got, (off_t)at) != got) {
			return -EIO;
		}
		at += (uint64_t)got;
	}
	return 0;
}

int local_file_copy(struct host_conn *base, const struct host_item *item, int memfd)
{
	struct local_end *end = local_end_find((struct local_conn *)base, LOCAL_FILE, item->id);
	int ret = -ENOENT;

	if (end) {
		ret = copy(end->fd, memfd, item->size);
		local_end_remove(end);
	}
	return ret;
}

int local_pipe_write(struct host_conn *base, uint32_t id, const uint8_t *data, size_t len,
		     bool hang_up)
{
	struct local_end *end = local_end_find((struct local_conn *)base, LOCAL_WRITE, id);

	if (!end) {
		return -EPIPE;
	}
	end->hang_up = hang_up;
	if (outbuf_put(&end->out, data, len, -1) < 0) {
		local_end_remove(end);
		return -EPIPE;
	}
	return write_some(end);
}

void local_item_drop(struct host_conn *base, const struct host_item *item)
{
	struct local_end *end =
		local_end_find((struct local_conn *)base,
			       item->type == HOST_ITEM_FILE ? LOCAL_FILE : LOCAL_WRITE, item->id);

	if (end) {
		local_end_remove(end);
	}
}
