/* SPDX-License-Identifier: MIT */
/* virtio-blk as a well-behaved driver sees it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faultinj.h"
#include "fdcount.h"
#include "test_blk_fix.h"

static const enum vmm_disk_engine engines[] = {VMM_DISK_SYNC, VMM_DISK_AUTO};
#define ENGINES (sizeof(engines) / sizeof(engines[0]))

static uint64_t config_le(struct blkfix *fix, size_t offset, size_t len)
{
	uint64_t value = 0;

	fakedrv_read_config(fix->drv, offset, &value, len);
	return value;
}

static void fill(uint8_t *bytes, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++) {
		bytes[i] = (uint8_t)(i * 31 + seed + i / 256);
	}
}

START_TEST(blk_config_space_describes_the_disk)
{
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	ck_assert_uint_eq(config_le(&fix, 0, 8), BLKFIX_SECTORS);
	ck_assert_uint_eq(config_le(&fix, 12, 4), 254);
	ck_assert_uint_eq(config_le(&fix, 20, 4), 512);
	ck_assert_uint_eq(config_le(&fix, 32, 1), 1);
	ck_assert_uint_eq(config_le(&fix, 36, 4), 1u << 21);
	ck_assert_uint_eq(config_le(&fix, 40, 4), 16);
	ck_assert_uint_eq(config_le(&fix, 44, 4), 8);
	ck_assert_uint_eq(config_le(&fix, 48, 4), 1u << 21);
	ck_assert_uint_eq(config_le(&fix, 52, 4), 16);
	ck_assert_uint_eq(config_le(&fix, 56, 1), 1);
	ck_assert_uint_eq(config_le(&fix, 57, 8), 0);
	ck_assert_uint_eq(fakedrv_features(fix.drv) & 0xffffff,
			  0x4u | 0x40u | BLK_F_FLUSH | BLK_F_CONFIG_WCE | BLK_F_DISCARD |
				  BLK_F_WRITE_ZEROES);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_read_gives_the_bytes_of_the_image)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		struct blkfix fix;

		blkfix_start(&fix, engines[e], e % 2 == 0);
		for (uint64_t sector = 0; sector < BLKFIX_SECTORS; sector += 819) {
			ck_assert_uint_eq(blkfix_io(&fix, BLK_T_IN, sector, 512), BLK_S_OK);
			ck_assert_uint_eq(fix.used_len, 513);
			ck_assert(blkfix_same(fix.data, sector * 512, 512));
		}
		blkfix_finish(&fix);
	}
}
END_TEST

START_TEST(blk_write_changes_its_sectors_and_no_others)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		uint8_t seen[8192];
		struct blkfix fix;

		blkfix_start(&fix, engines[e], false);
		fill(fix.data, sizeof(seen), e);
		ck_assert_uint_eq(blkfix_io(&fix, BLK_T_OUT, 100, sizeof(seen)), BLK_S_OK);
		ck_assert_uint_eq(fix.used_len, 1);
		ck_assert_int_eq(pread(fix.fd, seen, sizeof(seen), 51200), sizeof(seen));
		ck_assert_mem_eq(seen, fix.data, sizeof(seen));
		ck_assert(blkfix_untouched(&fix, 0, 51200));
		ck_assert(blkfix_untouched(&fix, 51200 + sizeof(seen),
					   BLKFIX_SIZE - 51200 - sizeof(seen)));
		memset(fix.data, 0, sizeof(seen));
		ck_assert_uint_eq(blkfix_io(&fix, BLK_T_IN, 100, sizeof(seen)), BLK_S_OK);
		ck_assert_mem_eq(seen, fix.data, sizeof(seen));
		blkfix_finish(&fix);
	}
}
END_TEST

/* One write and one read whose buffers are cut every `piece` bytes, status and header included. */
static void chopped_round(struct blkfix *fix, uint32_t piece, bool indirect)
{
	struct fakedrv_buf out[] = {FAKEDRV_OUT(fix->header, 16), FAKEDRV_OUT(fix->data, 512),
				    FAKEDRV_IN(fix->status, 1)};
	struct fakedrv_buf in[] = {FAKEDRV_OUT(fix->header, 16), FAKEDRV_IN(fix->data + 512, 512),
				   FAKEDRV_IN(fix->status, 1)};
	struct fakedrv_buf pieces[600];
	struct fakedrv_used used;
	unsigned n;

	fill(fix->data, 512, piece);
	*fix->header = (struct blk_header){.type = BLK_T_OUT, .sector = piece};
	*fix->status = BLK_S_NONE;
	n = fakedrv_chop(out, 3, piece, pieces, 600);
	if (indirect) {
		ck_assert_int_ge(fakedrv_add_indirect(fix->drv, 0, pieces, n, 1), 0);
		fakedrv_kick(fix->drv, 0);
		ck_assert(fakedrv_wait_used(fix->drv, 0, &used, FAKEDRV_PATIENCE_MS));
	} else {
		(void)fakedrv_request(fix->drv, 0, pieces, n);
	}
	ck_assert_uint_eq(*fix->status, BLK_S_OK);
	fix->header->type = BLK_T_IN;
	*fix->status = BLK_S_NONE;
	n = fakedrv_chop(in, 3, piece, pieces, 600);
	ck_assert_uint_eq(fakedrv_request(fix->drv, 0, pieces, n), 513);
	ck_assert_uint_eq(*fix->status, BLK_S_OK);
	ck_assert_mem_eq(fix->data, fix->data + 512, 512);
}

