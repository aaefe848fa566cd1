/* SPDX-License-Identifier: MIT */
#include "gpu/channel_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads of the socket that lead to no message, in a row. */
#define TRIES_MAX 16u

/* ---- sources ---- */

int vmm_gpu_watch(struct gpu_channel *ch, struct watch *w, uint32_t events, vmm_loop_fd_fn fn,
		  void *ctx)
{
	int ret = 0;

	if (w->events == events) {
		return 0;
	}
	if (w->source) {
		ret = vmm_source_set_events(w->source, events);
	} else {
		ret = vmm_loop_add_fd(ch->config.loop, w->fd, events, fn, ctx, &w->source);
	}
	if (ret == 0) {
		w->events = events;
	}
	return ret;
}

void vmm_gpu_watch_end(struct watch *w)
{
	vmm_source_remove(w->source);
	if (w->fd >= 0) {
		(void)close(w->fd);
	}
	*w = (struct watch){.fd = -1};
}

/* ---- its end ---- */

static void complete_oldest(struct gpu_channel *ch)
{
	uint64_t token = ch->parked[ch->parked_first];

	ch->parked_first = (ch->parked_first + 1) % GPU_PARKED_MAX;
	ch->parked_count--;
	ch->config.ops->complete(ch->config.ctx, token);
}

static void close_socket(struct gpu_channel *ch)
{
	vmm_gpu_stream_clear(&ch->requests);
	vmm_gpu_watch_end(&ch->socket);
}

/* Nothing can reach the guest any more. */
static void end(struct gpu_channel *ch)
{
	ch->state = CHANNEL_ENDED;
	close_socket(ch);
	vmm_gpu_stream_clear(&ch->events);
	vmm_gpu_pipes_clear(ch);
	while (ch->parked_count > 0) {
		complete_oldest(ch);
	}
}

void vmm_gpu_channel_hang_up(struct gpu_channel *ch, const char *why)
{
	if (ch->state == CHANNEL_CONNECTING || ch->state == CHANNEL_OPEN) {
		vmm_log_guest(ch->config.log, ch->config.log_limit,
			      "gpu: a Wayland connection ends: %s", why);
		close_socket(ch);
		ch->state = CHANNEL_ENDING;
	}
}

/* ---- messages to the guest ---- */

int vmm_gpu_channel_deliver(struct gpu_channel *ch, size_t len)
{
	int ret = ch->config.ops->ring_write(ch->config.ctx, ch->channel_ring, ch->message.bytes,
					     len);

	if (ret < 0) {
		vmm_log_guest(ch->config.log, ch->config.log_limit,
			      "gpu: a Wayland connection ends: the guest took its ring away");
		end(ch);
	}
	return ret;
}

/*
 * Puts what came with the n-th identifier of the message into it. The descriptor is used up. Of no
 * bytes there can be no blob: there is an identifier, and nothing behind it.
 */
static int add_file(struct gpu_channel *ch, int fd, uint64_t size, unsigned n)
{
	struct xd_send *m = &ch->message.receive;
	uint64_t len = vmm_gpu_page_round(size);
	int copy = vmm_gpu_budget_charge(ch->config.budget, len);

	if (size == 0) {
		m->id[n] = vmm_gpu_items_next_id(&ch->items);
	} else if (copy == 0) {
		copy = vmm_gpu_snapshot(fd, size);
		m->id[n] = copy < 0 ? 0 : vmm_gpu_items_add_file(&ch->items, copy, len);
		if (m->id[n] == 0) {
			vmm_gpu_budget_release(ch->config.budget, len);
			vmm_gpu_close_fds(&copy, copy < 0 ? 0 : 1);
			copy = copy < 0 ? copy : -ENOSPC;
		}
	}
	(void)close(fd);
	m->type[n] = XD_ID_BLOB;
	m->id_size[n] = (uint32_t)size;
	return copy < 0 ? copy : 0;
}

static int add_descriptor(struct gpu_channel *ch, int fd, unsigned n)
{
	struct xd_send *m = &ch->message.receive;
	enum fd_kind kind;
	uint64_t size;
	int ret = vmm_gpu_classify(fd, &kind, &size);

	if (ret == 0 && kind == FD_FILE) {
		return add_file(ch, fd, size, n);
	}
	if (ret == 0) {
		m->type[n] = XD_ID_WRITE_PIPE;
		m->id[n] = vmm_gpu_pipes_take(ch, fd);
		ret = m->id[n] != 0 ? 0 : -ENOSPC;
	}
	if (ret < 0) {
		(void)close(fd);
	}
	return ret;
}

