/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512

/* One that finds a full pipe is lost. */
static void sink(void *user, enum vmm_log_level level, const char *message)
{
	const struct program *p = user;
	char line[LINE_MAX_BYTES];
	char prefix[32];

	if (p->log_fd >= 0) {
		(void)snprintf(prefix, sizeof(prefix),
			       "vmm-device %s: ", p->kind ? p->kind->name : "");
		(void)!write(p->log_fd, line,
			     vmm_log_line(line, sizeof(line), prefix, level, message));
	}
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
