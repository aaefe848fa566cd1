/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/http.h"

static struct http_in in;

/* Feeds all of text in pieces of step bytes; the state after the last. */
static enum http_state feed(const char *text, size_t len, size_t step)
{
	enum http_state state = HTTP_NEED_MORE;
	size_t used;

	while (len > 0 && state == HTTP_NEED_MORE) {
		size_t piece = step < len ? step : len;

		state = http_in_feed(&in, text, piece, &used);
		ck_assert(state != HTTP_NEED_MORE || used == piece);
		text += piece;
		len -= piece;
	}
	return state;
}

static enum http_state feed_all(const char *text)
{
	http_in_init(&in);
	return feed(text, strlen(text), strlen(text));
}

static const char create[] = "PUT /api/v1/vm.create HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
			     "Content-Length: 6\r\n\r\n{\"a\":1";

START_TEST(http_request_split_anywhere_is_the_same)
{
	for (size_t step = 1; step <= sizeof(create); step++) {
		http_in_init(&in);
		ck_assert_int_eq(feed(create, sizeof(create) - 1, step), HTTP_COMPLETE);
		ck_assert_int_eq(in.request.method, HTTP_METHOD_PUT);
		ck_assert_str_eq(in.request.path, "/api/v1/vm.create");
		ck_assert_uint_eq(in.request.body_len, 6);
		ck_assert_mem_eq(in.request.body, "{\"a\":1", 6);
		ck_assert(in.request.keep_alive);
		http_in_finish(&in);
	}
}
END_TEST

START_TEST(http_bytes_after_a_request_are_left)
{
	static const char two[] = "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
	size_t used = 0;

	http_in_init(&in);
	ck_assert_int_eq(http_in_feed(&in, two, sizeof(two) - 1, &used), HTTP_COMPLETE);
	ck_assert_uint_eq(used, 19);
	ck_assert_str_eq(in.request.path, "/a");
	http_in_next(&in);
	ck_assert_int_eq(http_in_feed(&in, two + used, sizeof(two) - 1 - used, &used),
			 HTTP_COMPLETE);
	ck_assert_str_eq(in.request.path, "/b");
	http_in_finish(&in);
}
END_TEST

