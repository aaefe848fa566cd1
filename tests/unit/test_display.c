/* SPDX-License-Identifier: MIT */
/* Displays: regions, the picture in a file. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "display/region.h"
#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"

/* ---- regions ---- */

#define GRID 32u

/* What a region says of a small field, and what was added to it, pixel by pixel. */
struct field {
	bool pixel[GRID][GRID];
};

static void mark(struct field *f, const struct vmm_display_rect *r)
{
	for (uint32_t y = r->y; y < r->y + r->height; y++) {
		for (uint32_t x = r->x; x < r->x + r->width; x++) {
			f->pixel[y][x] = true;
		}
	}
}

static struct vmm_display_rect random_rect(void)
{
	struct vmm_display_rect r = {.x = (uint32_t)rand() % GRID, .y = (uint32_t)rand() % GRID};

	r.width = (uint32_t)rand() % (GRID - r.x + 1);
	r.height = (uint32_t)rand() % (GRID - r.y + 1);
	if (rand() % 4 != 0) {
		r.width %= 4;
		r.height %= 4;
	}
	return r;
}

START_TEST(region_holds_at_least_what_was_added)
{
	srand(1);
	for (unsigned round = 0; round < 300; round++) {
		struct region r = {0};
		struct region part = {0};
		struct field added = {0};
		struct field held = {0};
		const struct vmm_display_rect clip = random_rect();

		for (unsigned i = 0; i < 40; i++) {
			struct vmm_display_rect rect = random_rect();

			vmm_region_add(&r, &rect);
			mark(&added, &rect);
			SUITE_REQUIRE(r.count <= REGION_RECTS_MAX);
		}
		vmm_region_add_clipped(&part, &r, &clip);
		for (unsigned i = 0; i < part.count; i++) {
			SUITE_REQUIRE(vmm_rect_contains(&clip, &part.rects[i]));
		}
		for (unsigned i = 0; i < r.count; i++) {
			mark(&held, &r.rects[i]);
		}
		for (unsigned i = 0; i < GRID * GRID; i++) {
			SUITE_REQUIRE(held.pixel[i / GRID][i % GRID] ||
				      !added.pixel[i / GRID][i % GRID]);
		}
	}
}
END_TEST

START_TEST(region_few_rects_are_held_exactly)
{
	const struct vmm_display_rect a = {0, 0, 10, 10};
	const struct vmm_display_rect inside = {2, 2, 3, 3};
	const struct vmm_display_rect b = {20, 20, 1, 1};
	const struct vmm_display_rect around = {0, 0, 30, 30};
	struct region r = {0};

	vmm_region_add(&r, &inside);
	vmm_region_add(&r, &a);
	vmm_region_add(&r, &inside);
	vmm_region_add(&r, &b);
	vmm_region_add(&r, &(struct vmm_display_rect){5, 5, 0, 7});
	ck_assert_uint_eq(r.count, 2);
	ck_assert_mem_eq(&r.rects[0], &a, sizeof(a));
	ck_assert_mem_eq(&r.rects[1], &b, sizeof(b));
	vmm_region_drop_inside(&r, &a);
	ck_assert_uint_eq(r.count, 1);
	vmm_region_drop_inside(&r, &around);
	ck_assert_uint_eq(r.count, 0);
}
END_TEST

START_TEST(region_intersections_do_not_wrap)
{
	const struct vmm_display_rect far = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	const struct vmm_display_rect small = {0, 0, 10, 10};
	struct vmm_display_rect out;

	ck_assert(!vmm_rect_intersect(&far, &small, &out));
	ck_assert(!vmm_rect_contains(&far, &small));
	ck_assert(vmm_rect_intersect(&far, &far, &out));
}
END_TEST

/* ---- the file ---- */

static uint32_t pixels[48 * 32];

static void copy(void *ctx, const struct vmm_display_rect *rect, void *dst, size_t stride)
{
	uint8_t *row = dst;

	(void)ctx;
	for (uint32_t y = rect->y; y < rect->y + rect->height; y++) {
		memcpy(row, &pixels[y * 48 + rect->x], rect->width * 4ul);
		row += stride;
	}
}

static const struct vmm_display_picture picture = {
	.width = 48, .height = 32, .format = VMM_DISPLAY_B8G8R8X8, .source = {.copy = copy}};

static struct vmm_loop *loop;
static struct vmm_display *display;
static int fd;

