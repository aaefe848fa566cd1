/* SPDX-License-Identifier: MIT */
/* virtio-gpu against a guest that means harm: what other devices of this kind got wrong. */
#include <string.h>

#include "test_gpu_fix.h"

static struct gpufix fix;

static const uint32_t edges[] = {0,     1,     2,        16384,    16385,
				 65535, 65536, 1u << 30, 1u << 31, UINT32_MAX};

#define EDGES (sizeof(edges) / sizeof(edges[0]))

/* Width times height times four in 32 bits: a small allocation, a large copy. */
START_TEST(gpu_hostile_sizes_do_not_wrap)
{
	struct gpu_create_2d c = {.resource_id = 1, .format = VMM_DISPLAY_B8G8R8X8};

	gpufix_start(&fix, NULL);
	for (size_t w = 0; w < EDGES; w++) {
		for (size_t h = 0; h < EDGES; h++) {
			bool good = edges[w] - 1 < 16384 && edges[h] - 1 < 16384;
			struct gpu_resource_id id = {.resource_id = 1};

			c.width = edges[w];
			c.height = edges[h];
			ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_RESOURCE_CREATE_2D, c),
					  good ? RESP_OK_NODATA : RESP_ERR_INVALID_PARAMETER);
			ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_RESOURCE_UNREF, id),
					  good ? RESP_OK_NODATA : RESP_ERR_INVALID_RESOURCE_ID);
		}
	}
	/* A picture so large that no screen takes it. */
	c.width = 16384;
	c.height = 16384;
	GPUFIX_OK(&fix, CMD_RESOURCE_CREATE_2D, c);
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT,
					 ((struct gpu_set_scanout){.rect = {0, 0, 16384, 16384},
								   .resource_id = 1})),
			  RESP_ERR_INVALID_PARAMETER);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(gpu_hostile_formats_and_names_are_refused)
{
	struct gpu_create_2d c = {.resource_id = 0, .format = 2, .width = 8, .height = 8};
	unsigned good = 0;

	gpufix_start(&fix, NULL);
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_RESOURCE_CREATE_2D, c),
			  RESP_ERR_INVALID_RESOURCE_ID);
	for (c.format = 0; c.format < 300; c.format++) {
		c.resource_id = c.format + 1;
		good += GPUFIX_COMMAND(&fix, CMD_RESOURCE_CREATE_2D, c) == RESP_OK_NODATA;
	}
	ck_assert_uint_eq(good, 8);
	/* A name that is taken. */
	c.resource_id = 3;
	c.format = 2;
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_RESOURCE_CREATE_2D, c),
			  RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpufix_counter(&fix, "resources"), 8);
	gpufix_finish(&fix);
}
END_TEST

/* A screen's number against the wrong limit. */
START_TEST(gpu_hostile_screen_numbers_are_refused)
{
	static const uint32_t ids[] = {2, 15, 16, 17, 1u << 31, UINT32_MAX};
	struct gpu_set_scanout set = {.rect = {0, 0, 8, 8}, .resource_id = 1};
	struct gpu_get_edid edid = {0};
	struct gpu_cursor cursor = {.resource_id = 1};

	gpufix_start(&fix, &(struct vmm_gpu_config){.scanouts = 2});
	(void)gpufix_picture(&fix, 1, 8, 8, 0);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		set.scanout_id = ids[i];
		set.resource_id = 1;
		ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT, set),
				  RESP_ERR_INVALID_SCANOUT_ID);
		set.resource_id = 0;
		ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT, set),
				  RESP_ERR_INVALID_SCANOUT_ID);
		edid.scanout_id = ids[i];
		ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_GET_EDID, edid),
				  RESP_ERR_INVALID_SCANOUT_ID);
		cursor.scanout_id = ids[i];
		gpufix_cursor(&fix, CMD_UPDATE_CURSOR, &cursor);
	}
	ck_assert_uint_eq(fix.canvas.cursors, 0);
	ck_assert_uint_eq(fix.canvas.sets, 0);
	gpufix_finish(&fix);
}
END_TEST

