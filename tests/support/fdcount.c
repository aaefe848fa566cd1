/* SPDX-License-Identifier: MIT */
#include "fdcount.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

unsigned fdcount(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	unsigned count = 0;

	if (!dir) {
		perror("/proc/self/fd");
		abort();
	}
	while ((entry = readdir(dir))) {
		count += entry->d_name[0] != '.';
	}
	(void)closedir(dir);
	return count - 1; /* the directory itself */
}
