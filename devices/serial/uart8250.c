/* SPDX-License-Identifier: MIT */
/*
 * The 16550A subset that operating systems probe for and write their logs to. Register names and
 * numbers are those of the PC16550D data sheet. Interrupts are edges: one when the transmitter
 * interrupt becomes pending, not one for each byte.
 */
#include "serial/port.h"

#include <stdlib.h>

enum {
	REG_DATA = 0, /* THR, RBR; divisor latch low when DLAB */
	REG_IER = 1,  /* divisor latch high when DLAB */
	REG_IIR = 2,  /* read; FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
	REG_COUNT = 8,
};

#define IER_RDI  0x01u
#define IER_THRI 0x02u
#define IER_MASK 0x0fu

#define IIR_NONE 0x01u
#define IIR_THRI 0x02u
#define IIR_RDI  0x04u
#define IIR_FIFO 0xc0u

#define FCR_ENABLE 0x01u
#define LCR_DLAB   0x80u

#define MCR_DTR  0x01u
#define MCR_RTS  0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DR   0x01u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u

#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI  0x40u
#define MSR_DCD 0x80u

struct uart {
	struct serial_port port;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	uint8_t divisor[2];
	uint8_t received; /* only ever our own byte, in loopback mode */
	bool data_ready;
	bool thre_pending;
};

/* ---- registers, on vCPU threads, under the lock ---- */

static void raise_thre(struct uart *u)
{
	bool was = u->thre_pending;

	u->thre_pending = true;
	if (!was && (u->ier & IER_THRI) != 0) {
		vmm_irq_raise(u->port.base.irq);
	}
}

/* A byte leaves the transmitter the moment it is written. */
static void transmit(struct uart *u, uint8_t byte)
{
	if ((u->mcr & MCR_LOOP) != 0) {
		u->received = byte;
		u->data_ready = true;
		if ((u->ier & IER_RDI) != 0) {
			vmm_irq_raise(u->port.base.irq);
		}
	} else {
		vmm_serial_send(&u->port, byte);
	}
	raise_thre(u);
}

static uint8_t read_iir(struct uart *u)
{
	uint8_t fifo = (u->fcr & FCR_ENABLE) != 0 ? IIR_FIFO : 0u;

	if (u->data_ready && (u->ier & IER_RDI) != 0) {
		return (uint8_t)(fifo | IIR_RDI);
	}
	if (u->thre_pending && (u->ier & IER_THRI) != 0) {
		u->thre_pending = false;
		return (uint8_t)(fifo | IIR_THRI);
	}
	return (uint8_t)(fifo | IIR_NONE);
}

/* Somebody is always there and ready; in loopback mode, our own outputs. */
static uint8_t read_msr(const struct uart *u)
{
	if ((u->mcr & MCR_LOOP) == 0) {
		return MSR_DCD | MSR_DSR | MSR_CTS;
	}
	return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0u) | (u->mcr & MCR_DTR ? MSR_DSR : 0u) |
			 (u->mcr & MCR_OUT1 ? MSR_RI : 0u) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0u));
}

static uint8_t read_data(struct uart *u)
{
	uint8_t byte = u->received;

	u->received = 0;
	u->data_ready = false;
	return byte;
}

static uint8_t read_register(struct uart *u, uint64_t reg)
{
	bool dlab = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case REG_DATA:
		return dlab ? u->divisor[0] : read_data(u);
	case REG_IER:
		return dlab ? u->divisor[1] : u->ier;
	case REG_IIR:
		return read_iir(u);
	case REG_LCR:
		return u->lcr;
	case REG_MCR:
		return u->mcr;
	case REG_LSR:
		return (uint8_t)(LSR_THRE | LSR_TEMT | (u->data_ready ? LSR_DR : 0u));
	case REG_MSR:
		return read_msr(u);
	default:
		return u->scr;
	}
}

static void write_ier(struct uart *u, uint8_t value)
{
	uint8_t was = u->ier;

	u->ier = value & IER_MASK;
	/* Enabling the transmitter interrupt while the register is empty, which it always is,
	 * raises it: drivers start sending this way, and test for it. */
	if ((u->ier & IER_THRI) != 0 && (was & IER_THRI) == 0) {
		u->thre_pending = false;
		raise_thre(u);
	}
	if ((u->ier & IER_RDI) != 0 && (was & IER_RDI) == 0 && u->data_ready) {
		vmm_irq_raise(u->port.base.irq);
	}
}

static void write_register(struct uart *u, uint64_t reg, uint8_t value)
{
	bool dlab = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case REG_DATA:
		if (!dlab) {
			transmit(u, value);
		} else {
			u->divisor[0] = value;
		}
		break;
	case REG_IER:
		if (dlab) {
			u->divisor[1] = value;
		} else {
			write_ier(u, value);
		}
		break;
	case REG_IIR:
		u->fcr = value;
		break;
	case REG_LCR:
		u->lcr = value;
		break;
	case REG_MCR:
		u->mcr = value & MCR_MASK;
		break;
	case REG_SCR:
		u->scr = value;
		break;
	default:
		break; /* LSR and MSR are read-only */
	}
}

static uint64_t uart_read(void *ctx, uint64_t offset, unsigned len)
{
	struct uart *u = ctx;
	uint64_t value = 0;

	(void)pthread_mutex_lock(&u->port.lock);
	for (unsigned i = 0; i < len; i++) {
		value |= (uint64_t)read_register(u, offset + i) << (8 * i);
	}
	(void)pthread_mutex_unlock(&u->port.lock);
	return value;
}

static void uart_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct uart *u = ctx;

	/* Wider accesses touch the registers one after the other, as the bus would. */
	for (unsigned i = 0; i < len; i++) {
		vmm_serial_enter(&u->port);
		write_register(u, offset + i, (uint8_t)(value >> (8 * i)));
		vmm_serial_leave(&u->port);
	}
}

/* ---- life ---- */

static void set_defaults(struct uart *u)
{
	u->ier = 0;
	u->fcr = 0;
	u->lcr = 0;
	u->mcr = 0;
	u->scr = 0;
	u->divisor[0] = 0x0c; /* 9600 baud */
	u->divisor[1] = 0;
	u->data_ready = false;
	u->thre_pending = false;
}

static void uart_reset(struct vmm_platform_device *dev)
{
	struct uart *u = (struct uart *)dev;

	(void)pthread_mutex_lock(&u->port.lock);
	set_defaults(u);
	(void)pthread_mutex_unlock(&u->port.lock);
}

static const struct vmm_platform_ops uart_ops = {
	.bus = {.read = uart_read, .write = uart_write},
	.reset = uart_reset,
	.destroy = vmm_serial_destroy,
};

struct serial_port *vmm_uart8250_new(void)
{
	struct uart *u = calloc(1, sizeof(*u));

	if (!u) {
		return NULL;
	}
	u->port.base.ops = &uart_ops;
	u->port.base.type = VMM_PLATFORM_UART_8250;
	set_defaults(u);
	return &u->port;
}
