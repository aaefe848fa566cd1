/* SPDX-License-Identifier: MIT */
/* virtio-input: configuration space, events, drivers without buffers, sources that end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faultinj.h"
#include "test_input_fix.h"

#define SELECTED 8 /* where the data begins in the configuration space */

/* ---- configuration space ---- */

/* As Linux does it: two writes, then the size. */
static unsigned selected(struct fixture *f, uint8_t select, uint8_t subsel, uint8_t *data)
{
	uint8_t size;

	fakedrv_write_config(f->drv, 0, &select, 1);
	fakedrv_write_config(f->drv, 1, &subsel, 1);
	fakedrv_read_config(f->drv, 2, &size, 1);
	memset(data, 0xcc, 128);
	fakedrv_read_config(f->drv, SELECTED, data, 128);
	for (unsigned i = size; i < 128; i++) {
		ck_assert_uint_eq(data[i], 0);
	}
	return size;
}

static bool has_bit(const uint8_t *data, unsigned bit)
{
	return ((unsigned)data[bit / 8] >> (bit % 8)) & 1u;
}

START_TEST(input_config_of_a_keyboard)
{
	struct fixture f;
	uint8_t data[128];

	set_up(&f, VMM_INPUT_KEYBOARD);
	ck_assert_uint_eq(selected(&f, 1, 0, data), 15);
	ck_assert_mem_eq(data, "libvmm keyboard", 15);
	ck_assert_uint_eq(selected(&f, 2, 0, data), 5);
	ck_assert_mem_eq(data, "no. 7", 5);
	ck_assert_uint_eq(selected(&f, 3, 0, data), 8);
	ck_assert_uint_eq(data[0], BUS_VIRTUAL);
	ck_assert_uint_eq(selected(&f, 0x10, 0, data), 0);
	ck_assert_uint_eq(selected(&f, 0x11, EV_KEY, data), VMM_INPUT_KEY_MAX / 8 + 1);
	ck_assert(!has_bit(data, 0));
	for (unsigned code = KEY_ESC; code <= VMM_INPUT_KEY_MAX; code++) {
		ck_assert(has_bit(data, code));
	}
	ck_assert(!has_bit(data, VMM_INPUT_KEY_MAX + 1));
	ck_assert_uint_eq(selected(&f, 0x11, EV_LED, data), 1);
	ck_assert_uint_eq(data[0], 7);
	ck_assert_uint_eq(selected(&f, 0x11, EV_REP, data), 1);
	ck_assert_uint_eq(selected(&f, 0x11, EV_REL, data), 0);
	ck_assert_uint_eq(selected(&f, 0x11, EV_ABS, data), 0);
	ck_assert_uint_eq(selected(&f, 0x12, ABS_X, data), 0);
	tear_down(&f);
}
END_TEST

START_TEST(input_config_of_a_tablet)
{
	struct fixture f;
	uint8_t data[128];
	uint32_t info[5];

	set_up(&f, VMM_INPUT_TABLET);
	ck_assert_uint_eq(selected(&f, 1, 0, data), strlen("libvmm tablet"));
	ck_assert_uint_eq(selected(&f, 0x11, EV_KEY, data), BTN_TASK / 8 + 1);
	ck_assert(has_bit(data, BTN_LEFT) && has_bit(data, BTN_TASK) && !has_bit(data, KEY_A));
	ck_assert_uint_eq(selected(&f, 0x11, EV_REL, data), 2);
	ck_assert(has_bit(data, REL_WHEEL) && has_bit(data, REL_HWHEEL));
	ck_assert(has_bit(data, REL_WHEEL_HI_RES) && has_bit(data, REL_HWHEEL_HI_RES));
	ck_assert(!has_bit(data, REL_X) && !has_bit(data, REL_Y) && !has_bit(data, REL_DIAL));
	ck_assert_uint_eq(selected(&f, 0x11, EV_ABS, data), 1);
	ck_assert_uint_eq(data[0], 3);
	ck_assert_uint_eq(selected(&f, 0x11, EV_REP, data), 0);
	for (uint8_t axis = ABS_X; axis <= ABS_Y; axis++) {
		ck_assert_uint_eq(selected(&f, 0x12, axis, data), 20);
		memcpy(info, data, sizeof(info));
		ck_assert_uint_eq(info[0], 0);
		ck_assert_uint_eq(info[1], VMM_INPUT_ABS_MAX);
		ck_assert_uint_eq(info[2] | info[3] | info[4], 0);
	}
	ck_assert_uint_eq(selected(&f, 0x12, ABS_Z, data), 0);
	tear_down(&f);
}
END_TEST

