/* SPDX-License-Identifier: MIT */
/* A client with one pool and one surface, their shadows, and a host that is memory of the test's
 * own. */
#ifndef TESTS_WLXD_SHADOW_FIX_H
#define TESTS_WLXD_SHADOW_FIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shadow.h"

#define WIDTH  2048 /* so wide that a part of a row is not read as a whole row */
#define HEIGHT 16
#define STRIDE (WIDTH * 4)
#define SIZE   (STRIDE * HEIGHT)
#define POOL   (4 * SIZE)

#define FORMAT_XRGB   1u
#define FORMAT_RG16   UINT32_C(0x36314752)
#define FORMAT_YUV420 UINT32_C(0x32315559)

struct shadow_fake {
	struct host_conn conn;
	unsigned blobs;
	uint64_t bytes;
	int fail; /* errno of the next blob_create */
};

extern struct shadow_fake fake;
extern struct shadow shadow;
extern struct shadow_pool *pool; /* NULL: the test has destroyed it */
extern struct shadow_surface *surface;
extern uint8_t *client; /* its own view of the pool */

void shadow_setup(void);
void shadow_teardown(void);

int new_file(size_t size);
/* The pool's n-th quarter. */
struct shadow_shape shape(unsigned n);

/* A buffer there, and the shadow it has. */
struct buffer {
	struct shadow_buffer *buffer;
	const uint8_t *shadow;
	uint8_t *client;
};

struct buffer make(unsigned n);
/* Attached and committed. */
void show(const struct buffer *b);
/* make and show */
struct buffer shown(unsigned n);
bool equal(const struct buffer *b);
/* How many bytes a commit of b copies. */
uint64_t cost(const struct buffer *b);
void draw(const struct buffer *b, unsigned x, unsigned y, unsigned w, unsigned h, int value);

#endif
