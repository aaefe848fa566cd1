/* SPDX-License-Identifier: MIT */
/*
 * A screen as a window that another program shows (<vmm/dev/window_proto.h>).
 *
 * What is to be said is kept as state, not as messages: the latest picture size, the latest
 * pointer, what of the picture has changed. Whenever something may be said, pump says it. A window
 * that does not listen costs nothing but pictures that are not shown.
 *
 * Each buffer of the pool remembers where it differs from the guest's picture (stale); before it is
 * presented, that is fetched. So a small change is a small copy, whichever buffer is free.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/dev/window_proto.h>

#include "display/memfile.h"
#include "display/region.h"

#define PIXEL    4u
#define BUFFERS  VMM_WINDOW_BUFFERS_MAX
#define TURN     32u
#define MS       UINT64_C(1000000)
#define DEBOUNCE (100 * MS)
#define GUARD    (VMM_DISPLAY_FRAME_MS * MS)

_Static_assert(REGION_RECTS_MAX <= VMM_WINDOW_RECTS_MAX, "a region goes into one PRESENT");

struct buffer {
	bool out; /* the window has it */
	struct region stale;
};

/* Something with a descriptor that the window gets when it has TAKEN the one before. */
struct parcel {
	bool wanted;      /* to be sent */
	uint32_t untaken; /* serial of the one that was sent and not TAKEN; 0: none */
};

struct window {
	struct vmm_display base;
	const struct vmm_log *log;
	struct vmm_log_limit no_memory;
	int fd; /* -1: it is gone */
	struct vmm_source *source;
	struct vmm_source *guard;
	struct vmm_source *debounce;
	uint32_t serial;

	struct parcel pool;
	uint32_t pool_serial; /* of the window's pool; 0: none, or it is not the picture's */
	struct vmm_window_pool made;
	struct memfile memory;
	struct buffer buffers[BUFFERS];
	struct region damage; /* since the last PRESENT */
	bool may_present;
	bool user_waits;

	struct parcel cursor;
	struct vmm_window_cursor cursor_made;
	struct memfile cursor_memory;
	bool cursor_shown; /* the window has one, or is about to get it */

	bool resize_armed;
	struct vmm_window_resize resize;
};

static struct window *from_base(struct vmm_display *d)
{
	return (struct window *)d;
}

static struct vmm_display_rect whole(const struct window *w)
{
	return (struct vmm_display_rect){.width = w->made.width, .height = w->made.height};
}

/* ---- talking ---- */

/* For good. Whoever waits for a frame is told by the guard. */
static void break_off(struct window *w, const char *why)
{
	if (w->fd < 0) {
		return;
	}
	vmm_log(w->log, VMM_LOG_WARN, "the window is gone: %s", why);
	vmm_source_remove(w->source);
	w->source = NULL;
	(void)close(w->fd);
	w->fd = -1;
	vmm_memfile_free(&w->memory);
	vmm_memfile_free(&w->cursor_memory);
}

/* False: not now, or not any more. */
static bool say(struct window *w, struct vmm_window_message *m, int memfd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (memfd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &memfd, sizeof(int));
	}
	if (sendmsg(w->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		return true;
	}
	if (errno == EAGAIN) {
		(void)vmm_source_set_events(w->source, VMM_LOOP_READABLE | VMM_LOOP_WRITABLE);
	} else if (errno == ETOOMANYREFS) {
		/* Of descriptors that nobody has taken yet, anywhere: the socket could be written.
		 */
		(void)vmm_source_arm(w->guard, GUARD);
	} else {
		break_off(w, strerror(errno));
	}
	return false;
}

static void say_pool(struct window *w)
{
	struct vmm_window_message m = {
		.type = VMM_WINDOW_POOL, .serial = w->serial + 1, .pool = w->made};

	if (!w->pool.wanted || w->pool.untaken != 0 || !say(w, &m, w->memory.fd)) {
		return;
	}
	w->serial = m.serial;
	w->pool = (struct parcel){.untaken = m.serial};
	w->pool_serial = m.serial;
	w->may_present = true;
	/* The window has it, and our mapping. */
	vmm_memfile_close(&w->memory);
}

