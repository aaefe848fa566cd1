/* SPDX-License-Identifier: MIT */
#include "region.h"

#include <stddef.h>

static int32_t clamp(int64_t value)
{
	if (value < 0) {
		return 0;
	}
	return value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

static int32_t smaller(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

struct rect rect_make(int32_t x, int32_t y, int32_t width, int32_t height, int32_t scale)
{
	if (width <= 0 || height <= 0 || scale <= 0) {
		return (struct rect){0};
	}
	return (struct rect){
		.x1 = clamp((int64_t)x * scale),
		.y1 = clamp((int64_t)y * scale),
		.x2 = clamp(((int64_t)x + width) * scale),
		.y2 = clamp(((int64_t)y + height) * scale),
	};
}

struct rect rect_clip(struct rect rect, int32_t width, int32_t height)
{
	return (struct rect){
		.x1 = larger(rect.x1, 0),
		.y1 = larger(rect.y1, 0),
		.x2 = smaller(rect.x2, width),
		.y2 = smaller(rect.y2, height),
	};
}

bool rect_is_empty(struct rect rect)
{
	return rect.x1 >= rect.x2 || rect.y1 >= rect.y2;
}

static bool contains(struct rect outer, struct rect inner)
{
	return outer.x1 <= inner.x1 && outer.y1 <= inner.y1 && outer.x2 >= inner.x2 &&
	       outer.y2 >= inner.y2;
}

static struct rect around(struct rect a, struct rect b)
{
	return (struct rect){
		.x1 = smaller(a.x1, b.x1),
		.y1 = smaller(a.y1, b.y1),
		.x2 = larger(a.x2, b.x2),
		.y2 = larger(a.y2, b.y2),
	};
}

static uint64_t area(struct rect rect)
{
	return (uint64_t)(rect.x2 - rect.x1) * (uint64_t)(rect.y2 - rect.y1);
}

static void drop(struct region *region, unsigned i)
{
	region->rects[i] = region->rects[--region->count];
}

/* The rectangle that grows least when rect is joined to it. */
static unsigned nearest(const struct region *region, struct rect rect)
{
	uint64_t best_growth = UINT64_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i < region->count; i++) {
		struct rect joined = around(region->rects[i], rect);
		uint64_t growth = area(joined) - area(region->rects[i]);

		if (growth < best_growth) {
			best_growth = growth;
			best = i;
		}
	}
	return best;
}

void region_add(struct region *region, struct rect rect)
{
	if (rect_is_empty(rect)) {
		return;
	}
	for (unsigned i = 0; i < region->count; i++) {
		if (contains(region->rects[i], rect)) {
			return;
		}
	}
	if (region->count == REGION_RECTS) {
		unsigned i = nearest(region, rect);

		rect = around(region->rects[i], rect);
		drop(region, i);
	}
	for (unsigned i = region->count; i-- > 0;) {
		if (contains(rect, region->rects[i])) {
			drop(region, i);
		}
	}
	region->rects[region->count++] = rect;
}

void region_add_region(struct region *region, const struct region *other, int32_t width,
		       int32_t height)
{
	for (unsigned i = 0; i < other->count; i++) {
		region_add(region, rect_clip(other->rects[i], width, height));
	}
}
