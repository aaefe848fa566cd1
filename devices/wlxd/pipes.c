/* SPDX-License-Identifier: MIT */
#include "pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "outbuf.h"

/* What one message about a pipe carries in a cross-domain channel. */
#define PIECE_MAX 4072

/* As many of them as the largest pipe of an ordinary user holds. */
#define DRAIN_MAX 260

struct pipe_end {
	struct pipe_end *next;
	struct pipes *pipes;
	bool to_client;
	uint32_t id;
	int fd;
	struct vmm_source *source; /* NULL: fd is none that can be waited for */
	struct outbuf out;         /* to the client */
	bool hang_up;              /* when that is empty */
};

void pipes_init(struct pipes *pipes, struct vmm_loop *loop, struct host_conn *host,
		void (*changed)(void *ctx), void *ctx)
{
	*pipes = (struct pipes){.loop = loop,
				.host = host,
				.changed = changed,
				.ctx = ctx,
				.next_id = HOST_PIPE_FIRST};
}

static void end_remove(struct pipe_end *end)
{
	struct pipe_end **at = &end->pipes->ends;

	while (*at != end) {
		at = &(*at)->next;
	}
	*at = end->next;
	end->pipes->count--;
	end->pipes->pending -= outbuf_len(&end->out);
	vmm_source_remove(end->source);
	(void)close(end->fd);
	outbuf_finish(&end->out);
	free(end);
}

void pipes_finish(struct pipes *pipes)
{
	while (pipes->ends) {
		end_remove(pipes->ends);
	}
}

/* Writes what the client takes, and closes its end when that was all. */
static void write_some(struct pipe_end *end)
{
	size_t before = outbuf_len(&end->out);
	int ret = outbuf_flush(&end->out, end->fd);

	end->pipes->pending -= before - outbuf_len(&end->out);
	if (ret < 0 || (ret == 0 && end->hang_up)) {
		end_remove(end);
	} else if (end->source) {
		(void)vmm_source_set_events(end->source, ret == 1 ? VMM_LOOP_WRITABLE : 0);
	}
}

/* False: there is nothing to read now, or the end is gone. */
static bool read_some(struct pipe_end *end)
{
	uint8_t data[PIECE_MAX];
	ssize_t got = read(end->fd, data, sizeof(data));
	int ret;

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return false;
	}
	if (got <= 0) {
		(void)host_pipe_write(end->pipes->host, end->id, NULL, 0, true);
		end_remove(end);
		return false;
	}
	ret = host_pipe_write(end->pipes->host, end->id, data, (size_t)got, false);
	if (ret < 0) {
		end_remove(end);
		return false;
	}
	if (ret == 1) {
		(void)vmm_source_set_events(end->source, 0);
	}
	return true;
}

static void on_end(void *ctx, int fd, uint32_t events)
{
	struct pipe_end *end = ctx;
	struct pipes *pipes = end->pipes;

	(void)fd;
	(void)events;
	if (end->to_client) {
		write_some(end);
		pipes->changed(pipes->ctx);
	} else {
		(void)read_some(end);
	}
}

/* Takes fd. */
static struct pipe_end *end_add(struct pipes *pipes, bool to_client, uint32_t id, int fd)
{
	struct pipe_end *end = pipes->count < PIPES_MAX ? calloc(1, sizeof(*end)) : NULL;
	int flags = fcntl(fd, F_GETFL);
	int ret = -ENOMEM;

	if (end && flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) {
		ret = vmm_loop_add_fd(pipes->loop, fd, to_client ? 0 : VMM_LOOP_READABLE, on_end,
				      end, &end->source);
	}
	/* The client may want it in a file, which is always ready. */
	if (ret < 0 && !(ret == -EPERM && to_client)) {
		(void)close(fd);
		free(end);
		return NULL;
	}
	end->pipes = pipes;
	end->to_client = to_client;
	end->id = id;
	end->fd = fd;
	end->next = pipes->ends;
	pipes->ends = end;
	pipes->count++;
	return end;
}

int pipes_to_client(struct pipes *pipes, int fd, uint32_t *id)
{
	*id = pipes->next_id;
	if (!end_add(pipes, true, *id, fd)) {
		return -ENOMEM;
	}
	/* Numbers begin again long after the first have been closed. */
	pipes->next_id = *id == UINT32_MAX ? HOST_PIPE_FIRST : *id + 1;
	return 0;
}

static struct pipe_end *find(struct pipes *pipes, bool to_client, uint32_t id)
{
	struct pipe_end *end = pipes->ends;

	while (end && (end->to_client != to_client || end->id != id)) {
		end = end->next;
	}
	return end;
}

void pipes_data(struct pipes *pipes, uint32_t id, const uint8_t *data, size_t len, bool hang_up)
{
	struct pipe_end *end = find(pipes, true, id);

	if (!end) {
		return;
	}
	if (outbuf_put(&end->out, data, len, -1) < 0) {
		end_remove(end);
	} else {
		pipes->pending += len;
		end->hang_up = hang_up;
		write_some(end);
	}
	pipes->changed(pipes->ctx);
}

int pipes_to_host(struct pipes *pipes, uint32_t item)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0) {
		return -errno;
	}
	if (!end_add(pipes, false, item, fds[0])) {
		(void)close(fds[1]);
		return -ENOMEM;
	}
	return fds[1];
}

void pipes_resume(struct pipes *pipes, uint32_t item)
{
	struct pipe_end *end = find(pipes, false, item);

	if (end) {
		(void)vmm_source_set_events(end->source, VMM_LOOP_READABLE);
	}
}

void pipes_drain(struct pipes *pipes)
{
	struct pipe_end *end = pipes->ends;

	while (end) {
		struct pipe_end *next = end->next;

		/* Somebody else may have the other end, and write on. */
		for (unsigned i = 0; i < DRAIN_MAX && !end->to_client && read_some(end); i++) {
		}
		end = next;
	}
}
