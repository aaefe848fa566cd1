/* SPDX-License-Identifier: MIT */
/*
 * Mistakes that other machine monitors have made in their disks (tests/planted/catalogue) and that
 * no other test of ours would have noticed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test_blk_fix.h"

/* ---- a second processor that adds requests while the device takes them ---- */

static struct {
	struct vmm_disk_ops ops; /* those of straw, with a submit that offers more */
	void (*submit)(struct vmm_disk *disk, struct vmm_disk_request *req);
	struct blkfix *fix;
	struct fakedrv_buf bufs[2];
	unsigned submitted;
} eager;

/*
 * Ends the request at once, and offers the next before the device looks again: to the device the
 * queue never becomes empty. The head is free again, since the device has pushed it.
 */
static void eager_submit(struct vmm_disk *disk, struct vmm_disk_request *req)
{
	eager.submitted++;
	eager.submit(disk, req);
	straw_end((struct straw *)disk, 0, 0);
	if (eager.submitted < 100000) {
		struct fakedrv_used used;

		while (fakedrv_used(eager.fix->drv, 0, &used)) {
		}
		(void)fakedrv_add(eager.fix->drv, 0, eager.bufs, 2);
	}
}

START_TEST(blk_requests_added_while_it_drains_wait_for_its_next_turn)
{
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	eager.ops = *straw.base.ops;
	eager.submit = eager.ops.submit;
	eager.ops.submit = eager_submit;
	straw.base.ops = &eager.ops;
	straw.hold = true;
	blkfix_start_disk(&fix, &straw.base, NULL);
	eager.fix = &fix;
	eager.bufs[0] = (struct fakedrv_buf)FAKEDRV_OUT(fix.header, 16);
	eager.bufs[1] = (struct fakedrv_buf)FAKEDRV_IN(fix.status, 1);
	*fix.header = (struct blk_header){.type = BLK_T_FLUSH};
	ck_assert_int_ge(fakedrv_add(fix.drv, 0, eager.bufs, 2), 0);
	vmm_carrier_kick(fakedrv_carrier(fix.drv), 0);
	/* At most a ring of them, then other devices have their turn. */
	ck_assert_uint_le(eager.submitted, 256);
	ck_assert_uint_gt(eager.submitted, 0);
	blkfix_finish(&fix);
}
END_TEST

/* ---- lengths and places that the driver decides ---- */

/* The header has its size, whatever descriptor it comes in. */
START_TEST(blk_header_in_a_longer_descriptor_is_no_longer)
{
	static const uint32_t types[] = {BLK_T_IN, BLK_T_OUT, BLK_T_FLUSH, BLK_T_GET_ID, 99};
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, NULL);
	for (uint32_t len = 17; len <= 65536; len = len < 64 ? len + 1 : len * 2) {
		for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			struct blk_header h = {.type = types[i]};
			struct fakedrv_buf bufs[] = {FAKEDRV_OUT(fix.data, len),
						     FAKEDRV_IN(fix.status, 1)};

			memset(fix.data, 0xff, len);
			memcpy(fix.data, &h, sizeof(h));
			*fix.status = BLK_S_NONE;
			(void)fakedrv_request(fix.drv, 0, bufs, 2);
			ck_assert_uint_ne(*fix.status, BLK_S_NONE);
		}
	}
	blkfix_finish(&fix);
}
END_TEST

/* The disk has checks of its own, but it is not there to make up for ours. */
START_TEST(blk_request_past_the_capacity_does_not_reach_the_disk)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} bad[] = {
		{BLKFIX_SECTORS, 512},
		{BLKFIX_SECTORS - 1, 1024},
		{UINT64_MAX, 512},
		{UINT64_MAX / 512, 512},
		{UINT64_MAX / 512 + 1, 512},
		{0, 511},
		{0, 513},
		{BLKFIX_SECTORS - 127, 128 * 512},
		{0, 1},
	};
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, NULL);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_uint_eq(blkfix_io(&fix, BLK_T_IN, bad[i].sector, bad[i].len),
				  BLK_S_IOERR);
		ck_assert_uint_eq(blkfix_io(&fix, BLK_T_OUT, bad[i].sector, bad[i].len),
				  BLK_S_IOERR);
	}
	ck_assert_uint_eq(straw.count[VMM_DISK_READ] + straw.count[VMM_DISK_WRITE], 0);
	blkfix_finish(&fix);
}
END_TEST

