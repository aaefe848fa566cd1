/* SPDX-License-Identifier: MIT */
/* virtio-console with several ports, and guests that do not keep to the rules. */
#include <string.h>

#include "test_console_fix.h"

static void control(uint32_t id, uint16_t event, uint16_t value)
{
	uint8_t *mem = fakedrv_alloc(drv, 8);
	struct fakedrv_buf buf = FAKEDRV_OUT(mem, 8);

	memcpy(mem, &id, 4);
	memcpy(mem + 4, &event, 2);
	memcpy(mem + 6, &value, 2);
	ck_assert_uint_eq(fakedrv_request(drv, CONTROL_OUT, &buf, 1), 0);
	fakedrv_run(drv);
}

static uint8_t *control_bufs[64];

static void offer_control(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t *mem = fakedrv_alloc(drv, 128);
		struct fakedrv_buf buf = FAKEDRV_IN(mem, 128);
		int head = fakedrv_add(drv, CONTROL_IN, &buf, 1);

		ck_assert_int_ge(head, 0);
		control_bufs[head] = mem;
	}
	fakedrv_kick(drv, CONTROL_IN);
}

/* The next message to the guest must be this one, with extra bytes behind it. */
static void expect(uint32_t id, uint16_t event, uint16_t value, const void *extra, size_t len)
{
	struct fakedrv_used used;
	const uint8_t *m;

	ck_assert_msg(fakedrv_used(drv, CONTROL_IN, &used), "no message: event %u of port %u",
		      event, id);
	m = control_bufs[used.head];
	ck_assert_uint_eq(m[0] | (unsigned)m[1] << 8, id);
	ck_assert_uint_eq(m[4] | (unsigned)m[5] << 8, event);
	ck_assert_uint_eq(m[6] | (unsigned)m[7] << 8, value);
	ck_assert_uint_eq(used.len, 8 + len);
	if (len > 0) {
		ck_assert_int_eq(memcmp(m + 8, extra, len), 0);
	}
}

static void expect_silence(void)
{
	struct fakedrv_used used;

	ck_assert(!fakedrv_used(drv, CONTROL_IN, &used));
}

START_TEST(console_ports_are_introduced)
{
	const uint16_t size[2] = {100, 40};

	consolefix_start(3);
	vmm_chardev_set_size(&wires[0].base, 100, 40);
	vmm_chardev_set_size(&wires[1].base, 5, 5);
	offer_control(32);
	expect_silence();
	control(0, 0, 1); /* DEVICE_READY */
	expect(0, 1, 1, NULL, 0);
	expect(1, 1, 1, NULL, 0);
	expect(2, 1, 1, NULL, 0);
	control(0, 3, 1); /* PORT_READY */
	expect(0, 4, 1, NULL, 0);
	expect(0, 7, 1, "main", 4);
	expect(0, 5, 0, size, 4);
	expect(0, 6, 1, NULL, 0);
	control(1, 3, 1);
	expect(1, 7, 1, "org.example.agent", 17);
	expect(1, 6, 1, NULL, 0);
	control(2, 3, 1);
	expect(2, 4, 1, NULL, 0);
	expect(2, 6, 1, NULL, 0);
	/* A new size of a console port is told, of another not. */
	vmm_chardev_set_size(&wires[2].base, 100, 40);
	expect(2, 5, 0, size, 4);
	vmm_chardev_set_size(&wires[1].base, 6, 6);
	expect_silence();
	/* Nothing is told twice. */
	control(0, 0, 1);
	control(1, 3, 1);
	expect_silence();
	consolefix_finish();
}
END_TEST

START_TEST(console_ports_wait_for_control_buffers)
{
	consolefix_start(3);
	for (unsigned i = 0; i < 1000; i++) {
		control(0, 0, 1);
		control(1, 3, 1);
	}
	offer_control(2);
	expect(0, 1, 1, NULL, 0);
	expect(1, 1, 1, NULL, 0);
	expect_silence();
	offer_control(8);
	expect(1, 7, 1, "org.example.agent", 17);
	expect(1, 6, 1, NULL, 0);
	expect(2, 1, 1, NULL, 0);
	expect_silence();
	consolefix_finish();
}
END_TEST

