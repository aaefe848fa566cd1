/* SPDX-License-Identifier: MIT */
/* The PL011: what operating systems' drivers do with it, the steps of Linux's amba-pl011 above all.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "test_serial_fix.h"

enum {
	DR = 0x00,
	RSR = 0x04,
	FR = 0x18,
	ILPR = 0x20,
	IBRD = 0x24,
	FBRD = 0x28,
	LCR_H = 0x2c,
	CR = 0x30,
	IFLS = 0x34,
	IMSC = 0x38,
	RIS = 0x3c,
	MIS = 0x40,
	ICR = 0x44,
	DMACR = 0x48,
	ID = 0xfe0,
	SIZE = 0x1000,
};

#define FR_CTS  0x001u
#define FR_BUSY 0x008u
#define FR_RXFE 0x010u
#define FR_TXFF 0x020u
#define FR_TXFE 0x080u

#define INT_RX 0x10u
#define INT_TX 0x20u
#define INT_RT 0x40u

#define CR_UARTEN 0x001u
#define CR_TXE    0x100u
#define CR_RXE    0x200u
#define CR_RTS    0x800u

static uint64_t in_of(uint64_t reg, unsigned len)
{
	uint64_t value = dev->ops->bus.read(dev, reg, len);

	return len == 8 ? value : value & ((UINT64_C(1) << (8 * len)) - 1);
}

static uint32_t in(uint64_t reg)
{
	return (uint32_t)in_of(reg, 4);
}

static void out_of(uint64_t reg, unsigned len, uint64_t value)
{
	dev->ops->bus.write(dev, reg, len, value);
}

static void out(uint64_t reg, uint32_t value)
{
	out_of(reg, 4, value);
}

static void say(const char *text)
{
	for (; *text; text++) {
		out(DR, (uint8_t)*text);
	}
}

/* ---- registers ---- */

START_TEST(pl011_registers_hold_their_values)
{
	static const struct {
		uint64_t reg;
		uint32_t initial;
		uint32_t mask;
	} regs[] = {
		{ILPR, 0, 0xff},     {IBRD, 0, 0xffff},  {FBRD, 0, 0x3f},  {LCR_H, 0, 0xff},
		{CR, 0x300, 0xff87}, {IFLS, 0x12, 0x3f}, {IMSC, 0, 0x7ff}, {DMACR, 0, 0x07},
	};

	for (unsigned i = 0; i < 8; i++) {
		ck_assert_uint_eq(in(regs[i].reg), regs[i].initial);
	}
	for (unsigned i = 0; i < 8; i++) {
		out(regs[i].reg, 0xffffffff);
	}
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_uint_eq(in(regs[i].reg), regs[i].mask);
		out(regs[i].reg, 0);
		ck_assert_uint_eq(in(regs[i].reg), 0);
	}
	/* The other ones say what is so. */
	for (uint64_t reg = 0; reg < SIZE; reg += 4) {
		if (reg != DR) {
			out(reg, 0);
		}
	}
	ck_assert_uint_eq(in(FR), 0x97);
	ck_assert_uint_eq(in(DR), 0);
	ck_assert_uint_eq(in(RSR), 0);
	ck_assert_uint_eq(in(RIS), 0);
	ck_assert_uint_eq(in(MIS), 0);
	ck_assert_uint_eq(in(ICR), 0);
	for (uint64_t reg = DMACR + 4; reg < ID; reg += 4) {
		SUITE_REQUIRE(in(reg) == 0);
	}
	settle();
	ck_assert_uint_eq(memory.used, 0);
	ck_assert_uint_eq(irq.count, 0);
}
END_TEST

