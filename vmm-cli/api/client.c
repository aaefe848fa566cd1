/* SPDX-License-Identifier: MIT */
#include "api/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <http_parser.h>

#define FDS_MAX         16
#define REPLY_MAX       ((size_t)4 << 20)
#define CALL_TIMEOUT_MS 60000

/* ---- connection ---- */

static int dial(const char *path, struct vmm_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		return vmm_error_set(err, -ENAMETOOLONG, "socket '%.150s': the path is too long",
				     path);
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return vmm_error_set(err, -errno, "socket: %s", strerror(errno));
	}
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = -errno;
		close(fd);
		return vmm_error_set(err, ret, "socket '%s': %s", path,
				     ret == -ECONNREFUSED ? "nobody answers (the VMM is gone)"
							  : strerror(-ret));
	}
	return fd;
}

static int wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	return n == 0 ? -ETIMEDOUT : 0;
}

/* One sendmsg; the descriptors travel with the first byte. */
static ssize_t send_some(int fd, const char *data, size_t len, const int *fds, size_t fd_count)
{
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	/* sendmsg does not write to it, but its type says so. */
	memcpy(&iov.iov_base, &data, sizeof(data));
	iov.iov_len = len;
	memset(&control, 0, sizeof(control));
	if (fd_count > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = (socklen_t)CMSG_SPACE(fd_count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = (socklen_t)CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_all(int fd, const char *data, size_t len, const int *fds, size_t fd_count,
		    int timeout_ms)
{
	while (len > 0) {
		ssize_t n = send_some(fd, data, len, fds, fd_count);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			int ret = wait_for(fd, POLLOUT, timeout_ms);

			if (ret < 0) {
				return ret;
			}
			continue;
		}
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		data += n;
		len -= (size_t)n;
		fd_count = 0;
	}
	return 0;
}

/* ---- reply ---- */

struct reply_in {
	struct api_response *out;
	bool complete;
};

static int on_body(http_parser *parser, const char *at, size_t len)
{
	struct api_response *out = ((struct reply_in *)parser->data)->out;
	char *grown;

	if (len > REPLY_MAX - out->body_len) {
		return 1;
	}
	grown = realloc(out->body, out->body_len + len + 1);
	if (!grown) {
		return 1;
	}
	memcpy(grown + out->body_len, at, len);
	out->body = grown;
	out->body_len += len;
	grown[out->body_len] = '\0';
	return 0;
}

/*
 * A reply without Content-Length has no body here, where HTTP would have it last until the
 * connection ends.
 */
static int on_headers(http_parser *parser)
{
	return parser->content_length == UINT64_MAX ? 1 : 0;
}

static int on_complete(http_parser *parser)
{
	struct reply_in *in = parser->data;

	/* An interim reply (100 Continue) is followed by the real one. */
	if (parser->status_code >= 200) {
		in->out->code = (int)parser->status_code;
		in->complete = true;
	}
	return 0;
}

static int read_reply(int fd, int timeout_ms, struct api_response *out)
{
	static const http_parser_settings settings = {
		.on_headers_complete = on_headers,
		.on_body = on_body,
		.on_message_complete = on_complete,
	};
	struct reply_in in = {out, false};
	http_parser parser;
	char buf[4096];

	http_parser_init(&parser, HTTP_RESPONSE);
	parser.data = &in;
	while (!in.complete) {
		int ret = wait_for(fd, POLLIN, timeout_ms);
		ssize_t n;

		if (ret < 0) {
			return ret;
		}
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? -errno : -ECONNRESET;
		}
		(void)http_parser_execute(&parser, &settings, buf, (size_t)n);
		if (!in.complete && HTTP_PARSER_ERRNO(&parser) != HPE_OK) {
			return -EPROTO;
		}
	}
	return 0;
}

int api_request(const char *path, const char *method, const char *endpoint, const char *body,
		const int *fds, size_t fd_count, int timeout_ms, struct api_response *out,
		struct vmm_error *err)
{
	char *text = NULL;
	int len;
	int ret;
	int fd;

	memset(out, 0, sizeof(*out));
	if (fd_count > FDS_MAX) {
		return vmm_error_set(err, -EINVAL, "at most %d descriptors can be sent", FDS_MAX);
	}
	if (body) {
		len = asprintf(&text,
			       "%s /api/v1/%s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
			       "Content-Length: %zu\r\n\r\n%s",
			       method, endpoint, strlen(body), body);
	} else {
		len = asprintf(&text,
			       "%s /api/v1/%s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
			       method, endpoint);
	}
	if (len < 0) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	fd = dial(path, err);
	if (fd < 0) {
		free(text);
		return fd;
	}
	ret = send_all(fd, text, (size_t)len, fds, fd_count, timeout_ms);
	if (ret == 0 || ret == -EPIPE) {
		/* A server may refuse without reading all; its reason is still there. */
		ret = read_reply(fd, timeout_ms, out);
	}
	close(fd);
	free(text);
	if (ret < 0) {
		api_response_finish(out);
		return vmm_error_set(err, ret, "%s on '%s': %s", endpoint, path, strerror(-ret));
	}
	return 0;
}

void api_response_finish(struct api_response *response)
{
	free(response->body);
	memset(response, 0, sizeof(*response));
}

/* ---- with JSON on both sides ---- */

/* The VMM's own words: an array of strings, the outermost first. */
static int remote_error(const struct api_response *response, const char *endpoint,
			struct vmm_error *err)
{
	json_t *list = response->body ? json_loads(response->body, 0, NULL) : NULL;
	char text[VMM_ERROR_MESSAGE_MAX] = "";
	size_t used = 0;
	size_t i;

	for (i = 0; i < json_array_size(list) && used < sizeof(text); i++) {
		const char *part = json_string_value(json_array_get(list, i));
		int n = snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? ": " : "",
				 part ? part : "?");

		used += n > 0 ? (size_t)n : 0;
	}
	json_decref(list);
	if (used == 0) {
		return vmm_error_set(err, -EREMOTEIO, "%s: the VMM answered with code %d", endpoint,
				     response->code);
	}
	return vmm_error_set(err, -EREMOTEIO, "%s", text);
}

int api_call(const char *path, const char *method, const char *endpoint, const json_t *body,
	     const int *fds, size_t fd_count, json_t **out, struct vmm_error *err)
{
	struct api_response response;
	char *text = NULL;
	int ret;

	if (out) {
		*out = NULL;
	}
	if (body) {
		text = json_dumps(body, JSON_COMPACT);
		if (!text) {
			return vmm_error_set(err, -ENOMEM, "out of memory");
		}
	}
	ret = api_request(path, method, endpoint, text, fds, fd_count, CALL_TIMEOUT_MS, &response,
			  err);
	free(text);
	if (ret < 0) {
		return ret;
	}
	if (response.code != 200 && response.code != 204) {
		ret = remote_error(&response, endpoint, err);
	} else if (out && response.body) {
		*out = json_loadb(response.body, response.body_len, 0, NULL);
		ret = *out ? 0 : vmm_error_set(err, -EPROTO, "%s: the reply is no JSON", endpoint);
	}
	api_response_finish(&response);
	return ret;
}
