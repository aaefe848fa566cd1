/* SPDX-License-Identifier: MIT */
/* The filter: which way the clipboard, the primary selection and drags go. _i is the policy where a
 * test is a loop. */
#include <errno.h>

#include "test_wayland_fix.h"

#define OFFER       VMM_WL_SERVER_BASE
#define OTHER_OFFER (VMM_WL_SERVER_BASE + 1)
#define SERIAL      77u

/* Objects of a client with a clipboard. */
static uint32_t seat, manager, device, source, surface;

static bool may_in(unsigned policy)
{
	return (policy & VMM_WL_CLIPBOARD_IN) != 0;
}

static bool may_out(unsigned policy)
{
	return (policy & VMM_WL_CLIPBOARD_OUT) != 0;
}

static void start(unsigned policy)
{
	wlfix_start(NULL, policy);
	seat = wlfix_bind("wl_seat", 5);
	manager = wlfix_bind("wl_data_device_manager", 3);
	device = wlfix_make(manager, VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE, seat);
	source = wlfix_make(manager, VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_CREATE_DATA_SOURCE, 0);
	surface = wlfix_make(wlfix_bind("wl_compositor", 4), VMM_WL_RQ_WL_COMPOSITOR_CREATE_SURFACE,
			     0);
}

/* The message in wlfix_bytes arrived at the side, or nothing did. */
static void check_passed(const struct wlfix_side *side, bool passed)
{
	ck_assert(passed ? wlfix_got_one(side, wlfix_bytes) : wlfix_got_none(side));
}

#define HEAR(passed, ...)                                     \
	do {                                                  \
		ck_assert_int_eq(wlfix_hear(__VA_ARGS__), 0); \
		check_passed(&wlfix.guest, passed);           \
	} while (0)