START_TEST(pl011_access_of_any_width_is_one_of_its_word)
{
	for (unsigned len = 1; len <= 8; len *= 2) {
		ck_assert_uint_eq(in_of(FR, len), 0x97);
		ck_assert_uint_eq(in_of(ID + 20, len), 0xf0);
	}
	/* Bytes within a word, as little-endian processors see them. */
	out(CR, 0x8301);
	ck_assert_uint_eq(in_of(CR, 1), 0x01);
	ck_assert_uint_eq(in_of(CR + 1, 1), 0x83);
	ck_assert_uint_eq(in_of(CR + 2, 1), 0);
	ck_assert_uint_eq(in_of(CR + 3, 1), 0);
	ck_assert_uint_eq(in_of(CR, 2), 0x8301);
	ck_assert_uint_eq(in_of(CR + 2, 2), 0);
	ck_assert_uint_eq(in_of(CR + 1, 2), 0x83);
	/* Beside a register is none. */
	out(IFLS, 0x3f);
	ck_assert_uint_eq(in_of(CR, 8), 0x8301);
	ck_assert_uint_eq(in_of(SIZE - 1, 1), 0);
	ck_assert_uint_eq(in_of(SIZE - 4, 1), 0xb1);
	/* A byte goes out whatever the width, and only at the register's own address. */
	for (unsigned len = 1; len <= 8; len *= 2) {
		out_of(DR, len, UINT64_C(0xffffffffffffff00) | 'A');
		for (unsigned at = 1; at < 4; at++) {
			out_of(DR + at, len, 'x');
		}
	}
	settle();
	ck_assert_uint_eq(memory.used, 4);
	ck_assert_mem_eq(memory.text, "AAAA", 4);
	/* As with all registers. */
	out_of(CR + 1, 1, 0xff);
	out_of(CR + 2, 2, 0xff);
	out_of(CR - 1, 8, UINT64_MAX);
	ck_assert_uint_eq(in(CR), 0x8301);
	out_of(CR, 1, 0x80);
	ck_assert_uint_eq(in(CR), 0x80);
	out_of(IBRD, 8, UINT64_MAX);
	ck_assert_uint_eq(in(IBRD), 0xffff);
	ck_assert_uint_eq(in(FBRD), 0);
}
END_TEST

START_TEST(pl011_any_access_is_survived)
{
	uint32_t state = 1;

	for (unsigned len = 1; len <= 8; len *= 2) {
		for (uint64_t reg = 0; reg + len <= SIZE; reg++) {
			(void)in_of(reg, len);
			state = state * 1664525 + 1013904223;
			if (reg != DR) {
				out_of(reg, len, state);
			}
		}
	}
	ck_assert_uint_eq(in(FR), 0x97);
	settle();
	ck_assert_uint_eq(memory.used, 0);
}
END_TEST

START_TEST(pl011_reset_restores_registers)
{
	static const uint64_t regs[] = {ILPR, IBRD, FBRD, LCR_H, CR, IFLS, IMSC, DMACR, RIS, MIS};
	uint32_t initial[10];

	for (unsigned i = 0; i < 10; i++) {
		initial[i] = in(regs[i]);
		out(regs[i], 0x7ff);
	}
	say("last words");
	ck_assert_uint_eq(in(MIS), INT_TX);
	irq.count = 0;
	dev->ops->reset(dev);
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_uint_eq(in(regs[i]), initial[i]);
	}
	settle();
	ck_assert_str_eq(memory.text, "last words");
	ck_assert_uint_eq(irq.count, 0);
	/* What was asserted before is so no more: the next time is a new one. */
	say("!");
	ck_assert_uint_eq(irq.count, 0);
	out(IMSC, INT_TX);
	ck_assert_uint_eq(irq.count, 1);
}
END_TEST

/* ---- interrupts ---- */

START_TEST(pl011_interrupt_comes_once_when_it_is_asserted)
{
	/* A transmitter that has sent nothing has nothing to report. */
	out(IMSC, INT_TX);
	ck_assert_uint_eq(irq.count, 0);
	ck_assert_uint_eq(in(RIS), 0);
	say("sixteen bytes...");
	ck_assert_uint_eq(irq.count, 1);
	ck_assert_uint_eq(in(RIS), INT_TX);
	ck_assert_uint_eq(in(MIS), INT_TX);
	/* Acknowledged, and asserted again. */
	out(ICR, INT_TX);
	ck_assert_uint_eq(in(RIS), 0);
	ck_assert_uint_eq(in(MIS), 0);
	ck_assert_uint_eq(irq.count, 1);
	say("x");
	ck_assert_uint_eq(irq.count, 2);
	/* Masked, and let through again. */
	out(IMSC, 0);
	ck_assert_uint_eq(in(RIS), INT_TX);
	ck_assert_uint_eq(in(MIS), 0);
	say("yyyy");
	ck_assert_uint_eq(irq.count, 2);
	out(IMSC, INT_TX | INT_RX);
	ck_assert_uint_eq(irq.count, 3);
	out(IMSC, INT_TX);
	ck_assert_uint_eq(irq.count, 3);
}
END_TEST

