/* SPDX-License-Identifier: MIT */
/* What the tests of virtio-blk share: an image with a driver in front of it, and a disk of straw.
 */
#ifndef TESTS_BLK_FIX_H
#define TESTS_BLK_FIX_H

#include <vmm/dev/blk.h>

#include "fakedrv.h"
#include "suite.h"

#define BLKFIX_SECTORS UINT64_C(4096)
#define BLKFIX_SIZE    (BLKFIX_SECTORS * 512)
#define BLKFIX_DATA    (64u * 1024)

#define BLK_T_IN           0u
#define BLK_T_OUT          1u
#define BLK_T_FLUSH        4u
#define BLK_T_GET_ID       8u
#define BLK_T_DISCARD      11u
#define BLK_T_WRITE_ZEROES 13u

#define BLK_S_OK     0u
#define BLK_S_IOERR  1u
#define BLK_S_UNSUPP 2u
/* What the status byte holds before the device wrote it. */
#define BLK_S_NONE 0xaau

#define BLK_F_RO           (UINT64_C(1) << 5)
#define BLK_F_FLUSH        (UINT64_C(1) << 9)
#define BLK_F_CONFIG_WCE   (UINT64_C(1) << 11)
#define BLK_F_DISCARD      (UINT64_C(1) << 13)
#define BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

struct blk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

struct blk_segment {
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;
};

struct blkfix {
	struct fakedrv *drv;
	char path[64]; /* of the image; "" without one */
	int fd;        /* the image again, to look behind the device's back */
	struct blk_header *header;
	uint8_t *data; /* BLKFIX_DATA bytes */
	uint8_t *status;
	uint32_t used_len; /* of the last blkfix_io */
};

/* A new image of size bytes, each byte a function of its offset: see blkfix_byte. */
void blkfix_image(struct blkfix *fix, uint64_t size);
uint8_t blkfix_byte(uint64_t offset);
/* The image, opened as a disk. */
struct vmm_disk *blkfix_open(const struct blkfix *fix, enum vmm_disk_engine engine, bool read_only);

/* An image of BLKFIX_SIZE with a started driver in front of it. */
void blkfix_start(struct blkfix *fix, enum vmm_disk_engine engine, bool read_only);
/* The same over any disk; fix->path and fd stay as they are. */
void blkfix_start_disk(struct blkfix *fix, struct vmm_disk *disk,
		       const struct fakedrv_options *options);
void blkfix_finish(struct blkfix *fix);

/*
 * One request with len bytes of fix->data, device-writable for IN and GET_ID; returns the status
 * byte.
 */
uint8_t blkfix_io(struct blkfix *fix, uint32_t type, uint64_t sector, uint32_t len);
/* One segment to DISCARD or WRITE_ZEROES. */
uint8_t blkfix_segment(struct blkfix *fix, uint32_t type, uint64_t sector, uint32_t sectors,
		       uint32_t flags);
/* True when bytes are those that blkfix_image put at offset. */
bool blkfix_same(const uint8_t *bytes, uint64_t offset, uint64_t len);
/* True when len bytes are all value. */
bool blkfix_all(const uint8_t *bytes, uint8_t value, uint64_t len);
/* True when len bytes of the image at offset are as blkfix_image made them. */
bool blkfix_untouched(const struct blkfix *fix, uint64_t offset, uint64_t len);

#define STRAW_MAX 256

/* A disk without bytes that remembers requests and ends them when and how the test says. */
struct straw {
	struct vmm_disk base;
	int attach_result;
	bool hold;         /* requests stay until straw_end */
	int result;        /* of the others */
	unsigned count[8]; /* requests by op */
	unsigned through;  /* of them with VMM_DISK_THROUGH */
	unsigned unmap;    /* of them with VMM_DISK_UNMAP */
	unsigned attached;
	unsigned detached;
	unsigned destroyed;
	struct vmm_disk_request *held[STRAW_MAX];
	unsigned held_count;
};

void straw_init(struct straw *straw);
/* Ends the index-th request held. */
void straw_end(struct straw *straw, unsigned index, int result);

#endif
