/* SPDX-License-Identifier: MIT */
/*
 * Rings of a back end: what makes them ready, when the device starts and stops, where they go on,
 * and what a hostile front end can do to them. With the testdev and with virtio-rng.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmm/dev/rng.h>

#include "fdcount.h"
#include "suite.h"
#include "test_vhost_fix.h"

/* Serves head on a queue and looks for the answer. */
static void echo_one(struct fix *f, unsigned queue, uint16_t head)
{
	fix_offer(f, queue, head);
	fix_kick(f, queue);
	ck_assert_int_eq(fix_used(f, queue), head);
}

static void prepare(struct fix *f, uint64_t protocol)
{
	fix_init(f);
	f->dev.echo = true;
	fix_negotiate(f, FIX_FEATURES, protocol);
	fix_give_memory(f);
}

/* ---- starting ---- */

/* The five things that make a ring ready, in every order, and nothing before the last. */
START_TEST(ring_is_ready_when_the_last_thing_is_there_whatever_the_order)
{
	unsigned order[5] = {0, 1, 2, 3, 4};
	unsigned n = (unsigned)_i;
	struct vhost_msg msg;
	struct fix f;

	/* The n-th permutation. */
	for (unsigned i = 0; i < 5; i++) {
		unsigned at = i + n % (5 - i);
		unsigned swap = order[i];

		order[i] = order[at];
		order[at] = swap;
		n /= 5 - i;
	}
	prepare(&f, FIX_PROTOCOL);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert(!f.b->active);
		switch (order[i]) {
		case 0:
			ck_assert_int_eq(fix_tell_state(&f, VHOST_USER_SET_VRING_NUM, 1, FIX_SIZE),
					 0);
			break;
		case 1:
			fix_addr(&f, 1, &msg);
			ck_assert_int_eq(fix_tell(&f, &msg), 0);
			break;
		case 2:
			ck_assert_int_eq(
				fix_tell_fd(&f, VHOST_USER_SET_VRING_KICK, 1, f.rings[1].kick), 0);
			break;
		case 3:
			ck_assert_int_eq(fix_tell_state(&f, VHOST_USER_SET_VRING_ENABLE, 1, 1), 0);
			break;
		default:
			fix_driver_ok(&f);
			break;
		}
	}
	ck_assert(f.b->active);
	ck_assert_ptr_null(testdev_queue(&f.dev, 0));
	echo_one(&f, 1, 5);
	fix_finish(&f);
}
END_TEST

START_TEST(ring_used_before_anybody_listened_is_served_at_the_start)
{
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	fix_offer(&f, 0, 7);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	ck_assert_int_eq(fix_used(&f, 0), -1);
	fix_driver_ok(&f);
	ck_assert_int_eq(fix_used(&f, 0), 7);
	ck_assert_uint_ge(fix_count(f.rings[0].call), 1);
	ck_assert(!f.dev.active.resumed);
	fix_finish(&f);
}
END_TEST

/* One that served it before used an entry, and ended before it could say so. */
START_TEST(driver_is_interrupted_when_a_ring_gets_another_back_end)
{
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	ck_assert_uint_eq(fix_count(f.rings[0].call), 0);
	fix_driver_ok(&f);
	ck_assert_uint_eq(fix_count(f.rings[0].call), 1);
	/* And when there is a line at last, which there was not. */
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_CALL, VHOST_USER_VRING_NOFD, -1), 0);
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_CALL, 0, f.rings[0].call), 0);
	ck_assert_uint_eq(fix_count(f.rings[0].call), 1);
	/* Nor may the one before it have been the driver's. */
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_CALL, 0, f.rings[0].call), 0);
	ck_assert_uint_eq(fix_count(f.rings[0].call), 1);
	fix_finish(&f);
}
END_TEST

START_TEST(rings_that_are_looked_at_need_no_kick)
{
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	f.b->config.poll_ns = UINT64_C(20000000);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	fix_driver_ok(&f);
	fix_offer(&f, 0, 3);
	ck_assert_int_gt(vmm_loop_dispatch(f.loop, 10000), 0);
	ck_assert_int_eq(fix_used(&f, 0), 3);
	/* It has gone to sleep: from now on it takes a kick. */
	ck_assert_int_eq(vmm_loop_dispatch(f.loop, 1), 0);
	fix_offer(&f, 0, 4);
	ck_assert_int_eq(fix_used(&f, 0), -1);
	/* Nothing of a ring that has stopped is looked at. */
	ck_assert_int_eq(fix_get_base(&f, 0), 1);
	ck_assert_int_eq(vmm_loop_dispatch(f.loop, 1), 0);
	ck_assert_int_eq(fix_used(&f, 0), -1);
	/* The next start serves it, and looks again. */
	fix_give_ring(&f, 0, 1);
	fix_enable(&f, 0, true);
	ck_assert_int_eq(fix_used(&f, 0), 4);
	fix_offer(&f, 0, 5);
	ck_assert_int_gt(vmm_loop_dispatch(f.loop, 10000), 0);
	ck_assert_int_eq(fix_used(&f, 0), 5);
	fix_finish(&f);
}
END_TEST

