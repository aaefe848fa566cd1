/* SPDX-License-Identifier: MIT */
/* The Wayland wire: framing, every message whole and cut, object ids, globals. */
#include <errno.h>
#include <string.h>

#include "suite.h"
#include "wayland/tables.h"
#include "wayland/wire.h"
#include "wlmsg.h"

static struct vmm_wl_conn *conn;
static struct vmm_wl_message msg;
static uint8_t bytes[WLMSG_MAX];

static void setup(void)
{
	conn = vmm_wl_conn_create();
	ck_assert_ptr_nonnull(conn);
}

static void teardown(void)
{
	vmm_wl_conn_destroy(conn);
}

#define REQUEST(...) (wlmsg(bytes, __VA_ARGS__), vmm_wl_request(conn, bytes, &msg))
#define EVENT(...)   (wlmsg(bytes, __VA_ARGS__), vmm_wl_event(conn, bytes, &msg))

#define REGISTRY 2u
#define SHM      3u

/* A registry with one global, bound as object 3. */
static void bind_shm(void)
{
	ck_assert_int_eq(
		REQUEST(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, "u", REGISTRY),
		VMM_WL_PASS);
	ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 7u, "wl_shm", 1u),
			 VMM_WL_PASS);
	ck_assert_int_eq(
		REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 7u, "wl_shm", 1u, SHM),
		VMM_WL_PASS);
}

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

START_TEST(request_is_described)
{
	bind_shm();
	ck_assert_uint_eq(msg.new_id, SHM);
	ck_assert_uint_eq(msg.new_interface, VMM_WL_IF_WL_SHM);
	ck_assert_int_eq(REQUEST(SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", 4u, 4096u), VMM_WL_PASS);
	ck_assert_uint_eq(msg.object, SHM);
	ck_assert_uint_eq(msg.interface, VMM_WL_IF_WL_SHM);
	ck_assert_uint_eq(msg.opcode, VMM_WL_RQ_WL_SHM_CREATE_POOL);
	ck_assert_uint_eq(msg.size, 16);
	ck_assert_uint_eq(msg.fds, 1);
	ck_assert_uint_eq(msg.new_id, 4);
	ck_assert_uint_eq(msg.new_interface, VMM_WL_IF_WL_SHM_POOL);
	ck_assert_uint_eq(msg.new_version, 1);
	ck_assert(!msg.destructor);
	ck_assert_uint_eq(vmm_wl_find(conn, 4)->interface, VMM_WL_IF_WL_SHM_POOL);
	ck_assert_uint_eq(vmm_wl_word(bytes, 1), 4096);
	ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SHM_POOL_DESTROY, ""), VMM_WL_PASS);
	ck_assert(msg.destructor);
}
END_TEST