START_TEST(blk_write_to_a_read_only_disk_does_not_reach_it)
{
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	straw.base.read_only = true;
	blkfix_start_disk(&fix, &straw.base, NULL);
	ck_assert_uint_eq(blkfix_io(&fix, BLK_T_OUT, 0, 512), BLK_S_IOERR);
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_DISCARD, 0, 8, 0), BLK_S_IOERR);
	ck_assert_uint_eq(blkfix_segment(&fix, BLK_T_WRITE_ZEROES, 0, 8, 1), BLK_S_IOERR);
	ck_assert_uint_eq(straw.count[VMM_DISK_WRITE] + straw.count[VMM_DISK_DISCARD] +
				  straw.count[VMM_DISK_WRITE_ZEROES],
			  0);
	blkfix_finish(&fix);
}
END_TEST

/* What this process cannot write to, no mistake of it can. */
START_TEST(blk_read_only_disk_has_no_descriptor_to_write_with)
{
	struct blkfix fix;
	struct vmm_disk *disk;
	struct dirent *entry;
	unsigned found = 0;
	DIR *fds;

	blkfix_image(&fix, 4096);
	disk = blkfix_open(&fix, VMM_DISK_AUTO, true);
	fds = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(fds);
	while ((entry = readdir(fds))) {
		char path[256] = {0};
		int fd = atoi(entry->d_name);

		if (fd == fix.fd ||
		    readlinkat(dirfd(fds), entry->d_name, path, sizeof(path) - 1) < 0 ||
		    strcmp(path, fix.path) != 0) {
			continue;
		}
		ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		found++;
	}
	ck_assert_uint_eq(found, 1);
	ck_assert_int_eq(closedir(fds), 0);
	vmm_disk_destroy(disk);
	ck_assert_int_eq(close(fix.fd), 0);
	ck_assert_int_eq(unlink(fix.path), 0);
}
END_TEST

/* Counted in 32 bits, times 512 they are nothing. */
START_TEST(blk_segment_whose_bytes_wrap_does_not_reach_the_disk)
{
	static const uint32_t types[] = {BLK_T_DISCARD, BLK_T_WRITE_ZEROES};
	static const uint32_t sectors[] = {1u << 23, (1u << 23) + 1, 1u << 31, UINT32_MAX};
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	blkfix_start_disk(&fix, &straw.base, NULL);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned j = 0; j < sizeof(sectors) / sizeof(sectors[0]); j++) {
			ck_assert_uint_eq(blkfix_segment(&fix, types[i], 0, sectors[j], 0),
					  BLK_S_IOERR);
		}
	}
	ck_assert_uint_eq(straw.count[VMM_DISK_DISCARD] + straw.count[VMM_DISK_WRITE_ZEROES], 0);
	blkfix_finish(&fix);
}
END_TEST

/* ---- errors ---- */

/* Ways to fail, from the length of the chain to what the disk says. */
static uint8_t fail_once(struct blkfix *fix, unsigned way)
{
	switch (way % 6) {
	case 0:
		return blkfix_io(fix, BLK_T_IN, BLKFIX_SECTORS, 512);
	case 1:
		return blkfix_io(fix, BLK_T_OUT, 0, 511);
	case 2:
		return blkfix_io(fix, BLK_T_IN, 0, 512); /* the disk fails it */
	case 3:
		return blkfix_io(fix, BLK_T_FLUSH, 0, 0);
	case 4:
		return blkfix_segment(fix, BLK_T_DISCARD, BLKFIX_SECTORS, 1, 0);
	default:
		return blkfix_io(fix, BLK_T_WRITE_ZEROES, 0, 15);
	}
}

START_TEST(blk_failing_requests_use_nothing_up)
{
	struct straw straw;
	struct blkfix fix = {0};

	straw_init(&straw);
	straw.result = -5;
	blkfix_start_disk(&fix, &straw.base, NULL);
	/* Many times what the ring, or any pool the size of it, has room for. */
	for (unsigned i = 0; i < 6000; i++) {
		SUITE_REQUIRE(fail_once(&fix, i) == BLK_S_IOERR);
	}
	ck_assert_uint_eq(straw.held_count, 0);
	straw.result = 0;
	for (unsigned i = 0; i < 300; i++) {
		SUITE_REQUIRE(blkfix_io(&fix, BLK_T_IN, 0, 512) == BLK_S_OK);
	}
	blkfix_finish(&fix);
}
END_TEST

SUITE_MAIN("blk_mistakes", blk_requests_added_while_it_drains_wait_for_its_next_turn,
	   blk_header_in_a_longer_descriptor_is_no_longer,
	   blk_request_past_the_capacity_does_not_reach_the_disk,
	   blk_write_to_a_read_only_disk_does_not_reach_it,
	   blk_read_only_disk_has_no_descriptor_to_write_with,
	   blk_segment_whose_bytes_wrap_does_not_reach_the_disk,
	   blk_failing_requests_use_nothing_up)
