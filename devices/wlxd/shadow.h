/* SPDX-License-Identifier: MIT */
/*
 * Shadows of a client's wl_shm buffers in memory that the compositor can map. At a commit what has
 * changed is copied from the client's pool; the compositor reads the shadow.
 *
 * A shadow belongs to a buffer, not to a pool: the compositor's view of a pool is made anew, under
 * the pool's id, for each buffer that does not fit in what the pool has at that moment. So a pool
 * costs nothing for what no buffer lies in (terminals make pools of half a gigabyte and move
 * through them), and may grow as it likes.
 *
 * What has changed: each buffer knows the stale part of its shadow, at first all of it. The damage
 * of a commit is added to every buffer the surface has ever shown, and the stale part of the one
 * that is shown now is copied. A buffer that wanders to another surface is stale as a whole.
 *
 * The client's memory is read by pread and never mapped: a pool that has become shorter ends early,
 * and there is no SIGBUS.
 */
#ifndef WLXD_SHADOW_H
#define WLXD_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

#include "host.h"

struct shadow {
	struct host_conn *host;
	/* What pools stand on that have no buffer yet. */
	struct shadow_blob *placeholder;
	struct shadow_surface *surfaces;
	uint64_t copied; /* bytes, since the start */
};

/* As wl_shm_pool.create_buffer has it. */
struct shadow_shape {
	int32_t offset, width, height, stride;
	uint32_t format;
};

struct shadow_pool;
struct shadow_buffer;
struct shadow_surface;

/* Every pool, buffer and surface must have been destroyed. */
void shadow_finish(struct shadow *shadow);

/* Takes fd. NULL, with errno: EBADF (no regular file), ENOMEM, EMFILE, ENOSPC. */
struct shadow_pool *shadow_pool_create(struct shadow *shadow, int fd, int32_t size);
/* Its buffers stay. */
void shadow_pool_destroy(struct shadow_pool *pool);
void shadow_pool_resize(struct shadow_pool *pool, int32_t size);
/* The memory that the compositor's view of the pool lies in. */
const struct host_blob *shadow_pool_blob(const struct shadow_pool *pool);

/*
 * A buffer, at offset 0 of shadow_pool_blob. *moved: that is another blob than before the call.
 * NULL, with errno: EINVAL, the shape is wrong or not within the pool; ENOMEM, ENOSPC, ...
 */
struct shadow_buffer *shadow_buffer_create(struct shadow_pool *pool,
					   const struct shadow_shape *shape, bool *moved);
void shadow_buffer_destroy(struct shadow_buffer *buffer);
/* wl_buffer.release: the compositor has done with it. */
void shadow_buffer_release(struct shadow_buffer *buffer);

/* NULL without memory. */
struct shadow_surface *shadow_surface_create(struct shadow *shadow);
void shadow_surface_destroy(struct shadow_surface *surface);

/* wl_surface's requests. buffer may be NULL: none, or one that has no shadow. */
void shadow_attach(struct shadow_surface *surface, struct shadow_buffer *buffer, int32_t x,
		   int32_t y);
void shadow_offset(struct shadow_surface *surface, int32_t x, int32_t y);
void shadow_damage(struct shadow_surface *surface, int32_t x, int32_t y, int32_t width,
		   int32_t height);
void shadow_damage_buffer(struct shadow_surface *surface, int32_t x, int32_t y, int32_t width,
			  int32_t height);
void shadow_scale(struct shadow_surface *surface, int32_t scale);
void shadow_transform(struct shadow_surface *surface, int32_t transform);
/* The surface has got a viewport, once and for all. */
void shadow_viewport(struct shadow_surface *surface);
/* Copies. Before the commit goes to the compositor. */
void shadow_commit(struct shadow_surface *surface);

#endif
