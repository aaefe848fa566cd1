/* SPDX-License-Identifier: MIT */
/*
 * Where a guest's screens are shown. A display has up to VMM_DISPLAY_SCANOUTS_MAX screens, each on
 * or off. The device says which picture is on a screen (set), what of it has changed (present) and
 * what the pointer looks like (cursor). It never pushes pixels: the back end fetches them from the
 * source when it has somewhere to put them, so that each pixel is copied once, and nothing piles up
 * in front of somebody who does not look.
 *
 * A display lives longer than the device that uses it, which borrows it. A NULL display is allowed
 * wherever a device takes one: nothing is shown.
 *
 * All calls on one display are made on one thread, the loop's, unless they say otherwise.
 */
#ifndef VMM_DEV_DISPLAY_H
#define VMM_DEV_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_DISPLAY_SCANOUTS_MAX 16u
/* A picture has at most so many pixels on a side and bytes in all (4096 x 4096 pixels). */
#define VMM_DISPLAY_SIDE_MAX   16384u
#define VMM_DISPLAY_BYTES_MAX  (UINT32_C(64) << 20)
#define VMM_DISPLAY_CURSOR_MAX 256u /* pixels on a side */

/* Pixel formats: the numbers of VIRTIO 1.2 section 5.7.6.8. Bytes in memory order, four a pixel. */
enum vmm_display_format {
	VMM_DISPLAY_B8G8R8A8 = 1,
	VMM_DISPLAY_B8G8R8X8 = 2,
	VMM_DISPLAY_A8R8G8B8 = 3,
	VMM_DISPLAY_X8R8G8B8 = 4,
	VMM_DISPLAY_R8G8B8A8 = 67,
	VMM_DISPLAY_X8B8G8R8 = 68,
	VMM_DISPLAY_A8B8G8R8 = 121,
	VMM_DISPLAY_R8G8B8X8 = 134,
};

/* Whether it is one of them. */
static inline bool vmm_display_format_valid(uint32_t format)
{
	switch (format) {
	case VMM_DISPLAY_B8G8R8A8:
	case VMM_DISPLAY_B8G8R8X8:
	case VMM_DISPLAY_A8R8G8B8:
	case VMM_DISPLAY_X8R8G8B8:
	case VMM_DISPLAY_R8G8B8A8:
	case VMM_DISPLAY_X8B8G8R8:
	case VMM_DISPLAY_A8B8G8R8:
	case VMM_DISPLAY_R8G8B8X8:
		return true;
	default:
		return false;
	}
}

struct vmm_display_rect {
	uint32_t x;
	uint32_t y;
	uint32_t width;
	uint32_t height;
};

/*
 * Where pixels come from. copy writes rect (which lies in the picture) to dst: its first pixel to
 * dst, the rows stride bytes apart. What the guest has taken away meanwhile is left as it is.
 */
struct vmm_display_source {
	void (*copy)(void *ctx, const struct vmm_display_rect *rect, void *dst, size_t stride);
	void *ctx;
};

/* A picture on a screen. */
struct vmm_display_picture {
	uint32_t width; /* 1 .. VMM_DISPLAY_SIDE_MAX, width * height * 4 <= VMM_DISPLAY_BYTES_MAX */
	uint32_t height;
	uint32_t format; /* VMM_DISPLAY_* */
	struct vmm_display_source source;
};

/* Whether the numbers are in these ranges. */
bool vmm_display_picture_valid(const struct vmm_display_picture *picture);

struct vmm_display_cursor {
	uint32_t width; /* 1 .. VMM_DISPLAY_CURSOR_MAX */
	uint32_t height;
	uint32_t format;
	uint32_t hot_x; /* the pixel that points */
	uint32_t hot_y;
	struct vmm_display_source source; /* used during the call only */
};

/* What a display tells its user. Any of them may be NULL. Loop thread, never from within a call. */
struct vmm_display_events {
	/* The screen should have this size (1 .. VMM_DISPLAY_SIDE_MAX on each side). */
	void (*resize)(void *ctx, unsigned scanout, uint32_t width, uint32_t height);
	/* The next picture may come: see vmm_display_present. */
	void (*frame)(void *ctx, unsigned scanout);
};

struct vmm_display;

/* ---- for users of a display; d may be NULL in each ---- */

/*
 * Connects the display to a loop, all screens off. events and ctx are borrowed until stop; events
 * may be NULL. Errors: -EBUSY (somebody else uses it), -ENOMEM, -EMFILE and other errors of
 * vmm_loop_add_fd; the display is then as before.
 */
int vmm_display_start(struct vmm_display *d, struct vmm_loop *loop,
		      const struct vmm_display_events *events, void *ctx);

/* Turns all screens off and disconnects it: no event comes any more, no source is used. */
void vmm_display_stop(struct vmm_display *d);

/*
 * Puts another picture on a screen, all of which has yet to be fetched; nothing is before present.
 * NULL: the screen is off. picture is copied; its source is used until the next set of this screen,
 * or stop. scanout < VMM_DISPLAY_SCANOUTS_MAX; a back end that has fewer screens shows nothing on
 * the rest. A back end that has no room for the picture shows nothing and logs why.
 */
