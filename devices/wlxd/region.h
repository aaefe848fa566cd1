/* SPDX-License-Identifier: MIT */
/*
 * A set of pixels that has to be copied: a few rectangles that may overlap. It may grow by pixels
 * that nobody added, never lose one that somebody did.
 */
#ifndef WLXD_REGION_H
#define WLXD_REGION_H

#include <stdbool.h>
#include <stdint.h>

#define REGION_RECTS 16

/* Pixels with x1 <= x < x2 and y1 <= y < y2. */
struct rect {
	int32_t x1, y1, x2, y2;
};

struct region {
	unsigned count;
	struct rect rects[REGION_RECTS];
};

/* A rectangle as the protocol has it, times scale, cut at the edges of int32_t and below 0. */
struct rect rect_make(int32_t x, int32_t y, int32_t width, int32_t height, int32_t scale);

/* What of rect lies inside of 0..width, 0..height; may be empty. */
struct rect rect_clip(struct rect rect, int32_t width, int32_t height);

bool rect_is_empty(struct rect rect);

/* Adds rect; an empty one adds nothing. */
void region_add(struct region *region, struct rect rect);

/* Adds all of other, cut to width and height. */
void region_add_region(struct region *region, const struct region *other, int32_t width,
		       int32_t height);

#endif
