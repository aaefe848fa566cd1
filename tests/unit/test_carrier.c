/* SPDX-License-Identifier: MIT */
/*
 * The carrier: registers, the status machine, activation and reset, the configuration space.
 */
#include <errno.h>
#include <string.h>

#include <vmm/carrier.h>

#include "fakedrv.h"
#include "faultinj.h"
#include "suite.h"
#include "testdev.h"

#define ACK  VMM_VIRTIO_S_ACKNOWLEDGE
#define DRV  VMM_VIRTIO_S_DRIVER
#define FOK  VMM_VIRTIO_S_FEATURES_OK
#define DOK  VMM_VIRTIO_S_DRIVER_OK
#define NR   VMM_VIRTIO_S_NEEDS_RESET
#define FAIL VMM_VIRTIO_S_FAILED

#define V1 VMM_VIRTIO_F_VERSION_1

struct fixture {
	struct testdev dev;
	struct fakedrv *drv;
	struct vmm_carrier *c;
};

static void set_up(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	testdev_init(&f->dev);
	f->drv = fakedrv_create(&f->dev.base);
	f->c = fakedrv_carrier(f->drv);
}

static void tear_down(struct fixture *f)
{
	fakedrv_destroy(f->drv);
	ck_assert_uint_eq(f->dev.destroyed, 1);
	ck_assert_uint_eq(f->dev.activated, f->dev.resets);
}

/* ---- status ---- */

/* Drives a fresh device to status, a step at a time. */
static void reach(struct fixture *f, uint8_t status)
{
	static const uint8_t steps[] = {ACK, DRV, FOK, DOK, FAIL};
	uint8_t now = 0;

	vmm_carrier_set_status(f->c, 0);
	ck_assert_uint_eq(vmm_carrier_status(f->c), 0);
	vmm_carrier_set_driver_features(f->c, V1);
	for (unsigned i = 0; i < 5; i++) {
		if (status & steps[i]) {
			now |= steps[i];
			vmm_carrier_set_status(f->c, now);
			ck_assert_uint_eq(vmm_carrier_status(f->c), now);
		}
	}
}

/* Every status a device can be in by its driver's doing, and all that one write can lead to. */
static const struct {
	uint8_t from;
	uint8_t to[4]; /* besides from itself; ends with 0 */
} transitions[] = {
	{0, {ACK, ACK | DRV, FAIL, 0}},
	{ACK, {ACK | DRV, ACK | FAIL, 0}},
	{ACK | DRV, {ACK | DRV | FOK, ACK | DRV | FAIL, 0}},
	{ACK | DRV | FOK, {ACK | DRV | FOK | DOK, ACK | DRV | FOK | FAIL, 0}},
	{ACK | DRV | FOK | DOK, {ACK | DRV | FOK | DOK | FAIL, 0}},
	{FAIL, {0}},
	{ACK | FAIL, {0}},
	{ACK | DRV | FAIL, {0}},
	{ACK | DRV | FOK | FAIL, {0}},
	{ACK | DRV | FOK | DOK | FAIL, {0}},
};

START_TEST(status_every_write_in_every_state_does_what_the_table_says)
{
	struct fixture f;

	set_up(&f);
	for (unsigned value = 1; value < 256; value++) {
		uint8_t expected = transitions[_i].from;

		for (unsigned i = 0; transitions[_i].to[i]; i++) {
			/* DEVICE_NEEDS_RESET is not the driver's to write. */
			if ((value & ~NR) == transitions[_i].to[i]) {
				expected = transitions[_i].to[i];
			}
		}
		reach(&f, transitions[_i].from);
		vmm_carrier_set_status(f.c, (uint8_t)value);
		ck_assert_uint_eq(vmm_carrier_status(f.c), expected);
		ck_assert((f.dev.active.queues != NULL) == ((expected & DOK) != 0));
		vmm_carrier_set_status(f.c, 0);
		ck_assert_uint_eq(vmm_carrier_status(f.c), 0);
		ck_assert_ptr_null(f.dev.active.queues);
	}
	tear_down(&f);
}
END_TEST