START_TEST(without_status_the_first_kick_of_a_ready_ring_starts)
{
	struct fix f;

	prepare(&f, FIX_NO_STATUS);
	fix_kick(&f, 0);
	fix_give_ring(&f, 0, 0);
	fix_give_ring(&f, 1, 0);
	/* Kicked, but not ready. */
	ck_assert(!f.b->active);
	fix_enable(&f, 1, true);
	fix_run(&f);
	ck_assert(!f.b->active);
	fix_offer(&f, 1, 3);
	fix_kick(&f, 1);
	ck_assert(f.b->active);
	ck_assert_int_eq(fix_used(&f, 1), 3);
	/* The kick of before was still there. */
	fix_enable(&f, 0, true);
	fix_run(&f);
	ck_assert_uint_eq(f.dev.activated, 2);
	echo_one(&f, 0, 1);
	echo_one(&f, 1, 2);
	fix_finish(&f);
}
END_TEST

START_TEST(without_protocol_features_rings_are_enabled)
{
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_negotiate(&f, FIX_FEATURES & ~VHOST_USER_F_PROTOCOL_FEATURES, 0);
	fix_give_memory(&f);
	fix_give_ring(&f, 2, 0);
	ck_assert(!f.b->active);
	echo_one(&f, 2, 4);
	fix_finish(&f);
}
END_TEST

START_TEST(features_without_version_1_do_not_start)
{
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, VHOST_USER_F_PROTOCOL_FEATURES, FIX_PROTOCOL);
	fix_give_memory(&f);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	fix_driver_ok(&f);
	ck_assert(!f.b->active);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 0x4f);
	ck_assert_uint_eq(fix_count(f.rings[0].err), 1);
	/* A reset, and all is well. */
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 0);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_FEATURES, FIX_FEATURES), 0);
	fix_driver_ok(&f);
	ck_assert(f.b->active);
	fix_finish(&f);
}
END_TEST

/* As devices do that want a pair of rings: with one it is not a failure. */
START_TEST(device_that_refuses_too_few_rings_waits_for_more)
{
	unsigned before;
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	fix_driver_ok(&f);
	f.dev.activate_result = -EPROTO;
	for (unsigned i = 0; i < 3; i++) {
		fix_give_ring(&f, i, 0);
		before = f.dev.activated;
		fix_enable(&f, i, true);
		ck_assert_uint_eq(f.dev.activated, before + 1);
		ck_assert(!f.b->active && !f.b->failed);
	}
	fix_give_ring(&f, 3, 0);
	f.dev.activate_result = _i == 0 ? 0 : -EPROTO;
	fix_enable(&f, 3, true);
	ck_assert(f.b->active == (_i == 0));
	/* With all rings there is nothing left to wait for. */
	ck_assert(f.b->failed == (_i == 1));
	fix_finish(&f);
}
END_TEST

START_TEST(device_that_cannot_start_needs_a_reset)
{
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	f.dev.activate_result = -ENOMEM;
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	fix_driver_ok(&f);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 0x4f);
	ck_assert_uint_eq(fix_count(f.rings[0].err), 1);
	f.dev.activate_result = 0;
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	fix_driver_ok(&f);
	echo_one(&f, 0, 0);
	fix_finish(&f);
}
END_TEST

/* ---- stopping ---- */

