/* SPDX-License-Identifier: MIT */
#include "api/clilog.h"

#include <stdio.h>
#include <string.h>
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

static const char *level_name(enum vmm_log_level level)
{
	switch (level) {
	case VMM_LOG_ERROR:
		return "error: ";
	case VMM_LOG_WARN:
		return "warning: ";
	case VMM_LOG_DEBUG:
		return "debug: ";
	case VMM_LOG_INFO:
		break;
	}
	return "";
}

/* Any thread: one write of one buffer keeps lines whole. */
static void sink(void *user, enum vmm_log_level level, const char *message)
{
	const struct cli_log *log = user;
	uint64_t ms = (now_ns() - log->start_ns) / NS_PER_MS;
	char line[LINE_MAX_BYTES];
	size_t len;
	size_t i;
	int n;

	n = snprintf(line, sizeof(line), "%5llu.%03u %s%s", (unsigned long long)(ms / 1000),
		     (unsigned)(ms % 1000), level_name(level), message);
	len = n < 0 ? 0 : (size_t)n;
	if (len > sizeof(line) - 2) {
		len = sizeof(line) - 2;
	}
	/* Names and paths are quoted in messages: none of them may steer a terminal. */
	for (i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
			line[i] = '?';
		}
	}
	line[len] = '\n';
	(void)!write(log->fd, line, len + 1);
}

void cli_log_init(struct cli_log *log, int fd, enum vmm_log_level level)
{
	log->log.level = level;
	log->log.sink = sink;
	log->log.user = log;
	log->fd = fd;
	log->start_ns = now_ns();
}
