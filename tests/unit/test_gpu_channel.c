/* SPDX-License-Identifier: MIT */
/* The channel of virtio-gpu: its life, bytes both ways, the compositor's end. */
#include "test_gpu_channel_fix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdcount.h"

static const char get_registry[12] = {1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0};

/* ---- INIT ---- */

START_TEST(init_in_each_size_that_is_in_use_opens_a_channel)
{
	const size_t sizes[] = {16, 20, 24, 36};
	struct channel_fix f;
	char heard[64];

	channel_start(&f, NULL);
	ck_assert_int_eq(channel_init(&f, sizes[_i], XD_CHANNEL_WAYLAND), 0);
	ck_assert_uint_eq(f.asked, 1);
	ck_assert_int_eq(channel_send(&f, get_registry, 12, 0, NULL, NULL), 0);
	ck_assert_uint_eq(compositor_hears(&f, heard, sizeof(heard), NULL, NULL), 12);
	compositor_says(&f, "globals.", 8, NULL, 0);
	ck_assert_uint_eq(channel_receive(&f)->len, 8);
	channel_stop(&f);
}
END_TEST

START_TEST(init_in_another_size_is_refused)
{
	struct channel_fix f;

	channel_start(&f, NULL);
	for (size_t size = 0; size < 20; size++) {
		if (size != 16) {
			ck_assert_int_eq(channel_init(&f, size, XD_CHANNEL_WAYLAND),
					 size == 0 ? 0 : -EPROTO);
		}
	}
	ck_assert_uint_eq(f.asked, 0);
	ck_assert_int_eq(channel_poll(&f), -EPROTO);
	channel_stop(&f);
}
END_TEST

START_TEST(init_a_second_time_is_refused)
{
	struct channel_fix f;

	channel_start_open(&f, NULL);
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), -EPROTO);
	ck_assert_uint_eq(f.asked, 1);
	channel_stop(&f);
}
END_TEST

START_TEST(init_without_rings_is_refused_and_may_come_again)
{
	struct channel_fix f;

	channel_start(&f, NULL);
	f.no_ring = true;
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), -EPROTO);
	f.no_ring = false;
	ck_assert_int_eq(channel_init(&f, 20, 0x11), -EPROTO);
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), 0);
	channel_stop(&f);
}
END_TEST

START_TEST(init_without_a_channel_asks_for_no_connection)
{
	struct channel_fix f;

	channel_start(&f, NULL);
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_NONE), 0);
	ck_assert_uint_eq(f.asked, 0);
	ck_assert_int_eq(channel_poll(&f), -EPROTO);
	ck_assert_int_eq(channel_send(&f, "x", 1, 0, NULL, NULL), -EPROTO);
	channel_stop(&f);
}
END_TEST

/* ---- bytes ---- */

START_TEST(bytes_cross_both_ways_as_they_are)
{
	struct channel_fix f;
	uint8_t said[3744];
	uint8_t heard[4096];

	channel_start_open(&f, NULL);
	for (size_t i = 0; i < sizeof(said); i++) {
		said[i] = pattern_byte(i, 7);
	}
	for (uint32_t len = 1; len <= sizeof(said); len += 37) {
		ck_assert_int_eq(channel_send(&f, said, len, 0, NULL, NULL), 0);
		ck_assert_uint_eq(compositor_hears(&f, heard, sizeof(heard), NULL, NULL), len);
		ck_assert_mem_eq(said, heard, len);
		compositor_says(&f, said, len, NULL, 0);
		f.done_count = 0;
		f.tokens = 0;
		ck_assert_uint_eq(channel_receive(&f)->len, len);
		ck_assert_uint_eq(channel_message(&f)->ids, 0);
		ck_assert_mem_eq(channel_message_bytes(&f), said, len);
	}
	channel_stop(&f);
}
END_TEST