START_TEST(get_vring_base_stops_one_ring_and_the_others_go_on)
{
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_start(&f, 3);
	for (unsigned i = 0; i < 5; i++) {
		echo_one(&f, 0, (uint16_t)i);
		echo_one(&f, 1, (uint16_t)i);
	}
	ck_assert_int_eq(fix_get_base(&f, 1), 5);
	ck_assert(f.b->active);
	ck_assert_ptr_null(testdev_queue(&f.dev, 1));
	ck_assert(f.dev.active.resumed);
	echo_one(&f, 0, 9);
	/* Nothing of the stopped ring is looked at. */
	fix_offer(&f, 1, 3);
	fix_kick(&f, 1);
	ck_assert_int_eq(fix_used(&f, 1), -1);
	/* The same answer again, and for one that never ran. */
	ck_assert_int_eq(fix_get_base(&f, 1), 5);
	ck_assert_int_eq(fix_get_base(&f, 2), 0);
	ck_assert_int_eq(fix_get_base(&f, 3), 0);
	/* Given back, it goes on where it was. */
	fix_give_ring(&f, 1, 5);
	ck_assert_int_eq(fix_used(&f, 1), 3);
	ck_assert_int_eq(fix_get_base(&f, 1), 6);
	ck_assert_int_eq(fix_get_base(&f, 0), 6);
	ck_assert(!f.b->active);
	fix_finish(&f);
}
END_TEST

START_TEST(chains_in_flight_are_given_back_by_the_base)
{
	struct fix f;

	fix_init(&f);
	fix_start(&f, 1);
	for (uint16_t head = 0; head < 4; head++) {
		fix_offer(&f, 0, head);
	}
	ck_assert_int_eq(vmm_virtq_pop(testdev_queue(&f.dev, 0), &f.dev.chain), 1);
	ck_assert_int_eq(vmm_virtq_push(testdev_queue(&f.dev, 0), 0, 0), 0);
	ck_assert_int_eq(vmm_virtq_pop(testdev_queue(&f.dev, 0), &f.dev.chain), 1);
	ck_assert_int_eq(vmm_virtq_pop(testdev_queue(&f.dev, 0), &f.dev.chain), 1);
	ck_assert_int_eq(fix_get_base(&f, 0), 1);
	ck_assert_int_eq(fix_used(&f, 0), 0);
	fix_finish(&f);
}
END_TEST

/* Answered out of order and without a record there is no such base. */
START_TEST(base_that_does_not_exist_ends_the_connection)
{
	struct fix f;

	fix_init(&f);
	fix_start(&f, 1);
	fix_offer(&f, 0, 0);
	fix_offer(&f, 0, 1);
	ck_assert_int_eq(vmm_virtq_pop(testdev_queue(&f.dev, 0), &f.dev.chain), 1);
	ck_assert_int_eq(vmm_virtq_pop(testdev_queue(&f.dev, 0), &f.dev.chain), 1);
	ck_assert_int_eq(vmm_virtq_push(testdev_queue(&f.dev, 0), 1, 0), 0);
	ck_assert_int_eq(fix_get_base(&f, 0), -1);
	ck_assert(fix_is_closed(&f));
	ck_assert_int_eq(f.why, -EBUSY);
	fix_finish(&f);
}
END_TEST

START_TEST(disabled_ring_stands_still_until_enabled)
{
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_start(&f, 2);
	echo_one(&f, 0, 1);
	fix_enable(&f, 0, false);
	fix_offer(&f, 0, 2);
	fix_kick(&f, 0);
	ck_assert_int_eq(fix_used(&f, 0), -1);
	echo_one(&f, 1, 2);
	fix_enable(&f, 0, true);
	ck_assert_int_eq(fix_used(&f, 0), 2);
	ck_assert_int_eq(fix_tell_state(&f, VHOST_USER_SET_VRING_ENABLE, 0, 2), 1);
	fix_enable(&f, 0, false);
	fix_enable(&f, 1, false);
	ck_assert(!f.b->active);
	fix_finish(&f);
}
END_TEST

START_TEST(status_of_0_stops_and_the_places_are_kept)
{
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_start(&f, 2);
	echo_one(&f, 0, 1);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	ck_assert_uint_eq(f.dev.resets, 1);
	fix_offer(&f, 0, 2);
	fix_kick(&f, 0);
	ck_assert_int_eq(fix_used(&f, 0), -1);
	/* As front ends do that ask only then. */
	ck_assert_int_eq(fix_get_base(&f, 0), 1);
	ck_assert_int_eq(fix_get_base(&f, 1), 0);
	fix_give_ring(&f, 0, 1);
	fix_driver_ok(&f);
	ck_assert_int_eq(fix_used(&f, 0), 2);
	ck_assert(f.dev.active.resumed);
	fix_finish(&f);
}
END_TEST

START_TEST(status_bits_come_and_do_not_go)
{
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 8), 0);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 15), 0);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 11), 1);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0x10f), 1);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 15);
	/* The device's own bit. */
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0x4f), 0);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 15);
	fix_finish(&f);
}
END_TEST

