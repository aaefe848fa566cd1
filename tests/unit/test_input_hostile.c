/* SPDX-License-Identifier: MIT */
/* virtio-input between a source and a driver neither of which can be trusted. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fdcount.h"
#include "test_input_fix.h"

/* ---- a hostile source ---- */

START_TEST(input_packets_that_make_no_sense_are_refused)
{
	const struct vmm_input_event bad[] = {
		event(EV_KEY, 0, 1),           event(EV_KEY, VMM_INPUT_KEY_MAX + 1, 1),
		event(EV_KEY, 0xffff, 1),      event(EV_KEY, BTN_LEFT, 1),
		event(EV_KEY, KEY_A, 2),       event(EV_KEY, KEY_A, 0xffffffff),
		event(EV_SYN, SYN_DROPPED, 0), event(EV_SYN, SYN_REPORT, 1),
		event(EV_ABS, ABS_X, 1),       event(EV_REL, REL_WHEEL, 1),
		event(EV_LED, LED_CAPSL, 1),   event(EV_REP, REP_DELAY, 1),
		event(EV_MSC, MSC_SCAN, 1),    event(0xffff, 0xffff, 0xffffffff),
	};
	uint64_t refused = 0;
	struct fixture f;

	set_up(&f, VMM_INPUT_KEYBOARD);
	offer(&f, 20);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		send_events(&f, 2, bad[i], SYN);
		send_events(&f, 3, event(EV_KEY, KEY_A, 1), bad[i], SYN);
		refused += 2;
		ck_assert_uint_eq(counter(&f, "packets_refused"), refused);
	}
	/* No end of the group. */
	send_events(&f, 1, event(EV_KEY, KEY_A, 1));
	send_events(&f, 3, event(EV_KEY, KEY_A, 1), SYN, event(EV_KEY, KEY_A, 0));
	ck_assert_uint_eq(counter(&f, "packets_refused"), refused + 2);
	expect_none(&f);
	/* None of which pressed a key. */
	press(&f, KEY_B, 1);
	expect_key(&f, KEY_B, 1);
	expect_none(&f);
	tear_down(&f);
}
END_TEST

START_TEST(input_tablet_refuses_what_is_out_of_range)
{
	const struct vmm_input_event bad[] = {
		event(EV_ABS, ABS_X, VMM_INPUT_ABS_MAX + 1),
		event(EV_ABS, ABS_Y, 0xffffffff),
		event(EV_ABS, ABS_Z, 0),
		event(EV_KEY, KEY_A, 1),
		event(EV_KEY, BTN_TASK + 1, 1),
		event(EV_REL, REL_X, 1),
		event(EV_REL, REL_WHEEL, 0x8000),
		event(EV_REL, REL_WHEEL, 0xffff7fff),
		event(EV_REP, 0, 0),
	};
	struct fixture f;

	set_up(&f, VMM_INPUT_TABLET);
	offer(&f, 20);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		send_events(&f, 2, bad[i], SYN);
		ck_assert_uint_eq(counter(&f, "packets_refused"), i + 1);
	}
	expect_none(&f);
	send_events(&f, 3, event(EV_REL, REL_WHEEL, 0x7fff), event(EV_REL, REL_HWHEEL, 0xffff8000),
		    SYN);
	expect(&f, EV_REL, REL_WHEEL, 0x7fff);
	tear_down(&f);
}
END_TEST

START_TEST(input_packets_of_every_length)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX + 40];
	uint64_t refused = 0;
	struct fixture f;

	set_up(&f, VMM_INPUT_TABLET);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		events[i] = SYN;
	}
	for (size_t len = 1; len <= sizeof(events); len++) {
		struct vmm_input_event got;
		bool good = len % EVENT == 0 && len / EVENT <= VMM_INPUT_EVENTS_MAX;

		offer(&f, 64 - fakedrv_outstanding(f.drv, EVENTQ));
		send_bytes(&f, events, len);
		refused += !good;
		ck_assert_uint_eq(counter(&f, "packets_refused"), refused);
		for (size_t i = 0; good && i < len / EVENT; i++) {
			ck_assert(take(&f, &got));
		}
		expect_none(&f);
	}
	tear_down(&f);
}
END_TEST

