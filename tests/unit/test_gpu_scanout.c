/* SPDX-License-Identifier: MIT */
/* virtio-gpu: what comes from guest memory to a screen, when, and how much of it. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpu/gpu_priv.h"
#include "test_gpu_fix.h"

#define SIDE 64u

static struct gpufix fix;

static uint32_t *start(uint32_t piece)
{
	uint32_t *rows;

	gpufix_start(&fix, NULL);
	fix.canvas.fetches = true;
	rows = gpufix_picture(&fix, 1, SIDE, SIDE, piece);
	for (uint32_t i = 0; i < SIDE * SIDE; i++) {
		rows[i] = 0x1000000 + i;
	}
	return rows;
}

static uint64_t copied(void)
{
	return gpufix_counter(&fix, "copied_bytes");
}

START_TEST(scanout_shows_the_picture_whatever_pieces_it_lies_in)
{
	static const uint32_t pieces[] = {0, 4096, 256, 100, 17};
	uint32_t *rows = start(pieces[_i]);

	gpufix_show(&fix, 1, SIDE, SIDE);
	ck_assert_mem_eq(fix.canvas.pixels, rows, SIDE * SIDE * 4ul);
	ck_assert_uint_eq(copied(), SIDE * SIDE * 4ul);
	ck_assert_uint_eq(gpufix_counter(&fix, "frames"), 1);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_small_change_is_a_small_copy)
{
	uint32_t *rows = start(100);
	uint64_t before;

	gpufix_show(&fix, 1, SIDE, SIDE);
	before = copied();
	memset(rows, 0x77, SIDE * SIDE * 4ul);
	gpufix_change(&fix, 1, SIDE, (struct gpu_rect){20, 30, 10, 10});
	ck_assert_uint_eq(copied() - before, 400);
	for (uint32_t y = 0; y < SIDE; y++) {
		for (uint32_t x = 0; x < SIDE; x++) {
			bool inside = x >= 20 && x < 30 && y >= 30 && y < 40;

			SUITE_REQUIRE(fix.canvas.pixels[y * SIDE + x] ==
				      (inside ? 0x77777777 : 0x1000000 + y * SIDE + x));
		}
	}
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_transfers_are_not_shown_before_a_flush)
{
	(void)start(0);
	gpufix_show(&fix, 1, SIDE, SIDE);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){1, 1, 2, 2}, (SIDE + 1) * 4),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(
		gpufix_transfer(&fix, 1, (struct gpu_rect){9, 9, 2, 2}, (9 * SIDE + 9) * 4),
		RESP_OK_NODATA);
	ck_assert_uint_eq(fix.canvas.presents, 1);
	/* Only what is flushed, and of that only what was transferred. */
	ck_assert_uint_eq(gpufix_flush(&fix, 1, (struct gpu_rect){0, 0, 4, 4}), RESP_OK_NODATA);
	ck_assert_uint_eq(fix.canvas.presents, 2);
	ck_assert_uint_eq(fix.canvas.rect_count, 1);
	ck_assert_mem_eq(&fix.canvas.rects[0], (&(struct vmm_display_rect){1, 1, 2, 2}), 16);
	ck_assert_uint_eq(gpufix_flush(&fix, 1, (struct gpu_rect){0, 0, SIDE, SIDE}),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(fix.canvas.presents, 3);
	ck_assert_mem_eq(&fix.canvas.rects[0], (&(struct vmm_display_rect){9, 9, 2, 2}), 16);
	ck_assert_uint_eq(gpufix_flush(&fix, 1, (struct gpu_rect){0, 0, SIDE, SIDE}),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(fix.canvas.presents, 3);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_part_of_a_picture_is_counted_from_its_corner)
{
	const struct gpu_set_scanout set = {.rect = {16, 8, 32, 16}, .resource_id = 1};

	(void)start(100);
	GPUFIX_OK(&fix, CMD_SET_SCANOUT, set);
	gpufix_change(&fix, 1, SIDE, (struct gpu_rect){0, 0, SIDE, SIDE});
	for (uint32_t y = 0; y < 16; y++) {
		for (uint32_t x = 0; x < 32; x++) {
			SUITE_REQUIRE(fix.canvas.pixels[y * 32 + x] ==
				      0x1000000 + (y + 8) * SIDE + x + 16);
		}
	}
	gpufix_change(&fix, 1, SIDE, (struct gpu_rect){12, 7, 6, 3});
	ck_assert_uint_eq(fix.canvas.rect_count, 1);
	ck_assert_mem_eq(&fix.canvas.rects[0], (&(struct vmm_display_rect){0, 0, 2, 2}), 16);
	/* Beside what is shown. */
	gpufix_change(&fix, 1, SIDE, (struct gpu_rect){0, 0, 16, 8});
	ck_assert_uint_eq(fix.canvas.presents, 2);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_another_picture_is_shown_whole)
{
	const struct gpu_rect all = {0, 0, SIDE, SIDE};

	(void)start(0);
	gpufix_show(&fix, 1, SIDE, SIDE);
	(void)gpufix_picture(&fix, 2, SIDE, SIDE, 0);
	GPUFIX_OK(&fix, CMD_SET_SCANOUT, ((struct gpu_set_scanout){.rect = all, .resource_id = 2}));
	gpufix_change(&fix, 2, SIDE, (struct gpu_rect){1, 1, 1, 1});
	ck_assert_uint_eq(fix.canvas.rect_count, 1);
	ck_assert_uint_eq(fix.canvas.rects[0].width, SIDE);
	ck_assert_uint_eq(fix.canvas.rects[0].height, SIDE);
	/* The same again is no other picture. */
	GPUFIX_OK(&fix, CMD_SET_SCANOUT, ((struct gpu_set_scanout){.rect = all, .resource_id = 2}));
	ck_assert_uint_eq(fix.canvas.sets, 2);
	gpufix_change(&fix, 2, SIDE, (struct gpu_rect){1, 1, 1, 1});
	ck_assert_uint_eq(fix.canvas.rects[0].width, 1);
	/* Nor is one that nobody shows. */
	gpufix_change(&fix, 1, SIDE, all);
	ck_assert_uint_eq(fix.canvas.presents, 3);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_picture_that_goes_leaves_the_screen_off)
{
	(void)start(0);
	gpufix_show(&fix, 1, SIDE, SIDE);
	GPUFIX_OK(&fix, CMD_RESOURCE_UNREF, ((struct gpu_resource_id){.resource_id = 1}));
	ck_assert_uint_eq(fix.canvas.base.pictures[0].width, 0);
	ck_assert_uint_eq(gpufix_counter(&fix, "resources"), 0);
	ck_assert_uint_eq(gpufix_counter(&fix, "memory_bytes"), 0);
	/* One of the same name is another one. */
	(void)gpufix_picture(&fix, 1, SIDE, SIDE, 0);
	ck_assert_uint_eq(fix.canvas.base.pictures[0].width, 0);
	gpufix_show(&fix, 1, SIDE, SIDE);
	ck_assert_uint_eq(fix.canvas.base.pictures[0].width, SIDE);
	GPUFIX_OK(&fix, CMD_SET_SCANOUT, ((struct gpu_set_scanout){.resource_id = 0}));
	ck_assert_uint_eq(fix.canvas.base.pictures[0].width, 0);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_pixels_from_elsewhere_are_copied_at_once)
{
	uint32_t *rows = start(100);
	uint32_t first = rows[0];

	gpufix_show(&fix, 1, SIDE, SIDE);
	/* The first row's first pixels to the last rows' end. */
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){SIDE - 2, SIDE - 1, 2, 1}, 0),
			  RESP_OK_NODATA);
	memset(rows, 0, SIDE * SIDE * 4ul);
	ck_assert_uint_eq(gpufix_flush(&fix, 1, (struct gpu_rect){0, 0, SIDE, SIDE}),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(fix.canvas.pixels[SIDE * SIDE - 2], first);
	ck_assert_uint_eq(fix.canvas.pixels[SIDE * SIDE - 1], first + 1);
	ck_assert_uint_eq(fix.canvas.pixels[SIDE * SIDE - 3], 0x1000000 + SIDE * SIDE - 3);
	ck_assert_uint_ge(gpufix_counter(&fix, "memory_bytes"), SIDE * SIDE * 4ul);
	/* From then on the picture is here: what stands at its place counts when it is transferred.
	 */
	memset(rows, 0x11, SIDE * SIDE * 4ul);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, 1, 1}, 0),
			  RESP_OK_NODATA);
	memset(rows, 0x22, SIDE * SIDE * 4ul);
	ck_assert_uint_eq(gpufix_flush(&fix, 1, (struct gpu_rect){0, 0, SIDE, SIDE}),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(fix.canvas.pixels[0], 0x11111111);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_picture_outlives_its_memory)
{
	uint32_t *rows = start(100);

	gpufix_show(&fix, 1, SIDE, SIDE);
	rows[5] = 0x55;
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, SIDE, 1}, 0),
			  RESP_OK_NODATA);
	GPUFIX_OK(&fix, CMD_DETACH_BACKING, ((struct gpu_resource_id){.resource_id = 1}));
	memset(rows, 0, SIDE * SIDE * 4ul);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, SIDE, 1}, 0),
			  RESP_ERR_UNSPEC);
	ck_assert_uint_eq(gpufix_flush(&fix, 1, (struct gpu_rect){0, 0, SIDE, SIDE}),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(fix.canvas.pixels[5], 0x55);
	ck_assert_uint_eq(fix.canvas.pixels[4], 0x1000004);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_two_screens_show_two_parts)
{
	const struct gpu_set_scanout left = {.rect = {0, 0, 32, 64}, .resource_id = 1};
	const struct gpu_set_scanout right = {
		.rect = {32, 0, 32, 64}, .scanout_id = 1, .resource_id = 1};

	gpufix_start(&fix, &(struct vmm_gpu_config){.scanouts = 2});
	(void)gpufix_picture(&fix, 1, SIDE, SIDE, 0);
	GPUFIX_OK(&fix, CMD_SET_SCANOUT, left);
	GPUFIX_OK(&fix, CMD_SET_SCANOUT, right);
	gpufix_change(&fix, 1, SIDE, (struct gpu_rect){0, 0, SIDE, SIDE});
	ck_assert_uint_eq(fix.canvas.presents, 2);
	gpufix_change(&fix, 1, SIDE, (struct gpu_rect){40, 0, 1, 1});
	ck_assert_uint_eq(fix.canvas.presents, 3);
	ck_assert_uint_eq(fix.canvas.rects[0].x, 8);
	gpufix_finish(&fix);
}
END_TEST

