/* SPDX-License-Identifier: MIT */
/* Requests to a disk, with so many under way. */
#include "../icount/mark.h"
#include "disk.h"
#include "io.h"

static struct disk disk;

struct plan {
	uint64_t blocks; /* of the disk */
	uint64_t next;
	uint32_t bytes; /* of a block */
	bool sequential;
};

static uint64_t somewhere(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void offer(struct plan *plan, unsigned i)
{
	uint64_t block = (plan->sequential ? plan->next++ : somewhere()) % plan->blocks;

	disk_offer(&disk, i, block * (plan->bytes / SECTOR), plan->bytes);
}

/* Takes what is done and offers as much again, until n have been taken. */
static void go_on(struct plan *plan, uint64_t n)
{
	while (n > 0) {
		while (!queue_has_done(&disk.q)) {
			pause_once();
		}
		while (n > 0 && queue_has_done(&disk.q)) {
			offer(plan, disk_take(&disk));
			n--;
		}
		queue_kick(&disk.q);
	}
}

void job_blk(void)
{
	bool write = option("write", 0) != 0;
	unsigned depth = (unsigned)option("depth", 1);
	uint64_t n = option("n", 10000);
	struct plan plan = {
		.bytes = (uint32_t)option("bs", 4096),
		.sequential = option("seq", 0) != 0,
	};
	struct virtio v;
	uint64_t start;
	uint64_t ticks;

	if (depth == 0 || depth > DEPTH_MAX || plan.bytes < SECTOR ||
	    (uint64_t)depth * plan.bytes > ARENA_SIZE) {
		give_up("depth or bs");
	}
	find_device(VIRTIO_BLK, &v);
	/* A driver that does not take it asks for every write to be on the disk when it is done. */
	if (!disk_start(&disk, &v, DISK_FLUSH, arena, plan.bytes) ||
	    (write && !(v.features & DISK_FLUSH))) {
		give_up("the disk does not start");
	}
	disk_want_writes(&disk, write);
	fill_bytes(arena, 0x5a, (uint64_t)depth * plan.bytes);
	plan.blocks = disk.sectors * SECTOR / plan.bytes;
	if (plan.blocks == 0) {
		give_up("the disk is empty");
	}
	for (unsigned i = 0; i < depth; i++) {
		offer(&plan, i);
	}
	queue_kick(&disk.q);
	go_on(&plan, n / 20 + depth);
	disk.q.kicks = 0;
	/* For who counts instructions instead of time. */
	MARK(MARK_GUEST);
	start = now();
	go_on(&plan, n);
	ticks = now() - start;
	MARK(MARK_GUEST + 1);
	print("rate", rate(n, ticks));
	print("kicks", disk.q.kicks);
	if (disk.errors != 0) {
		give_up("requests failed");
	}
}
