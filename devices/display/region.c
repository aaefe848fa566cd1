/* SPDX-License-Identifier: MIT */
#include "display/region.h"

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static bool intersect_axis(uint32_t a, uint32_t a_len, uint32_t b, uint32_t b_len, uint32_t *at,
			   uint32_t *len)
{
	uint64_t a_end = (uint64_t)a + a_len;
	uint64_t b_end = (uint64_t)b + b_len;
	uint64_t end = a_end < b_end ? a_end : b_end;

	*at = max32(a, b);
	if (end <= *at) {
		return false;
	}
	*len = (uint32_t)(end - *at);
	return true;
}

bool vmm_rect_intersect(const struct vmm_display_rect *a, const struct vmm_display_rect *b,
			struct vmm_display_rect *out)
{
	struct vmm_display_rect r;

	if (!intersect_axis(a->x, a->width, b->x, b->width, &r.x, &r.width) ||
	    !intersect_axis(a->y, a->height, b->y, b->height, &r.y, &r.height)) {
		return false;
	}
	*out = r;
	return true;
}

bool vmm_rect_contains(const struct vmm_display_rect *outer, const struct vmm_display_rect *inner)
{
	struct vmm_display_rect shared;

	return vmm_rect_intersect(outer, inner, &shared) && shared.width == inner->width &&
	       shared.height == inner->height;
}

/* The rect around both. */
static struct vmm_display_rect around(const struct vmm_display_rect *a,
				      const struct vmm_display_rect *b)
{
	struct vmm_display_rect r = {.x = min32(a->x, b->x), .y = min32(a->y, b->y)};

	r.width = max32(a->x + a->width, b->x + b->width) - r.x;
	r.height = max32(a->y + a->height, b->y + b->height) - r.y;
	return r;
}

void vmm_region_drop_inside(struct region *r, const struct vmm_display_rect *rect)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < r->count; i++) {
		if (!vmm_rect_contains(rect, &r->rects[i])) {
			r->rects[kept++] = r->rects[i];
		}
	}
	r->count = kept;
}

void vmm_region_add(struct region *r, const struct vmm_display_rect *rect)
{
	struct vmm_display_rect all = *rect;

	if (rect->width == 0 || rect->height == 0) {
		return;
	}
	for (unsigned i = 0; i < r->count; i++) {
		if (vmm_rect_contains(&r->rects[i], rect)) {
			return;
		}
	}
	vmm_region_drop_inside(r, rect);
	if (r->count == REGION_RECTS_MAX) {
		for (unsigned i = 0; i < r->count; i++) {
			all = around(&all, &r->rects[i]);
		}
		r->count = 0;
	}
	r->rects[r->count++] = all;
}

void vmm_region_add_clipped(struct region *r, const struct region *from,
			    const struct vmm_display_rect *clip)
{
	for (unsigned i = 0; i < from->count; i++) {
		struct vmm_display_rect part;

		if (vmm_rect_intersect(&from->rects[i], clip, &part)) {
			vmm_region_add(r, &part);
		}
	}
}
