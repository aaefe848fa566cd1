/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <stdlib.h>

struct format {
	enum vmm_display_format display;
	enum wl_shm_format alpha;
	enum wl_shm_format opaque;
};

/* The same bytes by two names: libvmm's from the first in memory on, Wayland's from the last. */
static const struct format formats[] = {
	{VMM_DISPLAY_B8G8R8A8, WL_SHM_FORMAT_ARGB8888, WL_SHM_FORMAT_XRGB8888},
	{VMM_DISPLAY_B8G8R8X8, WL_SHM_FORMAT_XRGB8888, WL_SHM_FORMAT_XRGB8888},
	{VMM_DISPLAY_A8R8G8B8, WL_SHM_FORMAT_BGRA8888, WL_SHM_FORMAT_BGRX8888},
	{VMM_DISPLAY_X8R8G8B8, WL_SHM_FORMAT_BGRX8888, WL_SHM_FORMAT_BGRX8888},
	{VMM_DISPLAY_R8G8B8A8, WL_SHM_FORMAT_ABGR8888, WL_SHM_FORMAT_XBGR8888},
	{VMM_DISPLAY_X8B8G8R8, WL_SHM_FORMAT_RGBX8888, WL_SHM_FORMAT_RGBX8888},
	{VMM_DISPLAY_A8B8G8R8, WL_SHM_FORMAT_RGBA8888, WL_SHM_FORMAT_RGBX8888},
	{VMM_DISPLAY_R8G8B8X8, WL_SHM_FORMAT_XBGR8888, WL_SHM_FORMAT_XBGR8888},
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

void buffers_note_format(struct globals *g, uint32_t format)
{
	for (unsigned i = 0; i < FORMATS; i++) {
		g->formats |= formats[i].alpha == format ? 1u << (2 * i) : 0;
		g->formats |= formats[i].opaque == format ? 2u << (2 * i) : 0;
	}
}

/* False: the compositor does not know it. */
static bool find_format(const struct globals *g, uint32_t format, bool opaque, uint32_t *out)
{
	for (unsigned i = 0; i < FORMATS; i++) {
		if (formats[i].display == format) {
			*out = opaque ? formats[i].opaque : formats[i].alpha;
			return (g->formats & ((opaque ? 2u : 1u) << (2 * i))) != 0;
		}
	}
	return false;
}

static void on_release(void *data, struct wl_buffer *wl)
{
	const struct buffers *b = data;

	for (uint32_t i = 0; i < VMM_WINDOW_BUFFERS_MAX; i++) {
		if (b->wl[i] == wl) {
			window_answered(b->w, link_released(&b->w->link, b->pool_serial, i));
		}
	}
}

static const struct wl_buffer_listener buffer_listener = {.release = on_release};

struct buffers *buffers_create(struct window *w, const struct vmm_window_pool *pool, int memfd,
			       bool opaque)
{
	struct wl_shm_pool *wl;
	struct buffers *b;
	uint32_t format;

	if (!find_format(&w->globals, pool->format, opaque, &format)) {
		say("the compositor does not know pixels of format %u", pool->format);
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		say("out of memory");
		return NULL;
	}
	b->w = w;
	b->width = pool->width;
	b->height = pool->height;
	wl = wl_shm_create_pool(w->globals.shm, memfd, (int32_t)pool->size);
	for (uint32_t i = 0; i < pool->buffers; i++) {
		b->wl[i] = wl_shm_pool_create_buffer(wl, (int32_t)(i * pool->stride * pool->height),
						     (int32_t)pool->width, (int32_t)pool->height,
						     (int32_t)pool->stride, format);
		(void)wl_buffer_add_listener(b->wl[i], &buffer_listener, b);
	}
	/* Its buffers keep what they need of it. */
	wl_shm_pool_destroy(wl);
	return b;
}

void buffers_destroy(struct buffers *b)
{
	for (unsigned i = 0; b && i < VMM_WINDOW_BUFFERS_MAX; i++) {
		if (b->wl[i]) {
			wl_buffer_destroy(b->wl[i]);
		}
	}
	free(b);
}
