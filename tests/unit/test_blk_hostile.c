/* SPDX-License-Identifier: MIT */
/* virtio-blk against a driver that breaks the rules, and resets at the worst moment. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_blk_fix.h"

static const enum vmm_disk_engine engines[] = {VMM_DISK_SYNC, VMM_DISK_AUTO};
#define ENGINES (sizeof(engines) / sizeof(engines[0]))

static void serves_a_clean_request(struct blkfix *fix)
{
	ck_assert(!fakedrv_needs_reset(fix->drv));
	ck_assert_uint_eq(blkfix_io(fix, BLK_T_IN, 1, 512), BLK_S_OK);
	ck_assert_uint_eq(fix->data[3], blkfix_byte(515));
}

START_TEST(blk_read_only_disk_is_never_written)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		struct blkfix fix;

		blkfix_start(&fix, engines[e], true);
		ck_assert_uint_eq(fakedrv_features(fix.drv) &
					  (BLK_F_RO | BLK_F_FLUSH | BLK_F_CONFIG_WCE |
					   BLK_F_DISCARD | BLK_F_WRITE_ZEROES),
				  BLK_F_RO);
		ck_assert_uint_eq(blkfix_io(&fix, BLK_T_OUT, 0, 512), BLK_S_IOERR);
		ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_DISCARD, 0, 8, 0), BLK_S_IOERR);
		ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_WRITE_ZEROES, 0, 8, 0), BLK_S_IOERR);
		(void)blkfix_io(&fix, BLK_T_FLUSH, 0, 0);
		ck_assert(blkfix_untouched(&fix, 0, BLKFIX_SIZE));
		serves_a_clean_request(&fix);
		blkfix_finish(&fix);
	}
}
END_TEST

START_TEST(blk_edges_of_the_capacity_hold)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} edges[] = {
		{BLKFIX_SECTORS - 1, 512, BLK_S_OK},
		{BLKFIX_SECTORS - 8, 4096, BLK_S_OK},
		{BLKFIX_SECTORS - 1, 1024, BLK_S_IOERR},
		{BLKFIX_SECTORS - 7, 4096, BLK_S_IOERR},
		{BLKFIX_SECTORS, 512, BLK_S_IOERR},
		{BLKFIX_SECTORS + 1, 512, BLK_S_IOERR},
		{UINT64_MAX, 512, BLK_S_IOERR},
		{UINT64_MAX / 512, 512, BLK_S_IOERR},
		{UINT64_MAX / 512 + 1, 512, BLK_S_IOERR}, /* times 512 it wraps to 0 */
		{UINT64_C(1) << 63, 512, BLK_S_IOERR},
		{0, 1, BLK_S_IOERR},
		{0, 511, BLK_S_IOERR},
		{0, 513, BLK_S_IOERR},
		{0, 1023, BLK_S_IOERR},
	};

	for (unsigned e = 0; e < ENGINES; e++) {
		struct stat st;
		struct blkfix fix;

		blkfix_start(&fix, engines[e], false);
		for (unsigned i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
			uint64_t at = edges[i].sector;

			ck_assert_uint_eq(blkfix_io(&fix, BLK_T_IN, at, edges[i].len),
					  edges[i].status);
			ck_assert_uint_eq(fix.used_len,
					  edges[i].status == BLK_S_OK ? edges[i].len + 1 : 0);
			/* What was just read goes back: the image stays as it is. */
			ck_assert_uint_eq(blkfix_io(&fix, BLK_T_OUT, at, edges[i].len),
					  edges[i].status);
		}
		ck_assert_int_eq(fstat(fix.fd, &st), 0);
		ck_assert_int_eq(st.st_size, (off_t)BLKFIX_SIZE);
		ck_assert(blkfix_untouched(&fix, 0, BLKFIX_SIZE));
		blkfix_finish(&fix);
	}
}
END_TEST