/* ---- blobs ---- */

#define STRIDE (SIDE * 4 + 16)
#define FIRST  100u

/* Bytes in guest memory, or in a memfd, as a device with contexts has them. */
static struct gpu_resource *make_blob(enum gpu_kind kind, const uint8_t *bytes, uint32_t len)
{
	struct gpu *gpu = (struct gpu *)fakedrv_device(fix.drv);
	struct gpu_mem_entry entry = {.addr = fakedrv_gpa(fix.drv, bytes), .length = len};
	const struct iovec iov = {.iov_base = &entry, .iov_len = sizeof(entry)};
	struct vmm_reader r = {.iov = &iov, .count = 1, .left = sizeof(entry)};
	struct gpu_resource *res;

	ck_assert_uint_eq(vmm_gpu_resource_add(gpu, 5, kind, &res), 0);
	res->size = len;
	if (kind == GPU_BLOB_GUEST) {
		ck_assert_uint_eq(vmm_gpu_backing_attach(gpu, &res->backing, &r, 1), 0);
	} else {
		res->fd = memfd_create("blob", MFD_CLOEXEC);
		ck_assert_int_eq(pwrite(res->fd, bytes, len, 0), len);
	}
	return res;
}

START_TEST(scanout_blob_is_shown_as_it_is)
{
	static const enum gpu_kind kinds[] = {GPU_BLOB_GUEST, GPU_BLOB_HOST};
	const uint32_t len = FIRST + STRIDE * SIDE - 16;
	struct gpu_set_scanout_blob set = {.rect = {1, 2, 8, 8},
					   .resource_id = 5,
					   .width = SIDE,
					   .height = SIDE,
					   .format = 2,
					   .strides = {STRIDE},
					   .offsets = {FIRST}};
	struct gpu_resource *res;
	uint8_t *bytes;

	gpufix_start(&fix, NULL);
	fix.canvas.fetches = true;
	bytes = fakedrv_alloc(fix.drv, len);
	for (uint32_t i = 0; i < len; i++) {
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	}
	res = make_blob(kinds[_i], bytes, len);
	GPUFIX_OK(&fix, CMD_SET_SCANOUT_BLOB, set);
	ck_assert_uint_eq(gpufix_transfer(&fix, 5, (struct gpu_rect){0, 0, 8, 8}, 0),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(gpufix_flush(&fix, 5, (struct gpu_rect){0, 0, SIDE, SIDE}),
			  RESP_OK_NODATA);
	for (uint32_t y = 0; y < 8; y++) {
		ck_assert_mem_eq(&fix.canvas.pixels[y * 8], bytes + FIRST + (y + 2) * STRIDE + 4,
				 32);
	}
	/* There is nothing to transfer: a flush shows what it names. */
	ck_assert_uint_eq(gpufix_flush(&fix, 5, (struct gpu_rect){4, 4, 1, 1}), RESP_OK_NODATA);
	ck_assert_uint_eq(fix.canvas.presents, 2);
	ck_assert_mem_eq(&fix.canvas.rects[0], (&(struct vmm_display_rect){3, 2, 1, 1}), 16);
	/* One byte too far, rows that overlap, sums that wrap, a picture that is none. */
	set.offsets[0] = FIRST + 1;
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT_BLOB, set),
			  RESP_ERR_INVALID_PARAMETER);
	set.offsets[0] = UINT32_MAX;
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT_BLOB, set),
			  RESP_ERR_INVALID_PARAMETER);
	set.offsets[0] = 0;
	set.strides[0] = SIDE * 4 - 1;
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT_BLOB, set),
			  RESP_ERR_INVALID_PARAMETER);
	set.strides[0] = UINT32_MAX;
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT_BLOB, set),
			  RESP_ERR_INVALID_PARAMETER);
	set.strides[0] = STRIDE;
	set.height = 0;
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT_BLOB, set),
			  RESP_ERR_INVALID_PARAMETER);
	/* A blob is no picture by itself. */
	ck_assert_uint_eq(
		GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT,
			       ((struct gpu_set_scanout){.rect = {0, 0, 8, 8}, .resource_id = 5})),
		RESP_ERR_INVALID_RESOURCE_ID);
	if (res->fd >= 0) {
		ck_assert_int_eq(close(res->fd), 0);
	}
	gpufix_finish(&fix);
}
END_TEST

