/* SPDX-License-Identifier: MIT */
/*
 * A hand for tests: a keyboard with a US keymap and a pointer of the compositor that
 *WAYLAND_DISPLAY names (zwp_virtual_keyboard_v1, zwlr_virtual_pointer_v1). One command as
 *arguments, or one on each line of stdin, with "ok" on stdout when the compositor has had it. The
 *devices exist as long as the program.
 *
 *	type TEXT       with Shift where it is needed; \n is Return
 *	key CODE        pressed and released: a number of <linux/input-event-codes.h>
 *	down CODE, up CODE
 *	move X Y        to a pixel of the first output
 *	click BUTTON    272 is the left one
 *	press BUTTON, release BUTTON
 *	scroll NOTCHES  downwards
 *	hold MS         waits
 */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <wayland-client.h>

#include "virtual-keyboard.h"
#include "virtual-pointer.h"

#define SHIFT_MASK 1u
#define LINE_MAX   1024

/* The compositor has the parts. */
static const char keymap[] = "xkb_keymap {\n"
			     "xkb_keycodes { include \"evdev+aliases(qwerty)\" };\n"
			     "xkb_types { include \"complete\" };\n"
			     "xkb_compat { include \"complete\" };\n"
			     "xkb_symbols { include \"pc+us+inet(evdev)\" };\n"
			     "};\n";

/* Keys in rows of their numbers, without and with Shift. */
static const struct row {
	uint32_t first;
	const char *plain;
	const char *shifted;
} rows[] = {
	{KEY_1, "1234567890-=", "!@#$%^&*()_+"},
	{KEY_TAB, "\tqwertyuiop[]\n", "\tQWERTYUIOP{}\n"},
	{KEY_A, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{KEY_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{KEY_SPACE, " ", " "},
};

struct hand {
	struct wl_display *display;
	struct wl_registry *registry;
	struct wl_seat *seat;
	struct wl_output *output;
	struct zwp_virtual_keyboard_manager_v1 *keyboards;
	struct zwlr_virtual_pointer_manager_v1 *pointers;
	struct zwp_virtual_keyboard_v1 *keyboard;
	struct zwlr_virtual_pointer_v1 *pointer;
	uint32_t width;
	uint32_t height;
};

static uint32_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

/* ---- the compositor ---- */

static void on_mode(void *data, struct wl_output *output, uint32_t flags, int32_t width,
		    int32_t height, int32_t refresh)
{
	struct hand *h = data;

	(void)output;
	(void)refresh;
	if (flags & WL_OUTPUT_MODE_CURRENT) {
		h->width = (uint32_t)width;
		h->height = (uint32_t)height;
	}
}

static void on_geometry(void *data, struct wl_output *output, int32_t x, int32_t y, int32_t width,
			int32_t height, int32_t subpixel, const char *make, const char *model,
			int32_t transform)
{
	(void)data;
	(void)output;
	(void)x;
	(void)y;
	(void)width;
	(void)height;
	(void)subpixel;
	(void)make;
	(void)model;
	(void)transform;
}

static const struct wl_output_listener output_listener = {
	.geometry = on_geometry,
	.mode = on_mode,
};

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
		      const char *interface, uint32_t version)
{
	struct hand *h = data;

	(void)version;
	if (strcmp(interface, wl_seat_interface.name) == 0 && !h->seat) {
		h->seat = wl_registry_bind(registry, name, &wl_seat_interface, 1);
	} else if (strcmp(interface, wl_output_interface.name) == 0 && !h->output) {
		h->output = wl_registry_bind(registry, name, &wl_output_interface, 1);
		(void)wl_output_add_listener(h->output, &output_listener, h);
	} else if (strcmp(interface, zwp_virtual_keyboard_manager_v1_interface.name) == 0) {
		h->keyboards = wl_registry_bind(registry, name,
						&zwp_virtual_keyboard_manager_v1_interface, 1);
	} else if (strcmp(interface, zwlr_virtual_pointer_manager_v1_interface.name) == 0) {
		h->pointers = wl_registry_bind(registry, name,
					       &zwlr_virtual_pointer_manager_v1_interface, 1);
	}
}

static void on_global_remove(void *data, struct wl_registry *registry, uint32_t name)
{
	(void)data;
	(void)registry;
	(void)name;
}

static const struct wl_registry_listener registry_listener = {
	.global = on_global,
	.global_remove = on_global_remove,
};

static int open_devices(struct hand *h)
{
	int fd = memfd_create("keymap", MFD_CLOEXEC);

	h->display = wl_display_connect(NULL);
	if (!h->display) {
		return -1;
	}
	h->registry = wl_display_get_registry(h->display);
	(void)wl_registry_add_listener(h->registry, &registry_listener, h);
	if (wl_display_roundtrip(h->display) < 0 || wl_display_roundtrip(h->display) < 0 ||
	    !h->seat || !h->keyboards || !h->pointers || h->width == 0) {
		return -1;
	}
	if (write(fd, keymap, sizeof(keymap)) != (ssize_t)sizeof(keymap)) {
		return -1;
	}
	h->keyboard =
		zwp_virtual_keyboard_manager_v1_create_virtual_keyboard(h->keyboards, h->seat);
	zwp_virtual_keyboard_v1_keymap(h->keyboard, WL_KEYBOARD_KEYMAP_FORMAT_XKB_V1, fd,
				       sizeof(keymap));
	(void)close(fd);
	h->pointer = zwlr_virtual_pointer_manager_v1_create_virtual_pointer(h->pointers, h->seat);
	return wl_display_roundtrip(h->display) < 0 ? -1 : 0;
}

/* ---- commands ---- */

static void press(struct hand *h, uint32_t code, uint32_t state)
{
	zwp_virtual_keyboard_v1_key(h->keyboard, now(), code, state);
}

static void stroke(struct hand *h, uint32_t code)
{
	press(h, code, 1);
	press(h, code, 0);
}

static void set_shift(struct hand *h, bool down)
{
	press(h, KEY_LEFTSHIFT, down);
	zwp_virtual_keyboard_v1_modifiers(h->keyboard, down ? SHIFT_MASK : 0, 0, 0, 0);
}

static int type_char(struct hand *h, char c)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *plain = strchr(rows[i].plain, c);
		const char *shifted = strchr(rows[i].shifted, c);

		if (plain) {
			stroke(h, rows[i].first + (uint32_t)(plain - rows[i].plain));
			return 0;
		}
		if (shifted) {
			set_shift(h, true);
			stroke(h, rows[i].first + (uint32_t)(shifted - rows[i].shifted));
			set_shift(h, false);
			return 0;
		}
	}
	return -1;
}