START_TEST(blk_header_of_any_other_length_is_refused)
{
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	for (unsigned len = 0; len < 16; len++) {
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix.header, len),
					     FAKEDRV_IN(fix.status, 1)};

		*fix.header = (struct blk_header){.type = BLK_T_FLUSH};
		*fix.status = BLK_S_NONE;
		ck_assert_uint_eq(fakedrv_request(fix.drv, 0, len ? bufs : &bufs[1], len ? 2 : 1),
				  1);
		ck_assert_uint_eq(*fix.status, BLK_S_IOERR);
	}
	serves_a_clean_request(&fix);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_chains_without_a_status_byte_come_back_empty)
{
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	/* More than a ring of them: none may be lost. */
	for (unsigned i = 0; i < 1000; i++) {
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix.header, 16),
					     FAKEDRV_OUT(fix.data, 512)};

		*fix.header = (struct blk_header){.type = BLK_T_OUT};
		ck_assert_uint_eq(fakedrv_request(fix.drv, 0, bufs, 1 + i % 2), 0);
	}
	ck_assert(blkfix_untouched(&fix, 0, BLKFIX_SIZE));
	serves_a_clean_request(&fix);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_types_that_were_not_offered_are_unsupported)
{
	static const uint32_t types[] = {2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 16, 24, 26, UINT32_MAX};
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		ck_assert_uint_eq(blkfix_io(&fix, types[i], 0, 512), BLK_S_UNSUPP);
		ck_assert_uint_eq(fix.used_len, 1);
	}
	ck_assert(blkfix_untouched(&fix, 0, BLKFIX_SIZE));
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_features_refused_by_the_driver_are_not_served)
{
	struct fakedrv_options options = {.refuse = BLK_F_DISCARD | BLK_F_WRITE_ZEROES};
	struct blkfix fix;

	blkfix_image(&fix, BLKFIX_SIZE);
	blkfix_start_disk(&fix, blkfix_open(&fix, VMM_DISK_SYNC, false), &options);
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_DISCARD, 0, 8, 0), BLK_S_UNSUPP);
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_WRITE_ZEROES, 0, 8, 0), BLK_S_UNSUPP);
	ck_assert(blkfix_untouched(&fix, 0, BLKFIX_SIZE));
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_more_segments_than_advertised_are_refused)
{
	struct fakedrv_buf bufs[300];
	struct vmm_blk_config config = {.queue_size = 512};
	struct vmm_virtio_device *dev;
	struct blkfix fix;

	/* A queue of 512 entries, whose seg_max is 510. */
	blkfix_image(&fix, BLKFIX_SIZE);
	config.disk = blkfix_open(&fix, VMM_DISK_SYNC, false);
	ck_assert_int_eq(vmm_blk_create(&dev, &config, NULL), 0);
	fix.drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	fix.header = fakedrv_alloc(fix.drv, 16);
	fix.status = fakedrv_alloc(fix.drv, 1);
	fix.data = fakedrv_alloc(fix.drv, BLKFIX_DATA);
	{
		struct fakedrv_buf many[512];

		/* Header and first data byte share a buffer: 511 data segments in a legal chain. */
		uint8_t *both = fakedrv_alloc(fix.drv, 17);
		struct blk_header h = {.type = BLK_T_OUT};

		memcpy(both, &h, sizeof(h));
		many[0] = (struct fakedrv_buf)FAKEDRV_OUT(both, 17);
		for (unsigned i = 1; i < 511; i++) {
			many[i] = (struct fakedrv_buf)FAKEDRV_OUT(fix.data, i == 1 ? 2 : 1);
		}
		many[511] = (struct fakedrv_buf)FAKEDRV_IN(fix.status, 1);
		*fix.status = BLK_S_NONE;
		ck_assert_uint_eq(fakedrv_request(fix.drv, 0, many, 512), 1);
		ck_assert_uint_eq(*fix.status, BLK_S_IOERR);
	}
	/* As many as advertised are fine. */
	bufs[0] = (struct fakedrv_buf)FAKEDRV_OUT(fix.header, 16);
	for (unsigned i = 1; i < 257; i++) {
		bufs[i] = (struct fakedrv_buf)FAKEDRV_IN(fix.data + i * 2, 2);
	}
	bufs[257] = (struct fakedrv_buf)FAKEDRV_IN(fix.status, 1);
	*fix.header = (struct blk_header){.type = BLK_T_IN};
	ck_assert_uint_eq(fakedrv_request(fix.drv, 0, bufs, 258), 513);
	ck_assert_uint_eq(*fix.status, BLK_S_OK);
	ck_assert(blkfix_untouched(&fix, 0, BLKFIX_SIZE));
	blkfix_finish(&fix);
}
END_TEST

