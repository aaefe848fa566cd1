/* SPDX-License-Identifier: MIT */
/* virtio-gpu: what it says about itself, answers to commands, life. */
#include <errno.h>
#include <string.h>

#include "faultinj.h"
#include "test_gpu_fix.h"

/* ---- creation ---- */

START_TEST(gpu_create_numbers_out_of_range_are_refused)
{
	const struct vmm_gpu_config bad[] = {
		{.scanouts = 0},
		{.scanouts = 17},
		{.scanouts = 1, .width = 63, .height = 64},
		{.scanouts = 1, .width = 64, .height = 4096},
	};
	struct vmm_virtio_device *dev;
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_gpu_create(&dev, &bad[_i], &err), -EINVAL);
	ck_assert_ptr_null(dev);
	ck_assert_str_ne(err.message, "");
}
END_TEST

START_TEST(gpu_create_fails_cleanly)
{
	const struct vmm_gpu_config config = {.scanouts = 16};
	struct vmm_virtio_device *dev;
	struct faultinj f = {0};

	while (faultinj_next(&f)) {
		int ret = vmm_gpu_create(&dev, &config, NULL);

		faultinj_stop(&f);
		ck_assert_int_eq(ret, f.failed ? -ENOMEM : 0);
		ck_assert_int_eq(dev == NULL, f.failed != NULL);
		vmm_virtio_device_destroy(dev);
	}
}
END_TEST

START_TEST(gpu_config_and_features_are_those_of_a_plain_screen)
{
	const uint8_t expected[16] = {[8] = 2};
	uint8_t config[16];
	struct gpufix fix;

	gpufix_start(&fix, &(struct vmm_gpu_config){.scanouts = 2});
	fakedrv_read_config(fix.drv, 0, config, sizeof(config));
	ck_assert_mem_eq(config, expected, sizeof(config));
	ck_assert_uint_eq(fakedrv_device(fix.drv)->features, UINT64_C(1) << 1);
	ck_assert_uint_eq(fakedrv_device(fix.drv)->device_id, 16);
	gpufix_finish(&fix);
}
END_TEST

/* ---- what it says of screens ---- */

static void check_edid(const uint8_t *e, unsigned width, unsigned height)
{
	static const uint8_t magic[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
	const uint8_t *t = e + 54;
	unsigned h_blank = t[3] | (t[4] & 0xfu) << 8;
	unsigned v_blank = t[6] | (t[7] & 0xfu) << 8;
	unsigned clock = t[0] | t[1] * 256u;
	double refresh = clock * 10000.0 / ((width + h_blank) * (height + v_blank));
	uint8_t sum = 0;

	for (unsigned i = 0; i < 128; i++) {
		sum = (uint8_t)(sum + e[i]);
	}
	ck_assert_uint_eq(sum, 0);
	ck_assert_mem_eq(e, magic, 8);
	ck_assert_uint_eq(e[18] * 10u + e[19], 14);
	ck_assert_uint_eq(e[126], 0);
	ck_assert_uint_eq(t[2] | (t[4] & 0xf0u) << 4, width);
	ck_assert_uint_eq(t[5] | (t[7] & 0xf0u) << 4, height);
	/* Front porch and sync lie in the blanking. */
	ck_assert_uint_lt(t[8] + t[9], h_blank);
	ck_assert_uint_lt((t[10] >> 4) + (t[10] & 0xfu), v_blank);
	ck_assert(refresh > 20 && refresh < 60.5);
}

static const struct {
	uint32_t width, height;
} sizes[] = {{64, 64}, {640, 480}, {1280, 800}, {1366, 769}, {3840, 2160}, {4095, 4095}};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

START_TEST(gpu_edid_prefers_the_size_of_the_screen)
{
	const struct vmm_gpu_config config = {
		.scanouts = 3, .width = sizes[_i].width, .height = sizes[_i].height};
	struct gpu_get_edid get = {.scanout_id = 2};
	struct gpu_display_info info;
	struct gpu_edid edid;
	struct gpufix fix;

	gpufix_start(&fix, &config);
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_GET_EDID, get), RESP_OK_EDID);
	ck_assert_uint_eq(fix.used, sizeof(edid));
	memcpy(&edid, fix.response, sizeof(edid));
	ck_assert_uint_eq(edid.size, 128);
	check_edid(edid.edid, sizes[_i].width, sizes[_i].height);
	for (unsigned i = 128; i < 1024; i++) {
		ck_assert_uint_eq(edid.edid[i], 0);
	}
	get.scanout_id = 3;
	ck_assert_uint_eq(GPUFIX_COMMAND(&fix, CMD_GET_EDID, get), RESP_ERR_INVALID_SCANOUT_ID);
	ck_assert_uint_eq(gpufix_command(&fix, CMD_GET_DISPLAY_INFO, "", 0), RESP_OK_DISPLAY_INFO);
	ck_assert_uint_eq(fix.used, sizeof(info));
	memcpy(&info, fix.response, sizeof(info));
	for (unsigned i = 0; i < 16; i++) {
		ck_assert_uint_eq(info.modes[i].enabled, i < 3);
		ck_assert_uint_eq(info.modes[i].rect.width, i < 3 ? sizes[_i].width : 0);
		ck_assert_uint_eq(info.modes[i].rect.height, i < 3 ? sizes[_i].height : 0);
	}
	gpufix_finish(&fix);
}
END_TEST

