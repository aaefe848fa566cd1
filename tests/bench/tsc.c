/* SPDX-License-Identifier: MIT */
/* tsc: prints how many ticks of the TSC there are in a millisecond, for guests that count them. */
#include <stdio.h>
#include <x86intrin.h>

#include "clock.h"

#define MEASURE_MS 100.0

int main(void)
{
	double began = now_ms();
	unsigned long long ticks = __rdtsc();
	double ms;

	do {
		ms = now_ms() - began;
	} while (ms < MEASURE_MS);
	(void)printf("%.0f\n", (double)(__rdtsc() - ticks) / ms);
	return 0;
}
