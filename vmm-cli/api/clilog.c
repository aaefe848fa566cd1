/* SPDX-License-Identifier: MIT */
#include "api/clilog.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define NS_PER_MS      UINT64_C(1000000)

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * NS_PER_MS + (uint64_t)ts.tv_nsec;
}

/* Any thread. */
static void sink(void *user, enum vmm_log_level level, const char *message)
{
	const struct cli_log *log = user;
	uint64_t ms = (now_ns() - log->start_ns) / NS_PER_MS;
	char line[LINE_MAX_BYTES];
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "%5llu.%03u ", (unsigned long long)(ms / 1000),
		       (unsigned)(ms % 1000));
	(void)!write(log->fd, line, vmm_log_line(line, sizeof(line), prefix, level, message));
}

void cli_log_init(struct cli_log *log, int fd, enum vmm_log_level level)
{
	log->log.level = level;
	log->log.sink = sink;
	log->log.user = log;
	log->fd = fd;
	log->start_ns = now_ns();
}
