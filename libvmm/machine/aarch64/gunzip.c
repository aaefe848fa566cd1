/* SPDX-License-Identifier: MIT */
/* Kernels compressed by gzip, unpacked by zlib, in memory that is taken once: a VM that reboots in
 * a jail can allocate none. */
#include "machine/aarch64/arm.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

/* zlib takes about 7 KiB for its state and 32 KiB for its window. */
#define ARENA_SIZE  (UINT64_C(56) << 10)
#define INPUT_SIZE  (UINT64_C(16) << 10)
#define ARENA_ALIGN 16u
#define GZIP_WINDOW (15 + 16) /* a gzip header and no other */

struct arm_gunzip {
	size_t used;
	_Alignas(ARENA_ALIGN) uint8_t arena[ARENA_SIZE];
	uint8_t input[INPUT_SIZE];
};

struct arm_gunzip *vmm_arm_gunzip_create(void)
{
	return malloc(sizeof(struct arm_gunzip));
}

void vmm_arm_gunzip_destroy(struct arm_gunzip *gunzip)
{
	free(gunzip);
}

static voidpf take(voidpf opaque, uInt items, uInt size)
{
	struct arm_gunzip *g = opaque;
	uint64_t len = ((uint64_t)items * size + ARENA_ALIGN - 1) & ~(uint64_t)(ARENA_ALIGN - 1);
	void *at = g->arena + g->used;

	if (len > ARENA_SIZE - g->used) {
		return Z_NULL;
	}
	g->used += len;
	return at;
}

static void give_back(voidpf opaque, voidpf at)
{
	/* All of it is given back when the next use begins. */
	(void)opaque;
	(void)at;
}

static int refill(struct arm_gunzip *g, z_stream *z, const struct vmm_image *image, uint64_t *at)
{
	uint64_t left = image->size - *at;
	size_t len = left < INPUT_SIZE ? (size_t)left : (size_t)INPUT_SIZE;
	int ret = len > 0 ? image->read(image->ctx, *at, g->input, len) : -EBADMSG;

	if (ret == 0) {
		*at += len;
		z->next_in = g->input;
		z->avail_in = (uInt)len;
	}
	return ret;
}

/*
 * Where one member of the file ends another may begin (RFC 1952, 2.2); else what follows is none of
 * ours. 1: there is one, which comes next.
 */
static int next_member(z_stream *z, const struct vmm_image *image, uint64_t *at)
{
	uint64_t next = *at - z->avail_in;
	uint8_t start[2];
	int ret;

	if (image->size - next < sizeof(start)) {
		return 0;
	}
	ret = image->read(image->ctx, next, start, sizeof(start));
	if (ret < 0 || start[0] != 0x1f || start[1] != 0x8b) {
		return ret;
	}
	z->avail_in = 0;
	*at = next;
	return inflateReset(z) == Z_OK ? 1 : -EBADMSG;
}

/* Unpacks as much as there is input for, or room. 1: it is to be called again. */
static int step(struct arm_gunzip *g, z_stream *z, const struct vmm_image *image, uint64_t *at)
{
	int ret = z->avail_in == 0 ? refill(g, z, image, at) : 0;

	if (ret < 0) {
		return ret;
	}
	switch (inflate(z, Z_NO_FLUSH)) {
	case Z_OK:
		return 1;
	case Z_BUF_ERROR:
		return z->avail_in > 0 ? -ENOSPC : 1;
	case Z_STREAM_END:
		return next_member(z, image, at);
	default:
		return -EBADMSG;
	}
}

int vmm_arm_gunzip(struct arm_gunzip *g, const struct vmm_image *image, void *out, size_t cap,
		   bool all, size_t *len)
{
	z_stream z = {.zalloc = take, .zfree = give_back, .opaque = g};
	uint64_t at = 0;
	int ret = 1;

	g->used = 0;
	if (cap > UINT32_MAX || inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
		return -ENOMEM;
	}
	z.next_out = out;
	z.avail_out = (uInt)cap;
	while (ret > 0 && (all || z.avail_out > 0)) {
		ret = step(g, &z, image, &at);
	}
	*len = cap - z.avail_out;
	(void)inflateEnd(&z);
	return ret < 0 ? ret : 0;
}