START_TEST(reset_device_forgets_rings_and_what_is_in_flight)
{
	struct fix f;
	struct vhost_msg msg;
	struct vhost_msg reply;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	vmm_vhost_msg_init(&msg, VHOST_USER_GET_INFLIGHT_FD, 24);
	msg.payload.inflight.queue_count = 2;
	msg.payload.inflight.queue_size = FIX_SIZE;
	ck_assert_int_eq(fix_ask(&f, &msg, &reply), 0);
	vmm_vhost_msg_close_fds(&reply);
	fix_give_memory(&f);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	fix_driver_ok(&f);
	fix_offer(&f, 0, 1);
	ck_assert_int_eq(vmm_virtq_pop(testdev_queue(&f.dev, 0), &f.dev.chain), 1);
	ck_assert_int_eq(fix_tell_plain(&f, VHOST_USER_RESET_DEVICE), 0);
	ck_assert_uint_eq(f.dev.resets, 1);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 0);
	ck_assert_int_eq(fix_get_base(&f, 0), 0);
	for (size_t i = 0; i < f.b->record_len; i++) {
		SUITE_REQUIRE(f.b->record[i] == 0);
	}
	/* A driver that starts over, on cleared rings. */
	memset(f.rings[0].desc, 0, 0x10000);
	f.dev.echo = true;
	fix_give_ring(&f, 0, 0);
	fix_driver_ok(&f);
	ck_assert(!f.b->active);
	fix_enable(&f, 0, true);
	ck_assert(!f.dev.active.resumed);
	echo_one(&f, 0, 3);
	fix_finish(&f);
}
END_TEST

/* ---- failure ---- */

START_TEST(broken_ring_is_told_by_every_error_eventfd_and_by_status)
{
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_start(&f, 2);
	/* A head outside the ring. */
	f.rings[0].avail[2] = FIX_SIZE;
	f.rings[0].avail[1] = 1;
	fix_kick(&f, 0);
	ck_assert_uint_eq(fix_count(f.rings[0].err), 1);
	ck_assert_uint_eq(fix_count(f.rings[1].err), 1);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 0x4f);
	/* Nothing more until a reset, not even by another ring. */
	fix_offer(&f, 1, 2);
	fix_kick(&f, 1);
	ck_assert_int_eq(fix_used(&f, 1), -1);
	fix_enable(&f, 1, false);
	fix_enable(&f, 1, true);
	ck_assert_int_eq(fix_used(&f, 1), -1);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	memset(f.rings[0].desc, 0, 0x10000);
	fix_give_ring(&f, 0, 0);
	fix_driver_ok(&f);
	ck_assert_int_eq(fix_used(&f, 1), 2);
	echo_one(&f, 0, 1);
	fix_finish(&f);
}
END_TEST

START_TEST(without_status_a_failure_ends_when_all_rings_were_stopped)
{
	struct fix f;

	prepare(&f, FIX_NO_STATUS);
	fix_give_ring(&f, 0, 0);
	fix_give_ring(&f, 1, 0);
	fix_enable(&f, 0, true);
	fix_enable(&f, 1, true);
	f.rings[0].avail[2] = FIX_SIZE;
	f.rings[0].avail[1] = 1;
	fix_kick(&f, 0);
	ck_assert(f.b->failed);
	(void)fix_get_base(&f, 0);
	ck_assert(f.b->failed);
	(void)fix_get_base(&f, 1);
	ck_assert(!f.b->failed && !f.b->active);
	memset(f.rings[0].desc, 0, 0x10000);
	fix_give_ring(&f, 0, 0);
	echo_one(&f, 0, 1);
	fix_finish(&f);
}
END_TEST

/* ---- addresses ---- */

/* Catalogue row 64: translation knows lengths, and sums that wrap get nowhere. */
START_TEST(catalogue_64_ring_outside_guest_memory_needs_a_reset)
{
	static const uint64_t bad[] = {
		0,
		FIX_USER_LOW - 16,
		FIX_USER_LOW + FIX_MEM / 2,
		FIX_USER_LOW + FIX_MEM / 2 - 16, /* begins inside */
		FIX_USER_HIGH + FIX_MEM / 2 - 2,
		UINT64_MAX,
		UINT64_MAX - 15,
		FIX_GPA_LOW, /* a guest address is none */
		FIX_USER_LOW + 0x4001,
	};
	struct vhost_msg msg;
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	for (unsigned i = 0; i < FIX_QUEUES; i++) {
		fix_give_ring(&f, i, 0);
		fix_enable(&f, i, true);
	}
	fix_addr(&f, 0, &msg);
	*(_i % 3 == 0   ? &msg.payload.addr.desc
	  : _i % 3 == 1 ? &msg.payload.addr.avail
			: &msg.payload.addr.used) = bad[_i / 3];
	ck_assert_int_eq(fix_tell(&f, &msg), 0);
	fix_driver_ok(&f);
	ck_assert(!f.b->active);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 0x4f);
	fix_finish(&f);
}
END_TEST

