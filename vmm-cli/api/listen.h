/* SPDX-License-Identifier: MIT */
/*
 * The API's listening socket: one made here under a path, or one inherited from a supervisor.
 */
#ifndef VMM_CLI_LISTEN_H
#define VMM_CLI_LISTEN_H

#include <stdbool.h>
#include <sys/stat.h>

#include <vmm/error.h>

struct api_socket {
	int fd;
	int lock_fd;     /* -1 for an inherited socket */
	char *path;      /* NULL for an inherited socket */
	struct stat own; /* what path named when it was bound */
};

/*
 * Makes a socket under path, with permissions mode. A socket nobody listens on is replaced; a
 * lock on "path.lock" keeps two starters apart. -EADDRINUSE: another VMM answers there; -EEXIST:
 * something that is no socket; -ENAMETOOLONG; errno of the system calls.
 */
int api_socket_bind(struct api_socket *out, const char *path, mode_t mode, struct vmm_error *err);

/*
 * Takes a descriptor that must be a listening UNIX stream socket. It is never closed or
 * unlinked. -EBADF, -ENOTSOCK, -EINVAL.
 */
int api_socket_inherit(struct api_socket *out, int fd, struct vmm_error *err);

/* Closes and unlinks what bind made, leaves alone what was inherited. */
void api_socket_finish(struct api_socket *sock);

#endif
