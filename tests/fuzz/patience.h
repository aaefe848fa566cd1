/* SPDX-License-Identifier: MIT */
/*
 * Time for targets whose product waits for the other side, by ppoll: it passes only when somebody
 * waits, and then at once. The target wraps ppoll and clock_gettime.
 */
#ifndef TESTS_FUZZ_PATIENCE_H
#define TESTS_FUZZ_PATIENCE_H

#include <stdint.h>

struct patience {
	uint64_t skipped_ns; /* time that has passed in vain so far */
	uint64_t longest_ns; /* nobody may wait for longer */
	/* The other side's turn, before anybody waits. */
	void (*meanwhile)(void);
};

extern struct patience patience;

#endif
