/* SPDX-License-Identifier: MIT */
/* Shapes are those of the devices that are made. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/dev/blk.h>
#include <vmm/dev/console.h>
#include <vmm/dev/gpu.h>
#include <vmm/dev/input.h>
#include <vmm/dev/net.h>
#include <vmm/dev/rng.h>
#include <vmm/dev/shape.h>

#include "suite.h"
#include "test_blk_fix.h"

static void compare(const char *kind, struct vmm_virtio_device *dev)
{
	const struct vmm_dev_shape *shape = vmm_dev_shape_find(kind);

	ck_assert_ptr_nonnull(shape);
	ck_assert_str_eq(shape->kind, kind);
	ck_assert_str_eq(dev->name, kind);
	ck_assert_uint_eq(shape->device_id, dev->device_id);
	ck_assert_uint_eq(shape->queue_count, dev->queue_count);
	for (unsigned i = 0; i < dev->queue_count; i++) {
		ck_assert_uint_eq(shape->queue_sizes[i], dev->queue_sizes[i]);
	}
	ck_assert_uint_eq(shape->config_len, dev->config_len);
	vmm_virtio_device_destroy(dev);
}

START_TEST(shape_of_each_kind_is_that_of_its_device)
{
	struct vmm_console_port port = {0};
	struct vmm_console_config console = {.ports = &port, .port_count = 1};
	struct vmm_net_config net = {.mac = {2, 0, 0, 0, 0, 1}};
	struct vmm_gpu_config gpu = {.scanouts = 1};
	struct vmm_input_config input = {.kind = VMM_INPUT_TABLET, .source_fd = -1};
	struct vmm_blk_config blk = {0};
	struct vmm_virtio_device *dev;
	struct straw straw;
	int fds[2];

	ck_assert_int_eq(vmm_rng_create(&dev, NULL, NULL), 0);
	compare("rng", dev);
	ck_assert_int_eq(vmm_console_create(&dev, &console, NULL), 0);
	compare("console", dev);
	ck_assert_int_eq(vmm_gpu_create(&dev, &gpu, NULL), 0);
	compare("gpu", dev);
	ck_assert_int_eq(vmm_input_create(&dev, &input, NULL), 0);
	compare("input", dev);
	straw_init(&straw);
	blk.disk = &straw.base;
	ck_assert_int_eq(vmm_blk_create(&dev, &blk, NULL), 0);
	compare("blk", dev);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(vmm_tap_from_socket(&net.tap, fds[0], NULL), 0);
	ck_assert_int_eq(vmm_net_create(&dev, &net, NULL), 0);
	compare("net", dev);
	vmm_tap_destroy(net.tap);
	ck_assert_int_eq(close(fds[1]), 0);
}
END_TEST

START_TEST(shape_of_other_kinds_is_none)
{
	static const char *const others[] = {"", "gpus", "serial", "blk ", "BLK", "ne"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		ck_assert_ptr_null(vmm_dev_shape_find(others[i]));
	}
}
END_TEST

START_TEST(shape_that_was_asked_for_is_another)
{
	struct vmm_console_port ports[3] = {0};
	struct vmm_console_config console = {.ports = ports, .port_count = 3};
	struct vmm_blk_config blk = {.queue_size = 64};
	struct vmm_virtio_device *dev;
	struct straw straw;

	ck_assert_int_eq(vmm_console_create(&dev, &console, NULL), 0);
	ck_assert_uint_eq(dev->queue_count, 8);
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_uint_eq(dev->queue_sizes[i],
				  vmm_dev_shape_find("console")->queue_sizes[0]);
	}
	vmm_virtio_device_destroy(dev);
	straw_init(&straw);
	blk.disk = &straw.base;
	ck_assert_int_eq(vmm_blk_create(&dev, &blk, NULL), 0);
	ck_assert_uint_eq(dev->queue_count, 1);
	ck_assert_uint_eq(dev->queue_sizes[0], 64);
	vmm_virtio_device_destroy(dev);
}
END_TEST

SUITE_MAIN("shape", shape_of_each_kind_is_that_of_its_device, shape_of_other_kinds_is_none,
	   shape_that_was_asked_for_is_another)