static void introduce(unsigned ports)
{
	struct fakedrv_used used;

	offer_control(32);
	control(0, 0, 1);
	for (unsigned i = 0; i < ports; i++) {
		control(i, 3, 1);
	}
	while (fakedrv_used(drv, CONTROL_IN, &used)) {
	}
}

START_TEST(console_ports_carry_their_own_bytes)
{
	char *mem;

	consolefix_start(3);
	introduce(3);
	consolefix_say(OUT0, "zero");
	consolefix_say(OUT1, "one");
	consolefix_say(OUT1 + 2, "two");
	ck_assert_int_eq(memcmp(wires[0].output, "zero", 4), 0);
	ck_assert_int_eq(memcmp(wires[1].output, "one", 3), 0);
	ck_assert_int_eq(memcmp(wires[2].output, "two", 3), 0);
	mem = consolefix_offer(IN1, 16);
	/* Input waits until somebody in the guest has the port open. */
	consolefix_type(1, "hello");
	ck_assert_str_eq(mem, "");
	control(1, 6, 1);
	ck_assert_str_eq(mem, "hello");
	mem = consolefix_offer(IN1, 16);
	control(1, 6, 0);
	ck_assert(!wires[1].wanted);
	consolefix_type(1, "later");
	control(1, 6, 1);
	ck_assert_str_eq(mem, "later");
	consolefix_finish();
}
END_TEST

static void resume(unsigned ports)
{
	consolefix_create(ports);
	ck_assert_int_eq(fakedrv_prepare(drv, NULL), 0);
	ck_assert_int_eq(fakedrv_driver_resumes(drv), 0);
	fakedrv_run(drv);
}

/* Its ports are there and open, since it was told by another process that is no more. */
START_TEST(console_resumed_driver_goes_on_with_its_ports)
{
	const uint16_t size[2] = {100, 40};
	char *mem;

	resume(3);
	offer_control(32);
	expect_silence();
	consolefix_say(OUT1, "one");
	ck_assert_int_eq(memcmp(wires[1].output, "one", 3), 0);
	mem = consolefix_offer(IN1, 16);
	consolefix_type(1, "typed");
	ck_assert_str_eq(mem, "typed");
	vmm_chardev_set_size(&wires[2].base, 100, 40);
	expect(2, 5, 0, size, 4);
	/* It closes one: what is known counts again. */
	control(1, 6, 0);
	(void)consolefix_offer(IN1, 16);
	ck_assert(!wires[1].wanted);
	expect_silence();
	consolefix_finish();
}
END_TEST

START_TEST(console_resumed_driver_that_had_not_been_told_is_told)
{
	resume(2);
	offer_control(32);
	control(0, 0, 1);
	expect(0, 1, 1, NULL, 0);
	expect(1, 1, 1, NULL, 0);
	control(1, 3, 1);
	expect(1, 7, 1, "org.example.agent", 17);
	expect(1, 6, 1, NULL, 0);
	/* Once. */
	control(1, 3, 1);
	control(0, 3, 0);
	expect_silence();
	/* After a reset there is nothing to go on with. */
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	(void)consolefix_offer(IN1, 16);
	ck_assert(!wires[1].wanted);
	consolefix_finish();
}
END_TEST

START_TEST(console_driver_without_multiport_has_port_0)
{
	struct fakedrv_options options = {.refuse = F_MULTIPORT, .skip_queues = ~UINT64_C(3)};
	char *mem;

	consolefix_create(3);
	ck_assert_int_eq(fakedrv_start(drv, &options), 0);
	consolefix_say(OUT0, "plain");
	ck_assert_uint_eq(wires[0].output_len, 5);
	mem = consolefix_offer(IN0, 16);
	consolefix_type(0, "typed");
	ck_assert_str_eq(mem, "typed");
	consolefix_finish();
}
END_TEST