/* ---- DISCARD and WRITE_ZEROES ---- */

static bool is_zero(const struct blkfix *fix, uint64_t sector, uint64_t sectors)
{
	uint8_t bytes[8192];
	size_t len = sectors * 512;

	ck_assert_uint_le(len, sizeof(bytes));
	ck_assert_int_eq(pread(fix->fd, bytes, len, (off_t)(sector * 512)), (ssize_t)len);
	return blkfix_all(bytes, 0, len);
}

START_TEST(blk_write_zeroes_and_discard_change_their_range_only)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		struct stat before;
		struct stat after;
		struct blkfix fix;

		blkfix_start(&fix, engines[e], false);
		ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_WRITE_ZEROES, 3, 5, 0), BLK_S_OK);
		ck_assert_uint_eq(fix.used_len, 1);
		ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_WRITE_ZEROES, 33, 3, 1), BLK_S_OK);
		ck_assert(is_zero(&fix, 3, 5));
		ck_assert(is_zero(&fix, 33, 3));
		ck_assert(blkfix_untouched(&fix, 0, 3 * 512));
		ck_assert(blkfix_untouched(&fix, 8 * 512, 25 * 512));
		ck_assert_int_eq(fstat(fix.fd, &before), 0);
		ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_DISCARD, 1024, 2048, 0), BLK_S_OK);
		ck_assert_int_eq(fstat(fix.fd, &after), 0);
		ck_assert_int_lt(after.st_blocks, before.st_blocks);
		ck_assert_int_eq(after.st_size, before.st_size);
		ck_assert(blkfix_untouched(&fix, 36 * 512, (1024 - 36) * 512));
		ck_assert(blkfix_untouched(&fix, 3072 * 512, 1024 * 512));
		blkfix_finish(&fix);
	}
}
END_TEST

