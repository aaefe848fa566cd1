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

/*
 * Memory that a guest sees somewhere outside of RAM: address space of this process of which nothing
 * is accessible but what was mapped into it. The hypervisor knows of it only while something is
 * mapped, or was since the last clear, and accesses come as those to a device before. All calls
 * are made on the loop's thread.
 */
struct vmm_window;

struct vmm_window_ops {
	/* len is a power of two, at least a page. -ENOMEM, -ENOSPC. */
	int (*create)(void *ctx, uint64_t len, struct vmm_window **out);
	/* NULL is a no-op. */
	void (*destroy)(struct vmm_window *w);
	/* Where the guest sees it from now on, if at all. errno of the hypervisor. */
	int (*place)(struct vmm_window *w, bool visible, vmm_gpa gpa);
	/* As struct vmm_carrier_shm_ops has it. */
	int (*map)(struct vmm_window *w, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   bool writable);
	int (*unmap)(struct vmm_window *w, uint64_t offset, uint64_t len);
	/* Nothing is mapped any more, nor will be soon. */
	void (*clear)(struct vmm_window *w);
};

/* What a hypervisor does. All calls may come from any thread. */
struct vmm_event_ops {
	const struct vmm_window_ops *windows; /* NULL: there are none */
	/* Connects / disconnects an eventfd: while connected each write to it raises gsi, also one
	 * made before. */
	int (*irqfd)(void *ctx, unsigned gsi, int eventfd, bool connect);
	/* While connected, ringing the doorbell only signals eventfd. */
	int (*ioeventfd)(void *ctx, const struct vmm_doorbell *bell, int eventfd, bool connect);
};

#endif
