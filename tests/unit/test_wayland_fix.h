/* SPDX-License-Identifier: MIT */
/* A filter, and what comes out of it on both sides. */
#ifndef TEST_WAYLAND_FIX_H
#define TEST_WAYLAND_FIX_H

#include <stdbool.h>

#include "suite.h"
#include "wayland/filter.h"
#include "wayland/wire.h"
#include "wlmsg.h"

#define WLFIX_OUT 65536u

struct wlfix_side {
	uint8_t bytes[WLFIX_OUT];
	size_t len;
	unsigned fds;
};

struct wlfix {
	struct vmm_wl_filter *filter;
	/* What the last call gave to each. */
	struct wlfix_side host;
	struct wlfix_side guest;
	uint32_t registry;
	uint32_t next_id;
	uint32_t next_name;
};

/* One for each test. */
extern struct wlfix wlfix;

void wlfix_start(const char *vm_name, unsigned clipboard);
void wlfix_finish(void);

/* Bytes of the client or the compositor, in pieces with room for out_cap bytes; what the filter
 * says. */
int wlfix_send(const uint8_t *data, size_t len, unsigned fds, size_t out_cap);
int wlfix_receive(const uint8_t *data, size_t len, unsigned fds, size_t out_cap);

/* One message (wlmsg) without descriptors. */
#define wlfix_say(...)  wlfix_one(true, 0, __VA_ARGS__)
#define wlfix_hear(...) wlfix_one(false, 0, __VA_ARGS__)
#define wlfix_one(request, fds, ...) \
	(wlmsg(wlfix_bytes, __VA_ARGS__), wlfix_one_of(request, wlfix_bytes, fds))
extern uint8_t wlfix_bytes[WLMSG_MAX];
int wlfix_one_of(bool request, const uint8_t *message, unsigned fds);

/* Whether a side got this message and nothing else; whether it got nothing. */
#define wlfix_got(side, ...) (wlmsg(wlfix_bytes, __VA_ARGS__), wlfix_got_one(side, wlfix_bytes))
bool wlfix_got_one(const struct wlfix_side *side, const uint8_t *message);
bool wlfix_got_none(const struct wlfix_side *side);

/* The compositor announces a global, the client binds it: its object. */
uint32_t wlfix_bind(const char *interface, uint32_t version);
/* A request whose one new id comes first, then `seat` or nothing, if 0: the new object. */
uint32_t wlfix_make(uint32_t object, uint16_t opcode, uint32_t argument);

#endif
