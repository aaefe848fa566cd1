/* SPDX-License-Identifier: MIT */
/* virtio-net: the control queue, receive filters, and the state of the link. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test_net_fix.h"

static uint8_t bytes[80000];

static bool arrives_at(struct netfix *fix, const uint8_t dst[6])
{
	netfix_frame(bytes, NET_FRAME, false);
	memcpy(bytes + NET_HDR, dst, 6);
	return netfix_arrives(fix, bytes, NET_HDR + NET_FRAME);
}

static const uint8_t stranger[6] = {2, 0, 0, 0, 0, 9};
static const uint8_t group[6] = {0x01, 0, 0x5e, 0, 0, 1};
static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t on = 1;
static const uint8_t off;

START_TEST(net_filter_modes_do_what_they_say)
{
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	/* Until the driver speaks, everything passes. */
	ck_assert(arrives_at(&fix, stranger) && arrives_at(&fix, group));
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &off, 1), 0);
	ck_assert(!arrives_at(&fix, stranger) && !arrives_at(&fix, group));
	ck_assert(arrives_at(&fix, net_mac) && arrives_at(&fix, broadcast));
	ck_assert_uint_eq(netfix_control(&fix, 0, 1, &on, 1), 0);
	ck_assert(arrives_at(&fix, group) && !arrives_at(&fix, stranger));
	ck_assert_uint_eq(netfix_control(&fix, 0, 2, &on, 1), 0);
	ck_assert(arrives_at(&fix, stranger));
	ck_assert_uint_eq(netfix_control(&fix, 0, 3, &on, 1), 0);
	ck_assert(!arrives_at(&fix, group));
	ck_assert_uint_eq(netfix_control(&fix, 0, 4, &on, 1), 0);
	ck_assert(!arrives_at(&fix, net_mac));
	ck_assert_uint_eq(netfix_control(&fix, 0, 5, &on, 1), 0);
	ck_assert(!arrives_at(&fix, broadcast));
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &on, 1), 0);
	ck_assert(arrives_at(&fix, net_mac) && arrives_at(&fix, group));
	/* A reset brings the beginning back. */
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &off, 1), 0);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	ck_assert(arrives_at(&fix, stranger));
	netfix_finish(&fix);
}
END_TEST

/* A MAC_TABLE_SET with the counts as they are said and as many addresses as are there. */
static uint8_t set_table(struct netfix *fix, uint32_t uni, unsigned uni_there, uint32_t multi,
			 unsigned multi_there)
{
	static uint8_t data[65536];
	size_t len = 0;

	memset(data, 0, sizeof(data));
	memcpy(data, &uni, 4);
	len += 4;
	for (unsigned i = 0; i < uni_there; i++, len += 6) {
		memcpy(data + len, stranger, 6);
	}
	memcpy(data + len, &multi, 4);
	len += 4;
	for (unsigned i = 0; i < multi_there; i++, len += 6) {
		memcpy(data + len, group, 6);
	}
	return netfix_control(fix, 1, 0, data, len);
}

START_TEST(net_mac_table_lets_its_addresses_pass)
{
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &off, 1), 0);
	ck_assert_uint_eq(set_table(&fix, 1, 1, 0, 0), 0);
	ck_assert(arrives_at(&fix, stranger) && !arrives_at(&fix, group));
	ck_assert_uint_eq(set_table(&fix, 0, 0, 64, 64), 0);
	ck_assert(!arrives_at(&fix, stranger) && arrives_at(&fix, group));
	/* More than fit: all of that kind. */
	ck_assert_uint_eq(set_table(&fix, 65, 65, 0, 0), 0);
	ck_assert(arrives_at(&fix, net_peer_mac) && !arrives_at(&fix, group));
	ck_assert_uint_eq(set_table(&fix, 0, 0, 10000, 10000), 0);
	ck_assert(!arrives_at(&fix, net_peer_mac) && arrives_at(&fix, group));
	netfix_finish(&fix);
}
END_TEST

static void resume(struct netfix *fix, const struct fakedrv_options *options)
{
	ck_assert_int_eq(fakedrv_prepare(fix->drv, options), 0);
	ck_assert_int_eq(fakedrv_driver_resumes(fix->drv), 0);
	fakedrv_run(fix->drv);
}

