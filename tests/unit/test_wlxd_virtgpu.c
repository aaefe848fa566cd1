/* SPDX-License-Identifier: MIT */
/* A client through a virtio-gpu device, as the kernel and the cross-domain protocol have it. */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_wlxd_device.h"
#include "test_wlxd_fix.h"

#define CLIENT (&fix.in)

#define POOL    (WLXD_FREE + 0u)
#define BUFFER  (WLXD_FREE + 1u)
#define SURFACE (WLXD_FREE + 2u)
#define OFFER   VMM_WL_SERVER_BASE

static void attach(void)
{
	const char *why;

	wlxd_setup_loop();
	device_begin();
	fix.host.ops = &host_virtgpu_ops;
	fix.host.impl = host_virtgpu_create(fix.loop, device.path, &why);
	ck_assert_ptr_nonnull(fix.host.impl);
	wlxd_setup_client();
}

/* A RECEIVE of size bytes and, type not 0, one item. */
static void receive(const uint8_t *data, size_t size, uint32_t type, uint32_t id, uint32_t id_size)
{
	static struct cross_domain_message m;

	m = (struct cross_domain_message){
		.header = {.cmd = CROSS_DOMAIN_RECEIVE, .cmd_size = (uint16_t)(352 + size)},
		.count = type != 0,
		.size = (uint32_t)size,
		.ids = {id},
		.types = {type},
		.sizes = {id_size},
	};
	if (size > 0) {
		memcpy(m.data, data, size);
	}
	device_say(&m, 352 + size);
	wlxd_settle();
}

#define event(TYPE, ID, SIZE, ...)                                                     \
	do {                                                                           \
		uint8_t event_bytes[WLMSG_MAX];                                        \
                                                                                       \
		receive(event_bytes, wlmsg(event_bytes, __VA_ARGS__), TYPE, ID, SIZE); \
	} while (0)

static void read_pipe(uint32_t id, const char *text, bool hang_up)
{
	struct cross_domain_pipe p = {
		.header = {.cmd = CROSS_DOMAIN_READ},
		.id = id,
		.size = (uint32_t)strlen(text),
		.hang_up = hang_up,
	};

	memcpy(p.data, text, strlen(text));
	device_say(&p, 24 + strlen(text));
	wlxd_settle();
}

static void setup(void)
{
	static const struct {
		const char *name;
		uint32_t id;
	} globals[] = {
		{"wl_compositor", WLXD_COMPOSITOR},
		{"wl_shm", WLXD_SHM},
		{"wl_seat", WLXD_SEAT},
		{"wl_data_device_manager", WLXD_DATA_MANAGER},
	};

	attach();
	wlxd_say(CLIENT, -1, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, "u",
		 WLXD_REGISTRY);
	for (uint32_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
		event(0, 0, 0, WLXD_REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", i,
		      globals[i].name, 1u);
		wlxd_say(CLIENT, -1, WLXD_REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", i,
			 globals[i].name, 1u, globals[i].id);
	}
	wlxd_say(CLIENT, -1, WLXD_SEAT, VMM_WL_RQ_WL_SEAT_GET_KEYBOARD, "u", WLXD_KEYBOARD);
	wlxd_say(CLIENT, -1, WLXD_DATA_MANAGER, VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE,
		 "uu", WLXD_DATA_DEVICE, WLXD_SEAT);
	wlxd_forget(CLIENT);
	device.sent_len = 0;
	device.sends = 0;
}

static void teardown(void)
{
	if (fix.client) {
		client_destroy(fix.client);
		fix.client = NULL;
	}
	ck_assert_uint_eq(device.live, 0);
	device_end();
	wlxd_teardown();
}

/* ---- the device ---- */

START_TEST(a_context_is_made_of_it)
{
	ck_assert(device.context);
	ck_assert_uint_eq(device.capset, 5);
	ck_assert_uint_eq(device.rings, 2);
	ck_assert_uint_eq(device.mask, 2);
	ck_assert_uint_ne(device.query, device.channel);
	ck_assert_uint_eq(device.live, 2);
	ck_assert(device.parked);
}
END_TEST

static const char *refused(void)
{
	const char *why = NULL;
	struct host_virtgpu *host = host_virtgpu_create(fix.loop, device.path, &why);

	host_virtgpu_destroy(host);
	return host ? NULL : why;
}

