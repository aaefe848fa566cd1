/* SPDX-License-Identifier: MIT */
/*
 * The API's server: connections on a listening UNIX socket, driven by an event loop. It knows no
 * endpoint. All calls are made on the loop's thread.
 */
#ifndef VMM_CLI_SERVER_H
#define VMM_CLI_SERVER_H

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>

#include "api/http.h"

#define API_CONNECTIONS_MAX 10

/* What a handler answers. Zero means 204 without a body. */
struct api_reply {
	int code;
	char *body; /* JSON text in heap memory; the server frees it */
};

/* Answers one request. Descriptors left in it are closed afterwards. */
typedef void (*api_handler_fn)(void *ctx, struct http_request *request, struct api_reply *reply);

struct api_server;

/*
 * Serves listen_fd, a listening stream socket that may have clients queued already and stays the
 * caller's: it is made non-blocking and never closed or unlinked here. log may be NULL.
 * -ENOMEM, errno of epoll.
 */
int api_server_create(struct api_server **out, struct vmm_loop *loop, int listen_fd,
		      api_handler_fn handler, void *ctx, const struct vmm_log *log);
/* Closes all connections. NULL is a no-op. Not from inside a handler. */
void api_server_destroy(struct api_server *server);

/* Connections open now. */
unsigned api_server_connections(const struct api_server *server);

#endif