START_TEST(several_commands_of_one_submit_are_all_done)
{
	struct channel_fix f;
	uint8_t bytes[16 + 2 * 356];
	struct xd_send send = {.h = {.cmd = XD_SEND, .size = 356}, .len = 4};
	struct xd_header poll = {.cmd = XD_POLL, .size = 16};
	char heard[64];

	channel_start_open(&f, NULL);
	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, &send, sizeof(send));
	memcpy(bytes + 352, "one.", 4);
	memcpy(bytes + 356, &poll, sizeof(poll));
	memcpy(bytes + 372, &send, sizeof(send));
	memcpy(bytes + 724, "two.", 4);
	ck_assert_int_eq(vmm_gpu_channel_submit(f.channel, bytes, sizeof(bytes)), 0);
	ck_assert_uint_eq(compositor_hears(&f, heard, sizeof(heard), NULL, NULL), 8);
	ck_assert_mem_eq(heard, "one.two.", 8);
	channel_stop(&f);
}
END_TEST

START_TEST(what_is_sent_before_the_connection_is_there_waits_for_it)
{
	struct channel_fix f;
	char heard[64];

	channel_start(&f, NULL);
	f.late = true;
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), 0);
	ck_assert_int_eq(channel_send(&f, "first", 5, 0, NULL, NULL), 0);
	ck_assert_int_eq(channel_poll(&f), 0);
	ck_assert_int_eq(channel_send(&f, "second", 6, 0, NULL, NULL), 0);
	ck_assert_int_eq(channel_run(&f), 0);
	vmm_gpu_channel_connected(f.channel, f.other_end);
	f.other_end = -1;
	ck_assert_uint_eq(compositor_hears(&f, heard, sizeof(heard), NULL, NULL), 11);
	ck_assert_mem_eq(heard, "firstsecond", 11);
	compositor_says(&f, "hello", 5, NULL, 0);
	channel_run_until(&f, 1);
	ck_assert_uint_eq(channel_message(&f)->len, 5);
	channel_stop(&f);
}
END_TEST

START_TEST(a_connection_that_comes_too_late_is_closed)
{
	const uint8_t bytes[3000] = {0};
	struct channel_fix f;
	int ret = 0;

	channel_start(&f, NULL);
	f.late = true;
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), 0);
	for (unsigned i = 0; i < 1000 && ret == 0; i++) {
		ret = channel_send(&f, bytes, sizeof(bytes), 0, NULL, NULL);
	}
	ck_assert_int_eq(ret, -ENOSPC);
	vmm_gpu_channel_connected(f.channel, f.other_end);
	f.other_end = -1;
	ck_assert_int_eq(recv(f.compositor, &(char){0}, 1, MSG_DONTWAIT), 0);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	channel_stop(&f);
}
END_TEST

START_TEST(one_message_for_each_poll)
{
	struct channel_fix f;
	uint8_t said[3 * 3744];

	channel_start_open(&f, NULL);
	for (size_t i = 0; i < sizeof(said); i++) {
		said[i] = pattern_byte(i, 1);
	}
	compositor_says(&f, said, sizeof(said), NULL, 0);
	for (size_t at = 0; at < sizeof(said);) {
		size_t len = channel_receive(&f)->len;

		ck_assert_uint_gt(len, 0);
		ck_assert_mem_eq(channel_message_bytes(&f), said + at, len);
		at += len;
		/* Nothing moves until the next one. */
		(void)channel_run(&f);
		ck_assert_mem_eq(channel_message_bytes(&f), said + at - len, len);
	}
	channel_stop(&f);
}
END_TEST

START_TEST(a_source_that_no_poll_wants_is_not_watched)
{
	struct channel_fix f;

	channel_start_open(&f, NULL);
	/* Armed by a POLL that finds nothing, and by one that finds something. */
	ck_assert_int_eq(channel_poll(&f), 0);
	compositor_says(&f, "a", 1, NULL, 0);
	channel_run_until(&f, 1);
	compositor_says(&f, "b", 1, NULL, 0);
	/* It may show once; then it is quiet. */
	ck_assert_int_le(channel_run(&f), 1);
	ck_assert_int_eq(channel_run(&f), 0);
	ck_assert_uint_eq(channel_receive(&f)->len, 1);
	compositor_dies(&f);
	ck_assert_int_le(channel_run(&f), 1);
	ck_assert_int_eq(channel_run(&f), 0);
	channel_stop(&f);
}
END_TEST

