/* SPDX-License-Identifier: MIT */
/* Graphics: the part of a VM's configuration that becomes virtio-gpu devices. */
#ifndef VMM_CLI_CONFIG_GPU_H
#define VMM_CLI_CONFIG_GPU_H

#include "config/config.h"

/* The member "gpu" of a VmConfig, which may be missing, and the same as JSON. */
int vm_gpu_read_all(struct vm_config *config, const json_t *list, struct vmm_error *err);
json_t *vm_gpu_write_all(const struct vm_config *config);

/*
 * Where the VM's screen goes from now on, whatever the configuration said: "none", "file" or
 * "wayland". -EINVAL, -ENOSPC, -ENOMEM.
 */
int vm_config_set_display(struct vm_config *config, const char *text, struct vmm_error *err);

#endif