START_TEST(input_config_has_an_answer_for_every_selection)
{
	struct fixture f;
	uint8_t data[128];

	set_up(&f, _i == 0 ? VMM_INPUT_KEYBOARD : VMM_INPUT_TABLET);
	for (unsigned select = 0; select < 256; select++) {
		for (unsigned subsel = 0; subsel<256; subsel += select> 0x20 ? 17u : 1u) {
			unsigned size = selected(&f, (uint8_t)select, (uint8_t)subsel, data);
			bool known =
				(select >= 1 && select <= 3) || select == 0x11 || select == 0x12;

			ck_assert_uint_le(size, 128);
			ck_assert(known || size == 0);
		}
	}
	/* None of which was an interrupt, though the driver is at work. */
	ck_assert_uint_eq(fakedrv_config_irqs(f.drv), 0);
	tear_down(&f);
}
END_TEST

START_TEST(input_config_write_of_other_bytes_does_nothing)
{
	static const uint8_t name_and_more[4] = {1, 0, 99, 99};
	struct fixture f;
	uint8_t data[136];
	uint8_t byte = 0xff;

	set_up(&f, VMM_INPUT_TABLET);
	fakedrv_write_config(f.drv, 0, name_and_more, sizeof(name_and_more));
	for (size_t offset = 2; offset < 140; offset++) {
		fakedrv_write_config(f.drv, offset, &byte, 1);
	}
	fakedrv_read_config(f.drv, 0, data, sizeof(data));
	ck_assert_uint_eq(data[0], 1);
	ck_assert_uint_eq(data[1], 0);
	ck_assert_uint_eq(data[2], strlen("libvmm tablet"));
	ck_assert_uint_eq(data[3] | data[4] | data[5] | data[6] | data[7], 0);
	ck_assert_mem_eq(data + SELECTED, "libvmm tablet\0\0", 15);
	tear_down(&f);
}
END_TEST

/* ---- events ---- */

START_TEST(input_events_arrive_in_order_one_in_each_buffer)
{
	struct fixture f;
	unsigned irqs;

	set_up(&f, VMM_INPUT_KEYBOARD);
	offer(&f, 20);
	irqs = fakedrv_queue_irqs(f.drv, EVENTQ);
	press(&f, KEY_A, 1);
	ck_assert_uint_eq(fakedrv_queue_irqs(f.drv, EVENTQ), irqs + 1);
	press(&f, KEY_A, 0);
	expect_key(&f, KEY_A, 1);
	expect_key(&f, KEY_A, 0);
	/* Two groups in a packet. */
	send_events(&f, 5, event(EV_KEY, KEY_LEFTSHIFT, 1), event(EV_KEY, KEY_B, 1), SYN,
		    event(EV_KEY, KEY_B, 0), SYN);
	expect(&f, EV_KEY, KEY_LEFTSHIFT, 1);
	expect_key(&f, KEY_B, 1);
	expect_key(&f, KEY_B, 0);
	expect_none(&f);
	ck_assert_uint_eq(counter(&f, "events"), 9);
	ck_assert_uint_eq(counter(&f, "events_dropped"), 0);
	tear_down(&f);
}
END_TEST

START_TEST(input_tablet_moves_clicks_and_scrolls)
{
	struct fixture f;

	set_up(&f, VMM_INPUT_TABLET);
	offer(&f, 20);
	send_events(&f, 3, event(EV_ABS, ABS_X, 0), event(EV_ABS, ABS_Y, VMM_INPUT_ABS_MAX), SYN);
	send_events(&f, 2, event(EV_KEY, BTN_RIGHT, 1), SYN);
	send_events(&f, 3, event(EV_REL, REL_WHEEL, (uint32_t)-1),
		    event(EV_REL, REL_WHEEL_HI_RES, (uint32_t)-120), SYN);
	expect(&f, EV_ABS, ABS_X, 0);
	expect(&f, EV_ABS, ABS_Y, VMM_INPUT_ABS_MAX);
	expect(&f, EV_SYN, SYN_REPORT, 0);
	expect_key(&f, BTN_RIGHT, 1);
	expect(&f, EV_REL, REL_WHEEL, (uint32_t)-1);
	expect(&f, EV_REL, REL_WHEEL_HI_RES, (uint32_t)-120);
	expect(&f, EV_SYN, SYN_REPORT, 0);
	expect_none(&f);
	tear_down(&f);
}
END_TEST

