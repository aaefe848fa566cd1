/* SPDX-License-Identifier: MIT */
/* The 16550A: what operating systems probe and the transmitter's interrupts. Serial ports of either
 * kind: where the bytes go. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"
#include "test_serial_fix.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static uint8_t in(unsigned reg)
{
	return (uint8_t)dev->ops->bus.read(dev, reg, 1);
}

static void out(unsigned reg, unsigned value)
{
	dev->ops->bus.write(dev, reg, 1, value);
}

static void say(const char *text)
{
	for (; *text; text++) {
		out(DATA, (uint8_t)*text);
	}
}

START_TEST(serial_probe_looks_like_16550a)
{
	/* The steps of Linux's 8250 autoconfiguration. */
	out(IER, 0);
	ck_assert_uint_eq(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	ck_assert_uint_eq(in(IER)&0x0f, 0x0f);
	out(IER, 0);
	out(MCR, 0x1a);
	ck_assert_uint_eq(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	ck_assert_uint_eq(in(MSR), 0xb0);
	out(LCR, 0xbf);
	out(IIR, 0);
	out(LCR, 0);
	out(IIR, 0x01);
	ck_assert_uint_eq(in(IIR) >> 6, 3);
	out(IIR, 0x27); /* not a 16750 */
	ck_assert_uint_eq(in(IIR) >> 5, 6);
	out(IER, 0x40); /* not an XScale */
	ck_assert_uint_eq(in(IER)&0x40, 0);
	out(IIR, 0);
	ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

START_TEST(serial_registers_hold_their_values)
{
	out(SCR, 0xa5);
	ck_assert_uint_eq(in(SCR), 0xa5);
	out(LCR, 0x83);
	out(DATA, 0x34);
	out(IER, 0x12);
	ck_assert_uint_eq(in(DATA), 0x34);
	ck_assert_uint_eq(in(IER), 0x12);
	out(LCR, 0x03);
	ck_assert_uint_eq(in(LCR), 0x03);
	ck_assert_uint_eq(in(IER), 0);
	ck_assert_uint_eq(in(DATA), 0);
	out(MCR, 0xff);
	ck_assert_uint_eq(in(MCR), 0x1f);
	out(MCR, 0);
	out(LSR, 0xff);
	out(MSR, 0xff);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(MSR), 0xb0);
	settle();
	ck_assert_uint_eq(memory.used, 0);
}
END_TEST

START_TEST(serial_thre_enabled_interrupts_each_time)
{
	out(IER, 0x02);
	ck_assert_uint_eq(irq.count, 1);
	ck_assert_uint_eq(in(IIR), 0x02);
	ck_assert_uint_eq(in(IIR), 0x01);
	out(IER, 0x00);
	out(IER, 0x02);
	ck_assert_uint_eq(irq.count, 2);
	ck_assert_uint_eq(in(IIR), 0x02);
}
END_TEST

START_TEST(serial_burst_interrupts_once)
{
	out(IER, 0x02);
	(void)in(IIR);
	irq.count = 0;
	say("sixteen bytes...");
	ck_assert_uint_eq(irq.count, 1);
	ck_assert_uint_eq(in(IIR), 0x02);
	say("x");
	ck_assert_uint_eq(irq.count, 2);
}
END_TEST

START_TEST(serial_thre_disabled_stays_quiet)
{
	say("hello\n");
	ck_assert_uint_eq(irq.count, 0);
	ck_assert_uint_eq(in(IIR), 0x01);
}
END_TEST

START_TEST(serial_loopback_gives_byte_back)
{
	out(IER, 0x01);
	out(MCR, 0x10);
	out(DATA, 'z');
	ck_assert_uint_eq(irq.count, 1);
	ck_assert_uint_eq(in(IIR), 0x04);
	ck_assert_uint_eq(in(LSR), 0x61);
	ck_assert_uint_eq(in(DATA), 'z');
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(IIR), 0x01);
	out(MCR, 0x1f);
	ck_assert_uint_eq(in(MSR), 0xf0);
	out(DATA, 'y');
	out(IER, 0);
	irq.count = 0;
	out(IER, 0x01);
	ck_assert_uint_eq(irq.count, 1);
	settle();
	ck_assert_uint_eq(memory.used, 0);
}
END_TEST