static void start(void)
{
	for (uint32_t i = 0; i < 48 * 32; i++) {
		pixels[i] = i * 3;
	}
	fd = memfd_create("picture", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	ck_assert_int_eq(vmm_display_file(&display, fd, NULL), 0);
	ck_assert_int_eq(vmm_display_start(display, loop, NULL, NULL), 0);
}

static void finish(void)
{
	vmm_display_stop(display);
	vmm_display_destroy(display);
	vmm_loop_destroy(loop);
	ck_assert_int_eq(close(fd), 0);
}

START_TEST(display_file_holds_the_picture)
{
	const struct vmm_display_rect all = {0, 0, 48, 32};
	const struct vmm_display_rect rects[] = {{1, 2, 3, 4}, {47, 31, 1, 1}};
	struct vmm_display_image image;

	start();
	ck_assert_int_eq(vmm_display_file_read(fd, &image, NULL), -ENODATA);
	ck_assert(vmm_display_present(display, 0, &all, 1));
	vmm_display_set(display, 0, &picture);
	ck_assert(vmm_display_present(display, 0, &all, 1));
	ck_assert_int_eq(vmm_display_file_read(fd, &image, NULL), 0);
	ck_assert_uint_eq(image.width, 48);
	ck_assert_uint_eq(image.height, 32);
	ck_assert_uint_eq(image.format, VMM_DISPLAY_B8G8R8X8);
	ck_assert_mem_eq(image.pixels, pixels, sizeof(pixels));
	free(image.pixels);
	/* Parts: what else has changed does not show. */
	memset(pixels, 0xaa, sizeof(pixels));
	ck_assert(vmm_display_present(display, 0, rects, 2));
	ck_assert_int_eq(vmm_display_file_read(fd, &image, NULL), 0);
	for (uint32_t i = 0; i < 48 * 32; i++) {
		uint32_t x = i % 48;
		uint32_t y = i / 48;
		bool changed = (x >= 1 && x < 4 && y >= 2 && y < 6) || (x == 47 && y == 31);
		uint32_t is;

		memcpy(&is, image.pixels + i * 4, 4);
		SUITE_REQUIRE(is == (changed ? 0xaaaaaaaa : i * 3));
	}
	free(image.pixels);
	/* Other screens do not exist here. */
	vmm_display_set(display, 1, &picture);
	ck_assert(vmm_display_present(display, 1, &all, 1));
	vmm_display_set(display, 16, &picture);
	vmm_display_set(display, 0, NULL);
	ck_assert_int_eq(vmm_display_file_read(fd, &image, NULL), -ENODATA);
	finish();
}
END_TEST

START_TEST(display_file_reader_believes_nothing)
{
	const struct vmm_display_file_header good = {.magic = VMM_DISPLAY_FILE_MAGIC,
						     .sequence = 2,
						     .width = 8,
						     .height = 8,
						     .stride = 32,
						     .format = VMM_DISPLAY_B8G8R8X8};
	struct {
		size_t field;
		uint32_t value;
		int ret;
	} bad[] = {
		{0, 1, -EINVAL},     {1, 3, -EAGAIN},          {2, 0, -ENODATA},
		{2, 9, -EINVAL},     {2, UINT32_MAX, -EINVAL}, {3, 0, -EINVAL},
		{3, 17000, -EINVAL}, {4, 31, -EINVAL},         {5, 0, -EINVAL},
	};
	struct vmm_display_image image;
	struct vmm_error err = {0};

	fd = memfd_create("picture", MFD_CLOEXEC);
	ck_assert_int_eq(vmm_display_file_read(fd, &image, &err), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint32_t words[6];

		memcpy(words, &good, sizeof(words));
		words[bad[i].field] = bad[i].value;
		ck_assert_int_eq(ftruncate(fd, VMM_DISPLAY_FILE_DATA + 256), 0);
		ck_assert_int_eq(pwrite(fd, words, sizeof(words), 0), sizeof(words));
		ck_assert_int_eq(vmm_display_file_read(fd, &image, &err), bad[i].ret);
		ck_assert_ptr_null(image.pixels);
		ck_assert_str_ne(err.message, "");
	}
	ck_assert_int_eq(pwrite(fd, &good, sizeof(good), 0), sizeof(good));
	ck_assert_int_eq(vmm_display_file_read(fd, &image, NULL), 0);
	free(image.pixels);
	/* A file that ends in the picture. */
	ck_assert_int_eq(ftruncate(fd, VMM_DISPLAY_FILE_DATA + 255), 0);
	ck_assert_int_eq(vmm_display_file_read(fd, &image, NULL), -EINVAL);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* ---- somebody writes while somebody reads ---- */

#define LARGE 512u

static uint32_t ink;

static void paint(void *ctx, const struct vmm_display_rect *rect, void *dst, size_t stride)
{
	(void)ctx;
	(void)rect;
	for (size_t i = 0; i < LARGE * stride / 4; i++) {
		memcpy((uint8_t *)dst + i * 4, &ink, 4);
	}
}

static void *write_on(void *stop)
{
	const struct vmm_display_rect everything = {0, 0, LARGE, LARGE};
	const struct timespec rest = {.tv_nsec = 500000};

	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED)) {
		ink++;
		(void)vmm_display_present(display, 0, &everything, 1);
		(void)nanosleep(&rest, NULL);
	}
	return NULL;
}

