/* SPDX-License-Identifier: MIT */
/*
 * The window. Its size is the compositor's to say; the guest is asked to follow, and until it has
 * its picture is stretched to the window. A window that is free to have any size follows the guest.
 */
#include "window.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RESIZE_DELAY_MS 100
#define APP_ID_MAX      128

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- the size, as the guest hears of it ---- */

static void want_resize(struct surface *s)
{
	if (s->width != s->told_width || s->height != s->told_height) {
		/* A user who draws at a corner says many sizes; the last one counts. */
		s->resize_at = now_ms() + RESIZE_DELAY_MS;
	} else {
		s->resize_at = 0;
	}
}

int surface_timeout(const struct window *w)
{
	uint64_t at = w->surface.resize_at;
	uint64_t now = at ? now_ms() : 0;

	if (at == 0) {
		return -1;
	}
	return at > now ? (int)(at - now) : 0;
}

void surface_tick(struct window *w)
{
	struct surface *s = &w->surface;
	int ret;

	if (s->resize_at == 0 || now_ms() < s->resize_at) {
		return;
	}
	ret = link_resize(&w->link, s->width, s->height);
	if (ret == -EAGAIN) {
		s->resize_at = now_ms() + RESIZE_DELAY_MS;
		return;
	}
	s->resize_at = 0;
	s->told_width = s->width;
	s->told_height = s->height;
	window_answered(w, ret);
}

void surface_size(const struct window *w, uint32_t *width, uint32_t *height)
{
	const struct surface *s = &w->surface;
	/* What cannot be stretched has the size of its picture. */
	bool own = !s->viewport && s->shown;

	*width = own ? s->shown->width : s->width;
	*height = own ? s->shown->height : s->height;
}

/* ---- pictures ---- */

static void on_frame(void *data, struct wl_callback *callback, uint32_t time)
{
	struct window *w = data;
	struct surface *s = &w->surface;

	(void)time;
	wl_callback_destroy(callback);
	s->frame = NULL;
	window_answered(w, link_frame(&w->link, s->frame_serial));
}

static const struct wl_callback_listener frame_listener = {.done = on_frame};

static void forget_frame(struct surface *s)
{
	if (s->frame) {
		wl_callback_destroy(s->frame);
		s->frame = NULL;
	}
}

/* Stretches the picture to the window, where that is another size. */
static void set_scale(struct surface *s)
{
	bool same = s->width == s->pool->width && s->height == s->pool->height;

	if (s->viewport) {
		wp_viewport_set_destination(s->viewport, same ? -1 : (int32_t)s->width,
					    same ? -1 : (int32_t)s->height);
	}
}

static void commit(struct window *w)
{
	struct surface *s = &w->surface;
	const struct vmm_window_present *p = &s->present;

	s->pending = false;
	forget_frame(s);
	s->frame = wl_surface_frame(s->wl);
	s->frame_serial = s->pool->pool_serial;
	(void)wl_callback_add_listener(s->frame, &frame_listener, w);
	wl_surface_attach(s->wl, s->pool->wl[p->buffer], 0, 0);
	if (s->shown != s->pool) {
		wl_surface_damage_buffer(s->wl, 0, 0, (int32_t)s->pool->width,
					 (int32_t)s->pool->height);
	}
	for (uint32_t i = 0; s->shown == s->pool && i < p->count; i++) {
		wl_surface_damage_buffer(s->wl, (int32_t)p->rects[i].x, (int32_t)p->rects[i].y,
					 (int32_t)p->rects[i].width, (int32_t)p->rects[i].height);
	}
	set_scale(s);
	wl_surface_commit(s->wl);
	if (s->shown != s->pool) {
		buffers_destroy(s->shown);
		s->shown = s->pool;
	}
}

void surface_present(struct window *w, const struct vmm_window_present *present)
{
	struct surface *s = &w->surface;

	if (!s->pool) {
		/* Nobody can see it: no frame will be asked for. */
		return;
	}
	s->present = *present;
	s->pending = true;
	if (s->configured) {
		commit(w);
	}
}

/* ---- what the compositor says ---- */

static bool is_binding(uint32_t state)
{
	return state != XDG_TOPLEVEL_STATE_ACTIVATED;
}

static void on_toplevel_configure(void *data, struct xdg_toplevel *toplevel, int32_t width,
				  int32_t height, struct wl_array *states)
{
	struct surface *s = &((struct window *)data)->surface;
	const uint32_t *state;

	(void)toplevel;
	s->next_width = width;
	s->next_height = height;
	s->next_bound = false;
	wl_array_for_each(state, states)
	{
		s->next_bound = s->next_bound || is_binding(*state);
	}
}

