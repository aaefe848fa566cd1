/* SPDX-License-Identifier: MIT */
/* Where clients come from, and all that there are. */
#ifndef WLXD_SERVER_H
#define WLXD_SERVER_H

#include "client.h"

#define SERVER_PATH_MAX 108u

/* A socket that clients connect to, and what to remove when it is not used any more. */
struct listener {
	int fd;
	int lock_fd;                /* -1: the socket was given, not made */
	char path[SERVER_PATH_MAX]; /* "": as above */
	char lock_path[SERVER_PATH_MAX +
		       8]; /* libwayland's, so that no compositor takes the name */
};

struct server {
	struct vmm_loop *loop;
	const struct vmm_log *log;
	struct host host;
	int fd;
	struct vmm_source *source;
	struct vmm_source *later; /* timer: look again when descriptors had run out */
	struct client *clients;
	unsigned count, next_number;
};

/*
 * Makes the socket name, below $XDG_RUNTIME_DIR unless it begins with '/'. -EADDRINUSE: somebody
 * listens there; -ENOENT: XDG_RUNTIME_DIR is not set; -ENAMETOOLONG; ...
 */
int listener_open(struct listener *listener, const char *name);
void listener_close(struct listener *listener);

/* Serves who connects to fd (borrowed). loop, log and host are set by the caller. -errno. */
int server_start(struct server *server, int fd);
/* Ends every client. */
void server_finish(struct server *server);

#endif
