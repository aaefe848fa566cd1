/* SPDX-License-Identifier: MIT */
/*
 * Carrying a device: its queues, when it is active, and what it says. The registers that decide
 * when that is are in registers.c; a transport that has none of its own (vhost-user) starts and
 * stops the device itself.
 */
#include "carrier_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Device features live here; 24 to 49 are the ring's and the transport's (section 2.2). */
#define DEVICE_FEATURES (((UINT64_C(1) << 24) - 1) | ~((UINT64_C(1) << 50) - 1))
#define RING_FEATURES   (VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_INDIRECT_DESC | VMM_VIRTIO_F_EVENT_IDX)

#define SHM_LEN_MAX (UINT64_C(64) << 30)

/* ---- create and destroy ---- */

static int check_shm(const struct vmm_virtio_device *dev, struct vmm_error *err)
{
	if (dev->shm_count > VMM_VIRTIO_SHM_MAX) {
		return vmm_error_set(err, -EINVAL, "%s: %u shared memory regions, at most %d",
				     dev->name, dev->shm_count, VMM_VIRTIO_SHM_MAX);
	}
	for (unsigned i = 0; i < dev->shm_count; i++) {
		const struct vmm_virtio_shm *shm = &dev->shm[i];

		if (shm->len < VMM_VIRTIO_SHM_PAGE || shm->len > SHM_LEN_MAX ||
		    (shm->len & (shm->len - 1)) != 0 || (i > 0 && dev->shm[i - 1].id >= shm->id)) {
			return vmm_error_set(err, -EINVAL,
					     "%s: shared memory region %u of 0x%llx bytes: must be "
					     "a power of two from 4 KiB to 16 GiB, and ids ascend",
					     dev->name, shm->id, (unsigned long long)shm->len);
		}
	}
	return 0;
}

static int check_device(const struct vmm_virtio_device *dev, struct vmm_error *err)
{
	const struct vmm_virtio_ops *ops = dev->ops;
	uint64_t legal = DEVICE_FEATURES | (dev->external_queues ? RING_FEATURES : 0);

	if (!dev->name || !ops || !ops->activate || !ops->notify || !ops->reset) {
		return vmm_error_set(err, -EINVAL, "virtio device: a name or an op is missing");
	}
	if (dev->queue_count > VMM_VIRTIO_QUEUES_MAX) {
		return vmm_error_set(err, -EINVAL, "%s: %u queues, at most %d", dev->name,
				     dev->queue_count, VMM_VIRTIO_QUEUES_MAX);
	}
	for (unsigned i = 0; i < dev->queue_count; i++) {
		unsigned size = dev->queue_sizes[i];

		if (size == 0 || (size & (size - 1)) != 0 || size > VMM_VIRTQ_SIZE_MAX) {
			return vmm_error_set(err, -EINVAL,
					     "%s: queue %u of size %u: must be a power of two, at "
					     "most %d",
					     dev->name, i, size, VMM_VIRTQ_SIZE_MAX);
		}
	}
	if (dev->config_len > VMM_VIRTIO_CONFIG_MAX) {
		return vmm_error_set(err, -EINVAL, "%s: configuration of %zu bytes, at most %d",
				     dev->name, dev->config_len, VMM_VIRTIO_CONFIG_MAX);
	}
	if (dev->features & ~legal) {
		return vmm_error_set(err, -EINVAL,
				     "%s: features 0x%llx: bits 24 to 49 are not a device's",
				     dev->name, (unsigned long long)dev->features);
	}
	if (dev->carrier) {
		return vmm_error_set(err, -EBUSY, "%s: the device is in use already", dev->name);
	}
	return check_shm(dev, err);
}

/* Frees what create made; the device is left alone. */
static void free_carrier(struct vmm_carrier *c)
{
	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		vmm_virtq_destroy(c->pool[i]);
	}
	(void)pthread_mutex_destroy(&c->lock);
	free(c->mappings);
	free(c->id);
	free(c);
}

/* All memory that the device will ever need here, so that no later step can run out of it. */
static int alloc_parts(struct vmm_carrier *c)
{
	int ret = 0;

	if (c->dev->shm_count > 0) {
		c->mappings = calloc(VMM_VIRTIO_SHM_MAPPINGS_MAX, sizeof(c->mappings[0]));
		ret = c->mappings ? 0 : -ENOMEM;
	}
	for (unsigned i = 0; ret == 0 && i < c->dev->queue_count && !c->dev->external_queues; i++) {
		ret = vmm_virtq_alloc(&c->pool[i], c->dev->queue_sizes[i]);
	}
	return ret;
}