START_TEST(blk_several_segments_are_all_or_nothing)
{
	struct blk_segment segments[17] = {0};
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_AUTO, false);
	for (unsigned i = 0; i < 17; i++) {
		segments[i] = (struct blk_segment){.sector = i * 4, .sectors = 2};
	}
	memcpy(fix.data, segments, sizeof(segments));
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_WRITE_ZEROES, 0, sizeof(segments)), BLK_S_IOERR);
	segments[15].sector = BLKFIX_SECTORS - 1;
	memcpy(fix.data, segments, sizeof(segments));
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_WRITE_ZEROES, 0, 16 * 16), BLK_S_IOERR);
	ck_assert(blkfix_untouched(&fix, 0, BLKFIX_SIZE));
	segments[15].sector = BLKFIX_SECTORS - 2;
	memcpy(fix.data, segments, sizeof(segments));
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_WRITE_ZEROES, 0, 16 * 16), BLK_S_OK);
	for (unsigned i = 0; i < 15; i++) {
		ck_assert(is_zero(&fix, i * 4, 2));
		ck_assert(blkfix_untouched(&fix, (i * 4 + 2) * 512, 1024));
	}
	ck_assert(is_zero(&fix, BLKFIX_SECTORS - 2, 2));
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_bad_segments_have_no_effect)
{
	static const struct {
		uint32_t type;
		struct blk_segment segment;
		uint8_t status;
	} bad[] = {
		{BLK_T_DISCARD, {0, 8, 1}, BLK_S_UNSUPP},
		{BLK_T_DISCARD, {0, 8, 2}, BLK_S_UNSUPP},
		{BLK_T_WRITE_ZEROES, {0, 8, 2}, BLK_S_UNSUPP},
		{BLK_T_WRITE_ZEROES, {0, 8, UINT32_MAX}, BLK_S_UNSUPP},
		{BLK_T_DISCARD, {UINT64_MAX, 1, 0}, BLK_S_IOERR},
		{BLK_T_DISCARD, {UINT64_MAX, UINT32_MAX, 0}, BLK_S_IOERR},
		{BLK_T_DISCARD, {0, UINT32_MAX, 0}, BLK_S_IOERR},
		{BLK_T_WRITE_ZEROES, {UINT64_MAX / 512 + 1, 1, 0}, BLK_S_IOERR},
		{BLK_T_WRITE_ZEROES, {BLKFIX_SECTORS, 1, 0}, BLK_S_IOERR},
		{BLK_T_WRITE_ZEROES, {BLKFIX_SECTORS - 1, 2, 0}, BLK_S_IOERR},
		{BLK_T_WRITE_ZEROES, {0, BLKFIX_SECTORS + 1, 0}, BLK_S_IOERR},
		{BLK_T_WRITE_ZEROES, {1, UINT32_MAX, 0}, BLK_S_IOERR},
	};
	struct stat st;
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct blk_segment *s = &bad[i].segment;

		ck_assert_uint_eq(
			blkfix_segment(&fix, bad[i].type, s->sector, s->sectors, s->flags),
			bad[i].status);
	}
	/* Not a whole number of segments, none at all. */
	for (uint32_t len = 0; len < 40; len++) {
		memset(fix.data, 0, 64);
		if (len % 16 != 0 || len == 0) {
			ck_assert_uint_eq(blkfix_io(&fix, BLK_T_DISCARD, 0, len), BLK_S_IOERR);
		}
	}
	ck_assert(blkfix_untouched(&fix, 0, BLKFIX_SIZE));
	ck_assert_int_eq(fstat(fix.fd, &st), 0);
	ck_assert_int_eq(st.st_size, (off_t)BLKFIX_SIZE);
	/* An empty range is no error. */
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_DISCARD, BLKFIX_SECTORS, 0, 0), BLK_S_OK);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_segments_longer_than_advertised_are_refused)
{
	static const uint32_t types[] = {BLK_T_DISCARD, BLK_T_WRITE_ZEROES};
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	straw.base.capacity = UINT64_C(8) << 30;
	blkfix_start_disk(&fix, &straw.base, NULL);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(blkfix_segment(&fix, types[i], 0, 1u << 21, 0), BLK_S_OK);
		ck_assert_uint_eq(blkfix_segment(&fix, types[i], 0, (1u << 21) + 1, 0),
				  BLK_S_IOERR);
	}
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_hundred_thousand_segments_are_refused_at_once)
{
	struct straw straw;
	struct blkfix fix = {0};
	uint8_t *huge;

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, NULL);
	huge = fakedrv_alloc(fix.drv, 100000 * 16);
	fix.data = huge;
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_DISCARD, 0, 100000 * 16), BLK_S_IOERR);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_WRITE_ZEROES, 0, 100000 * 16), BLK_S_IOERR);
	ck_assert_uint_eq(straw.count[VMM_DISK_DISCARD], 0);
	ck_assert_uint_eq(straw.count[VMM_DISK_WRITE_ZEROES], 0);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_unmap_is_passed_on_for_write_zeroes_only)
{
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, NULL);
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_WRITE_ZEROES, 0, 8, 0), BLK_S_OK);
	ck_assert_uint_eq(straw.unmap, 0);
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_WRITE_ZEROES, 0, 8, 1), BLK_S_OK);
	ck_assert_uint_eq(straw.unmap, 1);
	blkfix_finish(&fix);
}
END_TEST

/* ---- the write cache ---- */

START_TEST(blk_writes_of_a_driver_without_flush_are_stable)
{
	struct fakedrv_options options = {.refuse = BLK_F_FLUSH};
	struct straw straw;
	struct blkfix fix = {0};
	uint8_t writeback = 9;

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, &options);
	fakedrv_read_config(fix.drv, 32, &writeback, 1);
	ck_assert_uint_eq(writeback, 0);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_OUT, 0, 512), BLK_S_OK);
	ck_assert_uint_eq(straw.through, 1);
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_WRITE_ZEROES, 0, 8, 0), BLK_S_OK);
	ck_assert_uint_eq(straw.through, 2);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_IN, 0, 512), BLK_S_OK);
	ck_assert_uint_eq(straw.through, 2);
	blkfix_finish(&fix);
}
END_TEST

