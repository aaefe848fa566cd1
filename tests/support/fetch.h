/* SPDX-License-Identifier: MIT */
/*
 * Each access that the code under test makes to a piece of memory, one by one: how a test sees that
 * a byte of guest memory is read twice, read in halves, or written where it must not be.
 *
 * The sources under test are compiled once more with -fsanitize=thread, whose calls for every load
 * and store end here instead of in the compiler's runtime; memcpy and its kin, and the system calls
 * that read or write guest memory, come by way of the linker's --wrap. See vmm_fetch_test in
 * tests/unit/CMakeLists.txt. One thread only.
 */
#ifndef TESTS_FETCH_H
#define TESTS_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fetch {
	const uint8_t *at;
	size_t len;
	bool write;
	bool atomic;
};

/* Forgets what was recorded and records accesses to [base, base + len) from now on. */
void fetch_start(const void *base, size_t len);
/* Ends it. What was recorded stays until the next start. */
void fetch_stop(void);

/* The accesses in their order; aborts the process when there were more than it keeps. */
const struct fetch *fetch_list(size_t *count);

#endif
