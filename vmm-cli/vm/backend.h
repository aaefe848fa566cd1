/* SPDX-License-Identifier: MIT */
/* Consoles' and logs' back ends, for all bodies. */
#ifndef VMM_CLI_VM_BACKEND_H
#define VMM_CLI_VM_BACKEND_H

#include <vmm/dev/chardev.h>

#include "vm/body.h"

/*
 * What console's mode asks for, NULL for nowhere: a pty (whose path is entered in console), a
 * bounded log, the terminal. input: the terminal is also read.
 */
int vm_backend_open(struct vmm_chardev **out, struct vm_console *console,
		    const struct vm_body_config *config, bool input, struct vmm_error *err);

#endif
