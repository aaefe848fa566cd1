/* SPDX-License-Identifier: MIT */
/* Which processes are started, how, and with how much less where the kernel refuses; see launch.c.
 */
#include <vmm/process.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"
#include "launch.h"
#include "uapi.h"

#define FD_NUMBER_MAX 1023

static const char *const step_words[] = {
	[LAUNCH_START] = "cannot be started",
	[LAUNCH_FDS] = "descriptors cannot be put in place",
	[LAUNCH_USER] = "cannot become the user",
	[LAUNCH_CLONE] = "cannot make its namespaces",
	[LAUNCH_IDS] = "cannot map its user",
	[LAUNCH_CAPS] = "cannot keep capabilities",
	[LAUNCH_PARENT] = "nobody waits for it",
	[LAUNCH_EXEC] = "cannot be executed",
};

#define OTHER_SPACES \
	((uint64_t)(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP))

/*
 * From the best to none. The second is for root where user namespaces are refused: the process id
 * namespace is the one that a process cannot make for itself, vmm_jail_enter makes the others.
 */
static const uint64_t rungs[] = {
	(uint64_t)CLONE_NEWUSER | CLONE_NEWPID | OTHER_SPACES,
	(uint64_t)CLONE_NEWPID,
	0,
};

#define RUNGS (sizeof(rungs) / sizeof(rungs[0]))

/* ---- one of them ---- */

static bool is_place(const struct launch *l, int to)
{
	for (size_t i = 0; i < l->place_count; i++) {
		if (l->places[i].to == to) {
			return true;
		}
	}
	return false;
}

static int add_place(struct launch *l, int from, int to)
{
	if (to < 0 || to > FD_NUMBER_MAX || is_place(l, to)) {
		return -EINVAL;
	}
	l->places[l->place_count++] = (struct vmm_process_fd){from, to};
	if (to >= l->top) {
		l->top = to + 1;
	}
	return 0;
}

static int plan_places(struct launch *l, int null, struct vmm_error *err)
{
	const struct vmm_process_config *config = l->config;
	int ret;

	l->top = LAUNCH_STDIO_FDS;
	for (size_t i = 0; i < config->fd_count; i++) {
		const struct vmm_process_fd *fd = &config->fds[i];

		if (fcntl(fd->from, F_GETFD) < 0) {
			return vmm_error_set(err, -EBADF, "%s: descriptor %d is not open",
					     config->program, fd->from);
		}
		ret = add_place(l, fd->from, fd->to);
		if (ret < 0) {
			return vmm_error_set(err, ret, "%s: descriptor number %d is bad or twice",
					     config->program, fd->to);
		}
	}
	for (int to = 0; to < LAUNCH_STDIO_FDS; to++) {
		if (!is_place(l, to)) {
			(void)add_place(l, null, to);
		}
	}
	return 0;
}

static int check(const struct vmm_process_config *config, struct vmm_error *err)
{
	if (!config->program || !config->argv || !config->argv[0]) {
		return vmm_error_set(err, -EINVAL, "no program to start");
	}
	if (config->fd_count > VMM_PROCESS_FDS_MAX) {
		return vmm_error_set(err, -EINVAL, "%s: more than %d descriptors", config->program,
				     VMM_PROCESS_FDS_MAX);
	}
	if (geteuid() == 0 && config->uid == 0) {
		return vmm_error_set(err, -EINVAL, "%s: not as root", config->program);
	}
	return 0;
}

static int open_pidfd(struct vmm_process *out, pid_t pid, const char *program,
		      struct vmm_error *err)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int ret = -errno;

	if (fd < 0) {
		(void)kill(pid, SIGKILL);
		vmm_launch_reap(pid);
		return vmm_error_wrap(err, ret, "%s: no pidfd", program);
	}
	*out = (struct vmm_process){.pid = pid, .pidfd = fd};
	return 0;
}

/* What can be known before anything is started. On failure too the launch is to be cleaned up. */
static int prepare(struct launch *l, const struct vmm_process_config *config, int null,
		   struct vmm_error *err)
{
	int ret = check(config, err);

	l->config = config;
	l->root = geteuid() == 0;
	if (ret == 0) {
		ret = plan_places(l, null, err);
	}
	if (ret == 0) {
		l->program = open(config->program, O_PATH | O_CLOEXEC);
		ret = l->program < 0 ? vmm_error_wrap(err, -errno, "%s", config->program) : 0;
	}
	return ret;
}

static void clean_up(struct launch *l)
{
	if (l->program >= 0) {
		(void)close(l->program);
	}
}

/* Refused for good, that is: what is short for a moment is no reason to do with less. */
static bool next_rung_may_help(const struct launch_report *failure)
{
	bool refusal = failure->step == LAUNCH_CLONE || failure->step == LAUNCH_IDS ||
		       failure->step == LAUNCH_CAPS;

	return refusal && failure->error != EAGAIN && failure->error != ENOMEM &&
	       failure->error != EMFILE;
}

static int begin(struct launch *l, const struct launch *others, size_t other_count,
		 struct vmm_error *err)
{
	int ret;

	l->spaces = rungs[l->config->no_namespaces ? RUNGS - 1 : 0];
	ret = vmm_launch_begin(l, others, other_count);
	return ret < 0 ? vmm_error_wrap(err, ret, "%s: %s", l->config->program,
					step_words[LAUNCH_START])
		       : 0;
}