START_TEST(new_ids_leave_no_gap_and_are_free)
{
	static const uint32_t bad[] = {
		0, 1, REGISTRY, 5, 4 + VMM_WL_CLIENT_MAX, VMM_WL_SERVER_BASE, UINT32_MAX};

	bind_shm();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(REQUEST(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", bad[i]),
				 VMM_WL_BAD);
	}
	ck_assert_ptr_null(vmm_wl_find(conn, 4));
	ck_assert_int_eq(REQUEST(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", 4u),
			 VMM_WL_PASS);
}
END_TEST

START_TEST(ids_of_the_client_are_bounded)
{
	for (uint32_t id = 2; id < VMM_WL_CLIENT_MAX; id++) {
		wlmsg(bytes, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", id);
		SUITE_REQUIRE(vmm_wl_request(conn, bytes, &msg) == VMM_WL_PASS);
	}
	ck_assert_int_eq(
		REQUEST(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", VMM_WL_CLIENT_MAX),
		VMM_WL_BAD);
	ck_assert_uint_eq(conn->client_count, VMM_WL_CLIENT_MAX);
	/* One that is deleted can be had again. */
	ck_assert_int_eq(EVENT(VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u", 9u),
			 VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", 9u),
			 VMM_WL_PASS);
}
END_TEST

/* A seat, and a device that offers come from. */
static void add_device(uint32_t id)
{
	conn->client[id] =
		(struct vmm_wl_object){.interface = VMM_WL_IF_WL_DATA_DEVICE, .version = 3};
	conn->client_count = id + 1;
}

START_TEST(ids_of_the_compositor_are_bounded)
{
	add_device(2);
	ck_assert_int_eq(EVENT(2, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", VMM_WL_SERVER_BASE + 1),
			 VMM_WL_BAD);
	ck_assert_int_eq(EVENT(2, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", 3u), VMM_WL_BAD);
	for (uint32_t n = 0; n < VMM_WL_SERVER_MAX; n++) {
		wlmsg(bytes, 2, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", VMM_WL_SERVER_BASE + n);
		SUITE_REQUIRE(vmm_wl_event(conn, bytes, &msg) == VMM_WL_PASS);
	}
	ck_assert_int_eq(EVENT(2, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u",
			       VMM_WL_SERVER_BASE + VMM_WL_SERVER_MAX),
			 VMM_WL_BAD);
	/* It may use one again whenever it likes. */
	ck_assert_int_eq(REQUEST(VMM_WL_SERVER_BASE, VMM_WL_RQ_WL_DATA_OFFER_DESTROY, ""),
			 VMM_WL_PASS);
	ck_assert_int_eq(EVENT(2, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", VMM_WL_SERVER_BASE),
			 VMM_WL_PASS);
	ck_assert_int_eq(
		REQUEST(VMM_WL_SERVER_BASE, VMM_WL_RQ_WL_DATA_OFFER_ACCEPT, "us", 0u, NULL),
		VMM_WL_PASS);
}
END_TEST

START_TEST(destroyed_objects_have_events_until_deleted)
{
	bind_shm();
	ck_assert_int_eq(EVENT(SHM, VMM_WL_EV_WL_SHM_FORMAT, "u", 0u), VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", 4u, 64u), VMM_WL_PASS);
	ck_assert_int_eq(
		REQUEST(4, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", 5u, 0u, 4u, 4u, 16u, 0u),
		VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(5, VMM_WL_RQ_WL_BUFFER_DESTROY, ""), VMM_WL_PASS);
	ck_assert_int_eq(EVENT(5, VMM_WL_EV_WL_BUFFER_RELEASE, ""), VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(5, VMM_WL_RQ_WL_BUFFER_DESTROY, ""), VMM_WL_BAD);
	/* Its event would be taken for the new object's. */
	ck_assert_int_eq(REQUEST(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", 5u),
			 VMM_WL_BAD);
	ck_assert_int_eq(EVENT(VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u", 5u),
			 VMM_WL_PASS);
	ck_assert_int_eq(EVENT(5, VMM_WL_EV_WL_BUFFER_RELEASE, ""), VMM_WL_BAD);
	ck_assert_int_eq(EVENT(VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u", 5u),
			 VMM_WL_BAD);
	ck_assert_int_eq(REQUEST(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", 5u),
			 VMM_WL_PASS);
}
END_TEST

/* A pool is made anew under its id, with more room, before the compositor has deleted the old one.
 */
START_TEST(pool_is_replaced_under_its_id)
{
	bind_shm();
	ck_assert_int_eq(REQUEST(SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", 4u, 64u), VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", 4u, 64u), VMM_WL_BAD);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SHM_POOL_DESTROY, ""), VMM_WL_PASS);
		ck_assert_int_eq(REQUEST(SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", 4u, 128u),
				 VMM_WL_PASS);
	}
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(EVENT(VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u", 4u),
				 VMM_WL_PASS);
		ck_assert(msg.stale_delete);
		ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SHM_POOL_RESIZE, "u", 256u), VMM_WL_PASS);
	}
	ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SHM_POOL_DESTROY, ""), VMM_WL_PASS);
	ck_assert_int_eq(EVENT(VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u", 4u),
			 VMM_WL_PASS);
	ck_assert(!msg.stale_delete);
	ck_assert_ptr_null(vmm_wl_find(conn, 4));
}
END_TEST

START_TEST(pool_is_not_replaced_for_ever)
{
	unsigned rounds = 0;

	bind_shm();
	ck_assert_int_eq(REQUEST(SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", 4u, 64u), VMM_WL_PASS);
	while (REQUEST(4, VMM_WL_RQ_WL_SHM_POOL_DESTROY, "") == VMM_WL_PASS &&
	       REQUEST(SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", 4u, 64u) == VMM_WL_PASS) {
		SUITE_REQUIRE(rounds++ < 1000);
	}
	ck_assert_uint_eq(rounds, UINT8_MAX);
}
END_TEST

START_TEST(display_and_strangers_are_not_deleted)
{
	ck_assert_int_eq(EVENT(VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u", 1u),
			 VMM_WL_BAD);
	ck_assert_int_eq(EVENT(VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u", 2u),
			 VMM_WL_BAD);
	add_device(2);
	ck_assert_int_eq(EVENT(2, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", VMM_WL_SERVER_BASE),
			 VMM_WL_PASS);
	ck_assert_int_eq(
		EVENT(VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u", VMM_WL_SERVER_BASE),
		VMM_WL_BAD);
}
END_TEST

START_TEST(requests_name_objects_of_the_right_kind)
{
	bind_shm();
	conn->client[4] = (struct vmm_wl_object){.interface = VMM_WL_IF_WL_SURFACE, .version = 5};
	conn->client[5] = (struct vmm_wl_object){.interface = VMM_WL_IF_WL_BUFFER, .version = 1};
	conn->client_count = 6;
	ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SURFACE_ATTACH, "uuu", 5u, 0u, 0u), VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SURFACE_ATTACH, "uuu", 0u, 0u, 0u), VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SURFACE_ATTACH, "uuu", SHM, 0u, 0u), VMM_WL_BAD);
	ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SURFACE_ATTACH, "uuu", 6u, 0u, 0u), VMM_WL_BAD);
	ck_assert_int_eq(REQUEST(5, VMM_WL_RQ_WL_BUFFER_DESTROY, ""), VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(4, VMM_WL_RQ_WL_SURFACE_ATTACH, "uuu", 5u, 0u, 0u), VMM_WL_BAD);
}
END_TEST

START_TEST(requests_are_not_newer_than_their_object)
{
	conn->client[2] = (struct vmm_wl_object){.interface = VMM_WL_IF_WL_SURFACE, .version = 3};
	conn->client_count = 3;
	ck_assert_int_eq(REQUEST(2, VMM_WL_RQ_WL_SURFACE_SET_BUFFER_SCALE, "u", 1u), VMM_WL_PASS);
	ck_assert_int_eq(REQUEST(2, VMM_WL_RQ_WL_SURFACE_DAMAGE_BUFFER, "uuuu", 0u, 0u, 1u, 1u),
			 VMM_WL_BAD);
}
END_TEST

START_TEST(globals_outside_the_list_do_not_exist)
{
	static const char *const outside[] = {"zwlr_screencopy_manager_v1",
					      "wl_shell",
					      "wl_display",
					      "wl_surface",
					      "",
					      "wl_shmm",
					      "wl_sh"};

	bind_shm();
	for (unsigned i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		ck_assert_int_eq(
			EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 8u, outside[i], 1u),
			VMM_WL_DROP);
		ck_assert_int_eq(REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 8u,
					 outside[i], 1u, 4u),
				 VMM_WL_BAD);
		ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL_REMOVE, "u", 8u),
				 VMM_WL_DROP);
	}
	ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 8u, "wl_seat", 0u),
			 VMM_WL_DROP);
	conn->withheld[VMM_WL_IF_WL_SEAT] = true;
	ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 8u, "wl_seat", 5u),
			 VMM_WL_DROP);
}
END_TEST

START_TEST(globals_have_the_version_of_the_tables)
{
	const uint32_t known = vmm_wl_interfaces[VMM_WL_IF_WL_SEAT].version;

	bind_shm();
	/* "wl_seat" takes two words behind name and length. */
	ck_assert_int_eq(
		EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 8u, "wl_seat", known - 1),
		VMM_WL_PASS);
	ck_assert_uint_eq(vmm_wl_word(bytes, 4), known - 1);
	ck_assert_int_eq(
		EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 8u, "wl_seat", known + 1),
		VMM_WL_PASS);
	ck_assert_uint_eq(vmm_wl_word(bytes, 4), known);
	ck_assert_int_eq(
		REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 8u, "wl_seat", known + 1, 4u),
		VMM_WL_BAD);
	ck_assert_int_eq(
		REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 8u, "wl_seat", known, 4u),
		VMM_WL_PASS);
	ck_assert_uint_eq(msg.new_version, known);
}
END_TEST