/* ---- flushes that wait for a frame ---- */

static int offer_flush(uint32_t flags)
{
	static const struct gpu_rect all = {0, 0, SIDE, SIDE};
	struct {
		struct gpu_header h;
		struct gpu_flush f;
	} *request = fakedrv_alloc(fix.drv, sizeof(*request));
	struct gpu_header *answer = fakedrv_alloc(fix.drv, sizeof(*answer));
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(request, sizeof(*request)),
				     FAKEDRV_IN(answer, sizeof(*answer))};
	int head;

	ck_assert_uint_eq(gpufix_transfer(&fix, 1, all, 0), RESP_OK_NODATA);
	request->h =
		(struct gpu_header){.type = CMD_RESOURCE_FLUSH, .flags = flags, .fence_id = FENCE};
	request->f = (struct gpu_flush){.rect = all, .resource_id = 1};
	head = fakedrv_add(fix.drv, CONTROL, bufs, 2);
	ck_assert_int_ge(head, 0);
	fakedrv_kick(fix.drv, CONTROL);
	return head;
}

START_TEST(scanout_fenced_flush_waits_for_the_frame)
{
	struct fakedrv_used used;
	int head;

	(void)start(0);
	gpufix_show(&fix, 1, SIDE, SIDE);
	fix.canvas.waits = true;
	(void)offer_flush(0);
	ck_assert(fakedrv_used(fix.drv, CONTROL, &used));
	head = offer_flush(FLAG_FENCE);
	ck_assert(!fakedrv_used(fix.drv, CONTROL, &used));
	fix.canvas.base.events->frame(fix.canvas.base.ctx, 0);
	ck_assert(fakedrv_used(fix.drv, CONTROL, &used));
	ck_assert_int_eq((int)used.head, head);
	ck_assert_uint_eq(used.len, sizeof(struct gpu_header));
	fix.canvas.base.events->frame(fix.canvas.base.ctx, 0);
	ck_assert(!fakedrv_used(fix.drv, CONTROL, &used));
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_flushes_do_not_wait_in_vain)
{
	static const struct gpu_resource_id one = {.resource_id = 1};
	struct fakedrv_used used;

	(void)start(0);
	gpufix_show(&fix, 1, SIDE, SIDE);
	fix.canvas.waits = true;
	/* More than may wait are not kept. */
	for (unsigned i = 0; i < 16; i++) {
		(void)offer_flush(FLAG_FENCE);
		ck_assert(!fakedrv_used(fix.drv, CONTROL, &used));
	}
	(void)offer_flush(FLAG_FENCE);
	ck_assert(fakedrv_used(fix.drv, CONTROL, &used));
	ck_assert_uint_eq(fakedrv_outstanding(fix.drv, CONTROL), 16);
	/* The picture goes: there will be no frame of it. */
	{
		struct {
			struct gpu_header h;
			struct gpu_resource_id id;
		} *request = (void *)fix.request;
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(request, sizeof(*request)),
					     FAKEDRV_IN(fix.response, 24)};

		request->h = (struct gpu_header){.type = CMD_RESOURCE_UNREF};
		request->id = one;
		ck_assert_int_ge(fakedrv_add(fix.drv, CONTROL, bufs, 2), 0);
		fakedrv_kick(fix.drv, CONTROL);
	}
	for (unsigned i = 0; i < 17; i++) {
		ck_assert(fakedrv_used(fix.drv, CONTROL, &used));
		ck_assert_uint_eq(used.len, 24);
	}
	ck_assert_uint_eq(fakedrv_outstanding(fix.drv, CONTROL), 0);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(scanout_reset_drops_flushes_that_wait)
{
	(void)start(0);
	gpufix_show(&fix, 1, SIDE, SIDE);
	fix.canvas.waits = true;
	(void)offer_flush(FLAG_FENCE);
	fakedrv_reset(fix.drv);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	fix.canvas.base.events->frame(fix.canvas.base.ctx, 0);
	ck_assert_uint_eq(gpufix_command(&fix, CMD_GET_DISPLAY_INFO, "", 0), RESP_OK_DISPLAY_INFO);
	gpufix_finish(&fix);
}
END_TEST

