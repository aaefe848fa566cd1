/* SPDX-License-Identifier: MIT */
/*
 * ARM's PL011, as far as operating systems use it to write their logs. Register names and numbers
 * are those of the PrimeCell UART's reference manual (DDI 0183, r1p5).
 *
 * The transmitter is always empty: a byte has left the moment it is written, and that is the event
 * behind the transmit interrupt. The interrupt line knows edges only, while drivers may leave their
 * handler, after many rounds in it, with the interrupt still asserted, and expect to be called
 * again. So the edge is repeated now and then while bytes are written with the interrupt asserted;
 * one that comes during the handler is delivered after it.
 */
#include "serial/port.h"

#include <stdlib.h>

enum {
	REG_DR = 0x00,
	REG_FR = 0x18,
	REG_ILPR = 0x20,
	REG_IBRD = 0x24,
	REG_FBRD = 0x28,
	REG_LCR_H = 0x2c,
	REG_CR = 0x30,
	REG_IFLS = 0x34,
	REG_IMSC = 0x38,
	REG_RIS = 0x3c,
	REG_MIS = 0x40,
	REG_ICR = 0x44,
	REG_DMACR = 0x48,
	REG_ID = 0xfe0, /* PeriphID0-3 and PCellID0-3, a byte in each word */
	REG_END = 0x1000,
};

/* Flag register: both FIFOs are empty; somebody is always there and ready. */
#define FR_ALWAYS (0x80u | 0x10u | 0x07u)
#define INT_TX    0x20u
#define INT_MASK  0x7ffu

/* Bytes between two edges while the interrupt stays asserted: Linux leaves its handler after 256
 * rounds of at least 8 bytes. */
#define REPEAT 256u

/* The registers that only hold what was written to them. */
static const struct {
	uint16_t reg;
	uint16_t mask;
	uint16_t initial;
} plain[] = {
	{REG_ILPR, 0xff, 0},     {REG_IBRD, 0xffff, 0},  {REG_FBRD, 0x3f, 0},  {REG_LCR_H, 0xff, 0},
	{REG_CR, 0xff87, 0x300}, {REG_IFLS, 0x3f, 0x12}, {REG_DMACR, 0x07, 0},
};
#define PLAIN (sizeof(plain) / sizeof(plain[0]))

struct pl011 {
	struct serial_port port;
	uint16_t values[PLAIN];
	uint32_t imsc;
	uint32_t ris;
	unsigned since_edge; /* bytes */
};

/* ---- registers, under the lock ---- */

static bool asserted(const struct pl011 *p)
{
	return (p->ris & p->imsc) != 0;
}

static void raise(struct pl011 *p)
{
	p->since_edge = 0;
	vmm_irq_raise(p->port.base.irq);
}

static void send(struct pl011 *p, uint8_t byte)
{
	bool was = asserted(p);

	vmm_serial_send(&p->port, byte);
	p->ris |= INT_TX;
	p->since_edge++;
	if (asserted(p) && (!was || p->since_edge >= REPEAT)) {
		raise(p);
	}
}

static void write_imsc(struct pl011 *p, uint32_t value)
{
	bool was = asserted(p);

	p->imsc = value & INT_MASK;
	if (asserted(p) && !was) {
		raise(p);
	}
}

/* Designer ARM (0x41), part 0x011, revision r1p5: FIFOs of 32 bytes. Then the PrimeCell's own. */
static uint8_t read_id(uint64_t reg)
{
	static const uint8_t id[] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	return id[(reg - REG_ID) / 4];
}

static size_t find_plain(uint64_t reg)
{
	size_t i = 0;

	while (i < PLAIN && plain[i].reg != reg) {
		i++;
	}
	return i;
}

static uint32_t read_register(const struct pl011 *p, uint64_t reg)
{
	size_t i = find_plain(reg);

	if (i < PLAIN) {
		return p->values[i];
	}
	if (reg >= REG_ID && reg < REG_END) {
		return read_id(reg);
	}
	switch (reg) {
	case REG_FR:
		return FR_ALWAYS;
	case REG_IMSC:
		return p->imsc;
	case REG_RIS:
		return p->ris;
	case REG_MIS:
		return p->ris & p->imsc;
	default:
		return 0; /* nothing was received, and without an error */
	}
}

static void write_register(struct pl011 *p, uint64_t reg, uint32_t value)
{
	size_t i = find_plain(reg);

	if (i < PLAIN) {
		p->values[i] = (uint16_t)(value & plain[i].mask);
		return;
	}
	switch (reg) {
	case REG_DR:
		send(p, (uint8_t)value);
		break;
	case REG_IMSC:
		write_imsc(p, value);
		break;
	case REG_ICR:
		p->ris &= ~value;
		break;
	default:
		break;
	}
}

/* Registers are the low 16 bits of a word; a wider or narrower access is one of the word it starts
 * in, and what it would find beside the register is zero. */
static uint64_t pl011_read(void *ctx, uint64_t offset, unsigned len)
{
	struct pl011 *p = ctx;
	uint64_t value;

	(void)len;
	(void)pthread_mutex_lock(&p->port.lock);
	value = read_register(p, offset & ~UINT64_C(3));
	(void)pthread_mutex_unlock(&p->port.lock);
	return value >> (8 * (offset & 3));
}

static void pl011_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct pl011 *p = ctx;

	(void)len;
	if ((offset & 3) != 0) {
		return;
	}
	vmm_serial_enter(&p->port);
	write_register(p, offset, (uint32_t)value);
	vmm_serial_leave(&p->port);
}

/* ---- life ---- */

static void set_defaults(struct pl011 *p)
{
	for (size_t i = 0; i < PLAIN; i++) {
		p->values[i] = plain[i].initial;
	}
	p->imsc = 0;
	p->ris = 0;
	p->since_edge = 0;
}

static void pl011_reset(struct vmm_platform_device *dev)
{
	struct pl011 *p = (struct pl011 *)dev;

	(void)pthread_mutex_lock(&p->port.lock);
	set_defaults(p);
	(void)pthread_mutex_unlock(&p->port.lock);
}

static const struct vmm_platform_ops pl011_ops = {
	.bus = {.read = pl011_read, .write = pl011_write},
	.reset = pl011_reset,
	.destroy = vmm_serial_destroy,
};

struct serial_port *vmm_pl011_new(void)
{
	struct pl011 *p = calloc(1, sizeof(*p));

	if (!p) {
		return NULL;
	}
	p->port.base.ops = &pl011_ops;
	p->port.base.type = VMM_PLATFORM_PL011;
	set_defaults(p);
	return &p->port;
}
