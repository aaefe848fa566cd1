/* SPDX-License-Identifier: MIT */
/*
 * The carrier: the configuration space, and how a carrier begins, ends and speaks.
 */
#include <errno.h>
#include <string.h>

#include <vmm/carrier.h>

#include "fakedrv.h"
#include "faultinj.h"
#include "suite.h"
#include "testdev.h"

#define ACK VMM_VIRTIO_S_ACKNOWLEDGE
#define DRV VMM_VIRTIO_S_DRIVER
#define FOK VMM_VIRTIO_S_FEATURES_OK
#define DOK VMM_VIRTIO_S_DRIVER_OK

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

/* ---- configuration space ---- */

START_TEST(config_reads_at_every_offset_and_length_stay_inside)
{
	struct fixture f;

	set_up(&f);
	for (size_t offset = 0; offset < 4096; offset++) {
		for (size_t len = 1; len <= 8; len++) {
			uint8_t got[9];

			memset(got, 0xcc, sizeof(got));
			vmm_carrier_read_config(f.c, offset, got, len);
			for (size_t i = 0; i < len; i++) {
				size_t at = offset + i;

				SUITE_REQUIRE(got[i] == (at < TESTDEV_CONFIG_LEN ? at + 1 : 0));
			}
			SUITE_REQUIRE(got[len] == 0xcc);
		}
	}
	tear_down(&f);
}
END_TEST

START_TEST(config_read_at_the_end_of_the_address_space_reads_zero)
{
	struct fixture f;
	uint8_t got[4] = {1, 2, 3, 4};

	set_up(&f);
	vmm_carrier_read_config(f.c, SIZE_MAX - 1, got, 4);
	ck_assert_uint_eq(got[0] | got[1] | got[2] | got[3], 0);
	tear_down(&f);
}
END_TEST

START_TEST(config_writes_wholly_inside_reach_the_device)
{
	static const uint8_t bytes[8] = {9, 8, 7, 6, 5, 4, 3, 2};
	unsigned expected = 0;
	struct fixture f;

	set_up(&f);
	for (size_t offset = 0; offset < 300; offset++) {
		for (size_t len = 0; len <= 8; len++) {
			bool inside = len > 0 && offset + len <= TESTDEV_CONFIG_LEN;

			vmm_carrier_write_config(f.c, offset, bytes, len);
			expected += inside;
			SUITE_REQUIRE(f.dev.config_writes == expected);
			if (inside) {
				SUITE_REQUIRE(f.dev.config_offset == offset);
				SUITE_REQUIRE(f.dev.config_len == len);
				ck_assert_mem_eq(f.dev.config_bytes, bytes, len);
			}
		}
	}
	vmm_carrier_write_config(f.c, SIZE_MAX, bytes, 2);
	vmm_carrier_write_config(f.c, 1, bytes, SIZE_MAX);
	SUITE_REQUIRE(f.dev.config_writes == expected);
	/* Only the device changes what is read. */
	SUITE_REQUIRE(f.dev.base.config[0] == 1);
	tear_down(&f);
}
END_TEST

START_TEST(config_write_to_a_device_without_set_config_is_ignored)
{
	struct vmm_virtio_ops ops;
	struct fixture f;
	uint8_t byte = 0;

	set_up(&f);
	ops = *f.dev.base.ops;
	ops.set_config = NULL;
	f.dev.base.ops = &ops;
	vmm_carrier_write_config(f.c, 0, &byte, 1);
	ck_assert_uint_eq(f.dev.base.config[0], 1);
	tear_down(&f);
}
END_TEST

START_TEST(config_update_is_seen_counted_and_told_once_driver_ok)
{
	struct fixture f;
	uint8_t generation;
	uint8_t got;
	uint8_t byte = 77;

	set_up(&f);
	ck_assert_int_eq(fakedrv_prepare(f.drv, NULL), 0);
	generation = vmm_carrier_config_generation(f.c);
	ck_assert_uint_eq(vmm_carrier_config_generation(f.c), generation);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 3, &byte, 1), 0);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 0);
	ck_assert_uint_ne(vmm_carrier_config_generation(f.c), generation);
	vmm_carrier_read_config(f.c, 3, &got, 1);
	ck_assert_uint_eq(got, 77);
	ck_assert_int_eq(fakedrv_driver_ok(f.drv), 0);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 3, &byte, 1), 0);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 1);
	fakedrv_reset(f.drv);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 3, &byte, 1), 0);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 1);
	tear_down(&f);
}
END_TEST

