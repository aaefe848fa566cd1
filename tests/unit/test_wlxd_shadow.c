/* SPDX-License-Identifier: MIT */
/* Shadows of wl_shm buffers: what is copied, when, and what of it may be used again. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fdcount.h"
#include "shadow.h"

/* ---- a host of memory on the heap ---- */

static struct {
	struct host_conn conn;
	unsigned blobs;
	uint64_t bytes;
	int fail; /* errno of the next blob_create */
} fake;

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

#define WIDTH  2048 /* so wide that a part of a row is not read as a whole row */
#define HEIGHT 16
#define STRIDE (WIDTH * 4)
#define SIZE   (STRIDE * HEIGHT)
#define POOL   (4 * SIZE)

#define FORMAT_XRGB   1u
#define FORMAT_RG16   UINT32_C(0x36314752)
#define FORMAT_YUV420 UINT32_C(0x32315559)

static struct shadow shadow;
static struct shadow_pool *pool;
static struct shadow_surface *surface;
static uint8_t *client; /* its own view of the pool */
static unsigned fds;

static int new_file(size_t size)
{
	int fd = memfd_create("client", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void setup(void)
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

static void teardown(void)
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

static struct shadow_shape shape(unsigned n)
{
	return (struct shadow_shape){.offset = (int32_t)(n * SIZE),
				     .width = WIDTH,
				     .height = HEIGHT,
				     .stride = STRIDE,
				     .format = FORMAT_XRGB};
}

/* A buffer of the pool, its n-th quarter, and the shadow it has. */
struct buffer {
	struct shadow_buffer *buffer;
	const uint8_t *shadow;
	uint8_t *client;
};

static struct buffer make(unsigned n)
{
	struct shadow_shape s = shape(n);
	struct buffer b = {.client = client + (size_t)n * SIZE};
	bool moved;

	b.buffer = shadow_buffer_create(pool, &s, &moved);
	ck_assert_ptr_nonnull(b.buffer);
	b.shadow = shadow_pool_blob(pool)->map;
	return b;
}

static void show(const struct buffer *b)
{
	shadow_attach(surface, b->buffer, 0, 0);
	shadow_commit(surface);
}

static bool equal(const struct buffer *b)
{
	return memcmp(b->shadow, b->client, SIZE) == 0;
}

/* How many bytes a commit of b copies. */
static uint64_t cost(const struct buffer *b)
{
	uint64_t before = shadow.copied;

	show(b);
	return shadow.copied - before;
}

/* A buffer that has been shown with all it has. */
static struct buffer shown(unsigned n)
{
	struct buffer b = make(n);

	show(&b);
	return b;
}

static void draw(const struct buffer *b, unsigned x, unsigned y, unsigned w, unsigned h, int value)
{
	for (unsigned row = y; row < y + h; row++) {
		memset(b->client + row * STRIDE + x * 4, value, w * 4);
	}
}

/* ---- what is copied ---- */

START_TEST(first_commit_copies_all)
{
	struct buffer b = make(1);

	draw(&b, 0, 0, WIDTH, HEIGHT, 7);
	ck_assert_uint_eq(cost(&b), SIZE);
	ck_assert(equal(&b));
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(later_commits_copy_the_damage_and_nothing_else)
{
	struct buffer b = shown(0);

	draw(&b, 100, 3, 10, 10, 1);
	draw(&b, 1000, 3, 1, 1, 2);
	shadow_damage_buffer(surface, 100, 3, 10, 10);
	ck_assert_uint_eq(cost(&b), 400);
	ck_assert(!equal(&b));
	shadow_damage(surface, 1000, 3, 1, 1);
	ck_assert_uint_eq(cost(&b), 4);
	ck_assert(equal(&b));
	ck_assert_uint_eq(cost(&b), 0);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(a_commit_without_attach_copies_the_damage_of_the_buffer_that_is_there)
{
	struct buffer b = shown(0);

	draw(&b, 0, 0, 5, 5, 1);
	shadow_damage(surface, 0, 0, 5, 5);
	shadow_commit(surface);
	ck_assert(equal(&b));
	shadow_buffer_destroy(b.buffer);
	/* And nothing when that has gone. */
	shadow_damage(surface, 0, 0, 5, 5);
	shadow_commit(surface);
}
END_TEST

START_TEST(damage_goes_to_every_buffer_of_the_surface)
{
	struct buffer a = shown(0);
	struct buffer b = shown(1);

	draw(&a, 3, 3, 4, 4, 9);
	shadow_damage(surface, 3, 3, 4, 4);
	show(&a);
	/* The other one is drawn as well, without a word about that place again. */
	draw(&b, 3, 3, 4, 4, 9);
	draw(&b, 50, 5, 1, 1, 8);
	shadow_damage(surface, 50, 5, 1, 1);
	ck_assert_uint_eq(cost(&b), 64 + 4);
	ck_assert(equal(&b));
	shadow_buffer_destroy(a.buffer);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(damage_beyond_everything_is_cut)
{
	static const int32_t rects[][4] = {
		{INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX},
		{INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX},
		{-5, -5, 5, 5},
		{5, 5, -5, -5},
		{0, 0, INT32_MIN, INT32_MIN},
		{WIDTH, 0, 1, 1},
		{0, HEIGHT, 1, 1},
	};
	struct buffer b = shown(0);

	for (size_t i = 0; i < sizeof(rects) / sizeof(rects[0]); i++) {
		const int32_t *r = rects[i];

		shadow_damage(surface, r[0], r[1], r[2], r[3]);
		shadow_damage_buffer(surface, r[0], r[1], r[2], r[3]);
		ck_assert_uint_eq(cost(&b), 0);
	}
	shadow_damage(surface, -1, -1, INT32_MAX, INT32_MAX);
	ck_assert_uint_eq(cost(&b), SIZE);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

static void by_transform(void)
{
	shadow_transform(surface, 1);
}

static void by_scale(void)
{
	shadow_scale(surface, 2);
}

static void by_attach(void)
{
	shadow_offset(surface, 1, 0);
}

static void by_viewport(void)
{
	shadow_viewport(surface);
}

START_TEST(all_is_copied_when_the_damage_says_nothing_of_pixels)
{
	static void (*const changes[])(void) = {by_transform, by_scale, by_attach, by_viewport};
	struct buffer b = shown(0);
	struct buffer other = shown(1);

	changes[_i]();
	shadow_damage(surface, 0, 0, 1, 1);
	ck_assert_uint_eq(cost(&b), SIZE);
	ck_assert_uint_eq(cost(&other), SIZE);
	shadow_buffer_destroy(b.buffer);
	shadow_buffer_destroy(other.buffer);
}
END_TEST

START_TEST(damage_of_a_scaled_surface_is_scaled)
{
	struct buffer b = make(0);

	shadow_scale(surface, 3);
	show(&b);
	draw(&b, 30, 3, 6, 6, 1);
	shadow_damage(surface, 10, 1, 2, 2);
	ck_assert_uint_eq(cost(&b), 6 * 6 * 4);
	ck_assert(equal(&b));
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(damage_in_pixels_of_the_buffer_needs_no_scale_nor_orientation)
{
	struct buffer b = make(0);

	shadow_scale(surface, 3);
	shadow_transform(surface, 5);
	shadow_viewport(surface);
	show(&b);
	shadow_damage_buffer(surface, 10, 1, 2, 2);
	ck_assert_uint_eq(cost(&b), 16);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(a_buffer_that_wanders_is_copied_as_a_whole)
{
	struct shadow_surface *first = surface;
	struct shadow_surface *second = shadow_surface_create(&shadow);
	struct buffer b = shown(0);

	surface = second;
	ck_assert_uint_eq(cost(&b), SIZE);
	surface = first;
	ck_assert_uint_eq(cost(&b), SIZE);
	ck_assert_uint_eq(cost(&b), 0);
	/* Also by way of a surface that is gone. */
	surface = second;
	show(&b);
	shadow_surface_destroy(second);
	surface = first;
	ck_assert_uint_eq(cost(&b), SIZE);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(a_buffer_that_goes_is_in_no_surface)
{
	struct shadow_surface *second = shadow_surface_create(&shadow);
	struct buffer b = shown(0);

	shadow_attach(surface, b.buffer, 0, 0);
	shadow_attach(second, b.buffer, 0, 0);
	shadow_buffer_destroy(b.buffer);
	shadow_commit(surface);
	shadow_commit(second);
	shadow_surface_destroy(second);
}
END_TEST

START_TEST(a_format_that_is_not_known_is_copied_to_the_end_of_the_pool)
{
	struct shadow_shape s = {.offset = 2 * SIZE,
				 .width = 64,
				 .height = 64,
				 .stride = 64,
				 .format = FORMAT_YUV420};
	struct buffer b = {.client = client + 2 * SIZE};
	bool moved;

	memset(client, 5, POOL);
	b.buffer = shadow_buffer_create(pool, &s, &moved);
	b.shadow = shadow_pool_blob(pool)->map;
	ck_assert_uint_eq(cost(&b), POOL - 2 * SIZE);
	ck_assert_int_eq(memcmp(b.shadow, b.client, POOL - 2 * SIZE), 0);
	shadow_damage(surface, 0, 0, 1, 1);
	ck_assert_uint_eq(cost(&b), POOL - 2 * SIZE);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(pixels_of_two_bytes_are_two_bytes)
{
	struct shadow_shape s = shape(0);
	struct buffer b = {.client = client};
	bool moved;

	s.format = FORMAT_RG16;
	b.buffer = shadow_buffer_create(pool, &s, &moved);
	b.shadow = shadow_pool_blob(pool)->map;
	show(&b);
	shadow_damage_buffer(surface, 8, 0, 4, 1);
	memset(client + 16, 3, 8);
	ck_assert_uint_eq(cost(&b), 8);
	ck_assert(equal(&b));
	shadow_buffer_destroy(b.buffer);
}
END_TEST

/*
 * A client with up to three buffers, two surfaces, damage here and there: whatever it shows is what
 * it drew. Each frame differs from the last one of its surface only where the damage says.
 */
START_TEST(what_is_shown_is_what_was_drawn)
{
	static uint8_t frames[2][SIZE];
	struct shadow_surface *surfaces[2] = {surface, shadow_surface_create(&shadow)};
	struct buffer buffers[3] = {make(0), make(1), make(2)};
	unsigned seed = (unsigned)_i;

	memset(frames, 0, sizeof(frames));
	for (unsigned round = 0; round < 400; round++) {
		unsigned which = (unsigned)rand_r(&seed) % 8 == 0;
		struct buffer *b = &buffers[rand_r(&seed) % 3];
		uint8_t *frame = frames[which];

		surface = surfaces[which];
		for (int n = rand_r(&seed) % 24; n > 0; n--) {
			unsigned x = (unsigned)rand_r(&seed) % WIDTH;
			unsigned y = (unsigned)rand_r(&seed) % HEIGHT;
			unsigned w = (unsigned)rand_r(&seed) % (WIDTH - x) + 1;
			unsigned h = (unsigned)rand_r(&seed) % (HEIGHT - y) + 1;

			for (unsigned row = y; row < y + h; row++) {
				memset(frame + row * STRIDE + x * 4, rand_r(&seed), w * 4);
			}
			(rand_r(&seed) % 2 ? shadow_damage : shadow_damage_buffer)(
				surface, (int)x, (int)y, (int)w, (int)h);
		}
		memcpy(b->client, frame, SIZE);
		show(b);
		SUITE_REQUIRE(memcmp(b->shadow, frame, SIZE) == 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		shadow_buffer_destroy(buffers[i].buffer);
	}
	shadow_surface_destroy(surfaces[1]);
	surface = surfaces[0];
}
END_TEST

/* ---- what it lies in ---- */

START_TEST(a_pool_costs_what_its_buffers_do)
{
	struct shadow_pool *large = shadow_pool_create(&shadow, new_file(1 << 29), 1 << 29);
	struct shadow_shape s = shape(0);
	struct shadow_buffer *b;
	bool moved;

	s.offset = 1 << 28;
	ck_assert_uint_eq(fake.bytes, 4096);
	b = shadow_buffer_create(large, &s, &moved);
	ck_assert_uint_lt(fake.bytes, 2 * SIZE);
	shadow_buffer_destroy(b);
	shadow_pool_destroy(large);
}
END_TEST

START_TEST(each_buffer_has_memory_of_its_own)
{
	struct buffer a = make(0);
	struct buffer b = make(0);

	ck_assert_ptr_ne(a.shadow, b.shadow);
	shadow_pool_destroy(pool);
	pool = NULL;
	draw(&a, 0, 0, 1, 1, 1);
	show(&a);
	show(&b);
	ck_assert(equal(&a) && equal(&b));
	shadow_buffer_destroy(a.buffer);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(memory_is_used_again_once_the_compositor_has_released_it)
{
	struct shadow_shape s = shape(1);
	struct buffer b = shown(0);
	bool moved;

	shadow_buffer_release(b.buffer);
	shadow_buffer_destroy(b.buffer);
	b.buffer = shadow_buffer_create(pool, &s, &moved);
	ck_assert(!moved);
	ck_assert_ptr_eq(shadow_pool_blob(pool)->map, b.shadow);
	/* Nobody has shown this one. */
	shadow_buffer_destroy(b.buffer);
	s.height = 1;
	b.buffer = shadow_buffer_create(pool, &s, &moved);
	ck_assert(!moved);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(memory_that_the_compositor_shows_is_not_used_again)
{
	struct shadow_shape s = shape(0);
	struct buffer b = shown(0);
	bool moved;

	shadow_buffer_destroy(b.buffer);
	b.buffer = shadow_buffer_create(pool, &s, &moved);
	ck_assert(moved);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(memory_that_is_too_small_is_not_used_again)
{
	struct shadow_shape s = shape(0);
	struct shadow_buffer *b;
	bool moved;

	s.height = 1;
	shadow_buffer_destroy(shadow_buffer_create(pool, &s, &moved));
	s.height = HEIGHT;
	b = shadow_buffer_create(pool, &s, &moved);
	ck_assert(moved);
	shadow_buffer_destroy(b);
}
END_TEST

START_TEST(shapes_that_are_wrong_are_refused)
{
	static const struct shadow_shape wrong[] = {
		{-1, WIDTH, HEIGHT, STRIDE, 1},
		{0, 0, HEIGHT, STRIDE, 1},
		{0, WIDTH, 0, STRIDE, 1},
		{0, -1, -1, -1, 1},
		{0, WIDTH, HEIGHT, 0, 1},
		{0, WIDTH, HEIGHT, STRIDE - 4, 1},
		{0, WIDTH, HEIGHT, INT32_MIN, 1},
		{POOL - SIZE + 1, WIDTH, HEIGHT, STRIDE, 1},
		{POOL, 1, 1, 4, 1},
		{INT32_MAX, 1, 1, 4, 1},
		{0, 1, INT32_MAX, INT32_MAX, 1},
		{0, 1, INT32_MAX, 4, 1},
		{0, INT32_MAX, 1, INT32_MAX, 1},
		{0, 16, 1, 15, FORMAT_YUV420},
	};
	bool moved;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		errno = 0;
		ck_assert_ptr_null(shadow_buffer_create(pool, &wrong[i], &moved));
		ck_assert_int_eq(errno, EINVAL);
		ck_assert(!moved);
	}
	ck_assert_uint_eq(fake.blobs, 1);
}
END_TEST

START_TEST(a_pool_that_has_grown_has_room)
{
	struct shadow_shape s = shape(4);
	struct buffer b;
	bool moved;

	ck_assert_ptr_null(shadow_buffer_create(pool, &s, &moved));
	shadow_pool_resize(pool, POOL + SIZE);
	b.buffer = shadow_buffer_create(pool, &s, &moved);
	ck_assert_ptr_nonnull(b.buffer);
	shadow_buffer_destroy(b.buffer);
}
END_TEST

START_TEST(of_a_file_that_is_too_short_zeroes_are_shown)
{
	int fd = new_file(SIZE / 2);
	struct shadow_pool *own = shadow_pool_create(&shadow, dup(fd), POOL);
	struct shadow_shape s = shape(0);
	struct buffer b;
	bool moved;

	ck_assert_int_eq(pwrite(fd, "abcd", 4, SIZE / 2 - 4), 4);
	b.buffer = shadow_buffer_create(own, &s, &moved);
	b.shadow = shadow_pool_blob(own)->map;
	show(&b);
	ck_assert_int_eq(memcmp(b.shadow + SIZE / 2 - 4, "abcd\0\0\0\0", 8), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	shadow_damage(surface, 0, 0, WIDTH, HEIGHT);
	show(&b);
	for (size_t i = 0; i < SIZE; i++) {
		SUITE_REQUIRE(b.shadow[i] == 0);
	}
	shadow_buffer_destroy(b.buffer);
	shadow_pool_destroy(own);
	close(fd);
}
END_TEST

START_TEST(only_files_are_pools)
{
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_ptr_null(shadow_pool_create(&shadow, pipes[0], 4096));
	ck_assert_int_eq(errno, EBADF);
	ck_assert_ptr_null(
		shadow_pool_create(&shadow, open("/dev/zero", O_RDWR | O_CLOEXEC), 4096));
	close(pipes[1]);
}
END_TEST

START_TEST(a_host_without_memory_is_told_of)
{
	struct shadow other = {.host = &fake.conn};
	struct shadow_shape s = shape(0);
	struct buffer b = make(0);
	bool moved;

	fake.fail = ENOSPC;
	ck_assert_ptr_null(shadow_pool_create(&other, new_file(1), 1));
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_ptr_null(shadow_buffer_create(pool, &s, &moved));
	ck_assert_int_eq(errno, ENOSPC);
	/* What there is goes on. */
	show(&b);
	ck_assert(equal(&b));
	shadow_buffer_destroy(b.buffer);
}
END_TEST

#define EACH(X)      \
	{            \
		X, 1 \
	}

int main(void)
{
	const struct suite_test tests[] = {
		EACH(first_commit_copies_all),
		EACH(later_commits_copy_the_damage_and_nothing_else),
		EACH(a_commit_without_attach_copies_the_damage_of_the_buffer_that_is_there),
		EACH(damage_goes_to_every_buffer_of_the_surface),
		EACH(damage_beyond_everything_is_cut),
		{all_is_copied_when_the_damage_says_nothing_of_pixels, 4},
		EACH(damage_of_a_scaled_surface_is_scaled),
		EACH(damage_in_pixels_of_the_buffer_needs_no_scale_nor_orientation),
		EACH(a_buffer_that_wanders_is_copied_as_a_whole),
		EACH(a_buffer_that_goes_is_in_no_surface),
		EACH(a_format_that_is_not_known_is_copied_to_the_end_of_the_pool),
		EACH(pixels_of_two_bytes_are_two_bytes),
		{what_is_shown_is_what_was_drawn, 10},
		EACH(a_pool_costs_what_its_buffers_do),
		EACH(each_buffer_has_memory_of_its_own),
		EACH(memory_is_used_again_once_the_compositor_has_released_it),
		EACH(memory_that_the_compositor_shows_is_not_used_again),
		EACH(memory_that_is_too_small_is_not_used_again),
		EACH(shapes_that_are_wrong_are_refused),
		EACH(a_pool_that_has_grown_has_room),
		EACH(of_a_file_that_is_too_short_zeroes_are_shown),
		EACH(only_files_are_pools),
		EACH(a_host_without_memory_is_told_of),
	};
	Suite *suite = suite_create("wlxd_shadow");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, setup, teardown);
	}
	return suite_finish(suite);
}
