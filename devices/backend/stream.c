/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct vmm_stream *from_base(struct vmm_chardev *cd)
{
	return (struct vmm_stream *)cd;
}

/* ---- the ring ---- */

static void forget_oldest(struct vmm_stream *s, size_t len)
{
	s->first = (s->first + len) % VMM_STREAM_RING;
	s->used -= len;
}

static void keep(struct vmm_stream *s, const uint8_t *bytes, size_t len)
{
	size_t at;
	size_t run;

	if (len > VMM_STREAM_RING) {
		vmm_chardev_count_dropped(&s->base, len - VMM_STREAM_RING);
		bytes += len - VMM_STREAM_RING;
		len = VMM_STREAM_RING;
	}
	if (len > VMM_STREAM_RING - s->used) {
		size_t excess = len - (VMM_STREAM_RING - s->used);

		vmm_chardev_count_dropped(&s->base, excess);
		forget_oldest(s, excess);
	}
	at = (s->first + s->used) % VMM_STREAM_RING;
	run = len < VMM_STREAM_RING - at ? len : VMM_STREAM_RING - at;
	memcpy(s->ring + at, bytes, run);
	memcpy(s->ring, bytes + run, len - run);
	s->used += len;
}

/* The oldest bytes that lie in one piece. */
static size_t first_run(const struct vmm_stream *s)
{
	return s->used < VMM_STREAM_RING - s->first ? s->used : VMM_STREAM_RING - s->first;
}

static bool takes_output(const struct vmm_stream *s)
{
	return s->out_fd >= 0 && !s->gone;
}

/* What the descriptor takes now: how much, 0 for nothing. What nobody will ever take is dropped. */
static size_t put_out(struct vmm_stream *s, const uint8_t *bytes, size_t len)
{
	ssize_t got;

	/* write and not writev: one system call less that this process needs. */
	do {
		got = write(s->out_fd, bytes, len);
	} while (got < 0 && errno == EINTR);
	if (got >= 0) {
		return (size_t)got;
	}
	if (errno == EAGAIN) {
		return 0;
	}
	if (errno == EIO && s->hung_up) {
		s->hung_up(s);
		return 0;
	}
	/* EPIPE, ENOSPC, ... */
	vmm_chardev_count_dropped(&s->base, len);
	return len;
}

void vmm_stream_flush(struct vmm_stream *s)
{
	while (s->used > 0 && takes_output(s)) {
		size_t got = put_out(s, s->ring + s->first, first_run(s));

		if (got == 0) {
			return;
		}
		forget_oldest(s, got);
	}
}

/* ---- watching ---- */

static bool shared(const struct vmm_stream *s)
{
	return s->in_fd == s->out_fd;
}

static void set_events(struct vmm_source *source, uint32_t *now, uint32_t events)
{
	if (source && *now != events) {
		*now = events;
		(void)vmm_source_set_events(source, events);
	}
}

static void watch(struct vmm_stream *s)
{
	bool in = s->want_input && !s->no_input && !s->gone;
	uint32_t in_events = in ? VMM_LOOP_READABLE : 0u;
	uint32_t out_events = s->used > 0 && !s->gone ? VMM_LOOP_WRITABLE : 0u;

	set_events(s->in, &s->in_events, shared(s) ? in_events | out_events : in_events);
	set_events(s->out, &s->out_events, out_events);
	if (in && s->loop && s->in_fd >= 0 && !s->in) {
		vmm_loop_post(s->loop, &s->always);
	}
}

static void on_event(void *ctx, int fd, uint32_t events)
{
	struct vmm_stream *s = ctx;
	bool hangup = (events & (VMM_LOOP_HANGUP | VMM_LOOP_ERROR)) != 0;

	if (hangup && !(events & VMM_LOOP_READABLE) && s->hung_up) {
		s->hung_up(s);
		return;
	}
	if (fd == s->out_fd && s->used > 0) {
		vmm_stream_flush(s);
		watch(s);
	}
	if (fd == s->in_fd && s->want_input && (hangup || (events & VMM_LOOP_READABLE) != 0)) {
		vmm_chardev_readable(&s->base);
	}
}

static void on_always(void *ctx)
{
	struct vmm_stream *s = ctx;

	if (s->want_input && !s->no_input) {
		vmm_chardev_readable(&s->base);
		watch(s);
	}
}

/* Files cannot be waited for and need not be: 0 with *out NULL. */
static int add(struct vmm_stream *s, int fd, uint32_t events, struct vmm_source **out)
{
	int ret = fd < 0 ? 0 : vmm_loop_add_fd(s->loop, fd, events, on_event, s, out);

	return ret == -EPERM ? 0 : ret;
}

int vmm_stream_start(struct vmm_chardev *cd, struct vmm_loop *loop)
{
	struct vmm_stream *s = from_base(cd);
	int ret;

	s->loop = loop;
	s->always.fn = on_always;
	s->always.ctx = s;
	s->in_events = VMM_LOOP_READABLE;
	s->out_events = VMM_LOOP_WRITABLE;
	ret = add(s, s->in_fd, s->in_events, &s->in);
	if (ret == 0 && !shared(s)) {
		ret = add(s, s->out_fd, s->out_events, &s->out);
	}
	if (ret < 0) {
		vmm_stream_stop(cd);
		return ret;
	}
	watch(s);
	return 0;
}

void vmm_stream_stop(struct vmm_chardev *cd)
{
	struct vmm_stream *s = from_base(cd);

	vmm_source_remove(s->in);
	vmm_source_remove(s->out);
	s->in = NULL;
	s->out = NULL;
	if (s->loop) {
		vmm_loop_cancel(s->loop, &s->always);
	}
	s->loop = NULL;
	s->want_input = false;
}

/* ---- bytes ---- */

void vmm_stream_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	struct vmm_stream *s = from_base(cd);
	const uint8_t *p = bytes;

	/* What need not wait need not be copied. */
	if (len > 0 && s->used == 0 && takes_output(s)) {
		size_t got = put_out(s, p, len);

		p += got;
		len -= got;
	}
	while (len > 0) {
		size_t piece = len < VMM_STREAM_RING / 2 ? len : VMM_STREAM_RING / 2;

		keep(s, p, piece);
		vmm_stream_flush(s);
		p += piece;
		len -= piece;
	}
	watch(s);
}

size_t vmm_stream_read(struct vmm_chardev *cd, void *buf, size_t len)
{
	struct vmm_stream *s = from_base(cd);
	ssize_t got;

	if (s->in_fd < 0 || s->no_input || s->gone || len == 0) {
		return 0;
	}
	do {
		got = read(s->in_fd, buf, len);
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		return (size_t)got;
	}
	if (got < 0 && errno == EAGAIN) {
		return 0;
	}
	if (s->hung_up) {
		s->hung_up(s);
	} else {
		s->no_input = true;
		watch(s);
	}
	return 0;
}

void vmm_stream_want_input(struct vmm_chardev *cd, bool want)
{
	struct vmm_stream *s = from_base(cd);

	s->want_input = want;
	watch(s);
}

void vmm_stream_set_gone(struct vmm_stream *s, bool gone)
{
	s->gone = gone;
	vmm_stream_flush(s);
	watch(s);
}