static void answer_config(struct vmm_virtio_device *base, size_t offset, const void *bytes,
			  size_t len)
{
	ck_assert_int_eq(vmm_virtio_config_update(base, offset, bytes, len), 0);
}

START_TEST(config_answer_to_a_write_is_seen_and_counted_but_not_told)
{
	struct vmm_virtio_ops ops;
	struct fixture f;
	uint8_t generation;
	uint8_t byte = 77;
	uint8_t got;

	set_up(&f);
	ops = *f.dev.base.ops;
	ops.set_config = answer_config;
	f.dev.base.ops = &ops;
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	generation = vmm_carrier_config_generation(f.c);
	vmm_carrier_write_config(f.c, 3, &byte, 1);
	vmm_carrier_read_config(f.c, 3, &got, 1);
	ck_assert_uint_eq(got, 77);
	ck_assert_uint_ne(vmm_carrier_config_generation(f.c), generation);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 0);
	/* What comes later is news again. */
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 3, &byte, 1), 0);
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 1);
	tear_down(&f);
}
END_TEST

static void count_call(void *ctx)
{
	++*(unsigned *)ctx;
}

START_TEST(config_answer_to_a_write_is_not_told_the_transport)
{
	struct vmm_carrier_config config = {.on_config = count_call};
	struct vmm_virtio_ops ops;
	struct vmm_carrier *c;
	struct testdev dev;
	unsigned calls = 0;
	uint8_t byte = 77;

	testdev_init(&dev);
	ops = *dev.base.ops;
	ops.set_config = answer_config;
	dev.base.ops = &ops;
	config.ctx = &calls;
	ck_assert_int_eq(vmm_loop_create(&config.loop), 0);
	ck_assert_int_eq(vmm_carrier_create(&c, &dev.base, &config, NULL), 0);
	vmm_carrier_write_config(c, 3, &byte, 1);
	ck_assert_uint_eq(dev.base.config[3], 77);
	ck_assert_uint_eq(calls, 0);
	ck_assert_int_eq(vmm_virtio_config_update(&dev.base, 3, &byte, 1), 0);
	ck_assert_uint_eq(calls, 1);
	vmm_carrier_destroy(c);
	vmm_loop_destroy(config.loop);
}
END_TEST

START_TEST(config_generation_never_comes_back_to_what_was_read)
{
	struct fixture f;
	uint8_t byte = 0;

	set_up(&f);
	for (unsigned updates = 1; updates <= 600; updates++) {
		uint8_t generation = vmm_carrier_config_generation(f.c);

		for (unsigned i = 0; i < updates; i++) {
			SUITE_REQUIRE(vmm_virtio_config_update(&f.dev.base, 0, &byte, 1) == 0);
		}
		SUITE_REQUIRE(vmm_carrier_config_generation(f.c) != generation);
	}
	tear_down(&f);
}
END_TEST

START_TEST(config_update_outside_is_refused)
{
	struct testdev bare;
	struct fixture f;
	uint8_t bytes[TESTDEV_CONFIG_LEN + 1] = {0};

	set_up(&f);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 0, bytes, sizeof(bytes)), -EINVAL);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 20, bytes, 1), -EINVAL);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 21, bytes, 0), -EINVAL);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 1, bytes, SIZE_MAX), -EINVAL);
	ck_assert_int_eq(vmm_virtio_config_update(&f.dev.base, 20, bytes, 0), 0);
	ck_assert_uint_eq(f.dev.base.config[19], 20);
	tear_down(&f);

	/* And without a carrier. */
	testdev_init(&bare);
	ck_assert_int_eq(vmm_virtio_config_update(&bare.base, 19, bytes, 2), -EINVAL);
	ck_assert_int_eq(vmm_virtio_config_update(&bare.base, 19, bytes, 1), 0);
	ck_assert_uint_eq(bare.base.config[19], 0);
	vmm_virtio_fail(&bare.base, "nobody hears it");
	vmm_virtio_device_destroy(&bare.base);
	ck_assert_uint_eq(bare.destroyed, 1);
	vmm_virtio_device_destroy(NULL);
}
END_TEST

/* ---- create, destroy, logs ---- */

static void break_nothing(struct testdev *dev)
{
	(void)dev;
}

