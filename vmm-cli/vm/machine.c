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
#include "vm/foreign.h"

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

/* One at a socket. When its back end goes the guest has to do without it. */
static int add_foreign(struct build *b, const char *id, const struct vm_foreign *f)
{
	struct vmm_vhost_frontend_config config = {
		.loop = vmm_vm_loop(b->vm),
		.log = b->backends->log,
		.name = id,
		.device_id = f->shape.device_id,
		.queue_count = f->shape.queue_count,
		.queue_sizes = f->shape.queue_sizes,
		.config_len = f->shape.config_len,
		.config = f->space,
		.features = f->features,
		.own_features = f->own_features,
		.shm_any = f->shm_any,
	};
	struct vmm_virtio_device *dev = NULL;
	int ret;

	config.fd = vm_foreign_connect(f, b->err);
	if (config.fd < 0) {
		return vmm_error_wrap(b->err, config.fd, "%s", id);
	}
	ret = vmm_vhost_frontend_create(&dev, &config, b->err);
	if (ret < 0) {
		(void)close(config.fd);
		return ret;
	}
	return add_virtio(b, id, dev);
}

static int add_foreign_disk(struct build *b, const struct vm_disk *disk)
{
	struct vm_foreign f;

	vm_foreign_disk(&f, disk);
	return add_foreign(b, disk->id, &f);
}

static int add_foreign_net(struct build *b, const struct vm_net *net)
{
	struct vm_foreign f;

	vm_foreign_net(&f, net);
	return add_foreign(b, net->id, &f);
}

static int add_fs(struct build *b, const struct vm_fs *fs)
{
	struct vm_foreign f;

	vm_foreign_fs(&f, fs);
	return add_foreign(b, fs->id, &f);
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
		ret = config->disks[i].vhost_user ? add_foreign_disk(&b, &config->disks[i])
						  : add_disk(&b, &config->disks[i]);
	}
	for (i = 0; ret == 0 && i < config->net_count; i++) {
		ret = config->nets[i].vhost_user ? add_foreign_net(&b, &config->nets[i])
						 : add_net(&b, &config->nets[i]);
	}
	for (i = 0; ret == 0 && i < config->fs_count; i++) {
		ret = add_fs(&b, &config->fs[i]);
	}
	return ret;
}
