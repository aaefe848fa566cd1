/* SPDX-License-Identifier: MIT */
/* virtio-console with one port: bytes both ways, size, life. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faultinj.h"
#include "test_console_fix.h"

START_TEST(console_config_space_describes_the_device)
{
	uint8_t space[12];

	consolefix_start(1);
	fakedrv_read_config(drv, 0, space, sizeof(space));
	ck_assert_uint_eq(space[4], 1);
	ck_assert_uint_eq(fakedrv_features(drv) & 7, F_SIZE | F_EMERG_WRITE);
	ck_assert_uint_eq(vmm_carrier_queue_count(fakedrv_carrier(drv)), 2);
	consolefix_finish();
	consolefix_start(3);
	fakedrv_read_config(drv, 0, space, sizeof(space));
	ck_assert_uint_eq(space[4], 3);
	ck_assert_uint_eq(fakedrv_features(drv) & 7, F_SIZE | F_EMERG_WRITE | F_MULTIPORT);
	ck_assert_uint_eq(vmm_carrier_queue_count(fakedrv_carrier(drv)), 8);
	consolefix_finish();
}
END_TEST

START_TEST(console_output_reaches_the_back_end)
{
	char *mem;

	consolefix_start(1);
	consolefix_say(OUT0, "hello ");
	mem = fakedrv_alloc(drv, 16);
	memcpy(mem, "worldly", 7);
	struct fakedrv_buf parts[] = {FAKEDRV_OUT(mem, 2), FAKEDRV_OUT(mem + 2, 0),
				      FAKEDRV_OUT(mem + 2, 3), FAKEDRV_IN(mem + 8, 4)};
	ck_assert_uint_eq(fakedrv_request(drv, OUT0, parts, 4), 0);
	ck_assert_uint_eq(wires[0].output_len, 11);
	ck_assert_int_eq(memcmp(wires[0].output, "hello world", 11), 0);
	ck_assert_uint_eq(consolefix_counter("out_bytes"), 11);
	consolefix_finish();
}
END_TEST

START_TEST(console_long_output_is_served_in_turns)
{
	static uint8_t pattern[1 << 20];
	struct fakedrv_used used;
	struct fakedrv_buf buf;
	uint8_t *mem;

	consolefix_start(1);
	mem = fakedrv_alloc(drv, sizeof(pattern));
	buf = (struct fakedrv_buf)FAKEDRV_OUT(mem, sizeof(pattern));
	ck_assert_int_ge(fakedrv_add(drv, OUT0, &buf, 1), 0);
	vmm_carrier_kick(fakedrv_carrier(drv), OUT0);
	/* The loop has its turn before the chain is through. */
	ck_assert_uint_gt(wires[0].output_len, 0);
	ck_assert_uint_lt(wires[0].output_len, sizeof(pattern));
	ck_assert(!fakedrv_used(drv, OUT0, &used));
	fakedrv_run(drv);
	ck_assert(fakedrv_used(drv, OUT0, &used));
	ck_assert_uint_eq(wires[0].output_len, sizeof(pattern));
	consolefix_finish();
}
END_TEST

START_TEST(console_overlapping_buffers_do_not_hold_up_the_loop)
{
	const uint32_t len = 32u << 20;
	struct fakedrv_buf bufs[64];
	uint8_t *mem;

	consolefix_start(1);
	mem = fakedrv_alloc(drv, len);
	for (unsigned i = 0; i < 64; i++) {
		bufs[i] = (struct fakedrv_buf)FAKEDRV_OUT(mem, len);
	}
	ck_assert_int_ge(fakedrv_add(drv, OUT0, bufs, 64), 0);
	vmm_carrier_kick(fakedrv_carrier(drv), OUT0);
	ck_assert_uint_le(wires[0].output_len, 1u << 20);
	/* A reset ends it. */
	fakedrv_reset(drv);
	ck_assert_int_eq(vmm_loop_dispatch(fakedrv_loop(drv), 20), 0);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	wires[0].output_len = 0;
	consolefix_say(OUT0, "again");
	ck_assert_uint_eq(wires[0].output_len, 5);
	consolefix_finish();
}
END_TEST

START_TEST(console_input_reaches_the_guest)
{
	struct fakedrv_used used;
	char *first;
	char *second;

	consolefix_start(1);
	ck_assert(!wires[0].wanted);
	first = consolefix_offer(IN0, 4);
	second = consolefix_offer(IN0, 64);
	ck_assert(wires[0].wanted);
	consolefix_type(0, "typed text");
	ck_assert(fakedrv_used(drv, IN0, &used));
	ck_assert_uint_eq(used.len, 4);
	ck_assert(fakedrv_used(drv, IN0, &used));
	ck_assert_uint_eq(used.len, 6);
	ck_assert_str_eq(first, "type");
	ck_assert_str_eq(second, "d text");
	ck_assert_uint_eq(consolefix_counter("in_bytes"), 10);
	/* All buffers are used up: nothing more is wanted. */
	ck_assert(!wires[0].wanted);
	consolefix_finish();
}
END_TEST

