/* SPDX-License-Identifier: MIT */
/*
 * The serial port under any sequence of accesses. The transmitter always shows empty, the interrupt
 * register shows one of its four causes, and what was sent outside loopback mode arrives, no more
 * and no less.
 *
 * An input is a list of steps of 3 bytes: operation and register, value (2).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/dev/serial.h>

#define STEPS_MAX 100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sink {
	struct vmm_chardev base;
	uint64_t got;
};

static void sink_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	const volatile uint8_t *p = bytes;

	(void)p[len - 1];
	((struct sink *)cd)->got += len;
}

static const struct vmm_chardev_ops sink_ops = {.write = sink_write};

static void require(bool condition, const char *what)
{
	if (!condition) {
		(void)fprintf(stderr, "not true: %s\n", what);
		abort();
	}
}

/* True when a byte written to register 0 goes out. */
static bool transmits(struct vmm_platform_device *dev)
{
	return (dev->ops->bus.read(dev, 3, 1) & 0x80) == 0 &&
	       (dev->ops->bus.read(dev, 4, 1) & 0x10) == 0;
}

static void check(struct vmm_platform_device *dev)
{
	uint64_t lsr = dev->ops->bus.read(dev, 5, 1);
	uint64_t iir = dev->ops->bus.read(dev, 2, 1);

	require((lsr & ~UINT64_C(1)) == 0x60, "the transmitter is empty");
	require((iir & 0x38) == 0 && ((iir & 7) == 1 || (iir & 7) == 2 || (iir & 7) == 4),
		"the interrupt register names a cause");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sink sink = {.base = {.ops = &sink_ops}};
	struct vmm_serial_config config = {.output = &sink.base};
	struct vmm_platform_device *dev;
	uint64_t sent = 0;

	require(vmm_loop_create(&config.loop) == 0, "a loop");
	require(vmm_serial_create(&dev, &config, NULL) == 0, "a serial port");
	for (size_t i = 0; i < size / 3 && i < STEPS_MAX; i++) {
		const uint8_t *s = data + i * 3;
		unsigned reg = s[0] % 8;
		unsigned len = reg % 2 == 0 && (s[0] & 0x40) ? 2 : 1;

		if ((s[0] & 0x38) == 0x38) {
			dev->ops->reset(dev);
		} else if ((s[0] & 0x80) != 0) {
			(void)dev->ops->bus.read(dev, reg, len);
		} else {
			sent += reg == 0 && transmits(dev);
			dev->ops->bus.write(dev, reg, len, s[1] | (unsigned)s[2] << 8);
		}
		if (i % 16 == 0) {
			check(dev);
			(void)vmm_loop_dispatch(config.loop, 0);
		}
	}
	vmm_serial_destroy(dev);
	require(sink.got == sent, "what was sent arrived");
	vmm_loop_destroy(config.loop);
	return 0;
}
