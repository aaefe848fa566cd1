/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <vmm/dev/rng.h>

#include "fakedrv.h"
#include "faultinj.h"
#include "suite.h"

static struct fakedrv *start(void)
{
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;

	ck_assert_int_eq(vmm_rng_create(&dev, NULL, NULL), 0);
	drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	return drv;
}

static unsigned count_of(const uint8_t *bytes, size_t len, uint8_t value)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++) {
		n += bytes[i] == value;
	}
	return n;
}

START_TEST(rng_buffer_is_filled_and_nothing_behind_it)
{
	struct fakedrv *drv = start();
	uint8_t *data = fakedrv_alloc(drv, 512);

	for (unsigned len = 1; len <= 256; len++) {
		struct fakedrv_buf buf = FAKEDRV_IN(data, len);

		memset(data, 0, 512);
		ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), len);
		ck_assert_uint_eq(count_of(data + len, 512 - len, 0), 512 - len);
		/* 64 random bytes with 16 zeroes among them are less likely than a broken host. */
		if (len >= 64) {
			ck_assert_uint_lt(count_of(data, 64, 0), 16);
		}
	}
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_two_requests_give_different_bytes)
{
	struct fakedrv *drv = start();
	uint8_t *data = fakedrv_alloc(drv, 128);
	struct fakedrv_buf first = FAKEDRV_IN(data, 64);
	struct fakedrv_buf second = FAKEDRV_IN(data + 64, 64);

	ck_assert_uint_eq(fakedrv_request(drv, 0, &first, 1), 64);
	ck_assert_uint_eq(fakedrv_request(drv, 0, &second, 1), 64);
	ck_assert_mem_ne(data, data + 64, 64);
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_buffer_in_pieces_is_filled_in_order)
{
	struct fakedrv *drv = start();
	uint8_t *data = fakedrv_alloc(drv, 300);
	struct fakedrv_buf whole = FAKEDRV_IN(data, 200);
	struct fakedrv_buf pieces[64];

	/* The queue has 64 entries. */
	for (uint32_t piece = 4; piece <= 200; piece += 3) {
		unsigned n = fakedrv_chop(&whole, 1, piece, pieces, 64);

		memset(data, 0, 300);
		ck_assert_uint_eq(fakedrv_request(drv, 0, pieces, n), 200);
		ck_assert_uint_lt(count_of(data, 200, 0), 50);
		ck_assert_uint_eq(count_of(data + 200, 100, 0), 100);
	}
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_huge_request_costs_little)
{
	struct fakedrv *drv = start();
	uint8_t *data = fakedrv_alloc(drv, 1u << 20);
	struct fakedrv_buf bufs[64];

	/* 64 descriptors onto the same memory ask for 64 MiB. */
	for (unsigned i = 0; i < 64; i++) {
		bufs[i] = (struct fakedrv_buf)FAKEDRV_IN(data, 1u << 20);
	}
	ck_assert_uint_eq(fakedrv_request(drv, 0, bufs, 64), 256);
	ck_assert_uint_eq(count_of(data + 256, (1u << 20) - 256, 0), (1u << 20) - 256);
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_request_without_room_comes_back_empty)
{
	struct fakedrv *drv = start();
	uint8_t *data = fakedrv_alloc(drv, 64);
	struct fakedrv_buf out = FAKEDRV_OUT(data, 64);
	struct fakedrv_buf mixed[] = {FAKEDRV_OUT(data, 32), FAKEDRV_IN(data + 32, 32)};

	for (unsigned i = 0; i < 200; i++) {
		ck_assert_uint_eq(fakedrv_request(drv, 0, &out, 1), 0);
	}
	ck_assert_uint_eq(count_of(data, 64, 0), 64);
	ck_assert_uint_eq(fakedrv_request(drv, 0, mixed, 2), 32);
	ck_assert_uint_eq(count_of(data, 32, 0), 32);
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_full_queue_comes_back_whole)
{
	struct fakedrv *drv = start();
	uint8_t *data = fakedrv_alloc(drv, 64 * 16);
	struct fakedrv_used used;

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 64; i++) {
			struct fakedrv_buf buf = FAKEDRV_IN(data + i * 16, 16);

			ck_assert_int_ge(fakedrv_add(drv, 0, &buf, 1), 0);
		}
		fakedrv_kick(drv, 0);
		for (unsigned i = 0; i < 64; i++) {
			ck_assert(fakedrv_wait_used(drv, 0, &used, FAKEDRV_PATIENCE_MS));
			ck_assert_uint_eq(used.len, 16);
		}
		ck_assert(!fakedrv_used(drv, 0, &used));
	}
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_reset_with_work_left_is_clean)
{
	struct fakedrv *drv = start();
	uint8_t *data = fakedrv_alloc(drv, 64);
	struct fakedrv_buf buf = FAKEDRV_IN(data, 16);

	for (unsigned round = 0; round < 10; round++) {
		/* A full queue: one batch exactly, so the device has posted its next turn. */
		for (unsigned i = 0; i < 64; i++) {
			ck_assert_int_ge(fakedrv_add(drv, 0, &buf, 1), 0);
		}
		vmm_carrier_kick(fakedrv_carrier(drv), 0);
		fakedrv_reset(drv);
		memset(data, 0, 64);
		fakedrv_run(drv);
		ck_assert_uint_eq(count_of(data, 64, 0), 64);
		ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
		ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), 16);
	}
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_buffer_outside_memory_asks_for_a_reset)
{
	struct fakedrv *drv = start();
	uint8_t *data = fakedrv_alloc(drv, 64);
	struct fakedrv_buf buf = FAKEDRV_IN(data, 64);

	fakedrv_ring(drv, 0)->desc[0] =
		(struct fakedrv_desc){.addr = MEMFIX_HOLE, .len = 64, .flags = FAKEDRV_DESC_WRITE};
	fakedrv_offer(drv, 0, 0);
	fakedrv_kick(drv, 0);
	ck_assert(fakedrv_needs_reset(drv));
	fakedrv_reset(drv);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), 64);
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_queue_that_was_not_enabled_asks_for_a_reset)
{
	struct fakedrv_options options = {.skip_queues = 1};
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;

	ck_assert_int_eq(vmm_rng_create(&dev, NULL, NULL), 0);
	drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(drv, &options), -EIO);
	fakedrv_destroy(drv);
}
END_TEST

