/* SPDX-License-Identifier: MIT */
/*
 * A pseudo-terminal whose clients come and go. While none has it open the master polls as hung up,
 * for ever, so nothing waits for it then: inotify tells when somebody opens the path (a slow timer
 * where inotify is not to be had), and output stays in the ring until that happens. The slave is
 * not held open here, since then nobody could tell whether anybody reads.
 *
 * A change of the window size is signalled to the processes on the slave only; the master has to
 * look. A timer does, while there is a client.
 */
#include <vmm/dev/chardev.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "stream.h"

#define SIZE_NS   UINT64_C(500000000)
#define CLIENT_NS UINT64_C(250000000)

struct pty {
	struct vmm_stream stream; /* in_fd and out_fd are the master */
	int inotify_fd;           /* -1: none, the timer looks for clients */
	struct vmm_source *opened;
	struct vmm_source *timer;
	char path[64];
};

static struct pty *from_base(struct vmm_chardev *cd)
{
	return (struct pty *)cd;
}

/* Somebody has it open, or has left bytes behind. */
static bool has_client(const struct pty *p)
{
	struct pollfd pfd = {.fd = p->stream.in_fd, .events = POLLIN};

	return poll(&pfd, 1, 0) <= 0 || (pfd.revents & POLLIN) != 0 || (pfd.revents & POLLHUP) == 0;
}

static void look_at_size(struct pty *p)
{
	struct winsize size;

	if (ioctl(p->stream.in_fd, TIOCGWINSZ, &size) == 0) {
		vmm_chardev_set_size(&p->stream.base, size.ws_col, size.ws_row);
	}
}

static void set_client(struct pty *p, bool client)
{
	if (p->stream.gone == client) {
		vmm_stream_set_gone(&p->stream, !client);
	}
	if (client) {
		(void)vmm_source_arm(p->timer, SIZE_NS);
	} else {
		(void)vmm_source_arm(p->timer, p->inotify_fd < 0 ? CLIENT_NS : 0);
	}
}

static void look(void *ctx)
{
	struct pty *p = ctx;
	bool client = has_client(p);

	if (client) {
		look_at_size(p);
	}
	set_client(p, client);
}

static void on_opened(void *ctx, int fd, uint32_t events)
{
	/* The events say no more than that it is time to look. */
	union {
		struct inotify_event event;
		char bytes[1024];
	} buf;

	(void)events;
	(void)!read(fd, &buf, sizeof(buf));
	look(ctx);
}

static void on_hung_up(struct vmm_stream *s)
{
	set_client((struct pty *)s, false);
}

static void pty_stop(struct vmm_chardev *cd)
{
	struct pty *p = from_base(cd);

	vmm_source_remove(p->opened);
	vmm_source_remove(p->timer);
	p->opened = NULL;
	p->timer = NULL;
	vmm_stream_stop(cd);
}

static int pty_start(struct vmm_chardev *cd, struct vmm_loop *loop)
{
	struct pty *p = from_base(cd);
	int ret;

	p->stream.gone = true;
	ret = vmm_loop_add_timer(loop, look, p, &p->timer);
	if (ret == 0 && p->inotify_fd >= 0) {
		ret = vmm_loop_add_fd(loop, p->inotify_fd, VMM_LOOP_READABLE, on_opened, p,
				      &p->opened);
	}
	if (ret == 0) {
		ret = vmm_stream_start(cd, loop);
	}
	if (ret < 0) {
		pty_stop(cd);
		return ret;
	}
	look(p);
	return 0;
}

static size_t pty_read(struct vmm_chardev *cd, void *buf, size_t len)
{
	size_t got = vmm_stream_read(cd, buf, len);

	if (got > 0) {
		/* Somebody types: the moment at which a wrong size would show. */
		look_at_size(from_base(cd));
	}
	return got;
}

static void pty_destroy(struct vmm_chardev *cd)
{
	struct pty *p = from_base(cd);

	if (p->inotify_fd >= 0) {
		(void)close(p->inotify_fd);
	}
	if (p->stream.in_fd >= 0) {
		(void)close(p->stream.in_fd);
	}
	free(p);
}

static const struct vmm_chardev_ops pty_ops = {
	.start = pty_start,
	.stop = pty_stop,
	.write = vmm_stream_write,
	.read = pty_read,
	.want_input = vmm_stream_want_input,
	.destroy = pty_destroy,
};

/* Terminals echo and translate unless told otherwise, which is the guest's business here. */
static int make_raw(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios t;
	int ret = 0;

	if (fd < 0) {
		return -errno;
	}
	if (tcgetattr(fd, &t) != 0) {
		ret = -errno;
	} else {
		cfmakeraw(&t);
		ret = tcsetattr(fd, TCSANOW, &t) == 0 ? 0 : -errno;
	}
	(void)close(fd);
	return ret;
}

static int open_pair(struct pty *p)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		return -errno;
	}
	p->stream.in_fd = fd;
	p->stream.out_fd = fd;
	if (grantpt(fd) != 0 || unlockpt(fd) != 0 || ptsname_r(fd, p->path, sizeof(p->path)) != 0) {
		return -errno;
	}
	return make_raw(p->path);
}

int vmm_pty_create(struct vmm_chardev **out, struct vmm_error *err)
{
	struct pty *p = calloc(1, sizeof(*p));
	int ret;

	*out = NULL;
	if (!p) {
		return vmm_error_set(err, -ENOMEM, "pty: out of memory");
	}
	p->stream.base.ops = &pty_ops;
	p->stream.hung_up = on_hung_up;
	p->stream.in_fd = -1;
	p->stream.out_fd = -1;
	p->stream.gone = true;
	p->inotify_fd = -1;
	ret = open_pair(p);
	if (ret < 0) {
		pty_destroy(&p->stream.base);
		return vmm_error_set(err, ret, "pty: cannot make a pseudo-terminal: %s",
				     strerror(-ret));
	}
	p->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (p->inotify_fd >= 0 && inotify_add_watch(p->inotify_fd, p->path, IN_OPEN) < 0) {
		(void)close(p->inotify_fd);
		p->inotify_fd = -1;
	}
	look_at_size(p);
	*out = &p->stream.base;
	return 0;
}

const char *vmm_pty_path(const struct vmm_chardev *cd)
{
	return ((const struct pty *)cd)->path;
}
