/* SPDX-License-Identifier: MIT */
/*
 * counted COMMAND...: a mark right before its exec, and one when it has been reaped. Ends as it
 * does. Linked to an address, so that none of its own instructions look like a VMM's (plugin.c).
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mark.h"

int main(int argc, char **argv)
{
	int status = 0;
	pid_t pid;

	if (argc < 2) {
		(void)fputs("usage: counted COMMAND...\n", stderr);
		return 2;
	}
	pid = fork();
	if (pid == 0) {
		MARK(MARK_BEGIN);
		(void)execv(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("counted");
		return 126;
	}
	MARK(MARK_END);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
