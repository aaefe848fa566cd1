/* SPDX-License-Identifier: MIT */
/*
 * What virtio-blk driver and device say to each other (VIRTIO 1.2 section 5.2), little-endian like
 * the hosts we run on.
 */
#ifndef DEVICES_BLK_PROTO_H
#define DEVICES_BLK_PROTO_H

#include <stddef.h>
#include <stdint.h>

#define F_SEG_MAX      (UINT64_C(1) << 2)
#define F_RO           (UINT64_C(1) << 5)
#define F_BLK_SIZE     (UINT64_C(1) << 6)
#define F_FLUSH        (UINT64_C(1) << 9)
#define F_CONFIG_WCE   (UINT64_C(1) << 11)
#define F_DISCARD      (UINT64_C(1) << 13)
#define F_WRITE_ZEROES (UINT64_C(1) << 14)

#define T_IN           0u
#define T_OUT          1u
#define T_FLUSH        4u
#define T_GET_ID       8u
#define T_DISCARD      11u
#define T_WRITE_ZEROES 13u

#define S_OK     0u
#define S_IOERR  1u
#define S_UNSUPP 2u

/* Flags of a DISCARD or WRITE_ZEROES segment; DISCARD must leave it clear. */
#define SEGMENT_UNMAP 1u

#define CONFIG_LEN 60

/* The configuration space (section 5.2.4). */
struct config {
	uint64_t capacity;
	uint32_t size_max;
	uint32_t seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t topology[8];
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};
_Static_assert(offsetof(struct config, unused1) + 3 == CONFIG_LEN, "layout of section 5.2.4");
_Static_assert(offsetof(struct config, writeback) == 32, "layout of section 5.2.4");

/* Starts each request (section 5.2.6). */
struct header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

/* DISCARD and WRITE_ZEROES carry an array of these. */
struct segment {
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;
};

#endif
