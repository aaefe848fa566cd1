/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver for any virtio device: reads its steps from an input and, with the judge
 * (judge.h) behind it, holds the device to what every device owes its driver:
 *   - a chain comes back at most once, only one that was offered, with no more bytes than it has
 *     room for; and when the back end has nothing to wait for, every chain has come back,
 *   - the loop comes to rest, even if the driver offers a chain again the moment it comes back,
 *   - whatever happened, after a reset the device serves a request as if it were new.
 * (Once the input has written descriptors by itself, the driver's books no longer count: then it is
 * the judge alone who says which chains are out.)
 *
 * A device is made once and serves all inputs, one after the other: what a reset leaves behind
 * shows.
 */
#ifndef FUZZ_DEVFUZZ_H
#define FUZZ_DEVFUZZ_H

#include "fakedrv.h"
#include "input.h"
#include "judge.h"

struct devfuzz_device {
	struct vmm_virtio_device *dev;
	/* Bit n: all chains of queue n come back when the back end has settled... */
	uint64_t drains;
	/* ... and the driver has taken this feature. */
	uint64_t drains_with;
	/* A move of the outside of the device, its back end. May be NULL. */
	void (*other)(void *ctx, struct fuzz_input *in);
	/* The back end finishes what it has in hand and is as at first. May be NULL. */
	void (*settle)(void *ctx);
	/* A request or two to a device that was just started, without the features of refuse. */
	void (*serve)(void *ctx, struct fakedrv *drv, uint8_t *memory);
	uint64_t refuse;
	/*
	 * Memory of its own for the harness, before anything is started. May be NULL, as may be the
	 * next two.
	 */
	void (*prepare)(void *ctx, struct fakedrv *drv);
	/* A request as a driver means it, of at most DEVFUZZ_REQUEST bytes, for queue 0. */
	size_t (*request)(void *ctx, struct fuzz_input *in, uint8_t *bytes);
	/* It has come back with len bytes. */
	void (*answer)(void *ctx, const uint8_t *request, const uint8_t *answer, uint32_t len);
	void *ctx;
};

#define DEVFUZZ_REQUEST 512u /* and as many bytes for the answer */

struct devfuzz;

/* For the rest of the process. */
struct devfuzz *devfuzz_create(const struct devfuzz_device *device);
/* A driver of the device, until the input ends. */
void devfuzz_run(struct devfuzz *f, const struct fuzz_input *in);

#endif
