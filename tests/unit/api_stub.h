/* SPDX-License-Identifier: MIT */
/*
 * A VM of the library that runs nothing: the calls of <vmm/vm.h> the API makes, as a state
 * machine, so that every endpoint meets every state without KVM.
 */
#ifndef TESTS_UNIT_API_STUB_H
#define TESTS_UNIT_API_STUB_H

#include <vmm/vm.h>

struct stub {
	struct vmm_vm_config config; /* of the last vmm_vm_create */
	unsigned created;
	unsigned destroyed;
	unsigned reboots;
	unsigned buttons;
	int build_result; /* what building the next VM gives */
	int op_result;    /* what pause, resume, reboot and the button give */
};

extern struct stub stub;

/* The VM ends by itself. */
void stub_exit(enum vmm_exit_reason reason);

#endif
