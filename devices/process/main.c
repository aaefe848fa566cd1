/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage_error(const char *kind, const struct vmm_error *err)
{
	(void)fprintf(stderr, "vmm-device%s%s: %s\nTry 'vmm-device --help'.\n", kind[0] ? " " : "",
		      kind, err->message);
	return STATUS_USAGE;
}

/* What goes for every kind. */
static int check_common(struct program *p, struct vmm_error *err)
{
	const char *isolation = program_value(p, "isolation");
	int ways = (program_fd(p, "fd") >= 0) + (program_fd(p, "listen-fd") >= 0) +
		   (program_value(p, "socket") != NULL);

	if (ways != 1) {
		return vmm_error_set(err, -EINVAL,
				     "one of --fd, --listen-fd and --socket is needed");
	}
	if (isolation && strcmp(isolation, "none") != 0) {
		return vmm_error_set(err, -EINVAL, "--isolation '%.40s': must be none", isolation);
	}
	p->isolated = !isolation;
	return p->kind->check ? p->kind->check(p, err) : 0;
}

/* Signals come by a descriptor: as process 1 of its namespace it would not get them otherwise. */
static void block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	/* A front end that has gone is seen by write. */
	(void)signal(SIGPIPE, SIG_IGN);
}

static void open_log(struct program *p)
{
	int fd = program_fd(p, "log-fd");
	int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

	if (flags >= 0) {
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	}
	if (fd < 0) {
		fd = fcntl(STDERR_FILENO, F_GETFD) < 0 ? -1 : STDERR_FILENO;
	}
	program_log_init(p, fd);
}

int main(int argc, char **argv)
{
	struct program p = {
		.kind = argc > 1 ? kind_find(argv[1]) : NULL, .log_fd = -1, .extra_fd = -1};
	struct vmm_error err = {0};
	int ret;

	if (argc > 1 && !p.kind && strcmp(argv[1], "--help") == 0) {
		help_print(NULL);
		return STATUS_OK;
	}
	if (!p.kind) {
		(void)vmm_error_set(&err, -EINVAL, "%s%.40s%s: a kind is one of %s",
				    argc > 1 ? "'" : "no kind", argc > 1 ? argv[1] : "",
				    argc > 1 ? "'" : "", help_kinds());
		return usage_error("", &err);
	}
	ret = program_parse(&p, argc - 1, argv + 1, &err);
	if (ret == OPTIONS_HELP) {
		help_print(p.kind);
		return STATUS_OK;
	}
	if (ret == 0) {
		ret = check_common(&p, &err);
	}
	if (ret < 0) {
		return usage_error(p.kind->name, &err);
	}
	open_log(&p);
	block_signals();
	ret = p.kind->open ? p.kind->open(&p, &err) : 0;
	if (ret < 0) {
		return program_fail(&p, &err);
	}
	return program_value(&p, "socket") ? program_run_outer(&p, argv[0]) : program_run(&p);
}