START_TEST(features_offered_are_the_devices_and_the_rings)
{
	struct fixture f;

	set_up(&f);
	ck_assert_uint_eq(vmm_carrier_features(f.c), TESTDEV_FEATURE | V1 |
							     VMM_VIRTIO_F_INDIRECT_DESC |
							     VMM_VIRTIO_F_EVENT_IDX);
	ck_assert_uint_eq(vmm_carrier_driver_features(f.c), 0);
	tear_down(&f);
}
END_TEST

START_TEST(features_ok_needs_an_offered_subset_with_version_1)
{
	struct fixture f;

	set_up(&f);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t one = UINT64_C(1) << bit;
		bool offered = vmm_carrier_features(f.c) & one;

		reach(&f, ACK | DRV);
		vmm_carrier_set_driver_features(f.c, V1 | one);
		vmm_carrier_set_status(f.c, ACK | DRV | FOK);
		ck_assert_uint_eq(vmm_carrier_status(f.c), ACK | DRV | (offered ? FOK : 0));
		/* A refused driver may try again without a reset. */
		vmm_carrier_set_driver_features(f.c, V1);
		vmm_carrier_set_status(f.c, ACK | DRV | FOK);
		ck_assert_uint_eq(vmm_carrier_status(f.c), ACK | DRV | FOK);

		reach(&f, ACK | DRV);
		vmm_carrier_set_driver_features(f.c, one & ~V1);
		vmm_carrier_set_status(f.c, ACK | DRV | FOK);
		ck_assert_uint_eq(vmm_carrier_status(f.c), ACK | DRV);
	}
	tear_down(&f);
}
END_TEST

START_TEST(features_are_fixed_from_features_ok_to_reset)
{
	struct fixture f;

	set_up(&f);
	reach(&f, ACK | DRV | FOK);
	vmm_carrier_set_driver_features(f.c, V1 | TESTDEV_FEATURE);
	ck_assert_uint_eq(vmm_carrier_driver_features(f.c), V1);
	vmm_carrier_set_status(f.c, ACK | DRV | FOK | DOK);
	vmm_carrier_set_driver_features(f.c, 0);
	ck_assert_uint_eq(f.dev.active.features, V1);
	ck_assert_uint_eq(vmm_carrier_driver_features(f.c), V1);
	vmm_carrier_set_status(f.c, 0);
	ck_assert_uint_eq(vmm_carrier_driver_features(f.c), 0);
	tear_down(&f);
}
END_TEST

START_TEST(features_renegotiate_after_reset)
{
	static const struct fakedrv_options options[] = {
		{0}, {.no_event_idx = true}, {.no_indirect = true}, {.refuse = TESTDEV_FEATURE}};
	struct fixture f;

	set_up(&f);
	for (unsigned i = 0; i < 12; i++) {
		ck_assert_int_eq(fakedrv_start(f.drv, &options[i % 4]), 0);
		ck_assert_uint_eq(f.dev.active.features, fakedrv_features(f.drv));
		ck_assert_uint_eq(f.dev.activated, i + 1);
		ck_assert_uint_eq(f.dev.resets, i);
	}
	tear_down(&f);
}
END_TEST

/* ---- queues ---- */

START_TEST(queue_registers_start_and_end_at_their_defaults)
{
	struct fixture f;
	struct vmm_carrier_queue q;

	set_up(&f);
	ck_assert_uint_eq(vmm_carrier_queue_count(f.c), TESTDEV_QUEUES);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < TESTDEV_QUEUES; i++) {
			ck_assert_uint_eq(vmm_carrier_queue_size_max(f.c, i), TESTDEV_QUEUE_SIZE);
			ck_assert_int_eq(vmm_carrier_get_queue(f.c, i, &q), 0);
			ck_assert_uint_eq(q.size, TESTDEV_QUEUE_SIZE);
			ck_assert(!q.enabled);
			ck_assert_uint_eq(q.desc | q.driver | q.device, 0);
		}
		ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
		ck_assert_int_eq(vmm_carrier_get_queue(f.c, 1, &q), 0);
		ck_assert(q.enabled);
		fakedrv_reset(f.drv);
	}
	tear_down(&f);
}
END_TEST