static void on_close(void *data, struct xdg_toplevel *toplevel)
{
	const struct window *w = data;

	(void)toplevel;
	/* The guest decides: this is its power button. */
	if (w->control_fd >= 0 && write(w->control_fd, "c", 1) != 1) {
		say("nobody hears that the window was closed");
	}
}

static const struct xdg_toplevel_listener toplevel_listener = {
	.configure = on_toplevel_configure,
	.close = on_close,
};

static uint32_t at_most(int32_t side)
{
	return side > (int32_t)VMM_DISPLAY_SIDE_MAX ? VMM_DISPLAY_SIDE_MAX : (uint32_t)side;
}

/*
 * A compositor repeats the last size it asked for whenever something else has changed: for a window
 * that has followed its guest since then that is no news.
 */
static void take_size(struct surface *s)
{
	bool again = s->next_width == s->asked_width && s->next_height == s->asked_height;

	s->bound = s->next_bound;
	s->asked_width = s->next_width;
	s->asked_height = s->next_height;
	if (again && !s->bound) {
		return;
	}
	/* 0: it is the program's to choose. */
	if (s->next_width > 0) {
		s->width = at_most(s->next_width);
	}
	if (s->next_height > 0) {
		s->height = at_most(s->next_height);
	}
	want_resize(s);
}

static void on_configure(void *data, struct xdg_surface *xdg, uint32_t serial)
{
	struct window *w = data;
	struct surface *s = &w->surface;

	xdg_surface_ack_configure(xdg, serial);
	take_size(s);
	s->configured = true;
	if (s->pending) {
		commit(w);
	} else if (s->shown) {
		/* The old picture at the new size. */
		if (s->shown == s->pool) {
			set_scale(s);
		}
		wl_surface_commit(s->wl);
	}
}

static const struct xdg_surface_listener surface_listener = {.configure = on_configure};

/* ---- coming and going ---- */

static void set_names(struct window *w)
{
	char app_id[APP_ID_MAX];

	(void)snprintf(app_id, sizeof(app_id), "libvmm.%s", w->name);
	xdg_toplevel_set_title(w->surface.toplevel, w->name);
	xdg_toplevel_set_app_id(w->surface.toplevel, app_id);
}

static void surface_create(struct window *w)
{
	struct globals *g = &w->globals;
	struct surface *s = &w->surface;

	s->wl = wl_compositor_create_surface(g->compositor);
	s->xdg = xdg_wm_base_get_xdg_surface(g->wm_base, s->wl);
	(void)xdg_surface_add_listener(s->xdg, &surface_listener, w);
	s->toplevel = xdg_surface_get_toplevel(s->xdg);
	(void)xdg_toplevel_add_listener(s->toplevel, &toplevel_listener, w);
	set_names(w);
	if (g->decorations) {
		s->decoration = zxdg_decoration_manager_v1_get_toplevel_decoration(g->decorations,
										   s->toplevel);
		zxdg_toplevel_decoration_v1_set_mode(s->decoration,
						     ZXDG_TOPLEVEL_DECORATION_V1_MODE_SERVER_SIDE);
	}
	if (g->viewporter) {
		s->viewport = wp_viewporter_get_viewport(g->viewporter, s->wl);
	}
	wl_surface_commit(s->wl);
}

void surface_destroy(struct window *w)
{
	struct surface *s = &w->surface;

	forget_frame(s);
	if (s->viewport) {
		wp_viewport_destroy(s->viewport);
	}
	if (s->decoration) {
		zxdg_toplevel_decoration_v1_destroy(s->decoration);
	}
	if (s->wl) {
		xdg_toplevel_destroy(s->toplevel);
		xdg_surface_destroy(s->xdg);
		wl_surface_destroy(s->wl);
	}
	if (s->shown != s->pool) {
		buffers_destroy(s->shown);
	}
	buffers_destroy(s->pool);
	memset(s, 0, sizeof(*s));
}

void surface_set_pool(struct window *w, const struct vmm_window_message *msg, int memfd)
{
	struct surface *s = &w->surface;
	struct buffers *pool;

	if (msg->pool.width == 0) {
		surface_destroy(w);
		seat_release(w);
		return;
	}
	pool = buffers_create(w, &msg->pool, memfd, true);
	if (!pool) {
		/* What is presented from now on is of this pool. */
		surface_destroy(w);
		seat_release(w);
		return;
	}
	pool->pool_serial = msg->serial;
	if (s->pool != s->shown) {
		buffers_destroy(s->pool);
	}
	s->pool = pool;
	s->pending = false;
	if (!s->wl || (!s->bound && s->resize_at == 0)) {
		s->width = pool->width;
		s->height = pool->height;
		s->told_width = pool->width;
		s->told_height = pool->height;
	}
	if (!s->wl) {
		surface_create(w);
	}
}
