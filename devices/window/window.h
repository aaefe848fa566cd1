/* SPDX-License-Identifier: MIT */
/*
 * vmm-window: the picture of a guest's screen as a window of the host's Wayland desktop.
 *
 *	main.c      the command line; waits for whoever has something to say
 *	link.c      what the display says, checked, and what is said to it
 *	globals.c   what the compositor has to offer
 *	surface.c   the window: its size, its pictures, its end
 *	cursor.c    the pointer's image
 *	buffers.c   a memfd of the display's as buffers of the compositor
 *	seat.c      keyboard and pointer of the user
 *	keys.c      events on their way to the guest
 *	jail.c      what the program gives up before it looks at anything
 *
 * Pixels are never looked at: the compositor gets the display's memfds. What is sent to the
 * compositor is paced by its own answers (frame, sync), so that nothing piles up in front of one
 * that stands still.
 */
#ifndef VMM_WINDOW_WINDOW_H
#define VMM_WINDOW_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <wayland-client.h>

#include "keys.h"
#include "link.h"
#include "viewporter.h"
#include "xdg-decoration.h"
#include "xdg-shell.h"

#define STATUS_OK              0 /* the display has gone */
#define STATUS_FAILED          1
#define STATUS_USAGE           2
#define STATUS_COMPOSITOR_GONE 3

struct window;

/* ---- jail.c ---- */

#define WINDOW_FDS_MAX 5

/*
 * Leaves the process with these descriptors (at most WINDOW_FDS_MAX; negative: none) and standard
 * error, in the jail of <vmm/jail.h> and with the system calls of its profile "window". -1: that
 * failed, and why has been said; then the program has to end.
 */
int window_enter_jail(const int *fds, size_t count);

/* ---- buffers.c ---- */

/* A memfd as equal buffers of the compositor, one behind the other. */
struct buffers {
	struct window *w;
	uint32_t pool_serial; /* 0: nobody wants to know of their release */
	uint32_t width;
	uint32_t height;
	struct wl_buffer *wl[VMM_WINDOW_BUFFERS_MAX];
};

/*
 * opaque: what a pixel says of transparency does not count. memfd stays the caller's. NULL: no
 * memory, or a format that the compositor does not know.
 */
struct buffers *buffers_create(struct window *w, const struct vmm_window_pool *pool, int memfd,
			       bool opaque);
/* NULL is a no-op. */
void buffers_destroy(struct buffers *b);

/* Remembers that the compositor knows a format. */
struct globals;
void buffers_note_format(struct globals *g, uint32_t format);

/* ---- the program's state ---- */

struct globals {
	struct wl_registry *registry;
	struct wl_compositor *compositor;
	struct wl_shm *shm;
	struct xdg_wm_base *wm_base;
	struct zxdg_decoration_manager_v1 *decorations; /* may be NULL */
	struct wp_viewporter *viewporter;               /* may be NULL */
	struct wl_seat *seat;                           /* may be NULL */
	uint32_t seat_name;
	uint32_t seat_version;
	uint32_t formats; /* buffers.c's */
};

struct surface {
	struct wl_surface *wl; /* NULL: there is no window */
	struct xdg_surface *xdg;
	struct xdg_toplevel *toplevel;
	struct zxdg_toplevel_decoration_v1 *decoration;
	struct wp_viewport *viewport;
	struct wl_callback *frame;
	uint32_t frame_serial; /* the pool that frame is about */
	bool configured;
	bool bound; /* its size is not the program's to choose */
	/* What the compositor is about to configure. */
	int32_t next_width;
	int32_t next_height;
	bool next_bound;
	int32_t asked_width; /* what it configured last */
	int32_t asked_height;
	/* The size that it has, and the one that the guest was last told; 0: not known yet. */
	uint32_t width;
	uint32_t height;
	uint32_t told_width;
	uint32_t told_height;
	uint64_t resize_at; /* milliseconds of the monotonic clock; 0: nothing to be told */

	struct buffers *pool;  /* of the display's last POOL */
	struct buffers *shown; /* of what is on the surface; may be pool */
	bool pending;          /* a PRESENT waits for the surface to be configured */
	struct vmm_window_present present;
};

struct cursor {
	struct wl_surface *wl;
	struct buffers *image; /* NULL: no pointer is shown */
	int32_t hot_x;
	int32_t hot_y;
};

struct axis {
	wl_fixed_t way; /* in this frame, of a device that does not count */
	int32_t v120;   /* in this frame, in 120ths of a notch */
	bool counted;
	int32_t rest; /* 120ths that are no notch yet */
};

struct seat {
	struct wl_keyboard *keyboard;
	struct wl_pointer *pointer;
	uint32_t enter_serial;
	bool inside;
	struct axis axes[2]; /* by enum wl_pointer_axis */
};

/* A POOL or CURSOR on its way through the compositor. */
struct parcel {
	struct window *w;
	struct wl_callback *callback; /* NULL: none */
	uint32_t serial;
};

struct window {
	const char *name;
	int control_fd;
	struct wl_display *display;
	struct parcel parcels[2];
	struct globals globals;
	struct link link;
	struct surface surface;
	struct cursor cursor;
	struct seat seat;
	struct keys keyboard;
	struct keys tablet;
	int error; /* of an answer to the display: 0 or -errno */
};

/* One line to stderr. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Remembers what an answer to the display came to. */
void window_answered(struct window *w, int ret);

/* ---- globals.c ---- */

/* Finds what is needed; false, with words, when something is missing. */
bool globals_find(struct window *w);
void globals_finish(struct window *w);

/* ---- surface.c ---- */

void surface_set_pool(struct window *w, const struct vmm_window_message *msg, int memfd);
void surface_present(struct window *w, const struct vmm_window_present *present);
/* How large the surface is, as the compositor counts. */
void surface_size(const struct window *w, uint32_t *width, uint32_t *height);
/* Milliseconds until surface_tick has something to do; -1: nothing. */
int surface_timeout(const struct window *w);
void surface_tick(struct window *w);
void surface_destroy(struct window *w);

/* ---- cursor.c ---- */

void cursor_set(struct window *w, const struct vmm_window_cursor *c, int memfd);
/* Shows it, if the user's pointer is in the window. */
void cursor_show(struct window *w);
void cursor_destroy(struct window *w);

/* ---- seat.c ---- */

void seat_listen(struct window *w);
/* What is held is released: the window has gone, or the seat. */
void seat_release(struct window *w);
void seat_finish(struct window *w);

#endif
