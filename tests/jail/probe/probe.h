/* SPDX-License-Identifier: MIT */
/*
 * jailprobe starts itself in a jail, as the launcher of a VM would start a device. The half outside
 * (sweep.c, escape.c, timing.c) judges; the half inside (inside.c, attempts.c) is the one that
 * tries.
 */
#ifndef JAILPROBE_H
#define JAILPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <vmm/jail.h>
#include <vmm/process.h>

/* Exit statuses; ctest takes the last for "skipped". */
#define PROBE_OK      0
#define PROBE_FAILED  1
#define PROBE_USAGE   2
#define PROBE_SKIPPED 77

/* Who is inside when the launcher is root. */
#define PROBE_UID 54321u
#define PROBE_GID 54322u

/* Descriptors inside. */
#define FD_TEXT    1 /* a pipe that the launcher copies to its own output */
#define FD_RESULT  3 /* a SOCK_SEQPACKET socket */
#define FD_EVENT   4
#define FD_DISK    5 /* a regular file */
#define FD_RAM     6 /* a memfd */
#define FD_SIBLING 7 /* a pidfd of another jailed process, which no device gets */
#define FD_PROGRAM 8 /* this program */
#define FD_PTY     9 /* a terminal */
#define FDS_INSIDE 8

#define DISK_SIZE    8192u
#define MEMORY_LIMIT (UINT64_C(256) << 20)

/* What the launcher tells about the outside, in words of argv. */
struct outside {
	int launcher; /* process ids out there */
	int sibling;
	int tcp_port;
	char abstract[64]; /* names of sockets that listen */
	char path[64];
	char secret[64]; /* a file that everybody may read */
};

/* A jailed copy of this program. */
struct jailed {
	struct vmm_process process;
	int result; /* the other end of FD_RESULT */
	int text;   /* reading end of FD_TEXT */
};

/*
 * Starts "jailprobe inside MODE PROFILE ..." with FD_TEXT, FD_RESULT and more. False after saying
 * why. fds may be NULL.
 */
bool probe_start(struct jailed *j, char *const *argv, const struct vmm_process_fd *fds,
		 size_t count);
/* Copies its text until it ends, waits for it, and returns waitpid's status. */
int probe_finish(struct jailed *j);

/* The jail as for a device; keeps the first `keep` descriptors of those above. Exits when it fails.
 */
void probe_enter(size_t keep, struct vmm_jail_level *level);

/* The half inside; do not return. */
_Noreturn void inside_sweep(const char *profile);
_Noreturn void inside_escape(const char *profile, const struct outside *outside);
_Noreturn void inside_hang(const char *profile);

/* Commands. */
int sweep(void);
int escape(void);
int timing(void);
/* Prints the id of a sealed process, for the audit, and ends it when there is no more input. */
int hang(void);

/* From here on user namespaces are refused. False where that cannot be played (root only). */
bool limit_user_namespaces(bool as_user);

/* An attempt to do what must not work. */
struct attempt {
	const char *name;
	bool (*succeeds)(const struct outside *outside);
	/* The layer that holds without the filter; NULL: nothing but the filter forbids it. */
	const char *layer;
	/* Its calls are on some lists: it does not die of them, and must fail all the same. */
	bool listed;
};

extern const struct attempt attempts[];
extern const size_t attempt_count;

/* What inside_escape sends for each attempt. */
struct attempted {
	bool sealed;
	bool succeeded;
	bool killed;
	bool odd; /* neither: the attempt itself went wrong */
	char name[48];
};

#endif
