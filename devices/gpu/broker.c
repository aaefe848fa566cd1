/* SPDX-License-Identifier: MIT */
/*
 * Connections to the compositor by way of somebody who may open them (<vmm/dev/gpu.h>). Requests
 * are answered in order, so all that has to be kept is who asked; one that is no longer wanted
 * keeps its place, and what comes for it is closed.
 */
#include <vmm/dev/gpu.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITING_MAX 128u

struct waiting {
	void (*done)(void *done_ctx, int fd); /* NULL: cancelled */
	void *ctx;
};

struct vmm_gpu_broker {
	struct vmm_gpu_connector connector;
	int fd;                    /* -1: it is gone */
	struct vmm_source *source; /* only while somebody waits */
	unsigned wanted;           /* of those waiting: not cancelled */
	unsigned first;
	unsigned count;
	struct waiting waiting[WAITING_MAX];
};

static struct waiting take_first(struct vmm_gpu_broker *b)
{
	struct waiting w = b->waiting[b->first];

	b->first = (b->first + 1) % WAITING_MAX;
	b->count--;
	b->wanted -= w.done ? 1 : 0;
	return w;
}

/* The loop may be gone before the broker: nothing is left there when nobody waits. */
static void rest(struct vmm_gpu_broker *b)
{
	if (b->wanted == 0) {
		vmm_source_remove(b->source);
		b->source = NULL;
	}
}

static void break_off(struct vmm_gpu_broker *b)
{
	vmm_source_remove(b->source);
	b->source = NULL;
	(void)close(b->fd);
	b->fd = -1;
	while (b->count > 0) {
		struct waiting w = take_first(b);

		if (w.done) {
			w.done(w.ctx, -EPIPE); /* may not ask again: there is no descriptor */
		}
	}
}

/* The descriptor, or -1 when none came. Where two came, which is none, both are closed. */
static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fds[2] = {-1, -1};

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		/* There is room for two, by alignment, and the rest the kernel closes. */
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	}
	if (fds[1] >= 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		return -1;
	}
	return fds[0];
}

static void on_answer(void *ctx, int socket, uint32_t events)
{
	struct vmm_gpu_broker *b = ctx;
	int32_t error = 0;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = &error, .iov_len = sizeof(error)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t got = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct waiting w;
	int fd;

	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	fd = got < 0 ? -1 : take_fd(&msg);
	if (got != (ssize_t)sizeof(error) || b->count == 0 || error < 0 ||
	    (error == 0) != (fd >= 0)) {
		if (fd >= 0) {
			(void)close(fd);
		}
		break_off(b);
		return;
	}
	w = take_first(b);
	rest(b);
	if (w.done) {
		w.done(w.ctx, fd >= 0 ? fd : -error);
	} else if (fd >= 0) {
		(void)close(fd);
	}
}

static int broker_connect(void *ctx, struct vmm_loop *loop, void (*done)(void *done_ctx, int fd),
			  void *done_ctx)
{
	struct vmm_gpu_broker *b = ctx;
	uint8_t request = 0;
	struct iovec iov = {.iov_base = &request, .iov_len = sizeof(request)};
	const struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (b->fd < 0) {
		return -EPIPE;
	}
	if (b->count == WAITING_MAX) {
		return -EBUSY;
	}
	if (!b->source) {
		int ret = vmm_loop_add_fd(loop, b->fd, VMM_LOOP_READABLE, on_answer, b, &b->source);

		if (ret < 0) {
			return ret;
		}
	}
	if (sendmsg(b->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		int ret = -errno;

		rest(b);
		return ret;
	}
	b->waiting[(b->first + b->count) % WAITING_MAX] =
		(struct waiting){.done = done, .ctx = done_ctx};
	b->count++;
	b->wanted++;
	return 0;
}

static void broker_cancel(void *ctx, void *done_ctx)
{
	struct vmm_gpu_broker *b = ctx;

	for (unsigned i = 0; i < b->count; i++) {
		struct waiting *w = &b->waiting[(b->first + i) % WAITING_MAX];

		if (w->done && w->ctx == done_ctx) {
			w->done = NULL;
			b->wanted--;
		}
	}
	rest(b);
}

int vmm_gpu_broker_create(struct vmm_gpu_broker **out, int fd, struct vmm_error *err)
{
	struct vmm_gpu_broker *b;
	int type = 0;
	socklen_t len = sizeof(type);

	*out = NULL;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_SEQPACKET) {
		return vmm_error_set(err, -EINVAL, "gpu: descriptor %d is no packet socket", fd);
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		return vmm_error_set(err, -ENOMEM, "gpu: out of memory");
	}
	b->fd = fd;
	b->connector = (struct vmm_gpu_connector){
		.connect = broker_connect, .cancel = broker_cancel, .ctx = b};
	*out = b;
	return 0;
}

const struct vmm_gpu_connector *vmm_gpu_broker_connector(struct vmm_gpu_broker *broker)
{
	return &broker->connector;
}

void vmm_gpu_broker_destroy(struct vmm_gpu_broker *broker)
{
	if (!broker) {
		return;
	}
	vmm_source_remove(broker->source);
	if (broker->fd >= 0) {
		(void)close(broker->fd);
	}
	free(broker);
}