START_TEST(devices_that_lack_something_are_refused)
{
	static const uint64_t params[] = {
		VIRTGPU_PARAM_RESOURCE_BLOB,
		VIRTGPU_PARAM_HOST_VISIBLE,
		VIRTGPU_PARAM_CONTEXT_INIT,
		VIRTGPU_PARAM_SUPPORTED_CAPSET_IDS,
	};

	ck_assert_ptr_null(refused());
	for (unsigned i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		device.lacks_param = params[i];
		ck_assert_ptr_nonnull(refused());
	}
	device.lacks_param = 0;
	device.channels = 1;
	ck_assert_ptr_nonnull(refused());
	device.channels = 2;
	device.name = "i915";
	ck_assert_ptr_nonnull(refused());
	device.name = "virtio_gpu";
	ck_assert_ptr_null(refused());
}
END_TEST

/* ---- bytes ---- */

START_TEST(messages_of_one_moment_are_one_command)
{
	uint8_t bytes[8192];
	size_t len = 0;

	for (uint32_t i = 0; i < 100; i++) {
		len += wlmsg(bytes + len, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u",
			     WLXD_FREE + i);
	}
	wlxd_send(CLIENT, bytes, len, -1);
	wlxd_settle();
	ck_assert_uint_eq(device.sends, 1);
	ck_assert_uint_eq(device.sent_len, len);
	ck_assert_int_eq(memcmp(device.sent, bytes, len), 0);
}
END_TEST

START_TEST(a_message_that_is_longer_than_a_command_is_two)
{
	uint8_t bytes[WLMSG_MAX];
	char text[4000];
	size_t len;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	wlxd_say(CLIENT, -1, WLXD_DATA_MANAGER, VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_CREATE_DATA_SOURCE,
		 "u", WLXD_FREE);
	device.sent_len = 0;
	len = wlmsg(bytes, WLXD_FREE, VMM_WL_RQ_WL_DATA_SOURCE_OFFER, "s", text);
	wlxd_send(CLIENT, bytes, len, -1);
	wlxd_settle();
	ck_assert_uint_eq(device.sent_len, len);
	ck_assert_int_eq(memcmp(device.sent, bytes, len), 0);
	ck_assert_uint_eq(device.sends, 3);
}
END_TEST

START_TEST(events_may_be_cut_between_messages_of_the_device)
{
	uint8_t bytes[64];
	size_t len = wlmsg(bytes, WLXD_SEAT, VMM_WL_EV_WL_SEAT_NAME, "s", "a seat");

	receive(bytes, 5, 0, 0, 0);
	ck_assert_uint_eq(CLIENT->len, 0);
	receive(bytes + 5, len - 5, 0, 0, 0);
	wlxd_expect(CLIENT, 0, WLXD_SEAT, VMM_WL_EV_WL_SEAT_NAME, "s", "a seat");
}
END_TEST

START_TEST(a_client_that_does_not_read_is_not_asked_for)
{
	struct cross_domain_message m = {.header = {.cmd = CROSS_DOMAIN_RECEIVE}};
	char text[3000] = "";
	unsigned said = 0;

	memset(text, 'x', sizeof(text) - 1);
	m.size = (uint32_t)wlmsg(m.data, WLXD_SEAT, VMM_WL_EV_WL_SEAT_NAME, "s", text);
	for (; device.parked && said < 1000; said++) {
		device_say(&m, 352 + m.size);
		wlxd_run();
	}
	ck_assert_uint_lt(said, 1000);
	wlxd_settle();
	ck_assert(device.parked);
	ck_assert_uint_eq(CLIENT->len, said * m.size);
}
END_TEST

/* ---- memory ---- */

static void create_buffer(void)
{
	wlxd_put(CLIENT, wlxd_file("pixels", 1 << 20), WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu",
		 POOL, 1u << 20);
	wlxd_put(CLIENT, -1, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", BUFFER, 0u, 128u,
		 128u, 512u, 1u);
	wlxd_put(CLIENT, -1, WLXD_COMPOSITOR, VMM_WL_RQ_WL_COMPOSITOR_CREATE_SURFACE, "u", SURFACE);
	wlxd_settle();
}

