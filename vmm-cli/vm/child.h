/* SPDX-License-Identifier: MIT */
/* A child process of a VM: with a socket to talk by, its words in the log, its end noticed. */
#ifndef VMM_CLI_VM_CHILD_H
#define VMM_CLI_VM_CHILD_H

#include <vmm/process.h>

#include "vm/body.h"
#include "vm/childlog.h"

/* Numbers of descriptors in the child: standard error is the log. */
#define CHILD_FD_SOCKET 3
#define CHILD_FD_FIRST  4 /* of those that vary */
#define CHILD_FDS_MAX   4

/* What the children of one VM have in common. */
struct vm_nursery {
	struct vmm_loop *loop;
	const struct vmm_log *log;
	struct vm_childlog_limit limit;
	uid_t uid; /* of children, when this process is root */
};

struct vm_child {
	struct vmm_process process; /* pid 0: none */
	struct vmm_source *ended;
	struct vm_childlog log;
	int socket; /* this side of it; -1: none, or handed on */
	void (*on_end)(void *ctx);
	void *ctx;
};

struct vm_child_config {
	const char *name;          /* in the log; borrowed as long as the child lives */
	const char *program;       /* path */
	char *const *argv;         /* NULL-terminated */
	int socket_type;           /* SOCK_STREAM or SOCK_SEQPACKET */
	const int *fds;            /* borrowed; at CHILD_FD_FIRST and up in the child */
	size_t fd_count;           /* at most CHILD_FDS_MAX */
	void (*on_end)(void *ctx); /* it has ended; vm_child_wait tells how */
	void *ctx;
};

/*
 * Who the children will be, by the map of this process's user namespace; the log says what is
 * unusual. -EPERM, with words: this is root, and there is nobody else.
 */
int vm_nursery_init(struct vm_nursery *n, const struct vm_body_config *config,
		    struct vmm_error *err);

/* There is none. */
void vm_child_init(struct vm_child *c);
/* -errno with words. */
int vm_child_start(struct vm_child *c, struct vm_nursery *n, const struct vm_child_config *config,
		   struct vmm_error *err);
/*
 * count of them, started at the same time: all, or none, and then *failed is the index of one that
 * was not. count > 0.
 */
int vm_children_start(struct vm_child *const *children, struct vm_nursery *n,
		      const struct vm_child_config *configs, size_t count, size_t *failed,
		      struct vmm_error *err);
/*
 * Waits up to timeout_ms: 1 when the child has ended (*status is waitpid's; its last words are in
 * the log; what else there is of it is closed), 0 when it is still there. 1 also when there is
 * none.
 */
int vm_child_wait(struct vm_child *c, int timeout_ms, int *status);
/* Kills it if need be, and waits; what it had is closed. */
void vm_child_end(struct vm_child *c);
/* "was killed by signal 9 (Killed)", "ended with status 1"; returns buf. */
const char *vm_child_status(int status, char *buf, size_t len);

#endif