static void say_cursor(struct window *w)
{
	struct vmm_window_message m = {
		.type = VMM_WINDOW_CURSOR, .serial = w->serial + 1, .cursor = w->cursor_made};

	if (!w->cursor.wanted || w->cursor.untaken != 0 || !say(w, &m, w->cursor_memory.fd)) {
		return;
	}
	w->serial = m.serial;
	w->cursor = (struct parcel){.untaken = m.serial};
	vmm_memfile_free(&w->cursor_memory);
}

static uint64_t area(const struct region *r)
{
	uint64_t pixels = 0;

	for (unsigned i = 0; i < r->count; i++) {
		pixels += (uint64_t)r->rects[i].width * r->rects[i].height;
	}
	return pixels;
}

/* The free buffer with the least to be fetched; BUFFERS: none. */
static unsigned choose_buffer(const struct window *w)
{
	unsigned best = BUFFERS;

	for (unsigned i = 0; i < BUFFERS; i++) {
		const struct buffer *b = &w->buffers[i];

		if (!b->out &&
		    (best == BUFFERS || area(&b->stale) < area(&w->buffers[best].stale))) {
			best = i;
		}
	}
	return best;
}

static void fetch_stale(struct window *w, unsigned index)
{
	struct buffer *b = &w->buffers[index];
	uint8_t *rows = w->memory.map + (size_t)index * w->made.stride * w->made.height;

	for (unsigned i = 0; i < b->stale.count; i++) {
		const struct vmm_display_rect *r = &b->stale.rects[i];

		vmm_display_fetch(&w->base, 0, r,
				  rows + (size_t)r->y * w->made.stride + (size_t)r->x * PIXEL,
				  w->made.stride);
	}
	vmm_region_clear(&b->stale);
}

static void say_present(struct window *w)
{
	struct vmm_window_message m = {.type = VMM_WINDOW_PRESENT, .serial = w->pool_serial};
	unsigned index = choose_buffer(w);

	if (w->pool.wanted || w->made.width == 0 || !w->may_present || w->damage.count == 0 ||
	    index == BUFFERS) {
		return;
	}
	fetch_stale(w, index);
	m.present.buffer = index;
	m.present.count = w->damage.count;
	memcpy(m.present.rects, w->damage.rects, w->damage.count * sizeof(m.present.rects[0]));
	if (say(w, &m, -1)) {
		w->buffers[index].out = true;
		w->may_present = false;
		vmm_region_clear(&w->damage);
	}
}

static void pump(struct window *w)
{
	if (w->fd >= 0) {
		say_pool(w);
	}
	if (w->fd >= 0) {
		say_cursor(w);
	}
	if (w->fd >= 0) {
		say_present(w);
	}
}

/* ---- listening ---- */

static void tell_frame(struct window *w)
{
	if (w->user_waits) {
		w->user_waits = false;
		(void)vmm_source_arm(w->guard, 0);
		vmm_display_frame(&w->base, 0);
	}
}

/* False: that is not the protocol. */
static bool hear(struct window *w, const struct vmm_window_message *m, bool *frame)
{
	bool now = m->serial == w->pool_serial && !w->pool.wanted;

	switch (m->type) {
	case VMM_WINDOW_TAKEN:
		if (m->serial == w->pool.untaken) {
			w->pool.untaken = 0;
		} else if (m->serial == w->cursor.untaken) {
			w->cursor.untaken = 0;
		}
		return true;
	case VMM_WINDOW_FRAME:
		if (now) {
			w->may_present = true;
			*frame = true;
		}
		return true;
	case VMM_WINDOW_RELEASED:
		if (m->released.buffer >= BUFFERS) {
			return false;
		}
		if (now) {
			w->buffers[m->released.buffer].out = false;
		}
		return true;
	case VMM_WINDOW_RESIZE:
		w->resize = m->resize;
		if (!w->resize_armed) {
			w->resize_armed = vmm_source_arm(w->debounce, DEBOUNCE) == 0;
		}
		return m->resize.width > 0 && m->resize.width <= VMM_DISPLAY_SIDE_MAX &&
		       m->resize.height > 0 && m->resize.height <= VMM_DISPLAY_SIDE_MAX;
	default:
		return false;
	}
}