START_TEST(ring_messages_with_bad_values_are_refused)
{
	static const struct {
		uint32_t request;
		uint32_t index;
		uint32_t num;
	} bad[] = {
		{VHOST_USER_SET_VRING_NUM, 0, 0},
		{VHOST_USER_SET_VRING_NUM, 0, 3},
		{VHOST_USER_SET_VRING_NUM, 0, 128},
		{VHOST_USER_SET_VRING_NUM, 0, 0x10000},
		{VHOST_USER_SET_VRING_NUM, 0, 0x80000000},
		{VHOST_USER_SET_VRING_NUM, FIX_QUEUES, 16},
		{VHOST_USER_SET_VRING_NUM, UINT32_MAX, 16},
		{VHOST_USER_SET_VRING_BASE, FIX_QUEUES, 0},
		{VHOST_USER_SET_VRING_BASE, 0, 0x10000},
		{VHOST_USER_SET_VRING_ENABLE, FIX_QUEUES, 1},
		{VHOST_USER_SET_VRING_ENABLE, 0x80000000, 1},
	};
	struct vhost_msg msg;
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(fix_tell_state(&f, bad[i].request, bad[i].index, bad[i].num), 1);
	}
	fix_addr(&f, 0, &msg);
	msg.payload.addr.index = FIX_QUEUES;
	ck_assert_int_eq(fix_tell(&f, &msg), 1);
	fix_addr(&f, 0, &msg);
	msg.payload.addr.flags = 1; /* log */
	ck_assert_int_eq(fix_tell(&f, &msg), 1);
	ck_assert_int_eq(fix_get_base(&f, FIX_QUEUES), -1);
	fix_finish(&f);
}
END_TEST

START_TEST(running_ring_keeps_its_shape)
{
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_start(&f, 1);
	ck_assert_int_eq(fix_tell_state(&f, VHOST_USER_SET_VRING_NUM, 0, FIX_SIZE / 2), 1);
	ck_assert_int_eq(fix_tell_state(&f, VHOST_USER_SET_VRING_NUM, 0, FIX_SIZE), 0);
	ck_assert_int_eq(fix_tell_state(&f, VHOST_USER_SET_VRING_BASE, 0, 1), 1);
	fix_addr(&f, 0, &msg);
	ck_assert_int_eq(fix_tell(&f, &msg), 0);
	fix_addr(&f, 1, &msg);
	msg.payload.addr.index = 0;
	ck_assert_int_eq(fix_tell(&f, &msg), 1);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_FEATURES, VMM_VIRTIO_F_VERSION_1), 1);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_FEATURES, FIX_FEATURES), 0);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_PROTOCOL_FEATURES, 0), 1);
	ck_assert_uint_eq(f.dev.activated, 1);
	fix_finish(&f);
}
END_TEST

/* ---- descriptors of rings ---- */

START_TEST(ring_descriptor_and_its_flag_have_to_agree)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					    VHOST_USER_SET_VRING_ERR};
	uint32_t request = requests[_i % 3];
	struct fix f;
	int ret;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	switch (_i / 3) {
	case 0:
		/* No descriptor where one is announced, and the other way round. */
		ck_assert_int_eq(fix_tell_fd(&f, request, 0, -1), -ECONNRESET);
		break;
	case 1:
		ck_assert_int_eq(fix_tell_fd(&f, request, VHOST_USER_VRING_NOFD, f.rings[0].kick),
				 -ECONNRESET);
		break;
	case 2:
		ck_assert_int_eq(fix_tell_fd(&f, request, 1u << 9, f.rings[0].kick), -ECONNRESET);
		break;
	case 3:
		/* Nobody polls rings. */
		ret = fix_tell_fd(&f, request, VHOST_USER_VRING_NOFD, -1);
		ck_assert_int_eq(ret, request == VHOST_USER_SET_VRING_KICK);
		break;
	default:
		ck_assert_int_eq(fix_tell_fd(&f, request, FIX_QUEUES, f.rings[0].kick), 1);
		ck_assert_int_eq(fix_tell_fd(&f, request, 255, f.rings[0].kick), 1);
		break;
	}
	fix_finish(&f);
}
END_TEST

