/* SPDX-License-Identifier: MIT */
/*
 * The processes of a device, one after the other. The vm process keeps what is in flight; whoever
 * is connected next goes on with it. Two must never be at the same rings, so a process is dead
 * before the next one is connected.
 */
#include "vm/restart.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vm/desktop.h"
#include "vm/server.h"

#define NS_PER_MS UINT64_C(1000000)
/* One that lived so long is followed at once, others after a pause that doubles. */
#define LONG_LIFE_NS (UINT64_C(1000) * NS_PER_MS)
#define DELAY_MIN_NS (UINT64_C(10) * NS_PER_MS)
#define DELAY_MAX_NS (UINT64_C(1000) * NS_PER_MS)
/* A new program has this long to come up before the old one is ended for it. */
#define READY_MS 2000

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static void tell(const struct vm_device *dev, enum vm_device_event event)
{
	dev->owner->events->on_device(dev->owner->ctx, dev->id, event);
}

/* ---- another one ---- */

void vm_device_handed_over(struct vm_device *dev)
{
	struct vm_child *child = &dev->now->child;

	if (child->socket >= 0) {
		(void)close(child->socket);
		child->socket = -1;
	}
}

static int connect_next(struct vm_device *dev, struct vmm_error *err)
{
	struct wire_message m;
	int ret;

	vm_channel_begin(dev->owner->channel, &m, WIRE_CONNECT);
	m.u.connection = (struct wire_connection){dev->index, ++dev->generation};
	ret = vm_channel_call(dev->owner->channel, &m, &dev->now->child.socket, CHANNEL_CALL_MS,
			      err);
	vm_device_handed_over(dev);
	return ret;
}

static void give_up(struct vm_device *dev)
{
	struct wire_message m;

	dev->failed = true;
	vm_channel_begin(dev->owner->channel, &m, WIRE_GIVE_UP);
	m.u.connection = (struct wire_connection){dev->index, dev->generation};
	(void)vm_channel_call(dev->owner->channel, &m, NULL, CHANNEL_CALL_MS, NULL);
	tell(dev, VM_DEVICE_FAILED);
}

/* Immediately after a long life, else later and later. */
static void plan_restart(struct vm_device *dev)
{
	bool lived = now_ns() - dev->started_ns >= LONG_LIFE_NS;
	uint64_t doubled = dev->delay_ns * 2;

	if (lived) {
		dev->delay_ns = 0;
	} else {
		dev->delay_ns = doubled < DELAY_MIN_NS   ? DELAY_MIN_NS
				: doubled > DELAY_MAX_NS ? DELAY_MAX_NS
							 : doubled;
	}
	/* Not from within: 0 would disarm the timer. */
	(void)vmm_source_arm(dev->timer, dev->delay_ns ? dev->delay_ns : 1);
}

static void after_loss(struct vm_device *dev)
{
	if (dev->restart && !dev->failed) {
		plan_restart(dev);
	} else if (!dev->failed) {
		give_up(dev);
	}
}

/* The process has ended, or has to, because its connection has. */
static void lose(struct vm_device *dev, const char *why)
{
	vmm_log(dev->owner->nursery->log, VMM_LOG_WARN, "%s: its process %s%s", dev->id, why,
		dev->restart && !dev->failed ? "; starting another one" : "");
	vm_server_end(dev->now);
	dev->now = NULL;
	tell(dev, VM_DEVICE_LOST);
	after_loss(dev);
}

static void on_end(void *ctx)
{
	struct vm_device *dev = ctx;
	int status;

	/* When the vm process has gone, its devices go as well, and nothing is lost. */
	if (!dev->owner->events->is_alive(dev->owner->ctx) || !dev->now ||
	    vm_child_wait(&dev->now->child, 0, &status) == 0) {
		return;
	}
	lose(dev, vm_child_status(status, dev->status, sizeof(dev->status)));
}

/* A process that was started becomes the device's, or is ended. */
static int adopt(struct vm_device *dev, struct vm_server *next, struct vmm_error *err)
{
	int ret;

	dev->now = next;
	ret = connect_next(dev, err);
	if (ret < 0) {
		vm_server_end(dev->now);
		dev->now = NULL;
		return ret;
	}
	dev->restarts++;
	dev->failed = false;
	vmm_log(dev->owner->nursery->log, VMM_LOG_INFO, "%s: served by process %d", dev->id,
		(int)next->child.process.pid);
	tell(dev, VM_DEVICE_RESTARTED);
	return 0;
}

static void on_timer(void *ctx)
{
	struct vm_device *dev = ctx;
	struct vmm_error err = {0};
	struct vm_server *next;
	int ret;

	dev->started_ns = now_ns();
	ret = dev->connector ? vm_connector_renew(dev->connector, &dev->fds[1], &err) : 0;
	if (ret == 0) {
		ret = vm_server_start(&next, dev, on_end, &err);
	}
	if (ret == 0) {
		ret = adopt(dev, next, &err);
	}
	if (ret < 0) {
		vmm_log(dev->owner->nursery->log, VMM_LOG_ERROR, "%s: no new process: %s", dev->id,
			err.message);
		plan_restart(dev);
	}
}