static uint8_t set_writeback(struct blkfix *fix, uint8_t value)
{
	fakedrv_write_config(fix->drv, 32, &value, 1);
	fakedrv_read_config(fix->drv, 32, &value, 1);
	return value;
}

START_TEST(blk_write_cache_is_switched_by_the_driver)
{
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, NULL);
	(void)blkfix_io(&fix, BLK_T_OUT, 0, 512);
	ck_assert_uint_eq(straw.through, 0);
	ck_assert_uint_eq(set_writeback(&fix, 0), 0);
	(void)blkfix_io(&fix, BLK_T_OUT, 0, 512);
	ck_assert_uint_eq(straw.through, 1);
	ck_assert_uint_eq(set_writeback(&fix, 2), 0);
	ck_assert_uint_eq(set_writeback(&fix, 1), 1);
	(void)blkfix_io(&fix, BLK_T_OUT, 0, 512);
	ck_assert_uint_eq(straw.through, 1);
	/* A reset switches it on again. */
	ck_assert_uint_eq(set_writeback(&fix, 0), 0);
	fakedrv_reset(fix.drv);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	(void)blkfix_io(&fix, BLK_T_OUT, 0, 512);
	ck_assert_uint_eq(straw.through, 1);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_configuration_writes_elsewhere_are_ignored)
{
	struct fakedrv_options options = {.refuse = BLK_F_CONFIG_WCE};
	uint8_t junk[60];
	uint8_t before[60];
	uint8_t after[60];
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, &options);
	memset(junk, 0, sizeof(junk));
	fakedrv_read_config(fix.drv, 0, before, sizeof(before));
	for (size_t offset = 0; offset < 64; offset++) {
		for (size_t len = 1; len <= 8; len++) {
			fakedrv_write_config(fix.drv, offset, junk, len);
		}
	}
	fakedrv_read_config(fix.drv, 0, after, sizeof(after));
	ck_assert_mem_eq(before, after, sizeof(before));
	blkfix_finish(&fix);
}
END_TEST

/* ---- reset with work in flight ---- */

START_TEST(blk_reset_forgets_what_was_in_flight)
{
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	straw.hold = true;
	blkfix_start_disk(&fix, &straw.base, NULL);
	*fix.header = (struct blk_header){.type = BLK_T_IN};
	for (unsigned i = 0; i < 20; i++) {
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix.header, 16), FAKEDRV_IN(fix.data, 512),
					     FAKEDRV_IN(fix.status, 1)};

		ck_assert_int_ge(fakedrv_add(fix.drv, 0, bufs, 3), 0);
	}
	fakedrv_kick(fix.drv, 0);
	ck_assert_uint_eq(straw.held_count, 20);
	fakedrv_reset(fix.drv);
	ck_assert_uint_eq(straw.detached, 1);
	straw.hold = false;
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_IN, 0, 512), BLK_S_OK);
	blkfix_finish(&fix);
	ck_assert_uint_eq(straw.detached, 2);
}
END_TEST

START_TEST(blk_reset_leaves_no_kernel_io_behind)
{
	for (unsigned round = 0; round < 40; round++) {
		uint8_t *data;
		struct blkfix fix;

		blkfix_start(&fix, engines[round % ENGINES], true);
		/* Out of the page cache, so that some reads are still on their way. */
		ck_assert_int_eq(fdatasync(fix.fd), 0);
		(void)posix_fadvise(fix.fd, 0, 0, POSIX_FADV_DONTNEED);
		data = fakedrv_alloc(fix.drv, BLKFIX_SIZE);
		*fix.header = (struct blk_header){.type = BLK_T_IN};
		for (unsigned i = 0; i < 30; i++) {
			struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix.header, 16),
						     FAKEDRV_IN(data, BLKFIX_SIZE),
						     FAKEDRV_IN(fix.status, 1)};

			ck_assert_int_ge(fakedrv_add(fix.drv, 0, bufs, 3), 0);
		}
		vmm_carrier_kick(fakedrv_carrier(fix.drv), 0);
		fakedrv_reset(fix.drv);
		memset(data, 0x5a, BLKFIX_SIZE);
		*fix.status = 0x5a;
		ck_assert(!fakedrv_run_for(fix.drv, 2, NULL));
		ck_assert(blkfix_all(data, 0x5a, BLKFIX_SIZE));
		ck_assert_uint_eq(*fix.status, 0x5a);
		ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
		serves_a_clean_request(&fix);
		blkfix_finish(&fix);
	}
}
END_TEST

