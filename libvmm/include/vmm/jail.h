/* SPDX-License-Identifier: MIT */
/*
 * The jail: what a process may still do once it has what it needs. Two steps, for a process that
 * was started by vmm_process_spawn (<vmm/process.h>) or by hand:
 *
 *	open everything by path, take descriptors, parse
 *	vmm_jail_enter()      no files, no network, no capabilities, no way back
 *	map memory, allocate, start threads, read the first messages
 *	vmm_jail_seal("blk")  nothing but the calls of the profile, or death by SIGSYS
 *	look at the first byte of a guest
 *
 * Each layer holds without the others: namespaces of its own, an empty read-only root, no
 * capabilities, no_new_privs, Landlock, resource limits, and then the system call filter. Where the
 * kernel or its configuration refuses one, the rest is done and struct vmm_jail_level says what is
 * missing; only what every kernel grants (limits, no_new_privs, the filter) is an error when
 * refused.
 *
 * What a program can do wrong: enter is for a process with one thread. Opening by path, connecting,
 * executing and signalling others fail from there on; the table of calls is in
 * libvmm/jail/table.c.
 */
#ifndef VMM_JAIL_H
#define VMM_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* RLIMIT_NOFILE when vmm_jail_config.fd_limit is 0. */
#define VMM_JAIL_FD_LIMIT 32

/* What the process keeps. Everything is borrowed for the call. */
struct vmm_jail_config {
	const int *keep_fds; /* any order; every other descriptor is closed, 0 to 2 included */
	size_t keep_count;
	uint64_t memory_limit; /* RLIMIT_AS in bytes; 0: none. Sanitized builds ignore it */
	uint64_t file_limit;   /* RLIMIT_FSIZE in bytes: where files may be written to */
	unsigned fd_limit;     /* RLIMIT_NOFILE; 0: VMM_JAIL_FD_LIMIT */
};

struct vmm_jail_profile;

/* What was achieved. Zero-initialise it; enter and seal fill it in. */
struct vmm_jail_level {
	bool user_ns; /* a user namespace of its own, with one id in it */
	bool pid_ns;  /* is process 1; only vmm_process_spawn can give that */
	bool mount_ns;
	bool net_ns;
	bool ipc_ns;
	bool uts_ns;
	bool cgroup_ns;
	bool empty_root;  /* "/" is an empty read-only tmpfs, and nothing else is mounted */
	bool no_caps;     /* inheritable, permitted, effective and ambient sets are empty */
	bool no_bounding; /* the bounding set too */
	bool mdwe;        /* memory that was writable can never be executed */
	bool uid_changed; /* is not root outside */
	int landlock_abi; /* with an empty ruleset; 0: no Landlock */
	bool seccomp;     /* a filter is in force */
	const struct vmm_jail_profile *profile; /* that of the filter */
};

/*
 * Everything but the filter. Closes all descriptors but those to be kept, makes what namespaces the
 * process does not have yet (all but that for process ids), empties the root, limits resources
 * (core 0, locked memory 0, and those of the config), drops all capabilities, sets no_new_privs,
 * clears dumpable, dies with its parent, refuses executable memory and takes every right that
 * Landlock knows. SIGXFSZ is ignored from then on: a write beyond file_limit fails with EFBIG.
 *
 * Call it with one thread, once, before anything that was sent by a guest is looked at. There is no
 * way back, also after a failure: the caller has to end. level and err may be NULL.
 *
 * -EBADF   a descriptor to be kept is not open
 * -EINVAL  a negative descriptor, or one not below the limit
 * the errno of close_range, prlimit, capset or prctl(no_new_privs, dumpable, pdeathsig), with words
 */
int vmm_jail_enter(const struct vmm_jail_config *config, struct vmm_jail_level *level,
		   struct vmm_error *err);

/*
 * RLIMIT_NPROC 0 for the process, then the filter of a profile for the calling thread (see
 * vmm_jail_seal_thread). Threads made later would inherit it, but no profile allows making one.
 * Allocates nothing. level and err may be NULL.
 *
 * -ENOENT  no such profile
 * -EACCES  no_new_privs is not set: vmm_jail_enter was not called
 * the errno of prlimit or seccomp
 */
int vmm_jail_seal(const char *profile, struct vmm_jail_level *level, struct vmm_error *err);

/*
 * The filter alone, for the calling thread: for the vCPU threads of a process whose main thread is
 * sealed as "vm". What a profile does not list kills the whole process with SIGSYS. Allocates
 * nothing, any thread. -ENOENT, -EACCES and seccomp's errno as above.
 */
int vmm_jail_seal_thread(const char *profile);

/*
 * One line for a log: "user pid mount net ipc uts cgroup namespaces, empty root, no capabilities,
 * Landlock 7, no executable memory, seccomp blk (12 calls)", and after "; without" what is missing.
 * Writes at most len bytes with the zero, cut if need be; returns its length uncut.
 */
int vmm_jail_describe(const struct vmm_jail_level *level, char *buf, size_t len);

/* ---- the table, for showing and for tests ---- */

#define VMM_JAIL_CHECKS_MAX 2

/*
 * (argument & mask) == value. A mask within 32 bits compares the low half only, as the kernel does
 * for arguments of type int. A mask of 0: no check.
 */
struct vmm_jail_check {
	uint8_t arg; /* 0 to 5 */
	uint64_t mask;
	uint64_t value;
};

/* Allows one system call when all checks hold. Several rules of one number: any of them. */
struct vmm_jail_rule {
	uint32_t nr;      /* this architecture's number */
	const char *name; /* the kernel's */
	struct vmm_jail_check checks[VMM_JAIL_CHECKS_MAX];
};

struct vmm_jail_profile {
	const char *name;
	const struct vmm_jail_rule *rules;
	size_t rule_count;
};

/* Static, constant, never NULL for i below the count; any thread. */
size_t vmm_jail_profile_count(void);
const struct vmm_jail_profile *vmm_jail_profile_at(size_t i);
/* NULL: there is none of that name. */
const struct vmm_jail_profile *vmm_jail_profile_find(const char *name);
/* How many different system calls the profile allows at least one use of. */
size_t vmm_jail_profile_calls(const struct vmm_jail_profile *profile);

#ifdef __cplusplus
}
#endif

#endif
