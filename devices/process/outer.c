/* SPDX-License-Identifier: MIT */
/*
 * A socket by path, for use by hand: this process opens everything and listens, and a child, which
 * has nothing but descriptors and a process namespace of its own, does the rest. This one passes
 * on signals and what the child has to say, and removes the path.
 */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vmm/process.h>

#define NOBODY     65534u
#define ID_MAX     UINT64_C(0xfffffffe)
#define FIRST_FD   3
#define NUMBER_LEN 12
#define PATIENCE   3000 /* ms for a child that was asked to end */

struct outer {
	struct program *p;
	const char *path;
	int listen_fd;
	int log_pipe; /* to read from */
	int log_fd;   /* the child's end */
	int signal_fd;
	struct vmm_process child;
};

/* ---- the socket ---- */

static bool is_dead(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0 &&
		    errno == ECONNREFUSED;

	if (fd >= 0) {
		(void)close(fd);
	}
	return dead;
}

static int bind_path(int fd, const struct sockaddr_un *addr)
{
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0) {
		return 0;
	}
	/* One that a process left behind which was killed. */
	if (errno != EADDRINUSE || !is_dead(addr) || unlink(addr->sun_path) != 0) {
		return -EADDRINUSE;
	}
	return bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ? 0 : -errno;
}

static int listen_at(struct outer *o, struct vmm_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int ret;

	if (strlen(o->path) >= sizeof(addr.sun_path)) {
		return vmm_error_set(err, -ENAMETOOLONG, "'%.80s...': at most %zu bytes", o->path,
				     sizeof(addr.sun_path) - 1);
	}
	memcpy(addr.sun_path, o->path, strlen(o->path));
	o->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = o->listen_fd < 0 ? -errno : bind_path(o->listen_fd, &addr);
	if (ret < 0) {
		o->path = NULL; /* not ours to remove */
	} else if (listen(o->listen_fd, 1) != 0) {
		ret = -errno;
	}
	return ret < 0 ? vmm_error_set(err, ret, "'%.100s': %s", addr.sun_path, strerror(-ret))
		       : program_add_fd(o->p, "listen-fd", o->listen_fd, err);
}

/* ---- the child ---- */

/* The command line again, with descriptors in place of paths, and their new numbers. */
struct command {
	char *argv[2 * GIVEN_MAX + 8];
	char names[GIVEN_MAX][64];
	char numbers[GIVEN_MAX][NUMBER_LEN];
	unsigned argc;
	struct vmm_process_fd fds[GIVEN_MAX];
	size_t fd_count;
};

static void add_given(struct command *c, unsigned i, const struct given *given)
{
	const struct option_spec *spec = given->spec;

	(void)snprintf(c->names[i], sizeof(c->names[i]), "--%s", spec->name);
	c->argv[c->argc++] = c->names[i];
	if (spec->type == OPTION_VALUE) {
		/* exec does not write to it. */
		memcpy(&c->argv[c->argc++], &given->value, sizeof(given->value));
	} else if (spec->type == OPTION_FD) {
		int to = FIRST_FD + (int)c->fd_count;

		(void)snprintf(c->numbers[i], sizeof(c->numbers[i]), "%d", to);
		c->argv[c->argc++] = c->numbers[i];
		c->fds[c->fd_count++] = (struct vmm_process_fd){given->fd, to};
	}
}

static void build_command(struct command *c, const struct program *p, char *self)
{
	memset(c, 0, sizeof(*c));
	c->argv[c->argc++] = self;
	memcpy(&c->argv[c->argc++], &p->kind->name, sizeof(p->kind->name));
	for (unsigned i = 0; i < p->given_count; i++) {
		if (!p->given[i].spec->outer) {
			add_given(c, i, &p->given[i]);
		}
	}
}

static int spawn(struct outer *o, char *self, struct vmm_error *err)
{
	struct command c;
	struct vmm_process_config config = {
		.program = "/proc/self/exe", .argv = c.argv, .fds = c.fds};
	uint64_t uid;
	uint64_t gid = NOBODY;
	int ret = program_number(o->p, "uid", 1, ID_MAX, NOBODY, &uid, err);

	if (ret == 0) {
		ret = program_number(o->p, "gid", 1, ID_MAX, NOBODY, &gid, err);
	}
	if (ret < 0) {
		return ret;
	}
	build_command(&c, o->p, self);
	config.fd_count = c.fd_count;
	config.uid = (uid_t)uid;
	config.gid = (gid_t)gid;
	return vmm_process_spawn(&o->child, &config, err);
}

