/* SPDX-License-Identifier: MIT */
/*
 * A host that is this machine: the compositor's own socket, memfds for blobs. It does with
 * descriptors what a virtio-gpu device and its driver do together, so that all that is above
 * host.h can be run, and tested, without a VM.
 */
#include "host_local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The first ids are those of the rings. */
#define ITEM_FIRST 2

static struct local_conn *from_base(struct host_conn *base)
{
	return (struct local_conn *)base;
}

static void watch(struct local_conn *conn)
{
	uint32_t events = conn->on ? VMM_LOOP_READABLE : 0;

	if (!conn->broken && outbuf_len(&conn->out) > 0) {
		events |= VMM_LOOP_WRITABLE;
	}
	(void)vmm_source_set_events(conn->source, events);
}

/* A compositor that has hung up may have said why before: that is still to be read. */
static void flush(struct local_conn *conn)
{
	if (outbuf_flush(&conn->out, conn->fd) < 0) {
		conn->broken = true;
		outbuf_finish(&conn->out);
	}
	watch(conn);
}

/* What a device makes of a descriptor. False: it cannot cross; it is closed. */
static bool take_item(struct local_conn *conn, int fd, struct host_item *item)
{
	int flags = fcntl(fd, F_GETFL);
	enum local_kind kind = LOCAL_FILE;
	struct stat st;

	if (flags >= 0 && fstat(fd, &st) == 0) {
		*item = (struct host_item){.type = HOST_ITEM_FILE, .id = conn->next_item++};
		/* /dev/null stands for a keymap that is none. */
		if (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode)) {
			item->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
			return local_end_add(conn, kind, item->id, fd) != NULL;
		}
		if (S_ISFIFO(st.st_mode) && (flags & O_ACCMODE) == O_WRONLY) {
			item->type = HOST_ITEM_PIPE;
			kind = LOCAL_WRITE;
			return local_end_add(conn, kind, item->id, fd) != NULL;
		}
	}
	(void)close(fd);
	return false;
}

static bool take_items(struct local_conn *conn, struct msghdr *msg, struct host_item *items,
		       unsigned *count)
{
	bool good = !(msg->msg_flags & MSG_CTRUNC);

	*count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		for (size_t i = 0; i < fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (*count == HOST_IDS_MAX || !take_item(conn, fd, &items[*count])) {
				good = false;
				continue;
			}
			(*count)++;
		}
	}
	return good;
}

static void receive(struct local_conn *conn)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(HOST_IDS_MAX * sizeof(int))];
	} control;
	struct host_item items[HOST_IDS_MAX];
	uint8_t data[HOST_SEND_MAX];
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	ssize_t got = recvmsg(conn->fd, &msg, MSG_CMSG_CLOEXEC);
	unsigned count = 0;

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got <= 0 || !take_items(conn, &msg, items, &count)) {
		conn->on = false;
		watch(conn);
		conn->base.events->closed(conn->base.ctx);
		return;
	}
	conn->base.events->receive(conn->base.ctx, data, (size_t)got, items, count);
}

static void on_socket(void *ctx, int fd, uint32_t events)
{
	struct local_conn *conn = ctx;

	(void)fd;
	if (outbuf_len(&conn->out) > 0) {
		flush(conn);
		if (outbuf_len(&conn->out) == 0) {
			/* What there is to read is reported again. */
			conn->base.events->drained(conn->base.ctx);
			return;
		}
	}
	if (conn->on && (events & ~VMM_LOOP_WRITABLE)) {
		receive(conn);
	}
}