START_TEST(pl011_interrupts_of_what_does_not_happen_never_come)
{
	out(IMSC, 0x7ff & ~INT_TX);
	say("not a word is heard, nothing goes wrong, no signal changes\n");
	ck_assert_uint_eq(irq.count, 0);
	ck_assert_uint_eq(in(RIS), INT_TX);
	ck_assert_uint_eq(in(MIS), 0);
	/* Clearing others clears those. */
	out(ICR, 0x7ff & ~INT_TX);
	ck_assert_uint_eq(in(RIS), INT_TX);
	out(ICR, 0xffff);
	ck_assert_uint_eq(in(RIS), 0);
	/* Status cannot be written. */
	out(RIS, 0x7ff);
	out(MIS, 0x7ff);
	ck_assert_uint_eq(in(RIS), 0);
	ck_assert_uint_eq(in(MIS), 0);
}
END_TEST

/* While it stays asserted, an edge for each 256 bytes: not one for each byte. */
START_TEST(pl011_interrupt_that_stays_is_repeated_now_and_then)
{
	out(IMSC, INT_TX);
	for (unsigned i = 0; i < 256 * 40; i++) {
		out(DR, 'x');
		ck_assert_uint_eq(irq.count, 1 + i / 256);
	}
	settle();
	ck_assert_uint_eq(memory.used, 256 * 40);
}
END_TEST

/* ---- Linux: earlycon and console ---- */

START_TEST(pl011_earlycon_waits_for_nothing)
{
	static const char text[] = "[    0.000000] Booting Linux on physical CPU 0x0\n";

	/* pl011_putc of drivers/tty/serial/amba-pl011.c, before any set-up; once with each width
	 * that its register accesses may have. */
	for (unsigned len = 1; len <= 4; len *= 4) {
		for (const char *p = text; *p; p++) {
			ck_assert_uint_eq(in(FR)&FR_TXFF, 0);
			out_of(DR, len, (uint8_t)*p);
			ck_assert_uint_eq(in(FR)&FR_BUSY, 0);
		}
	}
	settle();
	ck_assert_uint_eq(memory.used, 2 * strlen(text));
	ck_assert_mem_eq(memory.text, text, strlen(text));
	ck_assert_mem_eq(memory.text + strlen(text), text, strlen(text));
	ck_assert_uint_eq(irq.count, 0);
}
END_TEST

START_TEST(pl011_console_write_works_in_the_middle_of_all)
{
	uint32_t cr = CR_UARTEN | CR_TXE | CR_RXE | CR_RTS;

	out(CR, cr);
	out(IMSC, INT_RX | INT_RT);
	/* pl011_console_write: without the clear-to-send signal, and back. */
	ck_assert_uint_eq(in(CR), cr);
	out(CR, (in(CR) & ~0x8000u) | CR_UARTEN | CR_TXE);
	for (const char *p = "oops\r\n"; *p; p++) {
		while (in(FR)&FR_TXFF) {
		}
		out(DR, (uint8_t)*p);
	}
	while (in(FR)&FR_BUSY) {
	}
	out(CR, cr);
	ck_assert_uint_eq(in(CR), cr);
	ck_assert_uint_eq(irq.count, 0);
	settle();
	ck_assert_str_eq(memory.text, "oops\r\n");
}
END_TEST

/* ---- Linux: the driver ---- */

/* amba_device_try_add, amba_read_periphid, get_fifosize_arm. */
START_TEST(pl011_probe_looks_like_pl011)
{
	uint32_t id = 0;
	uint32_t cell = 0;

	for (unsigned i = 0; i < 4; i++) {
		id |= (in(ID + 4 * i) & 0xff) << (8 * i);
		cell |= (in(ID + 16 + 4 * i) & 0xff) << (8 * i);
	}
	ck_assert_uint_eq(cell, 0xb105f00d);
	ck_assert_uint_eq(id & 0xfffff, 0x41011);
	ck_assert_uint_ge(id >> 20 & 0xf, 3); /* FIFOs of 32 bytes */
}
END_TEST

