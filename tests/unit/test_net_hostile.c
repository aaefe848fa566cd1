/* SPDX-License-Identifier: MIT */
/* virtio-net against drivers and peers that mean harm. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "test_net_fix.h"

static uint8_t bytes[80000];

static void put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

/* ---- headers ---- */

struct header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
};

static void put_header(const struct header *h)
{
	bytes[0] = h->flags;
	bytes[1] = h->gso_type;
	put16(bytes + 2, h->hdr_len);
	put16(bytes + 4, h->gso_size);
	put16(bytes + 6, h->csum_start);
	put16(bytes + 8, h->csum_offset);
}

/* True when a frame of NET_FRAME bytes with this header passes from the guest. */
static bool passes(struct netfix *fix, const struct header *h)
{
	netfix_frame(bytes, NET_FRAME, true);
	put_header(h);
	return netfix_send(fix, bytes, NET_HDR + NET_FRAME, 0);
}

START_TEST(net_tx_header_is_checked_against_the_frame)
{
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	ck_assert(passes(&fix, &(struct header){.flags = 1, .csum_start = 34, .csum_offset = 16}));
	/* The checksum's last byte is the frame's last. */
	ck_assert(passes(
		&fix, &(struct header){.flags = 1, .csum_start = NET_FRAME - 2, .csum_offset = 0}));
	ck_assert(!passes(
		&fix, &(struct header){.flags = 1, .csum_start = NET_FRAME - 1, .csum_offset = 0}));
	ck_assert(!passes(
		&fix,
		&(struct header){.flags = 1, .csum_start = 14, .csum_offset = NET_FRAME - 15}));
	ck_assert(!passes(&fix, &(struct header){.flags = 1, .csum_start = 13}));
	ck_assert(!passes(&fix, &(struct header){.flags = 1}));
	ck_assert(!passes(
		&fix, &(struct header){.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}));
	ck_assert(!passes(&fix,
			  &(struct header){.flags = 1, .csum_start = 0xffff, .csum_offset = 1}));
	/* Without NEEDS_CSUM the fields mean nothing. */
	ck_assert(passes(&fix, &(struct header){.csum_start = 0xffff, .csum_offset = 0xffff}));
	ck_assert_uint_eq(netfix_counter(&fix, "tx_dropped"), 6);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_tx_segmentation_needs_what_belongs_to_it)
{
	const struct header good = {
		.flags = 1, .gso_type = 1, .gso_size = 10, .csum_start = 34, .csum_offset = 16};
	struct header h = good;
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	ck_assert(passes(&fix, &h));
	h.flags = 0;
	ck_assert(!passes(&fix, &h));
	h = good;
	h.gso_size = 0;
	ck_assert(!passes(&fix, &h));
	for (unsigned type = 2; type < 256; type++) {
		bool known = type == 4 || type == 5 || type == 0x80 || type == 0x81 ||
			     type == 0x84 || type == 0x85;

		h = good;
		h.gso_type = (uint8_t)type;
		ck_assert_msg(passes(&fix, &h) == known, "gso type %u", type);
	}
	for (unsigned len = 0; len < 0x10000; len += 0xff) {
		h = good;
		h.hdr_len = (uint16_t)len;
		ck_assert(passes(&fix, &h));
	}
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_tx_what_was_not_negotiated_is_dropped)
{
	struct fakedrv_options options = {.refuse = NET_F_CSUM};
	struct header csum = {.flags = 1, .csum_start = 34, .csum_offset = 16};
	struct header tso = csum;
	struct netfix fix;

	tso.gso_type = 1;
	tso.gso_size = 10;
	netfix_start(&fix, NULL, &options);
	ck_assert(!passes(&fix, &csum));
	fakedrv_reset(fix.drv);
	options.refuse = NET_F_HOST_TSO4;
	ck_assert_int_eq(fakedrv_start(fix.drv, &options), 0);
	ck_assert(passes(&fix, &csum));
	ck_assert(!passes(&fix, &tso));
	fakedrv_reset(fix.drv);
	options.refuse = NET_F_HOST_ECN;
	ck_assert_int_eq(fakedrv_start(fix.drv, &options), 0);
	ck_assert(passes(&fix, &tso));
	tso.gso_type = 0x81;
	ck_assert(!passes(&fix, &tso));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_tx_unchecked_fields_do_not_reach_the_peer)
{
	struct header h = {.flags = 0xfe,
			   .gso_type = 0x80,
			   .hdr_len = 77,
			   .gso_size = 88,
			   .csum_start = 99,
			   .csum_offset = 11};
	static const uint8_t zero[NET_HDR];
	struct fakedrv_buf buf;
	struct netfix fix;
	uint8_t *mem;

	netfix_start(&fix, NULL, NULL);
	netfix_frame(bytes, NET_FRAME, true);
	put_header(&h);
	bytes[10] = 5;
	bytes[11] = 6;
	mem = fakedrv_alloc(fix.drv, NET_HDR + NET_FRAME);
	memcpy(mem, bytes, NET_HDR + NET_FRAME);
	buf = (struct fakedrv_buf)FAKEDRV_OUT(mem, NET_HDR + NET_FRAME);
	(void)fakedrv_request(fix.drv, NET_TX, &buf, 1);
	ck_assert_int_eq(netfix_peer_read(&fix, bytes, sizeof(bytes)), NET_HDR + NET_FRAME);
	ck_assert_int_eq(memcmp(bytes, zero, NET_HDR), 0);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_tx_any_length_is_survived)
{
	struct netfix fix;
	unsigned passed = 0;

	netfix_start(&fix, NULL, NULL);
	for (size_t len = 0; len < 40; len++) {
		uint8_t *mem = fakedrv_alloc(fix.drv, 64);
		struct fakedrv_buf buf = FAKEDRV_OUT(mem, len);

		netfix_frame(mem, 40, true);
		(void)fakedrv_request(fix.drv, NET_TX, &buf, 1);
		passed += netfix_peer_read(&fix, bytes, sizeof(bytes)) == (ssize_t)len && len > 0;
	}
	ck_assert_uint_eq(passed, 40 - NET_HDR - 14);
	netfix_frame(bytes, 65535 + 22 + 1, true);
	ck_assert(!netfix_send(&fix, bytes, NET_HDR + 65535 + 22 + 1, 0));
	ck_assert(!fakedrv_needs_reset(fix.drv));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_tx_writable_chain_is_nothing_to_send)
{
	struct netfix fix;
	uint8_t *mem;

	netfix_start(&fix, NULL, NULL);
	mem = fakedrv_alloc(fix.drv, 64);
	struct fakedrv_buf buf = FAKEDRV_IN(mem, 64);
	ck_assert_uint_eq(fakedrv_request(fix.drv, NET_TX, &buf, 1), 0);
	ck_assert_uint_eq(netfix_counter(&fix, "tx_dropped"), 1);
	netfix_finish(&fix);
}
END_TEST

