/* SPDX-License-Identifier: MIT */
/* What the makers of devices in a configuration have in common. */
#ifndef VMM_CLI_CONFIG_DEVICES_H
#define VMM_CLI_CONFIG_DEVICES_H

#include "config/config.h"

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
/* Empties all of them. */
void vm_config_finish_lists(struct vm_config *config);

/* -ENOSPC: there is no room for so many devices more. */
int vm_config_check_room(const struct vm_config *config, size_t more, struct vmm_error *err);
/* Checks the id, or makes one up. */
int vm_config_give_id(struct vm_config *config, char **id, const char *kind, struct vmm_error *err);

/* Fields that several have; -EINVAL with the field's name. "always", "never" or NULL: */
int vm_config_check_restart(const char *word, struct vmm_error *err);
int vm_config_check_queue_size(uint64_t size, struct vmm_error *err);
/* A path that a socket can have: */
int vm_config_check_socket(const char *field, const char *path, struct vmm_error *err);

#endif
