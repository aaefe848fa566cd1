/* SPDX-License-Identifier: MIT */
/*
 * What else this machine does meanwhile: processor time that was neither idle nor the measured
 * threads' own. The kernel counts idle time in hundredths of a second, so a short while looks
 * noisier than it was.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static double read_idle_us(void)
{
	FILE *file = fopen("/proc/stat", "re");
	unsigned long long idle = 0;
	unsigned long long waiting = 0;
	char line[256];

	if (file && fgets(line, sizeof(line), file)) {
		(void)sscanf(line, "cpu %*u %*u %*u %llu %llu", &idle, &waiting);
	}
	if (file) {
		(void)fclose(file);
	}
	return (double)(idle + waiting) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

/* What a thread has run. */
static double read_run_us(pid_t tid)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)tid);
	file = fopen(path, "re");
	if (file) {
		(void)fscanf(file, "%llu", &ns);
		(void)fclose(file);
	}
	return (double)ns / 1e3;
}

double quiet_foreign_share(struct quiet *q)
{
	double processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
	double now = now_us();
	double idle = read_idle_us();
	double all = processors * (now - q->at);
	double foreign = all - (idle - q->idle);

	for (unsigned i = 0; i < QUIET_THREADS; i++) {
		double run = read_run_us(q->tids[i]);

		foreign -= run - q->run[i];
		q->run[i] = run;
	}
	q->at = now;
	q->idle = idle;
	return foreign < 0 ? 0 : foreign / all;
}
