/* SPDX-License-Identifier: MIT */
/*
 * What the guest and the program that runs it share: a page of memory that says what to measure,
 * and the measurements behind it. Times are ticks of the TSC.
 */
#ifndef TESTS_BENCH_PLAN_H
#define TESTS_BENCH_PLAN_H

#include <stdint.h>

#define PLAN_GPA 0x1000000u /* 16 MiB: behind the payload, in front of nothing */

#define DISKS       2u /* in slots 1 and 2: the device of the VMM's process, and that of its own */
#define ROUNDS_MAX  256u
#define SAMPLES_MAX 256u /* of one disk in one round */
#define DEPTHS      3u

struct plan {
	/* From outside. */
	uint32_t samples;  /* single reads in a round, for the latency */
	uint32_t requests; /* 4 KiB reads for each rate in a round */
	uint32_t gap;      /* ticks of rest in front of each single read */
	uint32_t sectors;  /* of 512 bytes, of both disks */
	uint32_t enough;   /* not 0: no further round */
	/* From the guest, which writes ROUND_ENDS to the serial port after each. */
	uint32_t rounds;
	uint32_t errors;
	uint32_t kicks[DISKS];
	uint32_t reserved;
};

#define ROUND_ENDS '.'

struct round {
	uint32_t latencies[DISKS][SAMPLES_MAX]; /* from a kick to the interrupt */
	uint64_t rates[DEPTHS][DISKS];          /* ticks for all requests */
};

static const unsigned plan_depths[DEPTHS] = {1, 8, 32};

/* The rounds follow the plan at once. */
struct board {
	struct plan plan;
	struct round rounds[ROUNDS_MAX];
};

#endif
