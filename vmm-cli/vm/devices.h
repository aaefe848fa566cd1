/* SPDX-License-Identifier: MIT */
/*
 * The devices of a VM whose devices are processes: what each is given, its process, and when that
 * ends, another one.
 */
#ifndef VMM_CLI_VM_DEVICES_H
#define VMM_CLI_VM_DEVICES_H

#include <vmm/dev/disk.h>
#include <vmm/dev/shape.h>
#include <vmm/virtio.h>

#include "vm/channel.h"
#include "vm/child.h"
#include "vm/counters.h"
#include "vm/desktop.h"
#include "vm/foreign.h"
#include "vm/window.h"

struct vm_device;

/* What devices do to those who run the VM. */
struct vm_devices_events {
	/* The vm process may have something to say, or have ended: look before a loss is believed.
	 */
	bool (*is_alive)(void *ctx);
	void (*on_device)(void *ctx, const char *id, enum vm_device_event event);
	/* The user has closed the VM's window. */
	void (*on_window_close)(void *ctx);
};

/* A process that serves a device, or is about to. */
struct vm_server {
	struct vm_child child;
	struct vm_counters counters;
};

struct vm_devices {
	struct vm_nursery *nursery;
	struct vm_channel *channel;
	const char *program;
	uint64_t guest_memory; /* bytes, which a process may map */
	uint64_t poll_us;      /* see struct vm_config */
	const char *name;      /* of the VM */
	struct vm_window window;
	const struct vm_gpu *windowed; /* whose screen it shows; NULL: there is no window */
	const struct vm_devices_events *events;
	void *ctx;
	size_t count;
	struct vm_device *list;
};

struct vm_device {
	struct vm_devices *owner;
	const char *id; /* borrowed, as all strings */
	const struct vmm_dev_shape *shape;
	struct vmm_dev_shape own_shape; /* of a GPU with contexts */
	struct vmm_virtio_shm own_shm;
	uint16_t queue_size; /* 0: that of the shape */
	const char *serial;
	const struct vm_net *net;
	const struct vm_gpu *gpu;
	bool is_tablet; /* of the two that a window has */
	/* Served by a program of others, which is none of this VM's. Owned; NULL: it is not. */
	struct vm_foreign *foreign;
	bool read_only;
	bool restart;

	/* What its processes are given; kept for the next one. */
	struct vmm_disk *disk;          /* owned */
	struct vm_connector *connector; /* owned */
	int fds[2];                     /* owned where so marked; -1: none */
	bool owns_fds;

	uint32_t index;
	struct vm_server *now; /* NULL: none */
	uint32_t generation;   /* of its connection to the vm process */
	unsigned restarts;
	uint64_t started_ns;
	uint64_t delay_ns;        /* before the next start */
	struct vmm_source *timer; /* for it */
	bool failed;              /* and there will be none */
	char status[96];          /* how the last one ended */
};

/* Where the console's bytes go: a pty's master and its inotify, or a pipe. -1: nowhere. Borrowed.
 */
struct vm_console_fds {
	int master;
	int inotify;
	int out;
};

/* Opens what config's devices need. On failure close it. err names file or device. */
int vm_devices_open(struct vm_devices *d, struct vm_config *config, bool restart,
		    const struct vm_console_fds *console, struct vmm_error *err);
/* Starts a process for each, unless others serve it. */
int vm_devices_start(struct vm_devices *d, struct vmm_error *err);
/* Tells the vm process of them. */
int vm_devices_hand_over(struct vm_devices *d, struct vmm_error *err);
/* Their processes end by themselves when the vm process has; those that do not are killed. */
void vm_devices_close(struct vm_devices *d);

/* Bytes of all shared memory regions, as far as there may be; 0: no device has any. */
uint64_t vm_devices_shm_size(const struct vm_devices *d);

struct vm_device *vm_devices_find(struct vm_devices *d, const char *id);
/* The vm process says that a connection ended. */
void vm_devices_lost(struct vm_devices *d, uint32_t index, uint32_t generation, int why);
/* Another process, now. */
int vm_device_replace(struct vm_device *dev, struct vmm_error *err);

#endif