static int open_socket(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd, ret;

	if (len >= sizeof(addr.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(addr.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		ret = -errno;
		(void)close(fd);
		return ret;
	}
	return fd;
}

static int local_connect(void *host, const struct host_events *events, void *ctx,
			 struct host_conn **out)
{
	struct local_conn *conn = calloc(1, sizeof(*conn));
	int ret;

	(void)events;
	(void)ctx;
	if (!conn) {
		return -ENOMEM;
	}
	conn->local = host;
	conn->next_item = ITEM_FIRST;
	ret = open_socket(conn->local->path);
	conn->fd = ret;
	if (ret >= 0) {
		ret = vmm_loop_add_fd(conn->local->loop, conn->fd, 0, on_socket, conn,
				      &conn->source);
		if (ret < 0) {
			(void)close(conn->fd);
		}
	}
	if (ret < 0) {
		free(conn);
		return ret;
	}
	*out = &conn->base;
	return 0;
}

static void local_close(struct host_conn *base)
{
	struct local_conn *conn = from_base(base);

	while (conn->ends) {
		local_end_remove(conn->ends);
	}
	vmm_source_remove(conn->source);
	(void)close(conn->fd);
	outbuf_finish(&conn->out);
	free(conn);
}

static void local_blob_destroy(struct host_conn *base, struct host_blob *blob)
{
	(void)base;
	(void)munmap(blob->map, blob->map_size);
	(void)close(blob->fd);
}

static int local_blob_create(struct host_conn *base, uint64_t size, struct host_blob *blob)
{
	int fd = memfd_create("wlxd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map;
	int ret;

	(void)base;
	if (fd < 0) {
		return -errno;
	}
	if (ftruncate(fd, (off_t)size) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		goto error;
	}
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		goto error;
	}
	*blob = (struct host_blob){.map = map, .size = size, .map_size = size, .fd = fd};
	return 0;
error:
	ret = -errno;
	(void)close(fd);
	return ret;
}

/* The descriptor that stands in the compositor's world for what goes out; or -errno. */
static int pass_fd(struct local_conn *conn, const struct host_pass *pass)
{
	int fds[2];

	if (pass->blob) {
		int fd = fcntl(pass->blob->fd, F_DUPFD_CLOEXEC, 0);

		return fd < 0 ? -errno : fd;
	}
	if (pipe2(fds, O_CLOEXEC) != 0) {
		return -errno;
	}
	if (!local_end_add(conn, LOCAL_READ, pass->pipe, fds[0])) {
		(void)close(fds[1]);
		return -ENOMEM;
	}
	return fds[1];
}

static int local_send(struct host_conn *base, const uint8_t *data, size_t len,
		      const struct host_pass *pass, unsigned count)
{
	struct local_conn *conn = from_base(base);
	int ret = 0;

	if (conn->broken) {
		return 0;
	}
	for (unsigned i = 0; i < count && ret == 0; i++) {
		int fd = pass_fd(conn, &pass[i]);

		ret = fd < 0 ? fd : outbuf_put(&conn->out, NULL, 0, fd);
	}
	if (ret == 0) {
		ret = outbuf_put(&conn->out, data, len, -1);
	}
	if (ret == 0) {
		flush(conn);
	}
	return ret;
}

static size_t local_pending(struct host_conn *base)
{
	return outbuf_len(&from_base(base)->out);
}

static void local_listen(struct host_conn *base, bool on)
{
	struct local_conn *conn = from_base(base);

	if (conn->on != on) {
		conn->on = on;
		watch(conn);
		local_ends_listen(conn);
	}
}

const struct host_ops host_local_ops = {
	.connect = local_connect,
	.close = local_close,
	.blob_create = local_blob_create,
	.blob_destroy = local_blob_destroy,
	.send = local_send,
	.pending = local_pending,
	.listen = local_listen,
	.file_copy = local_file_copy,
	.pipe_write = local_pipe_write,
	.item_drop = local_item_drop,
};

struct host_local *host_local_create(struct vmm_loop *loop, const char *path)
{
	struct host_local *local = calloc(1, sizeof(*local));

	if (local) {
		local->loop = loop;
		local->path = path;
	}
	return local;
}

void host_local_destroy(struct host_local *local)
{
	free(local);
}
