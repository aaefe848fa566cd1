/* SPDX-License-Identifier: MIT */
/*
 * Keyboard and pointer. A key is its number, as the kernel and the guest count them: what it means
 * is the guest's keymap's business, as are repeats. Keys that were held when the window got the
 * focus are not the guest's.
 */
#include "window.h"

#include <linux/input-event-codes.h>
#include <unistd.h>

#define NOTCH 120
/* What a notch is in the way that a wheel goes, for compositors that say no more. */
#define WAY_PER_NOTCH 15
#define HI_RES_MAX    32767

/* ---- keyboard ---- */

static void on_keymap(void *data, struct wl_keyboard *keyboard, uint32_t format, int32_t fd,
		      uint32_t size)
{
	(void)data;
	(void)keyboard;
	(void)format;
	(void)size;
	(void)close(fd);
}

static void on_keyboard_enter(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			      struct wl_surface *surface, struct wl_array *keys)
{
	(void)data;
	(void)keyboard;
	(void)serial;
	(void)surface;
	(void)keys;
}

static void on_keyboard_leave(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			      struct wl_surface *surface)
{
	struct window *w = data;

	(void)keyboard;
	(void)serial;
	(void)surface;
	keys_release_all(&w->keyboard);
}

static void on_key(void *data, struct wl_keyboard *keyboard, uint32_t serial, uint32_t time,
		   uint32_t key, uint32_t state)
{
	struct window *w = data;

	(void)keyboard;
	(void)serial;
	(void)time;
	if (key >= 1 && key <= VMM_INPUT_KEY_MAX && state <= WL_KEYBOARD_KEY_STATE_PRESSED) {
		keys_press(&w->keyboard, (uint16_t)key, state == WL_KEYBOARD_KEY_STATE_PRESSED);
		keys_flush(&w->keyboard);
	}
}

static void on_modifiers(void *data, struct wl_keyboard *keyboard, uint32_t serial,
			 uint32_t depressed, uint32_t latched, uint32_t locked, uint32_t group)
{
	(void)data;
	(void)keyboard;
	(void)serial;
	(void)depressed;
	(void)latched;
	(void)locked;
	(void)group;
}

static void on_repeat_info(void *data, struct wl_keyboard *keyboard, int32_t rate, int32_t delay)
{
	(void)data;
	(void)keyboard;
	(void)rate;
	(void)delay;
}

static const struct wl_keyboard_listener keyboard_listener = {
	.keymap = on_keymap,
	.enter = on_keyboard_enter,
	.leave = on_keyboard_leave,
	.key = on_key,
	.modifiers = on_modifiers,
	.repeat_info = on_repeat_info,
};

/* ---- pointer ---- */

/* Rounded up, so that a guest of this size that rounds down is back at the same pixel. */
static uint32_t scale(wl_fixed_t at, uint32_t size)
{
	int64_t range = (int64_t)VMM_INPUT_ABS_MAX + 1;
	int64_t all = (int64_t)size * 256;
	int64_t value = at <= 0 || all == 0 ? 0 : (at * range + all - 1) / all;

	return value > VMM_INPUT_ABS_MAX ? VMM_INPUT_ABS_MAX : (uint32_t)value;
}

static void place(struct window *w, wl_fixed_t x, wl_fixed_t y)
{
	uint32_t width;
	uint32_t height;

	surface_size(w, &width, &height);
	keys_place(&w->tablet, ABS_X, scale(x, width));
	keys_place(&w->tablet, ABS_Y, scale(y, height));
}

static void on_pointer_enter(void *data, struct wl_pointer *pointer, uint32_t serial,
			     struct wl_surface *surface, wl_fixed_t x, wl_fixed_t y)
{
	struct window *w = data;

	(void)pointer;
	(void)surface;
	w->seat.inside = true;
	w->seat.enter_serial = serial;
	cursor_show(w);
	place(w, x, y);
}

static void on_pointer_leave(void *data, struct wl_pointer *pointer, uint32_t serial,
			     struct wl_surface *surface)
{
	struct window *w = data;

	(void)pointer;
	(void)serial;
	(void)surface;
	w->seat.inside = false;
	keys_release_all(&w->tablet);
}

static void on_motion(void *data, struct wl_pointer *pointer, uint32_t time, wl_fixed_t x,
		      wl_fixed_t y)
{
	(void)pointer;
	(void)time;
	place(data, x, y);
}

static void on_button(void *data, struct wl_pointer *pointer, uint32_t serial, uint32_t time,
		      uint32_t button, uint32_t state)
{
	struct window *w = data;

	(void)pointer;
	(void)serial;
	(void)time;
	if (button >= BTN_LEFT && button <= BTN_TASK) {
		keys_press(&w->tablet, (uint16_t)button, state == WL_POINTER_BUTTON_STATE_PRESSED);
	}
}

static struct axis *axis_of(void *data, uint32_t axis)
{
	struct seat *seat = &((struct window *)data)->seat;

	return axis < 2 ? &seat->axes[axis] : NULL;
}

static void on_axis(void *data, struct wl_pointer *pointer, uint32_t time, uint32_t which,
		    wl_fixed_t way)
{
	struct axis *axis = axis_of(data, which);

	(void)pointer;
	(void)time;
	if (axis) {
		axis->way = way;
	}
}