/* ---- ends ---- */

START_TEST(no_compositor_is_an_end_of_file)
{
	struct channel_fix f;

	channel_start(&f, NULL);
	(void)close(f.other_end);
	f.other_end = -1;
	ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), 0);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	ck_assert_uint_eq(channel_message(&f)->ids, 0);
	channel_stop(&f);
}
END_TEST

START_TEST(a_killed_compositor_is_one_end_of_file)
{
	struct channel_fix f;

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(channel_poll(&f), 0);
	}
	compositor_says(&f, "last words", 10, NULL, 0);
	compositor_dies(&f);
	channel_run_until(&f, 2);
	ck_assert_uint_eq(channel_message(&f)->len, 0);
	/* The third waits, and costs nothing. */
	ck_assert_int_eq(channel_run(&f), 0);
	ck_assert_uint_eq(f.done_count, 2);
	ck_assert_int_eq(channel_send(&f, "anybody?", 8, 0, NULL, NULL), 0);
	ck_assert_int_eq(channel_run(&f), 0);
	ck_assert_uint_eq(f.done_count, 2);
	channel_stop(&f);
}
END_TEST

START_TEST(last_words_arrive_although_nobody_listens)
{
	struct channel_fix f;

	channel_start_open(&f, NULL);
	compositor_says(&f, "you made a mistake", 18, NULL, 0);
	compositor_dies(&f);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(channel_send(&f, "more", 4, 0, NULL, NULL), 0);
	}
	ck_assert_int_eq(channel_run(&f), 0);
	ck_assert_uint_eq(channel_receive(&f)->len, 18);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	channel_stop(&f);
}
END_TEST

START_TEST(the_ninth_poll_is_not_parked)
{
	struct channel_fix f;

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < GPU_PARKED_MAX; i++) {
		ck_assert_int_eq(channel_poll(&f), 0);
	}
	ck_assert_int_eq(channel_poll(&f), -ENOSPC);
	compositor_says(&f, "a", 1, NULL, 0);
	channel_run_until(&f, 1);
	ck_assert_int_eq(channel_poll(&f), 0);
	channel_stop(&f);
}
END_TEST

START_TEST(a_ring_that_is_taken_away_lets_all_polls_go)
{
	struct channel_fix f;

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(channel_poll(&f), 0);
	}
	f.no_ring = true;
	compositor_says(&f, "a", 1, NULL, 0);
	channel_run_until(&f, 3);
	/* The compositor sees that the client is gone. */
	ck_assert_int_eq(recv(f.compositor, &(char){0}, 1, MSG_DONTWAIT), 0);
	channel_stop(&f);
}
END_TEST

START_TEST(a_compositor_that_does_not_read_loses_the_client_in_the_end)
{
	struct channel_fix f;
	uint8_t bytes[3744] = {0};
	size_t sent = 0;
	int ret = 0;

	channel_start_open(&f, NULL);
	while (ret == 0) {
		ret = channel_send(&f, bytes, sizeof(bytes), 0, NULL, NULL);
		sent += sizeof(bytes);
		ck_assert_uint_lt(sent, 4u << 20);
	}
	ck_assert_int_eq(ret, -ENOSPC);
	ck_assert_uint_gt(sent, 900u << 10);
	ck_assert_int_eq(channel_run(&f), 0);
	ck_assert_uint_eq(channel_receive(&f)->len, 0);
	channel_stop(&f);
}
END_TEST

