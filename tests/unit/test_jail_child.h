/* SPDX-License-Identifier: MIT */
/*
 * The tests of the jail start themselves as the process to be jailed: "test_NAME --child MODE" does
 * what MODE says and talks over descriptor CHILD_FD, a SOCK_SEQPACKET socket.
 */
#ifndef TESTS_JAIL_CHILD_H
#define TESTS_JAIL_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <vmm/jail.h>
#include <vmm/process.h>

#define CHILD_FD 3
/* Who it is when the tests run as root: an id that nobody has. */
#define CHILD_UID 54321u
#define CHILD_GID 54322u

/*
 * Modes: "fds" sends one struct child_fd for each open descriptor; "exit" exits with 7; "signals"
 * sends the text of /proc/self/status; "enter" and "seal" do the jail, send a struct child_jail,
 * and wait for a byte; "hang" sends a byte and waits for one. Returns when argv does not ask for
 * it.
 */
void child_main(int argc, char **argv);

struct child_fd {
	int fd;
	unsigned long device;
	unsigned long inode;
};

struct child_jail {
	int ret;
	struct vmm_jail_level level; /* its profile means nothing here */
	char words[256];             /* of vmm_jail_describe */
	struct vmm_error err;
	long long ns; /* that enter took */
};

struct child {
	struct vmm_process process;
	int fd; /* the other end */
};

/* Starts this program as MODE. more are added to the socket; may be NULL. vmm_process_spawn's
 * result. */
int child_start(struct child *c, const char *mode, const struct vmm_process_fd *more, size_t count,
		struct vmm_error *err);
/* Lets it go on, waits for its end, gives waitpid's status. */
int child_finish(struct child *c);

/* The value of a line of /proc/PID/FILE that starts with key ("Seccomp:"), without white space
 * around. */
bool child_proc(pid_t pid, const char *file, const char *key, char *value, size_t len);

#endif
