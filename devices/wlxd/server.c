/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG  128
#define LATER_NS UINT64_C(200000000)

static int take_lock(struct listener *listener)
{
	int ret;

	(void)snprintf(listener->lock_path, sizeof(listener->lock_path), "%s.lock", listener->path);
	listener->lock_fd = open(listener->lock_path, O_CREAT | O_CLOEXEC | O_RDWR, 0660);
	if (listener->lock_fd < 0) {
		return -errno;
	}
	if (flock(listener->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		ret = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
		(void)close(listener->lock_fd);
		listener->lock_fd = -1;
		return ret;
	}
	return 0;
}

static int bind_socket(struct listener *listener)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	memcpy(addr.sun_path, listener->path, sizeof(listener->path));
	/* Who has the lock may remove what somebody left behind. */
	if (unlink(listener->path) != 0 && errno != ENOENT) {
		return -errno;
	}
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(listener->fd, BACKLOG) != 0) {
		return -errno;
	}
	return 0;
}

int listener_open(struct listener *listener, const char *name)
{
	const char *dir = name[0] == '/' ? "" : getenv("XDG_RUNTIME_DIR");
	int len, ret;

	*listener = (struct listener){.fd = -1, .lock_fd = -1};
	if (!dir) {
		return -ENOENT;
	}
	len = snprintf(listener->path, sizeof(listener->path), "%s%s%s", dir, dir[0] ? "/" : "",
		       name);
	if (len < 0 || (size_t)len >= sizeof(listener->path)) {
		listener->path[0] = 0;
		return -ENAMETOOLONG;
	}
	ret = take_lock(listener);
	if (ret == 0) {
		ret = bind_socket(listener);
	}
	if (ret < 0) {
		listener_close(listener);
	}
	return ret;
}

void listener_close(struct listener *listener)
{
	if (listener->lock_fd >= 0) {
		(void)unlink(listener->path);
		(void)unlink(listener->lock_path);
		(void)close(listener->lock_fd);
	}
	if (listener->fd >= 0) {
		(void)close(listener->fd);
	}
	listener->fd = -1;
	listener->lock_fd = -1;
}

static void on_gone(void *ctx, struct client *client)
{
	struct server *server = ctx;

	if (client->prev) {
		client->prev->next = client->next;
	} else {
		server->clients = client->next;
	}
	if (client->next) {
		client->next->prev = client->prev;
	}
	server->count--;
	vmm_log(server->log, VMM_LOG_DEBUG, "client %u has gone, %u left", client->number,
		server->count);
}

static void add(struct server *server, int fd)
{
	struct client *client;
	int ret = client_create(&client, &server->host, server->loop, server->log, fd);

	server->next_number++;
	if (ret < 0) {
		vmm_log(server->log, VMM_LOG_WARN, "client %u cannot be served: %s",
			server->next_number, strerror(-ret));
		return;
	}
	client->number = server->next_number;
	client->gone = on_gone;
	client->ctx = server;
	client->next = server->clients;
	if (client->next) {
		client->next->prev = client;
	}
	server->clients = client;
	server->count++;
	vmm_log(server->log, VMM_LOG_DEBUG, "client %u", client->number);
}

static void on_connect(void *ctx, int fd, uint32_t events)
{
	struct server *server = ctx;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (client >= 0) {
		add(server, client);
		return;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		/* It stays readable: without a pause the loop would do nothing else. */
		vmm_log(server->log, VMM_LOG_WARN, "a client has to wait: %s", strerror(errno));
		(void)vmm_source_set_events(server->source, 0);
		(void)vmm_source_arm(server->later, LATER_NS);
	}
}

static void on_later(void *ctx)
{
	struct server *server = ctx;

	(void)vmm_source_set_events(server->source, VMM_LOOP_READABLE);
}

int server_start(struct server *server, int fd)
{
	int ret = vmm_loop_add_timer(server->loop, on_later, server, &server->later);

	server->fd = fd;
	if (ret == 0) {
		ret = vmm_loop_add_fd(server->loop, fd, VMM_LOOP_READABLE, on_connect, server,
				      &server->source);
	}
	return ret;
}

void server_finish(struct server *server)
{
	while (server->clients) {
		struct client *client = server->clients;

		on_gone(server, client);
		client_destroy(client);
	}
	vmm_source_remove(server->source);
	vmm_source_remove(server->later);
}