/* ---- source addresses ---- */

START_TEST(net_foreign_source_is_dropped_in_any_framing)
{
	struct vmm_net_config config = {.drop_foreign_source = true};
	struct netfix fix;
	unsigned spoofed = 0;

	netfix_start(&fix, &config, NULL);
	for (uint32_t piece = 0; piece < 30; piece++) {
		netfix_frame(bytes, NET_FRAME, true);
		ck_assert(netfix_send(&fix, bytes, NET_HDR + NET_FRAME, piece));
		bytes[NET_HDR + 6 + piece % 6] ^= 0x40;
		ck_assert(!netfix_send(&fix, bytes, NET_HDR + NET_FRAME, piece));
		spoofed++;
	}
	/* With a VLAN tag, or another protocol, the address is where it always is. */
	netfix_frame(bytes, NET_FRAME, true);
	bytes[NET_HDR + 12] = 0x81;
	bytes[NET_HDR + 13] = 0x00;
	ck_assert(netfix_send(&fix, bytes, NET_HDR + NET_FRAME, 0));
	bytes[NET_HDR + 11] ^= 1;
	ck_assert(!netfix_send(&fix, bytes, NET_HDR + NET_FRAME, 0));
	ck_assert_uint_eq(netfix_counter(&fix, "tx_spoofed"), spoofed + 1);
	ck_assert_uint_eq(netfix_counter(&fix, "tx_dropped"), spoofed + 1);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_foreign_source_guard_cannot_be_moved)
{
	const uint8_t other[6] = {2, 0, 0, 0, 0, 9};
	struct vmm_net_config config = {.drop_foreign_source = true};
	struct netfix fix;

	netfix_start(&fix, &config, NULL);
	ck_assert_uint_eq(fakedrv_features(fix.drv) & NET_F_CTRL_MAC_ADDR, 0);
	ck_assert_uint_eq(netfix_control(&fix, 1, 1, other, 6), 1);
	fakedrv_write_config(fix.drv, 0, other, 6);
	netfix_frame(bytes, NET_FRAME, true);
	ck_assert(netfix_send(&fix, bytes, NET_HDR + NET_FRAME, 0));
	memcpy(bytes + NET_HDR + 6, other, 6);
	ck_assert(!netfix_send(&fix, bytes, NET_HDR + NET_FRAME, 0));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_foreign_source_passes_when_nobody_minds)
{
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	netfix_frame(bytes, NET_FRAME, true);
	bytes[NET_HDR + 8] ^= 0xff;
	ck_assert(netfix_send(&fix, bytes, NET_HDR + NET_FRAME, 0));
	netfix_finish(&fix);
}
END_TEST

