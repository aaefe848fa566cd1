/* SPDX-License-Identifier: MIT */
/* The processes that serve devices: with which words and descriptors each is started. */
#include "vm/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* ---- what they are told ---- */

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

/* Descriptors are given in the order of dev->fds, those that are none left out. */
static void put_gpu(struct args *a, const struct vm_device *dev)
{
	const struct vm_gpu *gpu = dev->gpu;
	const char *next = "5";

	put(a, "--name");
	put(a, dev->owner->name);
	if (gpu->display != VM_DISPLAY_NONE) {
		put(a, vm_gpu_has_window(gpu) ? "--window-fd" : "--file-fd");
		put(a, next);
		next = "6";
	}
	if (gpu->size) {
		put(a, "--size");
		put(a, gpu->size);
	}
	if (gpu->contexts) {
		put(a, "--connector-fd");
		put(a, next);
	}
	if (gpu->clipboard) {
		put(a, "--clipboard");
		put(a, gpu->clipboard);
	}
}

static void put_input(struct args *a, const struct vm_device *dev)
{
	put(a, dev->is_tablet ? "--tablet" : "--keyboard");
	put(a, "--events-fd");
	put(a, "5");
}

static void put_resources(struct args *a, const struct vm_device *dev)
{
	if (dev->gpu) {
		put_gpu(a, dev);
	} else if (dev->shape->device_id == VMM_VIRTIO_ID_INPUT) {
		put_input(a, dev);
	} else if (dev->disk) {
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
	/* Nobody waits for random numbers. */
	put_number(a, "--poll-us",
		   dev->shape->device_id != VMM_VIRTIO_ID_RNG ? dev->owner->poll_us : 0);
	put_resources(a, dev);
}

/* ---- starting them ---- */

/* What is at hand while one is started. */
struct order {
	struct args args;
	int fds[CHILD_FDS_MAX];
	int counters; /* the process's side */
};

static int prepare(struct order *o, struct vm_server *s, struct vm_device *dev,
		   void (*on_end)(void *ctx), struct vm_child_config *config)
{
	int ret = vm_counters_open(&s->counters, &o->counters);
	int count = 0;

	if (ret < 0) {
		return ret;
	}
	o->fds[count++] = o->counters;
	if (dev->disk) {
		o->fds[count++] = vmm_disk_get_fd(dev->disk);
	}
	for (size_t i = 0; i < 2; i++) {
		if (dev->fds[i] >= 0) {
			o->fds[count++] = dev->fds[i];
		}
	}
	fill_args(&o->args, dev);
	*config = (struct vm_child_config){
		.name = dev->id,
		.program = dev->owner->program,
		.argv = o->args.list,
		.socket_type = SOCK_STREAM,
		.fds = o->fds,
		.fd_count = (size_t)count,
		.on_end = on_end,
		.ctx = dev,
	};
	return 0;
}

struct work {
	struct order *orders;
	struct vm_child_config *configs;
	struct vm_child **children;
};

static int run(const struct work *w, struct vm_server **servers, struct vm_device *const *devices,
	       size_t count, void (*on_end)(void *ctx), size_t *failed, struct vmm_error *err)
{
	for (size_t i = 0; i < count; i++) {
		int ret = -ENOMEM;

		*failed = i;
		servers[i] = calloc(1, sizeof(*servers[i]));
		if (servers[i]) {
			vm_child_init(&servers[i]->child);
			w->children[i] = &servers[i]->child;
			ret = prepare(&w->orders[i], servers[i], devices[i], on_end,
				      &w->configs[i]);
		}
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "counters");
		}
	}
	return vm_children_start(w->children, devices[0]->owner->nursery, w->configs, count, failed,
				 err);
}

int vm_servers_start(struct vm_server **servers, struct vm_device *const *devices, size_t count,
		     void (*on_end)(void *ctx), size_t *failed, struct vmm_error *err)
{
	struct work w = {
		.orders = calloc(count, sizeof(*w.orders)),
		.configs = calloc(count, sizeof(*w.configs)),
		.children = calloc(count, sizeof(struct vm_child *)),
	};
	int ret;

	*failed = 0;
	for (size_t i = 0; i < count; i++) {
		servers[i] = NULL;
	}
	if (!w.orders || !w.configs || !w.children) {
		ret = vmm_error_set(err, -ENOMEM, "out of memory");
	} else {
		for (size_t i = 0; i < count; i++) {
			w.orders[i].counters = -1;
		}
		ret = run(&w, servers, devices, count, on_end, failed, err);
		for (size_t i = 0; i < count; i++) {
			if (w.orders[i].counters >= 0) {
				(void)close(w.orders[i].counters);
			}
		}
	}
	free(w.orders);
	free(w.configs);
	free(w.children);
	for (size_t i = 0; ret < 0 && i < count; i++) {
		vm_server_end(servers[i]);
		servers[i] = NULL;
	}
	return ret;
}

int vm_server_start(struct vm_server **out, struct vm_device *dev, void (*on_end)(void *ctx),
		    struct vmm_error *err)
{
	size_t failed;

	return vm_servers_start(out, &dev, 1, on_end, &failed, err);
}

void vm_server_end(struct vm_server *s)
{
	if (s) {
		vm_child_end(&s->child);
		vm_counters_close(&s->counters);
		free(s);
	}
}
