/* SPDX-License-Identifier: MIT */
/*
 * The registers of a virtio device and the state machine behind them (VIRTIO 1.2 section 2.1, 3.1).
 *
 *	0 --> ACKNOWLEDGE --> DRIVER --> FEATURES_OK --> DRIVER_OK
 *
 * Any write of 0 leads back to the start. DEVICE_NEEDS_RESET comes from the device and FAILED from
 * the driver, at any step; after either nothing but a reset leads on.
 */
#include "carrier_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define A VMM_VIRTIO_S_ACKNOWLEDGE
#define D VMM_VIRTIO_S_DRIVER
#define F VMM_VIRTIO_S_FEATURES_OK
#define O VMM_VIRTIO_S_DRIVER_OK

/* Device features live here; 24 to 49 are the ring's and the transport's (section 2.2). */
#define DEVICE_FEATURES (((UINT64_C(1) << 24) - 1) | ~((UINT64_C(1) << 50) - 1))
#define RING_FEATURES   (VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_INDIRECT_DESC | VMM_VIRTIO_F_EVENT_IDX)

/* The legal steps (section 3.1.1). A driver may show ACKNOWLEDGE and DRIVER in one write. */
static const struct {
	uint8_t from;
	uint8_t to;
} steps[] = {
	{0, A}, {0, A | D}, {A, A | D}, {A | D, A | D | F}, {A | D | F, A | D | F | O},
};

static bool is_step(uint8_t from, uint8_t to)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].from == from && steps[i].to == to) {
			return true;
		}
	}
	return false;
}

/* pthread_mutex_lock cannot fail on a valid mutex of the default type. */
static void lock(struct vmm_carrier *c)
{
	(void)pthread_mutex_lock(&c->lock);
}

static void unlock(struct vmm_carrier *c)
{
	(void)pthread_mutex_unlock(&c->lock);
}

/* ---- create and destroy ---- */

static int check_device(const struct vmm_virtio_device *dev, struct vmm_error *err)
{
	const struct vmm_virtio_ops *ops = dev->ops;

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
	if (dev->features & ~DEVICE_FEATURES) {
		return vmm_error_set(err, -EINVAL,
				     "%s: features 0x%llx: bits 24 to 49 are not a device's",
				     dev->name, (unsigned long long)dev->features);
	}
	if (dev->carrier) {
		return vmm_error_set(err, -EBUSY, "%s: the device is in use already", dev->name);
	}
	return 0;
}

/* Registers as after power-on. Lock held, or nobody knows c yet. */
static void default_registers(struct vmm_carrier *c)
{
	c->status = 0;
	c->driver_features = 0;
	memset(c->queues, 0, sizeof(c->queues));
	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		c->queues[i].size = c->dev->queue_sizes[i];
	}
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
	if (c) {
		c->id = strdup(config->id ? config->id : dev->name);
	}
	if (!c || !c->id) {
		free(c);
		return vmm_error_set(err, -ENOMEM, "%s: out of memory", dev->name);
	}
	c->dev = dev;
	c->mem = config->mem;
	c->loop = config->loop;
	c->log = config->log;
	c->config_irq = config->config_irq;
	for (unsigned i = 0; config->queue_irqs && i < dev->queue_count; i++) {
		c->queue_irqs[i] = config->queue_irqs[i];
	}
	c->on_active = config->on_active;
	c->ctx = config->ctx;
	c->offered = dev->features | RING_FEATURES;
	(void)pthread_mutex_init(&c->lock, NULL);
	default_registers(c);
	dev->carrier = c;
	*out = c;
	return 0;
}

/* ---- reset ---- */

static void destroy_queues(struct vmm_carrier *c)
{
	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		vmm_virtq_destroy(c->virtqs[i]);
		c->virtqs[i] = NULL;
	}
}

/*
 * The status reads 0 only when the device has let go of everything (section 2.1.2): the driver may
 * free its buffers the moment it sees it.
 */
static void reset(struct vmm_carrier *c)
{
	if (c->active) {
		c->resetting = true;
		c->dev->ops->reset(c->dev);
		c->resetting = false;
		c->active = false;
		destroy_queues(c);
		if (c->on_active) {
			c->on_active(c->ctx, false);
		}
	}
	lock(c);
	default_registers(c);
	unlock(c);
}

