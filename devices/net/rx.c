/* SPDX-License-Identifier: MIT */
/*
 * Host to guest. Frames are read straight into the guest's buffers, all but their first 26 bytes:
 * header and Ethernet header are read into private memory, checked there, and written to the guest
 * when it is known that the frame passes and how many buffers it fills. Nothing is queued here:
 * without buffers the tap is not read, and what its own queue cannot hold the kernel drops.
 */
#include "net_priv.h"

#include <errno.h>
#include <string.h>

#define TURN       64u /* frames before other devices of the loop have their turn */
#define ERRORS_MAX 16u /* in a row, before the back end counts as lost */
/* How long reading waits for buffers. A frame that finds too few is lost, and with it the rest of
 * what TCP has under way; a driver with few buffers waits this long for each batch. */
#define PATIENCE_NS UINT64_C(2000000)

struct prefix {
	struct net_header header;
	uint8_t eth[ETH_SIZE];
};

/* ---- buffers in hand ---- */

static void give_back(struct net_hand *hand, struct vmm_virtq *q)
{
	vmm_virtq_unpop(q, (uint16_t)(hand->end - hand->first));
	hand->first = 0;
	hand->end = 0;
	hand->iovs_used = 0;
	hand->capacity = 0;
}

/* 1: one chain more; 0: none available; -ENOSPC: no room for one; else the queue is broken. */
static int take_one(struct net_hand *hand, struct vmm_virtq *q)
{
	struct vmm_chain *chain = &hand->chains[hand->end];
	int ret;

	if (hand->end == HAND_CHAINS || HAND_IOVS - hand->iovs_used < vmm_virtq_size(q)) {
		return -ENOSPC;
	}
	chain->iov = hand->iovs + hand->iovs_used;
	chain->iov_cap = HAND_IOVS - hand->iovs_used;
	ret = vmm_virtq_pop(q, chain);
	if (ret != 1) {
		return ret;
	}
	if (chain->writable_len < HEADER_SIZE) {
		vmm_virtq_break(q, "receive buffer smaller than the header");
		return -EPROTO;
	}
	hand->end++;
	hand->iovs_used += chain->readable + chain->writable;
	hand->capacity += chain->writable_len;
	return 1;
}

/*
 * Takes chains until there is room for the largest frame. 1: there is, or no more can be held;
 * 0: the guest has not given as much; -EPROTO, -EFAULT: broken.
 */
static int take_enough(struct net *net, struct vmm_virtq *q)
{
	struct net_hand *hand = &net->hand;
	bool mergeable = (net->active.features & F_MRG_RXBUF) != 0;
	size_t want = mergeable ? HEADER_SIZE + FRAME_MAX : 1;

	while (hand->capacity < want) {
		int ret = take_one(hand, q);

		if (ret == -ENOSPC && hand->first > 0) {
			/* The arrays fill from the front only; begin again there. */
			give_back(hand, q);
		} else if (ret != 1) {
			return ret == -ENOSPC ? 1 : ret;
		}
	}
	return 1;
}

/* ---- one frame ---- */

/* The iovecs behind the first PREFIX_SIZE bytes of the chains a frame may use. */
static int lay_out(struct net *net, struct prefix *prefix)
{
	struct net_hand *hand = &net->hand;
	bool mergeable = (net->active.features & F_MRG_RXBUF) != 0;
	unsigned end = mergeable ? hand->end : hand->first + 1;
	size_t skip = PREFIX_SIZE;
	unsigned count = 0;
	size_t room = 0;

	net->rx_iov[count].iov_base = prefix;
	net->rx_iov[count++].iov_len = sizeof(*prefix);
	for (unsigned i = hand->first; i < end && room < HEADER_SIZE + FRAME_MAX; i++) {
		const struct vmm_chain *chain = &hand->chains[i];

		for (unsigned k = chain->readable; k < chain->readable + chain->writable; k++) {
			size_t cut = skip < chain->iov[k].iov_len ? skip : chain->iov[k].iov_len;

			skip -= cut;
			if (cut < chain->iov[k].iov_len) {
				net->rx_iov[count].iov_base =
					(uint8_t *)chain->iov[k].iov_base + cut;
				net->rx_iov[count++].iov_len = chain->iov[k].iov_len - cut;
			}
		}
		room += chain->writable_len;
	}
	net->rx_iov[count].iov_base = net->overflow;
	net->rx_iov[count++].iov_len = sizeof(net->overflow);
	return (int)count;
}

/* How many chains total bytes need; 0 when they do not fit. */
static unsigned chains_for(const struct net *net, size_t total)
{
	const struct net_hand *hand = &net->hand;
	bool mergeable = (net->active.features & F_MRG_RXBUF) != 0;
	unsigned end = mergeable ? hand->end : hand->first + 1;
	size_t room = 0;

	for (unsigned i = hand->first; i < end; i++) {
		room += hand->chains[i].writable_len;
		if (room >= total) {
			return i - hand->first + 1;
		}
	}
	return 0;
}

