/* SPDX-License-Identifier: MIT */
/*
 * A virtio-gpu device under a driver that says whatever a test wants, with a display that remembers
 * what it was told.
 */
#ifndef TESTS_TEST_GPU_FIX_H
#define TESTS_TEST_GPU_FIX_H

#include <vmm/dev/gpu.h>

#include "fakedrv.h"
#include "gpu/gpu_proto.h"
#include "suite.h"

enum { CONTROL, CURSOR };

#define FENCE 0x1122334455667788u

/* A display whose pictures are never looked at but when a test says so. */
struct canvas {
	struct vmm_display base;
	unsigned sets;
	unsigned presents;
	unsigned rect_count; /* of the last present */
	struct vmm_display_rect rects[32];
	bool fetches; /* present copies what changed into pixels */
	bool waits;   /* present says that a frame is to be waited for */
	unsigned cursors;
	struct vmm_display_cursor cursor; /* the last one; width 0: none */
	uint32_t cursor_pixels[256];
	uint32_t pixels[64 * 64];
};

struct gpufix {
	struct fakedrv *drv;
	struct canvas canvas;
	uint8_t *request;  /* REQUEST_ROOM bytes of guest memory */
	uint8_t *response; /* RESPONSE_ROOM bytes */
	uint32_t used;     /* bytes of the last response */
};

#define REQUEST_ROOM  65536u
#define RESPONSE_ROOM 2048u

/* config may be NULL: one screen. Its display is the canvas, unless it has one. */
void gpufix_start(struct gpufix *fix, const struct vmm_gpu_config *config);
/* The same with a driver of the test's, which has started it; the canvas is not used. */
void gpufix_use(struct gpufix *fix, struct fakedrv *drv);
void gpufix_finish(struct gpufix *fix);

/* Sends bytes as they are; the answer's type, 0 when it had none. */
uint32_t gpufix_send(struct gpufix *fix, const void *request, size_t len);
/* A command with a fence and its body; checks that the answer has the fence. */
uint32_t gpufix_command(struct gpufix *fix, uint32_t type, const void *body, size_t len);
#define GPUFIX_COMMAND(fix, type, ...) \
	gpufix_command((fix), (type), &__VA_ARGS__, sizeof(__VA_ARGS__))
/* A command of which the test expects that it works. */
#define GPUFIX_OK(fix, type, ...) \
	ck_assert_uint_eq(GPUFIX_COMMAND((fix), (type), __VA_ARGS__), RESP_OK_NODATA)

/* A picture with memory of the guest behind it, in pieces of `piece` bytes (0: one). Its rows. */
uint32_t *gpufix_picture(struct gpufix *fix, uint32_t id, uint32_t width, uint32_t height,
			 uint32_t piece);
/* ATTACH_BACKING with these entries. */
uint32_t gpufix_attach(struct gpufix *fix, uint32_t id, uint32_t count,
		       const struct gpu_mem_entry *entries, unsigned present);
/* Puts all of a picture on screen 0 and flushes it. */
void gpufix_show(struct gpufix *fix, uint32_t id, uint32_t width, uint32_t height);
/* Transfers a part of a picture from where it stands, and flushes it. */
void gpufix_change(struct gpufix *fix, uint32_t id, uint32_t picture_width, struct gpu_rect rect);
uint32_t gpufix_transfer(struct gpufix *fix, uint32_t id, struct gpu_rect rect, uint64_t offset);
uint32_t gpufix_flush(struct gpufix *fix, uint32_t id, struct gpu_rect rect);
/* Offers a request of the cursor queue and waits until it comes back. */
void gpufix_cursor(struct gpufix *fix, uint32_t type, const struct gpu_cursor *body);

uint64_t gpufix_counter(const struct gpufix *fix, const char *name);

#endif