/* Every rect of edges: accepted only when it lies in the picture. */
START_TEST(gpu_hostile_rects_stay_in_the_picture)
{
	static const uint32_t at[] = {0, 1, 7, 8, 9, 1u << 31, UINT32_MAX - 7, UINT32_MAX};
	const size_t n = sizeof(at) / sizeof(at[0]);

	gpufix_start(&fix, NULL);
	fix.canvas.fetches = true;
	(void)gpufix_picture(&fix, 1, 8, 8, 0);
	for (size_t i = 0; i < n * n * n * n; i++) {
		struct gpu_rect r = {at[i % n], at[i / n % n], at[i / n / n % n],
				     at[i / n / n / n % n]};
		bool inside = (uint64_t)r.x + r.width <= 8 && (uint64_t)r.y + r.height <= 8;
		uint64_t offset = ((uint64_t)r.y * 8 + r.x) * 4;
		struct gpu_set_scanout set = {.rect = r, .resource_id = 1};
		bool some = r.width > 0 && r.height > 0;

		SUITE_REQUIRE((gpufix_transfer(&fix, 1, r, offset) == RESP_OK_NODATA) == inside);
		SUITE_REQUIRE((gpufix_flush(&fix, 1, r) == RESP_OK_NODATA) == inside);
		SUITE_REQUIRE((GPUFIX_COMMAND(&fix, CMD_SET_SCANOUT, set) == RESP_OK_NODATA) ==
			      (inside && some));
	}
	gpufix_finish(&fix);
}
END_TEST

/* A transfer's box against the memory behind it. */
START_TEST(gpu_hostile_transfers_stay_in_the_memory)
{
	static const uint64_t bad[] = {
		1, 4, 252, 256, 257, UINT64_MAX, UINT64_MAX - 255, UINT64_C(1) << 32};
	const struct gpu_rect all = {0, 0, 8, 8};
	struct gpu_mem_entry entry = {.length = 255};
	uint8_t *memory;

	gpufix_start(&fix, NULL);
	(void)gpufix_picture(&fix, 1, 8, 8, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_uint_eq(gpufix_transfer(&fix, 1, all, bad[i]),
				  RESP_ERR_INVALID_PARAMETER);
	}
	/* One byte too little. */
	memory = fakedrv_alloc(fix.drv, 256);
	entry.addr = fakedrv_gpa(fix.drv, memory);
	GPUFIX_OK(&fix, CMD_DETACH_BACKING, ((struct gpu_resource_id){.resource_id = 1}));
	ck_assert_uint_eq(gpufix_attach(&fix, 1, 1, &entry, 1), RESP_OK_NODATA);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, all, 0), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, 7, 8}, 0),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, 8, 7}, 28),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, 8, 7}, 32),
			  RESP_ERR_INVALID_PARAMETER);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(gpu_hostile_entries_must_be_there_and_in_ram)
{
	static const struct gpu_mem_entry bad[] = {
		{.addr = 0, .length = 256},
		{.addr = MEMFIX_HOLE, .length = 256},
		{.addr = MEMFIX_LOW_BASE + MEMFIX_LOW_SIZE - 255, .length = 256},
		{.addr = MEMFIX_LOW_BASE, .length = UINT32_MAX},
		{.addr = UINT64_MAX - 10, .length = 256},
		{.addr = MEMFIX_LOW_BASE, .length = 0},
	};
	struct gpu_mem_entry entries[4];
	uint64_t memory;

	gpufix_start(&fix, NULL);
	GPUFIX_OK(&fix, CMD_RESOURCE_CREATE_2D, ((struct gpu_create_2d){1, 2, 8, 8}));
	memory = gpufix_counter(&fix, "memory_bytes");
	for (unsigned i = 0; i < 4; i++) {
		entries[i] = (struct gpu_mem_entry){.addr = MEMFIX_LOW_BASE, .length = 64};
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct gpu_mem_entry mixed[4];

		memcpy(mixed, entries, sizeof(mixed));
		mixed[i % 4] = bad[i];
		ck_assert_uint_eq(gpufix_attach(&fix, 1, 4, mixed, 4), RESP_ERR_INVALID_PARAMETER);
	}
	/* More than there are, up to sizes that wrap; none. */
	for (size_t i = 0; i < EDGES; i++) {
		if (edges[i] > 4 || edges[i] == 0) {
			ck_assert_uint_eq(gpufix_attach(&fix, 1, edges[i], entries, 4),
					  RESP_ERR_INVALID_PARAMETER);
		}
	}
	ck_assert_uint_eq(gpufix_attach(&fix, 1, 0x10000001, entries, 4),
			  RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpufix_counter(&fix, "memory_bytes"), memory);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, 8, 8}, 0),
			  RESP_ERR_UNSPEC);
	ck_assert_uint_eq(gpufix_attach(&fix, 1, 4, entries, 4), RESP_OK_NODATA);
	gpufix_finish(&fix);
}
END_TEST

