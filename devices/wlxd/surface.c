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

void shadow_damage(struct shadow_surface *surface, int32_t x, int32_t y, int32_t width,
		   int32_t height)
{
	region_add(&surface->damage, rect_make(x, y, width, height, 1));
}

void shadow_damage_buffer(struct shadow_surface *surface, int32_t x, int32_t y, int32_t width,
			  int32_t height)
{
	region_add(&surface->damage_buffer, rect_make(x, y, width, height, 1));
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
	*damage = surface->damage_buffer;
	for (unsigned i = 0; i < surface->damage.count; i++) {
		struct rect r = surface->damage.rects[i];

		region_add(damage, rect_make(r.x1, r.y1, r.x2 - r.x1, r.y2 - r.y1, surface->scale));
	}
}

static void spread(struct shadow_surface *surface, const struct region *damage, bool exact)
{
	for (struct shadow_buffer *b = surface->shown; b; b = b->next) {
		if (exact) {
			region_add_region(&b->stale, damage, b->width, b->height);
		} else {
			shadow_buffer_spoil(b);
		}
	}
}

static void copy_stale(struct shadow_buffer *buffer)
{
	shadow_buffer_copy(buffer, &buffer->stale);
	buffer->stale.count = 0;
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
	surface->damage.count = 0;
	surface->damage_buffer.count = 0;
}
