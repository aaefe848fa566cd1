/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"
#include "test_mmio_fix.h"

#define ONES(len) ((uint64_t)-1 >> (64 - 8 * (len)))

/* ---- making it ---- */

START_TEST(mmio_create_bad_device_is_refused_and_kept)
{
	struct vmm_error err = {0};
	struct mmiofix fix;

	mmiofix_prepare_parts(&fix);
	fix.toy.base.queue_count = VMM_VIRTIO_QUEUES_MAX + 1;
	ck_assert_int_eq(mmiofix_create(&fix, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "toy"));
	toy_init(&fix.toy);
	fix.toy.base.device_id = 0; /* a driver would take it for an empty place */
	ck_assert_int_eq(mmiofix_create(&fix, &err), -EINVAL);
	/* Refused by the carrier. */
	toy_init(&fix.toy);
	fix.toy.base.config_len = VMM_VIRTIO_CONFIG_MAX + 1;
	ck_assert_int_eq(mmiofix_create(&fix, &err), -EINVAL);
	toy_init(&fix.toy);
	fix.events.fail_irqfd = -EBUSY;
	ck_assert_int_eq(mmiofix_create(&fix, &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.message, "interrupt line"));
	ck_assert_ptr_null(fix.toy.base.carrier);
	ck_assert(!fix.toy.destroyed);
	ck_assert_ptr_null(fix.mmio);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_create_at_a_place_that_is_taken_gives_the_device_back)
{
	static const struct vmm_bus_ops ops = {0};
	struct vmm_error err = {0};
	struct mmiofix fix;

	mmiofix_prepare_parts(&fix);
	ck_assert_int_eq(vmm_bus_add(fix.bus, "other", FIX_BASE + 0xfff, 1, &ops, NULL, NULL), 0);
	ck_assert_int_eq(mmiofix_create(&fix, &err), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.message, "toy0"));
	ck_assert_ptr_null(fix.toy.base.carrier);
	ck_assert(!fix.toy.destroyed);
	ck_assert_uint_eq(eventfix_connected(&fix.events), 0);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_create_every_failure_is_told_and_leaves_nothing)
{
	struct faultinj f = {0};
	struct mmiofix fix;
	unsigned failures = 0;
	unsigned before;

	mmiofix_prepare_parts(&fix);
	before = fdcount();
	while (faultinj_next(&f)) {
		struct vmm_error err = {0};
		int ret = mmiofix_create(&fix, &err);

		faultinj_stop(&f);
		if (!f.failed) {
			ck_assert_int_eq(ret, 0);
			break;
		}
		failures++;
		ck_assert_int_lt(ret, 0);
		ck_assert_int_eq(err.code, ret);
		ck_assert_ptr_nonnull(strstr(err.message, "toy"));
		ck_assert_uint_eq(fdcount(), before);
		ck_assert_uint_eq(eventfix_connected(&fix.events), 0);
		ck_assert(!fix.toy.destroyed);
		ck_assert_ptr_null(fix.toy.base.carrier);
	}
	/* The device, its queues, two kicks and their sources, the line, the carrier, the bus. */
	ck_assert_uint_ge(failures, 9);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_identity)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	ck_assert_uint_eq(reg_read(&fix, R_MAGIC), 0x74726976);
	ck_assert_uint_eq(reg_read(&fix, R_VERSION), 2);
	ck_assert_uint_eq(reg_read(&fix, R_DEVICE_ID), TOY_ID);
	ck_assert_uint_ne(reg_read(&fix, R_VENDOR_ID), 0);
	ck_assert_uint_eq(eventfix_connected(&fix.events), 1);
	ck_assert_int_ge(fix.events.lines[FIX_GSI].eventfd, 0);
	mmiofix_finish(&fix);
}
END_TEST

/* ---- accesses ---- */

static bool reads_something(unsigned at)
{
	return at <= R_DEVICE_FEATURES || (at >= R_SHM_LEN_LOW && at <= R_SHM_BASE_HIGH) ||
	       at == R_QUEUE_NUM_MAX || at == R_QUEUE_READY || at == R_STATUS || at == R_GENERATION;
}

