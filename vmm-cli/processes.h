/* SPDX-License-Identifier: MIT */
/* What the kernel says of a VM's processes (vmm-cli info --processes). */
#ifndef VMM_CLI_PROCESSES_H
#define VMM_CLI_PROCESSES_H

#include <jansson.h>

/*
 * Adds to each object of a list (the answer to vm.processes) what /proc and the table of system
 * calls say of it; what may not be looked at is left out.
 */
void processes_inspect(json_t *list);

/* The list for people, on standard output. */
void processes_print(const json_t *list);

#endif