/* ---- until its end ---- */

/* The child may be in somebody else's hands by now: what it says must not steer a terminal. */
static bool relay(const struct outer *o)
{
	char text[1024];
	ssize_t got = read(o->log_pipe, text, sizeof(text));

	if (got <= 0) {
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	}
	for (ssize_t i = 0; i < got; i++) {
		if (((unsigned char)text[i] < ' ' && text[i] != '\n') || text[i] == 0x7f) {
			text[i] = '?';
		}
	}
	(void)!write(o->p->log_fd, text, (size_t)got);
	return true;
}

/* Asks the child to end, if a signal says so; how long it has for that. */
static int pass_signal(const struct outer *o, int timeout)
{
	struct signalfd_siginfo info;

	if (read(o->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
		return timeout;
	}
	(void)kill(o->child.pid, SIGTERM);
	return PATIENCE;
}

static int wait_for_child(struct outer *o)
{
	struct pollfd fds[] = {
		{.fd = o->child.pidfd, .events = POLLIN},
		{.fd = o->signal_fd, .events = POLLIN},
		{.fd = o->log_pipe, .events = POLLIN},
	};
	int timeout = -1;
	int status = 0;

	while (fds[0].revents == 0) {
		int ret = poll(fds, 3, timeout);

		if (ret == 0) {
			vmm_process_kill(&o->child);
			return STATUS_FAILED;
		}
		if (fds[1].revents) {
			timeout = pass_signal(o, timeout);
		}
		if (fds[2].revents && !relay(o)) {
			fds[2].fd = -1;
		}
	}
	while (fds[2].fd >= 0 && poll(&fds[2], 1, 0) == 1 && relay(o)) {
	}
	if (vmm_process_wait(&o->child, -1, &status) == 1 && WIFEXITED(status)) {
		return WEXITSTATUS(status);
	}
	vmm_log(&o->p->log, VMM_LOG_ERROR, "the device was killed by signal %d", WTERMSIG(status));
	return STATUS_FAILED;
}

static int open_log(struct outer *o, struct vmm_error *err)
{
	int ends[2];

	/* A limit for the size of files would cut off a log that is one. */
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		return vmm_error_set(err, -errno, "pipe: %s", strerror(errno));
	}
	o->log_pipe = ends[0];
	o->log_fd = ends[1];
	for (unsigned i = 0; i < o->p->given_count; i++) {
		if (strcmp(o->p->given[i].spec->name, "log-fd") == 0) {
			o->p->given[i].fd = o->log_fd;
			return 0;
		}
	}
	return program_add_fd(o->p, "log-fd", o->log_fd, err);
}

static int open_signals(struct outer *o, struct vmm_error *err)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	o->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return o->signal_fd < 0 ? vmm_error_set(err, -errno, "signals: %s", strerror(errno)) : 0;
}

static void close_fd(int fd)
{
	if (fd >= 0) {
		(void)close(fd);
	}
}

int program_run_outer(struct program *p, char *self)
{
	struct outer o = {
		.p = p,
		.path = program_value(p, "socket"),
		.listen_fd = -1,
		.log_pipe = -1,
		.log_fd = -1,
		.signal_fd = -1,
	};
	struct vmm_error err = {0};
	int status;
	int ret = open_signals(&o, &err);

	if (ret == 0) {
		ret = open_log(&o, &err);
	}
	if (ret == 0) {
		ret = listen_at(&o, &err);
	}
	if (ret == 0 && p->isolated) {
		ret = spawn(&o, self, &err);
	}
	if (ret < 0) {
		status = program_fail(p, &err);
	} else if (p->isolated) {
		close_fd(o.log_fd);
		o.log_fd = -1;
		status = wait_for_child(&o);
	} else {
		status = program_run(p);
	}
	if (o.path) {
		(void)unlink(o.path);
	}
	close_fd(o.log_pipe);
	close_fd(o.log_fd);
	close_fd(o.signal_fd);
	close_fd(o.listen_fd);
	return status;
}