START_TEST(a_buffer_is_shown_from_memory_of_the_host)
{
	struct device_object *object;
	char text[8] = "";

	create_buffer();
	ck_assert_uint_eq(device.ids, 2);
	ck_assert_uint_eq(device.type[0], CROSS_DOMAIN_ID_BLOB);
	ck_assert_uint_eq(device.type[1], CROSS_DOMAIN_ID_BLOB);
	object = device_resource(device.id[1]);
	ck_assert_uint_eq(object->kind, VIRTGPU_BLOB_MEM_HOST3D);
	ck_assert_uint_ge(object->size, 65536);
	wlxd_put(CLIENT, -1, SURFACE, VMM_WL_RQ_WL_SURFACE_ATTACH, "uuu", BUFFER, 0u, 0u);
	wlxd_say(CLIENT, -1, SURFACE, VMM_WL_RQ_WL_SURFACE_COMMIT, "");
	ck_assert_int_eq(pread(object->memfd, text, 7, 0), 7);
	ck_assert_str_eq(text, "pixels");
	wlxd_put(CLIENT, -1, BUFFER, VMM_WL_RQ_WL_BUFFER_DESTROY, "");
	wlxd_say(CLIENT, -1, POOL, VMM_WL_RQ_WL_SHM_POOL_DESTROY, "");
	/* The rings, and what pools begin with. */
	ck_assert_uint_eq(device.live, 3);
}
END_TEST

START_TEST(memory_of_one_size_is_asked_for_once)
{
	uint8_t bytes[32 * 20];

	create_buffer();
	ck_assert_uint_eq(device.images, 2);
	for (uint32_t i = 0; i < 20; i++) {
		wlmsg(bytes + (size_t)i * 32, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu",
		      SURFACE + 1u + i, 0u, 128u, 128u, 512u, 1u);
	}
	wlxd_send(CLIENT, bytes, sizeof(bytes), -1);
	wlxd_settle();
	ck_assert_uint_eq(device.live, 2 + 1 + 21);
	ck_assert_uint_eq(device.images, 2);
}
END_TEST

START_TEST(a_host_without_memory_is_told_to_the_client)
{
	device.full = true;
	wlxd_say(CLIENT, wlxd_file("", 4096), WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", POOL,
		 4096u);
	ck_assert_ptr_null(fix.client);
	ck_assert_uint_eq(wlxd_count(CLIENT), 1);
	ck_assert_uint_eq(vmm_wl_word(CLIENT->got, 1), 2);
	ck_assert(CLIENT->eof);
}
END_TEST

START_TEST(a_keymap_is_copied_out_of_memory_of_the_host)
{
	char text[8] = "";
	struct stat st;

	device.file = "keymap";
	device.file_id = 7;
	event(CROSS_DOMAIN_ID_BLOB, 7, 23851, WLXD_KEYBOARD, VMM_WL_EV_WL_KEYBOARD_KEYMAP, "uu", 1u,
	      23851u);
	ck_assert_uint_eq(CLIENT->fd_count, 1);
	ck_assert_int_eq(pread(CLIENT->fds[0], text, 7, 0), 7);
	ck_assert_str_eq(text, "keymap");
	ck_assert_int_eq(fstat(CLIENT->fds[0], &st), 0);
	ck_assert_int_eq(st.st_size, 23851);
	ck_assert_uint_eq(device.live, 2);
}
END_TEST

/* ---- pipes ---- */

START_TEST(what_is_pasted_comes_in_by_reads)
{
	char text[16] = "";
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	event(0, 0, 0, WLXD_DATA_DEVICE, VMM_WL_EV_WL_DATA_DEVICE_DATA_OFFER, "u", OFFER);
	wlxd_say(CLIENT, pipes[1], OFFER, VMM_WL_RQ_WL_DATA_OFFER_RECEIVE, "s", "text/plain");
	ck_assert_uint_eq(device.ids, 1);
	ck_assert_uint_eq(device.type[0], CROSS_DOMAIN_ID_READ);
	ck_assert_uint_eq(device.id[0], 0x80000001);
	read_pipe(0x80000001, "some", false);
	read_pipe(0x80000002, "of another", false);
	read_pipe(0x80000001, " text", false);
	ck_assert_int_eq(read(pipes[0], text, 15), 9);
	ck_assert_str_eq(text, "some text");
	ck_assert_int_eq(read(pipes[0], text, 15), -1);
	read_pipe(0x80000001, "", true);
	ck_assert_int_eq(read(pipes[0], text, 15), 0);
	close(pipes[0]);
}
END_TEST

