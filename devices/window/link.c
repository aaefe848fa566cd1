/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_PER_PIXEL 4u
/* More than any message has, so that a surplus is seen and closed. */
#define FDS_MAX 4

void link_init(struct link *l, int fd)
{
	memset(l, 0, sizeof(*l));
	l->fd = fd;
}

static int refuse(struct link *l, const char *why)
{
	l->why = why;
	return -EPROTO;
}

/* ---- one packet ---- */

struct packet {
	ssize_t len;
	int fds[FDS_MAX];
	unsigned fd_count;
	bool cut;
};

static void take_fds(struct packet *p, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		for (size_t i = 0; i < bytes / sizeof(int) && p->fd_count < FDS_MAX; i++) {
			memcpy(&p->fds[p->fd_count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		}
	}
}

static void receive(int fd, struct vmm_window_message *msg, struct packet *p)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = msg, .iov_len = sizeof(*msg)};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	memset(p, 0, sizeof(*p));
	p->len = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (p->len > 0) {
		take_fds(p, &m);
		p->cut = (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	}
}

/* ---- what it says ---- */

static int check_memfd(struct link *l, int fd, uint64_t bytes)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		return refuse(l, "a descriptor is not a memfd");
	}
	if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW)) {
		return refuse(l, "a memfd can change its size");
	}
	if (st.st_size < 0 || (uint64_t)st.st_size < bytes) {
		return refuse(l, "a memfd is too small");
	}
	return 0;
}

static bool is_picture(uint32_t width, uint32_t height, uint32_t format, uint32_t side,
		       uint64_t bytes)
{
	return width >= 1 && width <= side && height >= 1 && height <= side &&
	       (uint64_t)width * height * BYTES_PER_PIXEL <= bytes &&
	       vmm_display_format_valid(format);
}

static int check_pool(struct link *l, const struct vmm_window_pool *p, const struct packet *packet)
{
	uint64_t needed = (uint64_t)p->buffers * p->stride * p->height;

	if (p->width == 0) {
		return packet->fd_count == 0 ? 0 : refuse(l, "a descriptor for no picture");
	}
	if (!is_picture(p->width, p->height, p->format, VMM_DISPLAY_SIDE_MAX,
			VMM_DISPLAY_BYTES_MAX) ||
	    p->stride != p->width * BYTES_PER_PIXEL) {
		return refuse(l, "a picture of an impossible size or format");
	}
	if (p->buffers < 2 || p->buffers > VMM_WINDOW_BUFFERS_MAX || p->size < needed ||
	    p->size > INT32_MAX) {
		return refuse(l, "a pool of an impossible size");
	}
	if (packet->fd_count != 1) {
		return refuse(l, "a pool without one memfd");
	}
	return check_memfd(l, packet->fds[0], p->size);
}

static int check_cursor(struct link *l, const struct vmm_window_cursor *c,
			const struct packet *packet)
{
	if (c->width == 0) {
		return packet->fd_count == 0 ? 0 : refuse(l, "a descriptor for no pointer");
	}
	if (!is_picture(c->width, c->height, c->format, VMM_DISPLAY_CURSOR_MAX,
			VMM_DISPLAY_BYTES_MAX)) {
		return refuse(l, "a pointer of an impossible size or format");
	}
	if (c->hot_x >= c->width || c->hot_y >= c->height) {
		return refuse(l, "a pointer that points elsewhere");
	}
	if (packet->fd_count != 1) {
		return refuse(l, "a pointer without one memfd");
	}
	return check_memfd(l, packet->fds[0], (uint64_t)c->width * c->height * BYTES_PER_PIXEL);
}

static int check_present(struct link *l, const struct vmm_window_present *p, uint32_t serial)
{
	if (serial != l->pool_serial || l->pool.width == 0) {
		return refuse(l, "a picture of another pool");
	}
	if (!l->may_present) {
		return refuse(l, "a picture that was not asked for");
	}
	if (p->buffer >= l->pool.buffers || l->busy[p->buffer]) {
		return refuse(l, "a picture in a buffer that is not the display's");
	}
	if (p->count < 1 || p->count > VMM_WINDOW_RECTS_MAX) {
		return refuse(l, "an impossible number of rectangles");
	}
	for (uint32_t i = 0; i < p->count; i++) {
		const struct vmm_display_rect *r = &p->rects[i];

		if (r->width == 0 || r->height == 0 || r->x >= l->pool.width ||
		    r->width > l->pool.width - r->x || r->y >= l->pool.height ||
		    r->height > l->pool.height - r->y) {
			return refuse(l, "a rectangle that is not in the picture");
		}
	}
	return 0;
}

