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
#include <string.h>

#define A VMM_VIRTIO_S_ACKNOWLEDGE
#define D VMM_VIRTIO_S_DRIVER
#define F VMM_VIRTIO_S_FEATURES_OK
#define O VMM_VIRTIO_S_DRIVER_OK

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
void vmm_carrier_lock(struct vmm_carrier *c)
{
	(void)pthread_mutex_lock(&c->lock);
}

void vmm_carrier_unlock(struct vmm_carrier *c)
{
	(void)pthread_mutex_unlock(&c->lock);
}

void vmm_carrier_default_registers(struct vmm_carrier *c)
{
	c->status = 0;
	c->driver_features = 0;
	memset(c->queues, 0, sizeof(c->queues));
	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		c->queues[i].size = c->dev->queue_sizes[i];
	}
}

void vmm_carrier_set_running_registers(struct vmm_carrier *c, uint64_t features)
{
	vmm_carrier_lock(c);
	c->status = A | D | F | O;
	c->driver_features = features;
	vmm_carrier_unlock(c);
}

/* DRIVER_OK is set, so registers no longer change and no lock is needed to read them. */
static void activate(struct vmm_carrier *c)
{
	struct vmm_carrier_start start = {.features = c->driver_features, .rings = c->rings};
	const char *why;

	for (unsigned i = 0; i < c->dev->queue_count; i++) {
		const struct vmm_carrier_queue *q = &c->queues[i];

		c->rings[i] = (struct vmm_carrier_ring){
			.enabled = q->enabled,
			.size = q->size,
			.desc = q->desc,
			.driver = q->driver,
			.device = q->device,
		};
	}
	if (vmm_carrier_run(c, &start, &why) < 0) {
		vmm_carrier_fail(c, why);
	}
}

/* ---- status ---- */

uint8_t vmm_carrier_status(struct vmm_carrier *c)
{
	uint8_t status;

	vmm_carrier_lock(c);
	status = c->status;
	vmm_carrier_unlock(c);
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
		/* The status reads 0 only when the device has let go of everything (section 2.1.2).
		 */
		vmm_carrier_stop(c, NULL);
		return;
	}
	vmm_carrier_lock(c);
	before = c->status;
	after = next_status(c, w->value);
	c->status = after;
	vmm_carrier_unlock(c);
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

uint64_t vmm_carrier_features(const struct vmm_carrier *c)
{
	return c->offered;
}

uint64_t vmm_carrier_driver_features(struct vmm_carrier *c)
{
	uint64_t features;

	vmm_carrier_lock(c);
	features = c->driver_features;
	vmm_carrier_unlock(c);
	return features;
}

void vmm_carrier_set_driver_features(struct vmm_carrier *c, uint64_t features)
{
	vmm_carrier_lock(c);
	if (!(c->status & F)) {
		c->driver_features = features;
	}
	vmm_carrier_unlock(c);
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
	vmm_carrier_lock(c);
	*out = c->queues[queue];
	vmm_carrier_unlock(c);
	return 0;
}

int vmm_carrier_set_queue(struct vmm_carrier *c, unsigned queue, const struct vmm_carrier_queue *q)
{
	int ret = -EBUSY;

	if (queue >= c->dev->queue_count || q->size == 0 || (q->size & (q->size - 1u)) != 0 ||
	    q->size > c->dev->queue_sizes[queue]) {
		return -EINVAL;
	}
	vmm_carrier_lock(c);
	if ((c->status & (F | O)) == F && !c->queues[queue].enabled) {
		c->queues[queue] = *q;
		ret = 0;
	}
	vmm_carrier_unlock(c);
	return ret;
}

int vmm_carrier_disable_queue(struct vmm_carrier *c, unsigned queue)
{
	int ret = -EBUSY;

	if (queue >= c->dev->queue_count) {
		return -EINVAL;
	}
	vmm_carrier_lock(c);
	if ((c->status & (F | O)) == F) {
		c->queues[queue].enabled = false;
		ret = 0;
	}
	vmm_carrier_unlock(c);
	return ret;
}

/* ---- configuration space ---- */

uint8_t vmm_carrier_config_generation(struct vmm_carrier *c)
{
	uint8_t generation;

	vmm_carrier_lock(c);
	generation = c->generation;
	c->generation_read = true;
	vmm_carrier_unlock(c);
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
		vmm_carrier_lock(c);
		memcpy(buf, c->dev->config + offset, have);
		vmm_carrier_unlock(c);
	}
}

void vmm_carrier_update_config(struct vmm_carrier *c, size_t offset, const void *bytes, size_t len)
{
	bool tell;

	vmm_carrier_lock(c);
	memcpy(c->dev->config + offset, bytes, len);
	/*
	 * Only a value that was seen must not come back: 256 changes between two reads would
	 * otherwise look like none (section 2.5.2).
	 */
	if (c->generation_read) {
		c->generation++;
		c->generation_read = false;
	}
	tell = (c->status & O) && !c->resetting && !c->writing;
	vmm_carrier_unlock(c);
	if (tell) {
		vmm_irq_raise(c->config_irq);
	}
	if (c->on_config && !c->writing) {
		c->on_config(c->ctx);
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

	/* What the device changes meanwhile is its answer, which the driver will come and read. */
	w->c->writing = true;
	w->c->dev->ops->set_config(w->c->dev, w->offset, w->bytes, w->len);
	w->c->writing = false;
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