START_TEST(http_content_length_zero_is_no_body)
{
	ck_assert_int_eq(feed_all("PUT /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), HTTP_COMPLETE);
	ck_assert_uint_eq(in.request.body_len, 0);
	ck_assert_ptr_null(in.request.body);
	http_in_finish(&in);
}
END_TEST

START_TEST(http_header_names_match_in_any_case)
{
	ck_assert_int_eq(feed_all("PUT /x HTTP/1.1\r\ncOnTeNt-LeNgTh: 2\r\n\r\nab"), HTTP_COMPLETE);
	ck_assert_uint_eq(in.request.body_len, 2);
	http_in_finish(&in);
	ck_assert_int_eq(feed_all("PUT /x HTTP/1.1\r\nCONTENT-LENGTH: 2\r\nEXPECT: 100-Continue\r\n"
				  "\r\n"),
			 HTTP_NEED_MORE);
	ck_assert(in.expects_continue);
	http_in_finish(&in);
}
END_TEST

START_TEST(http_expect_without_body_is_ignored)
{
	ck_assert_int_eq(feed_all("PUT /x HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"),
			 HTTP_COMPLETE);
	ck_assert(!in.expects_continue);
	http_in_finish(&in);
}
END_TEST

START_TEST(http_connection_close_is_seen)
{
	ck_assert_int_eq(feed_all("GET /x HTTP/1.1\r\nConnection: close\r\n\r\n"), HTTP_COMPLETE);
	ck_assert(!in.request.keep_alive);
	http_in_finish(&in);
	ck_assert_int_eq(feed_all("GET /x HTTP/1.0\r\n\r\n"), HTTP_COMPLETE);
	ck_assert(!in.request.keep_alive);
	http_in_finish(&in);
}
END_TEST

START_TEST(http_garbage_is_bad)
{
	static const char *const texts[] = {
		"garbage\r\n\r\n",
		"\x16\x03\x01",
		"PUT  HTTP/1.1\r\n\r\n",
		"PUT /x HTTP/1.1\r\nContent-Length: x\r\n\r\n",
		"PUT /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"PUT /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"PUT /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"PUT /x HTTP/1.1\r\ntransfer-ENCODING: identity\r\n\r\n",
		"PUT /x HTTP/1.1\r\nno colon\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_msg(feed_all(texts[i]) == HTTP_BAD, "taken: %s", texts[i]);
		ck_assert_int_eq(in.error_code, 400);
		ck_assert_ptr_nonnull(in.error_text);
		http_in_finish(&in);
	}
}
END_TEST

START_TEST(http_body_limit_is_exact)
{
	char head[128];

	(void)snprintf(head, sizeof(head), "PUT /x HTTP/1.1\r\nContent-Length: %zu\r\n\r\n",
		       HTTP_BODY_MAX);
	ck_assert_int_eq(feed_all(head), HTTP_NEED_MORE);
	http_in_finish(&in);
	(void)snprintf(head, sizeof(head), "PUT /x HTTP/1.1\r\nContent-Length: %zu\r\n\r\n",
		       HTTP_BODY_MAX + 1);
	ck_assert_int_eq(feed_all(head), HTTP_BAD);
	ck_assert_int_eq(in.error_code, 413);
	http_in_finish(&in);
}
END_TEST

/* An endless line of any kind is refused soon after the limit, however it is cut up. */
static void endless(const char *start)
{
	static char fill[100];
	size_t sent = 0;
	size_t used;

	memset(fill, 'a', sizeof(fill));
	ck_assert_int_eq(feed_all(start), HTTP_NEED_MORE);
	while (http_in_feed(&in, fill, sizeof(fill), &used) == HTTP_NEED_MORE) {
		sent += sizeof(fill);
		ck_assert_uint_le(sent, HTTP_LINE_MAX + sizeof(fill));
	}
	ck_assert_int_eq(in.state, HTTP_BAD);
	ck_assert_int_eq(in.error_code, 400);
	http_in_finish(&in);
}

START_TEST(http_endless_lines_are_bad)
{
	endless("GET /");
	endless("GET /x HTTP/1.1\r\nX");
	endless("GET /x HTTP/1.1\r\nX: ");
}
END_TEST

START_TEST(http_endless_headers_are_bad)
{
	static const char header[] = "X-Header-Of-Some-Length: some value of some length\r\n";
	size_t sent = 0;
	size_t used;

	ck_assert_int_eq(feed_all("GET /x HTTP/1.1\r\n"), HTTP_NEED_MORE);
	while (http_in_feed(&in, header, sizeof(header) - 1, &used) == HTTP_NEED_MORE) {
		sent += used;
		ck_assert_uint_lt(sent, 1u << 20);
	}
	ck_assert_int_eq(in.state, HTTP_BAD);
	http_in_finish(&in);
}
END_TEST

START_TEST(http_leading_newlines_are_bounded)
{
	size_t sent = 0;
	size_t used;

	http_in_init(&in);
	while (http_in_feed(&in, "\r\n\r\n", 4, &used) == HTTP_NEED_MORE) {
		sent += 4;
		ck_assert_uint_lt(sent, 1u << 20);
	}
	http_in_finish(&in);
}
END_TEST

START_TEST(http_descriptors_nobody_takes_are_closed)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	http_in_init(&in);
	ck_assert_int_eq(http_in_add_fd(&in, fds[0]), 0);
	ck_assert_int_eq(http_in_add_fd(&in, fds[1]), 0);
	in.request.fds[1] = -1; /* taken */
	http_in_next(&in);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
	ck_assert_int_ne(fcntl(fds[1], F_GETFD), -1);
	close(fds[1]);
	ck_assert_uint_eq(in.request.fd_count, 0);
	http_in_finish(&in);
}
END_TEST

START_TEST(http_too_many_descriptors_are_refused)
{
	http_in_init(&in);
	for (int i = 0; i < HTTP_FDS_MAX; i++) {
		ck_assert_int_eq(http_in_add_fd(&in, dup(0)), 0);
	}
	ck_assert_int_eq(http_in_add_fd(&in, dup(0)), -E2BIG);
	http_in_finish(&in);
}
END_TEST

START_TEST(http_reply_is_byte_exact)
{
	char *text = NULL;
	size_t len = 0;

	ck_assert_int_eq(http_reply(&text, &len, 204, NULL, true), 0);
	ck_assert_str_eq(text, "HTTP/1.1 204 \r\nServer: Cloud Hypervisor API\r\n"
			       "Connection: keep-alive\r\n\r\n");
	ck_assert_uint_eq(len, strlen(text));
	free(text);
	ck_assert_int_eq(http_reply(&text, &len, 200, "{\"a\":1}", true), 0);
	ck_assert_str_eq(text, "HTTP/1.1 200 \r\nServer: Cloud Hypervisor API\r\n"
			       "Connection: keep-alive\r\nContent-Type: application/json\r\n"
			       "Content-Length: 7\r\n\r\n{\"a\":1}");
	free(text);
	ck_assert_int_eq(http_reply(&text, &len, 400, "[]", false), 0);
	ck_assert_ptr_nonnull(strstr(text, "Connection: close\r\n"));
	free(text);
}
END_TEST

SUITE_MAIN("http", http_request_split_anywhere_is_the_same, http_bytes_after_a_request_are_left,
	   http_content_length_zero_is_no_body, http_header_names_match_in_any_case,
	   http_expect_without_body_is_ignored, http_connection_close_is_seen, http_garbage_is_bad,
	   http_body_limit_is_exact, http_endless_lines_are_bad, http_endless_headers_are_bad,
	   http_leading_newlines_are_bounded, http_descriptors_nobody_takes_are_closed,
	   http_too_many_descriptors_are_refused, http_reply_is_byte_exact)
