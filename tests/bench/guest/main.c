/* SPDX-License-Identifier: MIT */
/*
 * The guest of `isolation`: two disks that differ in nothing but where their device runs, measured
 * in turns (in the order 0 1, 1 0, 0 1 ...), so that whatever else the machine does meets both.
 */
#include "disk.h"
#include "plan.h"

#define COM1     0x3f8u
#define SLEEP_S5 0x34u

/* user.S */
extern volatile uint64_t interrupt_tsc;
void enter_user(void (*function)(const struct start_info *info), const struct start_info *info);
void payload_main(const struct start_info *info);

static struct disk disks[DISKS];
static volatile struct board *const board = (volatile struct board *)(uint64_t)PLAN_GPA;

static uint64_t now(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void pause_once(void)
{
	__asm__ volatile("pause");
}

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
	disk_kick(d);
	while (interrupts == before || !disk_has_done(d)) {
		pause_once();
	}
	(void)disk_take(d);
	return (uint32_t)(interrupt_tsc - start);
}

static void measure_latency(volatile struct round *round, unsigned which)
{
	struct disk *d = &disks[which];

	disk_want_interrupts(d, true);
	for (unsigned i = 0; i < board->plan.samples; i++) {
		round->latencies[which][i] = read_alone(d);
	}
	disk_want_interrupts(d, false);
}

/* Ticks for `requests` reads of a block, with depth of them under way. */
static uint64_t measure_rate(struct disk *d, unsigned depth)
{
	uint32_t left = board->plan.requests;
	uint64_t start = now();

	for (unsigned i = 0; i < depth; i++) {
		disk_offer(d, i, somewhere(), BLOCK);
	}
	disk_kick(d);
	while (left > 0) {
		bool more = false;

		while (!disk_has_done(d)) {
			pause_once();
		}
		while (disk_has_done(d)) {
			unsigned i = disk_take(d);

			left--;
			if (left >= depth) {
				disk_offer(d, i, somewhere(), BLOCK);
				more = true;
			}
		}
		if (more) {
			disk_kick(d);
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

static void run(const struct start_info *info)
{
	volatile struct plan *plan = &board->plan;
	struct acpi acpi;

	if (!acpi_read(info->rsdp, &acpi)) {
		bad("ACPI tables");
	}
	for (unsigned i = 0; i < DISKS; i++) {
		if (!disk_start(&disks[i], &acpi, 1 + i)) {
			bad("no disk");
		}
	}
	/* Once in vain: pages are touched, and code paths taken, for the first time. */
	measure(&board->rounds[0], 0);
	for (unsigned i = 0; i < DISKS; i++) {
		disks[i].kicks = 0;
	}
	out8(COM1, ROUND_ENDS);
	while (!plan->enough && plan->rounds < ROUNDS_MAX) {
		measure(&board->rounds[plan->rounds], plan->rounds);
		plan->rounds++;
		out8(COM1, ROUND_ENDS);
	}
	for (unsigned i = 0; i < DISKS; i++) {
		plan->errors += disks[i].errors;
		plan->kicks[i] = disks[i].kicks;
	}
	out8(acpi.sleep_port, SLEEP_S5);
	bad("still running after power-off");
}

void payload_main(const struct start_info *info)
{
	interrupts_init();
	enter_user(run, info);
}
