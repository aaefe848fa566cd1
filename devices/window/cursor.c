/* SPDX-License-Identifier: MIT */
#include "window.h"

void cursor_show(struct window *w)
{
	struct cursor *c = &w->cursor;

	if (!w->seat.pointer || !w->seat.inside) {
		return;
	}
	/* Without an image the guest draws a pointer itself, or has none: then nor has the window.
	 */
	wl_pointer_set_cursor(w->seat.pointer, w->seat.enter_serial, c->image ? c->wl : NULL,
			      c->hot_x, c->hot_y);
}

void cursor_set(struct window *w, const struct vmm_window_cursor *c, int memfd)
{
	const struct vmm_window_pool pool = {
		.width = c->width,
		.height = c->height,
		.stride = c->width * 4,
		.format = c->format,
		.buffers = 1,
		.size = c->width * c->height * 4,
	};
	struct buffers *old = w->cursor.image;

	w->cursor.image = c->width > 0 ? buffers_create(w, &pool, memfd, false) : NULL;
	w->cursor.hot_x = (int32_t)c->hot_x;
	w->cursor.hot_y = (int32_t)c->hot_y;
	if (!w->cursor.wl) {
		w->cursor.wl = wl_compositor_create_surface(w->globals.compositor);
	}
	cursor_show(w);
	if (w->cursor.image) {
		wl_surface_attach(w->cursor.wl, w->cursor.image->wl[0], 0, 0);
		wl_surface_damage_buffer(w->cursor.wl, 0, 0, (int32_t)c->width, (int32_t)c->height);
		wl_surface_commit(w->cursor.wl);
	}
	buffers_destroy(old);
}

void cursor_destroy(struct window *w)
{
	if (w->cursor.wl) {
		wl_surface_destroy(w->cursor.wl);
	}
	buffers_destroy(w->cursor.image);
}
