/* SPDX-License-Identifier: MIT */
/* What the devices are and what they are given; for the life of their processes see restart.c. */
#include "vm/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <vmm/dev/gpu.h>
#include <vmm/dev/tap.h>
#include <vmm/virtio.h>

#include "vm/files.h"
#include "vm/restart.h"
#include "vm/screen.h"
#include "vm/server.h"

/* Before processes that were told to go by the end of their connections are killed. */
#define END_MS 1000

/* ---- what there is ---- */

static struct vm_device *add(struct vm_devices *d, const char *kind, const char *id)
{
	struct vm_device *dev = &d->list[d->count];

	memset(dev, 0, sizeof(*dev));
	dev->owner = d;
	dev->id = id;
	dev->shape = vmm_dev_shape_find(kind); /* NULL: not one of the library's */
	dev->index = (uint32_t)d->count++;
	dev->fds[0] = -1;
	dev->fds[1] = -1;
	return dev;
}

static bool wants_restart(const char *word, bool unsaid)
{
	return word ? strcmp(word, "always") == 0 : unsaid;
}

/* One that a program of others serves, to be described; NULL: out of memory. */
static struct vm_foreign *add_foreign(struct vm_devices *d, const char *kind, const char *id,
				      struct vmm_error *err)
{
	struct vm_device *dev = add(d, kind, id);

	dev->foreign = calloc(1, sizeof(*dev->foreign));
	if (!dev->foreign) {
		(void)vmm_error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	dev->shape = &dev->foreign->shape;
	return dev->foreign;
}

static int open_foreign_disk(struct vm_devices *d, const struct vm_disk *disk,
			     struct vmm_error *err)
{
	struct vm_foreign *f = add_foreign(d, "blk", disk->id, err);

	if (f) {
		vm_foreign_disk(f, disk);
	}
	return f ? 0 : -ENOMEM;
}

static int open_foreign_net(struct vm_devices *d, const struct vm_net *net, struct vmm_error *err)
{
	struct vm_foreign *f = add_foreign(d, "net", net->id, err);

	if (f) {
		vm_foreign_net(f, net);
	}
	return f ? 0 : -ENOMEM;
}

static int open_fs(struct vm_devices *d, const struct vm_fs *fs, struct vmm_error *err)
{
	struct vm_foreign *f = add_foreign(d, "fs", fs->id, err);

	if (f) {
		vm_foreign_fs(f, fs);
	}
	return f ? 0 : -ENOMEM;
}

static int open_disk(struct vm_devices *d, const struct vm_disk *disk, bool restart,
		     struct vmm_error *err)
{
	struct vm_device *dev = add(d, "blk", disk->id);

	dev->queue_size = (uint16_t)disk->queue_size;
	dev->serial = disk->serial;
	dev->read_only = disk->readonly;
	dev->restart = wants_restart(disk->restart, restart);
	/* Its descriptor and lock are here, so that the lock holds while no process does. */
	return vm_disk_open(&dev->disk, disk, VMM_DISK_SYNC, err);
}

static int open_net(struct vm_devices *d, struct vm_net *net, bool restart, struct vmm_error *err)
{
	struct vm_device *dev = add(d, "net", net->id);
	int ret = net->handle ? 0 : vmm_tap_open(&net->handle, net->tap, err);

	dev->net = net;
	dev->restart = wants_restart(net->restart, restart);
	if (ret == 0) {
		dev->fds[0] = vmm_tap_fd(net->handle);
	}
	return ret;
}

static int open_rng(struct vm_devices *d, const char *source, bool restart, struct vmm_error *err)
{
	struct vm_device *dev = add(d, "rng", VM_RNG_ID);

	dev->restart = restart;
	dev->owns_fds = true;
	dev->fds[0] = open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return dev->fds[0] < 0 ? vmm_error_wrap(err, -errno, "'%.250s'", source) : 0;
}

static void open_console(struct vm_devices *d, const struct vm_console_fds *console, bool restart)
{
	struct vm_device *dev = add(d, "console", VM_CONSOLE_ID);

	dev->restart = restart;
	dev->fds[0] = console->master >= 0 ? console->master : console->out;
	dev->fds[1] = console->inotify;
}

/* ---- graphics ---- */

static int open_foreign_gpu(struct vm_devices *d, const struct vm_gpu *gpu, struct vmm_error *err)
{
	struct vm_foreign *f = add_foreign(d, "gpu", gpu->id, err);

	if (f) {
		vm_foreign_gpu(f, gpu);
	}
	return f ? 0 : -ENOMEM;
}

static void open_input(struct vm_devices *d, const char *id, int fd, bool is_tablet, bool restart)
{
	struct vm_device *dev = add(d, "input", id);

	dev->restart = restart;
	dev->owns_fds = true;
	dev->fds[0] = fd;
	dev->is_tablet = is_tablet;
}

/* The screen's socket goes to the GPU, the others to devices of their own. */
static int open_window(struct vm_devices *d, struct vm_device *dev, bool restart,
		       struct vmm_error *err)
{
	int ends[VM_WINDOW_ENDS];
	int ret = vm_window_open(&d->window, ends, err);