START_TEST(what_is_copied_goes_out_by_writes)
{
	static uint8_t bytes[300000];

	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i * 13 + i / 256);
	}
	wlxd_say(CLIENT, -1, WLXD_DATA_MANAGER, VMM_WL_RQ_WL_DATA_DEVICE_MANAGER_CREATE_DATA_SOURCE,
		 "u", WLXD_FREE);
	event(CROSS_DOMAIN_ID_WRITE, 9, 0, WLXD_FREE, VMM_WL_EV_WL_DATA_SOURCE_SEND, "s", "text");
	ck_assert_uint_eq(CLIENT->fd_count, 1);
	ck_assert_int_eq(fcntl(CLIENT->fds[0], F_SETFL, O_NONBLOCK), 0);
	for (size_t at = 0; at < sizeof(bytes);) {
		ssize_t n = write(CLIENT->fds[0], bytes + at, sizeof(bytes) - at);

		at += n > 0 ? (size_t)n : 0;
		wlxd_run();
	}
	ck_assert_uint_eq(device.hang_ups, 0);
	wlxd_forget(CLIENT);
	wlxd_run();
	ck_assert_uint_eq(device.hang_ups, 1);
	ck_assert_uint_eq(device.written_id, 9);
	ck_assert_uint_eq(device.written_len, sizeof(bytes));
	ck_assert_int_eq(memcmp(device.written, bytes, sizeof(bytes)), 0);
}
END_TEST

/* ---- ends ---- */

static void say_end(void)
{
	receive(NULL, 0, 0, 0, 0);
}

static void say_nothing(void)
{
	device_signal();
}

static void say_too_many(void)
{
	const struct cross_domain_message m = {.header = {.cmd = CROSS_DOMAIN_RECEIVE},
					       .count = CROSS_DOMAIN_IDS + 1};

	device_say(&m, 352);
}

static void say_too_much(void)
{
	const struct cross_domain_message m = {.header = {.cmd = CROSS_DOMAIN_RECEIVE},
					       .size = CROSS_DOMAIN_DATA_MAX + 1};

	device_say(&m, 352);
}

static void say_what_is_not_known(void)
{
	event(2, 7, 1, WLXD_KEYBOARD, VMM_WL_EV_WL_KEYBOARD_KEYMAP, "uu", 1u, 1u);
}

static void say_too_much_for_a_pipe(void)
{
	const struct cross_domain_pipe p = {.header = {.cmd = CROSS_DOMAIN_READ},
					    .size = CROSS_DOMAIN_PIPE_MAX + 1};

	device_say(&p, 24);
}

static void (*const ends[])(void) = {
	say_end,      say_nothing,           say_too_many,
	say_too_much, say_what_is_not_known, say_too_much_for_a_pipe,
};

START_TEST(the_end_of_the_channel_is_the_end_of_the_client)
{
	ends[_i]();
	wlxd_settle();
	ck_assert(CLIENT->eof);
	ck_assert_ptr_null(fix.client);
	ck_assert(!device.parked);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{a_context_is_made_of_it, 1},
		{devices_that_lack_something_are_refused, 1},
		{messages_of_one_moment_are_one_command, 1},
		{a_message_that_is_longer_than_a_command_is_two, 1},
		{events_may_be_cut_between_messages_of_the_device, 1},
		{a_client_that_does_not_read_is_not_asked_for, 1},
		{a_buffer_is_shown_from_memory_of_the_host, 1},
		{memory_of_one_size_is_asked_for_once, 1},
		{a_host_without_memory_is_told_to_the_client, 1},
		{a_keymap_is_copied_out_of_memory_of_the_host, 1},
		{what_is_pasted_comes_in_by_reads, 1},
		{what_is_copied_goes_out_by_writes, 1},
		{the_end_of_the_channel_is_the_end_of_the_client,
		 (int)(sizeof(ends) / sizeof(ends[0]))},
	};
	Suite *suite = suite_create("wlxd_virtgpu");

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, setup, teardown);
	}
	return suite_finish(suite);
}
