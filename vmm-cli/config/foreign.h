/* SPDX-License-Identifier: MIT */
/*
 * Devices whose back end is somebody else's program, at a socket: file systems, and disks and
 * network cards with vhost_user.
 */
#ifndef VMM_CLI_CONFIG_FOREIGN_H
#define VMM_CLI_CONFIG_FOREIGN_H

#include "config/config.h"

/* A device that names a socket: what the back end decides cannot be asked for here. -EINVAL. */
int vm_disk_check_foreign(const struct vm_disk *disk, struct vmm_error *err);
int vm_net_check_foreign(const struct vm_net *net, struct vmm_error *err);

/* The member "fs" of a VmConfig, which may be missing, and the same as JSON. */
int vm_fs_read_all(struct vm_config *config, const json_t *list, struct vmm_error *err);
json_t *vm_fs_write_all(const struct vm_config *config);

#endif