static uint32_t events(struct gpufix *fix)
{
	uint32_t value;

	fakedrv_read_config(fix->drv, 0, &value, sizeof(value));
	return value;
}

START_TEST(gpu_resize_is_told_until_it_is_cleared)
{
	const uint32_t clear = 1;
	const uint32_t other = 2;
	struct gpu_display_info info;
	struct gpufix fix;
	unsigned irqs;

	gpufix_start(&fix, NULL);
	irqs = fakedrv_config_irqs(fix.drv);
	fix.canvas.base.events->resize(fix.canvas.base.ctx, 0, 1000, 10);
	ck_assert_uint_eq(fakedrv_config_irqs(fix.drv), irqs + 1);
	ck_assert_uint_eq(events(&fix), 1);
	ck_assert_uint_eq(gpufix_command(&fix, CMD_GET_DISPLAY_INFO, "", 0), RESP_OK_DISPLAY_INFO);
	memcpy(&info, fix.response, sizeof(info));
	ck_assert_uint_eq(info.modes[0].rect.width, 1000);
	ck_assert_uint_eq(info.modes[0].rect.height, VMM_GPU_SIDE_MIN);
	fakedrv_write_config(fix.drv, 4, &other, sizeof(other));
	ck_assert_uint_eq(events(&fix), 1);
	fakedrv_write_config(fix.drv, 4, &clear, sizeof(clear));
	ck_assert_uint_eq(events(&fix), 0);
	/* Linux writes again after it has looked: that must not make it look again. */
	irqs = fakedrv_config_irqs(fix.drv);
	fakedrv_write_config(fix.drv, 4, &clear, sizeof(clear));
	/* The size that it has, and a screen that there is not. */
	fix.canvas.base.events->resize(fix.canvas.base.ctx, 0, 1000, VMM_GPU_SIDE_MIN);
	fix.canvas.base.events->resize(fix.canvas.base.ctx, 1, 800, 600);
	ck_assert_uint_eq(fakedrv_config_irqs(fix.drv), irqs);
	/* The second before the first was looked at: told anew. */
	fix.canvas.base.events->resize(fix.canvas.base.ctx, 0, 800, 600);
	fix.canvas.base.events->resize(fix.canvas.base.ctx, 0, 801, 600);
	ck_assert_uint_eq(fakedrv_config_irqs(fix.drv), irqs + 2);
	fakedrv_reset(fix.drv);
	ck_assert_uint_eq(events(&fix), 0);
	gpufix_finish(&fix);
}
END_TEST

/* ---- the golden trace: what Linux 6.12 says when it finds the device and makes a console ---- */

/* As it stood in guest memory, addresses left out. */
static const struct {
	uint16_t len;
	uint16_t answer;
	uint16_t answer_len;
	uint32_t words[16];
} golden[] = {
	/* GET_EDID, GET_DISPLAY_INFO */
	{32, 0x1104, 1056, {0x10a}},
	{24, 0x1101, 408, {0x100}},
	/* CREATE_2D 2, B8G8R8X8, 1280 x 800 */
	{40, 0x1100, 24, {0x101, 0, 0, 0, 0, 0, 2, 2, 1280, 800}},
	/* ATTACH_BACKING of one piece */
	{48, 0x1100, 24, {0x106, 0, 0, 0, 0, 0, 2, 1, 0 /* address */, 0, 4096000}},
	/* SET_SCANOUT 0 off */
	{48, 0x1100, 24, {0x103}},
	/* TRANSFER_TO_HOST_2D of all, SET_SCANOUT 0, RESOURCE_FLUSH */
	{56, 0x1100, 24, {0x105, 0, 0, 0, 0, 0, 0, 0, 1280, 800, 0, 0, 2}},
	{48, 0x1100, 24, {0x103, 0, 0, 0, 0, 0, 0, 0, 1280, 800, 0, 2}},
	{48, 0x1100, 24, {0x104, 0, 0, 0, 0, 0, 0, 0, 1280, 800, 2}},
	/* The first line of text: 16 rows from the 32nd on, at their place. */
	{56, 0x1100, 24, {0x105, 0, 0, 0, 0, 0, 0, 32, 1280, 16, 163840, 0, 2}},
	{48, 0x1100, 24, {0x104, 0, 0, 0, 0, 0, 0, 32, 1280, 16, 2}},
};

