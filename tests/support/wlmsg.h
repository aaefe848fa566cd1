/* SPDX-License-Identifier: MIT */
/* Wayland messages, written out. */
#ifndef TESTS_WLMSG_H
#define TESTS_WLMSG_H

#include <stddef.h>
#include <stdint.h>

/* Room for the longest message that a test writes: more than a message may be. */
#define WLMSG_MAX 8192u

/*
 * Writes a message to out and returns its size. Each letter of format is an argument: u a uint32_t,
 * s a string or NULL, a an array of as many zero bytes as the uint32_t says.
 */
size_t wlmsg(uint8_t *out, uint32_t object, uint16_t opcode, const char *format, ...);

/* A message of an interface with arguments as its signature wants them: numbers 0, strings "text",
 * objects by make(). */
struct wlmsg_make {
	uint32_t (*object)(void *ctx, uint8_t interface);
	void *ctx;
	uint32_t new_id;
};

size_t wlmsg_of(uint8_t *out, uint32_t object, uint8_t interface, int request, uint16_t opcode,
		const struct wlmsg_make *make);

#endif
