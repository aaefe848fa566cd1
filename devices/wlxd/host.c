/* SPDX-License-Identifier: MIT */
/*
 * What both kinds of hosts have in common: messages are collected, so that one command carries many
 * of them.
 */
#include "host.h"

#include <errno.h>
#include <string.h>

int host_connect(const struct host *host, const struct host_events *events, void *ctx,
		 struct host_conn **out)
{
	int ret;

	*out = NULL;
	ret = host->ops->connect(host->impl, events, ctx, out);
	if (ret == 0) {
		(*out)->ops = host->ops;
		(*out)->events = events;
		(*out)->ctx = ctx;
	}
	return ret;
}

void host_close(struct host_conn *conn)
{
	if (conn) {
		conn->ops->close(conn);
	}
}

int host_blob_create(struct host_conn *conn, uint64_t size, struct host_blob *blob)
{
	return conn->ops->blob_create(conn, size, blob);
}

void host_blob_destroy(struct host_conn *conn, struct host_blob *blob)
{
	/* It has to reach the host before it goes. */
	for (unsigned i = 0; i < conn->pass_count; i++) {
		if (conn->pass[i].blob == blob) {
			(void)host_flush(conn);
			break;
		}
	}
	conn->ops->blob_destroy(conn, blob);
}

int host_send(struct host_conn *conn, const uint8_t *data, size_t len, const struct host_pass *pass)
{
	int ret;

	while (len > 0) {
		size_t part = len < HOST_SEND_MAX ? len : HOST_SEND_MAX;

		if (conn->len + part > HOST_SEND_MAX ||
		    (pass && conn->pass_count == HOST_IDS_MAX)) {
			ret = host_flush(conn);
			if (ret < 0) {
				return ret;
			}
		}
		if (pass) {
			conn->pass[conn->pass_count++] = *pass;
			pass = NULL;
		}
		memcpy(conn->data + conn->len, data, part);
		conn->len += part;
		data += part;
		len -= part;
	}
	return 0;
}

int host_flush(struct host_conn *conn)
{
	int ret = 0;

	if (conn->len > 0) {
		ret = conn->ops->send(conn, conn->data, conn->len, conn->pass, conn->pass_count);
	}
	conn->len = 0;
	conn->pass_count = 0;
	return ret;
}

size_t host_pending(struct host_conn *conn)
{
	return conn->ops->pending(conn);
}

void host_listen(struct host_conn *conn, bool on)
{
	conn->ops->listen(conn, on);
}

int host_file_copy(struct host_conn *conn, const struct host_item *item, int memfd)
{
	return conn->ops->file_copy(conn, item, memfd);
}

int host_pipe_write(struct host_conn *conn, uint32_t id, const uint8_t *data, size_t len,
		    bool hang_up)
{
	return conn->ops->pipe_write(conn, id, data, len, hang_up);
}

void host_item_drop(struct host_conn *conn, const struct host_item *item)
{
	conn->ops->item_drop(conn, item);
}