START_TEST(mmio_reads_of_every_offset_and_width)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_prepare(&fix, 3);
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (unsigned at = 0; at < R_CONFIG; at++) {
			uint64_t value = mmiofix_read(&fix, at, len);

			if (len != 4 || at % 4 != 0) {
				ck_assert_uint_eq(value & ONES(len), ONES(len));
			} else if (at >= R_SHM_LEN_LOW && at <= R_SHM_BASE_HIGH) {
				/* There is no shared memory. */
				ck_assert_uint_eq(value, UINT32_MAX);
			} else if (!reads_something(at)) {
				ck_assert_uint_eq(value, 0);
			}
		}
	}
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_writes_of_illegal_width_or_alignment_do_nothing)
{
	struct vmm_carrier_queue before;
	struct vmm_carrier_queue after;
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_start(&fix);
	reg_write(&fix, R_QUEUE_SEL, 1);
	ck_assert_int_eq(vmm_carrier_get_queue(fix.toy.base.carrier, 1, &before), 0);
	vmm_virtio_config_update(&fix.toy.base, 0, "x", 1);
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (unsigned at = 0; at < R_CONFIG; at++) {
			if (len != 4 || at % 4 != 0) {
				mmiofix_write(&fix, at, len, 0);
				mmiofix_write(&fix, at, len, UINT64_MAX);
				mmiofix_write(&fix, at, len, 1);
			}
		}
	}
	mmiofix_run(&fix);
	ck_assert_uint_eq(reg_read(&fix, R_STATUS), STATUS_OK);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_NUM_MAX), 4); /* still the second */
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 2);
	ck_assert_int_eq(vmm_carrier_get_queue(fix.toy.base.carrier, 1, &after), 0);
	ck_assert_mem_eq(&before, &after, sizeof(before));
	ck_assert_uint_eq(fix.toy.notifies[0], 1);
	ck_assert_uint_eq(fix.toy.notifies[1], 1);
	ck_assert_uint_eq(fix.toy.resets, 0);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_writes_to_read_only_and_reserved_registers_do_nothing)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_prepare(&fix, 1);
	reg_write(&fix, R_QUEUE_SEL, 0);
	for (unsigned at = 0; at < R_CONFIG; at += 4) {
		bool reserved = (at > R_DEVICE_FEATURES_SEL && at < R_DRIVER_FEATURES) ||
				(at > R_DRIVER_FEATURES_SEL && at < R_QUEUE_SEL) ||
				(at > R_QUEUE_NUM && at < R_QUEUE_READY) ||
				(at > R_QUEUE_READY && at < R_QUEUE_NOTIFY) ||
				(at > R_QUEUE_NOTIFY && at < R_INTERRUPT_STATUS) ||
				(at > R_INTERRUPT_ACK && at < R_STATUS) || at >= R_SHM_SEL;

		if (reserved || at <= R_DEVICE_FEATURES || at == R_QUEUE_NUM_MAX ||
		    at == R_INTERRUPT_STATUS) {
			reg_write(&fix, at, UINT32_MAX);
			reg_write(&fix, at, 1);
			reg_write(&fix, at, 0);
		}
	}
	ck_assert_uint_eq(reg_read(&fix, R_MAGIC), 0x74726976);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_NUM_MAX), TOY_QUEUE_SIZE);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_READY), 1);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_RESET), 0);
	ck_assert_uint_eq(reg_read(&fix, R_STATUS), STATUS_FEATURES);
	ck_assert_uint_eq(fix.toy.configs, 0);
	mmiofix_finish(&fix);
}
END_TEST

/* ---- features ---- */

