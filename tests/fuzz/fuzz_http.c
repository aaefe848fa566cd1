/* SPDX-License-Identifier: MIT */
/*
 * The HTTP parser over any bytes, cut into pieces of any size: the first byte of the input is the
 * size. However they are cut, the same requests come out.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What one pass over the input saw, in so far as it must not depend on the cuts. */
struct seen {
	unsigned requests;
	uint64_t digest;
	int error_code;
	int at_limit;
};

static void note(struct seen *seen, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	/* FNV-1a */
	while (len-- > 0) {
		seen->digest = (seen->digest ^ *b++) * UINT64_C(0x100000001b3);
	}
}

static void require(int condition)
{
	if (!condition) {
		abort();
	}
}

static void take(struct http_in *in, struct seen *seen)
{
	const struct http_request *request = &in->request;

	require(memchr(request->path, 0, sizeof(request->path)) != NULL);
	require(request->body_len <= HTTP_BODY_MAX);
	require(request->body_len == 0 || request->body != NULL);
	seen->requests++;
	note(seen, request->path, strlen(request->path));
	note(seen, request->body, request->body_len);
	note(seen, &request->method, sizeof(request->method));
	http_in_next(in);
}

static struct seen pass(const char *text, size_t len, size_t step)
{
	struct seen seen = {.digest = UINT64_C(0xcbf29ce484222325)};
	struct http_in in;

	http_in_init(&in);
	while (len > 0) {
		size_t piece = step < len ? step : len;
		size_t used = 0;
		enum http_state state = http_in_feed(&in, text, piece, &used);

		require(used <= piece);
		if (state == HTTP_BAD) {
			require(in.error_text != NULL && in.error_code >= 400);
			seen.error_code = in.error_code;
			seen.at_limit = strcmp(in.error_text, "a header is too long") == 0;
			break;
		}
		if (state == HTTP_COMPLETE) {
			take(&in, &seen);
		} else {
			require(used == piece);
		}
		text += used;
		len -= used;
	}
	http_in_finish(&in);
	return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole;
	struct seen cut;

	if (size < 2) {
		return 0;
	}
	whole = pass((const char *)data + 1, size - 1, size);
	cut = pass((const char *)data + 1, size - 1, (size_t)data[0] + 1);
	require(whole.requests == cut.requests && whole.digest == cut.digest);
	require((whole.error_code != 0) == (cut.error_code != 0));
	return 0;
}
