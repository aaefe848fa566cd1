/* SPDX-License-Identifier: MIT */
/* One client through the proxy: bytes, pools, and who waits for whom. */
#include "suite.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test_wlxd_fix.h"
#include "wayland/filter.h"

#define POOL    (WLXD_FREE + 0u)
#define BUFFER  (WLXD_FREE + 1u)
#define SURFACE (WLXD_FREE + 2u)

#define CLIENT     (&fix.in)
#define COMPOSITOR (&fix.out)

#define DELETE_ID VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_DELETE_ID, "u"
#define SYNC      VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u"

/* ---- bytes ---- */

START_TEST(bytes_pass_as_they_are_however_they_are_cut)
{
	uint8_t request[64];
	uint8_t event[64];
	size_t len = wlmsg(request, WLXD_COMPOSITOR, VMM_WL_RQ_WL_COMPOSITOR_CREATE_SURFACE, "u",
			   WLXD_FREE);
	size_t event_len = wlmsg(event, WLXD_SEAT, VMM_WL_EV_WL_SEAT_NAME, "s", "seat0");

	len += wlmsg(request + len, SYNC, WLXD_FREE + 1u);
	for (size_t i = 0; i < len; i++) {
		wlxd_send(CLIENT, request + i, 1, -1);
		wlxd_settle();
	}
	for (size_t i = 0; i < event_len; i++) {
		wlxd_send(COMPOSITOR, event + i, 1, -1);
		wlxd_settle();
	}
	ck_assert_uint_eq(COMPOSITOR->len, len);
	ck_assert_int_eq(memcmp(COMPOSITOR->got, request, len), 0);
	ck_assert_uint_eq(CLIENT->len, event_len);
	ck_assert_int_eq(memcmp(CLIENT->got, event, event_len), 0);
}
END_TEST

START_TEST(globals_that_are_not_known_are_not_there)
{
	wlxd_put(COMPOSITOR, -1, WLXD_REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 77u,
		 "zwlr_screencopy_manager_v1", 3u);
	wlxd_put(COMPOSITOR, -1, WLXD_REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 78u,
		 "xdg_wm_base", 200u);
	wlxd_settle();
	ck_assert_uint_eq(wlxd_count(CLIENT), 1);
	ck_assert_uint_eq(vmm_wl_word(CLIENT->got, 0), 78);
	/* After the name and its length: a version that the tables have. */
	ck_assert_uint_lt(vmm_wl_word(CLIENT->got, 2 + 12 / 4), 200);
	ck_assert_uint_gt(vmm_wl_word(CLIENT->got, 2 + 12 / 4), 0);
}
END_TEST

/* ---- pools ---- */

static void create_pool(uint32_t id, const char *text, size_t size)
{
	wlxd_put(CLIENT, wlxd_file(text, size), WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", id,
		 (uint32_t)size);
}

static void create_buffer(uint32_t pool, uint32_t id, uint32_t offset)
{
	wlxd_put(CLIENT, -1, pool, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", id, offset, 8u,
		 8u, 32u, 1u);
}

static void create_surface(void)
{
	wlxd_put(CLIENT, -1, WLXD_COMPOSITOR, VMM_WL_RQ_WL_COMPOSITOR_CREATE_SURFACE, "u", SURFACE);
}

static void show(uint32_t buffer)
{
	wlxd_put(CLIENT, -1, SURFACE, VMM_WL_RQ_WL_SURFACE_ATTACH, "uuu", buffer, 0u, 0u);
	wlxd_put(CLIENT, -1, SURFACE, VMM_WL_RQ_WL_SURFACE_COMMIT, "");
	wlxd_settle();
}