void vmm_carrier_destroy(struct vmm_carrier *c)
{
	if (!c) {
		return;
	}
	reset(c);
	c->dev->carrier = NULL;
	vmm_virtio_device_destroy(c->dev);
	(void)pthread_mutex_destroy(&c->lock);
	free(c->id);
	free(c);
}

/* ---- failure ---- */

void vmm_carrier_fail(struct vmm_carrier *c, const char *why)
{
	bool tell;

	vmm_log_guest(c->log, &c->fail_limit, "%s: %s: the device needs a reset", c->id, why);
	lock(c);
	/* Section 2.1.2: only a driver that is at DRIVER_OK is told, and once is enough. */
	tell = (c->status & (O | VMM_VIRTIO_S_NEEDS_RESET)) == O;
	c->status |= VMM_VIRTIO_S_NEEDS_RESET;
	unlock(c);
	if (tell) {
		vmm_irq_raise(c->config_irq);
	}
}

static void queue_broken(void *ctx, const char *why)
{
	vmm_carrier_fail(ctx, why);
}

/* ---- activation ---- */

static int create_queues(struct vmm_carrier *c)
{
	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		/* Constant from DRIVER_OK on, so no lock is needed. */
		const struct vmm_carrier_queue *regs = &c->queues[i];
		struct vmm_virtq_config config = {
			.size = regs->size,
			.size_max = c->dev->queue_sizes[i],
			.desc = regs->desc,
			.driver = regs->driver,
			.device = regs->device,
			.features = c->driver_features,
		};
		int ret;

		if (!regs->enabled) {
			continue;
		}
		ret = vmm_virtq_create(&c->virtqs[i], c->mem, &config, c->queue_irqs[i],
				       queue_broken, c);
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

/* DRIVER_OK is set, so registers no longer change. */
static void activate(struct vmm_carrier *c)
{
	struct vmm_virtio_active active = {
		.mem = c->mem,
		.loop = c->loop,
		.log = c->log,
		.features = c->driver_features,
		.queue_count = c->dev->queue_count,
		.queues = c->virtqs,
	};
	int ret;

	ret = create_queues(c);
	if (ret < 0) {
		destroy_queues(c);
		vmm_carrier_fail(c, ret == -ENOMEM ? "out of memory" : "a queue's addresses");
		return;
	}
	ret = c->dev->ops->activate(c->dev, &active);
	if (ret < 0) {
		destroy_queues(c);
		vmm_carrier_fail(c, "the device could not start");
		return;
	}
	c->active = true;
	if (c->on_active) {
		c->on_active(c->ctx, true);
	}
	/* Buffers may have been made available, and kicked, before anybody listened. */
	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		vmm_carrier_kick(c, i);
	}
}

/* ---- status ---- */

uint8_t vmm_carrier_status(struct vmm_carrier *c)
{
	uint8_t status;

	lock(c);
	status = c->status;
	unlock(c);
	return status;
}

/* Lock held. The new status after a write of value (not 0). */
static uint8_t next_status(const struct vmm_carrier *c, uint8_t value)
{
	uint8_t fixed = c->status & VMM_VIRTIO_S_NEEDS_RESET;
	uint8_t from = c->status & (uint8_t)~fixed;
	/* Drivers write back what they read with a bit added. */
	uint8_t to = value & (uint8_t)~VMM_VIRTIO_S_NEEDS_RESET;
	bool valid;

	if (to == (from | VMM_VIRTIO_S_FAILED)) {
		return to | fixed;
	}
	if (!is_step(from, to)) {
		return c->status;
	}
	valid = (c->driver_features & ~c->offered) == 0 &&
		(c->driver_features & VMM_VIRTIO_F_VERSION_1) != 0;
	if ((to & ~from) == F && !valid) {
		return c->status;
	}
	return to | fixed;
}

struct status_write {
	struct vmm_carrier *c;
	uint8_t value;
};

static void write_status(void *ctx)
{
	const struct status_write *w = ctx;
	struct vmm_carrier *c = w->c;
	uint8_t before;
	uint8_t after;

	if (w->value == 0) {
		reset(c);
		return;
	}
	lock(c);
	before = c->status;
	after = next_status(c, w->value);
	c->status = after;
	unlock(c);
	if (!(~before & after & O)) {
		return;
	}
	if (after & VMM_VIRTIO_S_NEEDS_RESET) {
		/* It failed before anybody could be told. */
		vmm_irq_raise(c->config_irq);
		return;
	}
	activate(c);
}

