/* SPDX-License-Identifier: MIT */
/* A driver that reads and writes a disk, as fast or as alone as one wants. */
#ifndef TESTS_BENCH_DISK_H
#define TESTS_BENCH_DISK_H

#include "virtio.h"

#define DEPTH_MAX 32u
#define SECTOR    512u

#define DISK_FLUSH (UINT64_C(1) << 9) /* VIRTIO_BLK_F_FLUSH */

struct disk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

struct disk {
	struct queue q;
	struct disk_header headers[DEPTH_MAX];
	volatile uint8_t status[DEPTH_MAX];
	uint32_t errors;
	uint64_t sectors;
};

/* Starts the disk that was found. Request i has its data at data + i * stride. */
bool disk_start(struct disk *d, struct virtio *v, uint64_t features, uint8_t *data,
		uint32_t stride);
/* Requests write from now on, or read. */
void disk_want_writes(struct disk *d, bool want);
/* Offers request i (below DEPTH_MAX), which must not be under way. */
void disk_offer(struct disk *d, unsigned i, uint64_t sector, uint32_t len);
/* The next request that is done; queue_has_done says that there is one. */
unsigned disk_take(struct disk *d);

#endif
