/* SPDX-License-Identifier: MIT */
/*
 * Contexts: one for each program of the guest that has opened the device. Those of capset 5 have a
 * channel to the host's compositor (channel.h); the others only hold resources.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/context_priv.h"
#include "gpu/xdomain.h"

struct gpu_context *vmm_gpu_context_find(struct gpu *gpu, uint32_t id)
{
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		if (gpu->contexts->list[i].id == id && id != 0) {
			return &gpu->contexts->list[i];
		}
	}
	return NULL;
}

/* ---- which resources a context may use ---- */

static void set_attached(struct gpu *gpu, struct gpu_resource *res,
			 const struct gpu_context *context, bool attached)
{
	size_t slot = (size_t)(context - gpu->contexts->list);
	uint64_t bit = UINT64_C(1) << slot % 64;

	if (attached) {
		res->contexts[slot / 64] |= bit;
	} else {
		res->contexts[slot / 64] &= ~bit;
	}
}

/* A resource of this kind that the context may use, or NULL. */
static struct gpu_resource *attached(const struct gpu_context *context, uint32_t id,
				     enum gpu_kind kind)
{
	struct gpu_resource *res = vmm_gpu_resource_find(context->gpu, id);
	size_t slot = (size_t)(context - context->gpu->contexts->list);

	if (!res || res->kind != kind || (res->contexts[slot / 64] >> slot % 64 & 1) == 0) {
		return NULL;
	}
	return res;
}

static uint32_t attach_or_detach(struct gpu *gpu, const struct gpu_request *req, bool attach)
{
	struct gpu_context *context = vmm_gpu_context_find(gpu, req->header.ctx_id);
	struct gpu_resource *res = vmm_gpu_resource_find(gpu, req->body.resource.resource_id);

	if (!context) {
		return RESP_ERR_INVALID_CONTEXT_ID;
	}
	if (!res) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	set_attached(gpu, res, context, attach);
	return RESP_OK_NODATA;
}

static uint32_t attach_resource(struct gpu *gpu, struct gpu_request *req)
{
	return attach_or_detach(gpu, req, true);
}

static uint32_t detach_resource(struct gpu *gpu, struct gpu_request *req)
{
	return attach_or_detach(gpu, req, false);
}

/* ---- what a channel needs ---- */

static int channel_blob_fd(void *ctx, uint32_t id)
{
	const struct gpu_resource *res = attached(ctx, id, GPU_BLOB_HOST);

	return res ? res->fd : -ENOENT;
}

static int channel_ring_write(void *ctx, uint32_t id, const void *bytes, size_t len)
{
	const struct gpu_context *context = ctx;
	const struct gpu_resource *res = attached(context, id, GPU_BLOB_GUEST);

	if (!res || res->size < len || res->backing.len < len) {
		return -ENOENT;
	}
	return bytes ? vmm_gpu_backing_write(context->gpu, &res->backing, 0, bytes, len) : 0;
}

static uint64_t to_token(const struct gpu_parked *parked)
{
	return (uint64_t)parked->head << 32 | parked->written;
}

static void channel_complete(void *ctx, uint64_t token)
{
	const struct gpu_context *context = ctx;
	struct gpu_parked parked = {.head = (uint16_t)(token >> 32), .written = (uint32_t)token};

	/* At reset the driver has forgotten them. */
	if (!context->gpu->contexts->resetting) {
		vmm_gpu_unpark(context->gpu, &parked);
	}
}

static void connected(void *ctx, int fd)
{
	struct gpu_context *context = ctx;

	context->connecting = false;
	vmm_gpu_channel_connected(context->channel, fd);
}

static int channel_connect(void *ctx)
{
	struct gpu_context *context = ctx;
	const struct vmm_gpu_connector *c = &context->gpu->contexts->connector;
	int ret;

	if (!c->connect) {
		return -ENOENT;
	}
	context->connecting = true;
	ret = c->connect(c->ctx, context->gpu->active.loop, connected, context);
	if (ret < 0) {
		context->connecting = false;
	}
	return ret;
}

static const struct gpu_channel_ops channel_ops = {
	.blob_fd = channel_blob_fd,
	.ring_write = channel_ring_write,
	.complete = channel_complete,
	.connect = channel_connect,
};

/* ---- life ---- */

static uint32_t open_channel(struct gpu_context *context)
{
	struct gpu *gpu = context->gpu;
	const struct gpu_channel_config config = {
		.ops = &channel_ops,
		.ctx = context,
		.loop = gpu->active.loop,
		.log = gpu->active.log,
		.log_limit = &gpu->contexts->log_limit,
		.budget = &gpu->contexts->blobs,
		.policy = gpu->contexts->filter,
	};

	return vmm_gpu_channel_create(&context->channel, &config) == 0 ? RESP_OK_NODATA
								       : RESP_ERR_OUT_OF_MEMORY;
}

static struct gpu_context *free_context(struct gpu *gpu)
{
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		if (gpu->contexts->list[i].id == 0) {
			return &gpu->contexts->list[i];
		}
	}
	return NULL;
}