static void put_prefix(struct net_hand *hand, const struct prefix *prefix)
{
	const uint8_t *bytes = (const uint8_t *)prefix;
	size_t left = sizeof(*prefix);

	for (unsigned i = hand->first; left > 0 && i < hand->end; i++) {
		struct vmm_writer w;
		size_t done;

		vmm_chain_writer(&hand->chains[i], &w);
		done = vmm_writer_write(&w, bytes, left);
		bytes += done;
		left -= done;
	}
}

/* The frame is in the first chains: all but the last are full (section 5.1.6.4). */
static void push_frame(struct net_hand *hand, struct vmm_virtq *q, unsigned chains, size_t total)
{
	for (; chains > 0; chains--) {
		const struct vmm_chain *chain = &hand->chains[hand->first++];
		uint32_t len = total < chain->writable_len ? (uint32_t)total : chain->writable_len;

		(void)vmm_virtq_push(q, chain->head, len);
		hand->capacity -= chain->writable_len;
		total -= len;
	}
}

static void deliver(struct net *net, struct vmm_virtq *q, struct prefix *prefix, size_t total)
{
	unsigned chains;

	if (total < PREFIX_SIZE ||
	    vmm_net_check_header(&prefix->header, &net->rx_rules, total - HEADER_SIZE) != 0) {
		net_count(&net->counters.rx_dropped, 1);
		return;
	}
	if (!vmm_net_filter_accepts(&net->filter, net->mac, prefix->eth)) {
		return;
	}
	chains = chains_for(net, total);
	if (chains == 0) {
		net_count(&net->counters.rx_dropped, 1);
		return;
	}
	prefix->header.num_buffers[0] = (uint8_t)chains;
	prefix->header.num_buffers[1] = (uint8_t)(chains >> 8);
	put_prefix(&net->hand, prefix);
	push_frame(&net->hand, q, chains, total);
	net_count(&net->counters.rx_frames, 1);
	net_count(&net->counters.rx_bytes, total - HEADER_SIZE);
}

/* ---- the queue ---- */

static void note_error(struct net *net, ssize_t error)
{
	net->rx_errors++;
	net_count(&net->counters.rx_dropped, 1);
	if (error == -EBADFD || net->rx_errors >= ERRORS_MAX) {
		vmm_net_lose_tap(net);
	}
}

enum outcome {
	WAIT_FOR_FRAMES,
	WAIT_FOR_BUFFERS,
};

/* Goes on with a turn, as long as there are buffers and frames. */
static enum outcome take_turn(struct net *net, struct vmm_virtq *q, unsigned *budget)
{
	struct net_hand *hand = &net->hand;

	for (; *budget > 0; (*budget)--) {
		int enough = take_enough(net, q);
		struct prefix prefix;
		ssize_t got;

		if (enough < 0) {
			break; /* broken: nothing to wait for */
		}
		if (enough == 0 && (hand->end == hand->first ||
				    (hand->capacity < net->rx_need && !net->rx_impatient))) {
			return WAIT_FOR_BUFFERS;
		}
		got = vmm_tap_receive(net->tap, net->rx_iov, lay_out(net, &prefix));
		if (got == -EAGAIN) {
			break;
		}
		if (got < 0) {
			note_error(net, got);
			break;
		}
		net->rx_errors = 0;
		deliver(net, q, &prefix, (size_t)got);
	}
	give_back(hand, q);
	return WAIT_FOR_FRAMES;
}

static void update_timer(struct net *net, enum outcome outcome)
{
	bool wait = outcome == WAIT_FOR_BUFFERS && net->hand.end > net->hand.first;

	if (wait != net->rx_waiting) {
		net->rx_waiting = wait;
		(void)vmm_source_arm(net->rx_timer, wait ? PATIENCE_NS : 0);
	}
}

void vmm_net_receive(struct net *net)
{
	struct vmm_virtq *q = net->active.queues ? net->active.queues[QUEUE_RX] : NULL;
	unsigned budget = TURN;
	enum outcome outcome;

	if (!q || !net_is_up(net)) {
		return;
	}
	do {
		vmm_virtq_kick_disable(q);
		outcome = take_turn(net, q, &budget);
		vmm_virtq_flush(q);
		if (outcome == WAIT_FOR_FRAMES) {
			/* The tap says when there is one; kicks are of no use meanwhile. */
			break;
		}
	} while (vmm_virtq_kick_enable(q));
	net->rx_wanted = outcome == WAIT_FOR_FRAMES && !vmm_virtq_is_broken(q);
	update_timer(net, outcome);
	vmm_net_update_events(net);
}

void vmm_net_receive_anyway(void *ctx)
{
	struct net *net = ctx;

	net->rx_waiting = false;
	net->rx_impatient = true;
	vmm_net_receive(net);
	net->rx_impatient = false;
}
