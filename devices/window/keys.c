/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <sys/socket.h>

/* The last event of a group is its end. */
#define GROUP_MAX (VMM_INPUT_EVENTS_MAX - 1)

void keys_init(struct keys *k, int fd)
{
	memset(k, 0, sizeof(*k));
	k->fd = fd;
}

static bool is_set(const uint8_t *keys, unsigned code)
{
	return (keys[code / 8] & (1u << (code % 8))) != 0;
}

static void set(uint8_t *keys, unsigned code, bool down)
{
	uint8_t bit = (uint8_t)(1u << (code % 8));

	keys[code / 8] = (uint8_t)(down ? keys[code / 8] | bit : keys[code / 8] & ~bit);
}

void keys_add(struct keys *k, uint16_t type, uint16_t code, int32_t value)
{
	if (k->count < GROUP_MAX) {
		k->group[k->count++] = (struct vmm_input_event){type, code, (uint32_t)value};
	}
}

void keys_place(struct keys *k, uint16_t axis, uint32_t value)
{
	for (unsigned i = 0; i < k->count; i++) {
		if (k->group[i].type == EV_ABS && k->group[i].code == axis) {
			k->group[i].value = value;
			return;
		}
	}
	keys_add(k, EV_ABS, axis, (int32_t)value);
}

void keys_press(struct keys *k, uint16_t code, bool down)
{
	if (code < KEYS_CODES && is_set(k->held, code) != down) {
		set(k->held, code, down);
		keys_add(k, EV_KEY, code, down);
	}
}

/* 0 or -EAGAIN; a device that is gone is not asked again. */
static int send_group(struct keys *k, struct vmm_input_event *events, unsigned count)
{
	ssize_t sent;

	events[count++] = (struct vmm_input_event){EV_SYN, SYN_REPORT, 0};
	sent = send(k->fd, events, count * sizeof(events[0]), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)) {
		return -EAGAIN;
	}
	if (sent < 0) {
		k->fd = -1;
		return 0;
	}
	for (unsigned i = 0; i < count; i++) {
		if (events[i].type == EV_KEY) {
			set(k->told, events[i].code, events[i].value != 0);
		}
	}
	return 0;
}

/* Releases that got lost, before anything else. */
static int catch_up(struct keys *k)
{
	struct vmm_input_event events[VMM_INPUT_EVENTS_MAX];
	unsigned count = 0;

	if (!k->behind) {
		return 0;
	}
	for (unsigned code = 0; code < KEYS_CODES && count < GROUP_MAX; code++) {
		if (is_set(k->told, code) && !is_set(k->held, code)) {
			events[count++] = (struct vmm_input_event){EV_KEY, (uint16_t)code, 0};
		}
	}
	if (count > 0 && send_group(k, events, count) < 0) {
		return -EAGAIN;
	}
	k->behind = count == GROUP_MAX;
	return 0;
}

void keys_flush(struct keys *k)
{
	unsigned count = k->count;

	k->count = 0;
	if (k->fd < 0 || count == 0) {
		return;
	}
	if (catch_up(k) < 0 || send_group(k, k->group, count) < 0) {
		k->behind = true;
	}
}

void keys_release_all(struct keys *k)
{
	for (unsigned code = 0; code < KEYS_CODES; code++) {
		if (is_set(k->held, code)) {
			keys_press(k, (uint16_t)code, false);
		}
		if (k->count == GROUP_MAX) {
			keys_flush(k);
		}
	}
	keys_flush(k);
}