START_TEST(console_any_control_message_is_survived)
{
	uint32_t ids[] = {0, 1, 2, 3, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff};

	consolefix_start(3);
	offer_control(32);
	for (unsigned event = 0; event < 20; event++) {
		for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
			control(ids[i], (uint16_t)event, 0);
			control(ids[i], (uint16_t)event, 0xffff);
		}
	}
	control(0, 0xffff, 1);
	control(3, 3, 1);
	expect_silence();
	ck_assert(!fakedrv_needs_reset(drv));
	consolefix_finish();
}
END_TEST

START_TEST(console_control_message_of_any_length_is_survived)
{
	consolefix_start(3);
	offer_control(32);
	for (uint32_t len = 0; len <= 65536; len = len < 16 ? len + 1 : len * 2) {
		uint8_t *mem = fakedrv_alloc(drv, len + 1);
		struct fakedrv_buf buf = FAKEDRV_OUT(mem, len);

		memset(mem, 0xff, len);
		(void)fakedrv_request(drv, CONTROL_OUT, &buf, 1);
	}
	expect_silence();
	/* Split over descriptors it is the same message. */
	uint8_t *mem = fakedrv_alloc(drv, 8);
	struct fakedrv_buf whole = FAKEDRV_OUT(mem, 8);
	struct fakedrv_buf pieces[8];
	mem[6] = 1;
	ck_assert_uint_eq(fakedrv_chop(&whole, 1, 1, pieces, 8), 8);
	(void)fakedrv_request(drv, CONTROL_OUT, pieces, 8);
	fakedrv_run(drv);
	expect(0, 1, 1, NULL, 0);
	consolefix_finish();
}
END_TEST

START_TEST(console_control_buffer_too_small_loses_one_message)
{
	struct fakedrv_used used;
	uint8_t *mem;

	consolefix_start(3);
	mem = fakedrv_alloc(drv, 8);
	struct fakedrv_buf small = FAKEDRV_IN(mem, 7);
	ck_assert_int_eq(fakedrv_add(drv, CONTROL_IN, &small, 1), 0);
	offer_control(8);
	control(0, 0, 1);
	ck_assert(fakedrv_used(drv, CONTROL_IN, &used));
	ck_assert_uint_eq(used.len, 0);
	expect(1, 1, 1, NULL, 0);
	expect(2, 1, 1, NULL, 0);
	expect_silence();
	consolefix_finish();
}
END_TEST

START_TEST(console_control_flood_is_served_in_turns)
{
	struct fakedrv_used used;
	unsigned back = 0;
	uint8_t *mem;

	consolefix_start(3);
	mem = fakedrv_alloc(drv, 8);
	struct fakedrv_buf buf = FAKEDRV_OUT(mem, 8);
	mem[6] = 1;
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < 64; i++) {
			ck_assert_int_ge(fakedrv_add(drv, CONTROL_OUT, &buf, 1), 0);
		}
		fakedrv_kick(drv, CONTROL_OUT);
		while (fakedrv_used(drv, CONTROL_OUT, &used)) {
			back++;
		}
	}
	ck_assert_uint_eq(back, 200 * 64);
	consolefix_finish();
}
END_TEST

START_TEST(console_reset_forgets_the_ports)
{
	consolefix_start(3);
	introduce(3);
	fakedrv_reset(drv);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	offer_control(8);
	control(1, 3, 1); /* not added yet */
	expect_silence();
	control(0, 0, 1);
	expect(0, 1, 1, NULL, 0);
	consolefix_finish();
}
END_TEST

SUITE_MAIN("console_ports", console_ports_are_introduced, console_ports_wait_for_control_buffers,
	   console_ports_carry_their_own_bytes, console_resumed_driver_goes_on_with_its_ports,
	   console_resumed_driver_that_had_not_been_told_is_told,
	   console_driver_without_multiport_has_port_0, console_any_control_message_is_survived,
	   console_control_message_of_any_length_is_survived,
	   console_control_buffer_too_small_loses_one_message,
	   console_control_flood_is_served_in_turns, console_reset_forgets_the_ports)