/* Of what was begun; where the kernel refuses, with less. */
static int finish(struct launch *l, const struct launch *others, size_t other_count,
		  struct vmm_process *out, struct vmm_error *err)
{
	struct launch_report failure;
	pid_t pid = 0;
	int ret = vmm_launch_end(l, &pid, &failure);

	for (size_t i = 1; ret < 0 && i < RUNGS; i++) {
		if (l->config->no_namespaces || !next_rung_may_help(&failure)) {
			break;
		}
		l->spaces = rungs[i];
		failure = (struct launch_report){.step = LAUNCH_START};
		ret = vmm_launch_begin(l, others, other_count);
		if (ret == 0) {
			ret = vmm_launch_end(l, &pid, &failure);
		}
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "%s: %s", l->config->program,
				      step_words[failure.step]);
	}
	return open_pidfd(out, pid, l->config->program, err);
}

/* ---- several ---- */

/* All under way at the same time, so that they are waited for together. */
static int run(struct launch *launches, size_t count, struct vmm_process *out, size_t *failed,
	       struct vmm_error *err)
{
	size_t begun = 0;
	int ret = 0;

	while (ret == 0 && begun < count) {
		ret = begin(&launches[begun], launches, begun, err);
		*failed = begun;
		begun += ret == 0;
	}
	for (size_t i = 0; i < begun; i++) {
		/* Also after a failure: what was begun has to be ended. */
		int own = finish(&launches[i], launches, begun, &out[i], ret == 0 ? err : NULL);

		if (ret == 0 && own < 0) {
			*failed = i;
			ret = own;
		}
	}
	return ret;
}

/* As struct launch has it. All of them where it cannot be known. */
static uint64_t ignored_signals(void)
{
	static const char field[] = "\nSigIgn:";
	char text[4096];
	const char *found = NULL;

	if (vmm_jail_read_file("/proc/self/status", text, sizeof(text)) > 0) {
		found = strstr(text, field);
	}
	/* Long lists of groups come before it, and may leave no room for the whole line. */
	if (!found || !strchr(found + 1, '\n')) {
		return UINT64_MAX;
	}
	return strtoull(found + strlen(field), NULL, 16);
}

/* Nothing of this process's may run in its copies, a handler for instance. */
static int with_signals_blocked(struct launch *launches, size_t count, struct vmm_process *out,
				size_t *failed, struct vmm_error *err)
{
	uint64_t ignored = ignored_signals();
	sigset_t all;
	sigset_t before;
	int ret;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t i = 0; i < count; i++) {
		(void)sigemptyset(&launches[i].unblocked);
		launches[i].ignored = ignored;
	}
	ret = run(launches, count, out, failed, err);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static int spawn(struct launch *launches, const struct vmm_process_config *configs, size_t count,
		 struct vmm_process *out, size_t *failed, struct vmm_error *err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int ret = null < 0 ? vmm_error_wrap(err, -errno, "/dev/null") : 0;

	for (size_t i = 0; ret == 0 && i < count; i++) {
		*failed = i;
		ret = prepare(&launches[i], &configs[i], null, err);
	}
	if (ret == 0) {
		ret = with_signals_blocked(launches, count, out, failed, err);
	}
	if (null >= 0) {
		(void)close(null);
	}
	return ret;
}

int vmm_process_spawn_all(struct vmm_process *out, const struct vmm_process_config *configs,
			  size_t count, size_t *failed, struct vmm_error *err)
{
	struct launch *launches = calloc(count ? count : 1, sizeof(*launches));
	int ret;

	*failed = 0;
	for (size_t i = 0; i < count; i++) {
		out[i] = (struct vmm_process){.pid = 0};
	}
	if (!launches) {
		return vmm_error_set(err, -ENOMEM, "processes: out of memory");
	}
	for (size_t i = 0; i < count; i++) {
		launches[i].program = -1;
		launches[i].reading = -1;
	}
	ret = spawn(launches, configs, count, out, failed, err);
	for (size_t i = 0; i < count; i++) {
		clean_up(&launches[i]);
		if (ret < 0) {
			vmm_process_kill(&out[i]);
		}
	}
	free(launches);
	return ret;
}

int vmm_process_spawn(struct vmm_process *out, const struct vmm_process_config *config,
		      struct vmm_error *err)
{
	size_t failed;

	return vmm_process_spawn_all(out, config, 1, &failed, err);
}

/* ---- afterwards ---- */

int vmm_process_wait(struct vmm_process *p, int timeout_ms, int *status)
{
	struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};
	int ready;

	if (p->pid <= 0) {
		return -ECHILD;
	}
	ready = poll(&ended, 1, timeout_ms);
	if (ready <= 0) {
		return ready < 0 ? -errno : 0;
	}
	if (waitpid(p->pid, status, 0) < 0) {
		return -errno;
	}
	(void)close(p->pidfd);
	*p = (struct vmm_process){.pid = 0};
	return 1;
}

void vmm_process_kill(struct vmm_process *p)
{
	if (!p || p->pid <= 0) {
		return;
	}
	(void)syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	vmm_launch_reap(p->pid);
	(void)close(p->pidfd);
	*p = (struct vmm_process){.pid = 0};
}