START_TEST(mmio_features_by_select)
{
	const uint64_t offered = TOY_FEATURE | FIX_RING_FEATURES;
	struct mmiofix fix;

	mmiofix_init(&fix);
	ck_assert_uint_eq(reg_read(&fix, R_DEVICE_FEATURES), (uint32_t)offered);
	reg_write(&fix, R_DEVICE_FEATURES_SEL, 1);
	ck_assert_uint_eq(reg_read(&fix, R_DEVICE_FEATURES), offered >> 32);
	for (uint32_t beyond = 2; beyond != 0; beyond = beyond * 2) {
		reg_write(&fix, R_DEVICE_FEATURES_SEL, beyond);
		ck_assert_uint_eq(reg_read(&fix, R_DEVICE_FEATURES), 0);
		reg_write(&fix, R_DEVICE_FEATURES_SEL, beyond | 1);
		ck_assert_uint_eq(reg_read(&fix, R_DEVICE_FEATURES), 0);
	}
	reg_write(&fix, R_STATUS, STATUS_DRIVER);
	reg_write(&fix, R_DRIVER_FEATURES, (uint32_t)VMM_VIRTIO_F_EVENT_IDX);
	reg_write(&fix, R_DRIVER_FEATURES_SEL, 1);
	reg_write(&fix, R_DRIVER_FEATURES, VMM_VIRTIO_F_VERSION_1 >> 32);
	reg_write(&fix, R_DRIVER_FEATURES_SEL, 2);
	reg_write(&fix, R_DRIVER_FEATURES, UINT32_MAX);
	reg_write(&fix, R_DRIVER_FEATURES_SEL, UINT32_MAX);
	reg_write(&fix, R_DRIVER_FEATURES, UINT32_MAX);
	ck_assert_uint_eq(vmm_carrier_driver_features(fix.toy.base.carrier),
			  VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_EVENT_IDX);
	reg_write(&fix, R_STATUS, STATUS_FEATURES);
	ck_assert_uint_eq(reg_read(&fix, R_STATUS), STATUS_FEATURES);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_features_not_offered_are_refused)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	reg_write(&fix, R_STATUS, STATUS_DRIVER);
	reg_write(&fix, R_DRIVER_FEATURES, 1);
	reg_write(&fix, R_DRIVER_FEATURES_SEL, 1);
	reg_write(&fix, R_DRIVER_FEATURES, VMM_VIRTIO_F_VERSION_1 >> 32);
	reg_write(&fix, R_STATUS, STATUS_FEATURES);
	ck_assert_uint_eq(reg_read(&fix, R_STATUS), STATUS_DRIVER);
	mmiofix_finish(&fix);
}
END_TEST

/* ---- queues ---- */

static struct vmm_carrier_queue get_queue(struct mmiofix *fix, unsigned queue)
{
	struct vmm_carrier_queue q;

	ck_assert_int_eq(vmm_carrier_get_queue(fix->toy.base.carrier, queue, &q), 0);
	return q;
}

