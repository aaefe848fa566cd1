/* SPDX-License-Identifier: MIT */
#include "serial/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_AT       (SERIAL_BUFFER_SIZE / 2)
#define FLUSH_DELAY_NS UINT64_C(10000000)

static struct serial_port *from_base(struct vmm_platform_device *dev)
{
	return (struct serial_port *)dev;
}

/* ---- bytes, on the loop's thread ---- */

static void flush(void *ctx)
{
	struct serial_port *port = ctx;
	uint8_t bytes[SERIAL_BUFFER_SIZE];
	size_t used;

	(void)pthread_mutex_lock(&port->lock);
	used = port->used;
	memcpy(bytes, port->buffer, used);
	port->used = 0;
	port->line_complete = false;
	(void)pthread_mutex_unlock(&port->lock);
	vmm_chardev_write(port->output, bytes, used);
}

/* Posted with the first byte of a buffer, and whenever it is worth flushing. */
static void flush_or_wait(void *ctx)
{
	struct serial_port *port = ctx;
	bool now;

	(void)pthread_mutex_lock(&port->lock);
	now = port->line_complete || port->used >= FLUSH_AT;
	(void)pthread_mutex_unlock(&port->lock);
	if (now || vmm_source_arm(port->timer, FLUSH_DELAY_NS) != 0) {
		flush(port);
	}
}

/* ---- on vCPU threads ---- */

void vmm_serial_enter(struct serial_port *port)
{
	(void)pthread_mutex_lock(&port->lock);
	while (port->used == SERIAL_BUFFER_SIZE) {
		/* The lock may not be held while another thread is waited for, and other vCPUs may
		 * fill the buffer again meanwhile. */
		(void)pthread_mutex_unlock(&port->lock);
		vmm_loop_call(port->loop, flush, port);
		(void)pthread_mutex_lock(&port->lock);
	}
}

void vmm_serial_leave(struct serial_port *port)
{
	bool work = port->work;

	port->work = false;
	(void)pthread_mutex_unlock(&port->lock);
	if (work) {
		vmm_loop_post(port->loop, &port->flush_work);
	}
}

void vmm_serial_send(struct serial_port *port, uint8_t byte)
{
	bool first = port->used == 0;

	port->buffer[port->used++] = byte;
	port->line_complete |= byte == '\n';
	port->work = first || byte == '\n' || port->used == FLUSH_AT;
}

/* ---- life ---- */

static struct serial_port *new_port(enum vmm_platform_type type, int *ret)
{
	struct serial_port *port = NULL;

	*ret = -ENOMEM;
	switch (type == VMM_PLATFORM_NONE ? vmm_uart_type() : type) {
	case VMM_PLATFORM_UART_8250:
		port = vmm_uart8250_new();
		break;
	case VMM_PLATFORM_PL011:
		port = vmm_pl011_new();
		break;
	default:
		*ret = -EINVAL;
		break;
	}
	return port;
}

int vmm_serial_create(struct vmm_platform_device **out, const struct vmm_serial_config *config,
		      struct vmm_error *err)
{
	struct serial_port *port;
	int ret;

	*out = NULL;
	port = new_port(config->type, &ret);
	if (!port) {
		return vmm_error_set(err, ret, "serial: %s",
				     ret == -EINVAL ? "no port is of this type" : "out of memory");
	}
	port->loop = config->loop;
	port->output = config->output;
	port->flush_work.fn = flush_or_wait;
	port->flush_work.ctx = port;
	ret = vmm_loop_add_timer(port->loop, flush, port, &port->timer);
	if (ret < 0) {
		free(port);
		return vmm_error_set(err, ret, "serial: cannot make a timer: %s", strerror(-ret));
	}
	ret = vmm_chardev_start(port->output, port->loop, NULL, NULL);
	if (ret < 0) {
		vmm_source_remove(port->timer);
		free(port);
		return vmm_error_set(err, ret, "serial: cannot use its back end: %s",
				     strerror(-ret));
	}
	(void)pthread_mutex_init(&port->lock, NULL);
	*out = &port->base;
	return 0;
}

void vmm_serial_flush(struct vmm_platform_device *dev)
{
	if (dev) {
		flush(from_base(dev));
	}
}

void vmm_serial_destroy(struct vmm_platform_device *dev)
{
	struct serial_port *port;

	if (!dev) {
		return;
	}
	port = from_base(dev);
	flush(port);
	vmm_chardev_stop(port->output);
	vmm_loop_cancel(port->loop, &port->flush_work);
	vmm_source_remove(port->timer);
	(void)pthread_mutex_destroy(&port->lock);
	free(port);
}
