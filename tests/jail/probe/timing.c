/* SPDX-License-Identifier: MIT */
/* What a jailed process costs: time until it is ready, and memory. */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STARTS 100

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* In kB; -1 where this process may not look. */
static long rollup(pid_t pid, const char *key)
{
	char path[64];
	char line[128];
	long value = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) == 0) {
			value = strtol(line + strlen(key), NULL, 10);
		}
	}
	if (f) {
		(void)fclose(f);
	}
	return value;
}

static bool start_one(struct jailed *j, int event, double *ms)
{
	char *argv[] = {(char[]){"jailprobe"}, (char[]){"inside"}, (char[]){"hang"},
			(char[]){"blk"}, NULL};
	struct vmm_process_fd fd = {event, FD_EVENT};
	double begin = now_ms();
	char byte;

	if (!probe_start(j, argv, &fd, 1)) {
		return false;
	}
	if (recv(j->result, &byte, 1, 0) != 1) {
		(void)probe_finish(j);
		return false;
	}
	*ms = now_ms() - begin;
	return true;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

int timing(void)
{
	double ms[STARTS];
	long pss = -1;
	long rss = -1;
	int event = eventfd(0, EFD_CLOEXEC);

	for (size_t i = 0; i < STARTS; i++) {
		struct jailed j;

		if (!start_one(&j, event, &ms[i])) {
			return PROBE_FAILED;
		}
		if (i == 0) {
			pss = rollup(j.process.pid, "Pss:");
			rss = rollup(j.process.pid, "Rss:");
		}
		(void)send(j.result, "", 1, MSG_NOSIGNAL);
		if (probe_finish(&j) != 0) {
			return PROBE_FAILED;
		}
	}
	qsort(ms, STARTS, sizeof(ms[0]), by_value);
	printf("figure: jailed process: starts %d, p50 %.2f ms, p99 %.2f ms", STARTS,
	       ms[STARTS / 2], ms[STARTS * 99 / 100]);
	if (pss >= 0) {
		printf(", RSS %ld kB, PSS %ld kB", rss, pss);
	}
	printf("\n");
	return PROBE_OK;
}

int hang(void)
{
	struct jailed j;
	double ms;
	char byte;

	if (!start_one(&j, eventfd(0, EFD_CLOEXEC), &ms)) {
		return PROBE_FAILED;
	}
	printf("%d\n", (int)j.process.pid);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0) {
	}
	(void)send(j.result, "", 1, MSG_NOSIGNAL);
	return probe_finish(&j) == 0 ? PROBE_OK : PROBE_FAILED;
}
