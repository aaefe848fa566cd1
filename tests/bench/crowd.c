/* SPDX-License-Identifier: MIT */
/*
 * crowd COUNT COMMAND [ARGUMENT...]: starts a command COUNT times, each when the one before has
 * written its first byte to standard output, and prints for each its process id and how many
 * milliseconds that took. Ends them (SIGTERM) when its standard input does, and exits 0 when all of
 * them were there until then.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"

#define COUNT_MAX 1000
#define PATIENCE  20000 /* ms */

static struct member {
	pid_t pid;
	int out;
} members[COUNT_MAX];

/* False when it said nothing. */
static int start(struct member *m, char **words)
{
	struct pollfd ready;
	double began = now_ms();
	char byte;

	m->pid = command_start(words, &m->out);
	ready = (struct pollfd){.fd = m->out, .events = POLLIN};
	if (m->pid < 0 || poll(&ready, 1, PATIENCE) != 1 || read(m->out, &byte, 1) != 1) {
		return 0;
	}
	(void)printf("%d %.3f\n", (int)m->pid, now_ms() - began);
	(void)fflush(stdout);
	return 1;
}

int main(int argc, char **argv)
{
	int count = argc > 2 ? atoi(argv[1]) : 0;
	int started = 0;
	int good = 1;
	char byte;

	if (count <= 0 || count > COUNT_MAX) {
		(void)fprintf(stderr, "usage: crowd COUNT COMMAND [ARGUMENT...]\n");
		return 2;
	}
	while (good && started < count) {
		good = start(&members[started++], argv + 2);
	}
	while (good && read(STDIN_FILENO, &byte, 1) > 0) {
	}
	for (int i = 0; i < started; i++) {
		good &= waitpid(members[i].pid, NULL, WNOHANG) == 0;
		(void)kill(members[i].pid, SIGTERM);
	}
	for (int i = 0; i < started; i++) {
		(void)waitpid(members[i].pid, NULL, 0);
	}
	return good ? 0 : 1;
}
