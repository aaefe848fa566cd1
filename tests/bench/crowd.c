/* SPDX-License-Identifier: MIT */
/*
 * crowd COUNT COMMAND [ARGUMENT...]: starts a command COUNT times, each when the one before has
 * written its first byte to standard output, and prints for each its process id and how many
 * milliseconds that took. Ends them (SIGTERM) when its standard input does, and exits 0 when all of
 * them were there until then.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 1000
#define PATIENCE  20000 /* ms */

static struct member {
	pid_t pid;
	int out;
} members[COUNT_MAX];

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void run_child(char **words, int out)
{
	int null = open("/dev/null", O_RDWR);

	(void)dup2(null, STDIN_FILENO);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
	(void)execv(words[0], words);
	_exit(127);
}

/* False when it said nothing. */
static int start(struct member *m, char **words)
{
	struct pollfd ready;
	double began;
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		return 0;
	}
	began = now_ms();
	m->pid = fork();
	if (m->pid == 0) {
		run_child(words, ends[1]);
	}
	(void)close(ends[1]);
	m->out = ends[0];
	ready = (struct pollfd){.fd = ends[0], .events = POLLIN};
	if (poll(&ready, 1, PATIENCE) != 1 || read(ends[0], &byte, 1) != 1) {
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