void vmm_display_set(struct vmm_display *d, unsigned scanout,
		     const struct vmm_display_picture *picture);

/*
 * Parts of the picture have changed (rects lie in it; count >= 1). True: the next picture may come
 * at once. False: it had better wait for the frame event, which comes soon even if nobody looks (at
 * most VMM_DISPLAY_FRAME_MS later). Ignored, with true, when the screen is off.
 */
#define VMM_DISPLAY_FRAME_MS 30
bool vmm_display_present(struct vmm_display *d, unsigned scanout,
			 const struct vmm_display_rect *rects, unsigned count);

/* Another pointer image on a screen; NULL: none. */
void vmm_display_set_cursor(struct vmm_display *d, unsigned scanout,
			    const struct vmm_display_cursor *cursor);

/* Frees a display that is not in use. NULL is a no-op. */
void vmm_display_destroy(struct vmm_display *d);

/* ---- the back ends of this library ---- */

/*
 * Screen 0 as a file that always holds the picture, for screenshots: a struct
 * vmm_display_file_header, then the rows. fd is open for reading and writing, a regular file or
 * memfd, given its size here (room for the largest picture; it takes space as it is used), mapped,
 * and no longer needed afterwards: it stays the caller's. Whoever holds the file sees the picture
 * with vmm_display_file_read. Nobody may make it shorter while the display exists: seal a memfd
 * that others hold (F_SEAL_SHRINK). Errors: -ENOMEM, those of fstat, ftruncate and mmap.
 */
int vmm_display_file(struct vmm_display **out, int fd, struct vmm_error *err);

#define VMM_DISPLAY_FILE_MAGIC UINT32_C(0x31676d69) /* "img1" */
#define VMM_DISPLAY_FILE_DATA  4096u                /* where the rows begin */
#define VMM_DISPLAY_FILE_SIZE  (VMM_DISPLAY_FILE_DATA + VMM_DISPLAY_BYTES_MAX)

/* Little-endian. */
struct vmm_display_file_header {
	uint32_t magic;
	/* Odd while the picture is being changed; otherwise another one for each picture. */
	uint32_t sequence;
	uint32_t width; /* 0: the screen is off */
	uint32_t height;
	uint32_t stride; /* bytes from row to row */
	uint32_t format; /* VMM_DISPLAY_* */
};

/* A copy of a picture. */
struct vmm_display_image {
	uint32_t width;
	uint32_t height;
	uint32_t format;
	uint8_t *pixels; /* width * 4 bytes a row; to be freed with free() */
};

/*
 * Reads what vmm_display_file wrote, or writes at this moment in another process; believes nothing
 * that stands there. Any thread. Errors: -ENODATA (the screen is off), -EINVAL (not such a file),
 * -EAGAIN (it did not hold still for several tries), -ENOMEM, those of pread.
 */
int vmm_display_file_read(int fd, struct vmm_display_image *out, struct vmm_error *err);

/*
 * Screen 0 as a window that another program shows (<vmm/dev/window_proto.h>): fd is one end of a
 * SOCK_SEQPACKET socket pair, taken on success. The other end is not trusted. When it breaks the
 * protocol or goes away, nothing is shown any more. log may be NULL, else it is borrowed until
 * destroy. Errors: -EINVAL (not such a socket), -ENOMEM.
 */
int vmm_display_window(struct vmm_display **out, int fd, const struct vmm_log *log,
		       struct vmm_error *err);

/* ---- for those who write a back end of their own ---- */

/* The calls check what is said above about states, scanout and count, so an op need not. */
struct vmm_display_ops {
	int (*start)(struct vmm_display *d); /* d->loop is set; may be NULL */
	void (*stop)(struct vmm_display *d); /* all screens are off; may be NULL */
	/* d->pictures[scanout] is set; width 0: off. */
	void (*set)(struct vmm_display *d, unsigned scanout);
	bool (*present)(struct vmm_display *d, unsigned scanout,
			const struct vmm_display_rect *rects, unsigned count);
	void (*set_cursor)(struct vmm_display *d, unsigned scanout,
			   const struct vmm_display_cursor *cursor); /* may be NULL */
	void (*destroy)(struct vmm_display *d);                      /* may be NULL */
};

/* Embedded first in the back end's own struct; zero-initialised but for ops. */
struct vmm_display {
	const struct vmm_display_ops *ops;
	/* Set by vmm_display_start, NULL otherwise. */
	struct vmm_loop *loop;
	const struct vmm_display_events *events;
	void *ctx;
	struct vmm_display_picture pictures[VMM_DISPLAY_SCANOUTS_MAX]; /* width 0: off */
};

/* Fetches rect of what is on a screen. */
void vmm_display_fetch(struct vmm_display *d, unsigned scanout, const struct vmm_display_rect *rect,
		       void *dst, size_t stride);
/* Tell the user. Sizes that are none are ignored. */
void vmm_display_resize(struct vmm_display *d, unsigned scanout, uint32_t width, uint32_t height);
void vmm_display_frame(struct vmm_display *d, unsigned scanout);

#ifdef __cplusplus
}
#endif

#endif
