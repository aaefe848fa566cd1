/* SPDX-License-Identifier: MIT */
/* The Wayland wire: object ids, globals. */
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

int main(void)
{
	const TTest *const tests[] = {request_is_described,
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
				      strings_end_where_they_say};
	Suite *suite = suite_create("wayland_wire");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, setup, teardown);
	}
	return suite_finish(suite);
}
