/* SPDX-License-Identifier: MIT */
/* The filter's streams: pieces, descriptors, what ends a connection; and the names of windows. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "faultinj.h"
#include "test_wayland_fix.h"

static void setup(void)
{
	wlfix_start("red", VMM_WL_CLIPBOARD_NONE);
}

START_TEST(create_wants_a_name_that_can_be_told_apart)
{
	static const char *const names[] = {"",
					    "a:b",
					    "a b",
					    "a\n",
					    "a\x7f",
					    ("12345678901234567890123456789012"
					     "123456789012345678901234567890123")};
	struct vmm_wl_filter *filter = NULL;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_int_eq(
			vmm_wl_filter_create(&(struct vmm_wl_filter_config){.vm_name = names[i]},
					     &filter),
			-EINVAL);
	}
	ck_assert_int_eq(
		vmm_wl_filter_create(&(struct vmm_wl_filter_config){.clipboard = 4}, &filter),
		-EINVAL);
	ck_assert_ptr_null(filter);
	vmm_wl_filter_destroy(NULL);
}
END_TEST

START_TEST(create_without_memory_keeps_none)
{
	const struct vmm_wl_filter_config config = {.vm_name = "red"};
	struct faultinj f = {0};
	unsigned failures = 0;

	while (faultinj_next(&f)) {
		struct vmm_wl_filter *filter = NULL;
		const int rc = vmm_wl_filter_create(&config, &filter);

		faultinj_stop(&f);
		failures += f.failed != NULL;
		ck_assert_int_eq(rc, f.failed != NULL ? -ENOMEM : 0);
		ck_assert((filter == NULL) == (f.failed != NULL));
		vmm_wl_filter_destroy(filter);
	}
	ck_assert_uint_eq(failures, 2);
}
END_TEST

/* A shm of the client, and a stream with it. */
static size_t pools(uint8_t *out, uint32_t shm, unsigned count)
{
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		len += wlmsg(out + len, shm, VMM_WL_RQ_WL_SHM_CREATE_POOL, "uu", wlfix.next_id++,
			     4096u);
	}
	return len;
}

START_TEST(messages_are_put_together_from_any_pieces)
{
	uint8_t stream[512];
	const uint32_t shm = wlfix_bind("wl_shm", 1);
	const size_t len = pools(stream, shm, 6);
	size_t whole = 0;

	for (size_t at = 0; at < len; at++) {
		ck_assert_int_eq(wlfix_send(stream + at, 1, at % 16 == 5, VMM_WL_OUT_MIN), 0);
		/* What goes on is whole, and so are its descriptors. */
		ck_assert_uint_eq(wlfix.host.len, (at + 1) % 16 == 0 ? 16 : 0);
		ck_assert_uint_eq(wlfix.host.fds, wlfix.host.len / 16);
		ck_assert(memcmp(wlfix.host.bytes, stream + whole, wlfix.host.len) == 0);
		whole += wlfix.host.len;
	}
	ck_assert_uint_eq(whole, len);
}
END_TEST

START_TEST(long_streams_come_out_in_parts)
{
	static uint8_t stream[16384];
	size_t len = 0;

	while (len + 16 < sizeof(stream)) {
		len += wlmsg(stream + len, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u",
			     wlfix.next_id++);
	}
	ck_assert_int_eq(wlfix_send(stream, len, 0, VMM_WL_OUT_MIN - 1), -EINVAL);
	ck_assert_int_eq(wlfix_send(stream, len, 0, VMM_WL_OUT_MIN), 0);
	ck_assert_uint_eq(wlfix.host.len, len);
	ck_assert_mem_eq(wlfix.host.bytes, stream, len);
}
END_TEST

START_TEST(streams_allocate_nothing)
{
	uint8_t stream[256];
	uint8_t out[VMM_WL_OUT_MIN];
	const size_t len = pools(stream, wlfix_bind("wl_shm", 1), 8);
	struct vmm_wl_piece piece = {
		.in = stream, .in_len = len, .in_fds = 8, .out = out, .out_cap = sizeof(out)};
	struct faultinj_watch watch;

	faultinj_watch(&watch);
	SUITE_REQUIRE(vmm_wl_filter_request(wlfix.filter, &piece) == 0);
	faultinj_unwatch();
	ck_assert_uint_eq(watch.calls, 0);
	ck_assert_uint_eq(piece.out_len, len);
}
END_TEST

START_TEST(descriptors_wait_for_their_message)
{
	uint8_t stream[1024];
	const uint32_t shm = wlfix_bind("wl_shm", 1);
	const size_t len = pools(stream, shm, 40);

	/* More than may wait, if none of them had a message. */
	ck_assert_int_eq(wlfix_send(stream, 0, 28, VMM_WL_OUT_MIN), 0);
	ck_assert(wlfix_got_none(&wlfix.host));
	ck_assert_int_eq(wlfix_send(stream, len, 12, VMM_WL_OUT_MIN), 0);
	ck_assert_uint_eq(wlfix.host.fds, 40);
	ck_assert_uint_eq(wlfix.host.len, len);
}
END_TEST