START_TEST(mmio_queue_select_beyond_the_last_is_no_queue)
{
	static const uint32_t beyond[] = {TOY_QUEUES, 0x7fff,  0x8000,     0xffff,
					  0x10000,    0x10001, 0x80000000, UINT32_MAX};
	struct vmm_carrier_queue before[TOY_QUEUES];
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_prepare(&fix, 0);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		before[i] = get_queue(&fix, i);
	}
	for (unsigned i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		reg_write(&fix, R_QUEUE_SEL, beyond[i]);
		ck_assert_uint_eq(reg_read(&fix, R_QUEUE_NUM_MAX), 0);
		ck_assert_uint_eq(reg_read(&fix, R_QUEUE_READY), 0);
		reg_write(&fix, R_QUEUE_NUM, 1);
		reg_write(&fix, R_QUEUE_DESC, 0x1000);
		reg_write(&fix, R_QUEUE_DRIVER + 4, 0x1000);
		reg_write(&fix, R_QUEUE_DEVICE, 0x1000);
		reg_write(&fix, R_QUEUE_READY, 1);
		reg_write(&fix, R_QUEUE_READY, 0);
		ck_assert_uint_eq(reg_read(&fix, R_QUEUE_READY), 0);
	}
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		struct vmm_carrier_queue after = get_queue(&fix, i);

		ck_assert_mem_eq(&before[i], &after, sizeof(after));
	}
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_queue_num_must_be_a_power_of_two_up_to_the_maximum)
{
	static const uint32_t bad[] = {0, 3, 5, 7, 9, 16, 0x8000, 0x10004, 0x80000008, UINT32_MAX};
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_prepare(&fix, 0);
	for (unsigned size = 1; size <= TOY_QUEUE_SIZE; size *= 2) {
		reg_write(&fix, R_QUEUE_NUM, size);
		ck_assert_uint_eq(get_queue(&fix, 0).size, size);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg_write(&fix, R_QUEUE_NUM, 2);
		reg_write(&fix, R_QUEUE_NUM, bad[i]);
		ck_assert_uint_eq(get_queue(&fix, 0).size, 2);
	}
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_NUM_MAX), TOY_QUEUE_SIZE);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_queue_addresses_by_halves)
{
	struct mmiofix fix;
	struct vmm_carrier_queue q;

	mmiofix_init(&fix);
	mmiofix_prepare(&fix, 0);
	for (unsigned i = 0; i < 3; i++) {
		reg_write(&fix, R_QUEUE_DESC + 0x10 * i, 0x11111110 + i);
		reg_write(&fix, R_QUEUE_DESC + 0x10 * i + 4, 0x22222220 + i);
	}
	q = get_queue(&fix, 0);
	ck_assert_uint_eq(q.desc, UINT64_C(0x2222222011111110));
	ck_assert_uint_eq(q.driver, UINT64_C(0x2222222111111111));
	ck_assert_uint_eq(q.device, UINT64_C(0x2222222211111112));
	reg_write(&fix, R_QUEUE_DESC, 0xaaaaaaaa);
	reg_write(&fix, R_QUEUE_DEVICE + 4, 0xbbbbbbbb);
	q = get_queue(&fix, 0);
	ck_assert_uint_eq(q.desc, UINT64_C(0x22222220aaaaaaaa));
	ck_assert_uint_eq(q.device, UINT64_C(0xbbbbbbbb11111112));
	ck_assert_uint_eq(get_queue(&fix, 1).desc, 0);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_queue_ready_can_be_taken_back_before_driver_ok_only)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_prepare(&fix, 3);
	reg_write(&fix, R_QUEUE_SEL, 1);
	reg_write(&fix, R_QUEUE_NUM, 2); /* not while it is ready */
	ck_assert_uint_eq(get_queue(&fix, 1).size, 4);
	reg_write(&fix, R_QUEUE_READY, 0);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_READY), 0);
	reg_write(&fix, R_QUEUE_NUM, 2);
	ck_assert_uint_eq(get_queue(&fix, 1).size, 2);
	reg_write(&fix, R_QUEUE_READY, 2);
	reg_write(&fix, R_QUEUE_READY, UINT32_MAX);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_READY), 0);
	reg_write(&fix, R_STATUS, STATUS_OK);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 1);
	reg_write(&fix, R_QUEUE_READY, 1);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_READY), 0);
	/* Nothing but a reset stops an active queue. */
	reg_write(&fix, R_QUEUE_SEL, 0);
	reg_write(&fix, R_QUEUE_READY, 0);
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_READY), 1);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 1);
	mmiofix_request(&fix, 0);
	ck_assert_uint_eq(mmiofix_used(&fix, 0), 1);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_queue_registers_after_driver_ok_do_not_change)
{
	struct vmm_carrier_queue before;
	struct vmm_carrier_queue after;
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_start(&fix);
	reg_write(&fix, R_QUEUE_SEL, 0);
	before = get_queue(&fix, 0);
	reg_write(&fix, R_QUEUE_NUM, 4);
	for (unsigned at = R_QUEUE_DESC; at <= R_QUEUE_DEVICE + 4; at += 4) {
		reg_write(&fix, at, 0x1000);
	}
	after = get_queue(&fix, 0);
	ck_assert_mem_eq(&before, &after, sizeof(before));
	mmiofix_request(&fix, 0);
	ck_assert_uint_eq(mmiofix_used(&fix, 0), 1);
	mmiofix_finish(&fix);
}
END_TEST

/* ---- status ---- */

