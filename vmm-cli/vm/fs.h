/* SPDX-License-Identifier: MIT */
/* File systems, which programs of others serve over vhost-user (VIRTIO 1.3, section 5.11). */
#ifndef VMM_CLI_VM_FS_H
#define VMM_CLI_VM_FS_H

#include <vmm/dev/shape.h>

#include "config/config.h"

/* A tag and a number of queues. */
#define VM_FS_SPACE_LEN 40u

struct vm_fs_shape {
	struct vmm_dev_shape shape;
	uint8_t space[VM_FS_SPACE_LEN];
};

void vm_fs_shape_of(struct vm_fs_shape *out, const struct vm_fs *fs);

/* A connection to fs->socket, close-on-exec, the caller's; or -errno, err names the path. */
int vm_fs_connect(const struct vm_fs *fs, struct vmm_error *err);

#endif
