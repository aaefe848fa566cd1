/* SPDX-License-Identifier: MIT */
/*
 * counted COMMAND...: a mark right before its exec, and one when it has been reaped. Ends as it
 * does. Linked to an address, so that none of its own instructions look like a VMM's (plugin.c).
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mark.h"

int main(int argc, char **argv)
{
	bool in_guest = argc > 1 && strcmp(argv[1], "-g") == 0;
	char **command = argv + (in_guest ? 2 : 1);
	int status = 0;
	pid_t pid;

	if (argc < 2 || !*command) {
		(void)fputs("usage: counted [-g] COMMAND...\n", stderr);
		return 2;
	}
	pid = fork();
	if (pid == 0) {
		if (in_guest) {
			MARK(MARK_GUEST);
		} else {
			MARK(MARK_BEGIN);
		}
		(void)execv(*command, command);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("counted");
		return 126;
	}
	if (in_guest) {
		MARK(MARK_GUEST + 1);
	} else {
		MARK(MARK_END);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
