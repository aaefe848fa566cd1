/* SPDX-License-Identifier: MIT */
#include "api/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static int bad(struct http_in *in, int code, const char *text)
{
	in->state = HTTP_BAD;
	in->error_code = code;
	in->error_text = text;
	/* on_headers_complete gives 1 and 2 a meaning of their own. */
	return -1;
}

static int on_begin(http_parser *parser)
{
	struct http_in *in = parser->data;

	in->started = true;
	return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct http_in *in = parser->data;

	if (len > HTTP_LINE_MAX - in->path_len || memchr(at, 0, len)) {
		return bad(in, 400, "the request line is too long");
	}
	memcpy(in->request.path + in->path_len, at, len);
	in->path_len += len;
	in->request.path[in->path_len] = '\0';
	/* What came before the path in a piece of its own is not part of the first header. */
	in->line_len = 0;
	return 0;
}

/* The few headers that matter are short: what does not fit into the buffer is none of them. */
static size_t keep(char *buf, size_t size, size_t used, const char *at, size_t len)
{
	size_t room = size - 1 - used;

	if (len > room) {
		len = room;
	}
	memcpy(buf + used, at, len);
	buf[used + len] = '\0';
	return used + len;
}

static int count_line(struct http_in *in, size_t len)
{
	in->line_len += len;
	return in->line_len > HTTP_LINE_MAX ? bad(in, 400, "a header is too long") : 0;
}

static void end_of_header(struct http_in *in)
{
	if (strcasecmp(in->field, "expect") == 0 && strcasecmp(in->value, "100-continue") == 0) {
		in->expects_continue = true;
	}
	in->in_value = false;
	in->field_len = 0;
	in->value_len = 0;
	in->line_len = 0;
	in->field[0] = '\0';
	in->value[0] = '\0';
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
	struct http_in *in = parser->data;

	if (in->in_value) {
		end_of_header(in);
	}
	in->field_len = keep(in->field, sizeof(in->field), in->field_len, at, len);
	return count_line(in, len);
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
	struct http_in *in = parser->data;

	in->in_value = true;
	in->value_len = keep(in->value, sizeof(in->value), in->value_len, at, len);
	if (strcasecmp(in->field, "transfer-encoding") == 0) {
		return bad(in, 400, "Transfer-Encoding is not supported: send Content-Length");
	}
	return count_line(in, len);
}

static int on_headers(http_parser *parser)
{
	struct http_in *in = parser->data;

	if (in->in_value) {
		end_of_header(in);
	}
	/* All ones: there was no Content-Length. */
	if (parser->content_length == UINT64_MAX || parser->content_length == 0) {
		in->expects_continue = false;
		return 0;
	}
	if (parser->content_length > HTTP_BODY_MAX) {
		return bad(in, 413, "the body is longer than 4 MiB");
	}
	in->body_size = (size_t)parser->content_length;
	in->request.body = malloc(in->body_size);
	return in->request.body ? 0 : bad(in, 500, "out of memory");
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct http_in *in = parser->data;

	in->expects_continue = false;
	if (len > in->body_size - in->request.body_len) {
		return bad(in, 400, "the body is longer than Content-Length");
	}
	memcpy(in->request.body + in->request.body_len, at, len);
	in->request.body_len += len;
	return 0;
}

static int on_complete(http_parser *parser)
{
	struct http_in *in = parser->data;

	in->state = HTTP_COMPLETE;
	in->request.keep_alive = http_should_keep_alive(parser) != 0;
	if (parser->method == HTTP_GET) {
		in->request.method = HTTP_METHOD_GET;
	} else if (parser->method == HTTP_PUT) {
		in->request.method = HTTP_METHOD_PUT;
	} else {
		in->request.method = HTTP_METHOD_OTHER;
	}
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

void http_in_init(struct http_in *in)
{
	memset(in, 0, sizeof(*in));
	http_parser_init(&in->parser, HTTP_REQUEST);
	in->parser.data = in;
}

void http_in_finish(struct http_in *in)
{
	size_t i;

	for (i = 0; i < in->request.fd_count; i++) {
		if (in->request.fds[i] >= 0) {
			close(in->request.fds[i]);
		}
	}
	free(in->request.body);
	in->request.body = NULL;
	in->request.fd_count = 0;
}

void http_in_next(struct http_in *in)
{
	http_in_finish(in);
	http_in_init(in);
}

enum http_state http_in_feed(struct http_in *in, const char *data, size_t len, size_t *used)
{
	*used = 0;
	if (in->state != HTTP_NEED_MORE) {
		return in->state;
	}
	*used = http_parser_execute(&in->parser, &settings, data, len);
	if (in->state == HTTP_NEED_MORE && HTTP_PARSER_ERRNO(&in->parser) != HPE_OK) {
		(void)bad(in, 400, "this is not a valid HTTP request");
	}
	/* A request line without an end never reaches the callbacks that count. */
	if (in->state == HTTP_NEED_MORE && in->path_len == 0) {
		in->line_len += *used;
		if (in->line_len > HTTP_LINE_MAX) {
			(void)bad(in, 400, "the request line is too long");
		}
	}
	return in->state;
}

int http_in_add_fd(struct http_in *in, int fd)
{
	if (in->request.fd_count == HTTP_FDS_MAX) {
		close(fd);
		return -E2BIG;
	}
	in->request.fds[in->request.fd_count++] = fd;
	return 0;
}

/*
 * No reason phrase, this set of headers, this order and this casing: ch-remote searches for the
 * literal "Content-Length: ", and libvirt reads a reply with one recv.
 */
#define STATUS_LINE "HTTP/1.1 %d \r\nServer: Cloud Hypervisor API\r\nConnection: %s\r\n"

const char *http_continue(void)
{
	return "HTTP/1.1 100 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n\r\n";
}

int http_reply(char **out, size_t *len, int code, const char *body, bool keep_alive)
{
	const char *connection = keep_alive ? "keep-alive" : "close";
	int n;

	if (body) {
		n = asprintf(out,
			     STATUS_LINE "Content-Type: application/json\r\n"
					 "Content-Length: %zu\r\n\r\n%s",
			     code, connection, strlen(body), body);
	} else {
		n = asprintf(out, STATUS_LINE "\r\n", code, connection);
	}
	if (n < 0) {
		*out = NULL;
		return -ENOMEM;
	}
	*len = (size_t)n;
	return 0;
}