/* ---- receiving ---- */

START_TEST(net_rx_header_of_the_peer_is_checked)
{
	const uint64_t refuse[] = {0, NET_F_GUEST_CSUM, NET_F_GUEST_TSO4, NET_F_GUEST_ECN};
	struct netfix fix;

	netfix_create(&fix, NULL);
	for (unsigned i = 0; i < 4; i++) {
		struct fakedrv_options options = {.refuse = refuse[i]};
		struct header h = {.flags = 1, .csum_start = 34, .csum_offset = 16};
		bool csum = refuse[i] != NET_F_GUEST_CSUM;

		ck_assert_int_eq(fakedrv_start(fix.drv, &options), 0);
		netfix_frame(bytes, NET_FRAME, false);
		put_header(&h);
		ck_assert(netfix_arrives(&fix, bytes, NET_HDR + NET_FRAME) == csum);
		h.gso_type = 1;
		h.gso_size = 10;
		put_header(&h);
		ck_assert(netfix_arrives(&fix, bytes, NET_HDR + NET_FRAME) ==
			  (csum && refuse[i] != NET_F_GUEST_TSO4));
		h.gso_type = 0x81;
		put_header(&h);
		ck_assert(netfix_arrives(&fix, bytes, NET_HDR + NET_FRAME) == (csum && i == 0));
		h.gso_type = 0;
		h.csum_start = NET_FRAME;
		put_header(&h);
		ck_assert(!netfix_arrives(&fix, bytes, NET_HDR + NET_FRAME));
		h.flags = 0;
		put_header(&h);
		ck_assert(netfix_arrives(&fix, bytes, NET_HDR + NET_FRAME));
		fakedrv_reset(fix.drv);
	}
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_rx_a_peer_vouches_for_nothing)
{
	struct header h = {.flags = 2};
	struct netfix fix;
	uint8_t *mem;

	netfix_start(&fix, NULL, NULL);
	netfix_frame(bytes, NET_FRAME, false);
	put_header(&h);
	mem = netfix_buffer(&fix, 2048, 0);
	ck_assert(netfix_arrives(&fix, bytes, NET_HDR + NET_FRAME));
	ck_assert_uint_eq(mem[0], 0);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_rx_short_packets_are_dropped)
{
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	netfix_frame(bytes, NET_FRAME, false);
	for (size_t len = 1; len < NET_HDR + 14; len++) {
		ck_assert(!netfix_arrives(&fix, bytes, len));
	}
	ck_assert(netfix_arrives(&fix, bytes, NET_HDR + 14));
	ck_assert_uint_eq(netfix_counter(&fix, "rx_dropped"), NET_HDR + 14 - 1);
	netfix_finish(&fix);
}
END_TEST

/* A frame of 60000 bytes into buffers too small for it; the next one fits. */
static void too_large(bool mergeable, uint32_t size, unsigned count)
{
	struct fakedrv_options options = {.refuse = mergeable ? 0 : NET_F_MRG_RXBUF};
	struct header h = {
		.flags = 1, .gso_type = 1, .gso_size = 1460, .csum_start = 34, .csum_offset = 16};
	struct fakedrv_used used;
	struct netfix fix;

	netfix_start(&fix, NULL, &options);
	for (unsigned i = 0; i < count; i++) {
		(void)netfix_buffer(&fix, size, 0);
	}
	netfix_frame(bytes, 60000, false);
	put_header(&h);
	netfix_peer_write(&fix, bytes, NET_HDR + 60000);
	ck_assert(!fakedrv_wait_used(fix.drv, NET_RX, &used, 20));
	ck_assert_uint_eq(netfix_counter(&fix, "rx_dropped"), 1);
	ck_assert(!fakedrv_needs_reset(fix.drv));
	netfix_frame(bytes, NET_FRAME, false);
	netfix_peer_write(&fix, bytes, NET_HDR + NET_FRAME);
	ck_assert(fakedrv_wait_used(fix.drv, NET_RX, &used, 20));
	netfix_finish(&fix);
}

START_TEST(net_rx_frame_larger_than_the_buffers_is_dropped)
{
	too_large(false, 128, 8);
	too_large(true, 128, 8);
	too_large(true, 1526, 30);
}
END_TEST