int vmm_carrier_create(struct vmm_carrier **out, struct vmm_virtio_device *dev,
		       const struct vmm_carrier_config *config, struct vmm_error *err)
{
	struct vmm_carrier *c;
	int ret;

	*out = NULL;
	ret = check_device(dev, err);
	if (ret < 0) {
		return ret;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		return vmm_error_set(err, -ENOMEM, "%s: out of memory", dev->name);
	}
	c->dev = dev;
	(void)pthread_mutex_init(&c->lock, NULL);
	c->id = strdup(config->id ? config->id : dev->name);
	if (!c->id || alloc_parts(c) < 0) {
		free_carrier(c);
		return vmm_error_set(err, -ENOMEM, "%s: out of memory", dev->name);
	}
	c->mem = config->mem;
	c->loop = config->loop;
	c->log = config->log;
	c->config_irq = config->config_irq;
	for (unsigned i = 0; i < dev->queue_count; i++) {
		c->queue_irqs[i] = config->queue_irqs ? config->queue_irqs[i] : NULL;
		c->kick_fds[i] = config->kick_fds ? config->kick_fds[i] : -1;
	}
	c->on_active = config->on_active;
	c->on_config = config->on_config;
	c->on_fail = config->on_fail;
	c->shm = config->shm;
	c->ctx = config->ctx;
	c->offered = dev->features | (dev->external_queues ? 0 : RING_FEATURES);
	vmm_carrier_default_registers(c);
	dev->carrier = c;
	*out = c;
	return 0;
}

void vmm_carrier_destroy(struct vmm_carrier *c)
{
	struct vmm_virtio_device *dev;

	if (!c) {
		return;
	}
	dev = vmm_carrier_release(c);
	vmm_virtio_device_destroy(dev);
}

struct vmm_virtio_device *vmm_carrier_release(struct vmm_carrier *c)
{
	struct vmm_virtio_device *dev = c->dev;

	vmm_carrier_stop(c, NULL);
	dev->carrier = NULL;
	free_carrier(c);
	return dev;
}

struct vmm_virtio_device *vmm_carrier_device(const struct vmm_carrier *c)
{
	return c->dev;
}

const char *vmm_carrier_id(const struct vmm_carrier *c)
{
	return c->id;
}

/* ---- failure ---- */

void vmm_carrier_fail(struct vmm_carrier *c, const char *why)
{
	bool tell;

	vmm_log_guest(c->log, &c->fail_limit, "%s: %s: the device needs a reset", c->id, why);
	vmm_carrier_lock(c);
	/* Section 2.1.2: only a driver that is at DRIVER_OK is told, and once is enough. */
	tell = (c->status & (VMM_VIRTIO_S_DRIVER_OK | VMM_VIRTIO_S_NEEDS_RESET)) ==
	       VMM_VIRTIO_S_DRIVER_OK;
	c->status |= VMM_VIRTIO_S_NEEDS_RESET;
	vmm_carrier_unlock(c);
	if (tell) {
		vmm_irq_raise(c->config_irq);
	}
	if (c->on_fail) {
		c->on_fail(c->ctx, why);
	}
}

static void queue_broken(void *ctx, const char *why)
{
	vmm_carrier_fail(ctx, why);
}

/* ---- starting and stopping the device ---- */

static int start_queue(struct vmm_carrier *c, unsigned i, const struct vmm_carrier_start *start)
{
	const struct vmm_carrier_ring *ring = &start->rings[i];
	struct vmm_virtq_config config = {
		.size = ring->size,
		.size_max = c->dev->queue_sizes[i],
		.desc = ring->desc,
		.driver = ring->driver,
		.device = ring->device,
		.features = start->features,
		.next_avail = ring->next_avail,
		.inflight = ring->inflight,
	};
	int ret;

	if (!ring->enabled) {
		return 0;
	}
	if (c->dev->external_queues) {
		return vmm_virtq_check(c->mem, &config);
	}
	ret = vmm_virtq_start(c->pool[i], c->mem, &config, c->queue_irqs[i], queue_broken, c);
	c->virtqs[i] = ret == 0 ? c->pool[i] : NULL;
	return ret;
}

static void forget_queues(struct vmm_carrier *c)
{
	c->polling = false;
	memset(c->virtqs, 0, sizeof(c->virtqs));
}

/* Buffers may have been made available, and kicked, before anybody listened. */
static void notify_all(struct vmm_carrier *c)
{
	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		vmm_carrier_kick(c, i);
	}
}