/* What the driver knows. The interrupt controller keeps one edge while the handler runs. */
struct driver {
	uint32_t im;
	unsigned fifo;
	size_t left;       /* bytes to be sent */
	unsigned served;   /* edges that led to the handler */
	unsigned handled;  /* times the handler ran */
	unsigned gave_up;  /* times it left with the interrupt asserted */
	unsigned spurious; /* times it found none asserted */
};

/* pl011_probe, pl011_startup, pl011_set_termios: what they write, in their order. */
static void start(struct driver *d)
{
	uint32_t cr;

	out(IMSC, 0);
	out(ICR, 0xffff);
	/* pl011_hwinit: errors and reception. */
	out(ICR, 0x7d0);
	d->im = in(IMSC);
	ck_assert_uint_eq(d->im, 0);
	out(IMSC, INT_RT | INT_RX);
	out(IFLS, 0x12);
	cr = in(CR)&0xc00;
	out(CR, cr | CR_UARTEN | CR_RXE | CR_TXE);
	/* pl011_enable_interrupts: what was received before is dropped. */
	out(ICR, INT_RT | INT_RX);
	for (unsigned i = 0; i < d->fifo * 2; i++) {
		if (in(FR)&FR_RXFE) {
			break;
		}
		(void)in(DR);
	}
	ck_assert_uint_ne(in(FR)&FR_RXFE, 0);
	d->im = INT_RT | INT_RX;
	out(IMSC, d->im);
	/* 115200 baud, 8 bits, FIFOs. */
	cr = in(CR);
	out(CR, 0);
	out(FBRD, 1);
	out(IBRD, 13);
	out(LCR_H, 0x70);
	out(CR, cr | CR_RTS);
	ck_assert_uint_ne(in(FR)&FR_CTS, 0);
	ck_assert_uint_eq(irq.count, 0);
}

static void stop_tx(struct driver *d)
{
	d->im &= ~INT_TX;
	out(IMSC, d->im);
}

/* Sends at most so many; true when something is left. */
static bool send(struct driver *d, size_t count)
{
	for (; d->left > 0 && count > 0 && !(in(FR)&FR_TXFF); count--) {
		out(DR, 'a' + (uint32_t)(d->left % 26));
		d->left--;
	}
	if (d->left == 0) {
		stop_tx(d);
	}
	return d->left > 0;
}

static void start_tx(struct driver *d, size_t at_once)
{
	if (send(d, at_once)) {
		d->im |= INT_TX;
		out(IMSC, d->im);
	}
}

/* pl011_int, which sends half of what the FIFO holds in each round, and gives up. */
static void handle(struct driver *d)
{
	unsigned passes = 256;
	uint32_t status = in(RIS)&d->im;

	d->handled++;
	d->spurious += status == 0;
	while (status != 0) {
		out(ICR, status & ~(INT_TX | INT_RT | INT_RX));
		(void)send(d, d->fifo / 2);
		if (passes-- == 0) {
			d->gave_up++;
			break;
		}
		status = in(RIS)&d->im;
	}
}

static void serve(struct driver *d)
{
	while (d->served != irq.count) {
		d->served = irq.count;
		handle(d);
		while (vmm_loop_dispatch(loop, 0) > 0) {
		}
	}
}

START_TEST(pl011_driver_sends_all_at_once)
{
	struct driver d = {.fifo = 32};

	start(&d);
	for (unsigned i = 0; i < 20; i++) {
		/* As much as the tty layer gives it: the FIFO never shows full. */
		d.left = 4096;
		start_tx(&d, SIZE_MAX);
		ck_assert_uint_eq(d.left, 0);
		ck_assert_uint_eq(in(IMSC), INT_RT | INT_RX);
	}
	serve(&d);
	ck_assert_uint_eq(d.handled, 0);
	settle();
	ck_assert_uint_eq(memory.used, 20 * 4096);
}
END_TEST

