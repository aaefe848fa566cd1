/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512

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

/* One write of one buffer keeps lines whole; one that finds a full pipe is lost. */
static void sink(void *user, enum vmm_log_level level, const char *message)
{
	const struct program *p = user;
	char line[LINE_MAX_BYTES];
	size_t len;
	int n;

	if (p->log_fd < 0) {
		return;
	}
	n = snprintf(line, sizeof(line), "vmm-device %s: %s%s", p->kind ? p->kind->name : "",
		     level_name(level), message);
	len = n < 0 ? 0 : (size_t)n;
	if (len > sizeof(line) - 2) {
		len = sizeof(line) - 2;
	}
	/* Names and paths are quoted in messages: none of them may steer a terminal. */
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
			line[i] = '?';
		}
	}
	line[len] = '\n';
	(void)!write(p->log_fd, line, len + 1);
}

void program_log_init(struct program *p, int fd)
{
	p->log_fd = fd;
	p->log.level = program_flag(p, "verbose") ? VMM_LOG_DEBUG : VMM_LOG_INFO;
	p->log.sink = sink;
	p->log.user = p;
}

int program_fail(const struct program *p, const struct vmm_error *err)
{
	vmm_log(&p->log, VMM_LOG_ERROR, "%s", err->message);
	return STATUS_FAILED;
}
