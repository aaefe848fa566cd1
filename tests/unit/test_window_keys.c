/* SPDX-License-Identifier: MIT */
/* What vmm-window sends an input device: groups, and keys when the device has no room. */
#include <linux/input-event-codes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/window/keys.h"
#include "suite.h"

struct fixture {
	struct keys keys;
	int device;
	int ours;
};

static void set_up(struct fixture *f)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	f->ours = pair[0];
	f->device = pair[1];
	keys_init(&f->keys, f->ours);
}

static void tear_down(struct fixture *f)
{
	ck_assert_int_eq(close(f->ours), 0);
	if (f->device >= 0) {
		ck_assert_int_eq(close(f->device), 0);
	}
}

/* The next packet's events; 0: there is none. */
static size_t take(struct fixture *f, struct vmm_input_event *events)
{
	ssize_t got = recv(f->device, events, VMM_INPUT_EVENTS_MAX * sizeof(*events), MSG_DONTWAIT);

	if (got <= 0) {
		return 0;
	}
	ck_assert_uint_eq((size_t)got % sizeof(*events), 0);
	got /= (ssize_t)sizeof(*events);
	ck_assert_uint_eq(events[got - 1].type, EV_SYN);
	return (size_t)got;
}

static void press(struct fixture *f, uint16_t code, bool down)
{
	keys_press(&f->keys, code, down);
	keys_flush(&f->keys);
}

static void expect_key(struct fixture *f, uint16_t code, uint32_t value)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];

	ck_assert_uint_eq(take(f, events), 2);
	ck_assert_uint_eq(events[0].type, EV_KEY);
	ck_assert_uint_eq(events[0].code, code);
	ck_assert_uint_eq(events[0].value, value);
}

START_TEST(keys_go_as_they_come_and_only_when_that_is_news)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
	struct fixture f;

	set_up(&f);
	press(&f, KEY_A, false);
	ck_assert_uint_eq(take(&f, events), 0);
	press(&f, KEY_A, true);
	expect_key(&f, KEY_A, 1);
	press(&f, KEY_A, true);
	press(&f, KEYS_CODES, true);
	press(&f, 0xffff, true);
	ck_assert_uint_eq(take(&f, events), 0);
	press(&f, KEY_A, false);
	expect_key(&f, KEY_A, 0);
	tear_down(&f);
}
END_TEST

START_TEST(places_of_one_group_are_one_place)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
	struct fixture f;

	set_up(&f);
	for (uint32_t i = 0; i < 1000; i++) {
		keys_place(&f.keys, ABS_X, i);
		keys_place(&f.keys, ABS_Y, i + 1);
	}
	keys_flush(&f.keys);
	ck_assert_uint_eq(take(&f, events), 3);
	ck_assert_uint_eq(events[0].value, 999);
	ck_assert_uint_eq(events[1].value, 1000);
	/* A group has an end, whatever is put into it. */
	for (int i = 0; i < 1000; i++) {
		keys_add(&f.keys, EV_REL, REL_WHEEL, i);
	}
	keys_flush(&f.keys);
	ck_assert_uint_eq(take(&f, events), VMM_INPUT_EVENTS_MAX);
	tear_down(&f);
}
END_TEST

START_TEST(release_of_everything_is_complete)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
	bool up[KEYS_CODES] = {false};
	struct fixture f;
	unsigned released = 0;
	size_t n;

	set_up(&f);
	for (uint16_t code = 1; code <= 200; code++) {
		press(&f, code, true);
		expect_key(&f, code, 1);
	}
	keys_release_all(&f.keys);
	while ((n = take(&f, events)) > 0) {
		for (size_t i = 0; i + 1 < n; i++) {
			ck_assert_uint_eq(events[i].value, 0);
			ck_assert(!up[events[i].code]);
			up[events[i].code] = true;
			released++;
		}
	}
	ck_assert_uint_eq(released, 200);
	keys_release_all(&f.keys);
	ck_assert_uint_eq(take(&f, events), 0);
	tear_down(&f);
}
END_TEST

START_TEST(release_that_found_no_room_comes_with_the_next_event)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
	struct vmm_input_event filler[] = {{EV_SYN, SYN_REPORT, 0}};
	struct fixture f;

	set_up(&f);
	press(&f, KEY_LEFTCTRL, true);
	expect_key(&f, KEY_LEFTCTRL, 1);
	while (send(f.ours, filler, sizeof(filler), MSG_DONTWAIT) > 0) {
	}
	press(&f, KEY_LEFTCTRL, false);
	press(&f, KEY_X, true);
	while (take(&f, events) > 0) {
		ck_assert_uint_eq(events[0].type, EV_SYN);
	}
	press(&f, KEY_B, true);
	expect_key(&f, KEY_LEFTCTRL, 0);
	expect_key(&f, KEY_B, 1);
	ck_assert_uint_eq(take(&f, events), 0);
	tear_down(&f);
}
END_TEST

START_TEST(device_that_is_gone_is_not_asked_again)
{
	struct fixture f;

	set_up(&f);
	ck_assert_int_eq(close(f.device), 0);
	f.device = -1;
	press(&f, KEY_A, true);
	ck_assert_int_eq(f.keys.fd, -1);
	press(&f, KEY_A, false);
	keys_release_all(&f.keys);
	tear_down(&f);
}
END_TEST

SUITE_MAIN("window-keys", keys_go_as_they_come_and_only_when_that_is_news,
	   places_of_one_group_are_one_place, release_of_everything_is_complete,
	   release_that_found_no_room_comes_with_the_next_event,
	   device_that_is_gone_is_not_asked_again)
