/* SPDX-License-Identifier: MIT */
/*
 * Devices whose back end is somebody else's program, at a socket: file systems, and disks and
 * network cards with vhost_user. And what config.c has for the making of devices.
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

/* ---- config.c ---- */

/* -ENOSPC: there is no room for so many devices more. */
int vm_config_check_room(const struct vm_config *config, size_t more, struct vmm_error *err);
/* Checks the id, or makes one up. */
int vm_config_give_id(struct vm_config *config, char **id, const char *kind, struct vmm_error *err);
int vm_config_check_queue_size(uint64_t size, struct vmm_error *err);
/* "always", "never" or NULL. */
int vm_config_check_restart(const char *word, struct vmm_error *err);

/* The lists of devices in struct vm_config. */
enum vm_list {
	VM_LIST_DISKS,
	VM_LIST_NETS,
	VM_LIST_FS,
	VM_LIST_GPUS,
};
/* Takes the bytes of item over, which is of the list's type. -ENOMEM. */
int vm_config_append(struct vm_config *config, enum vm_list which, const void *item,
		     struct vmm_error *err);

/* ---- foreign.c ---- */

/* A path that a socket can have. -EINVAL with the field's name. */
int vm_config_check_socket(const char *field, const char *path, struct vmm_error *err);

#endif