START_TEST(mmio_status_steps_in_wrong_order_are_ignored)
{
	static const uint32_t bad[] = {VMM_VIRTIO_S_DRIVER,
				       VMM_VIRTIO_S_FEATURES_OK,
				       STATUS_FEATURES,
				       STATUS_OK,
				       VMM_VIRTIO_S_NEEDS_RESET,
				       0x10,
				       0x100 | VMM_VIRTIO_S_ACKNOWLEDGE,
				       0x80000001};
	struct mmiofix fix;

	mmiofix_init(&fix);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reg_write(&fix, R_STATUS, bad[i]);
		ck_assert_uint_eq(reg_read(&fix, R_STATUS), 0);
	}
	mmiofix_start(&fix);
	/* Whose low byte is 0, but which is not 0. */
	reg_write(&fix, R_STATUS, 0x100);
	reg_write(&fix, R_STATUS, 0x80000000);
	reg_write(&fix, R_STATUS, VMM_VIRTIO_S_ACKNOWLEDGE);
	ck_assert_uint_eq(reg_read(&fix, R_STATUS), STATUS_OK);
	ck_assert_uint_eq(fix.toy.resets, 0);
	ck_assert_uint_eq(fix.toy.activations, 1);
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_status_zero_resets_every_register)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	mmiofix_start(&fix);
	mmiofix_request(&fix, 0);
	vmm_virtio_config_update(&fix.toy.base, 0, "x", 1);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 3);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 2);
	reg_write(&fix, R_QUEUE_SEL, 1);
	reg_write(&fix, R_STATUS, 0);
	ck_assert_uint_eq(reg_read(&fix, R_STATUS), 0);
	ck_assert_uint_eq(fix.toy.resets, 1);
	ck_assert_uint_eq(eventfix_ioeventfds(&fix.events), 0);
	ck_assert_uint_eq(reg_read(&fix, R_INTERRUPT_STATUS), 0);
	/* The selectors, by what they select. */
	ck_assert_uint_eq(reg_read(&fix, R_QUEUE_NUM_MAX), TOY_QUEUE_SIZE);
	ck_assert_uint_eq(reg_read(&fix, R_DEVICE_FEATURES), (uint32_t)FIX_RING_FEATURES);
	for (unsigned i = 0; i < TOY_QUEUES; i++) {
		ck_assert(!get_queue(&fix, i).enabled);
		ck_assert_uint_eq(get_queue(&fix, i).desc, 0);
	}
	mmiofix_start(&fix);
	mmiofix_request(&fix, 1);
	ck_assert_uint_eq(mmiofix_used(&fix, 1), 1);
	mmiofix_finish(&fix);
}
END_TEST

/* ---- device configuration ---- */

START_TEST(mmio_config_every_offset_and_width_stays_inside)
{
	struct mmiofix fix;

	mmiofix_init(&fix);
	ck_assert_uint_eq(mmiofix_read(&fix, R_CONFIG, 4), 0x64636261);
	ck_assert_uint_eq(mmiofix_read(&fix, R_CONFIG, 8), UINT64_C(0x6867666564636261));
	ck_assert_uint_eq(mmiofix_read(&fix, R_CONFIG + 2, 2), 0x6463);
	ck_assert_uint_eq(mmiofix_read(&fix, R_CONFIG + 11, 1), 'l');
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (unsigned at = R_CONFIG; at + len <= R_END; at++) {
			uint64_t value = mmiofix_read(&fix, at, len);

			if (at % len != 0) {
				ck_assert_uint_eq(value & ONES(len), ONES(len));
			} else if (at >= R_CONFIG + TOY_CONFIG) {
				ck_assert_uint_eq(value, 0);
			}
			if (at % len != 0 || at + len > R_CONFIG + TOY_CONFIG) {
				mmiofix_write(&fix, at, len, UINT64_MAX);
			}
		}
	}
	ck_assert_uint_eq(fix.toy.configs, 0);
	/* The last bytes, and what lies behind them in an access that runs over the end. */
	ck_assert_uint_eq(mmiofix_read(&fix, R_CONFIG + 8, 8), 0x6c6b6a69);
	mmiofix_write(&fix, R_CONFIG + 4, 4, 0x44434241);
	mmiofix_write(&fix, R_CONFIG + 1, 1, 'Z');
	ck_assert_uint_eq(fix.toy.configs, 2);
	ck_assert_uint_eq(mmiofix_read(&fix, R_CONFIG, 8), UINT64_C(0x4443424164635a61));
	mmiofix_finish(&fix);
}
END_TEST

