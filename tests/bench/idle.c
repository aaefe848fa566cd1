/* SPDX-License-Identifier: MIT */
#include "idle.h"

#include <stdio.h>
#include <unistd.h>

double idle_us(void)
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