START_TEST(console_input_waits_for_buffers)
{
	struct fakedrv_used used;
	char *mem;

	consolefix_start(1);
	consolefix_type(0, "early");
	mem = consolefix_offer(IN0, 64);
	ck_assert(fakedrv_used(drv, IN0, &used));
	ck_assert_str_eq(mem, "early");
	consolefix_finish();
}
END_TEST

START_TEST(console_input_buffer_without_room_is_given_back)
{
	struct fakedrv_used used;
	struct fakedrv_buf buf;
	char *mem;

	consolefix_start(1);
	mem = fakedrv_alloc(drv, 8);
	buf = (struct fakedrv_buf)FAKEDRV_OUT(mem, 8);
	ck_assert_int_ge(fakedrv_add(drv, IN0, &buf, 1), 0);
	fakedrv_kick(drv, IN0);
	ck_assert(fakedrv_used(drv, IN0, &used));
	ck_assert_uint_eq(used.len, 0);
	mem = consolefix_offer(IN0, 8);
	consolefix_type(0, "x");
	ck_assert_str_eq(mem, "x");
	consolefix_finish();
}
END_TEST

START_TEST(console_reset_stops_the_back_end)
{
	consolefix_start(1);
	(void)consolefix_offer(IN0, 8);
	for (unsigned i = 1; i <= 20; i++) {
		ck_assert_uint_eq(wires[0].starts, i);
		fakedrv_reset(drv);
		ck_assert_uint_eq(wires[0].stops, i);
		ck_assert_ptr_null(wires[0].base.loop);
		ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	}
	consolefix_finish();
	ck_assert_ptr_null(wires[0].base.loop);
}
END_TEST

START_TEST(console_without_back_end_swallows_output)
{
	struct vmm_console_port port = {0};
	struct vmm_console_config config = {.ports = &port, .port_count = 1};
	struct vmm_virtio_device *dev;

	ck_assert_int_eq(vmm_console_create(&dev, &config, NULL), 0);
	drv = fakedrv_create(dev);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	consolefix_say(OUT0, "nobody hears");
	(void)consolefix_offer(IN0, 8);
	ck_assert_uint_eq(consolefix_counter("out_dropped"), 0);
	consolefix_finish();
}
END_TEST

START_TEST(console_back_end_in_use_fails_activation)
{
	consolefix_create(3);
	ck_assert_int_eq(vmm_chardev_start(&wires[2].base, fakedrv_loop(drv), NULL, NULL), 0);
	ck_assert_int_eq(fakedrv_start(drv, NULL), -EIO);
	/* Nothing was kept. */
	ck_assert_ptr_null(wires[0].base.loop);
	ck_assert_ptr_null(wires[1].base.loop);
	vmm_chardev_stop(&wires[2].base);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	consolefix_finish();
}
END_TEST

START_TEST(console_emergency_write_works_at_any_time)
{
	const uint8_t word[4] = {'!', 0xff, 0xff, 0xff};
	uint8_t all[12] = {0};

	consolefix_create(1);
	fakedrv_write_config(drv, 8, word, 4);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	fakedrv_write_config(drv, 8, word, 1);
	fakedrv_write_config(drv, 9, word, 1);
	fakedrv_write_config(drv, 0, word, 4);
	all[8] = '?';
	fakedrv_write_config(drv, 0, all, 12);
	ck_assert_uint_eq(wires[0].output_len, 3);
	ck_assert_int_eq(memcmp(wires[0].output, "!!?", 3), 0);
	fakedrv_read_config(drv, 0, all, 4);
	ck_assert_uint_eq(all[0], 0);
	consolefix_finish();
}
END_TEST

START_TEST(console_size_follows_the_back_end)
{
	uint16_t size[2];
	unsigned irqs;

	consolefix_create(1);
	vmm_chardev_set_size(&wires[0].base, 80, 24);
	ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
	fakedrv_run(drv);
	fakedrv_read_config(drv, 0, size, 4);
	ck_assert_uint_eq(size[0], 80);
	ck_assert_uint_eq(size[1], 24);
	irqs = fakedrv_config_irqs(drv);
	vmm_chardev_set_size(&wires[0].base, 132, 50);
	fakedrv_read_config(drv, 0, size, 4);
	ck_assert_uint_eq(size[0], 132);
	ck_assert_uint_eq(size[1], 50);
	ck_assert_uint_eq(fakedrv_config_irqs(drv), irqs + 1);
	vmm_console_resize(fakedrv_device(drv), 0, 132, 50);
	vmm_console_resize(fakedrv_device(drv), 0, 0, 0);
	vmm_console_resize(fakedrv_device(drv), 7, 1, 1);
	ck_assert_uint_eq(fakedrv_config_irqs(drv), irqs + 1);
	vmm_console_resize(fakedrv_device(drv), 0, 300, 0x1234);
	fakedrv_read_config(drv, 0, size, 4);
	ck_assert_uint_eq(size[0], 300);
	ck_assert_uint_eq(size[1], 0x1234);
	consolefix_finish();
}
END_TEST

