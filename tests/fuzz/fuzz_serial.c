/* SPDX-License-Identifier: MIT */
/*
 * A serial port of each kind under any sequence of accesses. The transmitter always shows empty,
 * the interrupt registers show what may be so, and what was sent outside loopback mode arrives, no
 * more and no less. The PL011's interrupt is an edge when it is asserted, and now and then while it
 * stays so.
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

struct edges {
	struct vmm_irq base;
	uint64_t count;
};

static void count_edge(struct vmm_irq *irq)
{
	((struct edges *)irq)->count++;
}

struct port {
	struct sink sink;
	struct edges edges;
	struct vmm_loop *loop;
	struct vmm_platform_device *dev;
	uint64_t sent;
	unsigned quiet; /* bytes without an edge, while the interrupt was asserted */
};

static uint64_t in(struct port *p, uint64_t reg, unsigned len)
{
	return p->dev->ops->bus.read(p->dev, reg, len);
}

static void out(struct port *p, uint64_t reg, unsigned len, uint64_t value)
{
	p->dev->ops->bus.write(p->dev, reg, len, value);
}

/* ---- 16550A ---- */

/* True when a byte written to register 0 goes out. */
static bool uart_transmits(struct port *p)
{
	return (in(p, 3, 1) & 0x80) == 0 && (in(p, 4, 1) & 0x10) == 0;
}

static void uart_step(struct port *p, const uint8_t *s)
{
	unsigned reg = s[0] % 8;
	unsigned len = reg % 2 == 0 && (s[0] & 0x40) ? 2 : 1;

	if ((s[0] & 0x80) != 0) {
		(void)in(p, reg, len);
	} else {
		p->sent += reg == 0 && uart_transmits(p);
		out(p, reg, len, s[1] | (unsigned)s[2] << 8);
	}
}

static void uart_check(struct port *p)
{
	uint64_t lsr = in(p, 5, 1);
	uint64_t iir = in(p, 2, 1);

	require((lsr & ~UINT64_C(1)) == 0x60, "the transmitter is empty");
	require((iir & 0x38) == 0 && ((iir & 7) == 1 || (iir & 7) == 2 || (iir & 7) == 4),
		"the interrupt register names a cause");
}

/* ---- PL011 ---- */

enum {
	DR = 0x00,
	FR = 0x18,
	LCR_H = 0x2c,
	CR = 0x30,
	IMSC = 0x38,
	RIS = 0x3c,
	MIS = 0x40,
	ICR = 0x44
};

/* Drivers leave their handler after so many rounds, and have to be called again. */
#define ROUNDS 256u

static void pl011_write(struct port *p, uint64_t reg, unsigned len, uint64_t value)
{
	bool was = in(p, MIS, 4) != 0;
	uint64_t edges;

	p->edges.count = 0;
	out(p, reg, len, value);
	edges = p->edges.count;
	p->sent += reg == DR;
	if (in(p, MIS, 4) != 0 && !was) {
		require(edges == 1, "an interrupt that is asserted is an edge");
	} else {
		require(edges == 0 || (edges == 1 && was && reg == DR), "an edge has a reason");
	}
	p->quiet = edges > 0 ? 0 : p->quiet + (was && reg == DR);
	require(p->quiet < ROUNDS, "an interrupt that stays asserted is an edge again");
}

static void pl011_step(struct port *p, const uint8_t *s)
{
	static const uint16_t regs[] = {DR, FR, LCR_H, CR, IMSC, RIS, ICR};
	unsigned len = 1u << (s[0] >> 3 & 3);
	uint64_t value = s[1] | (unsigned)s[2] << 8;
	uint64_t reg = s[0] % 8;

	/* One of them, or any address at all. */
	reg = reg < 7 ? regs[reg] : value % (0x1000 - len + 1);
	if ((s[0] & 0x80) != 0) {
		value = in(p, reg, len);
		require(reg != FR || value == 0x97, "the transmitter is empty");
	} else {
		pl011_write(p, reg, len, value);
	}
}

static void pl011_check(struct port *p)
{
	uint64_t ris = in(p, RIS, 4);

	require(in(p, FR, 4) == 0x97, "the transmitter is empty");
	require((ris & ~UINT64_C(0x20)) == 0, "nothing but sending ever happens");
	require(in(p, MIS, 4) == (ris & in(p, IMSC, 4)), "masks are honoured");
}

/* ---- both ---- */

static const struct kind {
	enum vmm_platform_type type;
	void (*step)(struct port *p, const uint8_t *s);
	void (*check)(struct port *p);
} kinds[] = {
	{VMM_PLATFORM_UART_8250, uart_step, uart_check},
	{VMM_PLATFORM_PL011, pl011_step, pl011_check},
};

static void run(const struct kind *kind, const uint8_t *data, size_t size)
{
	struct port p = {
		.sink = {.base = {.ops = &sink_ops}},
		.edges = {.base = {.raise = count_edge}},
	};
	struct vmm_serial_config config = {.type = kind->type, .output = &p.sink.base};

	require(vmm_loop_create(&p.loop) == 0, "a loop");
	config.loop = p.loop;
	require(vmm_serial_create(&p.dev, &config, NULL) == 0, "a serial port");
	p.dev->irq = &p.edges.base;
	for (size_t i = 0; i < size / 3 && i < STEPS_MAX; i++) {
		const uint8_t *s = data + i * 3;

		if ((s[0] & 0x38) == 0x38) {
			p.dev->ops->reset(p.dev);
			p.quiet = 0;
		} else {
			kind->step(&p, s);
		}
		if (i % 16 == 0) {
			kind->check(&p);
			(void)vmm_loop_dispatch(p.loop, 0);
		}
	}
	vmm_serial_destroy(p.dev);
	require(p.sink.got == p.sent, "what was sent arrived");
	vmm_loop_destroy(p.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		run(&kinds[i], data, size);
	}
	return 0;
}
