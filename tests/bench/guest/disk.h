/* SPDX-License-Identifier: MIT */
/* A driver that reads a disk, as fast or as alone as one wants. */
#ifndef TESTS_BENCH_DISK_H
#define TESTS_BENCH_DISK_H

#include "hw.h"

#define DEPTH_MAX   32u
#define PARTS       3u /* descriptors of a request: header, data, status */
#define RING_SIZE   128u
#define BLOCK       4096u
#define SECTOR      512u
#define SECTORS_PER (BLOCK / SECTOR)

struct disk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

struct disk {
	struct virtio_desc desc[RING_SIZE] __attribute__((aligned(16)));
	volatile uint16_t avail[3 + RING_SIZE] __attribute__((aligned(4)));
	volatile uint32_t used[2 + 2 * RING_SIZE] __attribute__((aligned(4)));
	struct disk_header headers[DEPTH_MAX];
	volatile uint8_t status[DEPTH_MAX];
	uint64_t notify;
	uint16_t offered;
	uint16_t taken;
	uint32_t kicks;
	uint32_t errors;
	uint8_t data[DEPTH_MAX][BLOCK] __attribute__((aligned(4096)));
};

/* The one in a slot of the PCI bus. */
bool disk_start(struct disk *d, const struct acpi *acpi, unsigned slot);
/* From now on the device is (not) asked for interrupts. */
void disk_want_interrupts(struct disk *d, bool want);
/* Offers a read as request i (below DEPTH_MAX), which must not be under way. */
void disk_offer(struct disk *d, unsigned i, uint64_t sector, uint32_t len);
/* Tells the device what was offered, if it wants to be told. */
void disk_kick(struct disk *d);
bool disk_has_done(const struct disk *d);
/* The next request that is done; disk_has_done says that there is one. */
unsigned disk_take(struct disk *d);

#endif