static void no_name(struct testdev *dev)
{
	dev->base.name = NULL;
}

static void no_ops(struct testdev *dev)
{
	dev->base.ops = NULL;
}

static void no_notify(struct testdev *dev)
{
	static const struct vmm_virtio_ops ops;

	dev->base.ops = &ops;
}

static void too_many_queues(struct testdev *dev)
{
	dev->base.queue_count = VMM_VIRTIO_QUEUES_MAX + 1;
}

static void queue_of_nothing(struct testdev *dev)
{
	dev->sizes[1] = 0;
}

static void queue_of_three(struct testdev *dev)
{
	dev->sizes[2] = 3;
}

static void queue_too_large(struct testdev *dev)
{
	dev->sizes[3] = VMM_VIRTQ_SIZE_MAX * 2;
}

static void config_too_long(struct testdev *dev)
{
	dev->base.config_len = VMM_VIRTIO_CONFIG_MAX + 1;
}

static void feature_of_the_ring(struct testdev *dev)
{
	dev->base.features = VMM_VIRTIO_F_EVENT_IDX;
}

static void feature_49(struct testdev *dev)
{
	dev->base.features = UINT64_C(1) << 49;
}

static void feature_50(struct testdev *dev)
{
	dev->base.features = UINT64_C(1) << 50;
}

static const struct {
	void (*arrange)(struct testdev *dev);
	int expected;
	const char *words;
} devices[] = {
	{break_nothing, 0, ""},
	{feature_50, 0, ""},
	{no_name, -EINVAL, "missing"},
	{no_ops, -EINVAL, "missing"},
	{no_notify, -EINVAL, "missing"},
	{too_many_queues, -EINVAL, "67 queues"},
	{queue_of_nothing, -EINVAL, "queue 1"},
	{queue_of_three, -EINVAL, "queue 2"},
	{queue_too_large, -EINVAL, "queue 3"},
	{config_too_long, -EINVAL, "257 bytes"},
	{feature_of_the_ring, -EINVAL, "features 0x20000000"},
	{feature_49, -EINVAL, "features"},
};

#define DEVICES ((int)(sizeof(devices) / sizeof(devices[0])))

START_TEST(create_checks_the_device)
{
	struct vmm_error err = {0};
	struct vmm_carrier_config config = {0};
	struct vmm_carrier *c;
	struct testdev dev;

	ck_assert_int_eq(vmm_loop_create(&config.loop), 0);
	testdev_init(&dev);
	devices[_i].arrange(&dev);
	ck_assert_int_eq(vmm_carrier_create(&c, &dev.base, &config, &err), devices[_i].expected);
	ck_assert_ptr_nonnull(strstr(err.message, devices[_i].words));
	ck_assert((c != NULL) == (devices[_i].expected == 0));
	ck_assert((dev.base.carrier != NULL) == (devices[_i].expected == 0));
	vmm_carrier_destroy(c);
	vmm_loop_destroy(config.loop);
}
END_TEST

START_TEST(create_device_with_a_carrier_is_busy)
{
	struct vmm_error err = {0};
	struct vmm_carrier_config config = {0};
	struct vmm_carrier *other;
	struct fixture f;

	set_up(&f);
	config.loop = fakedrv_loop(f.drv);
	ck_assert_int_eq(vmm_carrier_create(&other, &f.dev.base, &config, &err), -EBUSY);
	ck_assert_ptr_null(other);
	ck_assert_ptr_eq(f.dev.base.carrier, f.c);
	tear_down(&f);
}
END_TEST

START_TEST(create_without_memory_leaves_the_device)
{
	struct vmm_carrier_config config = {.id = "disk0"};
	struct faultinj inj = {0};
	unsigned rounds = 0;

	ck_assert_int_eq(vmm_loop_create(&config.loop), 0);
	while (faultinj_next(&inj)) {
		struct vmm_error err = {0};
		struct vmm_carrier *c;
		struct testdev dev;
		int ret;

		testdev_init(&dev);
		ret = vmm_carrier_create(&c, &dev.base, &config, &err);
		faultinj_stop(&inj);
		rounds++;
		ck_assert_int_eq(ret, inj.failed ? -ENOMEM : 0);
		ck_assert((dev.base.carrier != NULL) == (ret == 0));
		if (ret == 0) {
			ck_assert_str_eq(vmm_carrier_id(c), "disk0");
			ck_assert_ptr_eq(vmm_carrier_device(c), &dev.base);
		}
		vmm_carrier_destroy(c);
		ck_assert_uint_eq(dev.destroyed, ret == 0);
	}
	/* The carrier, its id, six for each of four queues, and none. */
	ck_assert_uint_eq(rounds, 2 + 6 * TESTDEV_QUEUES + 1);
	vmm_loop_destroy(config.loop);
}
END_TEST