/* Of each kind one may be on its way. */
static uint32_t *untaken(struct link *l, uint32_t type)
{
	return &l->untaken[type == VMM_WINDOW_CURSOR];
}

static int check(struct link *l, const struct vmm_window_message *msg, const struct packet *p)
{
	switch (msg->type) {
	case VMM_WINDOW_POOL:
	case VMM_WINDOW_CURSOR:
		/* 1: another display has taken over. */
		if (*untaken(l, msg->type) != 0 ||
		    (msg->serial != l->serial + 1 && msg->serial != 1)) {
			return refuse(l, "a pool or pointer out of turn");
		}
		return msg->type == VMM_WINDOW_POOL ? check_pool(l, &msg->pool, p)
						    : check_cursor(l, &msg->cursor, p);
	case VMM_WINDOW_PRESENT:
		if (p->fd_count != 0) {
			return refuse(l, "a descriptor that belongs to nothing");
		}
		return check_present(l, &msg->present, msg->serial);
	default:
		return refuse(l, "a message of an unknown type");
	}
}

/* What follows from a message that is right. */
static void note(struct link *l, const struct vmm_window_message *msg)
{
	if (msg->type == VMM_WINDOW_PRESENT) {
		l->may_present = false;
		l->busy[msg->present.buffer] = true;
		return;
	}
	l->serial = msg->serial;
	*untaken(l, msg->type) = msg->serial;
	if (msg->type == VMM_WINDOW_POOL) {
		l->pool = msg->pool;
		l->pool_serial = msg->serial;
		l->may_present = msg->pool.width > 0;
		memset(l->busy, 0, sizeof(l->busy));
	}
}

int link_receive(struct link *l, struct vmm_window_message *msg, int *memfd)
{
	struct packet p;
	int ret = 0;

	*memfd = -1;
	receive(l->fd, msg, &p);
	if (p.len < 0) {
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	}
	if (p.len == 0) {
		return -EPIPE;
	}
	if (p.cut || p.len != (ssize_t)sizeof(*msg)) {
		ret = refuse(l, "a packet that is no message");
	} else {
		ret = check(l, msg, &p);
	}
	if (ret == 0 && p.fd_count == 1) {
		*memfd = p.fds[0];
		p.fd_count = 0;
	}
	for (unsigned i = 0; i < p.fd_count; i++) {
		(void)close(p.fds[i]);
	}
	if (ret < 0) {
		return ret;
	}
	note(l, msg);
	return 1;
}

/* ---- answers ---- */

static int answer(const struct link *l, const struct vmm_window_message *msg)
{
	ssize_t sent = send(l->fd, msg, sizeof(*msg), MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0) {
		return errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -EPIPE;
	}
	return 0;
}

int link_taken(struct link *l, uint32_t serial)
{
	const struct vmm_window_message msg = {.type = VMM_WINDOW_TAKEN, .serial = serial};

	for (unsigned i = 0; i < 2; i++) {
		l->untaken[i] = l->untaken[i] == serial ? 0 : l->untaken[i];
	}
	return answer(l, &msg);
}

int link_frame(struct link *l, uint32_t pool_serial)
{
	const struct vmm_window_message msg = {.type = VMM_WINDOW_FRAME, .serial = pool_serial};

	if (pool_serial != l->pool_serial || l->may_present) {
		return 0;
	}
	l->may_present = true;
	return answer(l, &msg);
}

int link_released(struct link *l, uint32_t pool_serial, uint32_t buffer)
{
	const struct vmm_window_message msg = {
		.type = VMM_WINDOW_RELEASED, .serial = pool_serial, .released = {buffer}};

	if (pool_serial != l->pool_serial || !l->busy[buffer]) {
		return 0;
	}
	l->busy[buffer] = false;
	return answer(l, &msg);
}

int link_resize(struct link *l, uint32_t width, uint32_t height)
{
	const struct vmm_window_message msg = {.type = VMM_WINDOW_RESIZE,
					       .resize = {width, height}};

	return answer(l, &msg);
}
