/* SPDX-License-Identifier: MIT */
/* Opening what a configuration names, for all bodies. */
#ifndef VMM_CLI_VM_FILES_H
#define VMM_CLI_VM_FILES_H

#include <vmm/dev/disk.h>
#include <vmm/error.h>

#include "config/config.h"

/* "(descriptor)" when the file has no path. */
const char *vm_file_name(const struct vm_file *file);

/* A descriptor, the caller's, of a kernel or the like (`what`): a regular file, or -errno. */
int vm_file_open(const struct vm_file *file, const char *what, struct vmm_error *err);

/* The disk behind a path or a copy of its descriptor. */
int vm_disk_open(struct vmm_disk **out, const struct vm_disk *disk, enum vmm_disk_engine engine,
		 struct vmm_error *err);

#endif