static void offer(uint32_t id, bool passed)
{
	HEAR(passed, device, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", id);
	HEAR(passed, id, VMM_WL_EV_WL_DATA_OFFER_OFFER, "s", "text/plain");
	HEAR(passed, id, VMM_WL_EV_WL_DATA_OFFER_SOURCE_ACTIONS, "u", 1u);
}

/* The filter destroyed the offer in the client's stead, or nobody has. */
static void check_destroyed(uint32_t id, bool destroyed)
{
	ck_assert(destroyed ? wlfix_got(&wlfix.host, id, VMM_WL_RQ_WL_DATA_OFFER_DESTROY, "")
			    : wlfix_got_none(&wlfix.host));
}

START_TEST(selection_leaves_only_if_it_may)
{
	start((unsigned)_i);
	ck_assert_int_eq(
		wlfix_say(device, VMM_WL_RQ_WL_DATA_DEVICE_SET_SELECTION, "uu", source, SERIAL), 0);
	check_passed(&wlfix.host, may_out((unsigned)_i));
	ck_assert(may_out((unsigned)_i) ? wlfix_got_none(&wlfix.guest)
					: wlfix_got(&wlfix.guest, source,
						    VMM_WL_EV_WL_DATA_SOURCE_CANCELLED, ""));
	/* Nor may a VM clear what others have selected. */
	ck_assert_int_eq(
		wlfix_say(device, VMM_WL_RQ_WL_DATA_DEVICE_SET_SELECTION, "uu", 0u, SERIAL), 0);
	check_passed(&wlfix.host, may_out((unsigned)_i));
	ck_assert(wlfix_got_none(&wlfix.guest));
	/* The source is the client's to destroy. */
	ck_assert_int_eq(wlfix_say(source, VMM_WL_RQ_WL_DATA_SOURCE_DESTROY, ""), 0);
	check_passed(&wlfix.host, true);
	wlfix_finish();
}
END_TEST

START_TEST(drag_leaves_only_if_it_may)
{
	start((unsigned)_i);
	ck_assert_int_eq(wlfix_say(device, VMM_WL_RQ_WL_DATA_DEVICE_START_DRAG, "uuuu", source,
				   surface, 0u, SERIAL),
			 0);
	check_passed(&wlfix.host, may_out((unsigned)_i));
	ck_assert(may_out((unsigned)_i) ? wlfix_got_none(&wlfix.guest)
					: wlfix_got(&wlfix.guest, source,
						    VMM_WL_EV_WL_DATA_SOURCE_CANCELLED, ""));
	/* One within the client carries nothing. */
	ck_assert_int_eq(wlfix_say(device, VMM_WL_RQ_WL_DATA_DEVICE_START_DRAG, "uuuu", 0u, surface,
				   0u, SERIAL),
			 0);
	check_passed(&wlfix.host, true);
	wlfix_finish();
}
END_TEST

START_TEST(compositor_asks_for_data_only_if_it_may)
{
	start((unsigned)_i);
	ck_assert_int_eq(
		wlfix_one(false, 1, source, VMM_WL_EV_WL_DATA_SOURCE_SEND, "s", "text/plain"),
		may_out((unsigned)_i) ? 0 : -EPROTO);
	ck_assert_uint_eq(wlfix.guest.fds, may_out((unsigned)_i));
	wlfix_finish();
}
END_TEST

START_TEST(selection_comes_in_only_if_it_may)
{
	const bool passed = may_in((unsigned)_i);

	start((unsigned)_i);
	offer(OFFER, passed);
	HEAR(passed, device, VMM_WL_EV_WL_DATA_DEVICE_SELECTION, "u", OFFER);
	check_destroyed(OFFER, !passed);
	/* Named once more, it is not destroyed once more. */
	HEAR(passed, device, VMM_WL_EV_WL_DATA_DEVICE_SELECTION, "u", OFFER);
	check_destroyed(OFFER, false);
	/* That there is none, anybody may know. */
	HEAR(true, device, VMM_WL_EV_WL_DATA_DEVICE_SELECTION, "u", 0u);
	/* A client that guesses the id. */
	ck_assert_int_eq(
		wlfix_one(true, 1, OFFER, VMM_WL_RQ_WL_DATA_OFFER_RECEIVE, "s", "text/plain"),
		passed ? 0 : -EPROTO);
	ck_assert_uint_eq(wlfix.host.fds, passed);
	wlfix_finish();
}
END_TEST

START_TEST(offers_can_be_hidden_for_ever)
{
	start(VMM_WL_CLIPBOARD_OUT);
	/* A compositor gives the id of what is destroyed to the next. */
	for (unsigned i = 0; i < 2 * VMM_WL_SERVER_MAX; i++) {
		SUITE_REQUIRE(wlfix_hear(device, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", OFFER) ==
			      0);
		SUITE_REQUIRE(wlfix_hear(device, VMM_WL_EV_WL_DATA_DEVICE_SELECTION, "u", OFFER) ==
			      0);
		SUITE_REQUIRE(wlfix.host.len == VMM_WL_HEADER_SIZE && wlfix_got_none(&wlfix.guest));
	}
	wlfix_finish();
}
END_TEST

/* A guess at an id that is still known to the compositor. */
START_TEST(hidden_offer_cannot_be_guessed)
{
	start(VMM_WL_CLIPBOARD_OUT);
	offer(OFFER, false);
	ck_assert_int_eq(
		wlfix_one(true, 1, OFFER, VMM_WL_RQ_WL_DATA_OFFER_RECEIVE, "s", "text/plain"),
		-EPROTO);
	ck_assert(wlfix_got_none(&wlfix.host));
	wlfix_finish();
}
END_TEST

static void drag_over(uint32_t id, bool passed)
{
	offer(id, passed);
	HEAR(passed, device, VMM_WL_EV_WL_DATA_DEVICE_ENTER, "uuuuu", SERIAL, surface, 0u, 0u, id);
	HEAR(passed, device, VMM_WL_EV_WL_DATA_DEVICE_MOTION, "uuu", 1u, 2u, 3u);
	check_destroyed(id, false);
}

START_TEST(drag_comes_in_only_if_it_may)
{
	const bool passed = may_in((unsigned)_i);

	start((unsigned)_i);
	drag_over(OFFER, passed);
	HEAR(passed, device, VMM_WL_EV_WL_DATA_DEVICE_LEAVE, "");
	check_destroyed(OFFER, !passed);
	drag_over(OTHER_OFFER, passed);
	HEAR(passed, device, VMM_WL_EV_WL_DATA_DEVICE_DROP, "");
	check_destroyed(OTHER_OFFER, !passed);
	HEAR(passed, device, VMM_WL_EV_WL_DATA_DEVICE_LEAVE, "");
	check_destroyed(OTHER_OFFER, false);
	/* The client's own, without an offer. */
	HEAR(true, device, VMM_WL_EV_WL_DATA_DEVICE_ENTER, "uuuuu", SERIAL, surface, 0u, 0u, 0u);
	HEAR(true, device, VMM_WL_EV_WL_DATA_DEVICE_MOTION, "uuu", 1u, 2u, 3u);
	HEAR(true, device, VMM_WL_EV_WL_DATA_DEVICE_DROP, "");
	HEAR(true, device, VMM_WL_EV_WL_DATA_DEVICE_LEAVE, "");
	wlfix_finish();
}
END_TEST

START_TEST(client_drags_after_a_hidden_drag)
{
	start(VMM_WL_CLIPBOARD_NONE);
	drag_over(OFFER, false);
	HEAR(true, device, VMM_WL_EV_WL_DATA_DEVICE_ENTER, "uuuuu", SERIAL, surface, 0u, 0u, 0u);
	HEAR(true, device, VMM_WL_EV_WL_DATA_DEVICE_MOTION, "uuu", 1u, 2u, 3u);
	wlfix_finish();
}
END_TEST

/* More answers than there is room for at a time. */
START_TEST(answers_come_in_parts)
{
	static uint8_t stream[100 * 16];
	size_t len = 0;

	start(VMM_WL_CLIPBOARD_NONE);
	while (len < sizeof(stream)) {
		len += wlmsg(stream + len, device, VMM_WL_RQ_WL_DATA_DEVICE_SET_SELECTION, "uu",
			     source, SERIAL);
	}
	ck_assert_int_eq(wlfix_send(stream, len, 0, VMM_WL_OUT_MIN), 0);
	ck_assert(wlfix_got_none(&wlfix.host));
	ck_assert_uint_eq(wlfix.guest.len, len / 2);
	wlfix_finish();
}
END_TEST

/* An offer's id that is none is no way to have something destroyed. */
START_TEST(drag_with_a_wrong_offer_destroys_nothing)
{
	static const uint32_t wrong[] = {OFFER + 0x10000u, OTHER_OFFER,
					 VMM_WL_SERVER_BASE + VMM_WL_SERVER_MAX, UINT32_MAX, 2};

	start(VMM_WL_CLIPBOARD_NONE);
	offer(OFFER, false);
	HEAR(false, device, VMM_WL_EV_WL_DATA_DEVICE_ENTER, "uuuuu", SERIAL, surface, 0u, 0u,
	     wrong[_i]);
	HEAR(false, device, VMM_WL_EV_WL_DATA_DEVICE_LEAVE, "");
	check_destroyed(0, false);
	HEAR(false, device, VMM_WL_EV_WL_DATA_DEVICE_SELECTION, "u", wrong[_i]);
	check_destroyed(0, false);
	wlfix_finish();
}
END_TEST

START_TEST(primary_selection_is_not_there_without_any_way)
{
	wlfix_start(NULL, VMM_WL_CLIPBOARD_NONE);
	wlfix.registry = wlfix_make(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, 0);
	HEAR(false, wlfix.registry, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 1u,
	     "zwp_primary_selection_device_manager_v1", 1u);
	/* Programs insist on this one. */
	HEAR(true, wlfix.registry, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 2u,
	     "wl_data_device_manager", 3u);
	wlfix_finish();
}
END_TEST

START_TEST(primary_selection_goes_the_same_ways)
{
	const unsigned policy = (unsigned)_i + 1;

	start(policy);
	manager = wlfix_bind("zwp_primary_selection_device_manager_v1", 1);
	device = wlfix_make(manager, VMM_WL_RQ_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_GET_DEVICE,
			    seat);
	source = wlfix_make(manager,
			    VMM_WL_RQ_ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_CREATE_SOURCE, 0);
	ck_assert_int_eq(wlfix_say(device, VMM_WL_RQ_ZWP_PRIMARY_SELECTION_DEVICE_V1_SET_SELECTION,
				   "uu", source, SERIAL),
			 0);
	check_passed(&wlfix.host, may_out(policy));
	ck_assert(may_out(policy)
			  ? wlfix_got_none(&wlfix.guest)
			  : wlfix_got(&wlfix.guest, source,
				      VMM_WL_EV_ZWP_PRIMARY_SELECTION_SOURCE_V1_CANCELLED, ""));
	HEAR(may_in(policy), device, VMM_WL_EV_ZWP_PRIMARY_SELECTION_DEVICE_V1_DATA_OFFER, "u",
	     OFFER);
	HEAR(may_in(policy), OFFER, VMM_WL_EV_ZWP_PRIMARY_SELECTION_OFFER_V1_OFFER, "s",
	     "text/plain");
	HEAR(may_in(policy), device, VMM_WL_EV_ZWP_PRIMARY_SELECTION_DEVICE_V1_SELECTION, "u",
	     OFFER);
	ck_assert(may_in(policy) ? wlfix_got_none(&wlfix.host)
				 : wlfix_got(&wlfix.host, OFFER,
					     VMM_WL_RQ_ZWP_PRIMARY_SELECTION_OFFER_V1_DESTROY, ""));
	ck_assert_int_eq(wlfix_one(false, 1, source, VMM_WL_EV_ZWP_PRIMARY_SELECTION_SOURCE_V1_SEND,
				   "s", "text/plain"),
			 may_out(policy) ? 0 : -EPROTO);
	wlfix_finish();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{selection_leaves_only_if_it_may, 4},
		{drag_leaves_only_if_it_may, 4},
		{compositor_asks_for_data_only_if_it_may, 4},
		{selection_comes_in_only_if_it_may, 4},
		{offers_can_be_hidden_for_ever, 1},
		{hidden_offer_cannot_be_guessed, 1},
		{drag_comes_in_only_if_it_may, 4},
		{client_drags_after_a_hidden_drag, 1},
		{answers_come_in_parts, 1},
		{drag_with_a_wrong_offer_destroys_nothing, 5},
		{primary_selection_is_not_there_without_any_way, 1},
		{primary_selection_goes_the_same_ways, 3},
	};

	return suite_run_looped("wayland_clipboard", tests, sizeof(tests) / sizeof(tests[0]));
}
