/* SPDX-License-Identifier: MIT */
#include "vm/machine.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/blk.h>
#include <vmm/dev/console.h>
#include <vmm/dev/net.h>
#include <vmm/dev/rng.h>
#include <vmm/dev/serial.h>
#include <vmm/dev/tap.h>
#include <vmm/vhost_frontend.h>

#include "vm/files.h"
#include "vm/fs.h"

struct build {
	struct vmm_vm *vm;
	struct vm_config *config;
	const struct vm_backends *backends;
	struct vmm_error *err;
};

/* ---- files the guest is loaded from ---- */

static int load_file(struct build *b, const struct vm_file *file, const char *what,
		     int (*set)(struct vmm_vm *, int, struct vmm_error *))
{
	int fd = vm_file_open(file, what, b->err);
	int ret;

	if (fd < 0) {
		return fd;
	}
	ret = set(b->vm, fd, b->err);
	if (ret < 0) {
		close(fd);
		return vmm_error_wrap(b->err, ret, "%s '%.250s'", what, vm_file_name(file));
	}
	return 0;
}

static int set_payload(struct build *b)
{
	const struct vm_payload *payload = &b->config->payload;
	int ret = load_file(b, &payload->kernel, "kernel", vmm_vm_set_kernel);

	if (ret == 0 && (payload->initramfs.fd >= 0 || payload->initramfs.path)) {
		ret = load_file(b, &payload->initramfs, "initramfs", vmm_vm_set_initrd);
	}
	if (ret == 0 && payload->cmdline) {
		ret = vmm_vm_set_cmdline(b->vm, payload->cmdline, b->err);
	}
	return ret;
}

/* ---- devices ---- */

/* Hands a device over to the VM, or destroys it. */
static int add_virtio(struct build *b, const char *id, struct vmm_virtio_device *dev)
{
	int ret = vmm_vm_add_virtio(b->vm, id, dev, b->err);

	if (ret < 0) {
		vmm_virtio_device_destroy(dev);
		return vmm_error_wrap(b->err, ret, "%s", id);
	}
	return 0;
}

static int add_serial(struct build *b)
{
	const struct vmm_serial_config config = {
		.loop = vmm_vm_loop(b->vm),
		.output = b->backends->serial,
	};
	struct vmm_platform_device *dev;
	int ret = vmm_serial_create(&dev, &config, b->err);

	if (ret < 0) {
		return vmm_error_wrap(b->err, ret, "serial");
	}
	ret = vmm_vm_add_platform(b->vm, dev, b->err);
	if (ret < 0) {
		vmm_serial_destroy(dev);
		return vmm_error_wrap(b->err, ret, "serial");
	}
	return 0;
}

static int add_console(struct build *b)
{
	const struct vmm_console_port port = {.chardev = b->backends->console, .console = true};
	const struct vmm_console_config config = {.ports = &port, .port_count = 1};
	struct vmm_virtio_device *dev = NULL;
	int ret = vmm_console_create(&dev, &config, b->err);

	return ret < 0 ? vmm_error_wrap(b->err, ret, "console") : add_virtio(b, VM_CONSOLE_ID, dev);
}

static int add_rng(struct build *b)
{
	struct vmm_virtio_device *dev = NULL;
	int ret = vmm_rng_create(&dev, NULL, b->err);

	return ret < 0 ? ret : add_virtio(b, VM_RNG_ID, dev);
}

static int add_disk(struct build *b, const struct vm_disk *disk)
{
	struct vmm_blk_config config = {
		.serial = disk->serial,
		.queue_size = (uint16_t)disk->queue_size,
	};
	struct vmm_virtio_device *dev = NULL;
	int ret = vm_disk_open(&config.disk, disk, VMM_DISK_AUTO, b->err);

	if (ret < 0) {
		return vmm_error_wrap(b->err, ret, "%s", disk->id);
	}
	ret = vmm_blk_create(&dev, &config, b->err);
	if (ret < 0) {
		vmm_disk_destroy(config.disk);
		return vmm_error_wrap(b->err, ret, "%s", disk->id);
	}
	return add_virtio(b, disk->id, dev);
}

static int add_net(struct build *b, struct vm_net *net)
{
	struct vmm_net_config config = {
		.mtu = (uint16_t)net->mtu,
		.drop_foreign_source = net->drop_foreign_source,
		.no_offloads = !net->offload_csum || !net->offload_tso || !net->offload_ufo,
	};
	struct vmm_virtio_device *dev = NULL;
	int ret = 0;

	if (!net->handle) {
		ret = vmm_tap_open(&net->handle, net->tap, b->err);
	}
	if (ret == 0) {
		config.tap = net->handle;
		memcpy(config.mac, net->mac, sizeof(config.mac));
		ret = vmm_net_create(&dev, &config, b->err);
	}
	if (ret < 0) {
		return vmm_error_wrap(b->err, ret, "%s", net->id);
	}
	return add_virtio(b, net->id, dev);
}

static int add_fs(struct build *b, const struct vm_fs *fs)
{
	struct vm_fs_shape shape;
	struct vmm_vhost_frontend_config config = {
		.loop = vmm_vm_loop(b->vm),
		.log = b->backends->log,
		.name = fs->id,
	};
	struct vmm_virtio_device *dev = NULL;
	int fd = vm_fs_connect(fs, b->err);
	int ret;

	if (fd < 0) {
		return vmm_error_wrap(b->err, fd, "%s", fs->id);
	}
	vm_fs_shape_of(&shape, fs);
	config.fd = fd;
	config.device_id = shape.shape.device_id;
	config.queue_count = shape.shape.queue_count;
	config.queue_sizes = shape.shape.queue_sizes;
	config.config_len = shape.shape.config_len;
	config.config = shape.space;
	ret = vmm_vhost_frontend_create(&dev, &config, b->err);
	if (ret < 0) {
		(void)close(fd);
		return vmm_error_wrap(b->err, ret, "%s", fs->id);
	}
	return add_virtio(b, fs->id, dev);
}

/* The order is the order on the bus: what every VM has comes first, so that it never moves. */
int vm_machine_build(struct vmm_vm *vm, struct vm_config *config,
		     const struct vm_backends *backends, struct vmm_error *err)
{
	struct build b = {vm, config, backends, err};
	int ret = set_payload(&b);
	size_t i;

	if (ret == 0 && config->serial.mode != VM_CONSOLE_OFF) {
		ret = add_serial(&b);
	}
	if (ret == 0 && config->console.mode != VM_CONSOLE_OFF) {
		ret = add_console(&b);
	}
	if (ret == 0) {
		ret = add_rng(&b);
	}
	for (i = 0; ret == 0 && i < config->disk_count; i++) {
		ret = add_disk(&b, &config->disks[i]);
	}
	for (i = 0; ret == 0 && i < config->net_count; i++) {
		ret = add_net(&b, &config->nets[i]);
	}
	for (i = 0; ret == 0 && i < config->fs_count; i++) {
		ret = add_fs(&b, &config->fs[i]);
	}
	return ret;
}
