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

#include <vmm/dev/tap.h>

#include "vm/files.h"
#include "vm/restart.h"

/* Before processes that were told to go by the end of their connections are killed. */
#define END_MS 1000

#define MIB (UINT64_C(1) << 20)

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

/* The order is that on the bus: what every VM has comes first, so that it never moves. */
int vm_devices_open(struct vm_devices *d, struct vm_config *config, bool restart,
		    const struct vm_console_fds *console, struct vmm_error *err)
{
	int ret;
	size_t i;

	d->guest_memory = config->memory.size;
	d->poll_us = config->poll_us;
	d->list = calloc(config->disk_count + config->net_count + config->fs_count + 2,
			 sizeof(*d->list));
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
	return ret < 0 ? vmm_error_wrap(err, ret, "%s", d->list[d->count - 1].id) : 0;
}

/* ---- their processes ---- */

#define ARGS_MAX 24

struct args {
	char *list[ARGS_MAX + 1];
	size_t count;
	char texts[5][24];
	size_t text_count;
};

/* exec does not write to them, but its type says so. */
static void put(struct args *a, const char *arg)
{
	if (a->count < ARGS_MAX) {
		memcpy(&a->list[a->count++], &arg, sizeof(arg));
	}
}

static void put_number(struct args *a, const char *option, unsigned long value)
{
	char *text = a->texts[a->text_count++];

	(void)snprintf(text, sizeof(a->texts[0]), "%lu", value);
	put(a, option);
	put(a, text);
}

static void put_net(struct args *a, const struct vm_net *net)
{
	char *mac = a->texts[a->text_count++];

	put(a, "--tap-fd");
	put(a, "5");
	(void)snprintf(mac, sizeof(a->texts[0]), "%02x:%02x:%02x:%02x:%02x:%02x", net->mac[0],
		       net->mac[1], net->mac[2], net->mac[3], net->mac[4], net->mac[5]);
	put(a, "--mac");
	put(a, mac);
	if (net->mtu > 0) {
		put_number(a, "--mtu", net->mtu);
	}
	if (net->drop_foreign_source) {
		put(a, "--drop-foreign-source");
	}
	if (!net->offload_csum || !net->offload_tso || !net->offload_ufo) {
		put(a, "--no-offloads");
	}
}

static void put_disk(struct args *a, const struct vm_device *dev)
{
	put(a, "--disk-fd");
	put(a, "5");
	if (dev->read_only) {
		put(a, "--readonly");
	}
	if (dev->serial) {
		put(a, "--serial");
		put(a, dev->serial);
	}
	put_number(a, "--queue-size", dev->queue_size);
}

static void put_console(struct args *a, const struct vm_device *dev)
{
	if (dev->fds[1] >= 0) {
		put(a, "--pty-fd");
		put(a, "5");
		put(a, "--inotify-fd");
		put(a, "6");
	} else {
		put(a, isatty(dev->fds[0]) ? "--pty-fd" : "--out-fd");
		put(a, "5");
	}
}

static void put_resources(struct args *a, const struct vm_device *dev)
{
	if (dev->disk) {
		put_disk(a, dev);
	} else if (dev->net) {
		put_net(a, dev->net);
	} else if (strcmp(dev->shape->kind, "rng") == 0) {
		put(a, "--source-fd");
		put(a, "5");
	} else {
		put_console(a, dev);
	}
}

static void fill_args(struct args *a, const struct vm_device *dev)
{
	put(a, "vmm-device");
	put(a, dev->shape->kind);
	put(a, "--fd");
	put(a, "3");
	put(a, "--log-fd");
	put(a, "2");
	put(a, "--counters-fd");
	put(a, "4");
	put_number(a, "--guest-memory", (dev->owner->guest_memory + MIB - 1) / MIB);
	/* The others are not waited for. */
	put_number(a, "--poll-us", dev->disk || dev->net ? dev->owner->poll_us : 0);
	put_resources(a, dev);
}

static int start_child(struct vm_server *s, struct vm_device *dev, int counters,
		       void (*on_end)(void *ctx), struct vmm_error *err)
{
	const int fds[CHILD_FDS_MAX] = {
		counters, dev->disk ? vmm_disk_get_fd(dev->disk) : dev->fds[0], dev->fds[1], -1};
	struct args args = {.count = 0};
	struct vm_child_config config = {
		.name = dev->id,
		.program = dev->owner->program,
		.argv = args.list,
		.socket_type = SOCK_STREAM,
		.fds = fds,
		.fd_count = 1,
		.on_end = on_end,
		.ctx = dev,
	};

	while (fds[config.fd_count] >= 0) {
		config.fd_count++;
	}
	fill_args(&args, dev);
	return vm_child_start(&s->child, dev->owner->nursery, &config, err);
}

int vm_server_start(struct vm_server **out, struct vm_device *dev, void (*on_end)(void *ctx),
		    struct vmm_error *err)
{
	struct vm_server *s = calloc(1, sizeof(*s));
	int counters = -1;
	int ret = s ? vm_counters_open(&s->counters, &counters) : -ENOMEM;

	if (ret < 0) {
		free(s);
		return vmm_error_wrap(err, ret, "counters");
	}
	ret = start_child(s, dev, counters, on_end, err);
	(void)close(counters);
	if (ret < 0) {
		vm_counters_close(&s->counters);
		free(s);
		return ret;
	}
	*out = s;
	return 0;
}

void vm_server_end(struct vm_server *s)
{
	if (s) {
		vm_child_end(&s->child);
		vm_counters_close(&s->counters);
		free(s);
	}
}

int vm_devices_start(struct vm_devices *d, struct vmm_error *err)
{
	for (size_t i = 0; i < d->count; i++) {
		int ret = d->list[i].foreign ? 0 : vm_device_start(&d->list[i], err);

		if (ret < 0) {
			return vmm_error_wrap(err, ret, "%s", d->list[i].id);
		}
	}
	return 0;
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

struct vm_device *vm_devices_find(struct vm_devices *d, const char *id)
{
	for (size_t i = 0; i < d->count; i++) {
		if (strcmp(d->list[i].id, id) == 0) {
			return &d->list[i];
		}
	}
	return NULL;
}
