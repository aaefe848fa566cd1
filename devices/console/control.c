/* SPDX-License-Identifier: MIT */
/*
 * The control queues of a console with several ports (VIRTIO 1.2 section 5.3.6.2). What the guest
 * has yet to be told is a set of bits for each port, not a queue of messages: however often the
 * guest asks and however few buffers it gives, there is never more of it.
 */
#include "console_priv.h"

#include <string.h>

#define TURN QUEUE_SIZE

enum {
	EVENT_DEVICE_READY = 0,
	EVENT_PORT_ADD = 1,
	EVENT_PORT_READY = 3,
	EVENT_CONSOLE_PORT = 4,
	EVENT_RESIZE = 5,
	EVENT_PORT_OPEN = 6,
	EVENT_PORT_NAME = 7,
};

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

/* Writes the message for one TELL_ bit; returns its length. */
static size_t compose(const struct port *port, unsigned what, uint8_t *msg)
{
	size_t len = CONTROL_SIZE;

	memset(msg, 0, CONTROL_SIZE);
	put16(msg, port->id);
	switch (what) {
	case TELL_ADD:
		put16(msg + 4, EVENT_PORT_ADD);
		put16(msg + 6, 1);
		break;
	case TELL_CONSOLE:
		put16(msg + 4, EVENT_CONSOLE_PORT);
		put16(msg + 6, 1);
		break;
	case TELL_NAME:
		put16(msg + 4, EVENT_PORT_NAME);
		put16(msg + 6, 1);
		memcpy(msg + len, port->name, strlen(port->name));
		len += strlen(port->name);
		break;
	case TELL_SIZE:
		put16(msg + 4, EVENT_RESIZE);
		put16(msg + len, port->columns);
		put16(msg + len + 2, port->rows);
		len += 4;
		break;
	default:
		put16(msg + 4, EVENT_PORT_OPEN);
		put16(msg + 6, 1);
		break;
	}
	return len;
}

/* The next thing to tell; NULL when the guest knows everything. */
static struct port *next_to_tell(struct console *c, unsigned *what)
{
	for (unsigned i = 0; i < c->port_count; i++) {
		struct port *port = &c->ports[i];

		if (port->tell != 0) {
			*what = port->tell & (~port->tell + 1);
			return port;
		}
	}
	return NULL;
}

/* False when there is nothing to tell or no buffer to tell it in. */
static bool tell_one(struct console *c, struct vmm_virtq *q)
{
	uint8_t msg[CONTROL_SIZE + VMM_CONSOLE_NAME_MAX + 1];
	struct vmm_writer w;
	struct port *port;
	unsigned what;
	uint32_t written = 0;
	size_t len;

	port = next_to_tell(c, &what);
	if (!port || vmm_virtq_pop(q, &c->chain) != 1) {
		return false;
	}
	port->tell &= ~what;
	len = compose(port, what, msg);
	vmm_chain_writer(&c->chain, &w);
	/* A message that does not fit is lost: half of one would be taken for another. */
	if (vmm_writer_put(&w, msg, len) == 0) {
		written = (uint32_t)len;
	}
	(void)vmm_virtq_push(q, c->chain.head, written);
	return true;
}

void vmm_console_control_in(struct console *c)
{
	struct vmm_virtq *q = vmm_console_queue(c, QUEUE_CONTROL_IN);
	unsigned what;

	if (!q || !c->multiport) {
		return;
	}
	do {
		vmm_virtq_kick_disable(q);
		while (tell_one(c, q)) {
		}
		vmm_virtq_flush(q);
	} while (vmm_virtq_kick_enable(q) && next_to_tell(c, &what));
}

/* ---- from the guest ---- */

static void on_device_ready(struct console *c, unsigned value)
{
	for (unsigned i = 0; value == 1 && i < c->port_count; i++) {
		/*
		 * Never for a port that exists (section 5.3.6.2.1), unless that was a guess: a
		 * driver says this once, so it has most likely not been told.
		 */
		if (!c->ports[i].added || c->ports[i].assumed) {
			c->ports[i].added = true;
			c->ports[i].tell |= TELL_ADD;
		}
	}
}

static void on_port_ready(struct port *port, unsigned value)
{
	/* 0: the guest could not make the port. */
	if (value != 1 || !port->added || (port->ready && !port->assumed)) {
		return;
	}
	port->ready = true;
	port->assumed = false;
	port->tell |= port->is_console ? TELL_CONSOLE : 0u;
	port->tell |= port->name[0] ? TELL_NAME : 0u;
	port->tell |= port->is_console && port->columns > 0 ? TELL_SIZE : 0u;
	port->tell |= TELL_OPEN;
}

static void handle(struct console *c, struct vmm_reader *r)
{
	uint8_t msg[CONTROL_SIZE];
	uint32_t id;
	unsigned event;
	unsigned value;

	if (vmm_reader_get(r, msg, sizeof(msg)) != 0) {
		return;
	}
	id = msg[0] | (uint32_t)msg[1] << 8 | (uint32_t)msg[2] << 16 | (uint32_t)msg[3] << 24;
	event = msg[4] | (unsigned)msg[5] << 8;
	value = msg[6] | (unsigned)msg[7] << 8;
	if (event == EVENT_DEVICE_READY) {
		on_device_ready(c, value); /* its id is without meaning */
		return;
	}
	if (id >= c->port_count) {
		return;
	}
	if (event == EVENT_PORT_READY) {
		on_port_ready(&c->ports[id], value);
	} else if (event == EVENT_PORT_OPEN) {
		c->ports[id].open = value != 0;
		vmm_console_input(&c->ports[id]);
	}
}

void vmm_console_control_out(struct console *c)
{
	struct vmm_virtq *q = vmm_console_queue(c, QUEUE_CONTROL_OUT);
	unsigned budget = TURN;

	if (!q || !c->multiport) {
		return;
	}
	do {
		vmm_virtq_kick_disable(q);
		while (budget > 0 && vmm_virtq_pop(q, &c->chain) == 1) {
			uint16_t head = c->chain.head;
			struct vmm_reader r;

			vmm_chain_reader(&c->chain, &r);
			handle(c, &r); /* may use c->chain for a port's input */
			(void)vmm_virtq_push(q, head, 0);
			budget--;
		}
		vmm_virtq_flush(q);
		if (budget == 0) {
			vmm_loop_post(c->active.loop, &c->control_again);
			break;
		}
	} while (vmm_virtq_kick_enable(q));
	vmm_console_control_in(c);
}
