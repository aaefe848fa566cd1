/* SPDX-License-Identifier: MIT */
/* Private to the shadows: pools and buffers (shadow.c), and surfaces that show them (surface.c). */
#ifndef WLXD_SHADOW_PRIV_H
#define WLXD_SHADOW_PRIV_H

#include "display/region.h"
#include "shadow.h"

/* A client's descriptor: of a pool, and of the buffers that outlive it. */
struct shadow_file {
	unsigned refs;
	int fd;
};

/* What a buffer is shown from: of the buffer, and of the pool it was the last one of. */
struct shadow_blob {
	unsigned refs;
	bool tainted; /* a buffer went while the compositor still showed it: not to be written again
		       */
	struct host_blob blob;
};

struct shadow_buffer {
	struct shadow *shadow;
	struct shadow_file *file;
	struct shadow_blob *blob;
	uint64_t offset; /* in the file */
	uint64_t len;
	int32_t width, height, stride;
	uint32_t pixel; /* bytes; 0: not known, the buffer is copied as a whole */
	bool busy;      /* committed, and not released since */
	struct region stale;
	/* Where it was last shown, and the others that were shown there. */
	struct shadow_surface *surface;
	struct shadow_buffer *next;
};

struct shadow_surface {
	struct shadow *shadow;
	struct shadow_surface *next;
	struct shadow_buffer *shown;   /* these buffers: a list */
	struct shadow_buffer *current; /* of the last commit, if it is still there */
	bool viewport;
	int32_t scale, transform;
	/* Since the last commit. */
	struct shadow_buffer *pending;
	bool attached, moved;
	int32_t pending_scale, pending_transform;
	struct region damage, damage_buffer;
};

struct vmm_display_rect shadow_buffer_bounds(const struct shadow_buffer *buffer);
/* All of it is stale. */
void shadow_buffer_spoil(struct shadow_buffer *buffer);
/* Copies what is in region. */
void shadow_buffer_copy(struct shadow_buffer *buffer, const struct region *region);
/* The buffer goes: no surface may know it any more. */
void shadow_surfaces_forget(struct shadow_buffer *buffer);

#endif
