/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <fcntl.h>
#include <unistd.h>

static _Noreturn void run(char *const *words, int out)
{
	int null = open("/dev/null", O_RDWR);

	(void)setpgid(0, 0);
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
	(void)execv(words[0], words);
	_exit(127);
}

pid_t command_start(char *const *words, int *out)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		run(words, ends[1]);
	}
	(void)close(ends[1]);
	if (pid < 0) {
		(void)close(ends[0]);
		return -1;
	}
	*out = ends[0];
	return pid;
}