/* Files cannot be polled; a directory cannot either. */
START_TEST(kick_that_cannot_be_listened_to_is_refused)
{
	struct fix f;
	int fd = _i == 0 ? memfd_create("kick", MFD_CLOEXEC) : open("/", O_RDONLY | O_CLOEXEC);

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_KICK, 0, fd), 1);
	ck_assert(!fix_is_closed(&f));
	fix_finish(&f);
	(void)close(fd);
}
END_TEST

/* A pipe that was closed is ready for ever: it must not keep the loop busy. */
START_TEST(kick_that_is_always_ready_is_not_listened_to)
{
	uint64_t count = 1;
	int ran = 0;
	int ends[2];
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_start(&f, 1);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_KICK, 0, ends[0]), 0);
	/* It kicks. */
	fix_offer(&f, 0, 1);
	ck_assert_int_eq(write(ends[1], &count, sizeof(count)), sizeof(count));
	fix_run(&f);
	ck_assert_int_eq(fix_used(&f, 0), 1);
	/* Not 8 bytes at a time. */
	ck_assert_int_eq(write(ends[1], &count, 3), 3);
	if (_i == 1) {
		(void)close(ends[1]);
	}
	while (vmm_loop_dispatch(f.loop, 0) > 0) {
		ran++;
		ck_assert_int_lt(ran, 4);
	}
	/* Another one heals it. */
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	echo_one(&f, 0, 2);
	(void)close(ends[0]);
	if (_i == 0) {
		(void)close(ends[1]);
	}
	fix_finish(&f);
}
END_TEST

START_TEST(descriptors_change_under_a_running_ring)
{
	int call = eventfd(0, EFD_CLOEXEC);
	int kick = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;
	unsigned before;
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_start(&f, 1);
	before = fdcount();
	/* A chain that was kicked on the descriptor that goes away. */
	fix_offer(&f, 0, 4);
	ck_assert_int_eq(write(f.rings[0].kick, &one, sizeof(one)), sizeof(one));
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_CALL, 0, call), 0);
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_KICK, 0, kick), 0);
	ck_assert_int_eq(fix_used(&f, 0), 4);
	fix_offer(&f, 0, 5);
	ck_assert_int_eq(write(kick, &one, sizeof(one)), sizeof(one));
	fix_run(&f);
	ck_assert_int_eq(fix_used(&f, 0), 5);
	ck_assert_uint_eq(f.dev.activated, 1);
	ck_assert_uint_ge(fix_count(call), 1);
	/* Blocking ones were given; here they do not block. */
	ck_assert(fcntl(f.b->rings[0].call_fd, F_GETFL) & O_NONBLOCK);
	ck_assert_uint_eq(fdcount(), before);
	/* Polling: no interrupt any more. */
	ck_assert_int_eq(fix_tell_fd(&f, VHOST_USER_SET_VRING_CALL, VHOST_USER_VRING_NOFD, -1), 0);
	fix_offer(&f, 0, 6);
	ck_assert_int_eq(write(kick, &one, sizeof(one)), sizeof(one));
	fix_run(&f);
	ck_assert_int_eq(fix_used(&f, 0), 6);
	ck_assert_uint_eq(fdcount(), before - 1);
	fix_finish(&f);
	(void)close(call);
	(void)close(kick);
}
END_TEST

START_TEST(interrupt_line_that_is_full_blocks_nobody)
{
	uint64_t full = UINT64_MAX - 1;
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_start(&f, 1);
	(void)fix_count(f.rings[0].call);
	ck_assert_int_eq(write(f.rings[0].call, &full, sizeof(full)), sizeof(full));
	for (uint16_t i = 0; i < 10; i++) {
		echo_one(&f, 0, i);
	}
	fix_finish(&f);
}
END_TEST

/* ---- memory under a running device ---- */

START_TEST(memory_changes_under_a_running_device_and_it_goes_on)
{
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	fix_start(&f, 2);
	echo_one(&f, 0, 1);
	/* Another table of the same memory. */
	fix_give_memory(&f);
	ck_assert(f.b->active);
	ck_assert_uint_eq(f.dev.resets, 1);
	ck_assert(f.dev.active.resumed);
	echo_one(&f, 0, 2);
	/* Its rings go away, and come back. */
	fix_mem_table(&f, &msg);
	msg.payload.mem.count = 1;
	msg.fd_count = 1;
	msg.header.size -= (uint32_t)sizeof(struct vhost_user_region);
	msg.payload.mem.regions[0] = msg.payload.mem.regions[1];
	ck_assert_int_eq(fix_tell(&f, &msg), 0);
	ck_assert(!f.b->active && f.b->failed);
	fix_give_memory(&f);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	fix_driver_ok(&f);
	echo_one(&f, 0, 3);
	fix_finish(&f);
}
END_TEST

