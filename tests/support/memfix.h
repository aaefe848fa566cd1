/* SPDX-License-Identifier: MIT */
/*
 * Guest memory for tests: two regions with holes around them, and a bump allocator, so that a test
 * can say "a buffer of n bytes" and knows both its host address and its guest address.
 *
 * A helper that cannot do its work prints why and aborts: that is never what a test is about.
 */
#ifndef TESTS_MEMFIX_H
#define TESTS_MEMFIX_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/mem.h>

/* Address 0 and everything between the regions is a hole. */
#define MEMFIX_LOW_BASE  UINT64_C(0x10000000)
#define MEMFIX_LOW_SIZE  (UINT64_C(64) << 20)
#define MEMFIX_HIGH_BASE (UINT64_C(1) << 32)
#define MEMFIX_HIGH_SIZE (UINT64_C(1) << 20)
/* An address in no region. */
#define MEMFIX_HOLE UINT64_C(0x80000000)

struct memfix {
	struct vmm_mem *mem;
	uint64_t used; /* bytes of the low region handed out */
};

/* Creates the memory; all of it reads as zero. */
void memfix_init(struct memfix *fix);
void memfix_finish(struct memfix *fix);

/*
 * len bytes of the low region at a multiple of align (a power of two). Stays until finish; there is
 * no free. Aborts when the region is full.
 */
void *memfix_alloc(struct memfix *fix, size_t len, size_t align);

/* The guest address of a host address inside guest memory (the end of a region included). */
vmm_gpa memfix_gpa(const struct memfix *fix, const void *ptr);
/* The host address of [gpa, gpa + len), which must lie in guest memory. */
void *memfix_ptr(const struct memfix *fix, vmm_gpa gpa, size_t len);

#endif
