/* SPDX-License-Identifier: MIT */
/* Between the two files that make up devices. */
#ifndef VMM_CLI_VM_RESTART_H
#define VMM_CLI_VM_RESTART_H

#include "vm/devices.h"

/* ---- devices.c ---- */

/* A process for dev, which is not connected yet. */
int vm_server_start(struct vm_server **out, struct vm_device *dev, void (*on_end)(void *ctx),
		    struct vmm_error *err);
/* Kills it if need be; NULL is a no-op. */
void vm_server_end(struct vm_server *s);

/* ---- restart.c ---- */

/* The first process of dev. */
int vm_device_start(struct vm_device *dev, struct vmm_error *err);
/* The vm process has its socket. */
void vm_device_handed_over(struct vm_device *dev);

#endif