START_TEST(input_group_without_buffers_is_dropped_whole)
{
	struct fixture f;

	set_up(&f, VMM_INPUT_TABLET);
	offer(&f, 2);
	send_events(&f, 3, event(EV_ABS, ABS_X, 5), event(EV_ABS, ABS_Y, 6), SYN);
	expect_none(&f);
	ck_assert_uint_eq(counter(&f, "events_dropped"), 3);
	/* Nothing waits for the third. */
	offer(&f, 1);
	expect_none(&f);
	send_events(&f, 3, event(EV_ABS, ABS_X, 7), event(EV_ABS, ABS_Y, 8), SYN);
	expect(&f, EV_ABS, ABS_X, 7);
	expect(&f, EV_ABS, ABS_Y, 8);
	expect(&f, EV_SYN, SYN_REPORT, 0);
	tear_down(&f);
}
END_TEST

START_TEST(input_key_released_without_buffers_is_released_later)
{
	struct fixture f;

	set_up(&f, VMM_INPUT_KEYBOARD);
	offer(&f, 4);
	send_events(&f, 3, event(EV_KEY, KEY_LEFTCTRL, 1), event(EV_KEY, KEY_C, 1), SYN);
	expect(&f, EV_KEY, KEY_LEFTCTRL, 1);
	expect_key(&f, KEY_C, 1);
	press(&f, KEY_C, 0);
	press(&f, KEY_X, 1); /* not seen by the guest, so nothing to be released */
	press(&f, KEY_LEFTCTRL, 0);
	expect_none(&f);
	/* One buffer is there. The driver is asked to kick, or nobody would look. */
	offer(&f, 1);
	expect_key(&f, KEY_LEFTCTRL, 0);
	expect_none(&f);
	offer(&f, 1);
	expect_none(&f);
	offer(&f, 10);
	expect_key(&f, KEY_C, 0);
	expect_none(&f);
	tear_down(&f);
}
END_TEST

START_TEST(input_key_pressed_again_after_a_lost_release_is_two_strokes)
{
	struct fixture f;
	struct vmm_input_event up_down[] = {event(EV_KEY, KEY_A, 0), SYN};
	struct fakedrv_buf buf;

	set_up(&f, VMM_INPUT_KEYBOARD);
	offer(&f, 2);
	press(&f, KEY_A, 1);
	expect_key(&f, KEY_A, 1);
	press(&f, KEY_A, 0);
	expect_none(&f);
	/* Buffers come without a kick; the next stroke is there first. */
	for (unsigned i = 0; i < 8; i++) {
		int head;

		buf = (struct fakedrv_buf)FAKEDRV_IN(f.buffers + (size_t)i * EVENT, EVENT);
		head = fakedrv_add(f.drv, EVENTQ, &buf, 1);
		f.of_head[head] = buf.ptr;
	}
	press(&f, KEY_A, 1);
	send_bytes(&f, up_down, sizeof(up_down));
	expect_key(&f, KEY_A, 0);
	expect_key(&f, KEY_A, 1);
	expect_key(&f, KEY_A, 0);
	expect_none(&f);
	tear_down(&f);
}
END_TEST

START_TEST(input_end_of_the_source_releases_what_is_held)
{
	struct fixture f;

	set_up(&f, VMM_INPUT_KEYBOARD);
	offer(&f, 20);
	send_events(&f, 3, event(EV_KEY, KEY_LEFTALT, 1), event(EV_KEY, KEY_TAB, 1), SYN);
	press(&f, KEY_TAB, 0);
	for (unsigned i = 0; i < 5; i++) {
		struct vmm_input_event got;

		ck_assert(take(&f, &got));
	}
	if (_i == 0) {
		ck_assert_int_eq(close(f.ours), 0);
		f.ours = -1;
		fakedrv_run(f.drv);
	} else {
		send_bytes(&f, "", 0);
	}
	expect_key(&f, KEY_LEFTALT, 0);
	expect_none(&f);
	/* The loop is quiet, and what comes after the end is not looked at. */
	ck_assert_int_eq(vmm_loop_dispatch(fakedrv_loop(f.drv), 0), 0);
	if (f.ours >= 0) {
		press(&f, KEY_B, 1);
		expect_none(&f);
	}
	fakedrv_reset(f.drv);
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	ck_assert_int_eq(vmm_loop_dispatch(fakedrv_loop(f.drv), 0), 0);
	tear_down(&f);
}
END_TEST

