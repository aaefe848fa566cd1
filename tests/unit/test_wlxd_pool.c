/* SPDX-License-Identifier: MIT */
/* Pools of shadows: what they lie in, what may be used again, and what is refused. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "test_wlxd_shadow_fix.h"

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

int main(void)
{
	const struct suite_test tests[] = {
		{a_pool_costs_what_its_buffers_do, 1},
		{each_buffer_has_memory_of_its_own, 1},
		{memory_is_used_again_once_the_compositor_has_released_it, 1},
		{memory_that_the_compositor_shows_is_not_used_again, 1},
		{memory_that_is_too_small_is_not_used_again, 1},
		{shapes_that_are_wrong_are_refused, 1},
		{a_pool_that_has_grown_has_room, 1},
		{of_a_file_that_is_too_short_zeroes_are_shown, 1},
		{only_files_are_pools, 1},
		{a_host_without_memory_is_told_of, 1},
	};
	Suite *suite = suite_create("wlxd_pool");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, shadow_setup, shadow_teardown);
	}
	return suite_finish(suite);
}
