/* SPDX-License-Identifier: MIT */
/* virtio-gpu's contexts: capabilities, life, fences, ends. */
#include "test_gpu_context_fix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- capabilities ---- */

START_TEST(capset_is_the_one_of_the_channel)
{
	const uint32_t expected[4] = {1, 2, 0, 0};
	const struct gpu_get_capset index = {0, 0};
	const struct gpu_get_capset by_id = {XD_CAPSET_ID, 0};
	const struct gpu_capset_info *info;
	uint32_t capsets = 0;
	struct gpu_fix f;

	gpu_start(&f, NULL);
	fakedrv_read_config(f.drv, CONFIG_CAPSETS_AT, &capsets, sizeof(capsets));
	ck_assert_uint_eq(capsets, 1);
	ck_assert_uint_eq(gpu_do(&f, CMD_GET_CAPSET_INFO, 0, &index, sizeof(index)),
			  RESP_OK_CAPSET_INFO);
	info = (const void *)f.answer;
	ck_assert_uint_eq(info->id, 5);
	ck_assert_uint_eq(info->max_version, 0);
	ck_assert_uint_eq(info->max_size, 16);
	ck_assert_uint_eq(info->padding, 0);
	ck_assert_uint_eq(gpu_do(&f, CMD_GET_CAPSET, 0, &by_id, sizeof(by_id)), RESP_OK_CAPSET);
	ck_assert_mem_eq(f.answer + sizeof(struct gpu_header), expected, sizeof(expected));
	ck_assert_uint_eq(f.answer[sizeof(struct gpu_header) + 16], 0xee);
	gpu_stop(&f);
}
END_TEST

/* CVE-2016-10028 and CVE-2021-3546: a capset that does not exist has no size to go by. */
START_TEST(hostile_capset_that_does_not_exist_is_refused)
{
	const struct gpu_get_capset bad[] = {
		{1, 0}, {0, 0}, {6, 0}, {UINT32_MAX, 0}, {XD_CAPSET_ID, 1}};
	struct gpu_fix f;

	gpu_start(&f, NULL);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_uint_eq(gpu_do(&f, CMD_GET_CAPSET, 0, &bad[i], sizeof(bad[i])),
				  RESP_ERR_INVALID_PARAMETER);
		ck_assert_uint_eq(f.answer[sizeof(struct gpu_header)], 0xee);
		if (bad[i].id != 0 && bad[i].id != XD_CAPSET_ID) {
			ck_assert_uint_eq(
				gpu_do(&f, CMD_GET_CAPSET_INFO, 0, &bad[i], sizeof(bad[i])),
				RESP_ERR_INVALID_PARAMETER);
		}
	}
	gpu_stop(&f);
}
END_TEST

/* CVE-2021-3546: an answer longer than the room for it. */
START_TEST(hostile_room_for_an_answer_is_not_overrun)
{
	const struct gpu_get_capset by_id = {XD_CAPSET_ID, 0};
	struct gpu_header h = {.type = CMD_GET_CAPSET};
	struct gpu_fix f;

	gpu_start(&f, NULL);
	memcpy(f.request, &h, sizeof(h));
	memcpy(f.request + sizeof(h), &by_id, sizeof(by_id));
	for (uint32_t room = 0; room <= 64; room++) {
		struct fakedrv_buf bufs[] = {
			FAKEDRV_OUT(f.request, sizeof(h) + sizeof(by_id)),
			FAKEDRV_IN(f.answer, room),
		};

		memset(f.answer, 0xee, 64);
		ck_assert_uint_eq(fakedrv_request(f.drv, 0, bufs, 2), room < 40 ? room : 40);
		for (uint32_t i = room < 40 ? room : 40; i < 64; i++) {
			SUITE_REQUIRE(f.answer[i] == 0xee);
		}
	}
	gpu_stop(&f);
}
END_TEST

/* CVE-2021-3545, CVE-2016-9845, CVE-2016-9908: what nobody wrote is not the host's memory. */
START_TEST(hostile_look_at_answers_shows_zeroes)
{
	const uint32_t types[] = {CMD_GET_CAPSET_INFO, CMD_GET_CAPSET, CMD_RESOURCE_ASSIGN_UUID,
				  CMD_MAP_BLOB, CMD_CTX_CREATE};
	struct gpu_fix f;

	gpu_start(&f, NULL);
	for (unsigned i = 0; i < 5; i++) {
		const uint8_t body[72] = {0};
		const struct gpu_header *h = (const void *)f.answer;

		(void)gpu_do(&f, types[i], 0, body, sizeof(body));
		ck_assert_uint_eq(h->padding[0] | h->padding[1] | h->padding[2], 0);
		ck_assert_uint_eq(h->fence_id, 0);
		ck_assert_uint_eq(h->flags, 0);
		ck_assert_uint_eq(h->ring_idx, 0);
	}
	gpu_stop(&f);
}
END_TEST