START_TEST(input_end_with_no_buffers_is_settled_when_there_are)
{
	struct fixture f;

	set_up(&f, VMM_INPUT_KEYBOARD);
	offer(&f, 2);
	press(&f, KEY_A, 1);
	expect_key(&f, KEY_A, 1);
	ck_assert_int_eq(close(f.ours), 0);
	f.ours = -1;
	fakedrv_run(f.drv);
	expect_none(&f);
	offer(&f, 2);
	expect_key(&f, KEY_A, 0);
	tear_down(&f);
}
END_TEST

/* ---- life ---- */

START_TEST(input_from_before_the_driver_is_dropped)
{
	struct fixture f;

	set_up_on(&f, VMM_INPUT_KEYBOARD);
	for (unsigned round = 0; round < 3; round++) {
		press(&f, KEY_A, 1);
		press(&f, KEY_A, 0);
		ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
		offer(&f, 10);
		expect_none(&f);
		press(&f, KEY_B, 1);
		expect_key(&f, KEY_B, 1);
		/* The driver after this one knows of no key that is held. */
		fakedrv_reset(f.drv);
	}
	tear_down(&f);
}
END_TEST

START_TEST(input_reset_touches_no_buffer)
{
	struct fixture f;

	set_up(&f, VMM_INPUT_KEYBOARD);
	offer(&f, 10);
	fakedrv_reset(f.drv);
	press(&f, KEY_A, 1);
	for (unsigned i = 0; i < 10 * EVENT; i++) {
		ck_assert_uint_eq(f.buffers[i], 0);
	}
	tear_down(&f);
}
END_TEST

START_TEST(input_resumed_driver_has_every_key_released)
{
	bool up[VMM_INPUT_KEY_MAX + 1] = {false};
	struct vmm_input_event got;
	struct fixture f;
	unsigned total = 0;

	set_up_on(&f, VMM_INPUT_KEYBOARD);
	ck_assert_int_eq(fakedrv_prepare(f.drv, NULL), 0);
	ck_assert_int_eq(fakedrv_driver_resumes(f.drv), 0);
	for (unsigned round = 0; round < 12; round++) {
		offer(&f, 24);
		while (take(&f, &got)) {
			if (got.type == EV_KEY) {
				ck_assert_uint_eq(got.value, 0);
				ck_assert(!up[got.code]);
				up[got.code] = true;
				total++;
			}
		}
	}
	ck_assert_uint_eq(total, VMM_INPUT_KEY_MAX);
	press(&f, KEY_A, 1);
	expect_key(&f, KEY_A, 1);
	tear_down(&f);
}
END_TEST

START_TEST(input_lights_come_back)
{
	struct fixture f;
	struct vmm_input_event *light;
	struct fakedrv_used used;

	set_up(&f, VMM_INPUT_KEYBOARD);
	light = fakedrv_alloc(f.drv, EVENT);
	*light = event(EV_LED, LED_CAPSL, 1);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 64; i++) {
			struct fakedrv_buf buf = FAKEDRV_OUT(light, EVENT);

			ck_assert_int_ge(fakedrv_add(f.drv, STATUSQ, &buf, 1), 0);
		}
		fakedrv_kick(f.drv, STATUSQ);
		for (unsigned i = 0; i < 64; i++) {
			ck_assert(fakedrv_used(f.drv, STATUSQ, &used));
			ck_assert_uint_eq(used.len, 0);
		}
	}
	tear_down(&f);
}
END_TEST

START_TEST(input_reset_with_lights_left_is_clean)
{
	struct fixture f;
	uint8_t *light;

	set_up(&f, VMM_INPUT_KEYBOARD);
	light = fakedrv_alloc(f.drv, EVENT);
	for (unsigned i = 0; i < 64; i++) {
		struct fakedrv_buf buf = FAKEDRV_OUT(light, EVENT);

		ck_assert_int_ge(fakedrv_add(f.drv, STATUSQ, &buf, 1), 0);
	}
	vmm_carrier_kick(fakedrv_carrier(f.drv), STATUSQ);
	fakedrv_reset(f.drv);
	fakedrv_run(f.drv);
	tear_down(&f);
}
END_TEST

/* ---- creation ---- */

