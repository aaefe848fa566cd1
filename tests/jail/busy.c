/* SPDX-License-Identifier: MIT */
/*
 * A guest that never rests: it writes a disk, sends frames, prints on its console and asks for
 * random bytes, all at once, while the test kills the processes that do it. How far it is with each
 * it writes into sector 0, where the test reads it.
 *
 *	sector 0           struct progress
 *	8 to 8 + SPREAD    data: the number of the write, 64 times
 *	4096 and after     at the end: the number last acknowledged, for each of these sectors
 *
 * The power button ends it: it waits for what is out, reads everything back, writes the table, and
 * powers off. A line that begins with BAD is a failure.
 */
#include "busy.h"

#define PM_EVENTS  0x604u
#define SLEEP_S5   0x34u
#define BLK_OUT    1u
#define BLK_IN     0u
#define BLK_FLUSH  4u
#define FIRST      8u
#define SPREAD     512u
#define TABLE      4096u
#define WRITERS    8u /* slots 0 to 7 write data, 8 writes progress, 9 flushes, 10 reads back */
#define SLOT_NOTE  8u
#define SLOT_FLUSH 9u
#define SLOT_READ  10u
#define MAGIC      0x79737562u
#define SPINS_MAX  4000000000ul

struct progress {
	uint32_t magic;
	uint32_t failed; /* devices that showed DEVICE_NEEDS_RESET, one bit each */
	uint64_t writes;
	uint64_t flushes;
	uint64_t frames;
	uint64_t lines;
	uint64_t randoms;
	uint64_t reads;
	uint64_t wrong; /* reads that gave something else than what was acknowledged, or errors */
	uint64_t notes;
};

struct blk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

static struct vq blk_queues[1];
static struct vq net_queues[2];
static struct vq console_queues[2];
static struct vq rng_queues[1];
static struct vdev blk, net, console, rng;
static struct progress progress;
static struct progress note __attribute__((aligned(512)));

static struct blk_header headers[VQ_SIZE];
static uint64_t data[VQ_SIZE][64];
static volatile uint8_t status[VQ_SIZE];
static uint64_t acked[SPREAD];
static bool out[SPREAD]; /* a write or a read of it is under way */
static unsigned target[VQ_SIZE];
static uint64_t numbers;
static uint8_t frame[12 + 60];
static uint8_t random_bytes[64];
static const char line[] = "the console says so\r\n";

/* ---- the disk ---- */

static void request(unsigned slot, uint32_t type, uint64_t sector, volatile void *bytes,
		    uint32_t len)
{
	const struct vq_buf bufs[] = {
		{&headers[slot], sizeof(headers[slot]), false},
		{bytes, len, type == BLK_IN},
		{&status[slot], 1, true},
	};
	const struct vq_buf flush[] = {bufs[0], bufs[2]};

	headers[slot] = (struct blk_header){.type = type, .sector = sector};
	status[slot] = 0xff;
	if (len == 0) {
		vq_offer(&blk_queues[0], slot, flush, 2);
	} else {
		vq_offer(&blk_queues[0], slot, bufs, 3);
	}
}

static void fill(uint64_t *bytes, uint64_t number)
{
	for (unsigned i = 0; i < 64; i++) {
		bytes[i] = number;
	}
}

static void start_write(unsigned slot)
{
	unsigned which = (unsigned)((numbers * 37) % SPREAD);

	if (out[which]) {
		which = (which + 1) % SPREAD;
	}
	if (out[which]) {
		return;
	}
	numbers++;
	out[which] = true;
	target[slot] = which;
	fill(data[slot], numbers);
	request(slot, BLK_OUT, FIRST + which, data[slot], 512);
}

static void start_read(void)
{
	unsigned which = (unsigned)((progress.reads * 101) % SPREAD);

	if (!out[which]) {
		out[which] = true;
		target[SLOT_READ] = which;
		fill(data[SLOT_READ], 0);
		request(SLOT_READ, BLK_IN, FIRST + which, data[SLOT_READ], 512);
	}
}

static void check_read(void)
{
	unsigned which = target[SLOT_READ];

	for (unsigned i = 0; i < 64; i++) {
		if (data[SLOT_READ][i] != acked[which]) {
			progress.wrong++;
			bad("a sector does not hold what was acknowledged");
			return;
		}
	}
}

static void done(unsigned slot)
{
	if (status[slot] != 0) {
		progress.wrong++;
		bad("the disk says error");
	}
	switch (slot) {
	case SLOT_NOTE:
		progress.notes++;
		break;
	case SLOT_FLUSH:
		progress.flushes++;
		break;
	case SLOT_READ:
		check_read();
		out[target[slot]] = false;
		progress.reads++;
		break;
	default:
		acked[target[slot]] = data[slot][0];
		out[target[slot]] = false;
		progress.writes++;
		break;
	}
}

