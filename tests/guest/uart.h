/* SPDX-License-Identifier: MIT */
/*
 * The smallest serial port: every byte written to its data register goes to a callback, and it is
 * always ready for the next. Its scratch register counts the machine's resets. For guests under
 * test, whose output must not depend on a device under test.
 */
#ifndef TESTS_GUEST_UART_H
#define TESTS_GUEST_UART_H

#include <vmm/vm.h>

struct uart {
	struct vmm_platform_device base;
	struct vmm_platform_ops ops;
	/* On a vCPU thread. */
	void (*put)(void *ctx, char c);
	void *ctx;
	uint8_t line_control;
	uint8_t interrupt_enable;
	uint8_t resets; /* of the machine so far: what its scratch register reads */
};

/* Caller memory; nothing to free. */
void uart_init(struct uart *uart, void (*put)(void *ctx, char c), void *ctx);

#endif
