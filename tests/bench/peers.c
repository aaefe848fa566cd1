/* SPDX-License-Identifier: MIT */
/*
 * peers ROUNDS FILE: runs the commands of FILE in turns, ROUNDS times each, and prints how long
 * each took from exec to its first byte on standard output and to its end. FILE has a line for
 * each: a name, a tab, and words separated by blanks. A command must end by itself, with any
 * status, and write something.
 *
 * Output: NAME first|end MEDIAN QUARTILE QUARTILE (milliseconds), a line each.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PEERS_MAX  8
#define WORDS_MAX  96
#define TEXT_MAX   4096
#define ROUNDS_MAX 1000
#define PATIENCE   20000 /* ms */

struct peer {
	char line[TEXT_MAX];
	const char *name;
	char *words[WORDS_MAX + 1];
	double first[ROUNDS_MAX];
	double end[ROUNDS_MAX];
};

static struct peer peers[PEERS_MAX];
static size_t count;

static void die(const char *what, const char *which)
{
	(void)fprintf(stderr, "peers: %s: %s\n", which, what);
	exit(1);
}

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void read_peers(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file) {
		die(strerror(errno), path);
	}
	while (count < PEERS_MAX && fgets(peers[count].line, TEXT_MAX, file)) {
		struct peer *p = &peers[count++];
		char *rest = strchr(p->line, '\t');
		size_t words = 0;

		if (!rest) {
			die("a line without a tab", path);
		}
		*rest++ = '\0';
		p->name = p->line;
		for (char *word = strtok(rest, " \n"); word && words < WORDS_MAX;
		     word = strtok(NULL, " \n")) {
			p->words[words++] = word;
		}
	}
	(void)fclose(file);
}

/* The child's side: standard output is the pipe, all else is nothing. */
static void run_child(const struct peer *p, int out)
{
	int null = open("/dev/null", O_RDWR);

	(void)dup2(null, STDIN_FILENO);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
	(void)execv(p->words[0], p->words);
	_exit(127);
}

static void run_once(struct peer *p, unsigned round)
{
	struct pollfd ready;
	char bytes[256];
	int ends[2];
	double began;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		die(strerror(errno), "pipe");
	}
	began = now_ms();
	pid = fork();
	if (pid == 0) {
		run_child(p, ends[1]);
	}
	(void)close(ends[1]);
	ready = (struct pollfd){.fd = ends[0], .events = POLLIN};
	if (pid < 0 || poll(&ready, 1, PATIENCE) != 1 || read(ends[0], bytes, 1) != 1) {
		(void)kill(pid, SIGKILL);
		die("says nothing", p->name);
	}
	p->first[round] = now_ms() - began;
	while (poll(&ready, 1, PATIENCE) == 1 && read(ends[0], bytes, sizeof(bytes)) > 0) {
	}
	(void)waitpid(pid, NULL, 0);
	p->end[round] = now_ms() - began;
	(void)close(ends[0]);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *name, const char *what, double *values, unsigned rounds)
{
	qsort(values, rounds, sizeof(*values), compare);
	(void)printf("%s %s %.3f %.3f %.3f\n", name, what, values[rounds / 2], values[rounds / 4],
		     values[rounds * 3 / 4]);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc == 3 ? (unsigned)atoi(argv[1]) : 0;

	if (rounds == 0 || rounds > ROUNDS_MAX) {
		(void)fprintf(stderr, "usage: peers ROUNDS FILE\n");
		return 2;
	}
	read_peers(argv[2]);
	/* The first of each is for the caches. */
	for (size_t i = 0; i < count; i++) {
		run_once(&peers[i], 0);
	}
	for (unsigned round = 0; round < rounds; round++) {
		for (size_t i = 0; i < count; i++) {
			run_once(&peers[(i + round) % count], round);
		}
	}
	for (size_t i = 0; i < count; i++) {
		print(peers[i].name, "first", peers[i].first, rounds);
		print(peers[i].name, "end", peers[i].end, rounds);
	}
	return 0;
}
