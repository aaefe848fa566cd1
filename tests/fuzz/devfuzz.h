/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver for any virtio device: reads its steps from an input and holds the device to
 * what every device owes its driver:
 *   - a chain comes back at most once, and only one that was offered,
 *   - with no more bytes written than it has room for,
 *   - and the loop comes to rest.
 * (Once the input has written descriptors by itself, only the sanitizers judge lengths.)
 */
#ifndef FUZZ_DEVFUZZ_H
#define FUZZ_DEVFUZZ_H

#include "fakedrv.h"

/* What remains of the input. */
struct devfuzz_input {
	const uint8_t *data;
	size_t size;
};

/* The next byte, or the next little-endian number; 0 when the input is at its end. */
uint8_t devfuzz_u8(struct devfuzz_input *in);
uint32_t devfuzz_u32(struct devfuzz_input *in);
/* The next len bytes, zeroes at the end. */
void devfuzz_bytes(struct devfuzz_input *in, uint8_t *out, size_t len);

/*
 * Runs a driver of dev, which it takes, until the input ends. other is called for the operations
 * that the driver does not know (the outside of the device: its back end); may be NULL.
 */
void devfuzz_run(struct vmm_virtio_device *dev, struct devfuzz_input *in,
		 void (*other)(void *ctx, struct devfuzz_input *in), void *ctx);

#endif