START_TEST(display_file_is_never_read_half_written)
{
	const struct vmm_display_picture p = {
		.width = LARGE, .height = LARGE, .format = 2, .source = {.copy = paint}};
	struct vmm_display_image image;
	bool stop = false;
	unsigned whole = 0;
	pthread_t writer;

	start();
	vmm_display_set(display, 0, &p);
	ck_assert_int_eq(pthread_create(&writer, NULL, write_on, &stop), 0);
	for (unsigned i = 0; whole < 200 && i < 1000; i++) {
		if (vmm_display_file_read(fd, &image, NULL) != 0) {
			continue;
		}
		for (size_t at = 4; at < LARGE * LARGE * 4ul; at += 4) {
			SUITE_REQUIRE(memcmp(image.pixels, image.pixels + at, 4) == 0);
		}
		whole++;
		free(image.pixels);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	ck_assert_int_eq(pthread_join(writer, NULL), 0);
	ck_assert_uint_gt(whole, 0);
	finish();
}
END_TEST

START_TEST(display_pictures_out_of_range_are_not_shown)
{
	static const struct vmm_display_picture bad[] = {
		{.width = 48, .height = 0, .format = 2},
		{.width = 48, .height = 32, .format = 5},
		{.width = 16385, .height = 1, .format = 2},
		{.width = 4097, .height = 4096, .format = 2},
		{.width = 65536, .height = 65536, .format = 2},
	};
	struct vmm_display_image image;

	start();
	ck_assert_int_eq(vmm_display_start(display, loop, NULL, NULL), -EBUSY);
	vmm_display_set(display, 0, &bad[_i]);
	ck_assert_int_eq(vmm_display_file_read(fd, &image, NULL), -ENODATA);
	finish();
}
END_TEST

START_TEST(display_null_takes_everything)
{
	const struct vmm_display_rect all = {0, 0, 48, 32};

	ck_assert_int_eq(vmm_display_start(NULL, NULL, NULL, NULL), 0);
	vmm_display_set(NULL, 0, &picture);
	ck_assert(vmm_display_present(NULL, 0, &all, 1));
	vmm_display_set_cursor(NULL, 0, NULL);
	vmm_display_stop(NULL);
	vmm_display_destroy(NULL);
}
END_TEST

START_TEST(display_file_fails_cleanly)
{
	unsigned before = fdcount();
	struct faultinj f = {0};
	struct vmm_display *d;

	fd = memfd_create("picture", MFD_CLOEXEC);
	while (faultinj_next(&f)) {
		int ret = vmm_display_file(&d, fd, NULL);

		faultinj_stop(&f);
		ck_assert_int_eq(ret < 0, f.failed != NULL);
		ck_assert_int_eq(d == NULL, f.failed != NULL);
		vmm_display_destroy(d);
	}
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(vmm_display_file(&d, -1, NULL), -EBADF);
	ck_assert_uint_eq(fdcount(), before);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{region_holds_at_least_what_was_added, 1},
		{region_few_rects_are_held_exactly, 1},
		{region_intersections_do_not_wrap, 1},
		{display_file_holds_the_picture, 1},
		{display_file_reader_believes_nothing, 1},
		{display_file_is_never_read_half_written, 1},
		{display_pictures_out_of_range_are_not_shown, 5},
		{display_null_takes_everything, 1},
		{display_file_fails_cleanly, 1},
	};

	return suite_run_looped("display", tests, sizeof(tests) / sizeof(tests[0]));
}