/* ---- contexts ---- */

START_TEST(contexts_are_made_and_destroyed)
{
	struct gpu_fix f;

	gpu_start(&f, NULL);
	ck_assert_uint_eq(gpu_ctx_create(&f, 0, 5), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_ctx_create(&f, 1, 1), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_ctx_create(&f, 1, 0xff), RESP_ERR_INVALID_PARAMETER);
	ck_assert_uint_eq(gpu_ctx_create(&f, 1, 0xabcdef05), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_ctx_create(&f, 1, 5), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 2), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 0), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 1), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 1), RESP_ERR_INVALID_CONTEXT_ID);
	for (uint32_t i = 0; i < CONTEXTS_MAX; i++) {
		ck_assert_uint_eq(gpu_ctx_create(&f, 1000 * i + 7, i % 2 == 0 ? 5 : 0),
				  RESP_OK_NODATA);
	}
	ck_assert_uint_eq(gpu_ctx_create(&f, 1, 5), RESP_ERR_OUT_OF_MEMORY);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 7), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_ctx_create(&f, 1, 5), RESP_OK_NODATA);
	gpu_stop(&f);
}
END_TEST

START_TEST(null_context_takes_resources_and_no_commands)
{
	const struct xd_header poll = {.cmd = XD_POLL, .size = 8};
	struct gpu_fix f;
	void *page;

	gpu_start(&f, NULL);
	page = fakedrv_alloc(f.drv, 4096);
	ck_assert_uint_eq(gpu_ctx_create(&f, 1, 0), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_guest_blob(&f, 9, page, 4096, 4096), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(&f, 1, 9), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(&f, 1, 9), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(&f, 2, 9), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_attach(&f, 1, 10), RESP_ERR_INVALID_RESOURCE_ID);
	ck_assert_uint_eq(gpu_detach(&f, 1, 9), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_submit(&f, 1, &poll, sizeof(poll)), RESP_ERR_INVALID_CONTEXT_ID);
	ck_assert_uint_eq(gpu_host_blob(&f, 1, 10, 2, 4096, 1), RESP_ERR_INVALID_CONTEXT_ID);
	gpu_stop(&f);
}
END_TEST

START_TEST(there_is_no_3d)
{
	const uint32_t types[] = {CMD_RESOURCE_CREATE_3D, CMD_TRANSFER_TO_HOST_3D,
				  CMD_TRANSFER_FROM_HOST_3D};
	const uint8_t body[72] = {1};
	struct gpu_fix f;

	gpu_start(&f, NULL);
	ck_assert_uint_eq(gpu_ctx_create(&f, 1, 5), RESP_OK_NODATA);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_ge(gpu_do(&f, types[i], 1, body, sizeof(body)), RESP_ERR_UNSPEC);
	}
	gpu_stop(&f);
}
END_TEST

/* ---- fences ---- */

/* A fenced descriptor that does not come back leaves a program of the guest waiting without end. */
START_TEST(hostile_mistake_with_a_fence_is_answered_with_it)
{
	struct gpu_fix f;

	gpu_start(&f, NULL);
	ck_assert_uint_eq(gpu_ctx_create(&f, 3, 5), RESP_OK_NODATA);
	for (uint32_t type = 0x100; type < 0x20c; type++) {
		const struct gpu_header *a = (const void *)f.answer;
		struct gpu_header h = {
			.type = type,
			.flags = FLAG_FENCE | FLAG_INFO_RING_IDX,
			.fence_id = UINT64_C(0x123456789a) + type,
			.ctx_id = 3 + type % 2,
			.ring_idx = (uint8_t)(type % 7),
		};
		uint8_t body[80];

		memset(body, 0xff, sizeof(body));
		/* Not the one that is meant to wait: its size is wrong anyway. */
		(void)gpu_request(&f, &h, body, sizeof(body));
		ck_assert_uint_eq(a->flags, FLAG_FENCE | FLAG_INFO_RING_IDX);
		ck_assert_uint_eq(a->fence_id, h.fence_id);
		ck_assert_uint_eq(a->ctx_id, h.ctx_id);
		ck_assert_uint_eq(a->ring_idx, h.ring_idx);
	}
	gpu_stop(&f);
}
END_TEST

