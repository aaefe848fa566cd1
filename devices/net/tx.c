/* SPDX-License-Identifier: MIT */
/*
 * Guest to host. Header and Ethernet header are copied once, checked, and the copy is what is sent:
 * a guest that changes its memory meanwhile cannot get another source address past the check. The
 * rest of the frame goes out of guest memory as it is.
 */
#include "net_priv.h"

#include <errno.h>
#include <string.h>

#define TURN 128u /* frames before other devices of the loop have their turn */

static void drop(struct net *net)
{
	net_count(&net->counters.tx_dropped, 1);
}

/* -EAGAIN: the tap has no room now, try the same frame later. Else the frame is done with. */
static int send_frame(struct net *net)
{
	struct {
		struct net_header header;
		uint8_t eth[ETH_SIZE];
	} prefix;
	struct vmm_reader r;
	size_t len;
	ssize_t sent;
	int parts;

	vmm_chain_reader(&net->tx_chain, &r);
	if (vmm_reader_get(&r, &prefix, sizeof(prefix)) != 0 || !net_is_up(net)) {
		drop(net);
		return 0;
	}
	len = ETH_SIZE + vmm_reader_left(&r);
	if (vmm_net_check_header(&prefix.header, &net->tx_rules, len) != 0) {
		drop(net);
		return 0;
	}
	if (net->drop_foreign_source && memcmp(prefix.eth + MAC_SIZE, net->mac, MAC_SIZE) != 0) {
		net_count(&net->counters.tx_spoofed, 1);
		drop(net);
		return 0;
	}
	net->tx_iov[0].iov_base = &prefix;
	net->tx_iov[0].iov_len = sizeof(prefix);
	parts = vmm_reader_iov(&r, vmm_reader_left(&r), net->tx_iov + 1, DATA_QUEUE_SIZE);
	sent = parts < 0 ? parts : vmm_tap_send(net->tap, net->tx_iov, parts + 1);
	if (sent == -EAGAIN) {
		return -EAGAIN;
	}
	if (sent < 0) {
		/* The interface is down, its queue is full, a frame it does not like: all of them
		 * lost frames as on any wire. */
		drop(net);
		return 0;
	}
	net_count(&net->counters.tx_frames, 1);
	net_count(&net->counters.tx_bytes, len);
	return 0;
}

/* Goes on with a turn. True when it ended before the queue did. */
static bool take_turn(struct net *net, struct vmm_virtq *q, unsigned *budget)
{
	for (; *budget > 0; (*budget)--) {
		if (vmm_virtq_pop(q, &net->tx_chain) != 1) {
			return false;
		}
		if (send_frame(net) == -EAGAIN) {
			vmm_virtq_unpop(q, 1);
			net->tx_blocked = true;
			return false;
		}
		(void)vmm_virtq_push(q, net->tx_chain.head, 0);
	}
	return true;
}

void vmm_net_transmit(struct net *net)
{
	struct vmm_virtq *q = net->active.queues ? net->active.queues[QUEUE_TX] : NULL;
	unsigned budget = TURN;
	bool more;

	if (!q || net->tx_blocked) {
		return;
	}
	do {
		vmm_virtq_kick_disable(q);
		more = take_turn(net, q, &budget);
		vmm_virtq_flush(q);
		if (more) {
			vmm_loop_post(net->active.loop, &net->tx_again);
			return;
		}
		if (net->tx_blocked) {
			vmm_net_update_events(net);
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}
