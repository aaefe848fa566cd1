/* SPDX-License-Identifier: MIT */
#include "memfix.h"

#include <stdio.h>
#include <stdlib.h>

static void die(const char *what)
{
	(void)fprintf(stderr, "memfix: %s\n", what);
	abort();
}

void memfix_init(struct memfix *fix)
{
	static const struct vmm_mem_region regions[] = {
		{.gpa = MEMFIX_LOW_BASE, .size = MEMFIX_LOW_SIZE},
		{.gpa = MEMFIX_HIGH_BASE, .size = MEMFIX_HIGH_SIZE},
	};
	struct vmm_error err = {0};

	fix->used = 0;
	if (vmm_mem_create(&fix->mem, regions, 2, &err) < 0) {
		die(err.message);
	}
}

void memfix_finish(struct memfix *fix)
{
	vmm_mem_destroy(fix->mem);
	fix->mem = NULL;
}

void *memfix_alloc(struct memfix *fix, size_t len, size_t align)
{
	uint64_t start = (fix->used + align - 1) & ~(uint64_t)(align - 1);

	if (start > MEMFIX_LOW_SIZE || len > MEMFIX_LOW_SIZE - start) {
		die("guest memory is full");
	}
	fix->used = start + len;
	return memfix_ptr(fix, MEMFIX_LOW_BASE + start, len ? len : 1);
}

vmm_gpa memfix_gpa(const struct memfix *fix, const void *ptr)
{
	uintptr_t at = (uintptr_t)ptr;

	for (size_t i = 0; i < vmm_mem_region_count(fix->mem); i++) {
		struct vmm_mem_mapping map;
		uintptr_t start;

		(void)vmm_mem_get_mapping(fix->mem, i, &map);
		start = (uintptr_t)map.host;
		if (at >= start && at - start <= map.size) {
			return map.gpa + (at - start);
		}
	}
	die("a pointer that is not into guest memory");
	return 0;
}

void *memfix_ptr(const struct memfix *fix, vmm_gpa gpa, size_t len)
{
	void *ptr = vmm_mem_ptr(fix->mem, gpa, len, 1);

	if (!ptr) {
		die("an address outside guest memory");
	}
	return ptr;
}
