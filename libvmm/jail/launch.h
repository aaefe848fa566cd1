/* SPDX-License-Identifier: MIT */
/* Between process.c, which decides what to start, and launch.c, which does. */
#ifndef JAIL_LAUNCH_H
#define JAIL_LAUNCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmm/process.h>

#define LAUNCH_STDIO_FDS 3
/* Those of the caller, and /dev/null three times. */
#define LAUNCH_PLACES_MAX (VMM_PROCESS_FDS_MAX + LAUNCH_STDIO_FDS)

/* Where a start can fail. */
enum launch_step {
	LAUNCH_START,
	LAUNCH_FDS,
	LAUNCH_USER,
	LAUNCH_CLONE,
	LAUNCH_IDS,
	LAUNCH_CAPS,
	LAUNCH_PARENT,
	LAUNCH_EXEC,
};

/* What comes through the pipe: the new process's id, or a failure. */
struct launch_report {
	pid_t pid; /* 0: failure */
	enum launch_step step;
	int error;
};

struct launch {
	const struct vmm_process_config *config;
	struct vmm_process_fd places[LAUNCH_PLACES_MAX];
	size_t place_count;
	int top;     /* above all numbers of places */
	int program; /* descriptor */
	bool root;
	uint64_t spaces;
	sigset_t unblocked;
	uint64_t ignored; /* by the caller: bit 0 is signal 1 */
	/* Between begin and end: */
	pid_t child; /* the launcher */
	int pipe;    /* in the launcher, the writing end */
	int reading; /* in the caller; -1: none */
};

/*
 * Starts a launcher, with all signals blocked. -errno. others: launches that may be under way,
 * whose ends of pipes are none of its business.
 */
int vmm_launch_begin(struct launch *l, const struct launch *others, size_t other_count);
/* Waits until the program runs: 0, and its process id, or -errno with *failure saying where. */
int vmm_launch_end(struct launch *l, pid_t *pid, struct launch_report *failure);
/* Waits for the end of a child. */
void vmm_launch_reap(pid_t pid);

#endif