START_TEST(serial_wide_access_goes_register_by_register)
{
	dev->ops->bus.write(dev, LCR, 2, 0x1a80);
	ck_assert_uint_eq(in(MCR), 0x1a);
	ck_assert_uint_eq(dev->ops->bus.read(dev, LCR, 4), 0x90601a80u);
	out(LCR, 0);
	out(MCR, 0);
	dev->ops->bus.write(dev, DATA, 1, 0xffffff41);
	settle();
	ck_assert_str_eq(memory.text, "A");
}
END_TEST

START_TEST(serial_reset_restores_registers)
{
	out(IER, 0x0f);
	out(IIR, 1);
	out(LCR, 0x03);
	out(MCR, 0x0b);
	out(SCR, 0xff);
	say("last words");
	dev->ops->reset(dev);
	ck_assert_uint_eq(in(IER), 0);
	ck_assert_uint_eq(in(IIR), 0x01);
	ck_assert_uint_eq(in(LCR), 0);
	ck_assert_uint_eq(in(MCR), 0);
	ck_assert_uint_eq(in(SCR), 0);
	settle();
	ck_assert_str_eq(memory.text, "last words");
}
END_TEST

/* ---- any kind: bytes are written to register 0 ---- */

START_TEST(serial_line_arrives_whole)
{
	say("Linux version\n");
	ck_assert_uint_eq(memory.used, 0);
	(void)vmm_loop_dispatch(loop, 0);
	ck_assert_str_eq(memory.text, "Linux version\n");
	ck_assert_uint_eq(memory.writes, 1);
}
END_TEST

START_TEST(serial_prompt_arrives_after_a_moment)
{
	say("login: ");
	(void)vmm_loop_dispatch(loop, 0);
	ck_assert_uint_eq(memory.used, 0);
	settle();
	ck_assert_str_eq(memory.text, "login: ");
}
END_TEST

START_TEST(serial_more_than_the_buffer_loses_nothing)
{
	for (unsigned i = 0; i < 100000; i++) {
		out(DATA, 'a' + i % 26);
	}
	settle();
	ck_assert_uint_eq(memory.used, 100000);
	for (unsigned i = 0; i < 100000; i++) {
		ck_assert_int_eq(memory.text[i], (char)('a' + i % 26));
	}
}
END_TEST

static void *write_much(void *ctx)
{
	for (unsigned i = 0; i < 50000; i++) {
		out(DATA, *(const uint8_t *)ctx);
	}
	return NULL;
}

START_TEST(serial_two_vcpus_lose_nothing)
{
	static uint8_t a = 'a';
	static uint8_t b = 'b';
	pthread_t threads[2];
	size_t count[2] = {0};

	ck_assert_int_eq(pthread_create(&threads[0], NULL, write_much, &a), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, write_much, &b), 0);
	for (unsigned i = 0; memory.used < 100000 && i < 10000; i++) {
		(void)vmm_loop_dispatch(loop, 20);
	}
	(void)pthread_join(threads[0], NULL);
	(void)pthread_join(threads[1], NULL);
	ck_assert_uint_eq(memory.used, 100000);
	for (size_t i = 0; i < memory.used; i++) {
		count[memory.text[i] == 'b']++;
	}
	ck_assert_uint_eq(count[0], 50000);
	ck_assert_uint_eq(count[1], 50000);
}
END_TEST

START_TEST(serial_destroy_hands_over_the_rest)
{
	say("panic");
	vmm_serial_destroy(dev);
	dev = NULL;
	ck_assert_str_eq(memory.text, "panic");
	ck_assert_ptr_null(memory.base.loop);
}
END_TEST

START_TEST(serial_flush_hands_over_what_is_no_line_yet)
{
	say("panic");
	vmm_serial_flush(dev);
	ck_assert_str_eq(memory.text, "panic");
	vmm_serial_flush(NULL);
}
END_TEST

