/* SPDX-License-Identifier: MIT */
#include "test_serial_fix.h"

#include <check.h>
#include <string.h>

struct serial_memory memory;
struct serial_irq irq;
struct vmm_loop *loop;
struct vmm_platform_device *dev;

static void memory_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	struct serial_memory *m = (struct serial_memory *)cd;

	ck_assert_uint_le(len, sizeof(m->text) - m->used);
	memcpy(m->text + m->used, bytes, len);
	m->used += len;
	m->writes++;
}

static const struct vmm_chardev_ops memory_ops = {.write = memory_write};

static void count_irq(struct vmm_irq *base)
{
	(void)__atomic_fetch_add(&((struct serial_irq *)base)->count, 1, __ATOMIC_RELAXED);
}

static void setup(enum vmm_platform_type type)
{
	struct vmm_serial_config config = {.type = type};

	memset(&memory, 0, sizeof(memory));
	memory.base.ops = &memory_ops;
	irq = (struct serial_irq){.base = {.raise = count_irq}};
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	config.loop = loop;
	config.output = &memory.base;
	ck_assert_int_eq(vmm_serial_create(&dev, &config, NULL), 0);
	ck_assert_int_eq(dev->type, type);
	dev->irq = &irq.base;
}

void setup_uart8250(void)
{
	setup(VMM_PLATFORM_UART_8250);
}

void setup_pl011(void)
{
	setup(VMM_PLATFORM_PL011);
}

void serial_teardown(void)
{
	vmm_serial_destroy(dev);
	dev = NULL;
	vmm_loop_destroy(loop);
}

void settle(void)
{
	while (vmm_loop_dispatch(loop, 50) > 0) {
	}
}
