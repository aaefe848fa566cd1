/* SPDX-License-Identifier: MIT */
/*
 * virtio-console with three ports under a hostile driver, with input and sizes from outside. Beyond
 * what devfuzz holds it to: input passes no one by, so what the back end gave is what the counter
 * says, and it is asked only while it is in use.
 */
#include <string.h>

#include <vmm/dev/console.h>

#include "devfuzz.h"

#define PORTS       3u
#define F_MULTIPORT (UINT64_C(1) << 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct wire {
	struct vmm_chardev base;
	bool wanted;
	size_t input;
	uint64_t given;
	uint64_t got;
};

static void wire_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	const volatile uint8_t *p = bytes;

	((struct wire *)cd)->got += len;
	(void)p[0];
	(void)p[len - 1];
}

static size_t wire_read(struct vmm_chardev *cd, void *buf, size_t len)
{
	struct wire *w = (struct wire *)cd;

	REQUIRE(cd->loop != NULL);
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

static void outside(void *ctx, struct fuzz_input *in)
{
	struct outside *o = ctx;
	uint8_t what = fuzz_u8(in);
	struct wire *w = &o->wires[what % PORTS];
	uint64_t given = 0;

	if ((what & 0x80u) != 0) {
		vmm_chardev_set_size(&w->base, fuzz_u8(in), fuzz_u8(in));
	} else {
		w->input += fuzz_u8(in) * 64u;
		for (unsigned i = 0; w->wanted && w->input > 0 && i < 100; i++) {
			vmm_chardev_readable(&w->base);
		}
	}
	for (unsigned i = 0; i < PORTS; i++) {
		given += o->wires[i].given;
	}
	o->dev->ops->counters(o->dev, look, o);
	REQUIRE(given == o->counted);
}

static void settle(void *ctx)
{
	struct outside *o = ctx;

	for (unsigned i = 0; i < PORTS; i++) {
		o->wires[i].input = 0;
	}
}

/* Bytes go both ways on the first port. */
static void serve(void *ctx, struct fakedrv *drv, uint8_t *memory)
{
	struct outside *o = ctx;
	struct fakedrv_buf out[] = {FAKEDRV_OUT(memory, 5)};
	struct fakedrv_buf in[] = {FAKEDRV_IN(memory + 16, 8)};
	struct wire *w = &o->wires[0];
	uint64_t got = w->got;

	REQUIRE(fakedrv_request(drv, 1, out, 1) == 0);
	REQUIRE(w->got == got + 5);
	w->input = 3;
	REQUIRE(fakedrv_request(drv, 0, in, 1) == 3);
	REQUIRE(memcmp(memory + 16, "iii", 3) == 0);
}

/* Queues from the guest drain: output, and what it says about ports. */
static struct devfuzz *create(struct outside *o, unsigned count)
{
	struct vmm_console_port ports[PORTS] = {{.name = "main"}, {.name = "agent"}, {0}};
	struct vmm_console_config config = {.ports = ports, .port_count = count};
	struct devfuzz_device device = {
		.drains = count > 1 ? 0xaa : 0x02,
		.drains_with = count > 1 ? F_MULTIPORT : 0,
		.other = outside,
		.settle = settle,
		.serve = serve,
		.refuse = F_MULTIPORT, /* its ports open only when the guest says so */
		.ctx = o,
	};

	for (unsigned i = 0; i < PORTS; i++) {
		o->wires[i].base.ops = &wire_ops;
		ports[i].chardev = &o->wires[i].base;
	}
	ports[2].console = true;
	REQUIRE(vmm_console_create(&o->dev, &config, NULL) == 0);
	device.dev = o->dev;
	return devfuzz_create(&device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outside outsides[2];
	static struct devfuzz *devices[2];
	struct fuzz_input in = {data, size};
	unsigned which = size % 4 ? 1 : 0;

	if (!devices[which]) {
		devices[which] = create(&outsides[which], which ? PORTS : 1);
	}
	devfuzz_run(devices[which], &in);
	return 0;
}
