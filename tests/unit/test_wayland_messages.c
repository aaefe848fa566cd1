/* SPDX-License-Identifier: MIT */
/* The Wayland wire: framing, and every message there is, whole and cut. */
#include <errno.h>
#include <string.h>

#include "suite.h"
#include "wayland/tables.h"
#include "wayland/wire.h"
#include "wlmsg.h"

static struct vmm_wl_message msg;
static uint8_t bytes[WLMSG_MAX];

START_TEST(frame_wants_whole_words_of_8_to_4096_bytes)
{
	static const struct {
		uint32_t size;
		int frame;
	} sizes[] = {
		{0, -EPROTO}, {4, -EPROTO}, {7, -EPROTO},    {8, 8},          {9, -EPROTO},
		{12, 12},     {4096, 4096}, {4097, -EPROTO}, {4100, -EPROTO}, {65535, -EPROTO},
	};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		vmm_wl_header(bytes, 1, 0, sizes[i].size);
		ck_assert_int_eq(vmm_wl_frame(bytes, VMM_WL_MESSAGE_MAX), sizes[i].frame);
	}
}
END_TEST

START_TEST(frame_of_a_part_is_none_yet)
{
	vmm_wl_header(bytes, 1, 0, 24);
	for (size_t len = 0; len < 24; len++) {
		ck_assert_int_eq(vmm_wl_frame(bytes, len), 0);
	}
	ck_assert_int_eq(vmm_wl_frame(bytes, 24), 24);
	ck_assert_int_eq(vmm_wl_frame(bytes, 25), 24);
}
END_TEST

/* Object 16 + n is of interface n. Their version is the highest, and one global may be bound. */
#define FIRST 16u

static uint32_t object_of(void *ctx, uint8_t interface)
{
	(void)ctx;
	return interface == ABSENT ? 0 : FIRST + (interface == VMM_WL_IF_NONE ? 1 : interface);
}

static struct vmm_wl_conn *populated(void)
{
	struct vmm_wl_conn *c = vmm_wl_conn_create();

	SUITE_REQUIRE(c != NULL);
	for (uint32_t id = 0; id < FIRST; id++) {
		c->client[id] = (struct vmm_wl_object){.interface = VMM_WL_IF_WL_CALLBACK};
	}
	for (uint8_t i = 1; i < VMM_WL_IF_COUNT; i++) {
		c->client[FIRST + i].interface = i;
		c->client[FIRST + i].version = vmm_wl_interfaces[i].version;
	}
	c->client_count = FIRST + VMM_WL_IF_COUNT;
	c->globals[0] = (struct vmm_wl_global){.interface = VMM_WL_IF_WL_SHM, .version = 1};
	return c;
}

/*
 * What is in bytes, as a request or an event, in a connection that nothing was said in yet. In
 * memory of just its size: whoever reads beyond is caught.
 */
static enum vmm_wl_verdict verdict_of(int request)
{
	struct vmm_wl_conn *c = populated();
	const size_t size = (size_t)(bytes[6] | bytes[7] << 8);
	uint8_t *copy = malloc(size);
	enum vmm_wl_verdict verdict;

	SUITE_REQUIRE(copy != NULL);
	memcpy(copy, bytes, size);
	verdict = request ? vmm_wl_request(c, copy, &msg) : vmm_wl_event(c, copy, &msg);
	free(copy);
	vmm_wl_conn_destroy(c);
	return verdict;
}

static size_t make_message(uint8_t interface, int request, uint16_t opcode)
{
	const struct wlmsg_make make = {
		.object = object_of,
		.new_id = request ? FIRST + VMM_WL_IF_COUNT : VMM_WL_SERVER_BASE,
	};

	return wlmsg_of(bytes, FIRST + interface, interface, request, opcode, &make);
}

