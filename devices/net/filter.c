/* SPDX-License-Identifier: MIT */
/* Which frames the guest wants (VIRTIO 1.2 section 5.1.6.5.1 and 5.1.6.5.2). */
#include "net_priv.h"

#include <string.h>

void vmm_net_filter_reset(struct net_filter *f)
{
	memset(f, 0, sizeof(*f));
	/* A driver that says nothing about filtering gets everything. */
	f->promisc = true;
}

void vmm_net_filter_resume(struct net_filter *f, uint64_t features)
{
	vmm_net_filter_reset(f);
	/* Each of them until the driver says so or otherwise. Only what it can take back. */
	f->allmulti = (features & F_CTRL_RX) != 0;
	f->alluni = (features & F_CTRL_RX_EXTRA) != 0;
	f->uni_overflow = true;
	f->multi_overflow = true;
	f->mac_unknown = (features & F_CTRL_MAC_ADDR) != 0;
}

static bool contains(const uint8_t (*table)[MAC_SIZE], unsigned count, const uint8_t *mac)
{
	for (unsigned i = 0; i < count; i++) {
		if (memcmp(table[i], mac, MAC_SIZE) == 0) {
			return true;
		}
	}
	return false;
}

bool vmm_net_filter_accepts(const struct net_filter *f, const uint8_t *mac, const uint8_t *dst)
{
	static const uint8_t broadcast[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (f->promisc) {
		return true;
	}
	if (memcmp(dst, broadcast, MAC_SIZE) == 0) {
		return !f->nobcast;
	}
	if ((dst[0] & 1u) != 0) {
		return !f->nomulti && (f->allmulti || f->multi_overflow ||
				       contains(f->multi, f->multi_count, dst));
	}
	return !f->nouni &&
	       (f->alluni || f->uni_overflow || f->mac_unknown || memcmp(dst, mac, MAC_SIZE) == 0 ||
		contains(f->uni, f->uni_count, dst));
}
