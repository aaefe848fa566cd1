/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (VIRTIO 1.2 section 5.3): features, life, size. Bytes are in port.c, the talk
 * about ports in control.c.
 */
#include "console_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shapes.h"

/* struct virtio_console_config (section 5.3.4). */
#define CONFIG_SIZE_AT  0u
#define CONFIG_PORTS_AT 4u
#define CONFIG_EMERG_AT 8u
#define CONFIG_LEN      12u

/* What a console of one port needs of them. */
static const uint16_t queue_sizes[QUEUE_CONTROL_IN] = {
	[QUEUE_PORT0_IN] = QUEUE_SIZE,
	[QUEUE_PORT0_OUT] = QUEUE_SIZE,
};

const struct vmm_dev_shape vmm_console_shape = {
	.kind = "console",
	.device_id = VMM_VIRTIO_ID_CONSOLE,
	.queue_count = QUEUE_CONTROL_IN,
	.queue_sizes = queue_sizes,
	.config_len = CONFIG_LEN,
};

static struct console *from_base(struct vmm_virtio_device *dev)
{
	return (struct console *)dev;
}

struct vmm_virtq *vmm_console_queue(struct console *c, unsigned index)
{
	if (!c->active.queues || index >= c->active.queue_count) {
		return NULL;
	}
	return c->active.queues[index];
}

/* ---- size ---- */

void vmm_console_resize(struct vmm_virtio_device *dev, unsigned port, uint16_t columns,
			uint16_t rows)
{
	const uint8_t bytes[4] = {(uint8_t)columns, (uint8_t)(columns >> 8), (uint8_t)rows,
				  (uint8_t)(rows >> 8)};
	struct console *c = from_base(dev);
	struct port *p;

	if (port >= c->port_count || (columns == 0 && rows == 0)) {
		return;
	}
	p = &c->ports[port];
	if (p->columns == columns && p->rows == rows) {
		return;
	}
	p->columns = columns;
	p->rows = rows;
	if (port == 0) {
		(void)vmm_virtio_config_update(dev, CONFIG_SIZE_AT, bytes, sizeof(bytes));
	}
	if (p->ready && p->is_console) {
		p->tell |= TELL_SIZE;
		vmm_console_control_in(c);
	}
}

static void on_resized(void *ctx, uint16_t columns, uint16_t rows)
{
	struct port *port = ctx;

	/* While activation is under way, what changes is told afterwards. */
	if (port->started) {
		vmm_console_resize(&port->console->base, port->id, columns, rows);
	}
}

static void update_sizes(void *ctx)
{
	struct console *c = ctx;

	for (unsigned i = 0; i < c->port_count; i++) {
		uint16_t columns;
		uint16_t rows;

		if (vmm_chardev_size(c->ports[i].chardev, &columns, &rows)) {
			vmm_console_resize(&c->base, i, columns, rows);
		}
	}
}

/* ---- life ---- */

static void on_readable(void *ctx)
{
	vmm_console_input(ctx);
}

static const struct vmm_chardev_events chardev_events = {
	.readable = on_readable,
	.resized = on_resized,
};

static void output_again(void *ctx)
{
	vmm_console_output(ctx);
}

static void control_again(void *ctx)
{
	vmm_console_control_out(ctx);
}

static void stop_ports(struct console *c)
{
	for (unsigned i = 0; i < c->port_count; i++) {
		struct port *port = &c->ports[i];

		if (port->started) {
			vmm_chardev_stop(port->chardev);
		}
		port->started = false;
		port->added = false;
		port->ready = false;
		port->open = false;
		port->assumed = false;
		port->tell = 0;
		port->out_held = false;
	}
}

static int start_ports(struct console *c, struct vmm_loop *loop)
{
	for (unsigned i = 0; i < c->port_count; i++) {
		struct port *port = &c->ports[i];
		int ret = vmm_chardev_start(port->chardev, loop, &chardev_events, port);

		if (ret < 0) {
			stop_ports(c);
			return ret;
		}
		port->started = true;
	}
	return 0;
}

/*
 * A guest that goes on has been told of its ports and does not ask again. What it has not opened
 * it gets input for, which it drops; the other way round it would wait for ever.
 */
static void assume_ports(struct console *c)
{
	for (unsigned i = 0; i < c->port_count; i++) {
		struct port *port = &c->ports[i];

		port->added = true;
		port->ready = true;
		port->open = true;
		port->assumed = true;
	}
}

static int console_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct console *c = from_base(dev);
	int ret = start_ports(c, active->loop);

	if (ret < 0) {
		return ret;
	}
	c->active = *active;
	c->multiport = (active->features & F_MULTIPORT) != 0;
	if (active->resumed && c->multiport) {
		assume_ports(c);
	}
	vmm_loop_post(active->loop, &c->sizes);
	return 0;
}

static void console_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	struct console *c = from_base(dev);
	unsigned port;

	if (queue == QUEUE_CONTROL_IN) {
		vmm_console_control_in(c);
		return;
	}
	if (queue == QUEUE_CONTROL_OUT) {
		vmm_console_control_out(c);
		return;
	}
	port = queue < QUEUE_CONTROL_IN ? 0 : 1 + (queue - QUEUE_PORT1_IN) / 2;
	if (port >= c->port_count) {
		return;
	}
	if (queue % 2 == 0) {
		vmm_console_input(&c->ports[port]);
	} else {
		vmm_console_output(&c->ports[port]);
	}
}

