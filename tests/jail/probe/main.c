/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool probe_start(struct jailed *j, char *const *argv, const struct vmm_process_fd *fds,
		 size_t count)
{
	struct vmm_process_fd all[FDS_INSIDE] = {{0}};
	struct vmm_process_config config = {
		.program = "/proc/self/exe",
		.argv = argv,
		.fds = all,
		.fd_count = count + 2,
		.uid = PROBE_UID,
		.gid = PROBE_GID,
	};
	struct vmm_error err = {0};
	int sockets[2];
	int pipes[2];
	int ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0 ||
	    pipe2(pipes, O_CLOEXEC) != 0) {
		perror("jailprobe");
		return false;
	}
	/* Rather lose words than hang, when there is too much to say. */
	(void)fcntl(pipes[1], F_SETFL, O_NONBLOCK);
	all[0] = (struct vmm_process_fd){pipes[1], FD_TEXT};
	all[1] = (struct vmm_process_fd){sockets[1], FD_RESULT};
	for (size_t i = 0; i < count; i++) {
		all[i + 2] = fds[i];
	}
	ret = vmm_process_spawn(&j->process, &config, &err);
	(void)close(pipes[1]);
	(void)close(sockets[1]);
	if (ret < 0) {
		(void)close(pipes[0]);
		(void)close(sockets[0]);
		printf("jailprobe: %s\n", err.message);
		return false;
	}
	j->text = pipes[0];
	j->result = sockets[0];
	return true;
}

int probe_finish(struct jailed *j)
{
	char text[4096];
	int status = -1;
	ssize_t got;

	while ((got = read(j->text, text, sizeof(text))) > 0) {
		(void)fwrite(text, 1, (size_t)got, stdout);
	}
	(void)vmm_process_wait(&j->process, -1, &status);
	(void)close(j->text);
	(void)close(j->result);
	return status;
}

static void copy(char *to, size_t len, const char *from)
{
	(void)snprintf(to, len, "%s", from);
}

/* inside MODE PROFILE [LAUNCHER SIBLING PORT ABSTRACT PATH SECRET] */
static int inside(int argc, char **argv)
{
	struct outside o = {0};

	if (argc == 9) {
		o.launcher = atoi(argv[3]);
		o.sibling = atoi(argv[4]);
		o.tcp_port = atoi(argv[5]);
		copy(o.abstract, sizeof(o.abstract), argv[6]);
		copy(o.path, sizeof(o.path), argv[7]);
		copy(o.secret, sizeof(o.secret), argv[8]);
	}
	if (strcmp(argv[1], "sweep") == 0) {
		inside_sweep(argv[2]);
	}
	if (strcmp(argv[1], "escape") == 0) {
		inside_escape(argv[2], &o);
	}
	inside_hang(argv[2]);
}

static int command(const char *name)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} commands[] = {{"sweep", sweep}, {"escape", escape}, {"timing", timing}, {"hang", hang}};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			return commands[i].run();
		}
	}
	(void)fprintf(stderr, "usage: jailprobe [limited root|user] sweep|escape|timing|hang\n");
	return PROBE_USAGE;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "inside") == 0) {
		return inside(argc - 1, argv + 1);
	}
	/* Executed from a jail: the attempt to has succeeded. */
	if (argc == 2 && strcmp(argv[1], "escaped") == 0) {
		return 42;
	}
	if (argc == 4 && strcmp(argv[1], "limited") == 0) {
		if (!limit_user_namespaces(strcmp(argv[2], "user") == 0)) {
			printf("skipped: refusing user namespaces takes root and a user namespace\n");
			return PROBE_SKIPPED;
		}
		return command(argv[3]);
	}
	return argc == 2 ? command(argv[1]) : command("");
}