/* ---- a device of the library ---- */

START_TEST(rng_is_served_as_over_pci)
{
	static const uint8_t zero[64];
	struct vmm_virtio_device *dev;
	struct fix f;

	ck_assert_int_eq(vmm_rng_create(&dev, NULL, NULL), 0);
	fix_init_with(&f, dev, false);
	fix_start(&f, 1);
	for (uint16_t i = 0; i < 200; i++) {
		uint16_t head = i % FIX_SIZE;

		memset(fix_buffer(&f, 0, head), 0, 64);
		fix_offer(&f, 0, head);
		fix_kick(&f, 0);
		ck_assert_int_eq(fix_used(&f, 0), head);
		ck_assert_mem_ne(fix_buffer(&f, 0, head), zero, 64);
		if (i % 50 == 49) {
			/* Stopped and started, it goes on. */
			ck_assert_int_eq(fix_get_base(&f, 0), i + 1);
			fix_give_ring(&f, 0, (uint16_t)(i + 1));
		}
	}
	ck_assert_uint_ge(fix_count(f.rings[0].call), 200);
	/* The other end of the connection is served by the same device. */
	fix_reconnect(&f);
	memset(f.rings[0].desc, 0, 0x10000);
	f.rings[0].seen = 0;
	fix_start(&f, 1);
	fix_offer(&f, 0, 3);
	fix_kick(&f, 0);
	ck_assert_int_eq(fix_used(&f, 0), 3);
	fix_finish(&f);
	vmm_virtio_device_destroy(dev);
}
END_TEST

/* ---- as other front ends do it ---- */

/*
 * QEMU 7.2, vhost-user-blk with STATUS: CALL for all rings at the beginning, feature bits at
 * FEATURES_OK alone, memory region by region, SET_STATUS 0 before it asks for the places.
 */
START_TEST(order_of_qemu_is_served)
{
	struct vhost_msg table;
	struct vhost_msg msg;
	struct vhost_msg reply;
	struct fix f;

	fix_init(&f);
	f.dev.echo = true;
	(void)fix_ask_u64(&f, VHOST_USER_GET_FEATURES);
	(void)fix_ask_u64(&f, VHOST_USER_GET_PROTOCOL_FEATURES);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_PROTOCOL_FEATURES, 8);
	msg.payload.u64 = FIX_PROTOCOL;
	fix_send(&f, &msg);
	ck_assert_uint_ge(fix_ask_u64(&f, VHOST_USER_GET_QUEUE_NUM), 1);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_MAX_MEM_SLOTS), 8);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_OWNER, 0);
	fix_send(&f, &msg);
	(void)fix_ask_u64(&f, VHOST_USER_GET_FEATURES);
	for (unsigned i = 0; i < 2; i++) {
		vmm_vhost_msg_init(&msg, VHOST_USER_SET_VRING_CALL, 8);
		msg.payload.u64 = i;
		msg.fds[0] = f.rings[i].call;
		msg.fd_count = 1;
		fix_send(&f, &msg);
	}
	/* The whole of a struct that has grown since. */
	vmm_vhost_msg_init(&msg, VHOST_USER_GET_CONFIG, 12 + 96);
	msg.payload.config.size = 96;
	ck_assert_int_eq(fix_ask(&f, &msg, &reply), 0);
	ck_assert_uint_eq(reply.header.size, 12 + 96);
	vmm_vhost_msg_init(&msg, VHOST_USER_GET_INFLIGHT_FD, 24);
	msg.payload.inflight.queue_count = 2;
	msg.payload.inflight.queue_size = FIX_SIZE;
	ck_assert_int_eq(fix_ask(&f, &msg, &reply), 0);
	ck_assert_uint_eq(reply.header.size, 24);
	msg = reply;
	msg.header.request = VHOST_USER_SET_INFLIGHT_FD;
	msg.header.flags = 1;
	fix_send(&f, &msg);
	vmm_vhost_msg_close_fds(&msg);

	vmm_vhost_msg_init(&msg, VHOST_USER_SET_FEATURES, 8);
	msg.payload.u64 = FIX_FEATURES;
	fix_send(&f, &msg);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 0);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_STATUS, 8);
	msg.payload.u64 = 8;
	fix_send(&f, &msg);
	fix_mem_table(&f, &table);
	for (unsigned i = 0; i < 2; i++) {
		vmm_vhost_msg_init(&msg, VHOST_USER_ADD_MEM_REG, 40);
		msg.payload.reg.region = table.payload.mem.regions[i];
		msg.fds[0] = f.mem_fd;
		msg.fd_count = 1;
		ck_assert_int_eq(fix_tell(&f, &msg), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		fix_give_ring(&f, i, 0);
		fix_enable(&f, i, true);
	}
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_STATUS), 8);
	fix_driver_ok(&f);
	echo_one(&f, 0, 1);
	echo_one(&f, 1, 1);

	vmm_vhost_msg_init(&msg, VHOST_USER_SET_STATUS, 8);
	fix_send(&f, &msg);
	fix_enable(&f, 0, false);
	fix_enable(&f, 1, false);
	ck_assert_int_eq(fix_get_base(&f, 0), 1);
	ck_assert_int_eq(fix_get_base(&f, 1), 1);
	ck_assert(!fix_is_closed(&f));
	fix_finish(&f);
}
END_TEST