START_TEST(a_compositor_that_reads_late_gets_everything)
{
	struct channel_fix f;
	static uint8_t heard[700 << 10];
	uint8_t bytes[3500];
	size_t got = 0;

	channel_start_open(&f, NULL);
	for (size_t at = 0; at < sizeof(heard); at += sizeof(bytes)) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			bytes[i] = pattern_byte(at + i, 3);
		}
		if (sizeof(heard) - at >= sizeof(bytes)) {
			ck_assert_int_eq(channel_send(&f, bytes, sizeof(bytes), 0, NULL, NULL), 0);
		}
	}
	while (got < sizeof(heard) / sizeof(bytes) * sizeof(bytes)) {
		size_t n = compositor_hears(&f, heard + got, 10000, NULL, NULL);

		got += n;
		(void)vmm_loop_dispatch(f.loop, n > 0 ? 0 : 5000);
	}
	for (size_t i = 0; i < got; i++) {
		SUITE_REQUIRE(heard[i] == pattern_byte(i, 3));
	}
	ck_assert_int_eq(channel_run(&f), 0);
	channel_stop(&f);
}
END_TEST

/* ---- the stream of commands ---- */

START_TEST(every_command_cut_at_every_byte_is_refused_or_done)
{
	const uint8_t cmds[] = {XD_INIT, XD_GET_IMAGE, XD_POLL, XD_SEND, XD_RECEIVE,
				XD_READ, XD_WRITE,     200,     0};
	struct channel_fix f;
	uint8_t bytes[400];
	struct xd_header h;

	for (unsigned open = 0; open < 2; open++) {
		for (size_t size = 0; size <= sizeof(bytes); size++) {
			channel_start(&f, NULL);
			if (open) {
				ck_assert_int_eq(channel_init(&f, 20, XD_CHANNEL_WAYLAND), 0);
			}
			memset(bytes, 0x01, sizeof(bytes));
			h = (struct xd_header){.cmd = cmds[_i], .size = (uint16_t)size};
			memcpy(bytes, &h, sizeof(h));
			/* What it says, less, and more than there is. */
			(void)vmm_gpu_channel_submit(f.channel, bytes, size);
			h.size = 400;
			memcpy(bytes, &h, sizeof(h));
			if (size > 0 && size < 400) {
				SUITE_REQUIRE(vmm_gpu_channel_submit(f.channel, bytes, size) ==
					      -EPROTO);
			}
			channel_stop(&f);
		}
	}
}
END_TEST

/* An endless loop in another implementation. */
START_TEST(hostile_command_of_size_0_ends_the_stream)
{
	uint8_t bytes[64] = {XD_POLL};
	struct channel_fix f;

	channel_start_open(&f, NULL);
	for (uint8_t size = 0; size < 8; size++) {
		bytes[2] = size;
		ck_assert_int_eq(vmm_gpu_channel_submit(f.channel, bytes, sizeof(bytes)), -EPROTO);
	}
	channel_stop(&f);
}
END_TEST

START_TEST(send_with_numbers_that_do_not_fit_is_refused)
{
	struct xd_send send = {.h = {.cmd = XD_SEND, .size = 352 + 4}, .len = 4};
	struct channel_fix f;
	uint8_t bytes[356] = {0};

	channel_start_open(&f, NULL);
	for (unsigned i = 0; i < 4; i++) {
		struct xd_send bad = send;

		bad.len = i == 0 ? 5 : i == 1 ? UINT32_MAX : i == 2 ? 0 : 4;
		bad.ids = i == 2 ? 1 : i == 3 ? 29 : 0;
		memcpy(bytes, &bad, sizeof(bad));
		ck_assert_int_eq(vmm_gpu_channel_submit(f.channel, bytes, sizeof(bytes)), -EPROTO);
	}
	ck_assert_uint_eq(compositor_hears(&f, bytes, sizeof(bytes), NULL, NULL), 0);
	memcpy(bytes, &send, sizeof(send));
	ck_assert_int_eq(vmm_gpu_channel_submit(f.channel, bytes, sizeof(bytes)), 0);
	ck_assert_uint_eq(compositor_hears(&f, bytes, sizeof(bytes), NULL, NULL), 4);
	channel_stop(&f);
}
END_TEST

