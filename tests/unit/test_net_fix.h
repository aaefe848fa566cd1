/* SPDX-License-Identifier: MIT */
/*
 * A virtio-net device whose cable ends in a socket of the test: frames go in and out with their
 * 12-byte header, one in each packet.
 */
#ifndef TESTS_TEST_NET_FIX_H
#define TESTS_TEST_NET_FIX_H

#include <vmm/dev/net.h>

#include "fakedrv.h"
#include "suite.h"

enum { NET_RX, NET_TX, NET_CTRL };

#define NET_HDR         12u
#define NET_FRAME       64u
#define NET_LARGE_FRAME 1600 /* one that is not copied when it is sent */

#define NET_F_CSUM          (UINT64_C(1) << 0)
#define NET_F_GUEST_CSUM    (UINT64_C(1) << 1)
#define NET_F_MTU           (UINT64_C(1) << 3)
#define NET_F_GUEST_TSO4    (UINT64_C(1) << 7)
#define NET_F_GUEST_ECN     (UINT64_C(1) << 9)
#define NET_F_HOST_TSO4     (UINT64_C(1) << 11)
#define NET_F_HOST_ECN      (UINT64_C(1) << 13)
#define NET_F_MRG_RXBUF     (UINT64_C(1) << 15)
#define NET_F_CTRL_RX       (UINT64_C(1) << 18)
#define NET_F_CTRL_RX_EXTRA (UINT64_C(1) << 20)
#define NET_F_CTRL_MAC_ADDR (UINT64_C(1) << 23)
/* GUEST_TSO4, TSO6, USO4, USO6 */
#define NET_F_GUEST_OFFLOADS (UINT64_C(3) << 7 | UINT64_C(3) << 54)
#define NET_F_HOST_USO       (UINT64_C(1) << 56)

extern const uint8_t net_mac[6];
extern const uint8_t net_peer_mac[6];

struct netfix {
	struct vmm_tap *tap;
	struct fakedrv *drv;
	int peer; /* our end of the cable, non-blocking */
};

/* The device is created, the driver not started. config may be NULL. */
void netfix_create(struct netfix *fix, const struct vmm_net_config *config);
/* The driver is started, too, with options as for fakedrv_start. */
void netfix_start(struct netfix *fix, const struct vmm_net_config *config,
		  const struct fakedrv_options *options);
void netfix_finish(struct netfix *fix);

/* A counter of the device by its name. */
uint64_t netfix_counter(struct netfix *fix, const char *name);

/* Header of zeroes and a frame from net_mac to net_peer_mac (or back) of len bytes, payload counted
 * up. buf has NET_HDR + len bytes. */
void netfix_frame(uint8_t *buf, size_t len, bool from_guest);

/* The guest sends len bytes (header included) in pieces of at most piece bytes (0: one). True when
 * the frame arrived at the peer, where it is compared but for the header. */
bool netfix_send(struct netfix *fix, const uint8_t *bytes, size_t len, uint32_t piece);
/* What arrived at the peer: length or -1. */
ssize_t netfix_peer_read(struct netfix *fix, void *buf, size_t cap);
/* The peer sends a packet and the device is run. */
void netfix_peer_write(struct netfix *fix, const void *bytes, size_t len);

/* True when a packet of len bytes from the peer reaches the guest, which has a buffer for it. */
bool netfix_arrives(struct netfix *fix, const uint8_t *bytes, size_t len);

/* Offers a receive buffer of len bytes in pieces (0: one); returns its memory. */
uint8_t *netfix_buffer(struct netfix *fix, uint32_t len, uint32_t piece);

/* Sends a command on the control queue; returns the answer, or 0xee when nothing was written. */
uint8_t netfix_control(struct netfix *fix, uint8_t class, uint8_t command, const void *data,
		       size_t len);

#endif
