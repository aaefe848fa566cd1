/* SPDX-License-Identifier: MIT */
/* Running at ring 3 (user.S), and what time it is there. */
#ifndef TESTS_BENCH_USER_H
#define TESTS_BENCH_USER_H

#include "hw.h"

extern volatile uint64_t interrupt_tsc; /* when the latest interrupt came */

/* Runs function at ring 3 with interrupts on; it must not return. */
void enter_user(void (*function)(const struct start_info *info), const struct start_info *info);

static inline uint64_t now(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void pause_once(void)
{
	__asm__ volatile("pause");
}

#endif
