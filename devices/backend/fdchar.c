/* SPDX-License-Identifier: MIT */
/* Descriptors that somebody else opened, as a character back end. */
#include <vmm/dev/chardev.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "stream.h"

struct fdchar {
	struct vmm_stream stream; /* in_fd and out_fd are ours */
	size_t (*filter)(void *ctx, uint8_t *bytes, size_t len);
	void *ctx;
};

static struct fdchar *from_base(struct vmm_chardev *cd)
{
	return (struct fdchar *)cd;
}

/*
 * Opening what stands behind the descriptor once more gives a file description of our own, whose
 * non-blocking mode nobody else sees. Not for ptmx: opening that makes a new terminal. Not for
 * regular files: it would lose the offset that a caller shares with us.
 */
static int reopen(int fd, int mode)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return -errno;
	}
	if (S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 2))) {
		return -ENOTSUP;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A non-blocking descriptor of our own for the same thing. */
static int take(int fd, int mode, struct vmm_error *err)
{
	int own = reopen(fd, mode);
	int flags;

	if (own >= 0) {
		return own;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	flags = own < 0 ? -1 : fcntl(own, F_GETFL);
	if (flags < 0 || fcntl(own, F_SETFL, flags | O_NONBLOCK) != 0) {
		int ret = -errno;

		if (own >= 0) {
			(void)close(own);
		}
		return vmm_error_set(err, ret, "console descriptor %d: %s", fd, strerror(-ret));
	}
	return own;
}

static size_t fdchar_read(struct vmm_chardev *cd, void *buf, size_t len)
{
	struct fdchar *f = from_base(cd);
	size_t got = vmm_stream_read(cd, buf, len);

	return got > 0 && f->filter ? f->filter(f->ctx, buf, got) : got;
}

static void fdchar_destroy(struct vmm_chardev *cd)
{
	struct fdchar *f = from_base(cd);
	struct vmm_stream *s = &f->stream;

	vmm_stream_flush(s);
	if (s->in_fd >= 0) {
		(void)close(s->in_fd);
	}
	if (s->out_fd >= 0 && s->out_fd != s->in_fd) {
		(void)close(s->out_fd);
	}
	free(f);
}

static const struct vmm_chardev_ops fdchar_ops = {
	.start = vmm_stream_start,
	.stop = vmm_stream_stop,
	.write = vmm_stream_write,
	.read = fdchar_read,
	.want_input = vmm_stream_want_input,
	.destroy = fdchar_destroy,
};

static int take_both(struct vmm_stream *s, const struct vmm_fdchar_config *config,
		     struct vmm_error *err)
{
	bool same = config->in_fd == config->out_fd;

	if (config->in_fd >= 0) {
		s->in_fd = take(config->in_fd, same ? O_RDWR : O_RDONLY, err);
		if (s->in_fd < 0) {
			return s->in_fd;
		}
	}
	if (same) {
		s->out_fd = s->in_fd;
	} else if (config->out_fd >= 0) {
		s->out_fd = take(config->out_fd, O_WRONLY, err);
		if (s->out_fd < 0) {
			return s->out_fd;
		}
	}
	return 0;
}

int vmm_fdchar_create(struct vmm_chardev **out, const struct vmm_fdchar_config *config,
		      struct vmm_error *err)
{
	struct fdchar *f = calloc(1, sizeof(*f));
	int ret;

	*out = NULL;
	if (!f) {
		return vmm_error_set(err, -ENOMEM, "console: out of memory");
	}
	f->stream.base.ops = &fdchar_ops;
	f->stream.in_fd = -1;
	f->stream.out_fd = -1;
	f->filter = config->filter;
	f->ctx = config->ctx;
	ret = take_both(&f->stream, config, err);
	if (ret < 0) {
		fdchar_destroy(&f->stream.base);
		return ret;
	}
	vmm_fdchar_update_size(&f->stream.base);
	*out = &f->stream.base;
	return 0;
}

void vmm_fdchar_update_size(struct vmm_chardev *cd)
{
	struct vmm_stream *s = &from_base(cd)->stream;
	struct winsize size;

	if ((s->out_fd >= 0 && ioctl(s->out_fd, TIOCGWINSZ, &size) == 0) ||
	    (s->in_fd >= 0 && ioctl(s->in_fd, TIOCGWINSZ, &size) == 0)) {
		vmm_chardev_set_size(cd, size.ws_col, size.ws_row);
	}
}