/* Drivers that send as much as the FIFO holds and wait for the interrupt. All bytes go out, also
 * when there are more than the handler takes before it gives up. */
START_TEST(pl011_driver_that_gives_up_is_called_again)
{
	/* FIFOs of revision 3, of those before, none to speak of. */
	static const unsigned fifos[] = {32, 16, 2};

	for (unsigned i = 0; i < 3; i++) {
		for (size_t total = 1; total < 100000; total = total * 3 + i) {
			struct driver d = {.fifo = fifos[i], .left = total};

			memory.used = 0;
			irq.count = 0;
			dev->ops->reset(dev);
			start(&d);
			start_tx(&d, d.fifo);
			serve(&d);
			ck_assert_uint_eq(d.left, 0);
			ck_assert_uint_eq(in(IMSC), INT_RT | INT_RX);
			if (total > (size_t)d.fifo + 257 * (d.fifo / 2)) {
				ck_assert_uint_gt(d.gave_up, 0);
			}
			/* An edge too many costs a look; they are few. */
			ck_assert_uint_le(d.spurious, 1);
			ck_assert_uint_le(irq.count, 2 + total / 256);
			settle();
			ck_assert_uint_eq(memory.used, total);
		}
	}
}
END_TEST

/* The same with what is written between handler and handler by others: the console of a kernel that
 * prints while the driver's interrupt is on. */
START_TEST(pl011_driver_and_console_do_not_lose_each_other)
{
	struct driver d = {.fifo = 32, .left = 20000};

	start(&d);
	start_tx(&d, d.fifo);
	for (unsigned i = 0; i < 2000 && d.left > 0; i++) {
		say("#");
		serve(&d);
	}
	ck_assert_uint_eq(d.left, 0);
	/* And once more, after all was quiet. */
	say("# # #");
	d.left = 1000;
	start_tx(&d, d.fifo);
	serve(&d);
	ck_assert_uint_eq(d.left, 0);
}
END_TEST

static void *write_and_mask(void *ctx)
{
	for (unsigned i = 0; i < 30000; i++) {
		out(DR, *(const uint8_t *)ctx);
		if (i % 64 == 0) {
			out(IMSC, 0);
			out(IMSC, INT_TX);
		}
		if (i % 100 == 0) {
			out(ICR, INT_TX);
			(void)in(MIS);
		}
	}
	return NULL;
}

START_TEST(pl011_two_vcpus_lose_neither_bytes_nor_interrupts)
{
	static uint8_t a = 'a';
	static uint8_t b = 'b';
	pthread_t threads[2];
	size_t count[2] = {0};

	ck_assert_int_eq(pthread_create(&threads[0], NULL, write_and_mask, &a), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, write_and_mask, &b), 0);
	for (unsigned i = 0; memory.used < 60000 && i < 10000; i++) {
		(void)vmm_loop_dispatch(loop, 20);
	}
	(void)pthread_join(threads[0], NULL);
	(void)pthread_join(threads[1], NULL);
	ck_assert_uint_eq(memory.used, 60000);
	for (size_t i = 0; i < memory.used; i++) {
		count[memory.text[i] == 'b']++;
	}
	ck_assert_uint_eq(count[0], 30000);
	ck_assert_uint_eq(count[1], 30000);
	ck_assert_uint_ge(irq.count, 60000 / 256);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		pl011_registers_hold_their_values,
		pl011_access_of_any_width_is_one_of_its_word,
		pl011_any_access_is_survived,
		pl011_reset_restores_registers,
		pl011_interrupt_comes_once_when_it_is_asserted,
		pl011_interrupts_of_what_does_not_happen_never_come,
		pl011_interrupt_that_stays_is_repeated_now_and_then,
		pl011_earlycon_waits_for_nothing,
		pl011_console_write_works_in_the_middle_of_all,
		pl011_probe_looks_like_pl011,
		pl011_driver_sends_all_at_once,
		pl011_driver_that_gives_up_is_called_again,
		pl011_driver_and_console_do_not_lose_each_other,
		pl011_two_vcpus_lose_neither_bytes_nor_interrupts,
	};
	Suite *suite = suite_create("pl011");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, setup_pl011, serial_teardown);
	}
	return suite_finish(suite);
}