START_TEST(descriptors_too_few_or_too_many_hang_up)
{
	uint8_t stream[64];
	const uint32_t shm = wlfix_bind("wl_shm", 1);
	size_t len = pools(stream, shm, 1);

	switch (_i) {
	case 0:
		ck_assert_int_eq(wlfix_send(stream, len, 0, VMM_WL_OUT_MIN), -EPROTO);
		break;
	case 1:
		ck_assert_int_eq(wlfix_send(stream, 0, 28, VMM_WL_OUT_MIN), 0);
		ck_assert_int_eq(wlfix_send(stream, 0, 1, VMM_WL_OUT_MIN), -EPROTO);
		break;
	default:
		ck_assert_int_eq(wlfix_send(stream, len, 29, VMM_WL_OUT_MIN), -EPROTO);
		break;
	}
	ck_assert(wlfix_got_none(&wlfix.host));
	/* And that is the end of it. */
	ck_assert_int_eq(
		wlfix_say(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", wlfix.next_id),
		-EPROTO);
	ck_assert_int_eq(wlfix_hear(shm, VMM_WL_EV_WL_SHM_FORMAT, "u", 0u), -EPROTO);
}
END_TEST

START_TEST(malformed_hangs_up)
{
	uint8_t stream[16] = {0};

	switch (_i) {
	case 0: /* an object that is not there */
		ck_assert_int_eq(wlfix_say(9, 0, ""), -EPROTO);
		ck_assert_uint_eq(vmm_wl_filter_last(wlfix.filter)->object, 9);
		break;
	case 1: /* an opcode that is not there */
		ck_assert_int_eq(wlfix_say(VMM_WL_DISPLAY_ID, 2, ""), -EPROTO);
		break;
	case 2: /* a size below the header's, which is known before the message is there */
		vmm_wl_header(stream, VMM_WL_DISPLAY_ID, 0, 4);
		ck_assert_int_eq(wlfix_send(stream, 8, 0, VMM_WL_OUT_MIN), -EPROTO);
		break;
	case 3: /* a size above all bounds */
		vmm_wl_header(stream, VMM_WL_DISPLAY_ID, 0, VMM_WL_MESSAGE_MAX + 4);
		ck_assert_int_eq(wlfix_send(stream, 8, 0, VMM_WL_OUT_MIN), -EPROTO);
		break;
	case 4: /* what was good before is not sent either */
		wlmsg(stream, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", 2u);
		ck_assert_int_eq(wlfix_send(stream, 16, 0, VMM_WL_OUT_MIN), 0);
		memset(stream, 0xff, sizeof(stream));
		wlmsg(stream, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_SYNC, "u", 3u);
		ck_assert_int_eq(wlfix_send(stream, 16, 0, VMM_WL_OUT_MIN), -EPROTO);
		break;
	default: /* the compositor may not be wrong either */
		ck_assert_int_eq(wlfix_hear(9, 0, ""), -EPROTO);
		break;
	}
	ck_assert(wlfix_got_none(&wlfix.host) && wlfix_got_none(&wlfix.guest));
}
END_TEST

START_TEST(globals_are_lowered_or_left_out)
{
	wlfix.registry = wlfix_make(VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, 0);
	ck_assert_int_eq(wlfix_hear(wlfix.registry, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 1u,
				    "zwlr_screencopy_manager_v1", 3u),
			 0);
	ck_assert(wlfix_got_none(&wlfix.guest));
	ck_assert_int_eq(
		wlfix_hear(wlfix.registry, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 2u, "wl_shm", 99u),
		0);
	ck_assert(wlfix_got(&wlfix.guest, wlfix.registry, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", 2u,
			    "wl_shm", 1u));
	ck_assert_int_eq(wlfix_say(wlfix.registry, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", 1u,
				   "zwlr_screencopy_manager_v1", 3u, wlfix.next_id),
			 -EPROTO);
}
END_TEST

/* A toplevel window; what the host was told of it last is in wlfix.host. */
static uint32_t make_window(void)
{
	const uint32_t compositor = wlfix_bind("wl_compositor", 4);
	const uint32_t base = wlfix_bind("xdg_wm_base", 2);
	const uint32_t surface = wlfix_make(compositor, VMM_WL_RQ_WL_COMPOSITOR_CREATE_SURFACE, 0);
	const uint32_t shell = wlfix_make(base, VMM_WL_RQ_XDG_WM_BASE_GET_XDG_SURFACE, surface);

	return wlfix_make(shell, VMM_WL_RQ_XDG_SURFACE_GET_TOPLEVEL, 0);
}

START_TEST(window_has_its_name_from_the_beginning)
{
	uint8_t expected[256];
	const uint32_t window = make_window();
	size_t len = wlmsg(expected, window - 1, VMM_WL_RQ_XDG_SURFACE_GET_TOPLEVEL, "u", window);

	len += wlmsg(expected + len, window, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s", "[red]");
	len += wlmsg(expected + len, window, VMM_WL_RQ_XDG_TOPLEVEL_SET_APP_ID, "s", "libvmm.red");
	ck_assert_uint_eq(wlfix.host.len, len);
	ck_assert_mem_eq(wlfix.host.bytes, expected, len);
	ck_assert(wlfix_got_none(&wlfix.guest));
}
END_TEST

START_TEST(window_keeps_its_name)
{
	static const struct {
		const char *text;
		const char *title;
		const char *id;
	} texts[] = {
		{"foot", "[red] foot", "libvmm.red:foot"},
		{"", "[red]", "libvmm.red"},
		{"a\nb\x1b[2K\x7f", "[red] a b [2K ", "libvmm.red:a b [2K "},
		/* Right-to-left override; isolate; e-acute and a dash stay. */
		{"\xe2\x80\xae"
		 "der\xe2\x81\xa6\xc3\xa9\xe2\x80\x94",
		 "[red]    der   \xc3\xa9\xe2\x80\x94", "libvmm.red:   der   \xc3\xa9\xe2\x80\x94"},
		/* A control of two bytes, a line separator; a no-break space stays. */
		{"\xc2\x9b"
		 "2J\xe2\x80\xa8x\xc2\xa0y",
		 "[red]   2J   x\xc2\xa0y", "libvmm.red:  2J   x\xc2\xa0y"},
		{"cut\xe2\x80", "[red] cut\xe2\x80", "libvmm.red:cut\xe2\x80"},
	};
	const uint32_t window = make_window();

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ck_assert_int_eq(
			wlfix_say(window, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s", texts[i].text), 0);
		ck_assert(wlfix_got(&wlfix.host, window, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s",
				    texts[i].title));
		ck_assert_int_eq(
			wlfix_say(window, VMM_WL_RQ_XDG_TOPLEVEL_SET_APP_ID, "s", texts[i].text),
			0);
		ck_assert(wlfix_got(&wlfix.host, window, VMM_WL_RQ_XDG_TOPLEVEL_SET_APP_ID, "s",
				    texts[i].id));
	}
}
END_TEST

/* As long as a message can be, and a character on the place where it has to be cut. */
START_TEST(long_title_loses_its_end)
{
	static char text[VMM_WL_MESSAGE_MAX];
	static char title[VMM_WL_MESSAGE_MAX];
	const uint32_t window = make_window();
	const size_t most = VMM_WL_MESSAGE_MAX - 8 - 4 - 1;

	memset(text, 'x', most);
	/* Two bytes of three fit. */
	memcpy(text + most - 6 - 2, "\xe2\x82\xac", 3);
	(void)snprintf(title, sizeof(title), "[red] %.*s", (int)(most - 6 - 2), text);
	ck_assert_int_eq(wlfix_say(window, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s", text), 0);
	ck_assert(wlfix_got(&wlfix.host, window, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s", title));
}
END_TEST

START_TEST(activation_token_has_the_name)
{
	const uint32_t activation = wlfix_bind("xdg_activation_v1", 1);
	const uint32_t token =
		wlfix_make(activation, VMM_WL_RQ_XDG_ACTIVATION_V1_GET_ACTIVATION_TOKEN, 0);

	ck_assert_int_eq(
		wlfix_say(token, VMM_WL_RQ_XDG_ACTIVATION_TOKEN_V1_SET_APP_ID, "s", "foot"), 0);
	ck_assert(wlfix_got(&wlfix.host, token, VMM_WL_RQ_XDG_ACTIVATION_TOKEN_V1_SET_APP_ID, "s",
			    "libvmm.red:foot"));
}
END_TEST

START_TEST(names_can_be_left_alone)
{
	uint32_t window;

	wlfix_finish();
	wlfix_start(NULL, VMM_WL_CLIPBOARD_NONE);
	window = make_window();
	ck_assert(wlfix_got(&wlfix.host, window - 1, VMM_WL_RQ_XDG_SURFACE_GET_TOPLEVEL, "u",
			    window));
	ck_assert_int_eq(wlfix_say(window, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s", "a\nb"), 0);
	ck_assert(wlfix_got(&wlfix.host, window, VMM_WL_RQ_XDG_TOPLEVEL_SET_TITLE, "s", "a\nb"));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{create_wants_a_name_that_can_be_told_apart, 1},
		{create_without_memory_keeps_none, 1},
		{messages_are_put_together_from_any_pieces, 1},
		{long_streams_come_out_in_parts, 1},
		{streams_allocate_nothing, 1},
		{descriptors_wait_for_their_message, 1},
		{descriptors_too_few_or_too_many_hang_up, 3},
		{malformed_hangs_up, 6},
		{globals_are_lowered_or_left_out, 1},
		{window_has_its_name_from_the_beginning, 1},
		{window_keeps_its_name, 1},
		{long_title_loses_its_end, 1},
		{activation_token_has_the_name, 1},
		{names_can_be_left_alone, 1},
	};
	Suite *suite = suite_create("wayland_filter");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, setup, wlfix_finish);
	}
	return suite_finish(suite);
}
