/* SPDX-License-Identifier: MIT */
/* What of the probes depends on the architecture; CMake chooses the directory. */
#ifndef TESTS_JAIL_ENTRY_H
#define TESTS_JAIL_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

/* Calls of the process that holds KVM: one more than a PC's, seeds for the device tree of a guest
 * that reboots. */
#define PROBE_VM_BUDGET 19u

/* 32-bit code is another kind of program here, which a 64-bit one cannot jump into. */
static inline bool probe_has_foreign_entry(void)
{
	return false;
}

static inline void probe_foreign_call(uint64_t nr, const uint64_t *args)
{
	(void)nr;
	(void)args;
}

static inline bool probe_exempt(uint64_t nr)
{
	(void)nr;
	return false;
}

#endif