START_TEST(blk_buffers_cut_anywhere_work_the_same)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		struct blkfix fix;

		blkfix_start(&fix, engines[e], false);
		for (uint32_t piece = 3; piece < 40; piece++) {
			chopped_round(&fix, piece, false);
			chopped_round(&fix, piece, true);
		}
		blkfix_finish(&fix);
	}
}
END_TEST

START_TEST(blk_header_cut_at_every_byte_is_read_whole)
{
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, true);
	for (unsigned cut = 1; cut < 16; cut++) {
		struct fakedrv_buf bufs[] = {
			FAKEDRV_OUT(fix.header, cut),
			FAKEDRV_OUT((uint8_t *)fix.header + cut, 16 - cut),
			FAKEDRV_IN(fix.data, 512 - cut),
			FAKEDRV_IN(fix.data + 512 - cut, cut),
			FAKEDRV_IN(fix.status, 1),
		};

		*fix.header = (struct blk_header){.type = BLK_T_IN, .sector = 0x123 + cut};
		*fix.status = BLK_S_NONE;
		ck_assert_uint_eq(fakedrv_request(fix.drv, 0, bufs, 5), 513);
		ck_assert_uint_eq(*fix.status, BLK_S_OK);
		ck_assert(blkfix_same(fix.data, (0x123 + cut) * 512, 512));
	}
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_header_and_data_in_one_buffer_are_told_apart)
{
	struct blkfix fix;
	uint8_t *out;
	uint8_t *in;
	uint8_t seen[1024];

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	out = fakedrv_alloc(fix.drv, 16 + 1024);
	in = fakedrv_alloc(fix.drv, 1024 + 1);
	{
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(out, 16 + 1024), FAKEDRV_IN(in, 1)};
		struct blk_header h = {.type = BLK_T_OUT, .sector = 9};

		memcpy(out, &h, sizeof(h));
		fill(out + 16, 1024, 5);
		ck_assert_uint_eq(fakedrv_request(fix.drv, 0, bufs, 2), 1);
		ck_assert_uint_eq(in[0], BLK_S_OK);
	}
	ck_assert_int_eq(pread(fix.fd, seen, sizeof(seen), 9 * 512), sizeof(seen));
	ck_assert_mem_eq(seen, out + 16, sizeof(seen));
	{
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(out, 16), FAKEDRV_IN(in, 1025)};
		struct blk_header h = {.type = BLK_T_IN, .sector = 9};

		memcpy(out, &h, sizeof(h));
		in[1024] = BLK_S_NONE;
		ck_assert_uint_eq(fakedrv_request(fix.drv, 0, bufs, 2), 1025);
		ck_assert_uint_eq(in[1024], BLK_S_OK);
	}
	ck_assert_mem_eq(seen, in, sizeof(seen));
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_requests_of_many_pages_are_moved_whole)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		struct fakedrv_buf bufs[130];
		struct blkfix fix;
		uint8_t *data;

		blkfix_start(&fix, engines[e], true);
		data = fakedrv_alloc(fix.drv, BLKFIX_SIZE);
		bufs[0] = (struct fakedrv_buf)FAKEDRV_OUT(fix.header, 16);
		for (unsigned i = 0; i < 128; i++) {
			bufs[1 + i] = (struct fakedrv_buf)FAKEDRV_IN(data + i * 16384, 16384);
		}
		bufs[129] = (struct fakedrv_buf)FAKEDRV_IN(fix.status, 1);
		*fix.header = (struct blk_header){.type = BLK_T_IN};
		ck_assert_uint_eq(fakedrv_request(fix.drv, 0, bufs, 130), BLKFIX_SIZE + 1);
		ck_assert(blkfix_same(data, 0, BLKFIX_SIZE));
		/* The same as one buffer, larger than one step of the disk. */
		memset(data, 0, BLKFIX_SIZE);
		bufs[1] = (struct fakedrv_buf)FAKEDRV_IN(data, BLKFIX_SIZE);
		bufs[2] = bufs[129];
		ck_assert_uint_eq(fakedrv_request(fix.drv, 0, bufs, 3), BLKFIX_SIZE + 1);
		ck_assert(blkfix_same(data, 0, BLKFIX_SIZE));
		blkfix_finish(&fix);
	}
}
END_TEST

