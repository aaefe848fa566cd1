/* SPDX-License-Identifier: MIT */
/* The header in front of each frame (VIRTIO 1.2 section 5.1.6), from a side nobody trusts. */
#include "net_priv.h"

#include <errno.h>
#include <string.h>

#define FLAG_NEEDS_CSUM 0x01u
#define FLAG_DATA_VALID 0x02u

#define GSO_NONE  0u
#define GSO_TCPV4 1u
#define GSO_TCPV6 4u
#define GSO_UDP   5u /* UDP_L4 */
#define GSO_ECN   0x80u

static unsigned get16(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static int check_csum(struct net_header *h, const struct net_rules *rules, size_t len)
{
	size_t start = get16(h->csum_start);
	size_t offset = get16(h->csum_offset);

	if ((h->flags & FLAG_NEEDS_CSUM) == 0) {
		put16(h->csum_start, 0);
		put16(h->csum_offset, 0);
		return 0;
	}
	/* Both are 16 bits wide: the sum cannot wrap. */
	if (!rules->csum || start < ETH_SIZE || start + offset + 2 > len) {
		return -EPROTO;
	}
	return 0;
}

static bool allowed(const struct net_rules *rules, unsigned type)
{
	switch (type) {
	case GSO_TCPV4:
		return rules->tso4;
	case GSO_TCPV6:
		return rules->tso6;
	case GSO_UDP:
		return rules->uso;
	default:
		return false;
	}
}

static int check_gso(struct net_header *h, const struct net_rules *rules, size_t len)
{
	unsigned type = h->gso_type & ~GSO_ECN;

	if (type == GSO_NONE) {
		h->gso_type = GSO_NONE;
		put16(h->gso_size, 0);
		put16(h->hdr_len, 0);
		return 0;
	}
	if (!allowed(rules, type) || ((h->gso_type & GSO_ECN) != 0 && !rules->ecn)) {
		return -EPROTO;
	}
	if ((h->flags & FLAG_NEEDS_CSUM) == 0 || get16(h->gso_size) == 0) {
		return -EPROTO;
	}
	/* A hint at most (section 5.1.6.2.2); a length beyond the frame is not passed on. */
	if (get16(h->hdr_len) > len) {
		put16(h->hdr_len, (unsigned)len);
	}
	return 0;
}

int vmm_net_check_header(struct net_header *h, const struct net_rules *rules, size_t len)
{
	h->flags &= (uint8_t)(FLAG_NEEDS_CSUM | (rules->data_valid ? FLAG_DATA_VALID : 0u));
	put16(h->num_buffers, 0);
	if (len < ETH_SIZE || len > FRAME_MAX) {
		return -EPROTO;
	}
	if (check_csum(h, rules, len) != 0 || check_gso(h, rules, len) != 0) {
		return -EPROTO;
	}
	if (h->gso_type == GSO_NONE && rules->packet_max > 0 && len > rules->packet_max) {
		return -EPROTO;
	}
	return 0;
}