START_TEST(input_create_refuses)
{
	char long_serial[129];
	struct vmm_input_config config = {.source_fd = -1};
	struct vmm_virtio_device *dev;
	struct vmm_error err;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int blocking[2];
	int stream[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, blocking), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, stream),
			 0);
	memset(long_serial, 'x', 128);
	long_serial[128] = '\0';
	config.serial = long_serial;
	ck_assert_int_eq(vmm_input_create(&dev, &config, &err), -EINVAL);
	config.serial = long_serial + 1;
	ck_assert_int_eq(vmm_input_create(&dev, &config, &err), 0);
	vmm_virtio_device_destroy(dev);
	config.kind = (enum vmm_input_kind)2;
	ck_assert_int_eq(vmm_input_create(&dev, &config, &err), -EINVAL);
	config.kind = VMM_INPUT_TABLET;
	config.source_fd = 999;
	ck_assert_int_eq(vmm_input_create(&dev, &config, &err), -EBADF);
	config.source_fd = fd;
	ck_assert_int_eq(vmm_input_create(&dev, &config, &err), -ENOTSOCK);
	config.source_fd = blocking[0];
	ck_assert_int_eq(vmm_input_create(&dev, &config, &err), -EINVAL);
	config.source_fd = stream[0];
	ck_assert_int_eq(vmm_input_create(&dev, &config, &err), -EINVAL);
	ck_assert_ptr_null(dev);
	ck_assert_ptr_nonnull(strstr(err.message, "input"));
	for (int i = 0; i < 2; i++) {
		(void)close(blocking[i]);
		(void)close(stream[i]);
	}
	(void)close(fd);
}
END_TEST

START_TEST(input_without_a_source_is_never_touched)
{
	struct vmm_input_config config = {.kind = VMM_INPUT_KEYBOARD, .source_fd = -1};
	struct vmm_virtio_device *dev;
	struct fixture f = {.ours = -1};
	uint8_t data[128];

	ck_assert_int_eq(vmm_input_create(&dev, &config, NULL), 0);
	f.drv = fakedrv_create(dev);
	f.buffers = fakedrv_alloc(f.drv, (size_t)EVENT * 256);
	ck_assert_int_eq(fakedrv_start(f.drv, NULL), 0);
	offer(&f, 10);
	expect_none(&f);
	ck_assert_uint_eq(selected(&f, 2, 0, data), 0);
	fakedrv_destroy(f.drv);
}
END_TEST

START_TEST(input_create_without_memory_fails_in_words)
{
	struct vmm_input_config config = {.kind = VMM_INPUT_TABLET, .source_fd = -1};
	struct faultinj f = {0};
	unsigned failures = 0;

	while (faultinj_next(&f)) {
		struct vmm_virtio_device *dev;
		struct vmm_error err = {0};
		int ret = vmm_input_create(&dev, &config, &err);

		faultinj_stop(&f);
		if (f.failed) {
			failures++;
			ck_assert_int_eq(ret, -ENOMEM);
			ck_assert_ptr_null(dev);
			ck_assert_ptr_nonnull(strstr(err.message, "input"));
		} else {
			ck_assert_int_eq(ret, 0);
			vmm_virtio_device_destroy(dev);
		}
	}
	ck_assert_uint_eq(failures, 1);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{input_config_of_a_keyboard, 1},
		{input_config_of_a_tablet, 1},
		{input_config_has_an_answer_for_every_selection, 2},
		{input_config_write_of_other_bytes_does_nothing, 1},
		{input_events_arrive_in_order_one_in_each_buffer, 1},
		{input_tablet_moves_clicks_and_scrolls, 1},
		{input_group_without_buffers_is_dropped_whole, 1},
		{input_key_released_without_buffers_is_released_later, 1},
		{input_key_pressed_again_after_a_lost_release_is_two_strokes, 1},
		{input_end_of_the_source_releases_what_is_held, 2},
		{input_end_with_no_buffers_is_settled_when_there_are, 1},
		{input_from_before_the_driver_is_dropped, 1},
		{input_reset_touches_no_buffer, 1},
		{input_resumed_driver_has_every_key_released, 1},
		{input_lights_come_back, 1},
		{input_reset_with_lights_left_is_clean, 1},
		{input_create_refuses, 1},
		{input_without_a_source_is_never_touched, 1},
		{input_create_without_memory_fails_in_words, 1},
	};

	return suite_run_looped("input", tests, sizeof(tests) / sizeof(tests[0]));
}