/* QEMU 7.2, all that is neither blk nor net: STATUS comes as far as FEATURES_OK. */
START_TEST(front_end_that_never_shows_driver_ok_is_served)
{
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 8), 0);
		fix_give_ring(&f, 0, (uint16_t)round);
		fix_enable(&f, 0, true);
		fix_run(&f);
		ck_assert(!f.b->active);
		fix_offer(&f, 0, 3);
		fix_kick(&f, 0);
		ck_assert(f.b->active);
		ck_assert_int_eq(fix_used(&f, 0), 3);
		fix_enable(&f, 0, false);
		ck_assert_int_eq(fix_get_base(&f, 0), round + 1);
	}
	fix_finish(&f);
}
END_TEST

START_TEST(kick_before_the_status_was_0_starts_nothing_after_it)
{
	struct fix f;

	prepare(&f, FIX_PROTOCOL);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 8), 0);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	echo_one(&f, 0, 1);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	ck_assert(!f.b->active);
	fix_kick(&f, 0);
	ck_assert(!f.b->active);
	fix_finish(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{ring_is_ready_when_the_last_thing_is_there_whatever_the_order, 120},
		{ring_used_before_anybody_listened_is_served_at_the_start, 1},
		{driver_is_interrupted_when_a_ring_gets_another_back_end, 1},
		{rings_that_are_looked_at_need_no_kick, 1},
		{without_status_the_first_kick_of_a_ready_ring_starts, 1},
		{without_protocol_features_rings_are_enabled, 1},
		{features_without_version_1_do_not_start, 1},
		{device_that_refuses_too_few_rings_waits_for_more, 2},
		{device_that_cannot_start_needs_a_reset, 1},
		{get_vring_base_stops_one_ring_and_the_others_go_on, 1},
		{chains_in_flight_are_given_back_by_the_base, 1},
		{base_that_does_not_exist_ends_the_connection, 1},
		{disabled_ring_stands_still_until_enabled, 1},
		{status_of_0_stops_and_the_places_are_kept, 1},
		{status_bits_come_and_do_not_go, 1},
		{reset_device_forgets_rings_and_what_is_in_flight, 1},
		{broken_ring_is_told_by_every_error_eventfd_and_by_status, 1},
		{without_status_a_failure_ends_when_all_rings_were_stopped, 1},
		{catalogue_64_ring_outside_guest_memory_needs_a_reset, 27},
		{ring_messages_with_bad_values_are_refused, 1},
		{running_ring_keeps_its_shape, 1},
		{ring_descriptor_and_its_flag_have_to_agree, 15},
		{kick_that_cannot_be_listened_to_is_refused, 2},
		{kick_that_is_always_ready_is_not_listened_to, 2},
		{descriptors_change_under_a_running_ring, 1},
		{interrupt_line_that_is_full_blocks_nobody, 1},
		{memory_changes_under_a_running_device_and_it_goes_on, 1},
		{rng_is_served_as_over_pci, 1},
		{order_of_qemu_is_served, 1},
		{front_end_that_never_shows_driver_ok_is_served, 1},
		{kick_before_the_status_was_0_starts_nothing_after_it, 1},
	};

	return suite_run_looped("vhost-rings", tests, sizeof(tests) / sizeof(tests[0]));
}
