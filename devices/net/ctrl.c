/* SPDX-License-Identifier: MIT */
/*
 * The control queue (VIRTIO 1.2 section 5.1.6.5): a class, a command, its data, and one byte for
 * the answer. Each command is checked whole before any of it takes effect.
 */
#include "net_priv.h"

#include <errno.h>
#include <string.h>

#define TURN CTRL_QUEUE_SIZE

#define ACK_OK  0u
#define ACK_ERR 1u

#define CLASS_RX  0u
#define CLASS_MAC 1u

#define RX_PROMISC  0u
#define RX_ALLMULTI 1u
#define RX_ALLUNI   2u
#define RX_NOMULTI  3u
#define RX_NOUNI    4u
#define RX_NOBCAST  5u

#define MAC_TABLE_SET 0u
#define MAC_ADDR_SET  1u

static int set_rx_mode(struct net *net, unsigned command, struct vmm_reader *r)
{
	uint64_t needed = command <= RX_ALLMULTI ? F_CTRL_RX : F_CTRL_RX_EXTRA;
	bool *const modes[] = {
		[RX_PROMISC] = &net->filter.promisc, [RX_ALLMULTI] = &net->filter.allmulti,
		[RX_ALLUNI] = &net->filter.alluni,   [RX_NOMULTI] = &net->filter.nomulti,
		[RX_NOUNI] = &net->filter.nouni,     [RX_NOBCAST] = &net->filter.nobcast,
	};
	uint8_t on;

	if (command >= sizeof(modes) / sizeof(modes[0]) || (net->active.features & needed) == 0 ||
	    vmm_reader_get(r, &on, sizeof(on)) != 0) {
		return -EPROTO;
	}
	*modes[command] = on != 0;
	return 0;
}

/* One of the two tables of MAC_TABLE_SET: a count and as many addresses. */
static int read_table(struct vmm_reader *r, uint8_t (*table)[MAC_SIZE], unsigned *count,
		      bool *overflow)
{
	uint8_t bytes[4];
	uint32_t entries;

	if (vmm_reader_get(r, bytes, sizeof(bytes)) != 0) {
		return -EPROTO;
	}
	entries = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
		  (uint32_t)bytes[3] << 24;
	if (entries > vmm_reader_left(r) / MAC_SIZE) {
		return -EPROTO;
	}
	*overflow = entries > FILTER_MAX;
	*count = *overflow ? 0 : entries;
	if (*overflow) {
		(void)vmm_reader_skip(r, (size_t)entries * MAC_SIZE);
		return 0;
	}
	return vmm_reader_get(r, table, (size_t)entries * MAC_SIZE);
}

static int set_mac_table(struct net *net, struct vmm_reader *r)
{
	struct net_filter filter = net->filter;

	if ((net->active.features & F_CTRL_RX) == 0 ||
	    read_table(r, filter.uni, &filter.uni_count, &filter.uni_overflow) != 0 ||
	    read_table(r, filter.multi, &filter.multi_count, &filter.multi_overflow) != 0) {
		return -EPROTO;
	}
	net->filter = filter;
	return 0;
}

static int set_mac_address(struct net *net, struct vmm_reader *r)
{
	uint8_t mac[MAC_SIZE];

	if ((net->active.features & F_CTRL_MAC_ADDR) == 0 ||
	    vmm_reader_get(r, mac, sizeof(mac)) != 0 || (mac[0] & 1u) != 0) {
		return -EPROTO;
	}
	net->filter.mac_unknown = false;
	vmm_net_update_mac(net, mac);
	return 0;
}

static int carry_out(struct net *net, struct vmm_reader *r)
{
	uint8_t head[2];

	if (vmm_reader_get(r, head, sizeof(head)) != 0) {
		return -EPROTO;
	}
	if (head[0] == CLASS_RX) {
		return set_rx_mode(net, head[1], r);
	}
	if (head[0] == CLASS_MAC && head[1] == MAC_TABLE_SET) {
		return set_mac_table(net, r);
	}
	if (head[0] == CLASS_MAC && head[1] == MAC_ADDR_SET) {
		return set_mac_address(net, r);
	}
	return -EPROTO;
}

/* Bytes written for the request. */
static uint32_t serve(struct net *net, const struct vmm_chain *chain)
{
	struct vmm_reader r;
	struct vmm_writer w;
	uint8_t ack;

	vmm_chain_reader(chain, &r);
	vmm_chain_writer(chain, &w);
	if (vmm_writer_left(&w) == 0) {
		return 0; /* nobody wants to know, so nothing is done */
	}
	ack = (uint8_t)(carry_out(net, &r) == 0 ? ACK_OK : ACK_ERR);
	return (uint32_t)vmm_writer_write(&w, &ack, sizeof(ack));
}

void vmm_net_control(struct net *net)
{
	struct vmm_virtq *q = net->active.queues ? net->active.queues[QUEUE_CTRL] : NULL;
	unsigned budget = TURN;

	if (!q) {
		return;
	}
	do {
		vmm_virtq_kick_disable(q);
		while (budget > 0 && vmm_virtq_pop(q, &net->ctrl_chain) == 1) {
			(void)vmm_virtq_push(q, net->ctrl_chain.head, serve(net, &net->ctrl_chain));
			budget--;
		}
		vmm_virtq_flush(q);
		if (budget == 0) {
			vmm_loop_post(net->active.loop, &net->ctrl_again);
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}
