/* SPDX-License-Identifier: MIT */
/*
 * Where a VMM process says what happens: lines on stderr or in a file.
 */
#ifndef VMM_CLI_CLILOG_H
#define VMM_CLI_CLILOG_H

#include <stdint.h>

#include <vmm/log.h>

struct cli_log {
	struct vmm_log log; /* hand out &log */
	int fd;
	uint64_t start_ns;
};

/*
 * Lines of up to level go to fd, borrowed, each in one write:
 * "    1.234 warning: message" with the seconds since now.
 */
void cli_log_init(struct cli_log *log, int fd, enum vmm_log_level level);

#endif