START_TEST(blk_full_queue_comes_back_with_each_head_once)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		struct fakedrv_used used;
		struct blkfix fix;
		struct blk_header *headers;
		uint8_t *data;
		uint8_t *status;
		unsigned back = 0;

		blkfix_start(&fix, engines[e], true);
		headers = fakedrv_alloc(fix.drv, 256 * sizeof(*headers));
		data = fakedrv_alloc(fix.drv, 256 * 512);
		status = fakedrv_alloc(fix.drv, 256);
		memset(status, BLK_S_NONE, 256);
		for (unsigned i = 0; i < 256; i++) {
			struct fakedrv_buf bufs[] = {FAKEDRV_OUT(&headers[i], 16),
						     FAKEDRV_IN(data + i * 512, 512),
						     FAKEDRV_IN(&status[i], 1)};

			headers[i] = (struct blk_header){.type = BLK_T_IN, .sector = i * 3};
			ck_assert_int_ge(fakedrv_add_indirect(fix.drv, 0, bufs, 3, 0), 0);
		}
		fakedrv_kick(fix.drv, 0);
		/* fakedrv_used aborts on a head that is not out. */
		while (fakedrv_wait_used(fix.drv, 0, &used, back < 256 ? 5000 : 0)) {
			ck_assert_uint_eq(used.len, 513);
			back++;
		}
		ck_assert_uint_eq(back, 256);
		for (unsigned i = 0; i < 256; i++) {
			ck_assert_uint_eq(status[i], BLK_S_OK);
			ck_assert_uint_eq(data[i * 512 + 77], blkfix_byte(i * 3 * 512 + 77));
		}
		blkfix_finish(&fix);
	}
}
END_TEST

