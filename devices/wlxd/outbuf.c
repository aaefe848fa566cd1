/* SPDX-License-Identifier: MIT */
#include "outbuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CAP_MIN 4096

/* Room that is empty and beyond this is given back. */
#define CAP_KEEP 65536

size_t outbuf_len(const struct outbuf *buf)
{
	return buf->end - buf->start;
}

static int make_room(struct outbuf *buf, size_t len)
{
	size_t cap = buf->cap ? buf->cap : CAP_MIN;
	uint8_t *data;

	if (buf->cap - buf->end >= len) {
		return 0;
	}
	if (buf->start > 0) {
		memmove(buf->data, buf->data + buf->start, outbuf_len(buf));
		buf->end -= buf->start;
		buf->start = 0;
	}
	while (cap - buf->end < len) {
		cap *= 2;
	}
	if (cap == buf->cap) {
		return 0;
	}
	data = realloc(buf->data, cap);
	if (!data) {
		return -ENOMEM;
	}
	buf->data = data;
	buf->cap = cap;
	return 0;
}

static int put_fd(struct outbuf *buf, int fd)
{
	if (buf->fd_count == OUTBUF_FDS_MAX) {
		return -EMFILE;
	}
	if (buf->fd_count == buf->fd_cap) {
		unsigned cap = buf->fd_cap ? buf->fd_cap * 2 : 4;
		struct outbuf_fd *fds = realloc(buf->fds, cap * sizeof(*fds));

		if (!fds) {
			return -ENOMEM;
		}
		buf->fds = fds;
		buf->fd_cap = cap;
	}
	buf->fds[buf->fd_count++] =
		(struct outbuf_fd){.at = buf->taken + outbuf_len(buf), .fd = fd};
	return 0;
}

int outbuf_put(struct outbuf *buf, const void *data, size_t len, int fd)
{
	int ret = make_room(buf, len);

	if (ret == 0 && fd >= 0) {
		ret = put_fd(buf, fd);
	}
	if (ret < 0) {
		if (fd >= 0) {
			(void)close(fd);
		}
		return ret;
	}
	if (len > 0) {
		memcpy(buf->data + buf->end, data, len);
		buf->end += len;
	}
	return 0;
}

/* Descriptors that travel with the next bytes; *len becomes how many bytes may go along. */
static unsigned next_fds(const struct outbuf *buf, size_t *len)
{
	*len = outbuf_len(buf);
	if (buf->fd_count <= OUTBUF_SEND_FDS) {
		return buf->fd_count;
	}
	/* The bytes of the first one that stays must stay too. */
	*len = (size_t)(buf->fds[OUTBUF_SEND_FDS].at - buf->taken);
	return OUTBUF_SEND_FDS;
}

static ssize_t send_some(const struct outbuf *buf, int fd, unsigned *fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(OUTBUF_SEND_FDS * sizeof(int))];
	} control = {0};
	size_t len;
	struct iovec iov = {.iov_base = buf->data + buf->start};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	*fds = next_fds(buf, &len);
	if (*fds == 0) {
		return write(fd, iov.iov_base, len);
	}
	iov.iov_len = len;
	msg.msg_control = control.space;
	msg.msg_controllen = (socklen_t)CMSG_SPACE(*fds * sizeof(int));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = (socklen_t)CMSG_LEN(*fds * sizeof(int));
	for (unsigned i = 0; i < *fds; i++) {
		memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &buf->fds[i].fd, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void drop_fds(struct outbuf *buf, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		(void)close(buf->fds[i].fd);
	}
	buf->fd_count -= count;
	if (buf->fd_count > 0) {
		memmove(buf->fds, buf->fds + count, buf->fd_count * sizeof(buf->fds[0]));
	}
}

static void emptied(struct outbuf *buf)
{
	buf->start = 0;
	buf->end = 0;
	if (buf->cap > CAP_KEEP) {
		free(buf->data);
		buf->data = NULL;
		buf->cap = 0;
	}
}

int outbuf_flush(struct outbuf *buf, int fd)
{
	while (outbuf_len(buf) > 0) {
		unsigned fds;
		ssize_t got = send_some(buf, fd, &fds);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return errno == EAGAIN ? 1 : -errno;
		}
		/* With the first byte they are all gone. */
		drop_fds(buf, fds);
		buf->start += (size_t)got;
		buf->taken += (uint64_t)got;
	}
	emptied(buf);
	return 0;
}

void outbuf_finish(struct outbuf *buf)
{
	drop_fds(buf, buf->fd_count);
	free(buf->fds);
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}
