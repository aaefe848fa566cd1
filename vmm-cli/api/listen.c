/* SPDX-License-Identifier: MIT */
#include "api/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * Locks path + ".lock". The holder unlinks it at the end, so what was locked may be a file that
 * has gone meanwhile: then the name is tried again.
 */
static int take_lock(const char *path, struct vmm_error *err)
{
	char name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8];
	struct stat held;
	struct stat named;
	int ret;
	int fd;

	(void)snprintf(name, sizeof(name), "%s.lock", path);
	for (;;) {
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0) {
			ret = -errno;
			return vmm_error_set(err, ret, "lock file '%s': %s", name, strerror(errno));
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			ret = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
			close(fd);
			return vmm_error_set(err, ret, "API socket '%s': %s", path,
					     ret == -EADDRINUSE ? "another VMM uses it"
								: strerror(-ret));
		}
		if (fstat(fd, &held) < 0) {
			ret = -errno;
			close(fd);
			return vmm_error_set(err, ret, "lock file '%s': %s", name, strerror(-ret));
		}
		if (stat(name, &named) == 0 && same_file(&held, &named)) {
			return fd;
		}
		close(fd);
	}
}

static void drop_lock(const char *path, int fd)
{
	char name[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8];

	(void)snprintf(name, sizeof(name), "%s.lock", path);
	(void)unlink(name);
	close(fd);
}

/* Makes way under path when what lies there is a socket nobody answers. */
static int remove_stale(const struct sockaddr_un *addr, struct vmm_error *err)
{
	const char *path = addr->sun_path;
	struct stat st;
	int ret;
	int fd;

	if (lstat(path, &st) < 0) {
		return errno == ENOENT ? 0
				       : vmm_error_set(err, -errno, "API socket '%s': %s", path,
						       strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode)) {
		return vmm_error_set(err, -EEXIST,
				     "API socket '%s': a file that is no socket is there", path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return vmm_error_set(err, -errno, "socket: %s", strerror(errno));
	}
	ret = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	close(fd);
	/* Only a refusal says for sure that nobody listens (a full queue gives EAGAIN). */
	if (ret != -ECONNREFUSED) {
		return vmm_error_set(err, -EADDRINUSE, "API socket '%s': another VMM answers there",
				     path);
	}
	return unlink(path) < 0 && errno != ENOENT
		       ? vmm_error_set(err, -errno, "API socket '%s': %s", path, strerror(errno))
		       : 0;
}

static int bind_and_listen(const struct sockaddr_un *addr, mode_t mode, struct vmm_error *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int ret;

	if (fd < 0) {
		return vmm_error_set(err, -errno, "socket: %s", strerror(errno));
	}
	/* The mask, not a later chmod: at no moment may the socket be open to more than mode. */
	mask = umask(~mode & 0777);
	ret = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (ret == 0 && listen(fd, BACKLOG) < 0) {
		ret = -errno;
		(void)unlink(addr->sun_path);
	}
	if (ret < 0) {
		close(fd);
		return vmm_error_set(err, ret, "API socket '%s': %s", addr->sun_path,
				     strerror(-ret));
	}
	return fd;
}

int api_socket_bind(struct api_socket *out, const char *path, mode_t mode, struct vmm_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int ret;

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	out->lock_fd = -1;
	if (!path[0] || strlen(path) >= sizeof(addr.sun_path)) {
		return vmm_error_set(err, -ENAMETOOLONG,
				     "API socket '%.150s': a socket's path is 1 to %zu bytes long",
				     path, sizeof(addr.sun_path) - 1);
	}
	memcpy(addr.sun_path, path, strlen(path));
	out->path = strdup(path);
	if (!out->path) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	ret = take_lock(path, err);
	if (ret >= 0) {
		out->lock_fd = ret;
		ret = remove_stale(&addr, err);
	}
	if (ret >= 0) {
		ret = bind_and_listen(&addr, mode, err);
	}
	if (ret >= 0) {
		out->fd = ret;
		ret = lstat(path, &out->own) < 0 ? -errno : 0;
	}
	if (ret < 0) {
		api_socket_finish(out);
		return ret;
	}
	return 0;
}

int api_socket_inherit(struct api_socket *out, int fd, struct vmm_error *err)
{
	int domain = 0;
	int type = 0;
	int listening = 0;
	socklen_t len = sizeof(int);

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	out->lock_fd = -1;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0) {
		return vmm_error_set(err, -errno, "API socket fd %d: %s", fd, strerror(errno));
	}
	(void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	(void)getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
	if (domain != AF_UNIX || type != SOCK_STREAM || !listening) {
		return vmm_error_set(err, -EINVAL,
				     "API socket fd %d: not a listening UNIX stream socket", fd);
	}
	out->fd = fd;
	return 0;
}

void api_socket_finish(struct api_socket *sock)
{
	struct stat st;

	if (sock->path && sock->fd >= 0) {
		/* Someone may have put another socket there; that one is not ours to remove. */
		if (lstat(sock->path, &st) == 0 && same_file(&st, &sock->own)) {
			(void)unlink(sock->path);
		}
		close(sock->fd);
	}
	if (sock->lock_fd >= 0) {
		drop_lock(sock->path, sock->lock_fd);
	}
	free(sock->path);
	sock->path = NULL;
	sock->fd = -1;
	sock->lock_fd = -1;
}
