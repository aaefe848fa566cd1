/* SPDX-License-Identifier: MIT */
/*
 * virtio-net: a network interface (VIRTIO 1.2 section 5.1) with one pair of data queues and a
 * control queue, over a tap or a packet socket.
 *
 * Counters: rx_bytes, rx_frames (to the guest), tx_bytes, tx_frames (from it), rx_dropped,
 * tx_dropped (of them those with a foreign source address: tx_spoofed).
 */
#ifndef VMM_DEV_NET_H
#define VMM_DEV_NET_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/dev/tap.h>
#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_NET_MTU_MIN 68u
#define VMM_NET_MTU_MAX 65535u

/* Zero-initialise; mac and tap must be set. */
struct vmm_net_config {
	struct vmm_tap *tap; /* borrowed until the device is destroyed; one device at a time */
	uint8_t mac[6];      /* unicast, not zero */
	uint16_t mtu;        /* told to the driver and enforced; 0: not said */
	/*
	 * Frames whose source is not mac are dropped, and the guest is not offered to change its
	 * address: it cannot speak as somebody else on the link.
	 */
	bool drop_foreign_source;
	bool no_offloads; /* neither checksums nor segmentation are left to the other side */
};

/*
 * Makes a virtio-net device. The caller owns it until it is handed to a carrier or a VM, and frees
 * it with vmm_virtio_device_destroy otherwise. Errors: -EINVAL (mac, mtu; err says why), -ENOMEM.
 */
int vmm_net_create(struct vmm_virtio_device **out, const struct vmm_net_config *config,
		   struct vmm_error *err);

/*
 * Pulls the cable out or plugs it in: the guest sees the link's state change, and while it is down
 * nothing passes. Up at first. Loop thread. dev must be one of vmm_net_create's.
 */
void vmm_net_set_link(struct vmm_virtio_device *dev, bool up);

#ifdef __cplusplus
}
#endif

#endif
