/* SPDX-License-Identifier: MIT */
/*
 * A pseudo-terminal whose clients come and go. While none has it open the master polls as hung up,
 * for ever, so nothing waits for it then: inotify tells when somebody opens the path (a slow timer
 * where inotify is not to be had), and output stays in the ring until that happens. The slave is
 * not held open here, since then nobody could tell whether anybody reads.
 *
 * A change of the window size is signalled to the processes on the slave only; the master has to
 * look. A timer does, while there is a client.
 *
 * Whether there is one is asked through an epoll instance of its own, which holds the master and
 * nothing else: the loop's own call then does for both, and the process needs no poll.
 */
#include <vmm/dev/chardev.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "stream.h"

#define SIZE_NS   UINT64_C(500000000)
#define CLIENT_NS UINT64_C(250000000)

struct pty {
	struct vmm_stream stream; /* in_fd and out_fd are the master */
	int poll_fd;              /* an epoll instance with the master in it */
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
	struct epoll_event ev;

	return epoll_pwait(p->poll_fd, &ev, 1, 0, NULL) <= 0 || (ev.events & EPOLLIN) != 0 ||
	       (ev.events & EPOLLHUP) == 0;
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

	if (p->poll_fd >= 0) {
		(void)close(p->poll_fd);
	}
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

/* ---- for who may open things ---- */

static int open_master(int *master, char *path, size_t len)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int ret = 0;

	if (fd < 0) {
		return -errno;
	}
	if (grantpt(fd) != 0 || unlockpt(fd) != 0) {
		ret = -errno;
	}
	if (ret == 0) {
		ret = -ptsname_r(fd, path, len);
	}
	if (ret == 0) {
		ret = make_raw(path);
	}
	if (ret < 0) {
		(void)close(fd);
		return ret;
	}
	*master = fd;
	return 0;
}

int vmm_pty_open(int *master, int *inotify_fd, char *path, size_t len, struct vmm_error *err)
{
	int ret;

	*master = -1;
	*inotify_fd = -1;
	ret = open_master(master, path, len);
	if (ret < 0) {
		return vmm_error_set(err, ret, "pty: cannot make a pseudo-terminal: %s",
				     strerror(-ret));
	}
	*inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (*inotify_fd >= 0 && inotify_add_watch(*inotify_fd, path, IN_OPEN) < 0) {
		(void)close(*inotify_fd);
		*inotify_fd = -1;
	}
	return 0;
}

/* ---- the back end ---- */

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

/* Only the master of a pair has a number, which is also its path. */
static int take_master(struct pty *p, int fd)
{
	unsigned number;

	if (ioctl(fd, TIOCGPTN, &number) != 0) {
		return -errno;
	}
	(void)snprintf(p->path, sizeof(p->path), "/dev/pts/%u", number);
	return set_nonblocking(fd);
}

/* Anonymous files, of which inotify's is one, have no kind. */
static int check_inotify(int fd)
{
	struct stat st;

	if (fd < 0) {
		return 0;
	}
	if (fstat(fd, &st) != 0) {
		return -errno;
	}
	return (st.st_mode & S_IFMT) == 0 ? set_nonblocking(fd) : -EINVAL;
}

static int make_poll_fd(struct pty *p, int master)
{
	struct epoll_event ev = {.events = EPOLLIN};

	p->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (p->poll_fd < 0 || epoll_ctl(p->poll_fd, EPOLL_CTL_ADD, master, &ev) != 0) {
		return -errno;
	}
	return 0;
}

int vmm_pty_from_fds(struct vmm_chardev **out, int master, int inotify_fd, struct vmm_error *err)
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
	p->poll_fd = -1;
	p->inotify_fd = -1;
	ret = take_master(p, master);
	if (ret == 0) {
		ret = check_inotify(inotify_fd);
	}
	if (ret == 0) {
		ret = make_poll_fd(p, master);
	}
	if (ret < 0) {
		pty_destroy(&p->stream.base);
		return vmm_error_set(err, ret, "pty: descriptors %d and %d are of no use: %s",
				     master, inotify_fd, strerror(-ret));
	}
	p->stream.in_fd = master;
	p->stream.out_fd = master;
	p->inotify_fd = inotify_fd;
	look_at_size(p);
	*out = &p->stream.base;
	return 0;
}

int vmm_pty_create(struct vmm_chardev **out, struct vmm_error *err)
{
	char path[64];
	int master;
	int inotify_fd;
	int ret;

	*out = NULL;
	ret = vmm_pty_open(&master, &inotify_fd, path, sizeof(path), err);
	if (ret < 0) {
		return ret;
	}
	ret = vmm_pty_from_fds(out, master, inotify_fd, err);
	if (ret < 0) {
		(void)close(master);
		if (inotify_fd >= 0) {
			(void)close(inotify_fd);
		}
	}
	return ret;
}

const char *vmm_pty_path(const struct vmm_chardev *cd)
{
	return ((const struct pty *)cd)->path;
}