/* What leaked elsewhere: names used again, memory attached twice, errors half-way. */
START_TEST(gpu_hostile_repetitions_keep_nothing)
{
	static const struct gpu_mem_entry entry = {.addr = MEMFIX_LOW_BASE, .length = 4096};
	static const struct gpu_resource_id one = {.resource_id = 1};
	uint64_t memory;

	gpufix_start(&fix, NULL);
	(void)gpufix_picture(&fix, 1, 8, 8, 16);
	memory = gpufix_counter(&fix, "memory_bytes");
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_uint_eq(gpufix_attach(&fix, 1, 1, &entry, 1), RESP_ERR_UNSPEC);
		ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_RESOURCE_CREATE_2D,
						 ((struct gpu_create_2d){1, 2, 8, 8})),
				  RESP_ERR_INVALID_RESOURCE_ID);
		GPUFIX_OK(&fix, CMD_SET_SCANOUT,
			  ((struct gpu_set_scanout){.rect = {i % 8, 0, 1, 8}, .resource_id = 1}));
	}
	ck_assert_uint_eq(gpufix_counter(&fix, "memory_bytes"), memory);
	GPUFIX_OK(&fix, CMD_DETACH_BACKING, one);
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_DETACH_BACKING, one), RESP_ERR_UNSPEC);
	GPUFIX_OK(&fix, CMD_RESOURCE_UNREF, one);
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_RESOURCE_UNREF, one),
			  RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_DETACH_BACKING, one),
			  RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpufix_attach(&fix, 1, 1, &entry, 1), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpufix_counter(&fix, "memory_bytes"), 0);
	gpufix_finish(&fix);
}
END_TEST

/* However many things a guest makes, what the host keeps for them ends somewhere. */
START_TEST(gpu_hostile_memory_is_bounded)
{
	static struct gpu_mem_entry entries[1000];
	uint64_t limit = 1u << 20;
	uint32_t answer = RESP_OK_NODATA;
	uint32_t id = 0;

	gpufix_start(&fix, &(struct vmm_gpu_config){.scanouts = 1, .memory_max = limit});
	for (unsigned i = 0; i < 1000; i++) {
		entries[i] = (struct gpu_mem_entry){.addr = MEMFIX_LOW_BASE, .length = 4};
	}
	while (answer == RESP_OK_NODATA) {
		id++;
		answer = GPUFIX_COMMAND(&fix, CMD_RESOURCE_CREATE_2D,
					((struct gpu_create_2d){id, 2, 512, 256}));
		if (answer == RESP_OK_NODATA) {
			answer = gpufix_attach(&fix, id, 1000, entries, 1000);
		}
		ck_assert_uint_le(gpufix_counter(&fix, "memory_bytes"), limit);
		ck_assert_uint_lt(id, 1000);
	}
	ck_assert_uint_eq(answer, RESP_ERR_OUT_OF_MEMORY);
	/* A copy of the picture counts as well. */
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){1, 0, 1, 1}, 0),
			  RESP_ERR_OUT_OF_MEMORY);
	ck_assert_uint_le(gpufix_counter(&fix, "memory_bytes"), limit);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(gpu_hostile_resources_are_counted)
{
	struct gpu_create_2d c = {.format = 2, .width = 1, .height = 1};

	gpufix_start(&fix, NULL);
	for (c.resource_id = 1; c.resource_id <= 16384; c.resource_id++) {
		SUITE_REQUIRE(GPUFIX_COMMAND(&fix, CMD_RESOURCE_CREATE_2D, c) == RESP_OK_NODATA);
	}
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_RESOURCE_CREATE_2D, c), RESP_ERR_OUT_OF_MEMORY);
	GPUFIX_OK(&fix, CMD_RESOURCE_UNREF, ((struct gpu_resource_id){.resource_id = 77}));
	GPUFIX_OK(&fix, CMD_RESOURCE_CREATE_2D, c);
	gpufix_finish(&fix);
}
END_TEST

/* Answers are zeroed where nothing is said: no byte of ours reaches the guest. */
START_TEST(gpu_hostile_answers_hold_nothing_else)
{
	struct gpu_display_info info = {.header = {.type = RESP_OK_DISPLAY_INFO}};
	const struct gpu_header ask = {.type = CMD_GET_DISPLAY_INFO,
				       .flags = 0xfffffffc,
				       .fence_id = UINT64_MAX,
				       .ctx_id = 0,
				       .ring_idx = 0xff,
				       .padding = {1, 2, 3}};

	gpufix_start(&fix, NULL);
	info.modes[0].enabled = 1;
	info.modes[0].rect.width = VMM_GPU_WIDTH_DEFAULT;
	info.modes[0].rect.height = VMM_GPU_HEIGHT_DEFAULT;
	ck_assert_uint_eq(gpufix_send(&fix, &ask, sizeof(ask)), RESP_OK_DISPLAY_INFO);
	ck_assert_mem_eq(fix.response, &info, sizeof(info));
	gpufix_finish(&fix);
}
END_TEST

