/* SPDX-License-Identifier: MIT */
/*
 * On which processor, and how urgently, the measured threads run: the vCPU on one, both devices on
 * another, in front of everything else the machine does. Otherwise the scheduler decides which of
 * two equal things looks better: it gives a process of its own more of a busy processor than a
 * thread beside one that spins.
 */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

/* The n-th processor that this process may use, or -1. */
static int find_processor(unsigned n)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0) {
		return -1;
	}
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &set) && n-- == 0) {
			return i;
		}
	}
	return -1;
}

static void stay_on(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		die("processor %d: %s", processor, strerror(errno));
	}
}

void place_choose(struct options *options)
{
	options->vcpu_on = find_processor(0);
	options->devices_on = find_processor(1);
	/* A guest that spins in front of its own device would never end. */
	if (options->devices_on < 0) {
		skip("the comparison takes two processors");
	}
}

void place_devices(struct options *options)
{
	const struct sched_param urgent = {.sched_priority = 1};

	if (options->ordinary) {
		return;
	}
	stay_on(options->devices_on);
	/* Threads and processes made from here on inherit it. musl has no sched_setscheduler. */
	options->urgent = pthread_setschedparam(pthread_self(), SCHED_FIFO, &urgent) == 0;
}

void place_vcpu(const struct options *options)
{
	if (!options->ordinary) {
		stay_on(options->vcpu_on);
	}
}
