/* SPDX-License-Identifier: MIT */
/*
 * What serial ports of all kinds share: where their bytes go. vCPU threads put bytes into a buffer
 * under a lock; the loop's thread hands it to the back end when a line or half a buffer is
 * complete, or a moment after the last byte.
 */
#ifndef SERIAL_PORT_H
#define SERIAL_PORT_H

#include <vmm/dev/serial.h>

#include <pthread.h>

#define SERIAL_BUFFER_SIZE 8192u

/* First in each kind's own struct. */
struct serial_port {
	struct vmm_platform_device base;
	struct vmm_loop *loop;
	struct vmm_chardev *output;
	struct vmm_work flush_work;
	struct vmm_source *timer;

	pthread_mutex_t lock; /* everything below, and the registers of the kind */
	bool line_complete;   /* the buffer holds a newline */
	bool work;            /* the loop has something to do */
	size_t used;
	uint8_t buffer[SERIAL_BUFFER_SIZE];
};

/* The kinds, with their registers as after power-on. NULL: out of memory. */
struct serial_port *vmm_uart8250_new(void);
struct serial_port *vmm_pl011_new(void);

/* ---- on vCPU threads ---- */

/* The lock, around a write to registers: enter waits until the buffer has room for a byte, leave
 * tells the loop about bytes that were sent. */
void vmm_serial_enter(struct serial_port *port);
void vmm_serial_leave(struct serial_port *port);
/* Sends a byte: once between enter and leave. */
void vmm_serial_send(struct serial_port *port, uint8_t byte);

#endif
