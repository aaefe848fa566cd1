/* SPDX-License-Identifier: MIT */
/*
 * Blobs (VIRTIO 1.3 section 5.7.6.8): bytes without a format, in the guest's memory or in a memfd
 * of the host that the guest maps through the shared memory region.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gpu/context_priv.h"

/* What to answer for an errno of something that a guest asked for. */
static uint32_t answer_for(int ret)
{
	switch (ret) {
	case -EINVAL:
	case -EEXIST:
	case -ENOENT:
	case -EPROTO:
		return RESP_ERR_INVALID_PARAMETER;
	case -ENOSPC:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		return RESP_ERR_OUT_OF_MEMORY;
	default:
		return ret < 0 ? RESP_ERR_UNSPEC : RESP_OK_NODATA;
	}
}

static uint32_t create_guest(struct gpu *gpu, struct gpu_request *req,
			     const struct gpu_create_blob *cmd)
{
	struct gpu_resource *res;
	uint32_t answer = vmm_gpu_resource_add(gpu, cmd->resource_id, GPU_BLOB_GUEST, &res);

	if (answer != 0) {
		return answer;
	}
	res->size = cmd->size;
	res->blob_flags = cmd->flags;
	res->ctx_id = req->header.ctx_id;
	answer = vmm_gpu_backing_attach(gpu, &res->backing, &req->rest, cmd->count);
	if (answer == 0 && res->backing.len < cmd->size) {
		answer = RESP_ERR_INVALID_PARAMETER;
	}
	if (answer != 0) {
		vmm_gpu_resource_remove(gpu, res);
		return answer;
	}
	return RESP_OK_NODATA;
}

static uint32_t create_host(struct gpu *gpu, const struct gpu_request *req,
			    const struct gpu_create_blob *cmd)
{
	struct gpu_context *context = vmm_gpu_context_find(gpu, req->header.ctx_id);
	struct gpu_resource *res;
	uint32_t answer;
	int fd;

	if (!context || !context->channel) {
		return RESP_ERR_INVALID_CONTEXT_ID;
	}
	if (cmd->count != 0) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	answer = vmm_gpu_resource_add(gpu, cmd->resource_id, GPU_BLOB_HOST, &res);
	if (answer != 0) {
		return answer;
	}
	fd = vmm_gpu_channel_take_blob(context->channel, cmd->blob_id, cmd->size);
	if (fd < 0) {
		vmm_gpu_resource_remove(gpu, res);
		return answer_for(fd);
	}
	res->fd = fd;
	res->size = cmd->size;
	res->blob_flags = cmd->flags;
	res->ctx_id = context->id;
	return RESP_OK_NODATA;
}

uint32_t vmm_gpu_create_blob(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_create_blob cmd;

	memcpy(&cmd, req->body.bytes, sizeof(cmd));
	if (cmd.size == 0) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	switch (cmd.mem) {
	case BLOB_MEM_GUEST:
		return create_guest(gpu, req, &cmd);
	case BLOB_MEM_HOST3D:
		return create_host(gpu, req, &cmd);
	default:
		return RESP_ERR_INVALID_PARAMETER;
	}
}

/* ---- in the shared memory region ---- */

uint32_t vmm_gpu_map_blob(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_map_info info = {.header.type = RESP_OK_MAP_INFO, .info = MAP_CACHED};
	struct gpu_map_blob cmd;
	struct gpu_resource *res;
	int ret;

	memcpy(&cmd, req->body.bytes, sizeof(cmd));
	res = vmm_gpu_resource_find(gpu, cmd.resource_id);
	if (!res || res->kind != GPU_BLOB_HOST) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	if ((res->blob_flags & BLOB_FLAG_MAPPABLE) == 0 || res->mapped) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	/* Range, alignment and what is there already are looked at there. */
	ret = vmm_virtio_shm_map(&gpu->base, gpu->shm.id, cmd.offset, res->fd, 0,
				 vmm_gpu_page_round(res->size), true);
	if (ret < 0) {
		return answer_for(ret);
	}
	res->mapped = true;
	res->map_offset = cmd.offset;
	vmm_gpu_respond(req, &info, sizeof(info));
	return ANSWERED;
}

static void unmap(struct gpu *gpu, struct gpu_resource *res)
{
	if (res->mapped) {
		/* It is gone then in any case. */
		(void)vmm_virtio_shm_unmap(&gpu->base, gpu->shm.id, res->map_offset,
					   vmm_gpu_page_round(res->size));
		res->mapped = false;
	}
}

uint32_t vmm_gpu_unmap_blob(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_resource *res = vmm_gpu_resource_find(gpu, req->body.resource.resource_id);

	if (!res || res->kind != GPU_BLOB_HOST) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (!res->mapped) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	unmap(gpu, res);
	return RESP_OK_NODATA;
}

void vmm_gpu_contexts_forget(struct gpu *gpu, struct gpu_resource *res)
{
	struct stat st;

	if (res->fd < 0) {
		return;
	}
	unmap(gpu, res);
	/* What the file is long was charged, which may be more than the guest took of it. */
	if (fstat(res->fd, &st) == 0) {
		vmm_gpu_budget_release(&gpu->contexts->blobs, (uint64_t)st.st_size);
	}
	(void)close(res->fd);
	res->fd = -1;
}

uint32_t vmm_gpu_assign_uuid(struct gpu *gpu, struct gpu_request *req)
{
	/* Version 8 of RFC 9562: bits of our own. Unique in a VM, which is all it is asked for. */
	struct gpu_uuid answer = {
		.header.type = RESP_OK_RESOURCE_UUID,
		.uuid = {'v', 'm', 'm', '-', 'g', 'p', 0x80, 0, 0x80, 'u'},
	};
	uint32_t id = req->body.resource.resource_id;

	if (!vmm_gpu_resource_find(gpu, id)) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	memcpy(answer.uuid + 12, &id, sizeof(id));
	vmm_gpu_respond(req, &answer, sizeof(answer));
	return ANSWERED;
}