START_TEST(blk_completions_out_of_order_go_to_their_own_request)
{
	struct fakedrv_used used;
	struct straw straw;
	struct blkfix fix = {0};
	uint8_t *status;
	int heads[3];

	straw_init(&straw);
	straw.hold = true;
	blkfix_start_disk(&fix, &straw.base, NULL);
	status = fakedrv_alloc(fix.drv, 3);
	memset(status, BLK_S_NONE, 3);
	*fix.header = (struct blk_header){.type = BLK_T_IN};
	for (unsigned i = 0; i < 3; i++) {
		struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix.header, 16), FAKEDRV_IN(fix.data, 512),
					     FAKEDRV_IN(&status[i], 1)};

		heads[i] = fakedrv_add(fix.drv, 0, bufs, 3);
	}
	fakedrv_kick(fix.drv, 0);
	ck_assert(!fakedrv_used(fix.drv, 0, &used));
	straw_end(&straw, 1, -EIO);
	ck_assert(fakedrv_used(fix.drv, 0, &used));
	ck_assert_int_eq((int)used.head, heads[1]);
	ck_assert_uint_eq(used.len, 0);
	ck_assert_uint_eq(status[0], BLK_S_NONE);
	ck_assert_uint_eq(status[1], BLK_S_IOERR);
	straw_end(&straw, 1, 0);
	ck_assert(fakedrv_used(fix.drv, 0, &used));
	ck_assert_int_eq((int)used.head, heads[2]);
	ck_assert_uint_eq(used.len, 513);
	straw_end(&straw, 0, 0);
	ck_assert(fakedrv_used(fix.drv, 0, &used));
	ck_assert_int_eq((int)used.head, heads[0]);
	ck_assert_uint_eq(status[2], BLK_S_OK);
	blkfix_finish(&fix);
	ck_assert_uint_eq(straw.destroyed, 1);
}
END_TEST

START_TEST(blk_error_of_the_disk_is_told_for_that_request_only)
{
	static const uint32_t types[] = {BLK_T_IN, BLK_T_OUT, BLK_T_FLUSH};
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, NULL);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t len = types[i] == BLK_T_FLUSH ? 0 : 512;

		straw.result = i == 1 ? -ENOSPC : -EIO;
		ck_assert_uint_eq(blkfix_io(&fix, types[i], 0, len), BLK_S_IOERR);
		ck_assert_uint_eq(fix.used_len, types[i] == BLK_T_IN ? 0 : 1);
		straw.result = 0;
		ck_assert_uint_eq(blkfix_io(&fix, types[i], 0, len), BLK_S_OK);
	}
	straw.result = -EOPNOTSUPP;
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_DISCARD, 0, 8, 0), BLK_S_UNSUPP);
	ck_assert_uint_eq(straw.count[VMM_DISK_FLUSH], 2);
	ck_assert(!fakedrv_needs_reset(fix.drv));
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_get_id_fills_the_room_there_is)
{
	static const char serial[] = "straw-0123456789abcd";
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, true);
	for (unsigned room = 0; room <= 64; room++) {
		unsigned n = room < 20 ? room : 20;

		memset(fix.data, 0x55, 128);
		ck_assert_uint_eq(blkfix_io(&fix, BLK_T_GET_ID, 0, room), BLK_S_OK);
		ck_assert_uint_eq(fix.used_len, room <= 20 ? room + 1 : 20);
		ck_assert_mem_eq(fix.data, serial, n);
		for (unsigned i = n; i < 128; i++) {
			ck_assert_uint_eq(fix.data[i], 0x55);
		}
	}
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_get_id_without_a_serial_is_zeroes)
{
	static const uint8_t zeroes[20];
	struct blkfix fix = {0};
	struct straw straw;
	struct vmm_blk_config config = {.disk = &straw.base};
	struct vmm_virtio_device *dev;

	straw_init(&straw);
	ck_assert_int_eq(vmm_blk_create(&dev, &config, NULL), 0);
	fix.drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	fix.header = fakedrv_alloc(fix.drv, 16);
	fix.data = fakedrv_alloc(fix.drv, 64);
	fix.status = fakedrv_alloc(fix.drv, 1);
	memset(fix.data, 0x55, 64);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_GET_ID, 0, 20), BLK_S_OK);
	ck_assert_mem_eq(fix.data, zeroes, 20);
	blkfix_finish(&fix);
}
END_TEST

