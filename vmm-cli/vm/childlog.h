/* SPDX-License-Identifier: MIT */
/*
 * What a child process has to say: lines from a pipe of its own into the supervisor's log, each
 * with the child's name, which it cannot choose. Whatever the child writes, lines are bounded,
 * printable, and at most so many a second for all children of a VM.
 */
#ifndef VMM_CLI_VM_CHILDLOG_H
#define VMM_CLI_VM_CHILDLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>

#define CHILDLOG_LINE_MAX   400u
#define CHILDLOG_PER_SECOND 50u
/* A line that is not for the log: the child has what it needs. */
#define CHILDLOG_READY "ready"

/* Shared by the children of a VM; zero-initialised. */
struct vm_childlog_limit {
	uint64_t second;
	unsigned lines;
	uint64_t suppressed;
};

struct vm_childlog {
	struct vmm_loop *loop;
	const struct vmm_log *log;
	struct vm_childlog_limit *limit;
	const char *name; /* borrowed */
	struct vmm_source *source;
	int fd; /* reading end; -1: closed */
	size_t len;
	bool too_long; /* the rest of the line is dropped */
	bool ready;    /* it has said so */
	char line[CHILDLOG_LINE_MAX + 1];
	char last_error[CHILDLOG_LINE_MAX + 1]; /* the last line that was an error, or "" */
};

/*
 * Opens the pipe and watches it. *child_fd is the writing end, the caller's: non-blocking, so that
 * a supervisor that is busy costs the child lines, not time. log may be NULL; a line that begins
 * with "error: ", "warning: " or "debug: " has that level, others are information. errno of pipe2,
 * -ENOMEM.
 */
int vm_childlog_open(struct vm_childlog *c, struct vmm_loop *loop, const struct vmm_log *log,
		     struct vm_childlog_limit *limit, const char *name, int *child_fd);
/* Reads what is there; for the last words of a child that has ended. */
void vm_childlog_drain(struct vm_childlog *c);
/* Drains and closes. A no-op on one that is closed. */
void vm_childlog_close(struct vm_childlog *c);

#endif