/* ---- pictures ---- */

static int get_image(struct channel_fix *f, uint32_t width, uint32_t height, const char *fourcc,
		     struct xd_image *answer)
{
	struct xd_get_image cmd = {
		.h = {.cmd = XD_GET_IMAGE, .size = sizeof(cmd)},
		.width = width,
		.height = height,
	};
	int ret;

	memcpy(&cmd.fourcc, fourcc, 4);
	memset(f->query, 0xee, sizeof(f->query));
	ret = vmm_gpu_channel_submit(f->channel, (const void *)&cmd, sizeof(cmd));
	memcpy(answer, f->query, sizeof(*answer));
	return ret;
}

START_TEST(image_memory_is_lines_without_gaps)
{
	struct channel_fix f;
	struct xd_image answer;
	uint32_t id;

	channel_start_open(&f, NULL);
	ck_assert_int_eq(get_image(&f, 70000, 1, "R8  ", &answer), 0);
	ck_assert_uint_eq(answer.strides[0], 70000);
	ck_assert_uint_eq(answer.size, 73728);
	ck_assert_uint_eq(answer.offsets[0] | answer.strides[1] | answer.modifier, 0);
	ck_assert_uint_ge(answer.blob_id, 2);
	id = answer.blob_id;
	ck_assert_int_eq(get_image(&f, 641, 480, "XR24", &answer), 0);
	ck_assert_uint_eq(answer.strides[0], 641 * 4);
	ck_assert_uint_eq(answer.size, 1232896);
	ck_assert_uint_ne(answer.blob_id, id);
	/* The same question, the same answer. */
	ck_assert_int_eq(get_image(&f, 70000, 1, "R8  ", &answer), 0);
	ck_assert_uint_eq(answer.blob_id, id);
	channel_stop(&f);
}
END_TEST

START_TEST(image_that_makes_no_sense_is_refused)
{
	struct channel_fix f;
	struct xd_image answer;

	channel_start_open(&f, NULL);
	ck_assert_int_eq(get_image(&f, 0, 1, "R8  ", &answer), -EPROTO);
	ck_assert_int_eq(get_image(&f, 1, 0, "R8  ", &answer), -EPROTO);
	ck_assert_int_eq(get_image(&f, 64, 64, "NV12", &answer), -EPROTO);
	channel_stop(&f);
}
END_TEST

/* CVE-2026-3886: the product of three numbers in 32 bits. */
START_TEST(hostile_image_size_that_wraps_is_refused)
{
	struct channel_fix f;
	struct xd_image answer;

	channel_start_open(&f, NULL);
	ck_assert_int_eq(get_image(&f, 0x10000, 0x10000, "XR24", &answer), -EPROTO);
	ck_assert_int_eq(get_image(&f, 0x40000001, 1, "XR24", &answer), -EPROTO);
	ck_assert_int_eq(get_image(&f, UINT32_MAX, UINT32_MAX, "XR24", &answer), -EPROTO);
	ck_assert_int_eq(get_image(&f, UINT32_MAX, 1, "R8  ", &answer), -EPROTO);
	ck_assert_uint_eq(answer.blob_id, 0xeeeeeeee);
	channel_stop(&f);
}
END_TEST

START_TEST(more_templates_than_items_are_refused)
{
	struct channel_fix f;
	struct xd_image answer;

	channel_start_open(&f, NULL);
	for (uint32_t i = 0; i < GPU_ITEMS_MAX; i++) {
		SUITE_REQUIRE(get_image(&f, i + 1, 1, "R8  ", &answer) == 0);
	}
	ck_assert_int_eq(get_image(&f, 1, 2, "R8  ", &answer), -ENOSPC);
	ck_assert_int_eq(get_image(&f, 1, 1, "R8  ", &answer), 0);
	channel_stop(&f);
}
END_TEST