static void count_notches(void *data, uint32_t which, int64_t v120)
{
	struct axis *axis = axis_of(data, which);

	if (axis) {
		axis->counted = true;
		axis->v120 = (int32_t)(v120 > HI_RES_MAX    ? HI_RES_MAX
				       : v120 < -HI_RES_MAX ? -HI_RES_MAX
							    : v120);
	}
}

static void on_axis_discrete(void *data, struct wl_pointer *pointer, uint32_t which,
			     int32_t notches)
{
	(void)pointer;
	count_notches(data, which, (int64_t)notches * NOTCH);
}

static void on_axis_value120(void *data, struct wl_pointer *pointer, uint32_t which, int32_t v120)
{
	(void)pointer;
	count_notches(data, which, v120);
}

static void on_axis_source(void *data, struct wl_pointer *pointer, uint32_t source)
{
	(void)data;
	(void)pointer;
	(void)source;
}

static void on_axis_stop(void *data, struct wl_pointer *pointer, uint32_t time, uint32_t axis)
{
	(void)data;
	(void)pointer;
	(void)time;
	(void)axis;
}

/* Both as Linux has them: the fine way, and whole notches. away: which way is positive. */
static void scroll(struct window *w, struct axis *axis, uint16_t notch_code, uint16_t fine_code,
		   int away)
{
	int32_t v120 = axis->v120;
	int32_t notches;

	if (!axis->counted) {
		v120 = (int32_t)((int64_t)axis->way * NOTCH / WAY_PER_NOTCH / 256);
		v120 = v120 > HI_RES_MAX ? HI_RES_MAX : v120;
		v120 = v120 < -HI_RES_MAX ? -HI_RES_MAX : v120;
	}
	axis->way = 0;
	axis->v120 = 0;
	axis->counted = false;
	if (v120 == 0) {
		return;
	}
	axis->rest += v120;
	notches = axis->rest / NOTCH;
	axis->rest %= NOTCH;
	if (notches != 0) {
		keys_add(&w->tablet, EV_REL, notch_code, away * notches);
	}
	keys_add(&w->tablet, EV_REL, fine_code, away * v120);
}

static void on_pointer_frame(void *data, struct wl_pointer *pointer)
{
	struct window *w = data;

	(void)pointer;
	/* Wayland counts downwards. */
	scroll(w, &w->seat.axes[WL_POINTER_AXIS_VERTICAL_SCROLL], REL_WHEEL, REL_WHEEL_HI_RES, -1);
	scroll(w, &w->seat.axes[WL_POINTER_AXIS_HORIZONTAL_SCROLL], REL_HWHEEL, REL_HWHEEL_HI_RES,
	       1);
	keys_flush(&w->tablet);
}

static const struct wl_pointer_listener pointer_listener = {
	.enter = on_pointer_enter,
	.leave = on_pointer_leave,
	.motion = on_motion,
	.button = on_button,
	.axis = on_axis,
	.frame = on_pointer_frame,
	.axis_source = on_axis_source,
	.axis_stop = on_axis_stop,
	.axis_discrete = on_axis_discrete,
	.axis_value120 = on_axis_value120,
};

/* ---- which of them there are ---- */

static void drop_keyboard(struct window *w)
{
	if (w->seat.keyboard) {
		wl_keyboard_release(w->seat.keyboard);
		w->seat.keyboard = NULL;
	}
	keys_release_all(&w->keyboard);
}

static void drop_pointer(struct window *w)
{
	if (w->seat.pointer) {
		wl_pointer_release(w->seat.pointer);
		w->seat.pointer = NULL;
	}
	w->seat.inside = false;
	keys_release_all(&w->tablet);
}

static void on_capabilities(void *data, struct wl_seat *wl, uint32_t capabilities)
{
	struct window *w = data;
	bool has_keyboard = (capabilities & WL_SEAT_CAPABILITY_KEYBOARD) != 0;
	bool has_pointer = (capabilities & WL_SEAT_CAPABILITY_POINTER) != 0;

	if (has_keyboard && !w->seat.keyboard) {
		w->seat.keyboard = wl_seat_get_keyboard(wl);
		(void)wl_keyboard_add_listener(w->seat.keyboard, &keyboard_listener, w);
	} else if (!has_keyboard) {
		drop_keyboard(w);
	}
	if (has_pointer && !w->seat.pointer) {
		w->seat.pointer = wl_seat_get_pointer(wl);
		(void)wl_pointer_add_listener(w->seat.pointer, &pointer_listener, w);
	} else if (!has_pointer) {
		drop_pointer(w);
	}
}

static void on_name(void *data, struct wl_seat *seat, const char *name)
{
	(void)data;
	(void)seat;
	(void)name;
}

static const struct wl_seat_listener seat_listener = {
	.capabilities = on_capabilities,
	.name = on_name,
};

void seat_listen(struct window *w)
{
	(void)wl_seat_add_listener(w->globals.seat, &seat_listener, w);
}

void seat_release(struct window *w)
{
	w->seat.inside = false;
	keys_release_all(&w->keyboard);
	keys_release_all(&w->tablet);
}

void seat_finish(struct window *w)
{
	drop_keyboard(w);
	drop_pointer(w);
}