struct tally {
	uint64_t read_bytes, read_ops, write_bytes, write_ops;
	unsigned names;
};

static void tally_up(void *ctx, const char *name, uint64_t value)
{
	struct tally *t = ctx;

	t->names++;
	if (strcmp(name, "read_bytes") == 0) {
		t->read_bytes = value;
	} else if (strcmp(name, "read_ops") == 0) {
		t->read_ops = value;
	} else if (strcmp(name, "write_bytes") == 0) {
		t->write_bytes = value;
	} else if (strcmp(name, "write_ops") == 0) {
		t->write_ops = value;
	}
}

START_TEST(blk_counters_count_what_was_moved)
{
	struct vmm_virtio_device *dev;
	struct tally t = {0};
	struct blkfix fix;

	blkfix_start(&fix, VMM_DISK_SYNC, false);
	(void)blkfix_io(&fix, BLK_T_IN, 0, 512);
	(void)blkfix_io(&fix, BLK_T_IN, 0, 1024);
	(void)blkfix_io(&fix, BLK_T_OUT, 0, 2048);
	(void)blkfix_io(&fix, BLK_T_IN, BLKFIX_SECTORS, 512);
	dev = fakedrv_device(fix.drv);
	dev->ops->counters(dev, tally_up, &t);
	ck_assert_uint_eq(t.names, 4);
	ck_assert_uint_eq(t.read_bytes, 1536);
	ck_assert_uint_eq(t.read_ops, 2);
	ck_assert_uint_eq(t.write_bytes, 2048);
	ck_assert_uint_eq(t.write_ops, 1);
	blkfix_finish(&fix);
}
END_TEST

/* ---- create and activate ---- */

START_TEST(blk_create_bad_config_is_refused_in_words)
{
	struct straw straw;
	struct vmm_virtio_device *dev;
	struct vmm_blk_config bad[] = {
		{.disk = NULL},
		{.disk = &straw.base, .serial = "123456789012345678901"},
		{.disk = &straw.base, .queue_size = 2},
		{.disk = &straw.base, .queue_size = 100},
		{.disk = &straw.base, .queue_size = 2048},
		{.disk = &straw.base, .seg_max = 255},
		{.disk = &straw.base, .queue_size = 16, .seg_max = 15},
	};

	straw_init(&straw);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vmm_error err = {0};

		ck_assert_int_eq(vmm_blk_create(&dev, &bad[i], &err), -EINVAL);
		ck_assert_ptr_null(dev);
		ck_assert_ptr_nonnull(strstr(err.message, "blk: "));
	}
	ck_assert_uint_eq(straw.destroyed, 0);
}
END_TEST

START_TEST(blk_create_without_memory_leaves_the_disk_to_its_owner)
{
	struct straw straw;
	struct vmm_blk_config config = {.disk = &straw.base};
	struct vmm_virtio_device *dev;
	struct faultinj f = {0};
	unsigned failures = 0;

	straw_init(&straw);
	while (faultinj_next(&f)) {
		int ret = vmm_blk_create(&dev, &config, NULL);

		faultinj_stop(&f);
		if (f.failed) {
			failures++;
			ck_assert_int_eq(ret, -ENOMEM);
			ck_assert_ptr_null(dev);
			ck_assert_uint_eq(straw.destroyed, 0);
		} else {
			ck_assert_int_eq(ret, 0);
			vmm_virtio_device_destroy(dev);
			ck_assert_uint_eq(straw.destroyed, 1);
		}
	}
	ck_assert_uint_eq(failures, 3);
}
END_TEST