START_TEST(net_rx_buffer_smaller_than_a_header_breaks_the_queue)
{
	for (unsigned mergeable = 0; mergeable < 2; mergeable++) {
		struct fakedrv_options options = {.refuse = mergeable ? 0 : NET_F_MRG_RXBUF};
		struct netfix fix;

		netfix_start(&fix, NULL, &options);
		(void)netfix_buffer(&fix, 11, 0);
		ck_assert(fakedrv_needs_reset(fix.drv));
		netfix_frame(bytes, NET_FRAME, false);
		netfix_peer_write(&fix, bytes, NET_HDR + NET_FRAME);
		ck_assert_int_eq(vmm_loop_dispatch(fakedrv_loop(fix.drv), 20), 0);
		fakedrv_reset(fix.drv);
		ck_assert_int_eq(fakedrv_start(fix.drv, &options), 0);
		ck_assert(netfix_arrives(&fix, bytes, NET_HDR + NET_FRAME));
		netfix_finish(&fix);
	}
}
END_TEST

START_TEST(net_rx_buffer_in_a_hole_breaks_the_queue)
{
	struct fakedrv_buf good;
	struct netfix fix;
	uint8_t *mem;

	netfix_start(&fix, NULL, NULL);
	mem = fakedrv_alloc(fix.drv, 64);
	good = (struct fakedrv_buf)FAKEDRV_IN(mem, 64);
	/* The second buffer of a mergeable frame points nowhere. */
	ck_assert_int_eq(fakedrv_add(fix.drv, NET_RX, &good, 1), 0);
	fakedrv_ring(fix.drv, NET_RX)->desc[200] =
		(struct fakedrv_desc){.addr = MEMFIX_HOLE, .len = 64, .flags = FAKEDRV_DESC_WRITE};
	fakedrv_offer(fix.drv, NET_RX, 200);
	netfix_frame(bytes, 100, false);
	netfix_peer_write(&fix, bytes, NET_HDR + 100);
	fakedrv_kick(fix.drv, NET_RX);
	ck_assert(fakedrv_needs_reset(fix.drv));
	ck_assert_uint_eq(mem[10], 0);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_mtu_is_kept_both_ways)
{
	struct vmm_net_config config = {.mtu = 1000};
	struct header tso = {
		.flags = 1, .gso_type = 1, .gso_size = 946, .csum_start = 34, .csum_offset = 16};
	struct netfix fix;

	netfix_start(&fix, &config, NULL);
	netfix_frame(bytes, 1018, true);
	ck_assert(netfix_send(&fix, bytes, NET_HDR + 1018, 0));
	netfix_frame(bytes, 1019, true);
	ck_assert(!netfix_send(&fix, bytes, NET_HDR + 1019, 0));
	put_header(&tso);
	ck_assert(netfix_send(&fix, bytes, NET_HDR + 1019, 0));
	netfix_frame(bytes, 1018, false);
	ck_assert(netfix_arrives(&fix, bytes, NET_HDR + 1018));
	netfix_frame(bytes, 1019, false);
	ck_assert(!netfix_arrives(&fix, bytes, NET_HDR + 1019));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_guest_that_returns_nothing_holds_up_nobody)
{
	struct fakedrv_used used;
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	netfix_frame(bytes, NET_FRAME, false);
	for (unsigned i = 0; i < 100000; i++) {
		(void)!send(fix.peer, bytes, NET_HDR + NET_FRAME, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	ck_assert_int_eq(vmm_loop_dispatch(fakedrv_loop(fix.drv), 50), 0);
	(void)netfix_buffer(&fix, 2048, 0);
	ck_assert(fakedrv_wait_used(fix.drv, NET_RX, &used, 100));
	netfix_finish(&fix);
}
END_TEST

SUITE_MAIN("net_hostile", net_tx_header_is_checked_against_the_frame,
	   net_tx_segmentation_needs_what_belongs_to_it, net_tx_what_was_not_negotiated_is_dropped,
	   net_tx_unchecked_fields_do_not_reach_the_peer, net_tx_any_length_is_survived,
	   net_tx_writable_chain_is_nothing_to_send, net_foreign_source_is_dropped_in_any_framing,
	   net_foreign_source_guard_cannot_be_moved, net_foreign_source_passes_when_nobody_minds,
	   net_rx_header_of_the_peer_is_checked, net_rx_a_peer_vouches_for_nothing,
	   net_rx_short_packets_are_dropped, net_rx_frame_larger_than_the_buffers_is_dropped,
	   net_rx_buffer_smaller_than_a_header_breaks_the_queue,
	   net_rx_buffer_in_a_hole_breaks_the_queue, net_mtu_is_kept_both_ways,
	   net_guest_that_returns_nothing_holds_up_nobody)
