/* SPDX-License-Identifier: MIT */
/*
 * The guest of `isolation`: two disks that differ in nothing but where their device runs, measured
 * in turns (in the order 0 1, 1 0, 0 1 ...), so that whatever else the machine does meets both.
 */
#include "disk.h"
#include "plan.h"
#include "user.h"

#define COM1        0x3f8u
#define SLEEP_S5    0x34u
#define BLOCK       4096u
#define SECTORS_PER (BLOCK / SECTOR)

void payload_main(const struct start_info *info);

static struct disk disks[DISKS];
static uint8_t data[DISKS][DEPTH_MAX][BLOCK] __attribute__((aligned(4096)));
static volatile struct board *const board = (volatile struct board *)(uint64_t)PLAN_GPA;

/* A block of the disk, somewhere. */
static uint64_t somewhere(void)
{
	static uint32_t state = 1;

	state = state * 1664525u + 1013904223u;
	return (state >> 8) % (board->plan.sectors / SECTORS_PER) * SECTORS_PER;
}

/* One sector, alone, from a device that has had time to fall asleep. */
static uint32_t read_alone(struct disk *d)
{
	uint64_t rested = now() + board->plan.gap;
	uint32_t before = interrupts;
	uint64_t start;

	while (now() < rested) {
		pause_once();
	}
	disk_offer(d, 0, somewhere(), SECTOR);
	start = now();
	queue_kick(&d->q);
	while (interrupts == before || !queue_has_done(&d->q)) {
		pause_once();
	}
	(void)disk_take(d);
	return (uint32_t)(interrupt_tsc - start);
}

static void measure_latency(volatile struct round *round, unsigned which)
{
	struct disk *d = &disks[which];

	queue_want_interrupts(&d->q, true);
	for (unsigned i = 0; i < board->plan.samples; i++) {
		round->latencies[which][i] = read_alone(d);
	}
	queue_want_interrupts(&d->q, false);
}

/* Ticks for `requests` reads of a block, with depth of them under way. */
static uint64_t measure_rate(struct disk *d, unsigned depth)
{
	uint32_t left = board->plan.requests;
	uint64_t start = now();

	for (unsigned i = 0; i < depth; i++) {
		disk_offer(d, i, somewhere(), BLOCK);
	}
	queue_kick(&d->q);
	while (left > 0) {
		bool more = false;

		while (!queue_has_done(&d->q)) {
			pause_once();
		}
		while (queue_has_done(&d->q)) {
			unsigned i = disk_take(d);

			left--;
			if (left >= depth) {
				disk_offer(d, i, somewhere(), BLOCK);
				more = true;
			}
		}
		if (more) {
			queue_kick(&d->q);
		}
	}
	return now() - start;
}

static void measure(volatile struct round *round, unsigned number)
{
	for (unsigned i = 0; i < DISKS; i++) {
		measure_latency(round, (i + number) % DISKS);
	}
	for (unsigned depth = 0; depth < DEPTHS; depth++) {
		for (unsigned i = 0; i < DISKS; i++) {
			unsigned which = (i + number) % DISKS;

			round->rates[depth][which] =
				measure_rate(&disks[which], plan_depths[depth]);
		}
	}
}

static void start(unsigned which, const struct acpi *acpi)
{
	struct virtio v;

	if (!virtio_find_pci(acpi, 1 + which, &v)) {
		bad("no disk");
		return;
	}
	virtio_use_interrupts(&v);
	if (!disk_start(&disks[which], &v, 0, data[which][0], BLOCK)) {
		bad("the disk does not start");
	}
}

static void run(const struct start_info *info)
{
	volatile struct plan *plan = &board->plan;
	struct acpi acpi;

	if (!acpi_read(info->rsdp, &acpi)) {
		bad("ACPI tables");
	}
	for (unsigned i = 0; i < DISKS; i++) {
		start(i, &acpi);
	}
	/* Once in vain: pages are touched, and code paths taken, for the first time. */
	measure(&board->rounds[0], 0);
	for (unsigned i = 0; i < DISKS; i++) {
		disks[i].q.kicks = 0;
	}
	out8(COM1, ROUND_ENDS);
	while (!plan->enough && plan->rounds < ROUNDS_MAX) {
		measure(&board->rounds[plan->rounds], plan->rounds);
		plan->rounds++;
		out8(COM1, ROUND_ENDS);
	}
	for (unsigned i = 0; i < DISKS; i++) {
		plan->errors += disks[i].errors;
		plan->kicks[i] = (uint32_t)disks[i].q.kicks;
	}
	out8(acpi.sleep_port, SLEEP_S5);
	bad("still running after power-off");
}

void payload_main(const struct start_info *info)
{
	interrupts_init();
	enter_user(run, info);
}