START_TEST(gpu_hostile_cursors_are_refused)
{
	struct gpu_cursor c = {.resource_id = 9};
	struct fakedrv_buf none = FAKEDRV_IN(NULL, 8);

	gpufix_start(&fix, NULL);
	(void)gpufix_picture(&fix, 1, 257, 16, 0);
	(void)gpufix_picture(&fix, 2, 16, 16, 0);
	gpufix_cursor(&fix, CMD_UPDATE_CURSOR, &c);
	c.resource_id = 1;
	gpufix_cursor(&fix, CMD_UPDATE_CURSOR, &c);
	c.resource_id = 2;
	c.hot_x = 16;
	gpufix_cursor(&fix, CMD_UPDATE_CURSOR, &c);
	c.hot_x = 0;
	c.hot_y = UINT32_MAX;
	gpufix_cursor(&fix, CMD_UPDATE_CURSOR, &c);
	c.hot_y = 0;
	gpufix_cursor(&fix, CMD_GET_DISPLAY_INFO, &c);
	ck_assert_uint_eq(fix.canvas.cursors, 0);
	/* Too short, or with room for an answer, which there is none. */
	for (uint32_t len = 0; len < 56; len++) {
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix.request, len),
					     FAKEDRV_IN(fix.response, 24)};

		ck_assert_uint_eq(fakedrv_request(fix.drv, CURSOR, bufs, 2), 0);
	}
	none.ptr = fix.response;
	ck_assert_uint_eq(fakedrv_request(fix.drv, CURSOR, &none, 1), 0);
	gpufix_cursor(&fix, CMD_UPDATE_CURSOR, &c);
	ck_assert_uint_eq(fix.canvas.cursors, 1);
	gpufix_finish(&fix);
}
END_TEST

/* A guest that never stops asking leaves the loop time for others. */
START_TEST(gpu_hostile_flood_is_served_in_turns)
{
	struct fakedrv_buf bufs[2];
	struct fakedrv_used used;
	unsigned added = 0;
	unsigned back = 0;

	gpufix_start(&fix, NULL);
	bufs[0] = (struct fakedrv_buf)FAKEDRV_OUT(fix.request, 24);
	bufs[1] = (struct fakedrv_buf)FAKEDRV_IN(fix.response, 24);
	while (fakedrv_add(fix.drv, CONTROL, bufs, 2) >= 0) {
		added++;
	}
	ck_assert_uint_eq(added, 128);
	fakedrv_kick(fix.drv, CONTROL);
	while (fakedrv_used(fix.drv, CONTROL, &used)) {
		back++;
	}
	ck_assert_uint_eq(back, added);
	gpufix_finish(&fix);
}
END_TEST

/* A guest without screens' commands: those of contexts do not exist here. */
START_TEST(gpu_hostile_unknown_commands_are_answered)
{
	static const uint8_t body[72];

	gpufix_start(&fix, NULL);
	for (uint32_t type = 0; type < 0x1300; type++) {
		if (type < CMD_GET_DISPLAY_INFO || type > CMD_SET_SCANOUT_BLOB) {
			SUITE_REQUIRE(gpufix_command(&fix, type, body, sizeof(body)) ==
				      RESP_ERR_UNSPEC);
		}
	}
	gpufix_finish(&fix);
}
END_TEST

SUITE_MAIN("gpu_hostile", gpu_hostile_sizes_do_not_wrap, gpu_hostile_formats_and_names_are_refused,
	   gpu_hostile_screen_numbers_are_refused, gpu_hostile_rects_stay_in_the_picture,
	   gpu_hostile_transfers_stay_in_the_memory, gpu_hostile_entries_must_be_there_and_in_ram,
	   gpu_hostile_repetitions_keep_nothing, gpu_hostile_memory_is_bounded,
	   gpu_hostile_resources_are_counted, gpu_hostile_answers_hold_nothing_else,
	   gpu_hostile_cursors_are_refused, gpu_hostile_flood_is_served_in_turns,
	   gpu_hostile_unknown_commands_are_answered)