/* A message of len bytes, which are in place, and what came with them. */
static bool send_receive(struct gpu_channel *ch, size_t len, const int *fds, unsigned count)
{
	struct xd_send *m = &ch->message.receive;

	memset(m, 0, sizeof(*m));
	m->h.cmd = XD_RECEIVE;
	m->h.size = (uint16_t)(sizeof(*m) + len);
	m->ids = count;
	m->len = (uint32_t)len;
	for (unsigned i = 0; i < count; i++) {
		if (add_descriptor(ch, fds[i], i) < 0) {
			vmm_gpu_close_fds(fds + i + 1, count - i - 1);
			/* Without it the rest is nonsense. */
			vmm_gpu_stream_clear(&ch->events);
			vmm_gpu_channel_hang_up(ch, "it brought a descriptor that cannot be "
						    "passed on");
			return false;
		}
	}
	return vmm_gpu_channel_deliver(ch, sizeof(*m) + len) == 0;
}

static void on_socket(void *ctx, int fd, uint32_t events)
{
	struct gpu_channel *ch = ctx;

	(void)fd;
	if ((events & (VMM_LOOP_WRITABLE | VMM_LOOP_ERROR | VMM_LOOP_HANGUP)) != 0) {
		vmm_gpu_channel_flush(ch);
	}
	if ((events & ~VMM_LOOP_WRITABLE) != 0 && ch->socket.fd >= 0) {
		ch->socket.ready = true;
		if (ch->parked_count == 0) {
			(void)vmm_gpu_watch(ch, &ch->socket, ch->socket.events & VMM_LOOP_WRITABLE,
					    on_socket, ch);
		}
	}
	vmm_gpu_channel_pump(ch);
}

/* Reads what the compositor says, once. */
static void read_socket(struct gpu_channel *ch)
{
	/* The next message is not there yet, so its room is free. */
	struct iovec data = {ch->message.bytes, sizeof(ch->message.bytes)};
	int fds[XD_IDS_MAX];
	unsigned count;
	ssize_t n = vmm_gpu_recv_fds(ch->socket.fd, &data, fds, &count);

	if (n > 0) {
		n = vmm_gpu_pass(ch, &ch->events, ch->message.bytes, (size_t)n, fds, count);
		if (n == 0) {
			/* The filter may have had answers to it. */
			vmm_gpu_channel_flush(ch);
			return;
		}
		vmm_gpu_channel_hang_up(ch, n == -EPROTO ? "the compositor breaks the protocol"
							 : "the guest does not keep up");
		return;
	}
	vmm_gpu_close_fds(fds, count);
	if (n == -EAGAIN && vmm_gpu_watch(ch, &ch->socket, ch->socket.events | VMM_LOOP_READABLE,
					  on_socket, ch) == 0) {
		ch->socket.ready = false;
		return;
	}
	vmm_gpu_channel_hang_up(ch, n == 0 ? "the compositor closed it" : "it cannot be read");
}

/* Reads until there is something for the guest. */
static void fill_events(struct gpu_channel *ch)
{
	unsigned tries = 0;

	while (ch->state == CHANNEL_OPEN && ch->socket.ready && sendq_is_empty(&ch->events.to)) {
		if (tries++ < TRIES_MAX) {
			read_socket(ch);
			continue;
		}
		/* All of it was for the filter. Others' turn; the loop comes back to us. */
		if (vmm_gpu_watch(ch, &ch->socket, ch->socket.events | VMM_LOOP_READABLE, on_socket,
				  ch) != 0) {
			vmm_gpu_channel_hang_up(ch, "it cannot be watched");
		}
		return;
	}
}

static bool socket_message(struct gpu_channel *ch)
{
	int fds[XD_IDS_MAX];
	unsigned count;
	size_t len;

	fill_events(ch);
	if (!sendq_is_empty(&ch->events.to)) {
		len = vmm_gpu_sendq_take(&ch->events.to, ch->message.bytes + sizeof(struct xd_send),
					 XD_RECEIVE_MAX, fds, &count);
		if (send_receive(ch, len, fds, count)) {
			return true;
		}
	}
	if (ch->state == CHANNEL_ENDING) {
		ch->state = CHANNEL_ENDED;
		return send_receive(ch, 0, NULL, 0);
	}
	return false;
}

