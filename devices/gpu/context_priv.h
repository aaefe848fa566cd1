/* SPDX-License-Identifier: MIT */
/* Private to virtio-gpu's contexts: context.c (their life, what is submitted to them), blob.c. */
#ifndef VMM_DEVICES_GPU_CONTEXT_PRIV_H
#define VMM_DEVICES_GPU_CONTEXT_PRIV_H

#include "gpu/channel.h"
#include "gpu/gpu_priv.h"

#define CONTEXTS_MAX 128u

/* Bytes of one SUBMIT_3D; the guest's proxies send at most a page. */
#define SUBMIT_MAX (256u << 10)

struct gpu_context {
	struct gpu *gpu;
	uint32_t id; /* 0: free */
	/* NULL: a null context, which the guest's driver makes for programs that only draw. */
	struct gpu_channel *channel;
	bool connecting;
};

struct gpu_contexts {
	struct vmm_gpu_connector connector; /* connect NULL: there is no compositor */
	struct vmm_wl_filter_config policy;
	const struct vmm_wl_filter_config *filter; /* what channels get: policy */
	char vm_name[VMM_WL_NAME_MAX + 1];
	struct gpu_budget blobs;
	uint64_t count; /* relaxed atomic */
	bool resetting; /* requests are not given back any more */
	struct vmm_log_limit log_limit;
	struct gpu_context list[CONTEXTS_MAX];
};

/* NULL: there is no such context. */
struct gpu_context *vmm_gpu_context_find(struct gpu *gpu, uint32_t id);

/* ---- blob.c ---- */

#define BLOB_MEM_GUEST     1u
#define BLOB_MEM_HOST3D    2u
#define BLOB_FLAG_MAPPABLE 1u
#define MAP_CACHED         1u

uint32_t vmm_gpu_create_blob(struct gpu *gpu, struct gpu_request *req);
uint32_t vmm_gpu_map_blob(struct gpu *gpu, struct gpu_request *req);
uint32_t vmm_gpu_unmap_blob(struct gpu *gpu, struct gpu_request *req);
uint32_t vmm_gpu_assign_uuid(struct gpu *gpu, struct gpu_request *req);

/* ---- what driver and device say, without the header in requests and with it in answers ---- */

struct gpu_create_blob {
	uint32_t resource_id;
	uint32_t mem;
	uint32_t flags;
	uint32_t count; /* of struct gpu_mem_entry behind it */
	uint64_t blob_id;
	uint64_t size;
};

struct gpu_map_blob {
	uint32_t resource_id;
	uint32_t padding;
	uint64_t offset;
};

struct gpu_map_info {
	struct gpu_header header;
	uint32_t info;
	uint32_t padding;
};

struct gpu_uuid {
	struct gpu_header header;
	uint8_t uuid[16];
};

struct gpu_get_capset {
	uint32_t id; /* GET_CAPSET_INFO: an index */
	uint32_t version;
};

struct gpu_capset_info {
	struct gpu_header header;
	uint32_t id;
	uint32_t max_version;
	uint32_t max_size;
	uint32_t padding;
};

struct gpu_ctx_create {
	uint32_t name_len;
	uint32_t context_init; /* the low 8 bits are a capset's id */
	char name[64];
};

struct gpu_submit {
	uint32_t size; /* of the payload behind it */
	uint32_t padding;
};

_Static_assert(sizeof(struct gpu_create_blob) == 32, "section 5.7.6.8");
_Static_assert(sizeof(struct gpu_map_info) == 32, "section 5.7.6.8");
_Static_assert(sizeof(struct gpu_uuid) == 40, "section 5.7.6.8");
_Static_assert(sizeof(struct gpu_capset_info) == 40, "section 5.7.6.8");
_Static_assert(sizeof(struct gpu_ctx_create) == 72, "section 5.7.6.8");

#endif
