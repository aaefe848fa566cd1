/* SPDX-License-Identifier: MIT */
/*
 * Guest to host. Header and Ethernet header are copied once, checked, and the copy is what is sent:
 * a guest that changes its memory meanwhile cannot get another source address past the check. The
 * rest of a large frame goes out of guest memory as it is; that of a small one is copied behind
 * them, since the kernel takes longer to look at an array of pieces than to copy it costs.
 */
#include "net_priv.h"

#include <errno.h>
#include <string.h>

#define TURN 128u /* frames before other devices of the loop have their turn */

static void drop(struct net *net)
{
	net_count(&net->counters.tx_dropped, 1);
}

/* The parts of the frame in hand, of which all that r has left is to come; how many. */
static int lay_out(struct net *net, struct vmm_reader *r)
{
	size_t left = vmm_reader_left(r);
	int parts = 0;

	net->tx_iov[0].iov_base = &net->tx_frame;
	net->tx_iov[0].iov_len = PREFIX_SIZE;
	if (left <= sizeof(net->tx_frame.rest)) {
		net->tx_iov[0].iov_len += vmm_reader_read(r, net->tx_frame.rest, left);
	} else {
		parts = vmm_reader_iov(r, left, net->tx_iov + 1, DATA_QUEUE_SIZE);
	}
	return parts < 0 ? parts : parts + 1;
}

/* -EAGAIN: the tap has no room now, try the same frame later. Else the frame is done with. */
static int send_frame(struct net *net)
{
	struct net_frame *frame = &net->tx_frame;
	struct vmm_reader r;
	size_t len;
	ssize_t sent;
	int parts;

	vmm_chain_reader(&net->tx_chain, &r);
	if (vmm_reader_get(&r, frame, PREFIX_SIZE) != 0 || !net_is_up(net)) {
		drop(net);
		return 0;
	}
	len = ETH_SIZE + vmm_reader_left(&r);
	if (vmm_net_check_header(&frame->header, &net->tx_rules, len) != 0) {
		drop(net);
		return 0;
	}
	if (net->drop_foreign_source && memcmp(frame->eth + MAC_SIZE, net->mac, MAC_SIZE) != 0) {
		net_count(&net->counters.tx_spoofed, 1);
		drop(net);
		return 0;
	}
	parts = lay_out(net, &r);
	sent = parts < 0 ? parts : vmm_tap_send(net->tap, net->tx_iov, parts);
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
