/* SPDX-License-Identifier: MIT */
/*
 * Pipes that clients hand to each other through the compositor (clipboard, drag and drop). One end
 * is ours, the other one is in the guest, by messages.
 */
#include "gpu/channel_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pipe *add(struct gpu_channel *ch, int fd, uint32_t id, bool is_read)
{
	struct pipe *p = calloc(1, sizeof(*p));

	if (!p) {
		return NULL;
	}
	p->ch = ch;
	p->id = id;
	p->is_read = is_read;
	p->watch.fd = fd;
	p->watch.ready = true;
	p->out.budget = &ch->budget;
	p->next = ch->pipes;
	ch->pipes = p;
	ch->pipe_count++;
	return p;
}

static void unlink_pipe(struct pipe *p)
{
	struct pipe **at = &p->ch->pipes;

	while (*at != p) {
		at = &(*at)->next;
	}
	*at = p->next;
}

static void to_the_end(struct pipe *p)
{
	struct pipe **at = &p->ch->pipes;

	unlink_pipe(p);
	while (*at) {
		at = &(*at)->next;
	}
	p->next = NULL;
	*at = p;
}

static void free_pipe(struct pipe *p)
{
	p->ch->pipe_count--;
	vmm_gpu_sendq_clear(&p->out);
	vmm_gpu_watch_end(&p->watch);
	free(p);
}

static void remove_pipe(struct pipe *p)
{
	unlink_pipe(p);
	free_pipe(p);
}

void vmm_gpu_pipes_clear(struct gpu_channel *ch)
{
	while (ch->pipes) {
		struct pipe *p = ch->pipes;

		ch->pipes = p->next;
		free_pipe(p);
	}
}

/* ---- the guest reads ---- */

int vmm_gpu_pipes_make(struct gpu_channel *ch, int *fd)
{
	int fds[2];
	int ret;

	if (ch->pipe_count == GPU_PIPES_MAX) {
		return -ENOSPC;
	}
	if (pipe2(fds, O_CLOEXEC) != 0) {
		return -errno;
	}
	/* Our end only: the writer may not know what to do with EAGAIN. */
	ret = vmm_gpu_set_nonblocking(fds[0]);
	if (ret == 0 && !add(ch, fds[0], XD_READ_PIPE_START + ch->read_pipes + 1, true)) {
		ret = -ENOMEM;
	}
	if (ret < 0) {
		vmm_gpu_close_fds(fds, 2);
		return ret;
	}
	ch->read_pipes++;
	*fd = fds[1];
	return 0;
}

static void on_readable(void *ctx, int fd, uint32_t events)
{
	struct pipe *p = ctx;

	(void)fd;
	(void)events;
	p->watch.ready = true;
	if (p->ch->parked_count == 0) {
		(void)vmm_gpu_watch(p->ch, &p->watch, 0, on_readable, p);
		return;
	}
	vmm_gpu_channel_pump(p->ch);
}

static bool read_pipe(struct pipe *p)
{
	struct gpu_channel *ch = p->ch;
	uint8_t *data = ch->message.bytes + sizeof(struct xd_write);
	ssize_t n;

	n = read(p->watch.fd, data, XD_READ_MAX);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		/* Who cannot be watched cannot be waited for: that is an end, too. */
		if (vmm_gpu_watch(ch, &p->watch, VMM_LOOP_READABLE, on_readable, p) == 0) {
			p->watch.ready = false;
			return false;
		}
	}
	n = n > 0 ? n : 0;
	ch->message.read = (struct xd_write){
		.h = {.cmd = XD_READ, .size = (uint16_t)(sizeof(struct xd_write) + (size_t)n)},
		.id = p->id,
		.hang_up = n == 0,
		.len = (uint32_t)n,
	};
	if (n == 0) {
		remove_pipe(p);
	} else {
		to_the_end(p);
	}
	return vmm_gpu_channel_deliver(ch, sizeof(struct xd_write) + (size_t)n) == 0;
}

bool vmm_gpu_pipes_message(struct gpu_channel *ch)
{
	for (struct pipe *p = ch->pipes, *next; p; p = next) {
		next = p->next;
		if (!p->is_read || !p->watch.ready) {
			continue;
		}
		if (read_pipe(p)) {
			return true;
		}
		if (ch->state == CHANNEL_ENDED && !ch->pipes) {
			return false; /* the ring is gone, and the pipes with it */
		}
	}
	return false;
}

/* ---- the guest writes ---- */

uint32_t vmm_gpu_pipes_take(struct gpu_channel *ch, int fd)
{
	uint32_t id = vmm_gpu_items_next_id(&ch->items);

	if (ch->pipe_count == GPU_PIPES_MAX || vmm_gpu_set_nonblocking(fd) != 0 ||
	    !add(ch, fd, id, false)) {
		return 0;
	}
	return id;
}

/* Nobody reads. The guest is not told; it may go on until it closes its end. */
static void give_up(struct pipe *p)
{
	p->dead = true;
	vmm_gpu_sendq_clear(&p->out);
	vmm_gpu_watch_end(&p->watch);
}

static void on_writable(void *ctx, int fd, uint32_t events);

static void flush(struct pipe *p)
{
	int ret = p->dead ? 0 : vmm_gpu_sendq_flush(&p->out, p->watch.fd, false);

	if (ret == 0 || ret == -EAGAIN) {
		uint32_t events = ret == 0 ? 0 : VMM_LOOP_WRITABLE;

		if (!p->dead && vmm_gpu_watch(p->ch, &p->watch, events, on_writable, p) != 0) {
			give_up(p);
		}
	} else {
		give_up(p);
	}
	if (p->ending && sendq_is_empty(&p->out)) {
		remove_pipe(p);
	}
}

static void on_writable(void *ctx, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	flush(ctx);
}

int vmm_gpu_pipes_write(struct gpu_channel *ch, const struct xd_write *cmd, const uint8_t *bytes)
{
	struct pipe *p = ch->pipes;
	int ret = 0;

	while (p && (p->id != cmd->id || p->is_read || p->ending)) {
		p = p->next;
	}
	if (!p) {
		return -ENOENT;
	}
	if (!p->dead && cmd->len > 0) {
		ret = vmm_gpu_sendq_add(&p->out, bytes, cmd->len, NULL, 0);
		if (ret < 0) {
			give_up(p);
		}
	}
	p->ending = cmd->hang_up != 0;
	flush(p);
	return ret;
}
