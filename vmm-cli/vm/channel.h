/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's end of the connection to the vm process (vm/wire.h): questions that wait for
 * their reply, and what is told unasked. What is told while a reply is waited for is kept, in a
 * form that the other side cannot make grow, until it is asked for.
 */
#ifndef VMM_CLI_VM_CHANNEL_H
#define VMM_CLI_VM_CHANNEL_H

#include <stdbool.h>

#include <vmm/error.h>

#include "vm/wire.h"

#define CHANNEL_CALL_MS 10000
#define CHANNEL_BOOT_MS 60000

/* What was told since it was last taken. */
struct vm_news {
	bool rebooted;
	bool exited;
	struct wire_exited exit;
	uint64_t lost;                         /* bit i: device i lost its connection ... */
	uint32_t generation[WIRE_DEVICES_MAX]; /* ... of this number ... */
	int why[WIRE_DEVICES_MAX];             /* ... for this reason, a negative errno */
	int error; /* the connection is of no more use: -ECONNRESET, -EPROTO, ... */
};

/* Zero-initialise but for fd. */
struct vm_channel {
	int fd;       /* owned; -1: none */
	uint32_t seq; /* of the last question */
	int asked;    /* 0, or why it could not be asked */
	struct vm_news news;
};

/* Closes; what has not been taken is forgotten. */
void vm_channel_close(struct vm_channel *c);

/* A question, to be filled in and asked with vm_channel_call. */
void vm_channel_begin(struct vm_channel *c, struct wire_message *question, enum wire_type type);

/*
 * Asks, and waits up to timeout_ms for the reply: what it says, with its words in err. fds as for
 * wire_send. A connection that fails meanwhile is -EPROTO, -ETIMEDOUT, -ECONNRESET or -EPIPE, and
 * noted in the news.
 */
int vm_channel_call(struct vm_channel *c, const struct wire_message *question, const int *fds,
		    int timeout_ms, struct vmm_error *err);

/*
 * The same in two steps, to do something else while the vm process is at work: nothing else may be
 * asked in between. A question that could not be asked has its answer in the second step.
 */
void vm_channel_ask(struct vm_channel *c, const struct wire_message *question, const int *fds,
		    int timeout_ms);
int vm_channel_await(struct vm_channel *c, int timeout_ms, struct vmm_error *err);

/* Reads what there is without waiting. */
void vm_channel_look(struct vm_channel *c);
/* Is there something to take? */
bool vm_channel_has_news(const struct vm_channel *c);
/* Hands out what was told so far and begins anew. */
void vm_channel_take(struct vm_channel *c, struct vm_news *out);

#endif