START_TEST(a_template_gives_new_memory_each_time)
{
	struct channel_fix f;
	struct xd_image answer;
	uint8_t byte = 1;
	int fds[2];

	channel_start_open(&f, NULL);
	ck_assert_int_eq(get_image(&f, 5000, 1, "R8  ", &answer), 0);
	for (unsigned i = 0; i < 2; i++) {
		fds[i] = vmm_gpu_channel_take_blob(f.channel, answer.blob_id, answer.size);
		ck_assert_int_ge(fds[i], 0);
	}
	ck_assert_uint_eq(f.budget.used, 2 * 8192);
	ck_assert_int_eq(pwrite(fds[0], "x", 1, 8191), 1);
	ck_assert_int_eq(pread(fds[1], &byte, 1, 8191), 1);
	ck_assert_uint_eq(byte, 0);
	/* Nobody can shrink or grow it. */
	ck_assert_int_ne(ftruncate(fds[0], 0), 0);
	ck_assert_int_ne(ftruncate(fds[0], 8193), 0);
	ck_assert_int_eq(vmm_gpu_channel_take_blob(f.channel, answer.blob_id, answer.size + 1),
			 -EPROTO);
	ck_assert_int_eq(vmm_gpu_channel_take_blob(f.channel, answer.blob_id, 0), -EPROTO);
	ck_assert_int_eq(vmm_gpu_channel_take_blob(f.channel, answer.blob_id + 1, 1), -ENOENT);
	ck_assert_int_eq(
		vmm_gpu_channel_take_blob(f.channel, answer.blob_id | UINT64_C(1) << 32, 1),
		-ENOENT);
	vmm_gpu_close_fds(fds, 2);
	f.budget.used = 0;
	channel_stop(&f);
}
END_TEST

START_TEST(templates_stop_at_the_budget)
{
	struct channel_fix f;
	struct xd_image answer;
	int fd;

	channel_start_open(&f, NULL);
	ck_assert_int_eq(get_image(&f, 33u << 20, 1, "R8  ", &answer), 0);
	fd = vmm_gpu_channel_take_blob(f.channel, answer.blob_id, answer.size);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vmm_gpu_channel_take_blob(f.channel, answer.blob_id, answer.size),
			 -ENOSPC);
	(void)close(fd);
	f.budget.used = 0;
	channel_stop(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{init_in_each_size_that_is_in_use_opens_a_channel, 4},
		{init_in_another_size_is_refused, 1},
		{init_a_second_time_is_refused, 1},
		{init_without_rings_is_refused_and_may_come_again, 1},
		{init_without_a_channel_asks_for_no_connection, 1},
		{bytes_cross_both_ways_as_they_are, 1},
		{several_commands_of_one_submit_are_all_done, 1},
		{what_is_sent_before_the_connection_is_there_waits_for_it, 1},
		{a_connection_that_comes_too_late_is_closed, 1},
		{one_message_for_each_poll, 1},
		{a_source_that_no_poll_wants_is_not_watched, 1},
		{no_compositor_is_an_end_of_file, 1},
		{a_killed_compositor_is_one_end_of_file, 1},
		{last_words_arrive_although_nobody_listens, 1},
		{the_ninth_poll_is_not_parked, 1},
		{a_ring_that_is_taken_away_lets_all_polls_go, 1},
		{a_compositor_that_does_not_read_loses_the_client_in_the_end, 1},
		{a_compositor_that_reads_late_gets_everything, 1},
		{every_command_cut_at_every_byte_is_refused_or_done, 9},
		{hostile_command_of_size_0_ends_the_stream, 1},
		{send_with_numbers_that_do_not_fit_is_refused, 1},
		{image_memory_is_lines_without_gaps, 1},
		{image_that_makes_no_sense_is_refused, 1},
		{hostile_image_size_that_wraps_is_refused, 1},
		{more_templates_than_items_are_refused, 1},
		{a_template_gives_new_memory_each_time, 1},
		{templates_stop_at_the_budget, 1},
	};

	return suite_run_looped("gpu_channel", tests, sizeof(tests) / sizeof(tests[0]));
}
