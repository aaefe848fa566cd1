/* SPDX-License-Identifier: MIT */
/* Processes that serve devices. */
#ifndef VMM_CLI_VM_SERVER_H
#define VMM_CLI_VM_SERVER_H

#include "vm/devices.h"

/* A process for dev, which is not connected yet. */
int vm_server_start(struct vm_server **out, struct vm_device *dev, void (*on_end)(void *ctx),
		    struct vmm_error *err);
/*
 * One for each of count devices (more than none) of the same VM, at the same time: all, or none,
 * and then *failed is the index of one that could not be started.
 */
int vm_servers_start(struct vm_server **servers, struct vm_device *const *devices, size_t count,
		     void (*on_end)(void *ctx), size_t *failed, struct vmm_error *err);
/* Kills it if need be; NULL is a no-op. */
void vm_server_end(struct vm_server *s);

#endif