static bool next_message(struct gpu_channel *ch)
{
	/* By turns, so that neither keeps the other waiting for ever. */
	for (unsigned i = 0; i < 2; i++) {
		bool pipes = ch->pipes_first != (i == 1);

		if (pipes ? vmm_gpu_pipes_message(ch) : socket_message(ch)) {
			ch->pipes_first = !pipes;
			return true;
		}
	}
	return false;
}

void vmm_gpu_channel_pump(struct gpu_channel *ch)
{
	while (ch->parked_count > 0 && next_message(ch)) {
		complete_oldest(ch);
	}
}

/* ---- to the compositor ---- */

void vmm_gpu_channel_flush(struct gpu_channel *ch)
{
	uint32_t events = ch->socket.events & VMM_LOOP_READABLE;
	int ret;

	if (ch->state != CHANNEL_OPEN) {
		return;
	}
	ret = vmm_gpu_sendq_flush(&ch->requests.to, ch->socket.fd, true);
	if (ret < 0 && ret != -EAGAIN) {
		/* Its last words may still be there to be read: why it has gone, for example. */
		vmm_gpu_stream_clear(&ch->requests);
		ret = 0;
	}
	if (vmm_gpu_watch(ch, &ch->socket, ret == 0 ? events : events | VMM_LOOP_WRITABLE,
			  on_socket, ch) != 0) {
		vmm_gpu_channel_hang_up(ch, "it cannot be watched");
	}
}

void vmm_gpu_channel_open(struct gpu_channel *ch)
{
	int ret;

	ch->state = CHANNEL_CONNECTING;
	ret = ch->config.ops->connect(ch->config.ctx);
	if (ret < 0) {
		vmm_gpu_channel_connected(ch, ret);
	}
}

void vmm_gpu_channel_connected(struct gpu_channel *ch, int fd)
{
	if (ch->state != CHANNEL_CONNECTING) {
		vmm_gpu_close_fds(&fd, fd < 0 ? 0 : 1);
		return;
	}
	if (fd < 0) {
		vmm_gpu_channel_hang_up(ch, "there is no compositor");
	} else {
		ch->state = CHANNEL_OPEN;
		ch->socket = (struct watch){.fd = fd, .ready = true};
		vmm_gpu_channel_flush(ch);
	}
	vmm_gpu_channel_pump(ch);
}

/* ---- for the device ---- */

int vmm_gpu_channel_park(struct gpu_channel *ch, uint64_t token)
{
	if (ch->state == CHANNEL_NONE) {
		return -EPROTO;
	}
	if (ch->parked_count == GPU_PARKED_MAX) {
		return -ENOSPC;
	}
	ch->parked[(ch->parked_first + ch->parked_count) % GPU_PARKED_MAX] = token;
	ch->parked_count++;
	vmm_gpu_channel_pump(ch);
	return 0;
}

int vmm_gpu_channel_submit(struct gpu_channel *ch, const uint8_t *bytes, size_t len)
{
	struct xd_header h;
	int ret = 0;

	while (len > 0 && ret == 0) {
		if (len < sizeof(h)) {
			ret = -EPROTO;
			break;
		}
		memcpy(&h, bytes, sizeof(h));
		if (h.size < sizeof(h) || h.size > len) {
			ret = -EPROTO;
			break;
		}
		ret = vmm_gpu_command(ch, bytes, &h);
		bytes += h.size;
		len -= h.size;
	}
	vmm_gpu_channel_pump(ch);
	return ret;
}

int vmm_gpu_channel_create(struct gpu_channel **out, const struct gpu_channel_config *config)
{
	struct gpu_channel *ch = calloc(1, sizeof(*ch));

	*out = ch;
	if (!ch) {
		return -ENOMEM;
	}
	ch->config = *config;
	ch->socket.fd = -1;
	ch->budget = (struct sendq_budget){GPU_QUEUE_MAX, GPU_QUEUE_FDS_MAX};
	ch->requests.to.budget = &ch->budget;
	ch->events_budget = (struct sendq_budget){GPU_IN_QUEUE_MAX, 2 * XD_IDS_MAX};
	ch->events.to.budget = &ch->events_budget;
	return 0;
}

void vmm_gpu_channel_destroy(struct gpu_channel *ch)
{
	if (ch) {
		end(ch);
		vmm_wl_filter_destroy(ch->filter);
		vmm_gpu_items_clear(&ch->items, ch->config.budget);
		free(ch);
	}
}