START_TEST(a_buffer_is_shown_from_memory_of_the_proxy)
{
	char *seen;

	create_pool(POOL, "pixels", 1 << 20);
	create_buffer(POOL, BUFFER, 0);
	create_surface();
	show(BUFFER);
	ck_assert_uint_eq(wlxd_count(COMPOSITOR), 7);
	wlxd_expect(COMPOSITOR, 0, WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", POOL, 4096u);
	wlxd_expect(COMPOSITOR, 1, POOL, VMM_WL_RQ_WL_SHM_POOL_DESTROY, "");
	wlxd_expect(COMPOSITOR, 2, WLXD_SHM, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", POOL, 4096u);
	wlxd_expect(COMPOSITOR, 3, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", BUFFER, 0u,
		    8u, 8u, 32u, 1u);
	ck_assert_uint_eq(COMPOSITOR->fd_count, 2);
	seen = mmap(NULL, 4096, PROT_READ, MAP_SHARED, COMPOSITOR->fds[1], 0);
	ck_assert_ptr_ne(seen, MAP_FAILED);
	ck_assert_str_eq(seen, "pixels");
	munmap(seen, 4096);
}
END_TEST

START_TEST(the_second_pool_of_an_id_is_the_first_to_the_client)
{
	create_pool(POOL, "", 4096);
	create_buffer(POOL, BUFFER, 0);
	wlxd_put(CLIENT, -1, POOL, VMM_WL_RQ_WL_SHM_POOL_DESTROY, "");
	wlxd_settle();
	wlxd_say(COMPOSITOR, -1, DELETE_ID, POOL);
	ck_assert_uint_eq(CLIENT->len, 0);
	wlxd_say(COMPOSITOR, -1, DELETE_ID, POOL);
	wlxd_expect(CLIENT, 0, DELETE_ID, POOL);
	ck_assert_uint_eq(wlxd_count(CLIENT), 1);
}
END_TEST

/* Says it to a filter such as the device has; true when it lets all of it through. */
static bool filter_takes(struct vmm_wl_filter *filter, bool request, const uint8_t *data,
			 size_t len, unsigned fds)
{
	static uint8_t out[65536];
	struct vmm_wl_piece piece = {
		.in = data, .in_len = len, .in_fds = fds, .out = out, .out_cap = sizeof(out)};
	int ret = request ? vmm_wl_filter_request(filter, &piece)
			  : vmm_wl_filter_event(filter, &piece);

	return ret == 0 && piece.out_len == len && piece.out_fds == fds && piece.back_len == 0;
}

START_TEST(the_hosts_filter_has_no_objection_to_pools_made_anew)
{
	static const struct vmm_wl_filter_config config = {0};
	struct vmm_wl_filter *filter;
	uint8_t bytes[256];
	size_t len;

	ck_assert_int_eq(vmm_wl_filter_create(&config, &filter), 0);
	len = wlmsg(bytes, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, "u",
		    WLXD_REGISTRY);
	ck_assert(filter_takes(filter, true, bytes, len, 0));
	len = wlmsg(bytes, WLXD_REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 1u, "wl_shm", 1u);
	ck_assert(filter_takes(filter, false, bytes, len, 0));
	for (uint32_t id = WLXD_REGISTRY + 1; id < WLXD_FREE; id++) {
		len = wlmsg(bytes, WLXD_REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 1u, "wl_shm",
			    1u, id);
		ck_assert(filter_takes(filter, true, bytes, len, 0));
	}
	create_pool(POOL, "", 1 << 20);
	for (uint32_t i = 0; i < 20; i++) {
		create_buffer(POOL, BUFFER + i, 0);
	}
	wlxd_put(CLIENT, -1, POOL, VMM_WL_RQ_WL_SHM_POOL_DESTROY, "");
	wlxd_settle();
	ck_assert(
		filter_takes(filter, true, COMPOSITOR->got, COMPOSITOR->len, COMPOSITOR->fd_count));
	len = wlmsg(bytes, DELETE_ID, POOL);
	for (unsigned i = 0; i < 21; i++) {
		ck_assert(filter_takes(filter, false, bytes, len, 0));
	}
	ck_assert(!filter_takes(filter, false, bytes, len, 0));
	vmm_wl_filter_destroy(filter);
}
END_TEST

START_TEST(offsets_and_sizes_of_pools_stay_here)
{
	create_pool(POOL, "", 4096);
	wlxd_put(CLIENT, -1, POOL, VMM_WL_RQ_WL_SHM_POOL_RESIZE, "u", 1u << 20);
	create_buffer(POOL, BUFFER, 1 << 19);
	wlxd_settle();
	ck_assert_uint_eq(wlxd_count(COMPOSITOR), 4);
	wlxd_expect(COMPOSITOR, 3, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", BUFFER, 0u,
		    8u, 8u, 32u, 1u);
}
END_TEST

START_TEST(a_buffer_that_is_wrong_is_the_compositors_to_refuse)
{
	create_pool(POOL, "", 4096);
	create_buffer(POOL, BUFFER, 4096);
	wlxd_settle();
	wlxd_expect(COMPOSITOR, 1, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu", BUFFER,
		    UINT32_MAX, 8u, 8u, 32u, 1u);
}
END_TEST

/* Descriptors that came are closed, so that there may be any number. */
static void settle_without_fds(void)
{
	unsigned before;

	do {
		before = COMPOSITOR->fd_count;
		wlxd_settle();
		for (unsigned n = 0; n < COMPOSITOR->fd_count; n++) {
			close(COMPOSITOR->fds[n]);
		}
		COMPOSITOR->fd_count = 0;
	} while (before > 0);
}

START_TEST(many_buffers_of_one_pool_wait_for_their_predecessors)
{
	static uint8_t bytes[500 * 32];
	const uint32_t count = 500;

	create_pool(POOL, "", 1 << 20);
	settle_without_fds();
	for (uint32_t i = 0; i < count; i++) {
		wlmsg(bytes + (size_t)i * 32, POOL, VMM_WL_RQ_WL_SHM_POOL_CREATE_BUFFER, "uuuuuu",
		      BUFFER + i, 0u, 8u, 8u, 32u, 1u);
	}
	wlxd_send(CLIENT, bytes, sizeof(bytes), -1);
	settle_without_fds();
	ck_assert_uint_gt(wlxd_count(COMPOSITOR), 1 + 3 * 100);
	ck_assert_uint_lt(wlxd_count(COMPOSITOR), 1 + 3 * 256);
	for (unsigned deleted = 0; deleted < count; deleted++) {
		wlxd_put(COMPOSITOR, -1, DELETE_ID, POOL);
		settle_without_fds();
	}
	ck_assert_uint_eq(wlxd_count(COMPOSITOR), 1 + 3 * count);
	ck_assert_uint_eq(CLIENT->len, 0);
	ck_assert_ptr_nonnull(fix.client);
}
END_TEST

/* ---- who waits for whom, and ends ---- */

START_TEST(who_does_not_read_holds_up_the_other_side)
{
	struct wlxd_end *lazy = _i ? CLIENT : COMPOSITOR;
	struct wlxd_end *busy = _i ? COMPOSITOR : CLIENT;
	uint8_t bytes[64];
	size_t size = _i ? wlmsg(bytes, WLXD_SEAT, VMM_WL_EV_WL_SEAT_NAME, "s", "a seat's name")
			 : wlmsg(bytes, SYNC, WLXD_FREE);
	size_t total = 0;

	for (unsigned i = 0; i < 200000; i++) {
		if (!_i) {
			wlmsg(bytes, SYNC, WLXD_FREE + i % 16000);
			if (i >= 16000) {
				break;
			}
		}
		if (send(busy->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) {
			break;
		}
		total += size;
		wlxd_run();
	}
	ck_assert_uint_lt(outbuf_len(&fix.client->out), 300000);
	ck_assert_uint_lt(host_pending(fix.client->host), 20000);
	wlxd_settle();
	ck_assert_uint_eq(lazy->len, total);
}
END_TEST

START_TEST(descriptors_leave_with_their_bytes_or_before)
{
	struct outbuf buf = {0};
	int out = fix.out.fd;
	unsigned before;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(outbuf_put(&buf, "x", 1, wlxd_file("", 0)), 0);
	}
	ck_assert_int_eq(outbuf_flush(&buf, pair[0]), 0);
	fix.out.fd = pair[1];
	for (before = 0; before < 100; before = (unsigned)COMPOSITOR->len) {
		wlxd_settle();
		ck_assert_uint_gt(COMPOSITOR->len, before);
		ck_assert_uint_ge(COMPOSITOR->fd_count, COMPOSITOR->len);
	}
	fix.out.fd = out;
	close(pair[0]);
	close(pair[1]);
	outbuf_finish(&buf);
}
END_TEST

START_TEST(last_words_that_nobody_takes_are_not_kept)
{
	static uint8_t bytes[12 * 4000];

	for (uint32_t i = 0; i < 16000; i += 4000) {
		for (uint32_t n = 0; n < 4000; n++) {
			wlmsg(bytes + (size_t)n * 12, SYNC, WLXD_FREE + i + n);
		}
		if (send(fix.in.fd, bytes, sizeof(bytes), MSG_NOSIGNAL) != sizeof(bytes)) {
			break;
		}
		wlxd_run();
	}
	while (host_pending(fix.client->host) == 0) {
		wlxd_put(CLIENT, -1, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, "u",
			 fix.client->wire->client_count);
		wlxd_run();
	}
	close(fix.in.fd);
	fix.in.fd = -1;
	wlxd_run();
	close(fix.out.fd);
	fix.out.fd = -1;
	wlxd_run();
	ck_assert_ptr_null(fix.client);
}
END_TEST

START_TEST(the_end_of_the_compositor_is_the_end_behind_its_last_words)
{
	wlxd_put(COMPOSITOR, -1, VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_ERROR, "uus", 1u, 0u,
		 "enough");
	/* It never reads this. */
	wlxd_put(CLIENT, -1, SYNC, WLXD_FREE);
	close(fix.out.fd);
	fix.out.fd = -1;
	wlxd_settle();
	wlxd_expect(CLIENT, 0, VMM_WL_DISPLAY_ID, VMM_WL_EV_WL_DISPLAY_ERROR, "uus", 1u, 0u,
		    "enough");
	ck_assert(CLIENT->eof);
	ck_assert_ptr_null(fix.client);
}
END_TEST

START_TEST(the_end_of_a_client_is_the_end_behind_its_last_words)
{
	wlxd_put(CLIENT, -1, SYNC, WLXD_FREE);
	close(fix.in.fd);
	fix.in.fd = -1;
	wlxd_settle();
	wlxd_expect(COMPOSITOR, 0, SYNC, WLXD_FREE);
	ck_assert(COMPOSITOR->eof);
	ck_assert_ptr_null(fix.client);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{bytes_pass_as_they_are_however_they_are_cut, 1},
		{globals_that_are_not_known_are_not_there, 1},
		{a_buffer_is_shown_from_memory_of_the_proxy, 1},
		{the_second_pool_of_an_id_is_the_first_to_the_client, 1},
		{the_hosts_filter_has_no_objection_to_pools_made_anew, 1},
		{offsets_and_sizes_of_pools_stay_here, 1},
		{a_buffer_that_is_wrong_is_the_compositors_to_refuse, 1},
		{many_buffers_of_one_pool_wait_for_their_predecessors, 1},
		{who_does_not_read_holds_up_the_other_side, 2},
		{descriptors_leave_with_their_bytes_or_before, 1},
		{last_words_that_nobody_takes_are_not_kept, 1},
		{the_end_of_the_compositor_is_the_end_behind_its_last_words, 1},
		{the_end_of_a_client_is_the_end_behind_its_last_words, 1},
	};
	Suite *suite = suite_create("wlxd_client");

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, wlxd_setup, wlxd_teardown);
	}
	return suite_finish(suite);
}