/* What the driver said of its filter, it said to a process that is no more. */
START_TEST(net_resumed_driver_gets_every_frame_until_it_speaks)
{
	const struct fakedrv_options like_linux = {.refuse = NET_F_CTRL_RX_EXTRA |
							     NET_F_CTRL_MAC_ADDR};
	struct netfix fix;

	netfix_create(&fix, NULL);
	resume(&fix, &like_linux);
	ck_assert(arrives_at(&fix, stranger) && arrives_at(&fix, group));
	ck_assert(arrives_at(&fix, net_mac) && arrives_at(&fix, broadcast));
	/* The rest of what it may have said before still holds. */
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &off, 1), 0);
	ck_assert(arrives_at(&fix, stranger) && arrives_at(&fix, group));
	ck_assert_uint_eq(netfix_control(&fix, 0, 1, &off, 1), 0);
	ck_assert(arrives_at(&fix, stranger) && arrives_at(&fix, group));
	ck_assert_uint_eq(set_table(&fix, 0, 0, 0, 0), 0);
	ck_assert(!arrives_at(&fix, stranger) && !arrives_at(&fix, group));
	ck_assert(arrives_at(&fix, net_mac) && arrives_at(&fix, broadcast));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_resumed_driver_with_another_address_is_still_reached)
{
	struct netfix fix;

	netfix_create(&fix, NULL);
	resume(&fix, NULL);
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &off, 1), 0);
	ck_assert_uint_eq(netfix_control(&fix, 0, 1, &off, 1), 0);
	ck_assert_uint_eq(netfix_control(&fix, 0, 2, &off, 1), 0);
	ck_assert_uint_eq(set_table(&fix, 0, 0, 0, 0), 0);
	ck_assert(arrives_at(&fix, stranger) && !arrives_at(&fix, group));
	ck_assert_uint_eq(netfix_control(&fix, 1, 1, net_mac, 6), 0);
	ck_assert(!arrives_at(&fix, stranger) && arrives_at(&fix, net_mac));
	/* A reset ends it, too. */
	resume(&fix, NULL);
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &off, 1), 0);
	ck_assert(!arrives_at(&fix, stranger) && !arrives_at(&fix, group));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_resumed_driver_cannot_speak_as_somebody_else)
{
	struct vmm_net_config config = {.drop_foreign_source = true};
	struct netfix fix;

	netfix_create(&fix, &config);
	resume(&fix, NULL);
	netfix_frame(bytes, NET_FRAME, true);
	ck_assert(netfix_send(&fix, bytes, NET_HDR + NET_FRAME, 0));
	memcpy(bytes + NET_HDR + 6, stranger, 6);
	ck_assert(!netfix_send(&fix, bytes, NET_HDR + NET_FRAME, 0));
	ck_assert_uint_eq(netfix_counter(&fix, "tx_spoofed"), 1);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_mac_table_with_false_counts_is_refused_whole)
{
	const uint32_t counts[] = {2, 0x10000, 0x2aaaaaab, 0x55555556, 0x80000000, 0xffffffff};
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &off, 1), 0);
	ck_assert_uint_eq(set_table(&fix, 1, 1, 0, 0), 0);
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		ck_assert_uint_eq(set_table(&fix, counts[i], 1, 0, 0), 1);
		ck_assert_uint_eq(set_table(&fix, 0, 0, counts[i], 1), 1);
	}
	ck_assert_uint_eq(netfix_control(&fix, 1, 0, "\0\0\0\0", 4), 1);
	ck_assert_uint_eq(netfix_control(&fix, 1, 0, "\0\0\0", 3), 1);
	/* The table is the one of before. */
	ck_assert(arrives_at(&fix, stranger) && !arrives_at(&fix, group));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_mac_address_can_be_set_and_reset_restores_it)
{
	struct netfix fix;
	uint8_t mac[6];

	netfix_start(&fix, NULL, NULL);
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &off, 1), 0);
	ck_assert_uint_eq(netfix_control(&fix, 1, 1, stranger, 6), 0);
	fakedrv_read_config(fix.drv, 0, mac, 6);
	ck_assert_int_eq(memcmp(mac, stranger, 6), 0);
	ck_assert(arrives_at(&fix, stranger) && !arrives_at(&fix, net_mac));
	ck_assert_uint_eq(netfix_control(&fix, 1, 1, group, 6), 1);
	ck_assert_uint_eq(netfix_control(&fix, 1, 1, stranger, 5), 1);
	fakedrv_reset(fix.drv);
	fakedrv_read_config(fix.drv, 0, mac, 6);
	ck_assert_int_eq(memcmp(mac, net_mac, 6), 0);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_commands_nobody_offered_are_answered_with_an_error)
{
	struct fakedrv_options options = {.refuse = NET_F_CTRL_RX | NET_F_CTRL_RX_EXTRA |
						    NET_F_CTRL_MAC_ADDR};
	struct netfix fix;

	netfix_start(&fix, NULL, NULL);
	for (unsigned class = 0; class < 256; class ++) {
		for (unsigned command = 0; command < 8; command++) {
			bool known = (class == 0 && command < 6) || (class == 1 && command < 2);
			uint8_t data[16] = {0};
			uint8_t ack = netfix_control(&fix, (uint8_t) class, (uint8_t)command, data,
						     sizeof(data));

			ck_assert_uint_eq(ack, known ? 0 : 1);
		}
	}
	fakedrv_reset(fix.drv);
	ck_assert_int_eq(fakedrv_start(fix.drv, &options), 0);
	ck_assert_uint_eq(netfix_control(&fix, 0, 0, &on, 1), 1);
	ck_assert_uint_eq(netfix_control(&fix, 0, 2, &on, 1), 1);
	ck_assert_uint_eq(set_table(&fix, 0, 0, 0, 0), 1);
	ck_assert_uint_eq(netfix_control(&fix, 1, 1, stranger, 6), 1);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_malformed_commands_are_survived)
{
	struct netfix fix;
	uint8_t *mem;

	netfix_start(&fix, NULL, NULL);
	mem = fakedrv_alloc(fix.drv, 16);
	struct fakedrv_buf no_answer[] = {FAKEDRV_OUT(mem, 3)};
	struct fakedrv_buf no_command[] = {FAKEDRV_IN(mem + 8, 1)};
	struct fakedrv_buf half[] = {FAKEDRV_OUT(mem, 1), FAKEDRV_IN(mem + 8, 1)};
	struct fakedrv_buf split[] = {FAKEDRV_OUT(mem, 1), FAKEDRV_OUT(mem + 1, 1),
				      FAKEDRV_OUT(mem + 2, 1), FAKEDRV_IN(mem + 8, 4)};
	ck_assert_uint_eq(fakedrv_request(fix.drv, NET_CTRL, no_answer, 1), 0);
	ck_assert(arrives_at(&fix, stranger)); /* still promiscuous */
	ck_assert_uint_eq(fakedrv_request(fix.drv, NET_CTRL, no_command, 1), 1);
	ck_assert_uint_eq(mem[8], 1);
	ck_assert_uint_eq(fakedrv_request(fix.drv, NET_CTRL, half, 2), 1);
	ck_assert_uint_eq(mem[8], 1);
	ck_assert_uint_eq(fakedrv_request(fix.drv, NET_CTRL, split, 4), 1);
	ck_assert_uint_eq(mem[8], 0);
	ck_assert(!arrives_at(&fix, stranger));
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_control_flood_is_served_in_turns)
{
	struct fakedrv_options options = {0};
	struct netfix fix;
	struct fakedrv_used used;
	unsigned served = 0;

	netfix_start(&fix, NULL, &options);
	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < 32; i++) {
			uint8_t *mem = fakedrv_alloc(fix.drv, 16);
			struct fakedrv_buf bufs[] = {FAKEDRV_OUT(mem, 3), FAKEDRV_IN(mem + 8, 1)};

			mem[0] = 0xff;
			ck_assert_int_ge(fakedrv_add(fix.drv, NET_CTRL, bufs, 2), 0);
		}
		fakedrv_kick(fix.drv, NET_CTRL);
		while (fakedrv_used(fix.drv, NET_CTRL, &used)) {
			ck_assert_uint_eq(used.len, 1);
			served++;
		}
	}
	ck_assert_uint_eq(served, 32000);
	netfix_finish(&fix);
}
END_TEST