START_TEST(binds_are_what_was_announced)
{
	bind_shm();
	ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 8u, "wl_seat", 5u),
			 VMM_WL_PASS);
	/* Another name, another interface, version 0, a version above. */
	ck_assert_int_eq(
		REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 9u, "wl_seat", 5u, 4u),
		VMM_WL_BAD);
	ck_assert_int_eq(
		REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 8u, "wl_shm", 1u, 4u),
		VMM_WL_BAD);
	ck_assert_int_eq(
		REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 8u, "wl_seat", 0u, 4u),
		VMM_WL_BAD);
	ck_assert_int_eq(
		REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 8u, "wl_seat", 6u, 4u),
		VMM_WL_BAD);
	/* It is gone, but the client may not know yet. */
	ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL_REMOVE, "u", 8u),
			 VMM_WL_PASS);
	ck_assert_int_eq(
		REQUEST(REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 8u, "wl_seat", 5u, 4u),
		VMM_WL_PASS);
}
END_TEST

START_TEST(globals_are_bounded)
{
	bind_shm();
	for (uint32_t i = 1; i < VMM_WL_GLOBALS_MAX; i++) {
		ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 100 + i,
				       "wl_output", 1u),
				 VMM_WL_PASS);
	}
	ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 99u, "wl_output", 1u),
			 VMM_WL_DROP);
	/* Told again in another registry, it needs no place; one that is gone gives its place away.
	 */
	ck_assert_int_eq(
		EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 101u, "wl_output", 1u),
		VMM_WL_PASS);
	ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL_REMOVE, "u", 101u),
			 VMM_WL_PASS);
	ck_assert_int_eq(EVENT(REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 99u, "wl_output", 1u),
			 VMM_WL_PASS);
}
END_TEST

