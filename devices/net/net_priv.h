/* SPDX-License-Identifier: MIT */
/* Private to virtio-net. Section numbers are those of VIRTIO 1.2. */
#ifndef VMM_DEVICES_NET_NET_PRIV_H
#define VMM_DEVICES_NET_NET_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/dev/net.h>

/* Feature bits (section 5.1.3). */
#define F_CSUM          (UINT64_C(1) << 0)
#define F_GUEST_CSUM    (UINT64_C(1) << 1)
#define F_MTU           (UINT64_C(1) << 3)
#define F_MAC           (UINT64_C(1) << 5)
#define F_GUEST_TSO4    (UINT64_C(1) << 7)
#define F_GUEST_TSO6    (UINT64_C(1) << 8)
#define F_GUEST_ECN     (UINT64_C(1) << 9)
#define F_HOST_TSO4     (UINT64_C(1) << 11)
#define F_HOST_TSO6     (UINT64_C(1) << 12)
#define F_HOST_ECN      (UINT64_C(1) << 13)
#define F_MRG_RXBUF     (UINT64_C(1) << 15)
#define F_STATUS        (UINT64_C(1) << 16)
#define F_CTRL_VQ       (UINT64_C(1) << 17)
#define F_CTRL_RX       (UINT64_C(1) << 18)
#define F_CTRL_RX_EXTRA (UINT64_C(1) << 20)
#define F_CTRL_MAC_ADDR (UINT64_C(1) << 23)
#define F_GUEST_USO4    (UINT64_C(1) << 54)
#define F_GUEST_USO6    (UINT64_C(1) << 55)
#define F_HOST_USO      (UINT64_C(1) << 56)

enum {
	QUEUE_RX,
	QUEUE_TX,
	QUEUE_CTRL,
	QUEUE_COUNT,
};

#define DATA_QUEUE_SIZE 256u
#define CTRL_QUEUE_SIZE 64u

#define MAC_SIZE    6u
#define ETH_SIZE    14u /* destination, source, type */
#define VLAN_SIZE   4u
#define HEADER_SIZE 12u
#define PREFIX_SIZE (HEADER_SIZE + ETH_SIZE)
/* An IP packet of the largest size in Ethernet with two VLAN tags: what segmentation offload gives.
 */
#define FRAME_MAX (65535u + ETH_SIZE + 2u * VLAN_SIZE)

/* struct virtio_net_hdr (section 5.1.6), as it lies in memory; little-endian. */
struct net_header {
	uint8_t flags;
	uint8_t gso_type;
	uint8_t hdr_len[2];
	uint8_t gso_size[2];
	uint8_t csum_start[2];
	uint8_t csum_offset[2];
	uint8_t num_buffers[2];
};

#define COPY_MAX 1504u /* behind the Ethernet header: a packet of the usual size, a VLAN tag */

/* A frame to be sent, or the begin of it. */
struct net_frame {
	struct net_header header;
	uint8_t eth[ETH_SIZE];
	uint8_t rest[COPY_MAX];
};

/* What one direction may use, from the negotiated features. */
struct net_rules {
	bool csum;
	bool tso4;
	bool tso6;
	bool ecn;
	bool uso;
	bool data_valid;   /* DATA_VALID may be passed on */
	size_t packet_max; /* frames that are not to be segmented; 0: no limit */
};

/* Receive filter (section 5.1.6.5.1, 5.1.6.5.2). */
#define FILTER_MAX 64u

struct net_filter {
	bool promisc;
	bool allmulti;
	bool alluni;
	bool nomulti;
	bool nouni;
	bool nobcast;
	bool uni_overflow; /* more addresses than the table holds: take them all */
	bool multi_overflow;
	bool mac_unknown; /* the driver may have changed it, in another process */
	unsigned uni_count;
	unsigned multi_count;
	uint8_t uni[FILTER_MAX][MAC_SIZE];
	uint8_t multi[FILTER_MAX][MAC_SIZE];
};

/*
 * Receive buffers in hand: chains popped but not used. Popping is not free and a large frame may
 * need dozens, so what one frame leaves serves the next of the same batch; the rest is given back
 * at its end.
 */
