/* SPDX-License-Identifier: MIT */
/*
 * Requests (VIRTIO 1.3 section 5.7.6). Each is copied into private memory once, looked up in a
 * table and answered. Whatever is wrong with it, its answer carries the fence that it asked for: a
 * driver waits for that without end.
 */
#include "gpu/gpu_priv.h"

#include <string.h>

#define TURN 64u

/* ---- answers ---- */

void vmm_gpu_respond(struct gpu_request *req, void *resp, size_t len)
{
	struct gpu_header *h = resp;

	h->flags = req->header.flags & FLAG_FENCE;
	h->fence_id = (h->flags & FLAG_FENCE) != 0 ? req->header.fence_id : 0;
	h->ctx_id = req->header.ctx_id;
	if ((req->header.flags & FLAG_INFO_RING_IDX) != 0) {
		h->flags |= FLAG_INFO_RING_IDX;
		h->ring_idx = req->header.ring_idx;
	}
	if (h->type >= RESP_ERR_UNSPEC) {
		gpu_count(&req->gpu->errors, 1);
	}
	(void)vmm_writer_write(&req->answer, resp, len);
}

static void respond_plain(struct gpu_request *req, uint32_t type)
{
	struct gpu_header h = {.type = type};

	vmm_gpu_respond(req, &h, sizeof(h));
}

struct gpu_parked vmm_gpu_park(struct gpu_request *req)
{
	respond_plain(req, RESP_OK_NODATA);
	req->parked = true;
	return (struct gpu_parked){.head = req->head,
				   .written = (uint32_t)vmm_writer_written(&req->answer)};
}

void vmm_gpu_unpark(struct gpu *gpu, const struct gpu_parked *parked)
{
	struct vmm_virtq *q = gpu->active.queues[QUEUE_CONTROL];

	(void)vmm_virtq_push(q, parked->head, parked->written);
	vmm_virtq_flush(q);
}

/* ---- commands ---- */

static uint32_t get_display_info(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_display_info info = {.header = {.type = RESP_OK_DISPLAY_INFO}};
	uint32_t x = 0;

	for (unsigned i = 0; i < gpu->scanout_count; i++) {
		info.modes[i].rect.x = x;
		info.modes[i].rect.width = gpu->scanouts[i].width;
		info.modes[i].rect.height = gpu->scanouts[i].height;
		info.modes[i].enabled = 1;
		x += gpu->scanouts[i].width;
	}
	vmm_gpu_respond(req, &info, sizeof(info));
	return ANSWERED;
}

static uint32_t get_edid(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_edid resp = {.header = {.type = RESP_OK_EDID}, .size = EDID_LEN};
	uint32_t id = req->body.get_edid.scanout_id;

	if (id >= gpu->scanout_count) {
		return RESP_ERR_INVALID_SCANOUT_ID;
	}
	vmm_gpu_edid(resp.edid, id, gpu->scanouts[id].width, gpu->scanouts[id].height);
	vmm_gpu_respond(req, &resp, sizeof(resp));
	return ANSWERED;
}

static uint32_t create_2d(struct gpu *gpu, struct gpu_request *req)
{
	const struct gpu_create_2d *c = &req->body.create_2d;
	struct gpu_resource *res;
	uint32_t answer;

	if (!vmm_display_format_valid(c->format) || c->width == 0 || c->height == 0 ||
	    c->width > VMM_DISPLAY_SIDE_MAX || c->height > VMM_DISPLAY_SIDE_MAX) {
		return RESP_ERR_INVALID_PARAMETER;
	}
	answer = vmm_gpu_resource_add(gpu, c->resource_id, GPU_2D, &res);
	if (answer != 0) {
		return answer;
	}
	res->format = c->format;
	res->width = c->width;
	res->height = c->height;
	res->size = (uint64_t)c->width * c->height * GPU_PIXEL;
	return RESP_OK_NODATA;
}

static uint32_t unref(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_resource *res = vmm_gpu_resource_find(gpu, req->body.resource.resource_id);

	if (!res) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	vmm_gpu_resource_remove(gpu, res);
	return RESP_OK_NODATA;
}

static uint32_t attach_backing(struct gpu *gpu, struct gpu_request *req)
{
	const struct gpu_attach_backing *a = &req->body.attach_backing;
	struct gpu_resource *res = vmm_gpu_resource_find(gpu, a->resource_id);
	uint32_t answer;

	if (!res) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (res->kind != GPU_2D || res->backing.entries) {
		return RESP_ERR_UNSPEC;
	}
	answer = vmm_gpu_backing_attach(gpu, &res->backing, &req->rest, a->count);
	return answer == 0 ? RESP_OK_NODATA : answer;
}