/* ---- the link ---- */

static void expect_frame(struct netfix *fix, const uint8_t *mem, size_t len, unsigned buffers)
{
	struct fakedrv_used used;

	ck_assert(fakedrv_wait_used(fix->drv, NET_RX, &used, FAKEDRV_PATIENCE_MS));
	ck_assert_uint_eq(used.len, NET_HDR + len);
	ck_assert_uint_eq(mem[10] | (unsigned)mem[11] << 8, buffers);
	ck_assert_int_eq(memcmp(mem + NET_HDR, bytes + NET_HDR, len), 0);
}

START_TEST(net_link_down_lets_nothing_pass)
{
	struct netfix fix;
	struct fakedrv_used used;
	struct vmm_virtio_device *dev;
	unsigned irqs;
	uint8_t status;
	uint8_t *mem;

	netfix_start(&fix, NULL, NULL);
	dev = fakedrv_device(fix.drv);
	mem = netfix_buffer(&fix, 1526, 0);
	irqs = fakedrv_config_irqs(fix.drv);
	vmm_net_set_link(dev, false);
	vmm_net_set_link(dev, false);
	ck_assert_uint_eq(fakedrv_config_irqs(fix.drv), irqs + 1);
	fakedrv_read_config(fix.drv, 6, &status, 1);
	ck_assert_uint_eq(status, 0);
	netfix_frame(bytes, NET_FRAME, true);
	ck_assert(!netfix_send(&fix, bytes, NET_HDR + NET_FRAME, 0));
	ck_assert_uint_eq(netfix_counter(&fix, "tx_dropped"), 1);
	netfix_frame(bytes, NET_FRAME, false);
	netfix_peer_write(&fix, bytes, NET_HDR + NET_FRAME);
	ck_assert(!fakedrv_used(fix.drv, NET_RX, &used));
	vmm_net_set_link(dev, true);
	fakedrv_read_config(fix.drv, 6, &status, 1);
	ck_assert_uint_eq(status, 1);
	fakedrv_run(fix.drv);
	expect_frame(&fix, mem, NET_FRAME, 1);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_back_end_gone_takes_the_link_down)
{
	struct netfix fix;
	uint8_t status;

	netfix_start(&fix, NULL, NULL);
	(void)netfix_buffer(&fix, 1526, 0);
	(void)close(fix.peer);
	fix.peer = -1;
	(void)fakedrv_run_for(fix.drv, 20, NULL);
	fakedrv_read_config(fix.drv, 6, &status, 1);
	ck_assert_uint_eq(status, 0);
	ck_assert_int_eq(vmm_loop_dispatch(fakedrv_loop(fix.drv), 20), 0);
	ck_assert(!fakedrv_needs_reset(fix.drv));
	/* Another driver finds it so. */
	ck_assert_int_eq(fakedrv_start(fix.drv, NULL), 0);
	fakedrv_read_config(fix.drv, 6, &status, 1);
	ck_assert_uint_eq(status, 0);
	netfix_finish(&fix);
}
END_TEST

