/* SPDX-License-Identifier: MIT */
/*
 * Events between guest and devices that the hypervisor passes on by itself, over eventfds, with
 * nobody of this process awake.
 */
#ifndef VMM_TRANSPORT_EVENTS_H
#define VMM_TRANSPORT_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/mem.h>

/* A write of the guest's that is a signal and nothing else. */
struct vmm_doorbell {
	vmm_gpa gpa;
	unsigned len;   /* bytes; 0: a write of any length and any value */
	uint32_t value; /* with a length: only a write of this value */
};

/* What a hypervisor does. All calls may come from any thread. */
struct vmm_event_ops {
	/* Connects / disconnects an eventfd: while connected each write to it raises gsi, also one
	 * made before. */
	int (*irqfd)(void *ctx, unsigned gsi, int eventfd, bool connect);
	/* While connected, ringing the doorbell only signals eventfd. */
	int (*ioeventfd)(void *ctx, const struct vmm_doorbell *bell, int eventfd, bool connect);
};

#endif
