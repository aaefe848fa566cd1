/* SPDX-License-Identifier: MIT */
/*
 * What a display (vmm_display_window) and the program that shows it as a window say to each other,
 * over a SOCK_SEQPACKET socket pair: each packet is one struct vmm_window_message, of that size,
 * little-endian like the hosts we run on, unused fields zero. Neither side trusts the other; a
 * packet that is not as described ends the connection.
 *
 *	display                                   window
 *	POOL 1 (640x480, 3 buffers) + memfd  -->
 *	PRESENT 1 (buffer 0, all of it)      -->  maps the memfd, configures a surface
 *	                                     <--  TAKEN 1
 *	                                     <--  FRAME 1        the compositor wants a picture
 *	PRESENT 1 (buffer 1, what changed)   -->
 *	                                     <--  RELEASED 1 (buffer 0)
 *	                                     <--  FRAME 1
 *	                                     <--  RESIZE 800x600 the user drew at a corner
 *	POOL 2 (800x600) + memfd             -->                 when the guest has followed
 *	PRESENT 2 ...
 *	POOL 3 (width 0), no memfd           -->  no window
 *	                                     <--  TAKEN 3
 *
 * A PRESENT may follow a POOL at once; each further one waits for a FRAME of the same pool, so at
 * most one PRESENT is on its way. A buffer that was presented belongs to the window until it is
 * RELEASED, or its pool replaced. Of what carries a descriptor (POOL, CURSOR) the next is sent only
 * when the one before was TAKEN: a window that stands still holds a bounded number of them.
 *
 * serial counts POOL and CURSOR messages together, from 1. PRESENT, RELEASED and FRAME carry the
 * serial of their POOL, TAKEN that of the POOL or CURSOR. RELEASED and FRAME of a pool that was
 * replaced cross the replacement and are ignored. Another display on the same socket, after the
 *first has died, starts from 1 again.
 */
#ifndef VMM_DEV_WINDOW_PROTO_H
#define VMM_DEV_WINDOW_PROTO_H

#include <stdint.h>

#include <vmm/dev/display.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_WINDOW_BUFFERS_MAX 3u
#define VMM_WINDOW_RECTS_MAX   16u

enum vmm_window_type {
	/* display -> window */
	VMM_WINDOW_POOL = 1,
	VMM_WINDOW_PRESENT = 2,
	VMM_WINDOW_CURSOR = 3,
	/* window -> display */
	VMM_WINDOW_TAKEN = 16,
	VMM_WINDOW_FRAME = 17,
	VMM_WINDOW_RELEASED = 18,
	VMM_WINDOW_RESIZE = 19,
};

/*
 * Pictures for the window: one memfd, sealed against changes of its size. Buffer i begins at
 * i * stride * height. width 0: the screen is off, there is no memfd and the rest is 0.
 */
struct vmm_window_pool {
	uint32_t width; /* pixels, as in struct vmm_display_picture */
	uint32_t height;
	uint32_t stride;  /* bytes: width * 4 */
	uint32_t format;  /* VMM_DISPLAY_* */
	uint32_t buffers; /* 2 .. VMM_WINDOW_BUFFERS_MAX */
	uint32_t size;    /* bytes of the memfd: at least buffers * stride * height */
};

/* Show a buffer; it differs from the one shown before in these rects only, which lie in it. */
struct vmm_window_present {
	uint32_t buffer;
	uint32_t count; /* 1 .. VMM_WINDOW_RECTS_MAX */
	struct vmm_display_rect rects[VMM_WINDOW_RECTS_MAX];
};

/* The pointer's image: a sealed memfd of width * height * 4 bytes. width 0: none, and no memfd. */
struct vmm_window_cursor {
	uint32_t width; /* at most VMM_DISPLAY_CURSOR_MAX */
	uint32_t height;
	uint32_t format; /* VMM_DISPLAY_* */
	uint32_t hot_x;  /* in the image */
	uint32_t hot_y;
};

struct vmm_window_released {
	uint32_t buffer;
};

/* The size that the window has, in the guest's pixels. */
struct vmm_window_resize {
	uint32_t width; /* 1 .. VMM_DISPLAY_SIDE_MAX */
	uint32_t height;
};

struct vmm_window_message {
	uint32_t type; /* VMM_WINDOW_* */
	uint32_t serial;
	union {
		struct vmm_window_pool pool;
		struct vmm_window_present present;
		struct vmm_window_cursor cursor;
		struct vmm_window_released released;
		struct vmm_window_resize resize;
	};
};

#ifdef __cplusplus
}
#endif

#endif