	if (ret == 0) {
		d->windowed = dev->gpu;
		dev->fds[0] = ends[VM_WINDOW_SCREEN];
		open_input(d, VM_KEYBOARD_ID, ends[VM_WINDOW_KEYBOARD], false, restart);
		open_input(d, VM_TABLET_ID, ends[VM_WINDOW_TABLET], true, restart);
	}
	return ret;
}

static int open_gpu(struct vm_devices *d, const struct vm_gpu *gpu, bool restart,
		    struct vmm_error *err)
{
	struct vm_device *dev = add(d, "gpu", gpu->id);
	int ret = 0;

	dev->gpu = gpu;
	if (gpu->contexts) {
		/* Where the guest sees what its contexts share with the host. */
		dev->own_shm = (struct vmm_virtio_shm){VMM_GPU_SHM_ID, VMM_GPU_SHM_DEFAULT};
		dev->own_shape = *dev->shape;
		dev->own_shape.shm = &dev->own_shm;
		dev->own_shape.shm_count = 1;
		dev->shape = &dev->own_shape;
	}
	dev->restart = wants_restart(gpu->restart, restart);
	dev->owns_fds = true;
	if (gpu->contexts) {
		ret = vm_connector_open(&dev->connector, &dev->fds[1], gpu->wayland_socket,
					d->nursery->loop, d->nursery->log, err);
	}
	if (ret == 0 && gpu->display == VM_DISPLAY_FILE) {
		dev->fds[0] = vm_screen_create(err);
		ret = dev->fds[0] < 0 ? dev->fds[0] : 0;
	}
	if (ret == 0 && vm_gpu_has_window(gpu)) {
		ret = open_window(d, dev, restart, err);
	}
	return ret;
}

/* ---- all of them ---- */

/* Room for every device; a window is a keyboard and a tablet as well. */
static size_t count_devices(const struct vm_config *config)
{
	size_t count = config->disk_count + config->net_count + config->fs_count + 2;

	for (size_t i = 0; i < config->gpu_count; i++) {
		count += vm_gpu_has_window(&config->gpus[i]) ? 3 : 1;
	}
	return count;
}

/* The order is that on the bus: what every VM has comes first, so that it never moves. */
int vm_devices_open(struct vm_devices *d, struct vm_config *config, bool restart,
		    const struct vm_console_fds *console, struct vmm_error *err)
{
	int ret;
	size_t i;

	d->guest_memory = config->memory.size;
	d->poll_us = vm_config_poll_us(config);
	d->name = config->name ? config->name : "vm";
	vm_window_init(&d->window);
	d->windowed = NULL;
	d->list = calloc(count_devices(config), sizeof(*d->list));
	if (!d->list) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	if (config->console.mode != VM_CONSOLE_OFF) {
		open_console(d, console, restart);
	}
	ret = open_rng(d, "/dev/urandom", restart, err);
	for (i = 0; ret == 0 && i < config->disk_count; i++) {
		ret = config->disks[i].vhost_user ? open_foreign_disk(d, &config->disks[i], err)
						  : open_disk(d, &config->disks[i], restart, err);
	}
	for (i = 0; ret == 0 && i < config->net_count; i++) {
		ret = config->nets[i].vhost_user ? open_foreign_net(d, &config->nets[i], err)
						 : open_net(d, &config->nets[i], restart, err);
	}
	for (i = 0; ret == 0 && i < config->fs_count; i++) {
		ret = open_fs(d, &config->fs[i], err);
	}
	for (i = 0; ret == 0 && i < config->gpu_count; i++) {
		ret = config->gpus[i].socket ? open_foreign_gpu(d, &config->gpus[i], err)
					     : open_gpu(d, &config->gpus[i], restart, err);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "%s", d->list[d->count - 1].id) : 0;
}

/* ---- to the vm process ---- */

/* Why a device could not be connected is known best by its own process. */
static int failed(struct vm_device *dev, int ret, struct vmm_error *err)
{
	int status;

	(void)vm_child_wait(&dev->now->child, END_MS, &status);
	vm_childlog_drain(&dev->now->child.log);
	if (dev->now->child.log.last_error[0]) {
		return vmm_error_set(err, ret, "%s: %s", dev->id, dev->now->child.log.last_error);
	}
	return vmm_error_wrap(err, ret, "%s", dev->id);
}

static void describe(struct wire_message *m, const struct vm_device *dev)
{
	const struct vmm_dev_shape *shape = dev->shape;

	vm_channel_begin(dev->owner->channel, m, WIRE_DEVICE);
	m->u.device = (struct wire_device){
		.index = dev->index,
		.device_id = shape->device_id,
		.queue_count = shape->queue_count,
		.config_len = (uint32_t)shape->config_len,
		.waits = !dev->foreign,
	};
	for (unsigned i = 0; i < shape->queue_count; i++) {
		m->u.device.queue_sizes[i] =
			dev->queue_size ? dev->queue_size : shape->queue_sizes[i];
	}
	m->u.device.shm_count = shape->shm_count;
	for (unsigned i = 0; i < shape->shm_count; i++) {
		m->u.device.shm[i] =
			(struct wire_shm){.id = shape->shm[i].id, .len = shape->shm[i].len};
	}
	wire_set_text(m->u.device.id, WIRE_ID_MAX, dev->id);
}

static int hand_over(struct vm_device *dev, struct vmm_error *err)
{
	struct wire_message m;
	int ret;

	describe(&m, dev);
	ret = vm_channel_call(dev->owner->channel, &m, &dev->now->child.socket, CHANNEL_CALL_MS,
			      err);
	vm_device_handed_over(dev);
	return ret < 0 ? failed(dev, ret, err) : 0;
}

static int hand_over_foreign(struct vm_device *dev, struct vmm_error *err)
{
	const struct vm_foreign *f = dev->foreign;
	struct wire_message m;
	int fd = vm_foreign_connect(f, err);
	int ret;

	if (fd < 0) {
		return vmm_error_wrap(err, fd, "%s", dev->id);
	}
	describe(&m, dev);
	m.u.device.features = f->features;
	m.u.device.own_features = f->own_features;
	if (f->shm_any) {
		m.u.device.shm_count = WIRE_SHM_ANY;
	}
	memcpy(m.u.device.space, f->space, sizeof(f->space));
	ret = vm_channel_call(dev->owner->channel, &m, &fd, CHANNEL_CALL_MS, err);
	(void)close(fd);
	return ret < 0 ? vmm_error_wrap(err, ret, "%s", dev->id) : 0;
}

int vm_devices_hand_over(struct vm_devices *d, struct vmm_error *err)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < d->count; i++) {
		ret = d->list[i].foreign ? hand_over_foreign(&d->list[i], err)
					 : hand_over(&d->list[i], err);
	}
	return ret;
}