#define HAND_CHAINS DATA_QUEUE_SIZE
#define HAND_IOVS   1022u /* one more in front and one behind make IOV_MAX */

struct net_hand {
	struct vmm_chain chains[HAND_CHAINS];
	unsigned first;
	unsigned end;
	unsigned iovs_used;
	size_t capacity; /* bytes of chains[first .. end) */
	struct iovec iovs[HAND_IOVS];
};

struct net_counters {
	uint64_t rx_bytes;
	uint64_t rx_frames;
	uint64_t rx_dropped;
	uint64_t tx_bytes;
	uint64_t tx_frames;
	uint64_t tx_dropped;
	uint64_t tx_spoofed;
};

struct net {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active; /* all zero while not active */
	struct vmm_tap *tap;
	uint8_t configured_mac[MAC_SIZE];
	uint8_t mac[MAC_SIZE]; /* as the driver may have changed it */
	uint16_t mtu;
	bool drop_foreign_source;
	bool link_up;
	bool tap_lost; /* deleted under us: no link until destroy */

	struct vmm_source *source; /* the tap's */
	uint32_t events;           /* what it waits for now */
	bool rx_wanted;            /* the guest has buffers */
	bool tx_blocked;           /* the tap takes no more for now */
	unsigned rx_errors;        /* in a row */
	/* With fewer buffers than the largest frame may need, reading waits for more, but not long:
	 * the driver may have no more to give. */
	size_t rx_need;
	struct vmm_source *rx_timer;
	bool rx_waiting;          /* the timer runs */
	bool rx_impatient;        /* it has run out: what is there has to do */
	struct vmm_work tx_again; /* what one turn left over */
	struct vmm_work ctrl_again;

	struct net_rules rx_rules;
	struct net_rules tx_rules;
	struct net_filter filter;
	struct net_counters counters; /* relaxed atomics */

	struct net_hand hand;
	struct iovec rx_iov[HAND_IOVS + 2];
	uint8_t overflow[FRAME_MAX + HEADER_SIZE]; /* the part of a frame that finds no room */
	struct net_frame tx_frame; /* not on the stack, which is cleared each time */
	struct vmm_chain tx_chain;
	struct iovec tx_chain_iov[DATA_QUEUE_SIZE];
	struct iovec tx_iov[DATA_QUEUE_SIZE + 1];
	struct vmm_chain ctrl_chain;
	struct iovec ctrl_iov[CTRL_QUEUE_SIZE];
};

static inline void net_count(uint64_t *counter, uint64_t n)
{
	/* The loop's thread alone writes them: no locked addition, twice for each frame. */
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline bool net_is_up(const struct net *net)
{
	return net->link_up && !net->tap_lost;
}

/* net.c */
void vmm_net_update_events(struct net *net);
void vmm_net_lose_tap(struct net *net);
void vmm_net_update_mac(struct net *net, const uint8_t mac[MAC_SIZE]);

/* header.c */

/*
 * Checks a header against the rules and a frame of len bytes, and clears what does not count, so
 * that the other side never meets a field nobody checked. -EPROTO: the frame must not pass.
 */
int vmm_net_check_header(struct net_header *h, const struct net_rules *rules, size_t len);

/* filter.c */
void vmm_net_filter_reset(struct net_filter *f);
/*
 * For a driver that set its filter up with a process that is no more: everything passes until it
 * speaks again, and then all that its words do not rule out. Too much is a nuisance to it (and
 * allowed, section 5.1.6.5.1), too little a loss.
 */
void vmm_net_filter_resume(struct net_filter *f, uint64_t features);
bool vmm_net_filter_accepts(const struct net_filter *f, const uint8_t *mac, const uint8_t *dst);

/* rx.c, tx.c, ctrl.c: run a queue until it has nothing more to do for now. */
void vmm_net_receive(struct net *net);
void vmm_net_receive_anyway(void *net); /* the timer's */
void vmm_net_transmit(struct net *net);
void vmm_net_control(struct net *net);

#endif