START_TEST(gpu_golden_trace_of_linux_is_answered_byte_for_byte)
{
	static const struct gpu_header zero;
	uint8_t *memory;
	struct gpufix fix;
	vmm_gpa at;

	gpufix_start(&fix, NULL);
	memory = fakedrv_alloc(fix.drv, 4096000);
	memset(memory, 0x5a, 4096000);
	at = fakedrv_gpa(fix.drv, memory);
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		struct gpu_header expected = zero;
		uint8_t request[64];

		memcpy(request, golden[i].words, sizeof(request));
		if (golden[i].words[0] == CMD_ATTACH_BACKING) {
			memcpy(request + 32, &at, sizeof(at));
		}
		expected.type = golden[i].answer;
		ck_assert_uint_eq(gpufix_send(&fix, request, golden[i].len), golden[i].answer);
		ck_assert_uint_eq(fix.used, golden[i].answer_len);
		ck_assert_mem_eq(fix.response, &expected, sizeof(expected));
	}
	ck_assert_uint_eq(gpufix_counter(&fix, "errors"), 0);
	ck_assert_uint_eq(gpufix_counter(&fix, "commands"), 10);
	ck_assert_uint_eq(fix.canvas.sets, 1);
	ck_assert_uint_eq(fix.canvas.presents, 2);
	ck_assert_uint_eq(fix.canvas.rect_count, 1);
	ck_assert_mem_eq(&fix.canvas.rects[0],
			 (&(struct vmm_display_rect){.y = 32, .width = 1280, .height = 16}),
			 sizeof(struct vmm_display_rect));
	gpufix_finish(&fix);
}
END_TEST

/* ---- requests and answers that are cut short ---- */

/* Every command with a body that makes it work, so far as it can. */
static size_t compose(struct gpufix *fix, unsigned index, uint8_t *request)
{
	static const uint16_t types[] = {0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x106,
					 0x107, 0x108, 0x109, 0x10a, 0x10b, 0x10c, 0x10d,
					 0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206,
					 0x207, 0x208, 0x209, 0,     0xffff};
	const struct gpu_rect rect = {.width = 8, .height = 8};
	struct gpu_header *h = (void *)request;
	union {
		struct gpu_create_2d create;
		struct gpu_resource_id id;
		struct gpu_set_scanout scanout;
		struct gpu_flush flush;
		struct gpu_transfer_2d transfer;
		struct {
			struct gpu_attach_backing attach;
			struct gpu_mem_entry entry;
		};
		uint8_t bytes[96];
	} body = {.id = {.resource_id = 1}};

	if (index == sizeof(types) / sizeof(types[0])) {
		return 0;
	}
	*h = (struct gpu_header){.type = types[index], .flags = FLAG_FENCE, .fence_id = FENCE};
	switch (h->type) {
	case CMD_RESOURCE_CREATE_2D:
		body.create = (struct gpu_create_2d){2, VMM_DISPLAY_B8G8R8X8, 8, 8};
		break;
	case CMD_SET_SCANOUT:
		body.scanout = (struct gpu_set_scanout){.rect = rect, .resource_id = 1};
		break;
	case CMD_RESOURCE_FLUSH:
		body.flush = (struct gpu_flush){.rect = rect, .resource_id = 1};
		break;
	case CMD_TRANSFER_TO_HOST_2D:
		body.transfer = (struct gpu_transfer_2d){.rect = rect, .resource_id = 1};
		break;
	case CMD_ATTACH_BACKING:
		body.attach.count = 1;
		body.entry.addr = fakedrv_gpa(fix->drv, fix->request);
		body.entry.length = 256;
		break;
	default:
		break;
	}
	memcpy(request + sizeof(*h), &body, sizeof(body));
	return sizeof(*h) + sizeof(body);
}

/* The request in chunks of one byte or in one; so is the room for the answer. */
static uint32_t exchange(struct gpufix *fix, size_t out, size_t in, uint32_t piece)
{
	struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix->request, out), FAKEDRV_IN(fix->response, in)};
	static struct fakedrv_buf pieces[256];
	unsigned count = fakedrv_chop(bufs, 2, piece, pieces, 256);

	memset(fix->response, 0xee, RESPONSE_ROOM);
	return fakedrv_request(fix->drv, CONTROL, pieces, count);
}