static uint32_t detach_backing(struct gpu *gpu, struct gpu_request *req)
{
	struct gpu_resource *res = vmm_gpu_resource_find(gpu, req->body.resource.resource_id);

	if (!res) {
		return RESP_ERR_INVALID_RESOURCE_ID;
	}
	if (res->kind != GPU_2D || !res->backing.entries) {
		return RESP_ERR_UNSPEC;
	}
	if (res->written) {
		/* What was transferred is the host's; with too little room for it, it is lost. */
		(void)vmm_gpu_keep_image(gpu, res);
	}
	vmm_gpu_backing_free(gpu, &res->backing);
	return RESP_OK_NODATA;
}

static const struct gpu_command commands[] = {
	{CMD_GET_DISPLAY_INFO, 0, get_display_info},
	{CMD_RESOURCE_CREATE_2D, sizeof(struct gpu_create_2d), create_2d},
	{CMD_RESOURCE_UNREF, sizeof(struct gpu_resource_id), unref},
	{CMD_SET_SCANOUT, sizeof(struct gpu_set_scanout), vmm_gpu_set_scanout},
	{CMD_RESOURCE_FLUSH, sizeof(struct gpu_flush), vmm_gpu_flush},
	{CMD_TRANSFER_TO_HOST_2D, sizeof(struct gpu_transfer_2d), vmm_gpu_transfer_2d},
	{CMD_ATTACH_BACKING, sizeof(struct gpu_attach_backing), attach_backing},
	{CMD_DETACH_BACKING, sizeof(struct gpu_resource_id), detach_backing},
	{CMD_GET_EDID, sizeof(struct gpu_get_edid), get_edid},
	{CMD_SET_SCANOUT_BLOB, sizeof(struct gpu_set_scanout_blob), vmm_gpu_set_scanout_blob},
};

static const struct gpu_command *find_command(const struct gpu *gpu, uint32_t type)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].type == type) {
			return &commands[i];
		}
	}
	return gpu->contexts ? vmm_gpu_contexts_command(type) : NULL;
}

/* ---- the queues ---- */

static void handle(struct gpu *gpu, struct gpu_request *req)
{
	const struct gpu_command *command;
	uint32_t answer = RESP_ERR_UNSPEC;
	size_t got = vmm_reader_read(&req->rest, &req->header, sizeof(req->header));

	/* Of a header that is cut short, what is there counts: it may hold a fence. */
	command = got == sizeof(req->header) ? find_command(gpu, req->header.type) : NULL;
	if (command && vmm_reader_get(&req->rest, &req->body, command->len) == 0) {
		answer = command->handle(gpu, req);
	}
	if (answer != ANSWERED) {
		respond_plain(req, answer);
	}
}

/* One chain of a queue; false: it has been kept. */
static bool serve(struct gpu *gpu, unsigned queue, uint32_t *written)
{
	struct gpu_request req = {.gpu = gpu, .head = gpu->chain.head};

	gpu_count(&gpu->commands, 1);
	*written = 0;
	if (queue == QUEUE_CURSOR) {
		vmm_gpu_cursor_request(gpu, &gpu->chain);
		return true;
	}
	vmm_chain_reader(&gpu->chain, &req.rest);
	vmm_chain_writer(&gpu->chain, &req.answer);
	handle(gpu, &req);
	*written = (uint32_t)vmm_writer_written(&req.answer);
	return !req.parked;
}

void vmm_gpu_drain(struct gpu *gpu, unsigned queue)
{
	struct vmm_virtq *q = gpu->active.queues[queue];
	unsigned budget = TURN;
	uint32_t written;

	if (!q) {
		return;
	}
	do {
		vmm_virtq_kick_disable(q);
		while (budget > 0 && vmm_virtq_pop(q, &gpu->chain) == 1) {
			uint16_t head = gpu->chain.head;

			if (serve(gpu, queue, &written)) {
				(void)vmm_virtq_push(q, head, written);
			}
			budget--;
		}
		vmm_virtq_flush(q);
		if (budget == 0) {
			/* Let the display and others of this loop have their turn. */
			vmm_loop_post(gpu->active.loop, &gpu->again[queue]);
			return;
		}
	} while (vmm_virtq_kick_enable(q));
}
