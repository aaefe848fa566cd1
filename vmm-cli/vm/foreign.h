/* SPDX-License-Identifier: MIT */
/* Devices served by somebody else's program: what the guest is to see of them, and the connection.
 */
#ifndef VMM_CLI_VM_FOREIGN_H
#define VMM_CLI_VM_FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/dev/shape.h>
#include <vmm/error.h>

#include "config/config.h"

/* Bytes of configuration space at most. */
#define VM_FOREIGN_SPACE 64u

struct vm_foreign {
	const char *socket; /* borrowed from the configuration */
	struct vmm_dev_shape shape;
	uint16_t queue_sizes[1 + VM_FS_QUEUES_MAX];
	/* As in struct vmm_vhost_frontend_config. */
	uint8_t space[VM_FOREIGN_SPACE];
	uint64_t features;
	uint64_t own_features;
	bool shm_any;
};

/* f must not move afterwards: its shape points into it. */
void vm_foreign_disk(struct vm_foreign *f, const struct vm_disk *disk);
void vm_foreign_net(struct vm_foreign *f, const struct vm_net *net);
void vm_foreign_fs(struct vm_foreign *f, const struct vm_fs *fs);

/* A connection, close-on-exec, the caller's; or -errno, err names the path. */
int vm_foreign_connect(const struct vm_foreign *f, struct vmm_error *err);

#endif
