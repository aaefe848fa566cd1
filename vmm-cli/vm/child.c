/* SPDX-License-Identifier: MIT */
#include "vm/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Above what systemd gives to containers (up to 0x6fffffff) and below what breaks programs that
 * take ids for signed: nobody's, see docs/decisions/0010. Process ids are below 2^22.
 */
#define UID_BASE UINT32_C(0x70000000)
/* "nobody", where ids that high do not exist. */
#define UID_NOBODY 65534u

#define MAP_LINE_MAX 80

/* ---- who ---- */

/* Is uid among those of a line of the map: first id, first id outside, how many? */
static bool is_in_range(const char *line, uint32_t uid)
{
	char *end;
	unsigned long first = strtoul(line, &end, 10);
	unsigned long count;

	(void)strtoul(end, &end, 10);
	count = strtoul(end, NULL, 10);
	return uid >= first && uid - first < count;
}

/* Does the id exist in this user namespace? */
static bool is_mapped(uint32_t uid)
{
	FILE *map = fopen("/proc/self/uid_map", "re");
	char line[MAP_LINE_MAX];
	bool found = false;

	if (!map) {
		return true; /* no user namespaces: all ids exist */
	}
	while (!found && fgets(line, sizeof(line), map)) {
		found = is_in_range(line, uid);
	}
	(void)fclose(map);
	return found;
}

int vm_nursery_init(struct vm_nursery *n, const struct vm_body_config *config,
		    struct vmm_error *err)
{
	uint32_t base = config->isolation.uid_base;

	memset(n, 0, sizeof(*n));
	n->loop = config->loop;
	n->log = config->log;
	n->uid = (base ? base : UID_BASE) + (uint32_t)getpid();
	if (geteuid() != 0 || is_mapped(n->uid)) {
		return 0;
	}
	if (!is_mapped(UID_NOBODY)) {
		return vmm_error_set(err, -EPERM,
				     "root has no other user here (users %u and %u do not exist): "
				     "choose one with --uid-base, or start it as a user",
				     (unsigned)n->uid, UID_NOBODY);
	}
	vmm_log(n->log, VMM_LOG_WARN,
		"there is no user %u here: processes of this VM are user %u, as those of others "
		"may be (--uid-base)",
		(unsigned)n->uid, UID_NOBODY);
	n->uid = UID_NOBODY;
	return 0;
}

/* ---- starting ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

static void on_pidfd(void *ctx, int fd, uint32_t events)
{
	struct vm_child *c = ctx;

	(void)fd;
	(void)events;
	c->on_end(c->ctx);
}

void vm_child_init(struct vm_child *c)
{
	memset(c, 0, sizeof(*c));
	c->socket = -1;
	c->log.fd = -1;
}

/* What is at hand while a child is started. */
struct birth {
	struct vmm_process_fd fds[CHILD_FDS_MAX + 2];
	int socket; /* the child's side */
	int log;
};

static int prepare(struct vm_child *c, struct birth *b, struct vm_nursery *n,
		   const struct vm_child_config *config, struct vmm_process_config *process,
		   struct vmm_error *err)
{
	int pair[2] = {-1, -1};
	int ret =
		socketpair(AF_UNIX, config->socket_type | SOCK_CLOEXEC, 0, pair) == 0 ? 0 : -errno;

	c->on_end = config->on_end;
	c->ctx = config->ctx;
	c->socket = pair[0];
	b->socket = pair[1];
	if (ret == 0) {
		ret = vm_childlog_open(&c->log, n->loop, n->log, &n->limit, config->name, &b->log);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "%s", config->name);
	}
	b->fds[0] = (struct vmm_process_fd){b->log, STDERR_FILENO};
	b->fds[1] = (struct vmm_process_fd){b->socket, CHILD_FD_SOCKET};
	for (size_t i = 0; i < config->fd_count; i++) {
		b->fds[i + 2] = (struct vmm_process_fd){config->fds[i], CHILD_FD_FIRST + (int)i};
	}
	*process = (struct vmm_process_config){
		.program = config->program,
		.argv = config->argv,
		.fds = b->fds,
		.fd_count = config->fd_count + 2,
		.uid = n->uid,
		.gid = (gid_t)n->uid,
	};
	return 0;
}