void vmm_carrier_set_status(struct vmm_carrier *c, uint8_t status)
{
	struct status_write w = {c, status};

	vmm_loop_call(c->loop, write_status, &w);
}

/* ---- features and queues ---- */

struct vmm_virtio_device *vmm_carrier_device(const struct vmm_carrier *c)
{
	return c->dev;
}

const char *vmm_carrier_id(const struct vmm_carrier *c)
{
	return c->id;
}

uint64_t vmm_carrier_features(const struct vmm_carrier *c)
{
	return c->offered;
}

uint64_t vmm_carrier_driver_features(struct vmm_carrier *c)
{
	uint64_t features;

	lock(c);
	features = c->driver_features;
	unlock(c);
	return features;
}

void vmm_carrier_set_driver_features(struct vmm_carrier *c, uint64_t features)
{
	lock(c);
	if (!(c->status & F)) {
		c->driver_features = features;
	}
	unlock(c);
}

unsigned vmm_carrier_queue_count(const struct vmm_carrier *c)
{
	return c->dev->queue_count;
}

uint16_t vmm_carrier_queue_size_max(const struct vmm_carrier *c, unsigned queue)
{
	return queue < c->dev->queue_count ? c->dev->queue_sizes[queue] : 0;
}

int vmm_carrier_get_queue(struct vmm_carrier *c, unsigned queue, struct vmm_carrier_queue *out)
{
	if (queue >= c->dev->queue_count) {
		return -EINVAL;
	}
	lock(c);
	*out = c->queues[queue];
	unlock(c);
	return 0;
}

int vmm_carrier_set_queue(struct vmm_carrier *c, unsigned queue, const struct vmm_carrier_queue *q)
{
	int ret = -EBUSY;

	if (queue >= c->dev->queue_count || q->size == 0 || (q->size & (q->size - 1u)) != 0 ||
	    q->size > c->dev->queue_sizes[queue]) {
		return -EINVAL;
	}
	lock(c);
	if ((c->status & (F | O)) == F && !c->queues[queue].enabled) {
		c->queues[queue] = *q;
		ret = 0;
	}
	unlock(c);
	return ret;
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

/* ---- configuration space ---- */

uint8_t vmm_carrier_config_generation(struct vmm_carrier *c)
{
	uint8_t generation;

	lock(c);
	generation = c->generation;
	c->generation_read = true;
	unlock(c);
	return generation;
}

void vmm_carrier_read_config(struct vmm_carrier *c, size_t offset, void *buf, size_t len)
{
	size_t have = offset < c->dev->config_len ? c->dev->config_len - offset : 0;

	if (have > len) {
		have = len;
	}
	memset((uint8_t *)buf + have, 0, len - have);
	if (have > 0) {
		lock(c);
		memcpy(buf, c->dev->config + offset, have);
		unlock(c);
	}
}

void vmm_carrier_update_config(struct vmm_carrier *c, size_t offset, const void *bytes, size_t len)
{
	bool tell;

	lock(c);
	memcpy(c->dev->config + offset, bytes, len);
	/*
	 * Only a value that was seen must not come back: 256 changes between two reads would
	 * otherwise look like none (section 2.5.2).
	 */
	if (c->generation_read) {
		c->generation++;
		c->generation_read = false;
	}
	tell = (c->status & O) && !c->resetting;
	unlock(c);
	if (tell) {
		vmm_irq_raise(c->config_irq);
	}
}

struct config_write {
	struct vmm_carrier *c;
	size_t offset;
	size_t len;
	uint8_t bytes[VMM_VIRTIO_CONFIG_MAX];
};

static void write_config(void *ctx)
{
	const struct config_write *w = ctx;

	w->c->dev->ops->set_config(w->c->dev, w->offset, w->bytes, w->len);
}

void vmm_carrier_write_config(struct vmm_carrier *c, size_t offset, const void *buf, size_t len)
{
	struct config_write w = {.c = c, .offset = offset, .len = len};

	if (!c->dev->ops->set_config || len == 0 || offset > c->dev->config_len ||
	    len > c->dev->config_len - offset) {
		return;
	}
	memcpy(w.bytes, buf, len);
	vmm_loop_call(c->loop, write_config, &w);
}
