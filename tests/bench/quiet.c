/* SPDX-License-Identifier: MIT */
/*
 * What else this machine does meanwhile: processor time that was neither idle nor the measured
 * threads' own. The kernel counts idle time in hundredths of a second, so a short while looks
 * noisier than it was.
 */
#include "bench.h"
#include "idle.h"

#include <stdio.h>
#include <unistd.h>

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
	double idle = idle_us();
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