START_TEST(console_size_known_before_is_there_at_once)
{
	struct vmm_console_port port = {.chardev = &wires[0].base};
	struct vmm_console_config config = {.ports = &port, .port_count = 1};
	struct vmm_virtio_device *dev;

	memset(wires, 0, sizeof(wires));
	wires[0].base.ops = &wire_ops;
	vmm_chardev_set_size(&wires[0].base, 91, 17);
	ck_assert_int_eq(vmm_console_create(&dev, &config, NULL), 0);
	ck_assert_uint_eq(dev->config[0], 91);
	ck_assert_uint_eq(dev->config[2], 17);
	vmm_virtio_device_destroy(dev);
}
END_TEST

START_TEST(console_bad_configuration_is_refused_in_words)
{
	char name[VMM_CONSOLE_NAME_MAX + 2];
	struct vmm_console_port ports[VMM_CONSOLE_PORTS_MAX + 1] = {{0}};
	struct vmm_console_config config = {.ports = ports};
	struct vmm_virtio_device *dev;
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_console_create(&dev, &config, &err), -EINVAL);
	config.port_count = VMM_CONSOLE_PORTS_MAX + 1;
	ck_assert_int_eq(vmm_console_create(&dev, &config, &err), -EINVAL);
	ck_assert_ptr_null(dev);
	ck_assert_ptr_nonnull(strstr(err.message, "17 ports"));
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ports[1].name = name;
	config.port_count = VMM_CONSOLE_PORTS_MAX;
	ck_assert_int_eq(vmm_console_create(&dev, &config, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "port 1"));
	name[sizeof(name) - 2] = '\0';
	ck_assert_int_eq(vmm_console_create(&dev, &config, NULL), 0);
	vmm_virtio_device_destroy(dev);
}
END_TEST

START_TEST(console_create_survives_every_failure)
{
	struct vmm_console_port port = {0};
	struct vmm_console_config config = {.ports = &port, .port_count = 1};
	struct faultinj f = {0};

	while (faultinj_next(&f)) {
		struct vmm_virtio_device *dev;
		int ret = vmm_console_create(&dev, &config, NULL);

		faultinj_stop(&f);
		ck_assert_int_eq(ret, f.failed ? -ENOMEM : 0);
		ck_assert_int_eq(dev == NULL, f.failed != NULL);
		vmm_virtio_device_destroy(dev);
	}
}
END_TEST

/* ---- with a real pty ---- */

START_TEST(console_pty_keeps_its_path_over_device_lives)
{
	struct vmm_console_port port = {0};
	struct vmm_console_config config = {.ports = &port, .port_count = 1};
	char path[64];
	int fd;

	ck_assert_int_eq(vmm_pty_create(&port.chardev, NULL), 0);
	(void)strcpy(path, vmm_pty_path(port.chardev));
	fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	for (unsigned life = 0; life < 3; life++) {
		struct vmm_virtio_device *dev;
		char buf[16] = {0};
		char *mem;

		ck_assert_int_eq(vmm_console_create(&dev, &config, NULL), 0);
		drv = fakedrv_create(dev);
		for (unsigned boot = 0; boot < 3; boot++) {
			ck_assert_int_eq(fakedrv_start(drv, NULL), 0);
			consolefix_say(OUT0, "boot");
			for (unsigned i = 0; i < 100 && buf[0] == 0; i++) {
				(void)vmm_loop_dispatch(fakedrv_loop(drv), 5);
				(void)!read(fd, buf, sizeof(buf));
			}
			ck_assert_str_eq(buf, "boot");
			memset(buf, 0, sizeof(buf));
			mem = consolefix_offer(IN0, 8);
			ck_assert_int_eq(write(fd, "key", 3), 3);
			for (unsigned i = 0; i < 100 && mem[0] == 0; i++) {
				(void)vmm_loop_dispatch(fakedrv_loop(drv), 5);
			}
			ck_assert_str_eq(mem, "key");
		}
		consolefix_finish();
		ck_assert_str_eq(vmm_pty_path(port.chardev), path);
	}
	(void)close(fd);
	vmm_chardev_destroy(port.chardev);
}
END_TEST

SUITE_MAIN("console", console_config_space_describes_the_device,
	   console_output_reaches_the_back_end, console_long_output_is_served_in_turns,
	   console_overlapping_buffers_do_not_hold_up_the_loop, console_input_reaches_the_guest,
	   console_input_waits_for_buffers, console_input_buffer_without_room_is_given_back,
	   console_reset_stops_the_back_end, console_without_back_end_swallows_output,
	   console_back_end_in_use_fails_activation, console_emergency_write_works_at_any_time,
	   console_size_follows_the_back_end, console_size_known_before_is_there_at_once,
	   console_bad_configuration_is_refused_in_words, console_create_survives_every_failure,
	   console_pty_keeps_its_path_over_device_lives)
