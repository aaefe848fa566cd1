/* SPDX-License-Identifier: MIT */
/*
 * Carries bytes between a descriptor towards a child process (a pipe that it writes to, the
 * terminal side of a pty that it has the other side of) and a character back end of this process:
 * the log, the user's terminal. Output is taken as fast as the back end takes it, which never
 * waits; input waits with its sender until the child takes it.
 */
#ifndef VMM_CLI_VM_PUMP_H
#define VMM_CLI_VM_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/dev/chardev.h>
#include <vmm/loop.h>

#define PUMP_BYTES 4096

struct vm_pump {
	int fd; /* owned, non-blocking; -1: stopped */
	struct vmm_chardev *chardev;
	struct vmm_source *source;
	bool input; /* from the back end to fd as well */
	bool ended; /* nothing more comes from fd */
	size_t ahead_len;
	uint8_t ahead[PUMP_BYTES]; /* input that fd has not taken yet */
};

/* Takes fd on success. chardev (may be NULL) is borrowed and in use until stop. -errno. */
int vm_pump_start(struct vm_pump *p, struct vmm_loop *loop, int fd, struct vmm_chardev *chardev,
		  bool input);
/* Takes what is there. */
void vm_pump_drain(struct vm_pump *p);
/* Takes what is there, closes fd, lets go of the back end. A no-op when stopped. */
void vm_pump_stop(struct vm_pump *p);

#endif
