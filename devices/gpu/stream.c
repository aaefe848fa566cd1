/* SPDX-License-Identifier: MIT */
/*
 * The Wayland connection's two streams, each from one side to a queue for the other one, through
 * the filter if there is one.
 */
#include "gpu/channel_priv.h"

#include <errno.h>
#include <string.h>

void vmm_gpu_stream_clear(struct stream *s)
{
	vmm_gpu_sendq_clear(&s->to);
	vmm_gpu_close_fds(s->fds, s->fd_count);
	s->fd_count = 0;
}

/* Queues bytes for the side that s leads to, with the oldest count descriptors of s. */
static int queue(struct stream *s, const uint8_t *bytes, size_t len, unsigned count)
{
	int ret;

	if (count > s->fd_count || (len == 0 && count > 0)) {
		return -EPROTO;
	}
	if (len == 0) {
		return 0;
	}
	ret = vmm_gpu_sendq_add(&s->to, bytes, len, s->fds, count);
	if (ret == 0) {
		s->fd_count -= count;
		memmove(s->fds, s->fds + count, s->fd_count * sizeof(s->fds[0]));
	}
	return ret;
}

static int filter(struct gpu_channel *ch, struct stream *s, const uint8_t *bytes, size_t len,
		  unsigned count)
{
	bool is_request = s == &ch->requests;
	struct stream *back = is_request ? &ch->events : &ch->requests;
	struct vmm_wl_piece piece = {
		.in = bytes,
		.in_len = len,
		.in_fds = count,
		.out = ch->filtered,
		.out_cap = sizeof(ch->filtered),
	};
	int more;

	do {
		int ret;

		more = is_request ? vmm_wl_filter_request(ch->filter, &piece)
				  : vmm_wl_filter_event(ch->filter, &piece);
		if (more < 0) {
			return more;
		}
		ret = queue(s, piece.out, piece.out_len, piece.out_fds);
		if (ret == 0) {
			ret = queue(back, piece.back, piece.back_len, 0);
		}
		if (ret < 0) {
			return ret;
		}
	} while (more > 0);
	return 0;
}

int vmm_gpu_pass(struct gpu_channel *ch, struct stream *s, const uint8_t *bytes, size_t len,
		 const int *fds, unsigned count)
{
	if (count > sizeof(s->fds) / sizeof(s->fds[0]) - s->fd_count) {
		vmm_gpu_close_fds(fds, count);
		return -EPROTO;
	}
	if (count > 0) {
		memcpy(s->fds + s->fd_count, fds, count * sizeof(*fds));
		s->fd_count += count;
	}
	return ch->filter ? filter(ch, s, bytes, len, count) : queue(s, bytes, len, s->fd_count);
}