START_TEST(queue_that_does_not_exist_is_refused)
{
	static const unsigned queues[] = {TESTDEV_QUEUES, 66, 0x7fff, 0x8000, 0xffff, 0xffffffff};
	struct vmm_carrier_queue q = {.size = 1};
	struct fixture f;

	set_up(&f);
	reach(&f, ACK | DRV | FOK);
	ck_assert_uint_eq(vmm_carrier_queue_size_max(f.c, queues[_i]), 0);
	ck_assert_int_eq(vmm_carrier_get_queue(f.c, queues[_i], &q), -EINVAL);
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, queues[_i], &q), -EINVAL);
	vmm_carrier_kick(f.c, queues[_i]);
	vmm_carrier_set_status(f.c, ACK | DRV | FOK | DOK);
	vmm_carrier_kick(f.c, queues[_i]);
	ck_assert_uint_eq(vmm_carrier_status(f.c), ACK | DRV | FOK | DOK);
	tear_down(&f);
}
END_TEST

START_TEST(queue_size_must_be_a_power_of_two_up_to_the_maximum)
{
	struct fixture f;

	set_up(&f);
	reach(&f, ACK | DRV | FOK);
	for (unsigned size = 0; size < 65536; size++) {
		struct vmm_carrier_queue q = {.size = (uint16_t)size};
		bool good = size == 1 || size == 2 || size == 4 || size == 8 || size == 16 ||
			    size == 32 || size == 64;

		SUITE_REQUIRE(vmm_carrier_set_queue(f.c, 0, &q) == (good ? 0 : -EINVAL));
	}
	tear_down(&f);
}
END_TEST

/* A size that grows after the rings were mapped was a guest-to-host escape elsewhere. */
START_TEST(queue_registers_change_between_features_ok_and_driver_ok_only)
{
	static const struct fakedrv_options skip = {.skip_queues = 0x8};
	struct vmm_carrier_queue other = {.size = 2, .enabled = true, .desc = 1, .driver = 2};
	struct vmm_carrier_queue q;
	struct fixture f;

	set_up(&f);
	reach(&f, ACK | DRV);
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, 0, &other), -EBUSY);
	ck_assert_int_eq(fakedrv_start(f.drv, &skip), 0);
	/* Also of a queue that was left out. */
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, 3, &other), -EBUSY);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(vmm_carrier_set_queue(f.c, i, &other), -EBUSY);
		ck_assert_int_eq(vmm_carrier_get_queue(f.c, i, &q), 0);
		ck_assert_uint_eq(q.size, TESTDEV_QUEUE_SIZE);
		ck_assert_uint_ne(q.driver, 2);
		ck_assert_uint_eq(vmm_virtq_size(testdev_queue(&f.dev, i)), TESTDEV_QUEUE_SIZE);
	}
	tear_down(&f);
}
END_TEST

START_TEST(queue_once_enabled_does_not_change)
{
	struct vmm_carrier_queue q = {.size = 4, .enabled = true};
	struct fixture f;

	set_up(&f);
	reach(&f, ACK | DRV | FOK);
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, 0, &q), 0);
	q.size = 8;
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, 0, &q), -EBUSY);
	q.enabled = false;
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, 0, &q), -EBUSY);
	ck_assert_int_eq(vmm_carrier_get_queue(f.c, 0, &q), 0);
	ck_assert_uint_eq(q.size, 4);
	ck_assert(q.enabled);
	tear_down(&f);
}
END_TEST

START_TEST(queue_is_disabled_between_features_ok_and_driver_ok_only)
{
	struct vmm_carrier_queue q = {.size = 4, .enabled = true};
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(vmm_carrier_disable_queue(f.c, TESTDEV_QUEUES), -EINVAL);
	ck_assert_int_eq(vmm_carrier_disable_queue(f.c, 0), -EBUSY);
	reach(&f, ACK | DRV | FOK);
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, 0, &q), 0);
	ck_assert_int_eq(vmm_carrier_disable_queue(f.c, 0), 0);
	ck_assert_int_eq(vmm_carrier_get_queue(f.c, 0, &q), 0);
	ck_assert(!q.enabled);
	ck_assert_uint_eq(q.size, 4);
	q.size = 8;
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, 0, &q), 0);
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	ck_assert_int_eq(vmm_carrier_disable_queue(f.c, 0), -EBUSY);
	ck_assert_int_eq(vmm_carrier_get_queue(f.c, 0, &q), 0);
	ck_assert(q.enabled);
	tear_down(&f);
}
END_TEST