static void console_reset(struct vmm_virtio_device *dev)
{
	struct console *c = from_base(dev);

	vmm_loop_cancel(c->active.loop, &c->control_again);
	vmm_loop_cancel(c->active.loop, &c->sizes);
	for (unsigned i = 0; i < c->port_count; i++) {
		vmm_loop_cancel(c->active.loop, &c->ports[i].out_again);
	}
	stop_ports(c);
	memset(&c->active, 0, sizeof(c->active));
	c->multiport = false;
}

/*
 * Emergency write (section 5.3.4.1): a byte of a guest that may have no driver yet, or no longer.
 */
static void console_set_config(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			       size_t len)
{
	struct console *c = from_base(dev);

	if (offset <= CONFIG_EMERG_AT && len > CONFIG_EMERG_AT - offset) {
		const uint8_t *p = bytes;

		vmm_chardev_write(c->ports[0].chardev, p + (CONFIG_EMERG_AT - offset), 1);
		(void)__atomic_fetch_add(&c->out_bytes, 1, __ATOMIC_RELAXED);
	}
}

static void console_destroy(struct vmm_virtio_device *dev)
{
	free(from_base(dev));
}

static void console_counters(struct vmm_virtio_device *dev,
			     void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	struct console *c = from_base(dev);
	uint64_t dropped = 0;

	for (unsigned i = 0; i < c->port_count; i++) {
		dropped += vmm_chardev_dropped(c->ports[i].chardev);
	}
	emit(ctx, "out_bytes", __atomic_load_n(&c->out_bytes, __ATOMIC_RELAXED));
	emit(ctx, "in_bytes", __atomic_load_n(&c->in_bytes, __ATOMIC_RELAXED));
	emit(ctx, "out_dropped", dropped);
}

static const struct vmm_virtio_ops console_ops = {
	.activate = console_activate,
	.notify = console_notify,
	.reset = console_reset,
	.set_config = console_set_config,
	.destroy = console_destroy,
	.counters = console_counters,
};

/* ---- creation ---- */

static int check(const struct vmm_console_config *config, struct vmm_error *err)
{
	if (config->port_count == 0 || config->port_count > VMM_CONSOLE_PORTS_MAX) {
		return vmm_error_set(err, -EINVAL, "console: %u ports, but 1 to %u are possible",
				     config->port_count, VMM_CONSOLE_PORTS_MAX);
	}
	for (unsigned i = 0; i < config->port_count; i++) {
		const char *name = config->ports[i].name;

		if (name && strlen(name) > VMM_CONSOLE_NAME_MAX) {
			return vmm_error_set(err, -EINVAL,
					     "console: the name of port %u is longer than %u bytes",
					     i, VMM_CONSOLE_NAME_MAX);
		}
	}
	return 0;
}

static void init_port(struct console *c, unsigned i, const struct vmm_console_port *config)
{
	struct port *port = &c->ports[i];

	port->console = c;
	port->chardev = config->chardev;
	port->id = i;
	port->is_console = i == 0 || config->console;
	if (config->name) {
		memcpy(port->name, config->name, strlen(config->name));
	}
	port->out_chain.iov = port->out_iov;
	port->out_chain.iov_cap = QUEUE_SIZE;
	port->out_again = (struct vmm_work){.fn = output_again, .ctx = port};
}

static void init_base(struct console *c)
{
	struct vmm_virtio_device *base = &c->base;

	base->ops = &console_ops;
	vmm_dev_shape_apply(&vmm_console_shape, base);
	base->features = F_SIZE | F_EMERG_WRITE | (c->port_count > 1 ? F_MULTIPORT : 0u);
	for (unsigned i = 0; i < QUEUES_MAX; i++) {
		c->queue_sizes[i] = QUEUE_SIZE;
	}
	if (c->port_count > 1) {
		base->queue_count = 2 * c->port_count + 2;
		base->queue_sizes = c->queue_sizes;
	}
	base->config[CONFIG_PORTS_AT] = (uint8_t)c->port_count;
}

int vmm_console_create(struct vmm_virtio_device **out, const struct vmm_console_config *config,
		       struct vmm_error *err)
{
	struct console *c;
	int ret;

	*out = NULL;
	ret = check(config, err);
	if (ret < 0) {
		return ret;
	}
	c = calloc(1, sizeof(*c) + config->port_count * sizeof(c->ports[0]));
	if (!c) {
		return vmm_error_set(err, -ENOMEM, "console: out of memory");
	}
	c->port_count = config->port_count;
	c->chain.iov = c->iov;
	c->chain.iov_cap = QUEUE_SIZE;
	c->control_again = (struct vmm_work){.fn = control_again, .ctx = c};
	c->sizes = (struct vmm_work){.fn = update_sizes, .ctx = c};
	for (unsigned i = 0; i < config->port_count; i++) {
		init_port(c, i, &config->ports[i]);
	}
	init_base(c);
	update_sizes(c);
	*out = &c->base;
	return 0;
}