int vmm_carrier_run(struct vmm_carrier *c, const struct vmm_carrier_start *start, const char **why)
{
	struct vmm_virtio_active active = {
		.mem = c->mem,
		.loop = c->loop,
		.log = c->log,
		.features = start->features,
		.queue_count = c->dev->queue_count,
		.queues = c->virtqs,
		.resumed = start->resumed,
		.rings = start->rings,
		.queue_irqs = c->queue_irqs,
		.kick_fds = c->kick_fds,
	};
	int ret = 0;

	*why = "a queue's addresses";
	for (unsigned i = 0; ret == 0 && i < c->dev->queue_count; i++) {
		ret = start_queue(c, i, start);
	}
	if (ret == 0) {
		*why = "the device could not start";
		c->activating = true;
		ret = c->dev->ops->activate(c->dev, &active);
		c->activating = false;
	}
	if (ret < 0) {
		vmm_carrier_unmap_all(c);
		forget_queues(c);
		return ret;
	}
	c->active = true;
	if (c->on_active) {
		c->on_active(c->ctx, true);
	}
	if (start->before_notify) {
		start->before_notify(start->ctx);
	}
	notify_all(c);
	return 0;
}

int vmm_carrier_start(struct vmm_carrier *c, const struct vmm_carrier_start *start)
{
	const char *why;
	int ret;

	if (c->active) {
		return -EBUSY;
	}
	if ((start->features & ~c->offered) != 0 || !c->mem) {
		return -EINVAL;
	}
	vmm_carrier_set_running_registers(c, start->features);
	ret = vmm_carrier_run(c, start, &why);
	if (ret < 0) {
		vmm_carrier_stop(c, NULL);
	}
	return ret;
}

/* The driver may free its buffers the moment it hears of it: first the device lets go of them. */
void vmm_carrier_stop(struct vmm_carrier *c, int *next_avail)
{
	bool was_active = c->active;

	if (was_active) {
		c->resetting = true;
		c->dev->ops->reset(c->dev);
		vmm_carrier_unmap_all(c);
		c->resetting = false;
		c->active = false;
	}
	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		uint16_t next = 0;
		int ret = c->virtqs[i] ? vmm_virtq_stop(c->virtqs[i], &next) : 0;

		if (next_avail) {
			next_avail[i] = ret < 0 ? ret : next;
		}
	}
	forget_queues(c);
	if (was_active && c->on_active) {
		c->on_active(c->ctx, false);
	}
	vmm_carrier_lock(c);
	vmm_carrier_default_registers(c);
	vmm_carrier_unlock(c);
}

int vmm_carrier_set_mem(struct vmm_carrier *c, struct vmm_mem *mem)
{
	if (c->active) {
		return -EBUSY;
	}
	c->mem = mem;
	return 0;
}

void vmm_carrier_set_queue_irq(struct vmm_carrier *c, unsigned queue, struct vmm_irq *irq)
{
	if (queue >= c->dev->queue_count) {
		return;
	}
	c->queue_irqs[queue] = irq;
	if (c->virtqs[queue]) {
		vmm_virtq_set_irq(c->virtqs[queue], irq);
	}
}

void vmm_carrier_irqs_changed(struct vmm_carrier *c)
{
	for (unsigned i = 0; c->active && c->dev->ops->irq_changed && i < c->dev->queue_count;
	     i++) {
		c->dev->ops->irq_changed(c->dev, i);
	}
}

void vmm_carrier_kick(struct vmm_carrier *c, unsigned queue)
{
	if (!c->active || c->resetting || (c->status & VMM_VIRTIO_S_NEEDS_RESET) ||
	    queue >= c->dev->queue_count || !c->virtqs[queue] ||
	    vmm_virtq_is_broken(c->virtqs[queue])) {
		return;
	}
	c->dev->ops->notify(c->dev, queue);
}

bool vmm_carrier_poll(struct vmm_carrier *c)
{
	bool found = false;

	for (unsigned i = 0; c->active && i < c->dev->queue_count; i++) {
		struct vmm_virtq *q = c->virtqs[i];

		if (q && !c->polling) {
			vmm_virtq_poll_begin(q);
		}
		if (q && vmm_virtq_poll_look(q)) {
			vmm_carrier_kick(c, i);
			found = true;
		}
	}
	c->polling = c->active;
	return found;
}

bool vmm_carrier_rest(struct vmm_carrier *c)
{
	bool found = false;

	for (unsigned i = 0; c->polling && i < c->dev->queue_count; i++) {
		if (c->virtqs[i] && vmm_virtq_poll_end(c->virtqs[i])) {
			/* It came before it was asked for: no kick will. */
			vmm_carrier_kick(c, i);
			found = true;
		}
	}
	c->polling = false;
	return found;
}
