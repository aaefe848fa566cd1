/* SPDX-License-Identifier: MIT */
/*
 * A set of pixels as a short list of rectangles. It may say more than was added, never less: what
 * does not fit in the list is taken together, in the end as one rectangle around everything.
 */
#ifndef VMM_DEVICES_DISPLAY_REGION_H
#define VMM_DEVICES_DISPLAY_REGION_H

#include <stdbool.h>

#include <vmm/dev/display.h>

#define REGION_RECTS_MAX 16u

/* All zero: empty. The rects may overlap. */
struct region {
	unsigned count;
	struct vmm_display_rect rects[REGION_RECTS_MAX];
};

/* What two rects share; false when that is nothing. No sum wraps, whatever they say. */
bool vmm_rect_intersect(const struct vmm_display_rect *a, const struct vmm_display_rect *b,
			struct vmm_display_rect *out);
/* Whether inner, not empty, lies in outer. */
bool vmm_rect_contains(const struct vmm_display_rect *outer, const struct vmm_display_rect *inner);

static inline void vmm_region_clear(struct region *r)
{
	r->count = 0;
}

/* rect ends at 2^32 - 1 at most; an empty one adds nothing. */
void vmm_region_add(struct region *r, const struct vmm_display_rect *rect);
/* Adds what of `from` lies in `clip`. */
void vmm_region_add_clipped(struct region *r, const struct region *from,
			    const struct vmm_display_rect *clip);
/* Takes away those rects that lie in `rect` as a whole; parts of others stay. */
void vmm_region_drop_inside(struct region *r, const struct vmm_display_rect *rect);

#endif
