/* SPDX-License-Identifier: MIT */
/*
 * Events on their way to an input device of the guest (<vmm/dev/input.h>). The device reads when it
 * can; what it has no room for is dropped, but a key that was released in such a packet is released
 * with the next one.
 */
#ifndef VMM_WINDOW_KEYS_H
#define VMM_WINDOW_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/dev/input.h>

#define KEYS_CODES 0x120u /* more than the highest code of a key or button */

struct keys {
	int fd; /* -1: there is no device, or no more */
	struct vmm_input_event group[VMM_INPUT_EVENTS_MAX];
	unsigned count;
	uint8_t held[KEYS_CODES / 8]; /* as the user has them */
	uint8_t told[KEYS_CODES / 8]; /* as the device knows them */
	bool behind;                  /* told has more than held */
};

/* fd is borrowed; below 0: everything goes nowhere. */
void keys_init(struct keys *k, int fd);
/* One more event of the group. A group that is full already loses it. */
void keys_add(struct keys *k, uint16_t type, uint16_t code, int32_t value);
/* The same for a coordinate: the last one of a group counts. */
void keys_place(struct keys *k, uint16_t axis, uint32_t value);
/* A key or button, code < KEYS_CODES, if that is news: one that was not pressed here stays. */
void keys_press(struct keys *k, uint16_t code, bool down);
/* Everything that is held. */
void keys_release_all(struct keys *k);
/* The end of the group: sends it, if there is anything in it. */
void keys_flush(struct keys *k);

#endif