START_TEST(blk_same_head_twice_in_flight_asks_for_a_reset)
{
	struct straw straw;
	struct blkfix fix = {0};
	struct fakedrv_buf bufs[3];
	int head;

	straw_init(&straw);
	straw.hold = true;
	blkfix_start_disk(&fix, &straw.base, NULL);
	bufs[0] = (struct fakedrv_buf)FAKEDRV_OUT(fix.header, 16);
	bufs[1] = (struct fakedrv_buf)FAKEDRV_IN(fix.data, 512);
	bufs[2] = (struct fakedrv_buf)FAKEDRV_IN(fix.status, 1);
	*fix.header = (struct blk_header){.type = BLK_T_IN};
	head = fakedrv_add(fix.drv, 0, bufs, 3);
	fakedrv_offer(fix.drv, 0, (uint16_t)head);
	fakedrv_kick(fix.drv, 0);
	ck_assert_uint_eq(straw.held_count, 1);
	ck_assert(fakedrv_needs_reset(fix.drv));
	/* The one in flight still ends without harm. */
	straw_end(&straw, 0, 0);
	straw.hold = false;
	fakedrv_reset(fix.drv);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_IN, 0, 512), BLK_S_OK);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_buffers_outside_memory_ask_for_a_reset)
{
	const struct fakedrv_ring *ring;
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	ring = fakedrv_ring(fix.drv, 0);
	ring->desc[0] = (struct fakedrv_desc){.addr = fakedrv_gpa(fix.drv, fix.header),
					      .len = 16,
					      .flags = FAKEDRV_DESC_NEXT,
					      .next = 1};
	ring->desc[1] =
		(struct fakedrv_desc){.addr = MEMFIX_HOLE, .len = 512, .flags = FAKEDRV_DESC_WRITE};
	fakedrv_offer(fix.drv, 0, 0);
	fakedrv_kick(fix.drv, 0);
	ck_assert(fakedrv_needs_reset(fix.drv));
	fakedrv_reset(fix.drv);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	serves_a_clean_request(&fix);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_queue_that_was_not_enabled_asks_for_a_reset)
{
	struct fakedrv_options options = {.skip_queues = 1};
	struct straw straw;
	struct vmm_blk_config config = {.disk = &straw.base};
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;

	straw_init(&straw);
	ck_assert_int_eq(vmm_blk_create(&dev, &config, NULL), 0);
	drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(drv, &options), -EIO);
	ck_assert_uint_eq(straw.attached, 0);
	fakedrv_destroy(drv);
}
END_TEST

SUITE_MAIN("blk_hostile", blk_read_only_disk_is_never_written, blk_edges_of_the_capacity_hold,
	   blk_header_of_any_other_length_is_refused,
	   blk_chains_without_a_status_byte_come_back_empty,
	   blk_types_that_were_not_offered_are_unsupported,
	   blk_features_refused_by_the_driver_are_not_served,
	   blk_more_segments_than_advertised_are_refused,
	   blk_write_zeroes_and_discard_change_their_range_only,
	   blk_several_segments_are_all_or_nothing, blk_bad_segments_have_no_effect,
	   blk_segments_longer_than_advertised_are_refused,
	   blk_hundred_thousand_segments_are_refused_at_once,
	   blk_unmap_is_passed_on_for_write_zeroes_only,
	   blk_writes_of_a_driver_without_flush_are_stable,
	   blk_write_cache_is_switched_by_the_driver,
	   blk_configuration_writes_elsewhere_are_ignored, blk_reset_forgets_what_was_in_flight,
	   blk_reset_leaves_no_kernel_io_behind, blk_same_head_twice_in_flight_asks_for_a_reset,
	   blk_buffers_outside_memory_ask_for_a_reset,
	   blk_queue_that_was_not_enabled_asks_for_a_reset)
