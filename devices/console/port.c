/* SPDX-License-Identifier: MIT */
/* The bytes of one port, both ways. */
#include "console_priv.h"

#include <string.h>

#define PIECE      4096u
#define OUT_TURN   65536u /* bytes of output before other devices have their turn */
#define OUT_CHAINS QUEUE_SIZE
#define IN_CHAINS  16u

/* What may be done before other devices have their turn, even if the guest gives more meanwhile. */
struct turn {
	size_t bytes;
	unsigned chains;
};

/*
 * Writes what the turn still allows of the chain in hand. Its length says nothing about the
 * guest's memory, since descriptors may overlap: 4 GiB of output must not hold up the loop.
 */
static void write_some(struct port *port, struct turn *turn)
{
	while (turn->bytes > 0 && vmm_reader_left(&port->out_reader) > 0) {
		const void *bytes;
		size_t got = vmm_reader_piece(&port->out_reader, turn->bytes, &bytes);

		vmm_chardev_write(port->chardev, bytes, got);
		(void)__atomic_fetch_add(&port->console->out_bytes, got, __ATOMIC_RELAXED);
		turn->bytes -= got;
	}
}

/* True when the turn ended before the output did. */
static bool take_turn(struct port *port, struct vmm_virtq *q, struct turn *turn)
{
	for (; turn->chains > 0 && turn->bytes > 0; turn->chains--) {
		if (!port->out_held) {
			if (vmm_virtq_pop(q, &port->out_chain) != 1) {
				return false;
			}
			vmm_chain_reader(&port->out_chain, &port->out_reader);
			port->out_held = true;
		}
		write_some(port, turn);
		if (vmm_reader_left(&port->out_reader) > 0) {
			return true;
		}
		port->out_held = false;
		(void)vmm_virtq_push(q, port->out_chain.head, 0);
	}
	return true;
}

static unsigned queue_of(const struct port *port, unsigned base)
{
	return port->id == 0 ? base : QUEUE_PORT1_IN + 2 * (port->id - 1) + base;
}

void vmm_console_output(struct port *port)
{
	struct console *c = port->console;
	struct vmm_virtq *q = vmm_console_queue(c, queue_of(port, QUEUE_PORT0_OUT));
	struct turn turn = {.bytes = OUT_TURN, .chains = OUT_CHAINS};
	bool more;

	if (!q) {
		return;
	}
	do {
		vmm_virtq_kick_disable(q);
		more = take_turn(port, q, &turn);
		vmm_virtq_flush(q);
		if (more) {
			vmm_loop_post(c->active.loop, &port->out_again);
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}

/* Fills one chain. False when there is no input. */
static bool read_some(struct port *port, struct vmm_virtq *q, const struct vmm_chain *chain)
{
	uint8_t bytes[PIECE];
	struct vmm_writer w;
	size_t room;
	size_t got;

	vmm_chain_writer(chain, &w);
	room = vmm_writer_left(&w);
	if (room == 0) {
		(void)vmm_virtq_push(q, chain->head, 0);
		return true;
	}
	got = vmm_chardev_read(port->chardev, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
	if (got == 0) {
		vmm_virtq_unpop(q, 1);
		return false;
	}
	(void)vmm_writer_write(&w, bytes, got);
	(void)vmm_virtq_push(q, chain->head, (uint32_t)got);
	(void)__atomic_fetch_add(&port->console->in_bytes, got, __ATOMIC_RELAXED);
	return true;
}

/* True when the guest's buffers ended before the turn and the input did. */
static bool take_input(struct port *port, struct vmm_virtq *q, unsigned *chains)
{
	struct vmm_chain *chain = &port->console->chain;

	for (; *chains > 0; (*chains)--) {
		if (vmm_virtq_pop(q, chain) != 1) {
			return true;
		}
		if (!read_some(port, q, chain)) {
			return false;
		}
	}
	return false;
}

/* With several ports, input waits until somebody in the guest has opened the port. */
static bool listening(const struct port *port)
{
	return port->started && (!port->console->multiport || port->open);
}

void vmm_console_input(struct port *port)
{
	struct console *c = port->console;
	struct vmm_virtq *q = vmm_console_queue(c, queue_of(port, QUEUE_PORT0_IN));
	unsigned chains = IN_CHAINS;
	bool starved;

	if (!q || !listening(port)) {
		vmm_chardev_want_input(port->chardev, false);
		return;
	}
	do {
		vmm_virtq_kick_disable(q);
		starved = take_input(port, q, &chains);
		vmm_virtq_flush(q);
	} while (starved && vmm_virtq_kick_enable(q));
	/* Kicks are of no use while it is the back end that we wait for. */
	vmm_chardev_want_input(port->chardev, !starved);
}
