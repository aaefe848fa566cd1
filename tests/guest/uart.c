/* SPDX-License-Identifier: MIT */
#include "uart.h"

#define REG_DATA       0u
#define REG_IER        1u
#define REG_IIR        2u
#define REG_LCR        3u
#define REG_LSR        5u
#define REG_MSR        6u
#define REG_SCRATCH    7u
#define LCR_DLAB       0x80u
#define IER_THRI       0x02u
#define IIR_NONE       0x01u
#define IIR_THRI       0x02u
#define LSR_EMPTY      0x60u
#define MSR_CTS_DSR_CD 0xb0u

static uint64_t uart_read(void *ctx, uint64_t offset, unsigned len)
{
	const struct uart *uart = ctx;

	(void)len;
	switch (offset) {
	case REG_IER:
		return uart->interrupt_enable;
	case REG_IIR:
		return uart->interrupt_enable & IER_THRI ? IIR_THRI : IIR_NONE;
	case REG_LCR:
		return uart->line_control;
	case REG_LSR:
		return LSR_EMPTY;
	case REG_MSR:
		return MSR_CTS_DSR_CD;
	case REG_SCRATCH:
		return uart->resets;
	default:
		return 0;
	}
}

static void uart_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct uart *uart = ctx;
	bool divisor = (uart->line_control & LCR_DLAB) != 0;

	(void)len;
	if (offset == REG_LCR) {
		uart->line_control = (uint8_t)value;
	} else if (offset == REG_DATA && !divisor) {
		uart->put(uart->ctx, (char)value);
		if (uart->interrupt_enable & IER_THRI) {
			vmm_irq_raise(uart->base.irq);
		}
	} else if (offset == REG_IER && !divisor) {
		uart->interrupt_enable = value & 0x0fu;
		if (uart->interrupt_enable & IER_THRI) {
			vmm_irq_raise(uart->base.irq);
		}
	}
}

static void uart_reset(struct vmm_platform_device *dev)
{
	struct uart *uart = (struct uart *)dev;

	uart->line_control = 0;
	uart->interrupt_enable = 0;
	uart->resets++;
}

void uart_init(struct uart *uart, void (*put)(void *ctx, char c), void *ctx)
{
	*uart = (struct uart){
		.ops = {.bus = {.read = uart_read, .write = uart_write}, .reset = uart_reset},
		.put = put,
		.ctx = ctx,
	};
	uart->base.type = VMM_PLATFORM_UART_8250;
	uart->base.ops = &uart->ops;
}
