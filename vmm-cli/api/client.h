/* SPDX-License-Identifier: MIT */
/*
 * A client of the API: one request, one reply, on a connection of its own. Blocking; any thread.
 */
#ifndef VMM_CLI_CLIENT_H
#define VMM_CLI_CLIENT_H

#include <stddef.h>

#include <jansson.h>

#include <vmm/error.h>

struct api_response {
	int code;   /* HTTP status */
	char *body; /* NUL-terminated, NULL when there is none; freed by api_response_finish */
	size_t body_len;
};

/*
 * Sends `method` ("GET" or "PUT") for endpoint ("vm.info", without the prefix) to the VMM on the
 * UNIX socket under path. body is JSON text or NULL; fds are sent along and stay the caller's.
 * timeout_ms bounds every wait for the VMM (-1: none). 0 when a reply came, whatever its code; else
 * -ENOENT or -ECONNREFUSED (no VMM there), -ENAMETOOLONG, -ETIMEDOUT, -EPROTO (not an HTTP
 * reply), errno of the system calls.
 */
int api_request(const char *path, const char *method, const char *endpoint, const char *body,
		const int *fds, size_t fd_count, int timeout_ms, struct api_response *out,
		struct vmm_error *err);

void api_response_finish(struct api_response *response);

/*
 * The same, for callers that want success or a sentence: -EREMOTEIO when the VMM refused, with its
 * own words in err; else *out (may be NULL) is the reply's JSON or NULL, the caller's.
 */
int api_call(const char *path, const char *method, const char *endpoint, const json_t *body,
	     const int *fds, size_t fd_count, json_t **out, struct vmm_error *err);

#endif