START_TEST(input_descriptors_of_the_source_are_not_kept)
{
	struct vmm_input_event events[] = {event(EV_KEY, KEY_A, 1), SYN};
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {events, sizeof(events)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	struct fixture f;
	unsigned before;

	set_up(&f, VMM_INPUT_KEYBOARD);
	offer(&f, 64);
	before = fdcount();
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	for (unsigned i = 0; i < 20; i++) {
		memcpy(CMSG_DATA(&control.header), &f.ours, sizeof(int));
		ck_assert_int_eq(sendmsg(f.ours, &msg, 0), (ssize_t)sizeof(events));
		fakedrv_run(f.drv);
	}
	ck_assert_uint_eq(fdcount(), before);
	tear_down(&f);
}
END_TEST

START_TEST(input_source_that_never_stops_leaves_the_loop_turns)
{
	struct vmm_input_event events[] = {event(EV_ABS, ABS_X, 1), SYN};
	struct fixture f;
	unsigned sent = 0;

	set_up(&f, VMM_INPUT_TABLET);
	while (send(f.ours, events, sizeof(events), 0) == (ssize_t)sizeof(events)) {
		sent++;
	}
	ck_assert_uint_gt(sent, 64);
	ck_assert_int_ge(vmm_loop_dispatch(fakedrv_loop(f.drv), 0), 1);
	ck_assert_uint_eq(counter(&f, "events_dropped"), 64 * 2);
	tear_down(&f);
}
END_TEST

/* ---- a hostile driver ---- */

START_TEST(input_buffers_of_odd_shapes)
{
	struct fixture f;
	uint8_t *memory;
	struct fakedrv_used used;

	set_up(&f, VMM_INPUT_TABLET);
	memory = fakedrv_alloc(f.drv, 256);
	struct fakedrv_buf small = FAKEDRV_IN(memory, 7);
	struct fakedrv_buf none = FAKEDRV_OUT(memory + 16, 8);
	struct fakedrv_buf pieces[] = {FAKEDRV_OUT(memory + 32, 8), FAKEDRV_IN(memory + 48, 3),
				       FAKEDRV_IN(memory + 64, 100)};

	ck_assert_int_ge(fakedrv_add(f.drv, EVENTQ, &small, 1), 0);
	ck_assert_int_ge(fakedrv_add(f.drv, EVENTQ, &none, 1), 0);
	ck_assert_int_ge(fakedrv_add(f.drv, EVENTQ, pieces, 3), 0);
	send_events(&f, 3, SYN, event(EV_ABS, ABS_X, 0x1122), SYN);
	ck_assert(fakedrv_used(f.drv, EVENTQ, &used));
	ck_assert_uint_eq(used.len, 0);
	ck_assert(fakedrv_used(f.drv, EVENTQ, &used));
	ck_assert_uint_eq(used.len, 0);
	ck_assert(fakedrv_used(f.drv, EVENTQ, &used));
	ck_assert_uint_eq(used.len, EVENT);
	for (unsigned i = 0; i < 48; i++) {
		ck_assert_uint_eq(memory[i], 0);
	}
	ck_assert(!fakedrv_needs_reset(f.drv));
	tear_down(&f);
}
END_TEST

START_TEST(input_buffer_outside_memory_asks_for_a_reset)
{
	struct fixture f;
	unsigned queue = _i == 0 ? EVENTQ : STATUSQ;

	set_up(&f, VMM_INPUT_KEYBOARD);
	fakedrv_ring(f.drv, queue)->desc[0] = (struct fakedrv_desc){
		.addr = MEMFIX_HOLE, .len = 8, .flags = _i == 0 ? FAKEDRV_DESC_WRITE : 0};
	fakedrv_offer(f.drv, queue, 0);
	fakedrv_offer(f.drv, queue, 0);
	fakedrv_kick(f.drv, queue);
	press(&f, KEY_A, 1);
	press(&f, KEY_A, 0);
	ck_assert(fakedrv_needs_reset(f.drv));
	fakedrv_reset(f.drv);
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	offer(&f, 2);
	press(&f, KEY_B, 1);
	expect_key(&f, KEY_B, 1);
	tear_down(&f);
}
END_TEST

START_TEST(input_queue_that_was_not_enabled_asks_for_a_reset)
{
	struct fakedrv_options options = {.skip_queues = 1u << _i};
	struct fixture f;

	set_up_on(&f, VMM_INPUT_KEYBOARD);
	ck_assert_int_eq(fakedrv_start(f.drv, &options), -EIO);
	tear_down(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{input_packets_that_make_no_sense_are_refused, 1},
		{input_tablet_refuses_what_is_out_of_range, 1},
		{input_packets_of_every_length, 1},
		{input_descriptors_of_the_source_are_not_kept, 1},
		{input_source_that_never_stops_leaves_the_loop_turns, 1},
		{input_buffers_of_odd_shapes, 1},
		{input_buffer_outside_memory_asks_for_a_reset, 2},
		{input_queue_that_was_not_enabled_asks_for_a_reset, 2},
	};

	return suite_run_looped("input_hostile", tests, sizeof(tests) / sizeof(tests[0]));
}
