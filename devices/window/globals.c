/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <string.h>

/* Versions that this program knows. */
#define COMPOSITOR_VERSION 4u /* damage_buffer */
#define WM_BASE_VERSION    2u /* tiled states */
#define SEAT_VERSION       8u /* axis_value120 */
#define SEAT_VERSION_MIN   5u /* frame */

static uint32_t at_most(uint32_t offered, uint32_t known)
{
	return offered < known ? offered : known;
}

/* ---- what the globals say ---- */

static void on_ping(void *data, struct xdg_wm_base *base, uint32_t serial)
{
	(void)data;
	xdg_wm_base_pong(base, serial);
}

static const struct xdg_wm_base_listener wm_base_listener = {.ping = on_ping};

static void on_format(void *data, struct wl_shm *shm, uint32_t format)
{
	(void)shm;
	buffers_note_format(data, format);
}

static const struct wl_shm_listener shm_listener = {.format = on_format};

/* ---- which there are ---- */

static void *bind_to(struct globals *g, uint32_t name, const struct wl_interface *interface,
		     uint32_t version)
{
	return wl_registry_bind(g->registry, name, interface, version);
}

static void bind_seat(struct window *w, uint32_t name, uint32_t version)
{
	struct globals *g = &w->globals;

	if (g->seat) {
		return;
	}
	if (version < SEAT_VERSION_MIN) {
		say("the compositor's seat is too old: no keyboard and pointer");
		return;
	}
	g->seat_name = name;
	g->seat_version = at_most(version, SEAT_VERSION);
	g->seat = bind_to(g, name, &wl_seat_interface, g->seat_version);
	seat_listen(w);
}

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
		      const char *interface, uint32_t version)
{
	struct window *w = data;
	struct globals *g = &w->globals;

	(void)registry;
	if (strcmp(interface, wl_compositor_interface.name) == 0 && version >= COMPOSITOR_VERSION) {
		g->compositor = bind_to(g, name, &wl_compositor_interface, COMPOSITOR_VERSION);
	} else if (strcmp(interface, wl_shm_interface.name) == 0 && !g->shm) {
		g->shm = bind_to(g, name, &wl_shm_interface, 1);
		(void)wl_shm_add_listener(g->shm, &shm_listener, g);
	} else if (strcmp(interface, xdg_wm_base_interface.name) == 0 && !g->wm_base) {
		g->wm_base =
			bind_to(g, name, &xdg_wm_base_interface, at_most(version, WM_BASE_VERSION));
		(void)xdg_wm_base_add_listener(g->wm_base, &wm_base_listener, NULL);
	} else if (strcmp(interface, zxdg_decoration_manager_v1_interface.name) == 0) {
		g->decorations = bind_to(g, name, &zxdg_decoration_manager_v1_interface, 1);
	} else if (strcmp(interface, wp_viewporter_interface.name) == 0) {
		g->viewporter = bind_to(g, name, &wp_viewporter_interface, 1);
	} else if (strcmp(interface, wl_seat_interface.name) == 0) {
		bind_seat(w, name, version);
	}
}

static void on_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	struct window *w = data;

	(void)registry;
	if (w->globals.seat && name == w->globals.seat_name) {
		seat_finish(w);
		wl_seat_destroy(w->globals.seat);
		w->globals.seat = NULL;
	}
}

static const struct wl_registry_listener registry_listener = {
	.global = on_global,
	.global_remove = on_global_remove,
};

bool globals_find(struct window *w)
{
	struct globals *g = &w->globals;
	int ret = 0;

	g->registry = wl_display_get_registry(w->display);
	(void)wl_registry_add_listener(g->registry, &registry_listener, w);
	/* The second time for what the globals say of themselves. */
	for (int i = 0; i < 2 && ret >= 0; i++) {
		ret = wl_display_roundtrip(w->display);
	}
	if (ret < 0) {
		say("the compositor does not answer");
		return false;
	}
	if (!g->compositor || !g->shm || !g->wm_base) {
		say("the compositor lacks %s", !g->compositor
						       ? "wl_compositor of version 4"
						       : (!g->shm ? "wl_shm" : "xdg_wm_base"));
		return false;
	}
	return true;
}

void globals_finish(struct window *w)
{
	struct globals *g = &w->globals;

	if (g->seat) {
		wl_seat_destroy(g->seat);
	}
	if (g->viewporter) {
		wp_viewporter_destroy(g->viewporter);
	}
	if (g->decorations) {
		zxdg_decoration_manager_v1_destroy(g->decorations);
	}
	if (g->wm_base) {
		xdg_wm_base_destroy(g->wm_base);
	}
	if (g->shm) {
		wl_shm_destroy(g->shm);
	}
	if (g->compositor) {
		wl_compositor_destroy(g->compositor);
	}
	if (g->registry) {
		wl_registry_destroy(g->registry);
	}
}
