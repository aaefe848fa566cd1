/* SPDX-License-Identifier: MIT */
/* Shadows of wl_shm buffers: what is copied, and when. */
#include "suite.h"

#include <stdlib.h>
#include <string.h>

#include "test_wlxd_shadow_fix.h"

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

int main(void)
{
	const struct suite_test tests[] = {
		{first_commit_copies_all, 1},
		{later_commits_copy_the_damage_and_nothing_else, 1},
		{a_commit_without_attach_copies_the_damage_of_the_buffer_that_is_there, 1},
		{damage_goes_to_every_buffer_of_the_surface, 1},
		{damage_beyond_everything_is_cut, 1},
		{all_is_copied_when_the_damage_says_nothing_of_pixels, 4},
		{damage_of_a_scaled_surface_is_scaled, 1},
		{damage_in_pixels_of_the_buffer_needs_no_scale_nor_orientation, 1},
		{a_buffer_that_wanders_is_copied_as_a_whole, 1},
		{a_buffer_that_goes_is_in_no_surface, 1},
		{a_format_that_is_not_known_is_copied_to_the_end_of_the_pool, 1},
		{pixels_of_two_bytes_are_two_bytes, 1},
		{what_is_shown_is_what_was_drawn, 10},
	};
	Suite *suite = suite_create("wlxd_shadow");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, shadow_setup, shadow_teardown);
	}
	return suite_finish(suite);
}
