/* SPDX-License-Identifier: MIT */
/*
 * The event monitor: a stream of JSON objects that say what happens to the VM, for management
 * programs. Each is followed by an empty line.
 */
#ifndef VMM_CLI_EVENTS_H
#define VMM_CLI_EVENTS_H

#include <stdint.h>

struct vm_events {
	int fd;            /* -1: nobody listens */
	uint64_t start_ns; /* CLOCK_MONOTONIC; timestamps count from here */
};

/* Takes fd (which may be -1) and makes it non-blocking: a reader that stops must not stop a VM. */
void vm_events_init(struct vm_events *events, int fd);
/* Closes the descriptor. */
void vm_events_finish(struct vm_events *events);

/* Writes one event; it is lost when the reader is too slow. events may be NULL. */
void vm_events_emit(struct vm_events *events, const char *source, const char *event);
/* The same for what happens to a device of the VM. */
void vm_events_emit_device(struct vm_events *events, const char *event, const char *id);

#endif