START_TEST(fences_of_other_rings_complete_at_once)
{
	const struct {
		struct gpu_submit submit;
		struct xd_header poll;
		uint64_t pad;
	} body = {{.size = 16}, {.cmd = XD_POLL, .size = 16}, 0};
	struct gpu_client c;
	struct gpu_fix f;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	for (unsigned i = 0; i < 6; i++) {
		struct gpu_header h = {
			.type = CMD_SUBMIT_3D,
			.flags = i == 0   ? FLAG_FENCE | FLAG_INFO_RING_IDX
				 : i == 1 ? FLAG_FENCE
				 : i == 2 ? FLAG_INFO_RING_IDX
					  : FLAG_FENCE | FLAG_INFO_RING_IDX,
			.fence_id = 5,
			.ctx_id = 3,
			.ring_idx = (uint8_t)(i == 0   ? 0
					      : i < 3  ? 1
					      : i == 3 ? 2
						       : 255),
		};

		ck_assert_uint_eq(gpu_request(&f, &h, &body, sizeof(body)), RESP_OK_NODATA);
	}
	gpu_stop(&f);
}
END_TEST

START_TEST(poll_without_a_channel_completes_at_once)
{
	struct gpu_client c = {.ctx = 3};
	struct fakedrv_used used;
	struct gpu_fix f;

	gpu_start(&f, NULL);
	c.f = &f;
	ck_assert_uint_eq(gpu_ctx_create(&f, 3, 5), RESP_OK_NODATA);
	ck_assert_int_ge(gpu_client_poll(&c, 0, 9), 0);
	fakedrv_kick(f.drv, 0);
	ck_assert(fakedrv_used(f.drv, 0, &used));
	ck_assert_uint_eq(used.len, sizeof(struct gpu_header));
	ck_assert_uint_eq(gpu_poll_answer(&f, 0)->fence_id, 9);
	gpu_stop(&f);
}
END_TEST

START_TEST(polls_complete_in_order_and_the_ninth_at_once)
{
	struct fakedrv_used used;
	struct gpu_client c;
	struct gpu_fix f;
	int heads[9];

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	for (unsigned i = 0; i < 9; i++) {
		heads[i] = gpu_client_poll(&c, i, 100 + i);
		fakedrv_kick(f.drv, 0);
	}
	ck_assert(fakedrv_used(f.drv, 0, &used));
	ck_assert_uint_eq(used.head, (uint32_t)heads[8]);
	ck_assert(!fakedrv_used(f.drv, 0, &used));
	/* Requests of others go on meanwhile. */
	ck_assert_uint_eq(gpu_ctx_create(&f, 4, 0), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 4), RESP_OK_NODATA);
	(void)close(c.compositor);
	f.compositors[0] = -1;
	fakedrv_run(f.drv);
	ck_assert(fakedrv_used(f.drv, 0, &used));
	ck_assert_uint_eq(used.head, (uint32_t)heads[0]);
	ck_assert_uint_eq(gpu_poll_answer(&f, 0)->fence_id, 100);
	ck_assert_uint_eq(((const struct xd_send *)(const void *)c.ring)->len, 0);
	/* One end of file; the others wait. */
	ck_assert(!fakedrv_used(f.drv, 0, &used));
	/* All of them are there before the answer to what ends the context. */
	{
		struct gpu_header h = {.type = CMD_CTX_DESTROY, .ctx_id = 3};
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(f.request, sizeof(h)),
					     FAKEDRV_IN(f.answer, sizeof(h))};

		memcpy(f.request, &h, sizeof(h));
		ck_assert_int_ge(fakedrv_add(f.drv, 0, bufs, 2), 0);
		fakedrv_kick(f.drv, 0);
	}
	for (unsigned i = 1; i < 8; i++) {
		ck_assert(fakedrv_used(f.drv, 0, &used));
		ck_assert_uint_eq(used.head, (uint32_t)heads[i]);
		ck_assert_uint_eq(gpu_poll_answer(&f, i)->fence_id, 100 + i);
		ck_assert_uint_eq(gpu_poll_answer(&f, i)->ring_idx, 1);
	}
	ck_assert(fakedrv_used(f.drv, 0, &used));
	ck_assert_uint_eq(fakedrv_outstanding(f.drv, 0), 0);
	gpu_stop(&f);
}
END_TEST

