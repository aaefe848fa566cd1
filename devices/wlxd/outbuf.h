/* SPDX-License-Identifier: MIT */
/*
 * Bytes that wait for a socket or pipe which may not be ready, and the descriptors that travel with
 * them. A descriptor leaves with the bytes it was put beside, or with earlier ones: a reader of the
 * Wayland protocol takes it when the message comes that it belongs to.
 */
#ifndef WLXD_OUTBUF_H
#define WLXD_OUTBUF_H

#include <stddef.h>
#include <stdint.h>

/* What one sendmsg carries: libwayland's limit, which the compositor's end counts on. */
#define OUTBUF_SEND_FDS 28
#define OUTBUF_FDS_MAX  1024

struct outbuf_fd {
	uint64_t at; /* the byte, counted from the first ever put, that it was put beside */
	int fd;
};

/* Zero-initialised is empty. */
struct outbuf {
	uint8_t *data;
	size_t start, end, cap; /* of data: what is used is start..end */
	uint64_t taken;         /* bytes that have left */
	struct outbuf_fd *fds;
	unsigned fd_count, fd_cap;
};

size_t outbuf_len(const struct outbuf *buf);

/*
 * Puts len bytes and fd (-1: none) behind what is there. fd travels with the first byte put in this
 * call or later. It is taken, also on failure. -ENOMEM; -EMFILE: OUTBUF_FDS_MAX wait already.
 */
int outbuf_put(struct outbuf *buf, const void *data, size_t len, int fd);

/*
 * Writes what fd takes without waiting (fd has O_NONBLOCK). Descriptors go only into sockets. 0:
 * all is gone; 1: some is left, wait for fd to become writable; or why the other end takes nothing
 * any more (-EPIPE, ...).
 */
int outbuf_flush(struct outbuf *buf, int fd);

/* Closes and frees all; what is left is an empty one. */
void outbuf_finish(struct outbuf *buf);

#endif
