/* SPDX-License-Identifier: MIT */
#include "gpu/gpu_priv.h"

#include <errno.h>

int vmm_gpu_contexts_create(struct gpu *gpu, const struct vmm_gpu_config *config,
			    struct vmm_error *err)
{
	(void)gpu;
	(void)config;
	return vmm_error_set(err, -EOPNOTSUPP, "gpu: contexts are not possible");
}

void vmm_gpu_contexts_destroy(struct gpu *gpu)
{
	(void)gpu;
}

int vmm_gpu_contexts_activate(struct gpu *gpu)
{
	(void)gpu;
	return 0;
}

void vmm_gpu_contexts_reset(struct gpu *gpu)
{
	(void)gpu;
}

void vmm_gpu_contexts_forget(struct gpu *gpu, struct gpu_resource *res)
{
	(void)gpu;
	(void)res;
}

const struct gpu_command *vmm_gpu_contexts_command(uint32_t type)
{
	(void)type;
	return NULL;
}

void vmm_gpu_contexts_counters(struct gpu *gpu,
			       void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	(void)gpu;
	(void)emit;
	(void)ctx;
}
