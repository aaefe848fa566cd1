/* SPDX-License-Identifier: MIT */
/* What of the probes depends on the architecture; CMake chooses the directory. */
#ifndef TESTS_JAIL_ENTRY_H
#define TESTS_JAIL_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

/* Calls of the process that holds KVM. */
#define PROBE_VM_BUDGET 18u

/* There is a second way into the kernel, the 32-bit one: another architecture to seccomp. */
static inline bool probe_has_foreign_entry(void)
{
	return true;
}

static inline void probe_foreign_call(uint64_t nr, const uint64_t *args)
{
	__asm__ volatile("int $0x80"
			 :
			 : "a"(nr), "b"(args[0]), "c"(args[1]), "d"(args[2])
			 : "memory", "r8", "r9", "r10", "r11");
}

/*
 * Two numbers of x86_64 reach the kernel past every filter (seccomp_uprobe_exception): uretprobe
 * and uprobe, which the kernel's own probes enter by and which it refuses from anywhere else. Older
 * kernels do not know them.
 */
static inline bool probe_exempt(uint64_t nr)
{
	return nr == 335 || nr == 336;
}

#endif