/* ---- ends ---- */

START_TEST(context_that_is_destroyed_frees_everything)
{
	struct gpu_client c;
	struct gpu_fix f;
	unsigned before;

	gpu_start(&f, NULL);
	before = fdcount();
	for (unsigned i = 0; i < 20; i++) {
		struct fakedrv_used used;
		uint8_t byte;

		gpu_client_start(&c, &f, 3, 10);
		ck_assert_int_ge(gpu_client_poll(&c, 0, i), 0);
		fakedrv_kick(f.drv, 0);
		ck_assert_uint_eq(fakedrv_outstanding(f.drv, 0), 1);
		{
			struct gpu_header h = {.type = CMD_CTX_DESTROY, .ctx_id = 3};
			struct fakedrv_buf bufs[] = {FAKEDRV_OUT(f.request, sizeof(h)),
						     FAKEDRV_IN(f.answer, sizeof(h))};

			memcpy(f.request, &h, sizeof(h));
			ck_assert_int_ge(fakedrv_add(f.drv, 0, bufs, 2), 0);
			fakedrv_kick(f.drv, 0);
		}
		ck_assert(fakedrv_used(f.drv, 0, &used));
		ck_assert(fakedrv_used(f.drv, 0, &used));
		ck_assert_int_eq(recv(c.compositor, &byte, 1, MSG_DONTWAIT), 0);
		(void)close(c.compositor);
		f.compositor_count--;
		ck_assert_uint_eq(gpu_unref(&f, 10), RESP_OK_NODATA);
		ck_assert_uint_eq(gpu_unref(&f, 11), RESP_OK_NODATA);
		ck_assert_uint_eq(fdcount(), before);
	}
	gpu_stop(&f);
}
END_TEST

START_TEST(reset_frees_everything_and_contexts_may_come_again)
{
	struct gpu_client c;
	struct gpu_fix f;
	unsigned before;

	gpu_start(&f, NULL);
	before = fdcount();
	for (unsigned i = 0; i < 5; i++) {
		uint32_t item;

		gpu_client_start(&c, &f, 3, 10);
		gpu_client_bind(&c);
		item = gpu_client_template(&c, 8192);
		ck_assert_uint_eq(gpu_host_blob(&f, 3, 20, item, 8192, 1), RESP_OK_NODATA);
		ck_assert_uint_eq(gpu_map(&f, 20, 4096), RESP_OK_MAP_INFO);
		ck_assert_int_ge(gpu_client_poll(&c, 0, i), 0);
		fakedrv_kick(f.drv, 0);
		fakedrv_reset(f.drv);
		ck_assert_int_eq(recv(c.compositor, &item, 1, MSG_DONTWAIT), 0);
		(void)close(c.compositor);
		f.compositor_count--;
		ck_assert_uint_eq(fakedrv_shm_count(f.drv), 0);
		ck_assert_uint_eq(fdcount(), before);
		ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	}
	gpu_stop(&f);
}
END_TEST

START_TEST(context_that_waits_for_a_connection_is_destroyed)
{
	struct gpu_client c;
	struct gpu_fix f;

	gpu_start(&f, NULL);
	f.late = true;
	gpu_client_start(&c, &f, 3, 10);
	ck_assert_ptr_nonnull(f.done);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 3), RESP_OK_NODATA);
	ck_assert_uint_eq(f.cancelled, 1);
	/* And one whose connection has come is not cancelled. */
	gpu_client_start(&c, &f, 4, 30);
	gpu_connect(&f);
	ck_assert_uint_eq(gpu_ctx_destroy(&f, 4), RESP_OK_NODATA);
	ck_assert_uint_eq(f.cancelled, 1);
	gpu_stop(&f);
}
END_TEST

START_TEST(device_without_a_compositor_gives_an_end_of_file)
{
	const struct vmm_gpu_connector none = {NULL, NULL, NULL};
	const struct vmm_gpu_config config = {.contexts = true, .connector = &none};
	struct gpu_client c;
	struct gpu_fix f;

	gpu_start(&f, &config);
	f.late = true;
	gpu_client_start(&c, &f, 3, 10);
	ck_assert_uint_eq(gpu_client_receive(&c)->len, 0);
	gpu_stop(&f);
}
END_TEST

