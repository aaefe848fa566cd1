/* SPDX-License-Identifier: MIT */
#include "shadow_priv.h"

#include <stdlib.h>

struct shadow_surface *shadow_surface_create(struct shadow *shadow)
{
	struct shadow_surface *surface = calloc(1, sizeof(*surface));

	if (surface) {
		surface->shadow = shadow;
		surface->scale = 1;
		surface->pending_scale = 1;
		surface->next = shadow->surfaces;
		shadow->surfaces = surface;
	}
	return surface;
}

void shadow_surface_destroy(struct shadow_surface *surface)
{
	struct shadow_surface **at = &surface->shadow->surfaces;

	while (surface->shown) {
		struct shadow_buffer *buffer = surface->shown;

		surface->shown = buffer->next;
		buffer->surface = NULL;
	}
	while (*at != surface) {
		at = &(*at)->next;
	}
	*at = surface->next;
	free(surface);
}

void shadow_attach(struct shadow_surface *surface, struct shadow_buffer *buffer, int32_t x,
		   int32_t y)
{
	surface->pending = buffer;
	surface->attached = true;
	shadow_offset(surface, x, y);
}

void shadow_offset(struct shadow_surface *surface, int32_t x, int32_t y)
{
	surface->moved = surface->moved || x != 0 || y != 0;
}

/* The buffer is not of those that surface shows any more. */
static void leave(struct shadow_surface *surface, struct shadow_buffer *buffer)
{
	struct shadow_buffer **at = &surface->shown;

	while (*at != buffer) {
		at = &(*at)->next;
	}
	*at = buffer->next;
	buffer->surface = NULL;
	if (surface->current == buffer) {
		surface->current = NULL;
	}
}

/* What other surfaces showed says nothing about this one. */
static void enter(struct shadow_surface *surface, struct shadow_buffer *buffer)
{
	if (buffer->surface == surface) {
		return;
	}
	if (buffer->surface) {
		leave(buffer->surface, buffer);
	}
	shadow_buffer_spoil(buffer);
	buffer->surface = surface;
	buffer->next = surface->shown;
	surface->shown = buffer;
}

void shadow_surfaces_forget(struct shadow_buffer *buffer)
{
	if (buffer->surface) {
		leave(buffer->surface, buffer);
	}
	for (struct shadow_surface *s = buffer->shadow->surfaces; s; s = s->next) {
		if (s->pending == buffer) {
			s->pending = NULL;
		}
	}
}

static uint32_t clamp(int64_t value)
{
	if (value < 0) {
		return 0;
	}
	return value > INT32_MAX ? INT32_MAX : (uint32_t)value;
}

/* As the protocol has it: no part of it is where pixels are, below 0 or beyond an int32_t. */
static void add_damage(struct region *region, int32_t x, int32_t y, int32_t width, int32_t height)
{
	struct vmm_display_rect rect = {.x = clamp(x), .y = clamp(y)};

	if (width > 0 && height > 0) {
		rect.width = clamp((int64_t)x + width) - rect.x;
		rect.height = clamp((int64_t)y + height) - rect.y;
		vmm_region_add(region, &rect);
	}
}

void shadow_damage(struct shadow_surface *surface, int32_t x, int32_t y, int32_t width,
		   int32_t height)
{
	add_damage(&surface->damage, x, y, width, height);
}

void shadow_damage_buffer(struct shadow_surface *surface, int32_t x, int32_t y, int32_t width,
			  int32_t height)
{
	add_damage(&surface->damage_buffer, x, y, width, height);
}

void shadow_scale(struct shadow_surface *surface, int32_t scale)
{
	surface->pending_scale = scale;
}

void shadow_transform(struct shadow_surface *surface, int32_t transform)
{
	surface->pending_transform = transform;
}

void shadow_viewport(struct shadow_surface *surface)
{
	surface->viewport = true;
}

/*
 * Whether the damage of this commit says which pixels of buffers have changed. After a change of
 * scale or orientation, or a shift, pixels of one buffer are not those of another.
 */
static bool damage_is_exact(const struct shadow_surface *surface)
{
	if (surface->pending_scale != surface->scale ||
	    surface->pending_transform != surface->transform || surface->moved) {
		return false;
	}
	return surface->damage.count == 0 || (!surface->viewport && surface->transform == 0);
}

/* The damage in pixels of buffers. */
static void scale_damage(const struct shadow_surface *surface, struct region *damage)
{
	int64_t scale = surface->scale > 0 ? surface->scale : 0;

	*damage = surface->damage_buffer;
	for (unsigned i = 0; i < surface->damage.count; i++) {
		const struct vmm_display_rect *r = &surface->damage.rects[i];
		struct vmm_display_rect to = {.x = clamp(r->x * scale), .y = clamp(r->y * scale)};

		to.width = clamp(((int64_t)r->x + r->width) * scale) - to.x;
		to.height = clamp(((int64_t)r->y + r->height) * scale) - to.y;
		vmm_region_add(damage, &to);
	}
}

static void spread(struct shadow_surface *surface, const struct region *damage, bool exact)
{
	for (struct shadow_buffer *b = surface->shown; b; b = b->next) {
		const struct vmm_display_rect bounds = shadow_buffer_bounds(b);

		if (exact) {
			vmm_region_add_clipped(&b->stale, damage, &bounds);
		} else {
			shadow_buffer_spoil(b);
		}
	}
}

static void copy_stale(struct shadow_buffer *buffer)
{
	shadow_buffer_copy(buffer, &buffer->stale);
	vmm_region_clear(&buffer->stale);
	buffer->busy = true;
}

/*
 * A client may draw into the buffer that is shown, and say so. What is copied stays stale, as the
 * drawing may not be over.
 */
static void copy_current(const struct shadow_surface *surface)
{
	if (surface->damage.count > 0 || surface->damage_buffer.count > 0) {
		shadow_buffer_copy(surface->current, &surface->current->stale);
	}
}

void shadow_commit(struct shadow_surface *surface)
{
	bool exact = damage_is_exact(surface);
	struct region damage;

	surface->scale = surface->pending_scale;
	surface->transform = surface->pending_transform;
	scale_damage(surface, &damage);
	spread(surface, &damage, exact);
	if (surface->attached) {
		surface->current = surface->pending;
		if (surface->current) {
			enter(surface, surface->current);
			copy_stale(surface->current);
		}
	} else if (surface->current) {
		copy_current(surface);
	}
	surface->pending = NULL;
	surface->attached = false;
	surface->moved = false;
	vmm_region_clear(&surface->damage);
	vmm_region_clear(&surface->damage_buffer);
}