/* ---- activation ---- */

START_TEST(activation_notifies_each_enabled_queue_once)
{
	static const struct fakedrv_options skip = {.skip_queues = 0x5};
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(fakedrv_start(f.drv, &skip), 0);
	for (unsigned i = 0; i < TESTDEV_QUEUES; i++) {
		ck_assert_uint_eq(f.dev.notified[i], i & 1);
		ck_assert((testdev_queue(&f.dev, i) != NULL) == (i & 1));
		vmm_carrier_kick(f.c, i);
		ck_assert_uint_eq(f.dev.notified[i], 2 * (i & 1));
	}
	ck_assert_uint_eq(f.dev.active.queue_count, TESTDEV_QUEUES);
	ck_assert_ptr_eq(f.dev.active.mem, fakedrv_mem(f.drv));
	ck_assert_ptr_eq(f.dev.active.loop, fakedrv_loop(f.drv));
	tear_down(&f);
}
END_TEST

START_TEST(buffers_kicked_before_driver_ok_are_served_after_it)
{
	struct fakedrv_buf bufs[2];
	struct fakedrv_used used;
	struct fixture f;

	set_up(&f);
	f.dev.echo = true;
	ck_assert_int_eq(fakedrv_prepare(f.drv, NULL), 0);
	bufs[0] = (struct fakedrv_buf)FAKEDRV_OUT(fakedrv_alloc(f.drv, 4), 4);
	bufs[1] = (struct fakedrv_buf)FAKEDRV_IN(fakedrv_alloc(f.drv, 4), 4);
	ck_assert_int_ge(fakedrv_add(f.drv, 2, bufs, 2), 0);
	fakedrv_kick(f.drv, 2);
	ck_assert_uint_eq(f.dev.echoed, 0);
	ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, 2), 0);
	ck_assert(!fakedrv_used(f.drv, 2, &used));
	ck_assert_int_eq(fakedrv_driver_ok(f.drv), 0);
	ck_assert(fakedrv_used(f.drv, 2, &used));
	ck_assert_uint_eq(used.len, 4);
	ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, 2), 1);
	ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, 0), 0);
	tear_down(&f);
}
END_TEST

START_TEST(activation_with_bad_queue_addresses_needs_a_reset)
{
	static const struct vmm_carrier_queue bad[] = {
		{.size = 64, .enabled = true},
		{.size = 64, .enabled = true, .desc = MEMFIX_HOLE},
		{.size = 64,
		 .enabled = true,
		 .desc = MEMFIX_LOW_BASE,
		 .driver = MEMFIX_LOW_BASE + 1,
		 .device = MEMFIX_LOW_BASE},
	};
	static const struct fakedrv_options skip = {.skip_queues = 0x8};
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(fakedrv_prepare(f.drv, &skip), 0);
	ck_assert_int_eq(vmm_carrier_set_queue(f.c, 3, &bad[_i]), 0);
	ck_assert_int_eq(fakedrv_driver_ok(f.drv), -EIO);
	ck_assert_uint_eq(vmm_carrier_status(f.c), ACK | DRV | FOK | DOK | NR);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 1);
	ck_assert_uint_eq(f.dev.activated, 0);
	vmm_carrier_kick(f.c, 0);
	ck_assert_uint_eq(f.dev.notified[0], 0);
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	ck_assert_uint_eq(f.dev.activated, 1);
	tear_down(&f);
}
END_TEST

START_TEST(activation_refused_by_the_device_needs_a_reset)
{
	struct fixture f;

	set_up(&f);
	f.dev.activate_result = -EIO;
	f.dev.fail_in_activate = _i == 1;
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), -EIO);
	ck_assert_uint_eq(f.dev.activated, 1);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 1);
	ck_assert_uint_eq(f.dev.notified[0], 0);
	fakedrv_reset(f.drv);
	ck_assert_uint_eq(f.dev.resets, 0);
	f.dev.activate_result = 0;
	f.dev.fail_in_activate = false;
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	f.dev.activated--;
	tear_down(&f);
}
END_TEST

/* A device in a jail has no memory to ask for: neither the first start nor a later one may need
 * any. */