/* The string of a bind: its length and last bytes as somebody may write them. */
START_TEST(strings_end_where_they_say)
{
	static const struct {
		uint32_t len;
		char text[9];
	} strings[] = {
		{0, "wl_shm\0"},          {6, "wl_shm\0"},
		{8, "wl_shm\0"},          {7, "wl\0shm\0"},
		{7, "wl_shmX"},           {9, "wl_shm\0"},
		{UINT32_MAX, "wl_shm\0"}, {UINT32_MAX - 3, "wl_shm\0"},
	};

	bind_shm();
	for (unsigned i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		const size_t size = wlmsg(bytes, REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 7u,
					  "wl_shm", 1u, 4u);

		vmm_wl_set_word(bytes, 1, strings[i].len);
		memcpy(bytes + 16, strings[i].text, 8);
		ck_assert_int_eq(vmm_wl_frame(bytes, size), (int)size);
		ck_assert_int_eq(vmm_wl_request(conn, bytes, &msg), VMM_WL_BAD);
	}
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

int main(void)
{
	const TTest *const tests[] = {frame_wants_whole_words_of_8_to_4096_bytes,
				      frame_of_a_part_is_none_yet,
				      messages_of_another_length_are_refused,
				      messages_with_descriptors_are_the_known_ones,
				      request_is_described,
				      new_ids_leave_no_gap_and_are_free,
				      ids_of_the_client_are_bounded,
				      ids_of_the_compositor_are_bounded,
				      destroyed_objects_have_events_until_deleted,
				      pool_is_replaced_under_its_id,
				      pool_is_not_replaced_for_ever,
				      display_and_strangers_are_not_deleted,
				      requests_name_objects_of_the_right_kind,
				      requests_are_not_newer_than_their_object,
				      globals_outside_the_list_do_not_exist,
				      globals_have_the_version_of_the_tables,
				      binds_are_what_was_announced,
				      globals_are_bounded,
				      strings_end_where_they_say,
				      strings_end_before_their_message,
				      strings_are_null_only_where_they_may};
	Suite *suite = suite_create("wayland_wire");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, setup, teardown);
	}
	return suite_finish(suite);
}