static uint32_t create_context(struct gpu *gpu, struct gpu_request *req)
{
	uint32_t answer = RESP_OK_NODATA;
	uint32_t id = req->header.ctx_id;
	struct gpu_context *context;
	struct gpu_ctx_create cmd;
	uint32_t capset;

	memcpy(&cmd, req->body.bytes, sizeof(cmd));
	capset = cmd.context_init & 0xff;
	if (id == 0 || vmm_gpu_context_find(gpu, id)) {
		return RESP_ERR_INVALID_CONTEXT_ID;
	}
	if (capset != 0 && capset != XD_CAPSET_ID) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	context = free_context(gpu);
	if (!context) {
		return RESP_ERR_OUT_OF_MEMORY;
	}
	*context = (struct gpu_context){.gpu = gpu, .id = id};
	if (capset != 0) {
		answer = open_channel(context);
	}
	if (answer != RESP_OK_NODATA) {
		context->id = 0;
		return answer;
	}
	gpu_count(&gpu->contexts->count, 1);
	return answer;
}

static void remove_context(struct gpu_context *context)
{
	struct gpu *gpu = context->gpu;
	const struct vmm_gpu_connector *c = &gpu->contexts->connector;

	if (context->connecting) {
		c->cancel(c->ctx, context);
	}
	vmm_gpu_channel_destroy(context->channel);
	for (unsigned i = 0; i < RESOURCE_BUCKETS; i++) {
		for (struct gpu_resource *res = gpu->resources[i]; res; res = res->next) {
			set_attached(gpu, res, context, false);
		}
	}
	*context = (struct gpu_context){.id = 0};
	gpu_count(&gpu->contexts->count, UINT64_MAX);
}

static uint32_t destroy_context(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_context *context = vmm_gpu_context_find(gpu, req->header.ctx_id);

	if (!context) {
		return RESP_ERR_INVALID_CONTEXT_ID;
	}
	remove_context(context);
	return RESP_OK_NODATA;
}

/* ---- capabilities ---- */

static uint32_t get_capset_info(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_capset_info answer = {
		.header.type = RESP_OK_CAPSET_INFO,
		.id = XD_CAPSET_ID,
		.max_size = sizeof(struct xd_capset),
	};
	struct gpu_get_capset cmd;

	(void)gpu;
	memcpy(&cmd, req->body.bytes, sizeof(cmd));
	if (cmd.id != 0) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	vmm_gpu_respond(req, &answer, sizeof(answer));
	return ANSWERED;
}

static uint32_t get_capset(struct gpu *gpu, struct gpu_request *req)
{
	struct {
		struct gpu_header header;
		struct xd_capset capset;
	} answer = {
		.header.type = RESP_OK_CAPSET,
		.capset = {.version = 1, .channels = 1u << XD_CHANNEL_WAYLAND},
	};
	struct gpu_get_capset cmd;

	(void)gpu;
	memcpy(&cmd, req->body.bytes, sizeof(cmd));
	if (cmd.id != XD_CAPSET_ID || cmd.version != 0) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	vmm_gpu_respond(req, &answer, sizeof(answer));
	return ANSWERED;
}

/* ---- commands for a context ---- */

static int run(struct gpu_context *context, struct gpu_request *req, uint32_t size)
{
	uint8_t *bytes = malloc(size > 0 ? size : 1);
	int ret;

	if (!bytes) {
		return -ENOMEM;
	}
	ret = vmm_reader_get(&req->rest, bytes, size);
	if (ret == 0) {
		ret = vmm_gpu_channel_submit(context->channel, bytes, size);
	}
	free(bytes);
	return ret;
}

/* The fence of the channel's ring: the guest waits for a message, see channel.h. */
static bool is_poll(const struct gpu_header *h)
{
	return (h->flags & FLAG_FENCE) != 0 && (h->flags & FLAG_INFO_RING_IDX) != 0 &&
	       h->ring_idx == XD_RING_CHANNEL;
}

static uint32_t submit(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_context *context = vmm_gpu_context_find(gpu, req->header.ctx_id);
	struct gpu_parked parked;
	struct gpu_submit cmd;
	int ret;

	memcpy(&cmd, req->body.bytes, sizeof(cmd));
	if (!context || !context->channel) {
		return RESP_ERR_INVALID_CONTEXT_ID;
	}
	if (cmd.size > SUBMIT_MAX || cmd.size > vmm_reader_left(&req->rest)) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	ret = run(context, req, cmd.size);
	if (ret < 0) {
		return ret == -ENOMEM ? RESP_ERR_OUT_OF_MEMORY : RESP_ERR_INVALID_PARAMETER;
	}
	if (!is_poll(&req->header)) {
		return RESP_OK_NODATA;
	}
	parked = vmm_gpu_park(req);
	if (vmm_gpu_channel_park(context->channel, to_token(&parked)) < 0) {
		/* There is nothing to wait for, or more than enough who do. */
		vmm_gpu_unpark(gpu, &parked);
	}
	return ANSWERED;
}

