/* SPDX-License-Identifier: MIT */
/*
 * virtio-console with three ports under a hostile driver, with input and sizes from outside. Beyond
 * what devfuzz holds it to: input passes no one by, so what the back end gave is what the counter
 * says, and it is asked only while it is in use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/dev/console.h>

#include "devfuzz.h"

#define PORTS 3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct wire {
	struct vmm_chardev base;
	bool wanted;
	size_t input;
	uint64_t given;
};

static void wire_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	const volatile uint8_t *p = bytes;

	(void)cd;
	(void)p[0];
	(void)p[len - 1];
}

static size_t wire_read(struct vmm_chardev *cd, void *buf, size_t len)
{
	struct wire *w = (struct wire *)cd;

	if (!cd->loop) {
		abort();
	}
	len = len < w->input ? len : w->input;
	memset(buf, 'i', len);
	w->input -= len;
	w->given += len;
	return len;
}

static void wire_want_input(struct vmm_chardev *cd, bool want)
{
	((struct wire *)cd)->wanted = want;
}

static void wire_stop(struct vmm_chardev *cd)
{
	((struct wire *)cd)->wanted = false;
}

static const struct vmm_chardev_ops wire_ops = {
	.stop = wire_stop,
	.write = wire_write,
	.read = wire_read,
	.want_input = wire_want_input,
};

struct outside {
	struct vmm_virtio_device *dev;
	struct wire wires[PORTS];
	uint64_t counted;
};

static void look(void *ctx, const char *name, uint64_t value)
{
	if (strcmp(name, "in_bytes") == 0) {
		((struct outside *)ctx)->counted = value;
	}
}

static void outside(void *ctx, struct devfuzz_input *in)
{
	struct outside *o = ctx;
	uint8_t what = devfuzz_u8(in);
	struct wire *w = &o->wires[what % PORTS];
	uint64_t given = 0;

	if ((what & 0x80u) != 0) {
		vmm_chardev_set_size(&w->base, devfuzz_u8(in), devfuzz_u8(in));
	} else {
		w->input += devfuzz_u8(in) * 64u;
		for (unsigned i = 0; w->wanted && w->input > 0 && i < 100; i++) {
			vmm_chardev_readable(&w->base);
		}
	}
	for (unsigned i = 0; i < PORTS; i++) {
		given += o->wires[i].given;
	}
	o->dev->ops->counters(o->dev, look, o);
	if (given != o->counted) {
		(void)fprintf(stderr, "given %llu, counted %llu\n", (unsigned long long)given,
			      (unsigned long long)o->counted);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_console_port ports[PORTS] = {{.name = "main"}, {.name = "agent"}, {0}};
	struct vmm_console_config config = {.ports = ports, .port_count = size % 4 ? PORTS : 1};
	struct devfuzz_input in = {data, size};
	struct outside o = {0};

	for (unsigned i = 0; i < PORTS; i++) {
		o.wires[i].base.ops = &wire_ops;
		ports[i].chardev = &o.wires[i].base;
	}
	ports[2].console = true;
	if (vmm_console_create(&o.dev, &config, NULL) != 0) {
		abort();
	}
	devfuzz_run(o.dev, &in, outside, &o);
	return 0;
}
