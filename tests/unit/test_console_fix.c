/* SPDX-License-Identifier: MIT */
#include "test_console_fix.h"

#include <string.h>

struct wire wires[3];
struct fakedrv *drv;

static int wire_start(struct vmm_chardev *cd, struct vmm_loop *loop)
{
	(void)loop;
	((struct wire *)cd)->starts++;
	return 0;
}

static void wire_stop(struct vmm_chardev *cd)
{
	struct wire *w = (struct wire *)cd;

	w->stops++;
	w->wanted = false;
}

static void wire_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	struct wire *w = (struct wire *)cd;

	if (w->output_len + len <= sizeof(w->output)) {
		memcpy(w->output + w->output_len, bytes, len);
	}
	w->output_len += len;
}

static size_t wire_read(struct vmm_chardev *cd, void *buf, size_t len)
{
	struct wire *w = (struct wire *)cd;
	size_t left = w->input_len - w->input_at;

	len = len < left ? len : left;
	memcpy(buf, w->input + w->input_at, len);
	w->input_at += len;
	return len;
}

static void wire_want_input(struct vmm_chardev *cd, bool want)
{
	((struct wire *)cd)->wanted = want;
}

const struct vmm_chardev_ops wire_ops = {
	.start = wire_start,
	.stop = wire_stop,
	.write = wire_write,
	.read = wire_read,
	.want_input = wire_want_input,
};

void consolefix_create(unsigned ports)
{
	const struct vmm_console_port all[] = {
		{.chardev = &wires[0].base, .name = "main"},
		{.chardev = &wires[1].base, .name = "org.example.agent"},
		{.chardev = &wires[2].base, .console = true},
	};
	struct vmm_console_config config = {.ports = all, .port_count = ports};
	struct vmm_virtio_device *dev;

	memset(wires, 0, sizeof(wires));
	for (unsigned i = 0; i < 3; i++) {
		wires[i].base.ops = &wire_ops;
	}
	ck_assert_int_eq(vmm_console_create(&dev, &config, NULL), 0);
	drv = fakedrv_create(dev);
}

void consolefix_start(unsigned ports)
{
	consolefix_create(ports);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	fakedrv_run(drv);
}

void consolefix_finish(void)
{
	fakedrv_destroy(drv);
	drv = NULL;
}

void consolefix_type(unsigned wire, const char *text)
{
	struct wire *w = &wires[wire];

	memcpy(w->input + w->input_len, text, strlen(text));
	w->input_len += strlen(text);
	for (unsigned i = 0; w->wanted && w->input_at < w->input_len && i < 100; i++) {
		vmm_chardev_readable(&w->base);
		fakedrv_run(drv);
	}
}

char *consolefix_offer(unsigned queue, uint32_t len)
{
	char *mem = fakedrv_alloc(drv, len + 1);
	struct fakedrv_buf buf = FAKEDRV_IN(mem, len);

	ck_assert_int_ge(fakedrv_add(drv, queue, &buf, 1), 0);
	fakedrv_kick(drv, queue);
	return mem;
}

void consolefix_say(unsigned queue, const char *text)
{
	size_t len = strlen(text);
	char *mem = fakedrv_alloc(drv, len + 1);
	struct fakedrv_buf buf = FAKEDRV_OUT(mem, len);

	memcpy(mem, text, len);
	ck_assert_uint_eq(fakedrv_request(drv, queue, &buf, 1), 0);
}

struct search {
	const char *name;
	uint64_t value;
};

static void look(void *ctx, const char *name, uint64_t value)
{
	struct search *s = ctx;

	if (strcmp(name, s->name) == 0) {
		s->value = value;
	}
}

uint64_t consolefix_counter(const char *name)
{
	struct vmm_virtio_device *dev = fakedrv_device(drv);
	struct search s = {.name = name, .value = UINT64_MAX};

	dev->ops->counters(dev, look, &s);
	return s.value;
}
