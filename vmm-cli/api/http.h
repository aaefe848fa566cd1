/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 as this API speaks it, without any socket: bytes in, requests out; replies as bytes.
 * Grammar is http_parser's; here are the limits and the exact shape of replies, which clients of
 * cloud-hypervisor depend on.
 */
#ifndef VMM_CLI_HTTP_H
#define VMM_CLI_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <http_parser.h>

#define HTTP_BODY_MAX ((size_t)4 << 20)
#define HTTP_LINE_MAX 1024 /* bytes of the request line or of one header */
#define HTTP_FDS_MAX  64   /* descriptors that may come with one request */

enum http_method_kind {
	HTTP_METHOD_GET,
	HTTP_METHOD_PUT,
	HTTP_METHOD_OTHER,
};

struct http_request {
	enum http_method_kind method;
	char path[HTTP_LINE_MAX + 1];
	char *body; /* not terminated; NULL when there is none */
	size_t body_len;
	int fds[HTTP_FDS_MAX]; /* a handler that keeps one puts -1 in its place */
	size_t fd_count;
	bool keep_alive;
};

enum http_state {
	HTTP_NEED_MORE,
	HTTP_COMPLETE, /* take the request, then http_in_next */
	HTTP_BAD,      /* refused: error_code and error_text; the connection is of no more use */
};

/* A request being received. */
struct http_in {
	struct http_request request;
	int error_code;
	const char *error_text;
	bool expects_continue; /* "100 Continue" is due; the caller sends it and clears this */
	bool started;          /* bytes of a request have been seen */

	http_parser parser; /* private from here on */
	enum http_state state;
	char field[32];
	size_t field_len;
	size_t line_len;
	size_t path_len;
	size_t body_size;
	bool in_value;
	char value[32];
	size_t value_len;
};

void http_in_init(struct http_in *in);
/* Frees the body and closes the descriptors nobody took. */
void http_in_finish(struct http_in *in);
/* Makes ready for the next request on the same connection. */
void http_in_next(struct http_in *in);

/*
 * Takes in bytes up to the end of the request. *used says how many; what is left over belongs to
 * the next request.
 */
enum http_state http_in_feed(struct http_in *in, const char *data, size_t len, size_t *used);

/* Hands a descriptor to the request, which owns it from now on. -E2BIG: too many, fd is closed. */
int http_in_add_fd(struct http_in *in, int fd);

/*
 * A whole reply, to be sent in one piece: *out is heap memory of *len bytes. body is JSON text or
 * NULL. -ENOMEM.
 */
int http_reply(char **out, size_t *len, int code, const char *body, bool keep_alive);

/* The interim reply to "Expect: 100-continue". */
const char *http_continue(void);

#endif