START_TEST(mmio_config_change_moves_the_generation)
{
	struct mmiofix fix;
	uint32_t generation;

	mmiofix_init(&fix);
	generation = reg_read(&fix, R_GENERATION);
	for (unsigned i = 0; i < 300; i++) {
		uint32_t next;

		mmiofix_write(&fix, R_CONFIG, 1, i);
		next = reg_read(&fix, R_GENERATION);
		ck_assert_uint_ne(next, generation);
		ck_assert_uint_eq(reg_read(&fix, R_GENERATION), next);
		generation = next;
	}
	mmiofix_finish(&fix);
}
END_TEST

static uint64_t shm_read64(struct mmiofix *fix, unsigned offset)
{
	return reg_read(fix, offset) | (uint64_t)reg_read(fix, offset + 4) << 32;
}

START_TEST(mmio_shared_memory_regions_are_told_by_id)
{
	struct mmiofix fix;

	mmiofix_prepare_parts(&fix);
	toy_add_shm(&fix.toy);
	ck_assert_int_eq(mmiofix_create(&fix, NULL), 0);
	/* There is no region 0. */
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_LEN_LOW), UINT64_MAX);
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_BASE_LOW), UINT64_MAX);
	reg_write(&fix, R_SHM_SEL, TOY_SHM_ID_2);
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_LEN_LOW), TOY_SHM_LEN_2);
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_BASE_LOW), FIX_SHM_2);
	reg_write(&fix, R_SHM_SEL, TOY_SHM_ID);
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_LEN_LOW), TOY_SHM_LEN);
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_BASE_LOW), FIX_SHM);
	/* All 32 bits of the id count, and nothing of it can be written. */
	reg_write(&fix, R_SHM_LEN_LOW, 0);
	reg_write(&fix, R_SHM_BASE_LOW, 0);
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_BASE_LOW), FIX_SHM);
	reg_write(&fix, R_SHM_SEL, TOY_SHM_ID + 0x100);
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_LEN_LOW), UINT64_MAX);
	mmiofix_start(&fix);
	ck_assert_uint_eq(shm_read64(&fix, R_SHM_LEN_LOW), UINT64_MAX);
	ck_assert_int_eq(toy_map(&fix.toy, TOY_SHM_ID, 0), 0);
	ck_assert(fix.events.windows[0].visible && fix.events.windows[0].gpa == FIX_SHM);
	mmiofix_finish(&fix);
}
END_TEST

SUITE_MAIN("mmio", mmio_create_bad_device_is_refused_and_kept,
	   mmio_create_at_a_place_that_is_taken_gives_the_device_back,
	   mmio_create_every_failure_is_told_and_leaves_nothing, mmio_identity,
	   mmio_reads_of_every_offset_and_width,
	   mmio_writes_of_illegal_width_or_alignment_do_nothing,
	   mmio_writes_to_read_only_and_reserved_registers_do_nothing, mmio_features_by_select,
	   mmio_features_not_offered_are_refused, mmio_queue_select_beyond_the_last_is_no_queue,
	   mmio_queue_num_must_be_a_power_of_two_up_to_the_maximum, mmio_queue_addresses_by_halves,
	   mmio_queue_ready_can_be_taken_back_before_driver_ok_only,
	   mmio_queue_registers_after_driver_ok_do_not_change,
	   mmio_status_steps_in_wrong_order_are_ignored, mmio_status_zero_resets_every_register,
	   mmio_config_every_offset_and_width_stays_inside, mmio_config_change_moves_the_generation,
	   mmio_shared_memory_regions_are_told_by_id)
