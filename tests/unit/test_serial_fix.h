/* SPDX-License-Identifier: MIT */
/* A serial port of one kind or the other, with a back end that remembers and interrupts that are
 * counted. */
#ifndef TESTS_UNIT_SERIAL_FIX_H
#define TESTS_UNIT_SERIAL_FIX_H

#include <vmm/dev/serial.h>

struct serial_memory {
	struct vmm_chardev base;
	char text[262144];
	size_t used;
	unsigned writes;
};

struct serial_irq {
	struct vmm_irq base;
	unsigned count; /* atomic where several vCPUs write */
};

extern struct serial_memory memory;
extern struct serial_irq irq;
extern struct vmm_loop *loop;
extern struct vmm_platform_device *dev;

/* Checked fixtures. */
void setup_uart8250(void);
void setup_pl011(void);
void serial_teardown(void);

/* The loop runs until nothing has happened for a moment. */
void settle(void);

#endif
