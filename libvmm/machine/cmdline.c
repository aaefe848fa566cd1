/* SPDX-License-Identifier: MIT */
#include "machine/machine.h"

#include <errno.h>
#include <string.h>

int vmm_machine_check_cmdline(const char *cmdline, struct vmm_error *err)
{
	size_t len = strlen(cmdline);

	if (len > VMM_MACHINE_CMDLINE_MAX) {
		return vmm_error_set(err, -E2BIG,
				     "the command line has %zu bytes, at most %u are possible", len,
				     VMM_MACHINE_CMDLINE_MAX);
	}
	return 0;
}