static void take_disk(void)
{
	for (int slot = vq_take(&blk_queues[0]); slot >= 0; slot = vq_take(&blk_queues[0])) {
		done((unsigned)slot);
	}
}

static void work_disk(void)
{
	take_disk();
	for (unsigned slot = 0; slot < WRITERS; slot++) {
		if (!blk_queues[0].busy[slot]) {
			start_write(slot);
		}
	}
	if (!blk_queues[0].busy[SLOT_NOTE]) {
		note = progress;
		request(SLOT_NOTE, BLK_OUT, 0, &note, 512);
	}
	if (!blk_queues[0].busy[SLOT_FLUSH] && progress.writes % 64 < WRITERS) {
		request(SLOT_FLUSH, BLK_FLUSH, 0, (void *)0, 0);
	}
	if (!blk_queues[0].busy[SLOT_READ]) {
		start_read();
	}
}

/* ---- the others ---- */

static void work_others(void)
{
	const struct vq_buf net_buf = {frame, sizeof(frame), false};
	const struct vq_buf console_buf = {line, sizeof(line) - 1, false};
	const struct vq_buf rng_buf = {random_bytes, sizeof(random_bytes), true};

	progress.frames += vq_take(&net_queues[1]) >= 0;
	progress.lines += vq_take(&console_queues[1]) >= 0;
	progress.randoms += vq_take(&rng_queues[0]) >= 0;
	if (net.common && !net_queues[1].busy[0]) {
		vq_offer(&net_queues[1], 0, &net_buf, 1);
	}
	if (console.common && !console_queues[1].busy[0]) {
		vq_offer(&console_queues[1], 0, &console_buf, 1);
	}
	if (rng.common && !rng_queues[0].busy[0]) {
		vq_offer(&rng_queues[0], 0, &rng_buf, 1);
	}
}

static void look_at_status(void)
{
	progress.failed |= vdev_failed(&blk) ? 1u : 0u;
	progress.failed |= net.common && vdev_failed(&net) ? 2u : 0u;
	progress.failed |= console.common && vdev_failed(&console) ? 4u : 0u;
	progress.failed |= rng.common && vdev_failed(&rng) ? 8u : 0u;
}

/* ---- the end ---- */

static bool disk_is_quiet(void)
{
	for (unsigned slot = 0; slot < VQ_SIZE; slot++) {
		if (blk_queues[0].busy[slot]) {
			return false;
		}
	}
	return true;
}

static void wait_disk(void)
{
	for (uint64_t i = 0; !disk_is_quiet(); i++) {
		take_disk();
		if (i == SPINS_MAX) {
			bad("the disk does not answer");
			return;
		}
	}
}

static void end(const struct acpi *acpi)
{
	wait_disk();
	for (unsigned i = 0; i < SPREAD; i++) {
		progress.reads = (uint64_t)i; /* 101 and SPREAD have no common divisor */
		start_read();
		wait_disk();
	}
	for (unsigned i = 0; i < SPREAD / 64; i++) {
		request(0, BLK_OUT, TABLE + i, &acked[64 * i], 512);
		wait_disk();
	}
	note = progress;
	request(SLOT_NOTE, BLK_OUT, 0, &note, 512);
	wait_disk();
	say("end");
	say_hex(progress.writes);
	say_hex(progress.wrong);
	say_hex(progress.failed);
	say_end();
	out8(acpi->sleep_port, SLEEP_S5);
	for (;;) {
		__asm__ volatile("pause");
	}
}

void payload_main(const struct start_info *info);

void payload_main(const struct start_info *info)
{
	struct acpi acpi;

	if (!acpi_read(info->rsdp, &acpi) || !vdev_start(&blk, &acpi, 0x1042, blk_queues, 1)) {
		bad("no disk");
	}
	(void)vdev_start(&net, &acpi, 0x1041, net_queues, 2);
	(void)vdev_start(&console, &acpi, 0x1043, console_queues, 2);
	(void)vdev_start(&rng, &acpi, 0x1044, rng_queues, 1);
	for (unsigned i = 0; i < 12; i++) {
		frame[12 + i] = i < 6 ? 0xff : (uint8_t)(0x10 + i);
	}
	frame[12 + 6] = 0x02; /* of a card administered here, by nobody */
	progress.magic = MAGIC;
	say("busy\n");
	for (unsigned i = 0;; i++) {
		work_disk();
		work_others();
		if (i % 1024 == 0) {
			look_at_status();
			if (in8(PM_EVENTS) != 0) {
				end(&acpi);
			}
		}
	}
}
