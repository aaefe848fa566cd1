/* SPDX-License-Identifier: MIT */
/* Between the files that make up devices. */
#ifndef VMM_CLI_VM_RESTART_H
#define VMM_CLI_VM_RESTART_H

#include "vm/devices.h"

/* The vm process has its socket. */
void vm_device_handed_over(struct vm_device *dev);

#endif