START_TEST(rng_source_is_read_instead)
{
	/* Not random, so that it shows where the bytes come from. */
	struct vmm_rng_config config = {.source_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC)};
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;
	uint8_t *data;
	struct fakedrv_buf buf;

	ck_assert_int_eq(vmm_rng_create(&dev, &config, NULL), 0);
	drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	data = fakedrv_alloc(drv, 300);
	buf = (struct fakedrv_buf)FAKEDRV_IN(data, 300);
	memset(data, 0xff, 300);
	ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), 256);
	ck_assert_uint_eq(count_of(data, 300, 0), 256);
	fakedrv_destroy(drv);
	/* Borrowed. */
	ck_assert_int_eq(close(config.source_fd), 0);
}
END_TEST

START_TEST(rng_source_that_has_nothing_gives_empty_answers)
{
	struct vmm_rng_config config = {.source_fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;
	struct fakedrv_buf buf;

	ck_assert_int_eq(vmm_rng_create(&dev, &config, NULL), 0);
	drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	buf = (struct fakedrv_buf)FAKEDRV_IN(fakedrv_alloc(drv, 16), 16);
	ck_assert_uint_eq(fakedrv_request(drv, 0, &buf, 1), 0);
	fakedrv_destroy(drv);
	ck_assert_int_eq(close(config.source_fd), 0);
}
END_TEST

START_TEST(rng_source_of_another_kind_is_refused)
{
	const struct {
		int fd;
		int ret;
	} bad[] = {
		{99999, -EBADF},
		{open("/proc/self/exe", O_RDONLY | O_CLOEXEC), -EINVAL},
		{open("/dev/urandom", O_WRONLY | O_CLOEXEC), -EINVAL},
		{open("/dev/urandom", O_PATH | O_CLOEXEC), -EINVAL},
		{eventfd(0, EFD_CLOEXEC), -EINVAL},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vmm_rng_config config = {.source_fd = bad[i].fd};
		struct vmm_virtio_device *dev;
		struct vmm_error err = {0};

		ck_assert_int_ge(bad[i].fd, 0);
		ck_assert_int_eq(vmm_rng_create(&dev, &config, &err), bad[i].ret);
		ck_assert_ptr_null(dev);
		ck_assert_ptr_nonnull(strstr(err.message, "rng"));
		(void)close(bad[i].fd);
	}
}
END_TEST

START_TEST(rng_create_without_memory_fails_in_words)
{
	struct faultinj f = {0};
	unsigned failures = 0;

	while (faultinj_next(&f)) {
		struct vmm_virtio_device *dev;
		struct vmm_error err = {0};
		int ret = vmm_rng_create(&dev, NULL, &err);

		faultinj_stop(&f);
		if (f.failed) {
			failures++;
			ck_assert_int_eq(ret, -ENOMEM);
			ck_assert_ptr_null(dev);
			ck_assert_ptr_nonnull(strstr(err.message, "rng"));
		} else {
			ck_assert_int_eq(ret, 0);
			vmm_virtio_device_destroy(dev);
		}
	}
	ck_assert_uint_eq(failures, 1);
}
END_TEST

SUITE_MAIN("rng", rng_buffer_is_filled_and_nothing_behind_it, rng_two_requests_give_different_bytes,
	   rng_buffer_in_pieces_is_filled_in_order, rng_huge_request_costs_little,
	   rng_request_without_room_comes_back_empty, rng_full_queue_comes_back_whole,
	   rng_reset_with_work_left_is_clean, rng_buffer_outside_memory_asks_for_a_reset,
	   rng_queue_that_was_not_enabled_asks_for_a_reset, rng_source_is_read_instead,
	   rng_source_that_has_nothing_gives_empty_answers, rng_source_of_another_kind_is_refused,
	   rng_create_without_memory_fails_in_words)