static int type_text(struct hand *h, const char *text)
{
	for (; *text; text++) {
		bool is_return = text[0] == '\\' && text[1] == 'n';

		if (type_char(h, is_return ? '\n' : *text) < 0) {
			return -1;
		}
		text += is_return;
	}
	return 0;
}

static void button(struct hand *h, uint32_t code, uint32_t state)
{
	zwlr_virtual_pointer_v1_button(h->pointer, now(), code, state);
	zwlr_virtual_pointer_v1_frame(h->pointer);
}

static void scroll(struct hand *h, int notches)
{
	zwlr_virtual_pointer_v1_axis_source(h->pointer, WL_POINTER_AXIS_SOURCE_WHEEL);
	zwlr_virtual_pointer_v1_axis_discrete(h->pointer, now(), WL_POINTER_AXIS_VERTICAL_SCROLL,
					      wl_fixed_from_int(15 * notches), notches);
	zwlr_virtual_pointer_v1_frame(h->pointer);
}

static int act(struct hand *h, const char *command, const char *rest)
{
	char *end;
	long a = strtol(rest, &end, 0);
	long b = strtol(end, NULL, 0);

	if (strcmp(command, "type") == 0) {
		return type_text(h, rest);
	}
	if (end == rest) {
		return -1;
	}
	if (strcmp(command, "key") == 0) {
		stroke(h, (uint32_t)a);
	} else if (strcmp(command, "down") == 0 || strcmp(command, "up") == 0) {
		press(h, (uint32_t)a, command[0] == 'd');
	} else if (strcmp(command, "move") == 0) {
		zwlr_virtual_pointer_v1_motion_absolute(h->pointer, now(), (uint32_t)a, (uint32_t)b,
							h->width, h->height);
		zwlr_virtual_pointer_v1_frame(h->pointer);
	} else if (strcmp(command, "click") == 0) {
		button(h, (uint32_t)a, 1);
		button(h, (uint32_t)a, 0);
	} else if (strcmp(command, "press") == 0 || strcmp(command, "release") == 0) {
		button(h, (uint32_t)a, command[0] == 'p');
	} else if (strcmp(command, "scroll") == 0) {
		scroll(h, (int)a);
	} else if (strcmp(command, "hold") == 0) {
		(void)wl_display_flush(h->display);
		(void)poll(NULL, 0, (int)a);
	} else {
		return -1;
	}
	return 0;
}

static int do_line(struct hand *h, char *line)
{
	char *rest = strchr(line, ' ');

	if (rest) {
		*rest++ = '\0';
	}
	if (act(h, line, rest ? rest : "") < 0) {
		(void)fprintf(stderr, "wl_input: no such command: %s\n", line);
		return -1;
	}
	return wl_display_roundtrip(h->display) < 0 ? -1 : 0;
}

static void close_devices(struct hand *h)
{
	if (h->pointer) {
		zwlr_virtual_pointer_v1_destroy(h->pointer);
		zwp_virtual_keyboard_v1_destroy(h->keyboard);
	}
	if (h->pointers) {
		zwlr_virtual_pointer_manager_v1_destroy(h->pointers);
	}
	if (h->keyboards) {
		zwp_virtual_keyboard_manager_v1_destroy(h->keyboards);
	}
	if (h->output) {
		wl_output_destroy(h->output);
	}
	if (h->seat) {
		wl_seat_destroy(h->seat);
	}
	if (h->registry) {
		wl_registry_destroy(h->registry);
	}
	if (h->display) {
		wl_display_disconnect(h->display);
	}
}

static int do_lines(struct hand *h)
{
	char line[LINE_MAX];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (do_line(h, line) < 0) {
			return 1;
		}
		(void)puts("ok");
		(void)fflush(stdout);
	}
	return 0;
}

static int do_arguments(struct hand *h, int argc, char **argv)
{
	char line[LINE_MAX] = "";

	for (int i = 1; i < argc; i++) {
		size_t len = strlen(line);

		(void)snprintf(line + len, sizeof(line) - len, "%s%s", i > 1 ? " " : "", argv[i]);
	}
	return do_line(h, line) < 0;
}

int main(int argc, char **argv)
{
	struct hand h = {0};
	int status = 1;

	if (open_devices(&h) < 0) {
		(void)fprintf(stderr, "wl_input: no compositor that has virtual devices\n");
	} else {
		status = argc > 1 ? do_arguments(&h, argc, argv) : do_lines(&h);
	}
	close_devices(&h);
	return status;
}