START_TEST(hundred_clients_at_once)
{
	static struct gpu_client c[100];
	struct gpu_fix f;

	gpu_start(&f, NULL);
	for (unsigned i = 0; i < 100; i++) {
		gpu_client_start(&c[i], &f, i + 1, 1000 + 2 * i);
	}
	for (unsigned i = 0; i < 100; i++) {
		gpu_client_bind(&c[i]);
	}
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_uint_eq(gpu_ctx_destroy(&f, i + 1), RESP_OK_NODATA);
		ck_assert_int_eq(recv(c[i].compositor, &(char){0}, 1, MSG_DONTWAIT), 0);
	}
	gpu_stop(&f);
}
END_TEST

START_TEST(submit_longer_than_its_request_is_refused)
{
	const uint32_t sizes[] = {17, 0x10000, SUBMIT_MAX + 1, UINT32_MAX};
	struct {
		struct gpu_submit submit;
		struct xd_header poll;
		uint64_t pad;
	} body = {{.size = 16}, {.cmd = XD_POLL, .size = 16}, 0};
	struct gpu_client c;
	struct gpu_fix f;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 3, 10);
	ck_assert_uint_eq(gpu_do(&f, CMD_SUBMIT_3D, 3, &body, sizeof(body)), RESP_OK_NODATA);
	for (unsigned i = 0; i < 4; i++) {
		body.submit.size = sizes[i];
		ck_assert_uint_eq(gpu_do(&f, CMD_SUBMIT_3D, 3, &body, sizeof(body)),
				  RESP_ERR_INVALID_PARAMETER);
	}
	/* And nothing at all is nothing. */
	body.submit.size = 0;
	ck_assert_uint_eq(gpu_do(&f, CMD_SUBMIT_3D, 3, &body, sizeof(body)), RESP_OK_NODATA);
	gpu_stop(&f);
}
END_TEST

/* Each command of contexts with as many of its bytes as there are, and each of a submit. */
START_TEST(every_request_cut_at_every_byte_is_answered)
{
	const uint32_t types[] = {
		CMD_GET_CAPSET_INFO,
		CMD_GET_CAPSET,
		CMD_RESOURCE_ASSIGN_UUID,
		CMD_RESOURCE_CREATE_BLOB,
		CMD_CTX_CREATE,
		CMD_CTX_DESTROY,
		CMD_CTX_ATTACH_RESOURCE,
		CMD_CTX_DETACH_RESOURCE,
		CMD_RESOURCE_CREATE_3D,
		CMD_SUBMIT_3D,
		CMD_MAP_BLOB,
		CMD_UNMAP_BLOB,
	};
	struct gpu_client c;
	struct gpu_fix f;

	gpu_start(&f, NULL);
	gpu_client_start(&c, &f, 1, 10);
	for (unsigned t = 0; t < 12; t++) {
		for (uint32_t len = 0; len <= 24 + 80; len++) {
			struct gpu_header h = {.type = types[t],
					       .flags = FLAG_FENCE,
					       .fence_id = len,
					       .ctx_id = types[t] == CMD_CTX_DESTROY ? 9 : 1};
			struct fakedrv_buf bufs[] = {FAKEDRV_OUT(f.request, len),
						     FAKEDRV_IN(f.answer, 4096)};

			memset(f.request, 1, 24 + 80);
			memcpy(f.request, &h, sizeof(h));
			SUITE_REQUIRE(fakedrv_request(f.drv, 0, bufs, 2) >= sizeof(h));
		}
	}
	gpu_stop(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{capset_is_the_one_of_the_channel, 1},
		{hostile_capset_that_does_not_exist_is_refused, 1},
		{hostile_room_for_an_answer_is_not_overrun, 1},
		{hostile_look_at_answers_shows_zeroes, 1},
		{contexts_are_made_and_destroyed, 1},
		{null_context_takes_resources_and_no_commands, 1},
		{there_is_no_3d, 1},
		{hostile_mistake_with_a_fence_is_answered_with_it, 1},
		{fences_of_other_rings_complete_at_once, 1},
		{poll_without_a_channel_completes_at_once, 1},
		{polls_complete_in_order_and_the_ninth_at_once, 1},
		{context_that_is_destroyed_frees_everything, 1},
		{reset_frees_everything_and_contexts_may_come_again, 1},
		{context_that_waits_for_a_connection_is_destroyed, 1},
		{device_without_a_compositor_gives_an_end_of_file, 1},
		{hundred_clients_at_once, 1},
		{submit_longer_than_its_request_is_refused, 1},
		{every_request_cut_at_every_byte_is_answered, 1},
	};

	return suite_run_looped("gpu_context", tests, sizeof(tests) / sizeof(tests[0]));
}