START_TEST(gpu_requests_cut_short_at_every_byte_are_answered_once)
{
	struct gpufix fix;
	uint8_t request[128];
	size_t len;

	gpufix_start(&fix, NULL);
	(void)gpufix_picture(&fix, 1, 8, 8, 0);
	for (unsigned i = 0; (len = compose(&fix, i, request)) > 0; i++) {
		for (size_t n = 0; n <= len; n++) {
			struct gpu_header answer;
			uint32_t used;

			memcpy(fix.request, request, len);
			used = exchange(&fix, n, RESPONSE_ROOM, n % 2 == 0 ? 1u << 20 : 16);
			SUITE_REQUIRE(fakedrv_outstanding(fix.drv, CONTROL) == 0);
			SUITE_REQUIRE(used >= sizeof(answer));
			memcpy(&answer, fix.response, sizeof(answer));
			SUITE_REQUIRE(answer.type >= 0x1100 && answer.type <= 0x1205);
			SUITE_REQUIRE(n >= sizeof(answer) || answer.type == RESP_ERR_UNSPEC);
			/* Flags and fence are bytes 4 to 15. */
			SUITE_REQUIRE(n < 16 ||
				      (answer.flags == FLAG_FENCE && answer.fence_id == FENCE));
		}
	}
	ck_assert(!fakedrv_needs_reset(fix.drv));
	gpufix_finish(&fix);
}
END_TEST

START_TEST(gpu_answers_stay_in_the_room_they_have)
{
	static const uint32_t asks[] = {CMD_GET_DISPLAY_INFO, CMD_GET_EDID, CMD_RESOURCE_UNREF};
	static const size_t lens[] = {408, 1056, 24};
	struct gpufix fix;

	gpufix_start(&fix, NULL);
	for (size_t i = 0; i < 3; i++) {
		for (size_t room = 0; room <= lens[i] + 8; room++) {
			struct gpu_header *h = (void *)fix.request;
			uint32_t used;

			memset(h, 0, 32);
			h->type = asks[i];
			used = exchange(&fix, 32, room, room < 128 ? 1 : 1u << 20);
			SUITE_REQUIRE(used == (room < lens[i] ? room : lens[i]));
			SUITE_REQUIRE(fix.response[used] == 0xee);
		}
	}
	gpufix_finish(&fix);
}
END_TEST

/* ---- life ---- */

START_TEST(gpu_reset_forgets_everything)
{
	struct gpufix fix;

	gpufix_start(&fix, NULL);
	fix.canvas.waits = true;
	for (uint32_t id = 1; id <= 5; id++) {
		(void)gpufix_picture(&fix, id, 32, 32, 128);
	}
	ck_assert_uint_eq(gpufix_counter(&fix, "resources"), 5);
	ck_assert_uint_ne(gpufix_counter(&fix, "memory_bytes"), 0);
	ck_assert_uint_eq(gpufix_transfer(&fix, 1, (struct gpu_rect){0, 0, 1, 1}, 64),
			  RESP_OK_NODATA);
	GPUFIX_OK(&fix, CMD_SET_SCANOUT,
		  ((struct gpu_set_scanout){.rect = {0, 0, 32, 32}, .resource_id = 1}));
	fakedrv_reset(fix.drv);
	ck_assert_uint_eq(gpufix_counter(&fix, "resources"), 0);
	ck_assert_uint_eq(gpufix_counter(&fix, "memory_bytes"), 0);
	ck_assert_uint_eq(fix.canvas.base.pictures[0].width, 0);
	ck_assert_ptr_null(fix.canvas.base.loop);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	(void)gpufix_picture(&fix, 1, 32, 32, 128);
	gpufix_finish(&fix);
}
END_TEST

START_TEST(gpu_display_in_use_fails_activation)
{
	struct gpufix fix;
	struct gpufix other;

	gpufix_start(&fix, NULL);
	memset(&other, 0, sizeof(other));
	ck_assert_int_eq(vmm_display_start(&fix.canvas.base, NULL, NULL, NULL), -EBUSY);
	gpufix_finish(&fix);
	ck_assert_ptr_null(fix.canvas.base.loop);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{gpu_create_numbers_out_of_range_are_refused, 4},
		{gpu_create_fails_cleanly, 1},
		{gpu_config_and_features_are_those_of_a_plain_screen, 1},
		{gpu_edid_prefers_the_size_of_the_screen, SIZES},
		{gpu_resize_is_told_until_it_is_cleared, 1},
		{gpu_golden_trace_of_linux_is_answered_byte_for_byte, 1},
		{gpu_requests_cut_short_at_every_byte_are_answered_once, 1},
		{gpu_answers_stay_in_the_room_they_have, 1},
		{gpu_reset_forgets_everything, 1},
		{gpu_display_in_use_fails_activation, 1},
	};

	return suite_run_looped("gpu", tests, sizeof(tests) / sizeof(tests[0]));
}
