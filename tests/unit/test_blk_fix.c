/* SPDX-License-Identifier: MIT */
#include "test_blk_fix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint8_t blkfix_byte(uint64_t offset)
{
	/* Differs between neighbours, sectors and pages; never 0, so that zeroes show. */
	return (uint8_t)((offset * 7 + offset / 512 * 13 + offset / 65536) % 255 + 1);
}

void blkfix_image(struct blkfix *fix, uint64_t size)
{
	uint8_t *bytes = malloc(size);

	ck_assert_ptr_nonnull(bytes);
	memset(fix, 0, sizeof(*fix));
	strcpy(fix->path, "/tmp/test-blk.XXXXXX");
	fix->fd = mkostemp(fix->path, O_CLOEXEC);
	ck_assert_int_ge(fix->fd, 0);
	for (uint64_t i = 0; i < size; i++) {
		bytes[i] = blkfix_byte(i);
	}
	ck_assert_int_eq(pwrite(fix->fd, bytes, size, 0), (ssize_t)size);
	free(bytes);
}

struct vmm_disk *blkfix_open(const struct blkfix *fix, enum vmm_disk_engine engine, bool read_only)
{
	struct vmm_disk_config config = {.read_only = read_only, .engine = engine};
	struct vmm_error err = {0};
	struct vmm_disk *disk;

	ck_assert_msg(vmm_disk_open(&disk, fix->path, &config, &err) == 0, "%s", err.message);
	return disk;
}

void blkfix_start_disk(struct blkfix *fix, struct vmm_disk *disk,
		       const struct fakedrv_options *options)
{
	struct vmm_blk_config config = {.disk = disk, .serial = "straw-0123456789abcd"};
	struct vmm_virtio_device *dev;

	ck_assert_int_eq(vmm_blk_create(&dev, &config, NULL), 0);
	fix->drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(fix->drv, options), 0);
	fix->header = fakedrv_alloc(fix->drv, sizeof(*fix->header));
	fix->data = fakedrv_alloc(fix->drv, BLKFIX_DATA);
	fix->status = fakedrv_alloc(fix->drv, 1);
}

void blkfix_start(struct blkfix *fix, enum vmm_disk_engine engine, bool read_only)
{
	blkfix_image(fix, BLKFIX_SIZE);
	blkfix_start_disk(fix, blkfix_open(fix, engine, read_only), NULL);
}

void blkfix_finish(struct blkfix *fix)
{
	fakedrv_destroy(fix->drv);
	fix->drv = NULL;
	if (fix->path[0]) {
		ck_assert_int_eq(close(fix->fd), 0);
		ck_assert_int_eq(unlink(fix->path), 0);
	}
}

uint8_t blkfix_io(struct blkfix *fix, uint32_t type, uint64_t sector, uint32_t len)
{
	bool in = type == BLK_T_IN || type == BLK_T_GET_ID;
	struct fakedrv_buf bufs[] = {
		FAKEDRV_OUT(fix->header, sizeof(*fix->header)),
		{.ptr = fix->data, .len = len, .write = in},
		FAKEDRV_IN(fix->status, 1),
	};

	if (len == 0) {
		bufs[1] = bufs[2];
	}
	*fix->header = (struct blk_header){.type = type, .sector = sector};
	*fix->status = BLK_S_NONE;
	fix->used_len = fakedrv_request(fix->drv, 0, bufs, len == 0 ? 2 : 3);
	return *fix->status;
}

uint8_t blkfix_segment(struct blkfix *fix, uint32_t type, uint64_t sector, uint32_t sectors,
		       uint32_t flags)
{
	struct blk_segment segment = {.sector = sector, .sectors = sectors, .flags = flags};

	memcpy(fix->data, &segment, sizeof(segment));
	return blkfix_io(fix, type, 0, sizeof(segment));
}

bool blkfix_same(const uint8_t *bytes, uint64_t offset, uint64_t len)
{
	bool same = true;

	for (uint64_t i = 0; i < len; i++) {
		same = same && bytes[i] == blkfix_byte(offset + i);
	}
	return same;
}

bool blkfix_all(const uint8_t *bytes, uint8_t value, uint64_t len)
{
	bool same = true;

	for (uint64_t i = 0; i < len; i++) {
		same = same && bytes[i] == value;
	}
	return same;
}

bool blkfix_untouched(const struct blkfix *fix, uint64_t offset, uint64_t len)
{
	uint8_t *bytes = malloc(len);
	bool same;

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(pread(fix->fd, bytes, len, (off_t)offset), (ssize_t)len);
	same = blkfix_same(bytes, offset, len);
	free(bytes);
	return same;
}

/* ---- the disk of straw ---- */

static int straw_attach(struct vmm_disk *disk, struct vmm_loop *loop)
{
	struct straw *straw = (struct straw *)disk;

	(void)loop;
	straw->attached += straw->attach_result == 0;
	return straw->attach_result;
}

static void straw_submit(struct vmm_disk *disk, struct vmm_disk_request *req)
{
	struct straw *straw = (struct straw *)disk;

	ck_assert_uint_lt(straw->held_count, STRAW_MAX);
	straw->count[req->op]++;
	straw->through += (req->flags & VMM_DISK_THROUGH) != 0;
	straw->unmap += (req->flags & VMM_DISK_UNMAP) != 0;
	straw->held[straw->held_count++] = req;
}

void straw_end(struct straw *straw, unsigned index, int result)
{
	struct vmm_disk_request *req = straw->held[index];

	ck_assert_uint_lt(index, straw->held_count);
	straw->held_count--;
	memmove(&straw->held[index], &straw->held[index + 1],
		(straw->held_count - index) * sizeof(struct vmm_disk_request *));
	req->done(req, result);
	straw->base.batch(straw->base.batch_ctx);
}

static void straw_commit(struct vmm_disk *disk)
{
	struct straw *straw = (struct straw *)disk;

	while (!straw->hold && straw->held_count > 0) {
		straw_end(straw, 0, straw->result);
	}
}

static void straw_detach(struct vmm_disk *disk)
{
	struct straw *straw = (struct straw *)disk;

	straw->detached++;
	straw->held_count = 0;
}

static void straw_destroy(struct vmm_disk *disk)
{
	((struct straw *)disk)->destroyed++;
}

static const struct vmm_disk_ops straw_ops = {
	.attach = straw_attach,
	.submit = straw_submit,
	.commit = straw_commit,
	.detach = straw_detach,
	.destroy = straw_destroy,
};

void straw_init(struct straw *straw)
{
	memset(straw, 0, sizeof(*straw));
	straw->base.ops = &straw_ops;
	straw->base.capacity = BLKFIX_SIZE;
	straw->base.discard = true;
}