START_TEST(serial_without_output_runs)
{
	struct vmm_serial_config config = {.type = dev->type, .loop = loop};
	struct vmm_platform_device *mute;

	ck_assert_int_eq(vmm_serial_create(&mute, &config, NULL), 0);
	mute->ops->bus.write(mute, DATA, 1, '\n');
	settle();
	mute->ops->destroy(mute);
}
END_TEST

START_TEST(serial_output_in_use_is_refused)
{
	struct vmm_serial_config config = {
		.type = dev->type,
		.loop = loop,
		.output = &memory.base,
	};
	struct vmm_platform_device *second = dev;
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_serial_create(&second, &config, &err), -EBUSY);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(err.message, "back end"));
}
END_TEST

START_TEST(serial_of_no_kind_is_refused)
{
	struct vmm_serial_config config = {.type = (enum vmm_platform_type)99, .loop = loop};
	struct vmm_platform_device *second = dev;
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_serial_create(&second, &config, &err), -EINVAL);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(err.message, "no port is of this type"));
	/* The machine's own kind, where none is named. */
	config.type = VMM_PLATFORM_NONE;
	ck_assert_int_eq(vmm_serial_create(&second, &config, &err), 0);
	ck_assert_int_eq(second->type, vmm_uart_type());
	vmm_serial_destroy(second);
	vmm_serial_destroy(NULL);
}
END_TEST

START_TEST(serial_that_cannot_be_made_leaves_nothing)
{
	struct vmm_serial_config config = {.type = dev->type, .loop = loop};
	struct faultinj f = {0};
	unsigned before = fdcount();

	while (faultinj_next(&f)) {
		struct vmm_platform_device *second = dev;
		struct vmm_error err = {0};
		int ret = vmm_serial_create(&second, &config, &err);

		faultinj_stop(&f);
		ck_assert((ret == 0) == (f.failed == NULL));
		ck_assert((second != NULL) == (ret == 0));
		ck_assert((err.message[0] == '\0') == (ret == 0));
		vmm_serial_destroy(second);
		ck_assert_uint_eq(fdcount(), before);
	}
	/* Nor is the back end taken. */
	vmm_serial_destroy(dev);
	config.output = &memory.base;
	f = (struct faultinj){0};
	while (faultinj_next(&f)) {
		int ret = vmm_serial_create(&dev, &config, NULL);

		faultinj_stop(&f);
		ck_assert((ret == 0) == (f.failed == NULL));
		ck_assert((memory.base.loop != NULL) == (ret == 0));
	}
}
END_TEST

/* All that ports of each kind owe, after the kind itself. */
static void add(Suite *suite, const TTest *const *tests, size_t count, SFun setup)
{
	for (size_t i = 0; i < count; i++) {
		suite_add(suite, tests[i], 1, setup, serial_teardown);
	}
}

int main(void)
{
	const TTest *const uart8250[] = {
		serial_probe_looks_like_16550a,
		serial_registers_hold_their_values,
		serial_thre_enabled_interrupts_each_time,
		serial_burst_interrupts_once,
		serial_thre_disabled_stays_quiet,
		serial_loopback_gives_byte_back,
		serial_wide_access_goes_register_by_register,
		serial_reset_restores_registers,
	};
	const TTest *const any[] = {
		serial_line_arrives_whole,
		serial_prompt_arrives_after_a_moment,
		serial_more_than_the_buffer_loses_nothing,
		serial_two_vcpus_lose_nothing,
		serial_destroy_hands_over_the_rest,
		serial_flush_hands_over_what_is_no_line_yet,
		serial_without_output_runs,
		serial_output_in_use_is_refused,
		serial_of_no_kind_is_refused,
		serial_that_cannot_be_made_leaves_nothing,
	};
	Suite *suite = suite_create("serial");

	add(suite, uart8250, sizeof(uart8250) / sizeof(uart8250[0]), setup_uart8250);
	add(suite, any, sizeof(any) / sizeof(any[0]), setup_uart8250);
	add(suite, any, sizeof(any) / sizeof(any[0]), setup_pl011);
	return suite_finish(suite);
}
