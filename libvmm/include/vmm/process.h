/* SPDX-License-Identifier: MIT */
/*
 * Starting a program as a process of a VM that is to be jailed: with namespaces of its own, with
 * the descriptors it was given and no others, as nobody of importance, and dead when its parent is.
 * The program then calls vmm_jail_enter (<vmm/jail.h>), which does the rest from the inside.
 */
#ifndef VMM_PROCESS_H
#define VMM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <vmm/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_PROCESS_FDS_MAX 64

/* from: a descriptor of this process, borrowed. to: its number in the new one, 0 to 1023. */
struct vmm_process_fd {
	int from;
	int to;
};

/* Everything is borrowed for the call. */
struct vmm_process_config {
	/*
	 * A path, opened by the caller's rights and run by descriptor: the new user need not be
	 * able to look where it lies, only to execute the file itself. "/proc/self/exe" is this
	 * program.
	 */
	const char *program;
	char *const *argv;                /* NULL-terminated */
	char *const *envp;                /* NULL-terminated; NULL: an empty environment */
	const struct vmm_process_fd *fds; /* at most VMM_PROCESS_FDS_MAX, no `to` twice */
	size_t fd_count;
	/* Who the new process is when this one is root: not 0. Ignored when it is not. */
	uid_t uid;
	gid_t gid;
	bool no_namespaces; /* for debugging */
};

/* A running process. Zero-initialised: none. */
struct vmm_process {
	pid_t pid;
	int pidfd; /* owned; readable when it ended. Borrow it for an event loop */
};

/*
 * Starts the program. Descriptors: those of fds at their numbers, /dev/null at whichever of 0, 1
 * and 2 was not given, and nothing else. No signal is blocked or ignored; the session is its own;
 * the directory is "/". It gets SIGKILL when the thread that called this ends, so call it from one
 * that lives as long as the process.
 *
 * Namespaces, by what the kernel grants: user (one id, 0 inside), pid, mount, net, ipc, uts and
 * cgroup, made as the new user; else, for root, pid, with the two capabilities that vmm_jail_enter
 * needs for the others kept over exec; else none. What it became is seen by vmm_jail_enter and
 * reported there.
 *
 * The new process is a child of this one and has to be waited for (vmm_process_wait, or kill). It
 * is process 1 of its namespace: of signals from outside it only takes SIGKILL and those it has
 * handlers for.
 *
 * On failure *out is none and err says why, also when it is the new process that failed:
 * -EINVAL  no program or arguments, a bad descriptor number, uid 0
 * -EBADF   a descriptor that is not open
 * -ENOENT, -EACCES, -ENOEXEC, ...  of opening or executing the program
 * -EAGAIN, -ENOMEM, -EMFILE, -EPERM ...  of fork, clone3, pipe2, setresuid and so on
 */
int vmm_process_spawn(struct vmm_process *out, const struct vmm_process_config *config,
		      struct vmm_error *err);

/*
 * Starts count processes, as vmm_process_spawn does each, all at the same time: making namespaces
 * takes a kernel a good part of a millisecond for each process. All or none: on failure *failed is
 * the index of one that failed, and those that were started have been killed. configs and out:
 * arrays of count. Also -ENOMEM.
 */
int vmm_process_spawn_all(struct vmm_process *out, const struct vmm_process_config *configs,
			  size_t count, size_t *failed, struct vmm_error *err);

/*
 * Waits up to timeout_ms (0: looks; -1: for ever). 1: it ended, *status is waitpid's (may be NULL),
 * and *p is none again. 0: it is still there. -ECHILD: there is none, or somebody else has waited
 * for it; -EINTR.
 */
int vmm_process_wait(struct vmm_process *p, int timeout_ms, int *status);

/* SIGKILL, and waits for the end; *p is none then. A no-op when it is none already, or NULL. */
void vmm_process_kill(struct vmm_process *p);

#ifdef __cplusplus
}
#endif

#endif