/* False: there is nothing now, or it was the last. */
static bool receive(struct window *w, bool *frame)
{
	struct vmm_window_message m;
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	/* No room for descriptors: the kernel closes any that come. */
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t got = recvmsg(w->fd, &msg, MSG_DONTWAIT);

	if (got < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			break_off(w, strerror(errno));
		}
		return false;
	}
	if (got == 0) {
		break_off(w, "it hung up");
		return false;
	}
	if (got != (ssize_t)sizeof(m) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    !hear(w, &m, frame)) {
		break_off(w, "it broke the protocol");
		return false;
	}
	return true;
}

static void on_socket(void *ctx, int fd, uint32_t events)
{
	struct window *w = ctx;
	unsigned budget = TURN;
	bool frame = false;

	(void)fd;
	if ((events & VMM_LOOP_WRITABLE) != 0) {
		(void)vmm_source_set_events(w->source, VMM_LOOP_READABLE);
	}
	while (budget > 0 && receive(w, &frame)) {
		budget--;
	}
	if (w->fd >= 0 && budget == TURN && (events & (VMM_LOOP_HANGUP | VMM_LOOP_ERROR)) != 0) {
		break_off(w, "it hung up");
	}
	pump(w);
	if (frame) {
		tell_frame(w);
	}
}

static void on_guard(void *ctx)
{
	struct window *w = ctx;

	/* In this order: the one disarms the guard, the other may need it again. */
	tell_frame(w);
	pump(w);
}

static void on_debounce(void *ctx)
{
	struct window *w = ctx;

	w->resize_armed = false;
	vmm_display_resize(&w->base, 0, w->resize.width, w->resize.height);
}

/* ---- the display ---- */

static void add_damage(struct window *w, const struct vmm_display_rect *rect)
{
	vmm_region_add(&w->damage, rect);
	for (unsigned i = 0; i < BUFFERS; i++) {
		vmm_region_add(&w->buffers[i].stale, rect);
	}
}

static void make_pool(struct window *w, const struct vmm_display_picture *picture)
{
	struct vmm_window_pool pool = {
		.width = picture->width,
		.height = picture->height,
		.stride = picture->width * PIXEL,
		.format = picture->format,
		.buffers = BUFFERS,
		.size = BUFFERS * picture->width * picture->height * PIXEL,
	};
	int ret = vmm_memfile_make(&w->memory, pool.size);

	if (ret < 0) {
		vmm_log_guest(w->log, &w->no_memory, "no memory for a window of %u x %u: %s",
			      pool.width, pool.height, strerror(-ret));
		return;
	}
	w->made = pool;
}

static void window_set(struct vmm_display *d, unsigned scanout)
{
	const struct vmm_display_picture *picture = &d->pictures[scanout];
	struct window *w = from_base(d);
	struct vmm_display_rect all;

	if (scanout != 0 || w->fd < 0) {
		return;
	}
	if (w->memory.map && picture->width == w->made.width && picture->height == w->made.height &&
	    picture->format == w->made.format) {
		/* Another picture of this kind, as when the guest flips between two of them. */
		all = whole(w);
		vmm_region_clear(&w->damage);
		for (unsigned i = 0; i < BUFFERS; i++) {
			vmm_region_add(&w->buffers[i].stale, &all);
		}
		return;
	}
	vmm_memfile_free(&w->memory);
	memset(&w->made, 0, sizeof(w->made));
	memset(w->buffers, 0, sizeof(w->buffers));
	vmm_region_clear(&w->damage);
	if (picture->width > 0) {
		make_pool(w, picture);
	}
	all = whole(w);
	for (unsigned i = 0; i < BUFFERS; i++) {
		vmm_region_add(&w->buffers[i].stale, &all);
	}
	w->pool.wanted = true;
	pump(w);
}