/* ---- the end ---- */

static void close_device(struct vm_device *dev, int timeout_ms)
{
	int status;

	if (dev->now) {
		(void)vm_child_wait(&dev->now->child, timeout_ms, &status);
	}
	vm_server_end(dev->now);
	vmm_source_remove(dev->timer);
	vmm_disk_destroy(dev->disk);
	vm_connector_close(dev->connector);
	free(dev->foreign);
	for (size_t i = 0; dev->owns_fds && i < 2; i++) {
		if (dev->fds[i] >= 0) {
			(void)close(dev->fds[i]);
		}
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void vm_devices_close(struct vm_devices *d)
{
	int64_t end = now_ms() + END_MS;

	vm_window_end(&d->window);
	/* Those that were never connected wait for the end of what would have been a connection. */
	for (size_t i = 0; i < d->count; i++) {
		if (d->list[i].now) {
			vm_device_handed_over(&d->list[i]);
		}
	}
	for (size_t i = 0; i < d->count; i++) {
		int64_t left = end - now_ms();

		close_device(&d->list[i], left > 0 ? (int)left : 0);
	}
	free(d->list);
	d->list = NULL;
	d->count = 0;
}

uint64_t vm_devices_shm_size(const struct vm_devices *d)
{
	uint64_t size = 0;

	for (size_t i = 0; i < d->count; i++) {
		const struct vm_device *dev = &d->list[i];

		if (dev->foreign && dev->foreign->shm_any) {
			size += WIRE_SHM_MAX * WIRE_SHM_LEN_MAX;
		}
		for (unsigned k = 0; k < dev->shape->shm_count; k++) {
			size += dev->shape->shm[k].len;
		}
	}
	return size;
}

struct vm_device *vm_devices_find(struct vm_devices *d, const char *id)
{
	for (size_t i = 0; i < d->count; i++) {
		if (strcmp(d->list[i].id, id) == 0) {
			return &d->list[i];
		}
	}
	return NULL;
}