/* Whole: it passes. One word less, in all lengths, or one more: it does not. */
static void check_lengths(uint8_t interface, int request, uint16_t opcode)
{
	const size_t size = make_message(interface, request, opcode);

	if (interface == VMM_WL_IF_WL_REGISTRY && !request) {
		/* "text" is no interface, and name 0 one of the globals. */
		SUITE_REQUIRE(verdict_of(request) ==
			      (opcode == VMM_WL_EV_WL_REGISTRY_GLOBAL ? VMM_WL_DROP : VMM_WL_PASS));
	} else if (interface == VMM_WL_IF_WL_DISPLAY && opcode == VMM_WL_EV_WL_DISPLAY_DELETE_ID) {
		/* Id 0 has been put there by populate. */
		SUITE_REQUIRE(verdict_of(request) == VMM_WL_PASS);
	} else if (interface == VMM_WL_IF_WP_CURSOR_SHAPE_MANAGER_V1 &&
		   opcode == VMM_WL_RQ_WP_CURSOR_SHAPE_MANAGER_V1_GET_TABLET_TOOL_V2) {
		/* Needs an object that cannot be. */
		SUITE_REQUIRE(verdict_of(request) == VMM_WL_BAD);
	} else {
		ck_assert_msg(verdict_of(request) == VMM_WL_PASS, "interface %u, %s %u", interface,
			      request ? "request" : "event", opcode);
	}
	for (size_t len = VMM_WL_HEADER_SIZE; len <= size + 4; len += 4) {
		if (len == size) {
			continue;
		}
		memset(bytes, 0, sizeof(bytes));
		(void)make_message(interface, request, opcode);
		vmm_wl_header(bytes, FIRST + interface, opcode, len);
		ck_assert_msg(verdict_of(request) == VMM_WL_BAD, "interface %u, %s %u, %zu of %zu",
			      interface, request ? "request" : "event", opcode, len, size);
	}
}

START_TEST(messages_of_another_length_are_refused)
{
	for (uint8_t i = 1; i < VMM_WL_IF_COUNT; i++) {
		for (uint16_t k = 0; k < vmm_wl_interfaces[i].requests; k++) {
			check_lengths(i, 1, k);
		}
		for (uint16_t k = 0; k < vmm_wl_interfaces[i].events; k++) {
			check_lengths(i, 0, k);
		}
		vmm_wl_header(bytes, FIRST + i, vmm_wl_interfaces[i].requests, VMM_WL_HEADER_SIZE);
		ck_assert_int_eq(verdict_of(1), VMM_WL_BAD);
		vmm_wl_header(bytes, FIRST + i, vmm_wl_interfaces[i].events, VMM_WL_HEADER_SIZE);
		ck_assert_int_eq(verdict_of(0), VMM_WL_BAD);
	}
}
END_TEST

/* Everything that carries a descriptor or is made by the compositor, by the tables alone. */
START_TEST(messages_with_descriptors_are_the_known_ones)
{
	unsigned fds[2] = {0, 0};
	unsigned made = 0;

	for (uint8_t i = 1; i < VMM_WL_IF_COUNT; i++) {
		for (unsigned k = 0;
		     k < vmm_wl_interfaces[i].requests + vmm_wl_interfaces[i].events; k++) {
			const int request = k < vmm_wl_interfaces[i].requests;

			(void)make_message(
				i, request,
				(uint16_t)(request ? k : k - vmm_wl_interfaces[i].requests));
			(void)verdict_of(request);
			fds[request] += msg.fds;
			made += !request && msg.new_interface != VMM_WL_IF_NONE;
		}
	}
	ck_assert_uint_eq(fds[1], 3);
	ck_assert_uint_eq(fds[0], 3);
	ck_assert_uint_eq(made, 2);
}
END_TEST

/* Longer than what is left of the message, though not than the message, and no zero in sight. */
START_TEST(strings_end_before_their_message)
{
	const size_t size = wlmsg(bytes, FIRST + VMM_WL_IF_XDG_TOPLEVEL,
				  VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s", "abcdefghijklmno");

	ck_assert_int_eq(verdict_of(1), VMM_WL_PASS);
	bytes[size - 1] = 'p';
	for (uint32_t len = 16; len <= size; len++) {
		vmm_wl_set_word(bytes, 0, len);
		ck_assert_int_eq(verdict_of(1), VMM_WL_BAD);
	}
}
END_TEST

START_TEST(strings_are_null_only_where_they_may)
{
	wlmsg(bytes, FIRST + VMM_WL_IF_XDG_TOPLEVEL, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s", NULL);
	ck_assert_int_eq(verdict_of(1), VMM_WL_BAD);
	wlmsg(bytes, FIRST + VMM_WL_IF_WL_DATA_OFFER, VMM_WL_RQ_WL_DATA_OFFER_ACCEPT, "us", 0u,
	      NULL);
	ck_assert_int_eq(verdict_of(1), VMM_WL_PASS);
}
END_TEST

SUITE_MAIN("wayland_messages", frame_wants_whole_words_of_8_to_4096_bytes,
	   frame_of_a_part_is_none_yet, messages_of_another_length_are_refused,
	   messages_with_descriptors_are_the_known_ones, strings_end_before_their_message,
	   strings_are_null_only_where_they_may)
