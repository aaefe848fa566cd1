/* SPDX-License-Identifier: MIT */
#ifndef TESTS_GPU_GUEST_PATTERN_H
#define TESTS_GPU_GUEST_PATTERN_H

/* The picture that tests draw, and a part of it that is inverted (fb.c). */
#include <stdbool.h>
#include <stdint.h>

struct rect {
	uint32_t x, y, width, height;
};

/* The colour of a place, 0x00RRGGBB. No two rows or columns near each other are alike, and every
 * byte matters. */
uint32_t pattern_colour(uint32_t x, uint32_t y, bool changed);
/* Four numbers, as text. */
struct rect pattern_rect(char **argv);

#endif