static void note_active(void *ctx, bool active)
{
	char *trace = ctx;

	strcat(trace, active ? "+" : "-");
}

START_TEST(on_active_follows_activation_and_reset)
{
	char trace[16] = "";
	struct vmm_carrier_config config = {.on_active = note_active, .ctx = trace};
	struct vmm_carrier *c;
	struct testdev dev;
	struct memfix fix;

	memfix_init(&fix);
	testdev_init(&dev);
	config.mem = fix.mem;
	ck_assert_int_eq(vmm_loop_create(&config.loop), 0);
	ck_assert_int_eq(vmm_carrier_create(&c, &dev.base, &config, NULL), 0);
	ck_assert_str_eq(vmm_carrier_id(c), "testdev");
	vmm_carrier_set_status(c, 0);
	ck_assert_str_eq(trace, "");
	for (unsigned i = 0; i < 2; i++) {
		vmm_carrier_set_driver_features(c, V1);
		vmm_carrier_set_status(c, ACK | DRV);
		vmm_carrier_set_status(c, ACK | DRV | FOK);
		vmm_carrier_set_status(c, ACK | DRV | FOK | DOK);
		vmm_carrier_set_status(c, ACK | DRV | FOK | DOK);
		if (i == 0) {
			vmm_carrier_set_status(c, 0);
		}
	}
	ck_assert_str_eq(trace, "+-+");
	vmm_carrier_destroy(c);
	ck_assert_str_eq(trace, "+-+-");
	ck_assert_uint_eq(dev.resets, 2);
	ck_assert_uint_eq(dev.destroyed, 1);
	vmm_carrier_destroy(NULL);
	vmm_loop_destroy(config.loop);
	memfix_finish(&fix);
}
END_TEST

static void count_line(void *user, enum vmm_log_level level, const char *message)
{
	unsigned *lines = user;

	(void)level;
	ck_assert_ptr_nonnull(strstr(message, "testdev"));
	(*lines)++;
}

START_TEST(guest_errors_are_logged_at_most_once_a_second)
{
	unsigned lines = 0;
	const struct vmm_log log = {VMM_LOG_DEBUG, count_line, &lines};
	struct fakedrv *drv;
	struct testdev dev;

	testdev_init(&dev);
	drv = fakedrv_create_logged(&dev.base, &log);
	for (unsigned i = 0; i < 1000; i++) {
		SUITE_REQUIRE(fakedrv_start(drv, NULL) == 0);
		*fakedrv_ring(drv, 0)->avail_idx = 0xffff;
		SUITE_REQUIRE(!vmm_virtq_has_avail(testdev_queue(&dev, 0)));
		SUITE_REQUIRE(fakedrv_needs_reset(drv));
	}
	SUITE_REQUIRE(lines >= 1);
	/* A sanitized or emulated run may take some seconds. */
	SUITE_REQUIRE(lines <= 60);
	fakedrv_destroy(drv);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{config_reads_at_every_offset_and_length_stay_inside, 1},
		{config_read_at_the_end_of_the_address_space_reads_zero, 1},
		{config_writes_wholly_inside_reach_the_device, 1},
		{config_write_to_a_device_without_set_config_is_ignored, 1},
		{config_update_is_seen_counted_and_told_once_driver_ok, 1},
		{config_answer_to_a_write_is_seen_and_counted_but_not_told, 1},
		{config_answer_to_a_write_is_not_told_the_transport, 1},
		{config_generation_never_comes_back_to_what_was_read, 1},
		{config_update_outside_is_refused, 1},
		{create_checks_the_device, DEVICES},
		{create_device_with_a_carrier_is_busy, 1},
		{create_without_memory_leaves_the_device, 1},
		{on_active_follows_activation_and_reset, 1},
		{guest_errors_are_logged_at_most_once_a_second, 1},
	};

	return suite_run_looped("carrier_config", tests, sizeof(tests) / sizeof(tests[0]));
}