static bool window_present(struct vmm_display *d, unsigned scanout,
			   const struct vmm_display_rect *rects, unsigned count)
{
	struct window *w = from_base(d);

	if (scanout != 0 || w->fd < 0 || !w->memory.map) {
		return true;
	}
	for (unsigned i = 0; i < count; i++) {
		add_damage(w, &rects[i]);
	}
	pump(w);
	if (!w->user_waits) {
		w->user_waits = vmm_source_arm(w->guard, GUARD) == 0;
	}
	return !w->user_waits;
}

static void window_set_cursor(struct vmm_display *d, unsigned scanout,
			      const struct vmm_display_cursor *cursor)
{
	const struct vmm_display_rect all = {.width = cursor ? cursor->width : 0,
					     .height = cursor ? cursor->height : 0};
	struct window *w = from_base(d);
	size_t size = (size_t)all.width * all.height * PIXEL;

	if (scanout != 0 || w->fd < 0 || (!cursor && !w->cursor_shown)) {
		return;
	}
	vmm_memfile_free(&w->cursor_memory);
	memset(&w->cursor_made, 0, sizeof(w->cursor_made));
	w->cursor_shown = false;
	if (cursor && vmm_memfile_make(&w->cursor_memory, size) == 0) {
		cursor->source.copy(cursor->source.ctx, &all, w->cursor_memory.map,
				    (size_t)all.width * PIXEL);
		w->cursor_made = (struct vmm_window_cursor){
			.width = cursor->width,
			.height = cursor->height,
			.format = cursor->format,
			.hot_x = cursor->hot_x,
			.hot_y = cursor->hot_y,
		};
		w->cursor_shown = true;
	}
	w->cursor.wanted = true;
	pump(w);
}

static void remove_sources(struct window *w)
{
	vmm_source_remove(w->source);
	vmm_source_remove(w->guard);
	vmm_source_remove(w->debounce);
	w->source = NULL;
	w->guard = NULL;
	w->debounce = NULL;
	w->user_waits = false;
	w->resize_armed = false;
}

static int window_start(struct vmm_display *d)
{
	struct window *w = from_base(d);
	int ret = vmm_loop_add_timer(d->loop, on_guard, w, &w->guard);

	if (ret == 0) {
		ret = vmm_loop_add_timer(d->loop, on_debounce, w, &w->debounce);
	}
	if (ret == 0 && w->fd >= 0) {
		ret = vmm_loop_add_fd(d->loop, w->fd, VMM_LOOP_READABLE, on_socket, w, &w->source);
	}
	if (ret < 0) {
		remove_sources(w);
		return ret;
	}
	pump(w);
	return 0;
}

static void window_stop(struct vmm_display *d)
{
	remove_sources(from_base(d));
}

static void window_destroy(struct vmm_display *d)
{
	struct window *w = from_base(d);

	if (w->fd >= 0) {
		(void)close(w->fd);
	}
	vmm_memfile_free(&w->memory);
	vmm_memfile_free(&w->cursor_memory);
	free(w);
}

static const struct vmm_display_ops window_ops = {
	.start = window_start,
	.stop = window_stop,
	.set = window_set,
	.present = window_present,
	.set_cursor = window_set_cursor,
	.destroy = window_destroy,
};

int vmm_display_window(struct vmm_display **out, int fd, const struct vmm_log *log,
		       struct vmm_error *err)
{
	struct window *w;
	int type = 0;
	socklen_t len = sizeof(type);

	*out = NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_SEQPACKET) {
		return vmm_error_set(err, -EINVAL, "display: descriptor %d is no packet socket",
				     fd);
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		return vmm_error_set(err, -ENOMEM, "display: out of memory");
	}
	w->base.ops = &window_ops;
	w->log = log;
	w->fd = fd;
	w->memory.fd = -1;
	w->cursor_memory.fd = -1;
	*out = &w->base;
	return 0;
}