/* ---- the first one ---- */

/* Those that start here, and their timers for later; returns how many. -errno. */
static int choose(struct vm_devices *d, struct vm_device **chosen, struct vmm_error *err)
{
	int count = 0;

	for (size_t i = 0; i < d->count; i++) {
		struct vm_device *dev = &d->list[i];
		int ret;

		if (dev->foreign) {
			continue;
		}
		ret = vmm_loop_add_timer(d->nursery->loop, on_timer, dev, &dev->timer);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "%s: timer", dev->id);
		}
		dev->started_ns = now_ns();
		chosen[count++] = dev;
	}
	return count;
}

static void on_window_close(void *ctx)
{
	struct vm_devices *d = ctx;

	d->events->on_window_close(d->ctx);
}

static int start_window(struct vm_devices *d, struct vmm_error *err)
{
	return vm_window_start(&d->window, d->nursery, d->program, d->name,
			       d->windowed->wayland_socket, on_window_close, d, err);
}

int vm_devices_start(struct vm_devices *d, struct vmm_error *err)
{
	struct vm_device **chosen = calloc(d->count + 1, sizeof(struct vm_device *));
	struct vm_server **servers = calloc(d->count + 1, sizeof(struct vm_server *));
	size_t failed = 0;
	int count = -ENOMEM;
	int ret = -ENOMEM;

	if (chosen && servers) {
		count = choose(d, chosen, err);
		ret = count;
	}
	if (ret >= 0 && d->windowed) {
		ret = start_window(d, err);
	}
	if (ret >= 0 && count > 0) {
		ret = vm_servers_start(servers, chosen, (size_t)count, on_end, &failed, err);
		if (ret < 0) {
			(void)vmm_error_wrap(err, ret, "%s", chosen[failed]->id);
		}
	}
	for (int i = 0; ret >= 0 && i < count; i++) {
		chosen[i]->now = servers[i];
	}
	free(chosen);
	free(servers);
	return ret < 0 ? ret : 0;
}

/* ---- losses ---- */

void vm_devices_lost(struct vm_devices *d, uint32_t index, uint32_t generation, int why)
{
	struct vm_device *dev = index < d->count ? &d->list[index] : NULL;
	int status;

	if (dev && dev->foreign && !dev->failed) {
		dev->failed = true;
		vmm_log(d->nursery->log, VMM_LOG_WARN, "%s: the program at '%s' is gone (%s)",
			dev->id, dev->foreign->socket, strerror(-why));
		tell(dev, VM_DEVICE_FAILED);
	}
	/* The connection before, whose process was seen to end. */
	if (!dev || generation != dev->generation || !dev->now) {
		return;
	}
	/* A process that ends closes its connection first. */
	if (vm_child_wait(&dev->now->child, why == -ECONNRESET ? 100 : 0, &status) == 1) {
		lose(dev, vm_child_status(status, dev->status, sizeof(dev->status)));
		return;
	}
	(void)snprintf(dev->status, sizeof(dev->status), "broke its connection (%s)",
		       strerror(-why));
	lose(dev, dev->status);
}

/* ---- on demand ---- */

/* Until the new process is at work, or has failed. */
static int wait_until_ready(struct vm_server *s, const char *id, struct vmm_error *err)
{
	const struct timespec step = {.tv_nsec = (long)NS_PER_MS};
	char words[96];
	int status;

	for (int i = 0; i < READY_MS && !s->child.log.ready; i++) {
		if (vm_child_wait(&s->child, 0, &status) == 1) {
			return vmm_error_set(err, -EIO, "%s: the new process %s%s%s", id,
					     vm_child_status(status, words, sizeof(words)),
					     s->child.log.last_error[0] ? ": " : "",
					     s->child.log.last_error);
		}
		(void)nanosleep(&step, NULL);
		vm_childlog_drain(&s->child.log);
	}
	return s->child.log.ready ? 0
				  : vmm_error_set(err, -ETIMEDOUT,
						  "%s: the new process is not ready after %d s", id,
						  READY_MS / 1000);
}

int vm_device_replace(struct vm_device *dev, struct vmm_error *err)
{
	struct vm_server *next;
	int ret;

	if (dev->foreign) {
		return vmm_error_set(err, -ENOTSUP, "'%s' is served by a program of others",
				     dev->id);
	}
	ret = vm_server_start(&next, dev, on_end, err);
	if (ret < 0) {
		return ret;
	}
	ret = wait_until_ready(next, dev->id, err);
	if (ret < 0) {
		vm_server_end(next);
		return ret; /* the old one goes on */
	}
	(void)vmm_source_arm(dev->timer, 0);
	vm_server_end(dev->now);
	dev->started_ns = now_ns();
	ret = adopt(dev, next, err);
	if (ret < 0) {
		tell(dev, VM_DEVICE_LOST);
		after_loss(dev);
	}
	return ret;
}
