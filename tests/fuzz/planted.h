/* SPDX-License-Identifier: MIT */
/*
 * A device with one queue that answers each request (a length and as many bytes) with its bytes,
 * and that makes one mistake of its choice. It is compiled as the product is.
 */
#ifndef FUZZ_PLANTED_H
#define FUZZ_PLANTED_H

#include <vmm/virtio.h>

#define PLANTED_SIZE 64 /* of the queue */
#define PLANTED_MAX  8  /* bytes of one request behind its length */

enum fault {
	FAULT_NONE,
	FETCH_TWICE,       /* the length is checked, then read again */
	FETCH_TWICE_COPY,  /* the same through a second reader */
	FETCH_TWICE_LATER, /* the same, in another turn of the loop */
	FETCH_COMPARE,     /* bytes are compared where they lie, and copied */
	READ_AFTER_PUSH,
	READ_WRITABLE,
	READ_ELSEWHERE,
	WRITE_AFTER_PUSH,
	WRITE_READABLE,
	WRITE_BEYOND,
	WRITE_RING,
	PUSH_TWICE,
	PUSH_TOO_MUCH,
	PUSH_UNWRITTEN,
	KEEP,        /* a chain never comes back */
	FORGET,      /* what is left of the ring after a turn waits for a kick that never comes */
	ALLOCATE,    /* for each request */
	LEAK_FD,     /* with each kick */
	NEVER_YIELD, /* the budget begins anew when the ring was empty */
	TAKE_LONG,
	WEDGE, /* what one driver did is not forgotten at reset */
	FAULTS,
};

struct planted {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active;
	enum fault fault;
	bool poisoned;
	bool wedged;      /* from the next reset on */
	uint8_t answered; /* length of the last answer */
	struct vmm_chain later;
	struct vmm_work later_work;
	struct vmm_work again;
	struct vmm_chain chain;
	struct iovec iov[PLANTED_SIZE];
	struct iovec later_iov[PLANTED_SIZE];
};

void planted_init(struct planted *p, enum fault fault);

#endif
