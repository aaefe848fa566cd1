/* SPDX-License-Identifier: MIT */
/*
 * PNG (ISO 15948) with deflate's stored blocks (RFC 1951, section 3.2.4): each line of the image is
 * a block of its own.
 */
#include "png.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SIDE_MAX 21844u /* a line with its filter byte fits into a stored block */
#define ADLER    65521u

struct writer {
	FILE *out;
	uint32_t crc;
	uint32_t adler_low;
	uint32_t adler_high;
	bool failed;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < len; i++) {
		w->crc ^= byte[i];
		for (int bit = 0; bit < 8; bit++) {
			w->crc = w->crc >> 1 ^ (w->crc & 1 ? UINT32_C(0xedb88320) : 0);
		}
	}
	w->failed |= fwrite(bytes, 1, len, w->out) != len;
}

static void put_u32(struct writer *w, uint32_t value)
{
	value = htobe32(value);
	put(w, &value, sizeof(value));
}

/* Bytes of the image proper, as zlib sees them. */
static void put_image(struct writer *w, const void *bytes, size_t len)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < len; i++) {
		w->adler_low = (w->adler_low + byte[i]) % ADLER;
		w->adler_high = (w->adler_high + w->adler_low) % ADLER;
	}
	put(w, bytes, len);
}

static void begin_chunk(struct writer *w, const char *type, uint32_t len)
{
	put_u32(w, len);
	w->crc = UINT32_C(0xffffffff);
	put(w, type, 4);
}

static void end_chunk(struct writer *w)
{
	put_u32(w, ~w->crc);
}

static void put_line(struct writer *w, const uint8_t *rgb, uint16_t len, bool last)
{
	static const uint8_t no_filter = 0;
	const uint16_t size = (uint16_t)(len + 1);
	const uint16_t sizes[] = {htole16(size), htole16((uint16_t)~size)};
	const uint8_t final = last;

	put(w, &final, 1);
	put(w, sizes, sizeof(sizes));
	put_image(w, &no_filter, 1);
	put_image(w, rgb, len);
}

int png_write(FILE *out, const uint8_t *rgb, uint32_t width, uint32_t height)
{
	static const char signature[] = "\x89PNG\r\n\x1a\n";
	static const uint8_t rgb8[] = {8, 2, 0, 0, 0};
	static const uint8_t zlib[] = {0x78, 0x01};
	struct writer w = {.out = out, .adler_low = 1};
	const uint64_t size = ((uint64_t)width * 3 + 6) * height + sizeof(zlib) + 4;

	if (width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX ||
	    size > INT32_MAX) {
		return -EINVAL;
	}
	put(&w, signature, sizeof(signature) - 1);
	begin_chunk(&w, "IHDR", 13);
	put_u32(&w, width);
	put_u32(&w, height);
	put(&w, rgb8, sizeof(rgb8));
	end_chunk(&w);
	begin_chunk(&w, "IDAT", (uint32_t)size);
	put(&w, zlib, sizeof(zlib));
	for (uint32_t y = 0; y < height; y++) {
		put_line(&w, rgb + (size_t)y * width * 3, (uint16_t)(width * 3), y + 1 == height);
	}
	put_u32(&w, w.adler_high << 16 | w.adler_low);
	end_chunk(&w);
	begin_chunk(&w, "IEND", 0);
	end_chunk(&w);
	return w.failed || fflush(out) != 0 ? -EIO : 0;
}