START_TEST(blk_activate_that_fails_asks_for_a_reset)
{
	struct straw straw;
	struct vmm_blk_config config = {.disk = &straw.base};
	struct vmm_virtio_device *dev;
	struct fakedrv *drv;

	straw_init(&straw);
	straw.attach_result = -ENOMEM;
	ck_assert_int_eq(vmm_blk_create(&dev, &config, NULL), 0);
	drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(drv, NULL), -EIO);
	ck_assert(fakedrv_needs_reset(drv));
	fakedrv_reset(drv);
	ck_assert_uint_eq(straw.detached, 0);
	straw.attach_result = 0;
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	fakedrv_destroy(drv);
	ck_assert_uint_eq(straw.attached, 1);
	ck_assert_uint_eq(straw.detached, 1);
}
END_TEST

START_TEST(blk_resumed_driver_sets_its_cache_by_a_config_write)
{
	const uint8_t off = 0;
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, NULL);
	ck_assert_int_eq(fakedrv_prepare(fix.drv, NULL), 0);
	ck_assert_int_eq(fakedrv_driver_resumes(fix.drv), 0);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_OUT, 0, 512), BLK_S_OK);
	ck_assert_uint_eq(straw.through, 0);
	fakedrv_write_config(fix.drv, 32, &off, 1);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_OUT, 0, 512), BLK_S_OK);
	ck_assert_uint_eq(straw.through, 1);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_activate_with_any_call_failing_leaks_nothing)
{
	for (unsigned e = 0; e < ENGINES; e++) {
		struct faultinj f = {0};
		struct blkfix fix;
		unsigned before;
		unsigned failures = 0;

		blkfix_start(&fix, engines[e], true);
		fakedrv_reset(fix.drv);
		before = fdcount();
		ck_assert_int_eq(fakedrv_prepare(fix.drv, NULL), 0);
		while (faultinj_next(&f)) {
			int ret = fakedrv_driver_ok(fix.drv);

			faultinj_stop(&f);
			failures += f.failed != NULL;
			ck_assert_int_eq(ret, f.failed ? -EIO : 0);
			fakedrv_reset(fix.drv);
			ck_assert_uint_eq(fdcount(), before);
			ck_assert_int_eq(fakedrv_prepare(fix.drv, NULL), 0);
		}
		/* All that can fail is to watch the ring once more, if there is one. */
		ck_assert_uint_le(failures, engines[e] == VMM_DISK_SYNC ? 0 : 1);
		ck_assert_int_eq(fakedrv_driver_ok(fix.drv), 0);
		ck_assert_uint_eq(blkfix_io(&fix, BLK_T_IN, 0, 512), BLK_S_OK);
		blkfix_finish(&fix);
	}
}
END_TEST

SUITE_MAIN("blk", blk_config_space_describes_the_disk, blk_read_gives_the_bytes_of_the_image,
	   blk_write_changes_its_sectors_and_no_others, blk_buffers_cut_anywhere_work_the_same,
	   blk_header_cut_at_every_byte_is_read_whole,
	   blk_header_and_data_in_one_buffer_are_told_apart,
	   blk_requests_of_many_pages_are_moved_whole,
	   blk_full_queue_comes_back_with_each_head_once,
	   blk_completions_out_of_order_go_to_their_own_request,
	   blk_error_of_the_disk_is_told_for_that_request_only, blk_get_id_fills_the_room_there_is,
	   blk_get_id_without_a_serial_is_zeroes, blk_counters_count_what_was_moved,
	   blk_create_bad_config_is_refused_in_words,
	   blk_create_without_memory_leaves_the_disk_to_its_owner,
	   blk_activate_that_fails_asks_for_a_reset,
	   blk_activate_with_any_call_failing_leaks_nothing,
	   blk_resumed_driver_sets_its_cache_by_a_config_write)
