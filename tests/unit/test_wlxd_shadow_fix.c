/* SPDX-License-Identifier: MIT */
#include "test_wlxd_shadow_fix.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fdcount.h"

/* ---- a host of memory on the heap ---- */

struct shadow_fake fake;

static int fake_blob_create(struct host_conn *conn, uint64_t size, struct host_blob *blob)
{
	(void)conn;
	if (fake.fail) {
		return -fake.fail;
	}
	*blob = (struct host_blob){.map = calloc(1, size), .size = size};
	fake.blobs++;
	fake.bytes += size;
	return 0;
}

static void fake_blob_destroy(struct host_conn *conn, struct host_blob *blob)
{
	(void)conn;
	free(blob->map);
	fake.blobs--;
	fake.bytes -= blob->size;
}

static const struct host_ops fake_ops = {
	.blob_create = fake_blob_create,
	.blob_destroy = fake_blob_destroy,
};

/* ---- a client with one pool ---- */

struct shadow shadow;
struct shadow_pool *pool;
struct shadow_surface *surface;
uint8_t *client;
static unsigned fds;

int new_file(size_t size)
{
	int fd = memfd_create("client", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

void shadow_setup(void)
{
	int fd;

	fds = fdcount();
	memset(&fake, 0, sizeof(fake));
	fake.conn.ops = &fake_ops;
	shadow = (struct shadow){.host = &fake.conn};
	fd = new_file(POOL);
	client = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pool = shadow_pool_create(&shadow, fd, POOL);
	surface = shadow_surface_create(&shadow);
	ck_assert_ptr_nonnull(pool);
}

void shadow_teardown(void)
{
	if (surface) {
		shadow_surface_destroy(surface);
	}
	if (pool) {
		shadow_pool_destroy(pool);
	}
	shadow_finish(&shadow);
	munmap(client, POOL);
	ck_assert_uint_eq(fake.blobs, 0);
	ck_assert_uint_eq(fdcount(), fds);
}

struct shadow_shape shape(unsigned n)
{
	return (struct shadow_shape){.offset = (int32_t)(n * SIZE),
				     .width = WIDTH,
				     .height = HEIGHT,
				     .stride = STRIDE,
				     .format = FORMAT_XRGB};
}

struct buffer make(unsigned n)
{
	struct shadow_shape s = shape(n);
	struct buffer b = {.client = client + (size_t)n * SIZE};
	bool moved;

	b.buffer = shadow_buffer_create(pool, &s, &moved);
	ck_assert_ptr_nonnull(b.buffer);
	b.shadow = shadow_pool_blob(pool)->map;
	return b;
}

void show(const struct buffer *b)
{
	shadow_attach(surface, b->buffer, 0, 0);
	shadow_commit(surface);
}

bool equal(const struct buffer *b)
{
	return memcmp(b->shadow, b->client, SIZE) == 0;
}

uint64_t cost(const struct buffer *b)
{
	uint64_t before = shadow.copied;

	show(b);
	return shadow.copied - before;
}

struct buffer shown(unsigned n)
{
	struct buffer b = make(n);

	show(&b);
	return b;
}

void draw(const struct buffer *b, unsigned x, unsigned y, unsigned w, unsigned h, int value)
{
	for (unsigned row = y; row < y + h; row++) {
		memset(b->client + row * STRIDE + x * 4, value, w * 4);
	}
}