/* ---- the pointer ---- */

START_TEST(cursor_image_is_taken_when_it_is_set)
{
	struct gpu_cursor c = {.x = 5, .y = 6, .resource_id = 7, .hot_x = 3, .hot_y = 4};
	uint32_t *rows;

	(void)start(0);
	rows = gpufix_picture(&fix, 7, 16, 16, 100);
	for (uint32_t i = 0; i < 256; i++) {
		rows[i] = i;
	}
	gpufix_cursor(&fix, CMD_UPDATE_CURSOR, &c);
	ck_assert_uint_eq(fix.canvas.cursors, 1);
	ck_assert_uint_eq(fix.canvas.cursor.width, 16);
	ck_assert_uint_eq(fix.canvas.cursor.hot_x, 3);
	ck_assert_uint_eq(fix.canvas.cursor.hot_y, 4);
	ck_assert_mem_eq(fix.canvas.cursor_pixels, rows, 1024);
	gpufix_cursor(&fix, CMD_MOVE_CURSOR, &c);
	ck_assert_uint_eq(fix.canvas.cursors, 1);
	c.resource_id = 0;
	gpufix_cursor(&fix, CMD_UPDATE_CURSOR, &c);
	ck_assert_uint_eq(fix.canvas.cursor.width, 0);
	ck_assert_uint_eq(gpufix_counter(&fix, "errors"), 0);
	gpufix_finish(&fix);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{scanout_shows_the_picture_whatever_pieces_it_lies_in, 5},
		{scanout_small_change_is_a_small_copy, 1},
		{scanout_transfers_are_not_shown_before_a_flush, 1},
		{scanout_part_of_a_picture_is_counted_from_its_corner, 1},
		{scanout_another_picture_is_shown_whole, 1},
		{scanout_picture_that_goes_leaves_the_screen_off, 1},
		{scanout_pixels_from_elsewhere_are_copied_at_once, 1},
		{scanout_picture_outlives_its_memory, 1},
		{scanout_two_screens_show_two_parts, 1},
		{scanout_blob_is_shown_as_it_is, 2},
		{scanout_fenced_flush_waits_for_the_frame, 1},
		{scanout_flushes_do_not_wait_in_vain, 1},
		{scanout_reset_drops_flushes_that_wait, 1},
		{cursor_image_is_taken_when_it_is_set, 1},
	};

	return suite_run_looped("gpu_scanout", tests, sizeof(tests) / sizeof(tests[0]));
}