/* What starting several takes; one block of memory for each. */
struct births {
	struct birth *each;
	struct vmm_process_config *configs;
	struct vmm_process *processes;
};

static int run(const struct births *b, struct vm_child *const *children, struct vm_nursery *n,
	       const struct vm_child_config *configs, size_t count, size_t *failed,
	       struct vmm_error *err)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < count; i++) {
		*failed = i;
		ret = prepare(children[i], &b->each[i], n, &configs[i], &b->configs[i], err);
	}
	if (ret == 0) {
		ret = vmm_process_spawn_all(b->processes, b->configs, count, failed, err);
	}
	for (size_t i = 0; ret == 0 && i < count; i++) {
		children[i]->process = b->processes[i];
	}
	for (size_t i = 0; ret == 0 && i < count; i++) {
		*failed = i;
		ret = vmm_loop_add_fd(n->loop, children[i]->process.pidfd, VMM_LOOP_READABLE,
				      on_pidfd, children[i], &children[i]->ended);
	}
	return ret;
}

int vm_children_start(struct vm_child *const *children, struct vm_nursery *n,
		      const struct vm_child_config *configs, size_t count, size_t *failed,
		      struct vmm_error *err)
{
	struct births b = {
		.each = calloc(count, sizeof(*b.each)),
		.configs = calloc(count, sizeof(*b.configs)),
		.processes = calloc(count, sizeof(*b.processes)),
	};
	int ret = -ENOMEM;

	*failed = 0;
	for (size_t i = 0; i < count; i++) {
		vm_child_init(children[i]);
	}
	if (b.each && b.configs && b.processes) {
		for (size_t i = 0; i < count; i++) {
			b.each[i].socket = -1;
			b.each[i].log = -1;
		}
		ret = run(&b, children, n, configs, count, failed, err);
		for (size_t i = 0; i < count; i++) {
			close_fd(&b.each[i].socket);
			close_fd(&b.each[i].log);
		}
	} else {
		(void)vmm_error_set(err, ret, "out of memory");
	}
	free(b.each);
	free(b.configs);
	free(b.processes);
	for (size_t i = 0; ret < 0 && i < count; i++) {
		vm_child_end(children[i]);
	}
	return ret;
}

int vm_child_start(struct vm_child *c, struct vm_nursery *n, const struct vm_child_config *config,
		   struct vmm_error *err)
{
	size_t failed;

	return vm_children_start(&c, n, config, 1, &failed, err);
}

/* ---- ending ---- */

/* What is left of one that is gone. */
static void clear(struct vm_child *c)
{
	vmm_source_remove(c->ended);
	c->ended = NULL;
	vm_childlog_close(&c->log);
	close_fd(&c->socket);
}

/* A source has to go before its descriptor does. */
static bool has_ended(const struct vm_child *c, int timeout_ms)
{
	struct pollfd p = {.fd = c->process.pidfd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

int vm_child_wait(struct vm_child *c, int timeout_ms, int *status)
{
	*status = 0;
	if (c->process.pid == 0) {
		return 1;
	}
	if (!has_ended(c, timeout_ms)) {
		return 0;
	}
	vmm_source_remove(c->ended);
	c->ended = NULL;
	(void)vmm_process_wait(&c->process, -1, status);
	clear(c);
	return 1;
}

void vm_child_end(struct vm_child *c)
{
	vmm_source_remove(c->ended);
	c->ended = NULL;
	vmm_process_kill(&c->process);
	clear(c);
}

const char *vm_child_status(int status, char *buf, size_t len)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		(void)snprintf(buf, len, "was killed for a system call that it may not make");
	} else if (WIFSIGNALED(status)) {
		(void)snprintf(buf, len, "was killed by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	} else {
		(void)snprintf(buf, len, "ended with status %d", WEXITSTATUS(status));
	}
	return buf;
}
