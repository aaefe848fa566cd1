/* SPDX-License-Identifier: MIT */
/*
 * peers ROUNDS FILE: runs the commands of FILE in turns, ROUNDS times each, and prints how long
 * each took from exec to its first byte on standard output and to its end, and what numbers it
 * printed. FILE has a line for each: a name, a tab, and words separated by blanks. A command must
 * end by itself, with any status, and write something: anything, or lines "KEY NUMBER". A line that
 * begins with BAD is a failure.
 *
 * Output: NAME first|end|KEY MEDIAN QUARTILE QUARTILE, a line each; first and end in milliseconds.
 *
 * A run is repeated when other processes had more than FOREIGN_MAX of the machine meanwhile, up to
 * REPEATS times, and the least disturbed one counts; "foreign" is their share, in percent. Runs of
 * less than LONG_MS are too short for the kernel's count of idle time to say.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "idle.h"
#include "stats.h"

#define PEERS_MAX   8
#define WORDS_MAX   96
#define LINE_MAX    4096  /* of FILE */
#define TEXT_MAX    65536 /* of what a command says */
#define ROUNDS_MAX  1000
#define PATIENCE    60000 /* ms */
#define KEYS_MAX    8
#define KEY_MAX     16
#define FOREIGN_MAX 8.0 /* percent */
#define REPEATS     4
#define LONG_MS     200.0

/* What is known of one run: the first keys are these. */
enum {
	FIRST,
	END,
	FOREIGN,
	KNOWN,
};

struct run {
	char keys[KEYS_MAX][KEY_MAX];
	double values[KEYS_MAX];
	size_t count;
	char text[TEXT_MAX];
	size_t text_len;
};

struct peer {
	char line[LINE_MAX];
	const char *name;
	char *words[WORDS_MAX + 1];
	char keys[KEYS_MAX][KEY_MAX]; /* of the first run: all others must have the same */
	size_t count;
	double values[KEYS_MAX][ROUNDS_MAX];
};

static struct peer peers[PEERS_MAX];
static size_t count;

static void die(const char *what, const char *which)
{
	(void)fprintf(stderr, "peers: %s: %s\n", which, what);
	exit(1);
}

static void read_peers(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file) {
		die(strerror(errno), path);
	}
	while (count < PEERS_MAX && fgets(peers[count].line, LINE_MAX, file)) {
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

/* ---- one run ---- */

static void add(struct run *run, const char *key, double value)
{
	if (run->count < KEYS_MAX) {
		(void)snprintf(run->keys[run->count], KEY_MAX, "%s", key);
		run->values[run->count++] = value;
	}
}

/* What it has said so far, until its end or until it says nothing for too long. */
static void listen_to(struct run *run, const struct peer *p, pid_t pid, int fd, double began)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	char rest[TEXT_MAX];
	ssize_t got = 1;

	while (got > 0) {
		size_t room = sizeof(run->text) - 1 - run->text_len;

		if (poll(&ready, 1, PATIENCE) != 1) {
			(void)kill(-pid, SIGKILL);
			die("says nothing, and does not end", p->name);
		}
		got = room > 0 ? read(fd, run->text + run->text_len, room)
			       : read(fd, rest, sizeof(rest));
		if (got > 0 && run->text_len == 0) {
			run->values[FIRST] = now_ms() - began;
		}
		run->text_len += room > 0 && got > 0 ? (size_t)got : 0;
	}
	run->text[run->text_len] = '\0';
	if (run->text_len == 0) {
		die("says nothing", p->name);
	}
}

static void read_numbers(struct run *run, const struct peer *p)
{
	for (char *line = strtok(run->text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		char key[KEY_MAX];
		double value;

		if (strncmp(line, "BAD", 3) == 0) {
			die(line, p->name);
		}
		if (sscanf(line, "%15s %lf", key, &value) == 2) {
			add(run, key, value);
		}
	}
}

/* Processor time of all children so far. */
static double used_us(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_CHILDREN, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void run_once(struct run *run, const struct peer *p)
{
	double all = -1e3 * now_ms() * (double)sysconf(_SC_NPROCESSORS_ONLN);
	double foreign = idle_us() + used_us();
	double began;
	pid_t pid;
	int out;

	memset(run, 0, sizeof(*run));
	add(run, "first", 0);
	add(run, "end", 0);
	add(run, "foreign", 0);
	began = now_ms();
	pid = command_start(p->words, &out);
	if (pid < 0) {
		die(strerror(errno), p->name);
	}
	listen_to(run, p, pid, out, began);
	(void)waitpid(pid, NULL, 0);
	run->values[END] = now_ms() - began;
	(void)close(out);
	all += 1e3 * now_ms() * (double)sysconf(_SC_NPROCESSORS_ONLN);
	foreign += all - idle_us() - used_us();
	run->values[FOREIGN] = foreign > 0 ? 100 * foreign / all : 0;
	read_numbers(run, p);
}

/* Again and again, unless it was quiet. */
static void run_quietly(struct run *best, const struct peer *p)
{
	static struct run next;

	run_once(best, p);
	for (unsigned i = 1;
	     i < REPEATS && best->values[END] >= LONG_MS && best->values[FOREIGN] > FOREIGN_MAX;
	     i++) {
		run_once(&next, p);
		if (next.values[FOREIGN] < best->values[FOREIGN]) {
			*best = next;
		}
	}
}

static void note(struct peer *p, const struct run *run, unsigned round)
{
	if (p->count == 0) {
		memcpy(p->keys, run->keys, sizeof(p->keys));
		p->count = run->count;
	}
	if (run->count != p->count || memcmp(run->keys, p->keys, sizeof(p->keys)) != 0) {
		die("says other things than before", p->name);
	}
	for (size_t i = 0; i < run->count; i++) {
		p->values[i][round] = run->values[i];
	}
}

/* ---- all of them ---- */

static void print(struct peer *p, unsigned rounds)
{
	for (size_t i = 0; i < p->count; i++) {
		double *values = p->values[i];

		(void)printf("%s %s %.3f %.3f %.3f\n", p->name, p->keys[i],
			     quantile(values, rounds, 0.5), quantile(values, rounds, 0.25),
			     quantile(values, rounds, 0.75));
	}
}

int main(int argc, char **argv)
{
	unsigned rounds = argc == 3 ? (unsigned)atoi(argv[1]) : 0;
	static struct run run;

	if (rounds == 0 || rounds > ROUNDS_MAX) {
		(void)fprintf(stderr, "usage: peers ROUNDS FILE\n");
		return 2;
	}
	read_peers(argv[2]);
	/* The first of each is for the caches. */
	for (size_t i = 0; i < count; i++) {
		run_once(&run, &peers[i]);
	}
	for (unsigned round = 0; round < rounds; round++) {
		for (size_t i = 0; i < count; i++) {
			struct peer *p = &peers[(i + round) % count];

			run_quietly(&run, p);
			note(p, &run, round);
		}
	}
	for (size_t i = 0; i < count; i++) {
		print(&peers[i], rounds);
	}
	return 0;
}
