/* SPDX-License-Identifier: MIT */
/*
 * The window's side of the conversation in <vmm/dev/window_proto.h>. The display behind it may be
 * in a guest's hands: what it says is checked here, once, and nothing that breaks a rule gets past.
 */
#ifndef VMM_WINDOW_LINK_H
#define VMM_WINDOW_LINK_H

#include <stdbool.h>

#include <vmm/dev/window_proto.h>

struct link {
	int fd;
	const char *why;             /* what was wrong, after -EPROTO */
	uint32_t serial;             /* of the last POOL or CURSOR */
	uint32_t untaken[2];         /* of a POOL, a CURSOR that the display waits for; 0: none */
	uint32_t pool_serial;        /* of the last POOL */
	struct vmm_window_pool pool; /* its words; width 0: there is no picture */
	bool may_present;
	bool busy[VMM_WINDOW_BUFFERS_MAX]; /* presented and not released */
};

/* fd is borrowed. */
void link_init(struct link *l, int fd);

/*
 * The next message, and the memfd that belongs to it (-1: none), which is the caller's then. 1;
 * -EAGAIN: there is none now; -EPIPE: the display has gone; -EPROTO: it broke a rule, see why.
 * Never waits.
 */
int link_receive(struct link *l, struct vmm_window_message *msg, int *memfd);

/* Answers. 0, also for what has become pointless, -EAGAIN when the display does not read, -EPIPE.
 */
int link_taken(struct link *l, uint32_t serial);
int link_frame(struct link *l, uint32_t pool_serial);
int link_released(struct link *l, uint32_t pool_serial, uint32_t buffer);
int link_resize(struct link *l, uint32_t width, uint32_t height);

#endif