START_TEST(net_back_end_gone_while_sending_does_not_spin)
{
	struct netfix fix;
	struct fakedrv_used used;

	netfix_start(&fix, NULL, NULL);
	(void)close(fix.peer);
	fix.peer = -1;
	for (unsigned i = 0; i < 10; i++) {
		uint8_t *mem = fakedrv_alloc(fix.drv, NET_HDR + NET_FRAME);
		struct fakedrv_buf buf = FAKEDRV_OUT(mem, NET_HDR + NET_FRAME);

		netfix_frame(mem, NET_FRAME, true);
		ck_assert_uint_eq(fakedrv_request(fix.drv, NET_TX, &buf, 1), 0);
	}
	ck_assert(!fakedrv_used(fix.drv, NET_TX, &used));
	ck_assert_uint_eq(netfix_counter(&fix, "tx_dropped"), 10);
	ck_assert_int_eq(vmm_loop_dispatch(fakedrv_loop(fix.drv), 20), 0);
	netfix_finish(&fix);
}
END_TEST

SUITE_MAIN("net_ctrl", net_filter_modes_do_what_they_say, net_mac_table_lets_its_addresses_pass,
	   net_resumed_driver_gets_every_frame_until_it_speaks,
	   net_resumed_driver_with_another_address_is_still_reached,
	   net_resumed_driver_cannot_speak_as_somebody_else,
	   net_mac_table_with_false_counts_is_refused_whole,
	   net_mac_address_can_be_set_and_reset_restores_it,
	   net_commands_nobody_offered_are_answered_with_an_error,
	   net_malformed_commands_are_survived, net_control_flood_is_served_in_turns,
	   net_link_down_lets_nothing_pass, net_back_end_gone_takes_the_link_down,
	   net_back_end_gone_while_sending_does_not_spin)