/* There is no GPU. */
static uint32_t refuse(struct gpu *gpu, struct gpu_request *req)
{
	(void)gpu;
	(void)req;
	return RESP_ERR_UNSPEC;
}

static const struct gpu_command commands[] = {
	{CMD_GET_CAPSET_INFO, sizeof(struct gpu_get_capset), get_capset_info},
	{CMD_GET_CAPSET, sizeof(struct gpu_get_capset), get_capset},
	{CMD_RESOURCE_ASSIGN_UUID, sizeof(struct gpu_resource_id), vmm_gpu_assign_uuid},
	{CMD_RESOURCE_CREATE_BLOB, sizeof(struct gpu_create_blob), vmm_gpu_create_blob},
	{CMD_CTX_CREATE, sizeof(struct gpu_ctx_create), create_context},
	{CMD_CTX_DESTROY, 0, destroy_context},
	{CMD_CTX_ATTACH_RESOURCE, sizeof(struct gpu_resource_id), attach_resource},
	{CMD_CTX_DETACH_RESOURCE, sizeof(struct gpu_resource_id), detach_resource},
	{CMD_RESOURCE_CREATE_3D, 0, refuse},
	{CMD_TRANSFER_TO_HOST_3D, 0, refuse},
	{CMD_TRANSFER_FROM_HOST_3D, 0, refuse},
	{CMD_SUBMIT_3D, sizeof(struct gpu_submit), submit},
	{CMD_MAP_BLOB, sizeof(struct gpu_map_blob), vmm_gpu_map_blob},
	{CMD_UNMAP_BLOB, sizeof(struct gpu_resource_id), vmm_gpu_unmap_blob},
};

const struct gpu_command *vmm_gpu_contexts_command(uint32_t type)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].type == type) {
			return &commands[i];
		}
	}
	return NULL;
}

/* ---- for the device ---- */

static void set_policy(struct gpu_contexts *contexts, const struct vmm_gpu_config *config)
{
	struct vmm_wl_filter_config *policy = &contexts->policy;

	contexts->filter = policy;
	if (config->vm_name) {
		(void)snprintf(contexts->vm_name, sizeof(contexts->vm_name), "%s", config->vm_name);
		policy->vm_name = contexts->vm_name;
	}
	if ((config->clipboard & VMM_GPU_CLIPBOARD_TO_GUEST) != 0) {
		policy->clipboard |= VMM_WL_CLIPBOARD_IN;
	}
	if ((config->clipboard & VMM_GPU_CLIPBOARD_FROM_GUEST) != 0) {
		policy->clipboard |= VMM_WL_CLIPBOARD_OUT;
	}
}

/* One is made to see whether the guest's programs will get theirs. */
static int check_policy(const struct gpu_contexts *contexts, const struct vmm_gpu_config *config,
			struct vmm_error *err)
{
	struct vmm_wl_filter *filter;
	int ret;

	if (config->vm_name && strlen(config->vm_name) > VMM_WL_NAME_MAX) {
		ret = -EINVAL;
	} else {
		ret = vmm_wl_filter_create(&contexts->policy, &filter);
	}
	if (ret < 0) {
		return vmm_error_set(err, ret,
				     "gpu: no filter for a VM of this name (1 to %u bytes, no "
				     "spaces or colons): %s",
				     VMM_WL_NAME_MAX, strerror(-ret));
	}
	vmm_wl_filter_destroy(filter);
	return 0;
}

int vmm_gpu_contexts_create(struct gpu *gpu, const struct vmm_gpu_config *config,
			    struct vmm_error *err)
{
	struct gpu_contexts *contexts = calloc(1, sizeof(*contexts));
	int ret;

	if (!contexts) {
		return vmm_error_set(err, -ENOMEM, "gpu: out of memory");
	}
	set_policy(contexts, config);
	ret = check_policy(contexts, config, err);
	if (ret < 0) {
		free(contexts);
		return ret;
	}
	if (config->connector) {
		contexts->connector = *config->connector;
	}
	contexts->blobs.max = config->blobs_max > 0 ? config->blobs_max : VMM_GPU_BLOBS_DEFAULT;
	gpu->contexts = contexts;
	return 0;
}

void vmm_gpu_contexts_destroy(struct gpu *gpu)
{
	free(gpu->contexts);
	gpu->contexts = NULL;
}

int vmm_gpu_contexts_activate(struct gpu *gpu)
{
	gpu->contexts->resetting = false;
	return 0;
}

void vmm_gpu_contexts_reset(struct gpu *gpu)
{
	gpu->contexts->resetting = true;
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		if (gpu->contexts->list[i].id != 0) {
			remove_context(&gpu->contexts->list[i]);
		}
	}
}

void vmm_gpu_contexts_counters(struct gpu *gpu,
			       void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	const struct gpu_contexts *contexts = gpu->contexts;

	emit(ctx, "contexts", __atomic_load_n(&contexts->count, __ATOMIC_RELAXED));
	emit(ctx, "blob_bytes", __atomic_load_n(&contexts->blobs.used, __ATOMIC_RELAXED));
}