START_TEST(activation_allocates_nothing)
{
	struct faultinj inj = {0};
	struct fixture f;
	int ret;

	set_up(&f);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(fakedrv_prepare(f.drv, NULL), 0);
		(void)faultinj_next(&inj); /* check's macros allocate: none until stop */
		ret = fakedrv_driver_ok(f.drv);
		fakedrv_reset(f.drv);
		faultinj_stop(&inj);
		ck_assert_int_eq(ret, 0);
		ck_assert_msg(!inj.failed, "%s", inj.failed);
		memset(&inj, 0, sizeof(inj));
	}
	tear_down(&f);
}
END_TEST

START_TEST(device_that_fails_in_activate_gets_no_notification)
{
	struct fixture f;

	set_up(&f);
	f.dev.fail_in_activate = true;
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), -EIO);
	ck_assert_uint_eq(f.dev.notified[0] + f.dev.notified[1], 0);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 1);
	tear_down(&f);
}
END_TEST

START_TEST(failure_before_driver_ok_is_told_at_driver_ok)
{
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(fakedrv_prepare(f.drv, NULL), 0);
	vmm_virtio_fail(&f.dev.base, "early");
	ck_assert_uint_eq(vmm_carrier_status(f.c), ACK | DRV | FOK | NR);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 0);
	ck_assert_int_eq(fakedrv_driver_ok(f.drv), -EIO);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 1);
	ck_assert_uint_eq(f.dev.activated, 0);
	tear_down(&f);
}
END_TEST

START_TEST(failure_is_told_once_and_ends_notifications)
{
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	vmm_virtio_fail(&f.dev.base, "once");
	vmm_virtio_fail(&f.dev.base, "twice");
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 1);
	ck_assert_uint_eq(vmm_carrier_status(f.c), ACK | DRV | FOK | DOK | NR);
	vmm_carrier_kick(f.c, 0);
	ck_assert_uint_eq(f.dev.notified[0], 1);
	fakedrv_reset(f.drv);
	ck_assert_uint_eq(vmm_carrier_status(f.c), 0);
	ck_assert_uint_eq(f.dev.resets, 1);
	tear_down(&f);
}
END_TEST

START_TEST(reset_ends_everything)
{
	struct fixture f;
	unsigned irqs;

	set_up(&f);
	f.dev.echo = true;
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	/* Work that the device posted to itself does not outlive the reset. */
	vmm_loop_post(fakedrv_loop(f.drv), &f.dev.again);
	irqs = fakedrv_queue_irqs(f.drv, 0);
	vmm_carrier_set_status(f.c, 0);
	ck_assert_uint_eq(f.dev.resets, 1);
	vmm_carrier_kick(f.c, 0);
	fakedrv_run(f.drv);
	ck_assert_uint_eq(f.dev.notified[0], 1);
	ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, 0), irqs);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 0);
	/* A second one changes nothing. */
	vmm_carrier_set_status(f.c, 0);
	ck_assert_uint_eq(f.dev.resets, 1);
	tear_down(&f);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{status_every_write_in_every_state_does_what_the_table_says, 10},
		{features_offered_are_the_devices_and_the_rings, 1},
		{features_ok_needs_an_offered_subset_with_version_1, 1},
		{features_are_fixed_from_features_ok_to_reset, 1},
		{features_renegotiate_after_reset, 1},
		{queue_registers_start_and_end_at_their_defaults, 1},
		{queue_that_does_not_exist_is_refused, 6},
		{queue_size_must_be_a_power_of_two_up_to_the_maximum, 1},
		{queue_registers_change_between_features_ok_and_driver_ok_only, 1},
		{queue_once_enabled_does_not_change, 1},
		{queue_is_disabled_between_features_ok_and_driver_ok_only, 1},
		{activation_notifies_each_enabled_queue_once, 1},
		{buffers_kicked_before_driver_ok_are_served_after_it, 1},
		{activation_with_bad_queue_addresses_needs_a_reset, 3},
		{activation_refused_by_the_device_needs_a_reset, 2},
		{activation_allocates_nothing, 1},
		{device_that_fails_in_activate_gets_no_notification, 1},
		{failure_before_driver_ok_is_told_at_driver_ok, 1},
		{failure_is_told_once_and_ends_notifications, 1},
		{reset_ends_everything, 1},
	};

	return suite_run_looped("carrier", tests, sizeof(tests) / sizeof(tests[0]));
}
