/* SPDX-License-Identifier: MIT */
/* virtio-rng under a hostile driver. What it owes is what devfuzz and the judge say. */
#include <vmm/dev/rng.h>

#include "devfuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void serve(void *ctx, struct fakedrv *drv, uint8_t *memory)
{
	struct fakedrv_buf bufs[] = {FAKEDRV_IN(memory, 16), FAKEDRV_IN(memory + 64, 16)};
	unsigned zeroes = 0;

	(void)ctx;
	REQUIRE(fakedrv_request(drv, 0, bufs, 2) == 32);
	for (unsigned i = 0; i < 16; i++) {
		zeroes += memory[i] == 0;
		zeroes += memory[64 + i] == 0;
	}
	REQUIRE(zeroes < 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct devfuzz *f;
	struct devfuzz_device device = {.drains = 1, .serve = serve};
	struct fuzz_input in = {data, size};

	if (!f) {
		REQUIRE(vmm_rng_create(&device.dev, NULL, NULL) == 0);
		f = devfuzz_create(&device);
	}
	devfuzz_run(f, &in);
	return 0;
}
