/* SPDX-License-Identifier: MIT */
#include "test_gpu_context_fix.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOT_SIZE   256u
#define SLOT_ANSWER 192u

/* ---- connections ---- */

static int new_connection(struct gpu_fix *f)
{
	int pair[2];

	ck_assert_uint_lt(f->compositor_count, COMPOSITORS_MAX);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f->compositors[f->compositor_count++] = pair[0];
	return pair[1];
}

static int connect_now(void *ctx, struct vmm_loop *loop, void (*done)(void *done_ctx, int fd),
		       void *done_ctx)
{
	struct gpu_fix *f = ctx;

	(void)loop;
	if (f->late) {
		f->done = done;
		f->done_ctx = done_ctx;
		return 0;
	}
	done(done_ctx, new_connection(f));
	return 0;
}

static void cancel(void *ctx, void *done_ctx)
{
	struct gpu_fix *f = ctx;

	ck_assert_ptr_eq(f->done_ctx, done_ctx);
	f->done = NULL;
	f->cancelled++;
}

void gpu_connect(struct gpu_fix *f)
{
	void (*done)(void *, int) = f->done;

	f->done = NULL;
	done(f->done_ctx, new_connection(f));
}

/* ---- life ---- */

void gpu_start(struct gpu_fix *f, const struct vmm_gpu_config *config)
{
	struct vmm_gpu_config all = {
		.contexts = true,
		.clipboard = VMM_GPU_CLIPBOARD_TO_GUEST | VMM_GPU_CLIPBOARD_FROM_GUEST,
	};

	/* As every program with the device does. */
	(void)signal(SIGPIPE, SIG_IGN);
	memset(f, 0, sizeof(*f));
	f->fds_before = fdcount();
	f->connector = (struct vmm_gpu_connector){connect_now, cancel, f};
	all = config ? *config : all;
	all.connector = all.connector ? all.connector : &f->connector;
	ck_assert_int_eq(vmm_gpu_create(&f->dev, &all, NULL), 0);
	f->drv = fakedrv_create(f->dev);
	ck_assert_int_eq(fakedrv_start(f->drv, NULL), 0);
	f->request = fakedrv_alloc(f->drv, REQUEST_ROOM);
	f->answer = fakedrv_alloc(f->drv, 4096);
	f->polls = fakedrv_alloc(f->drv, (size_t)PARK_SLOTS * SLOT_SIZE);
}

void gpu_stop(struct gpu_fix *f)
{
	ck_assert(!fakedrv_needs_reset(f->drv));
	fakedrv_destroy(f->drv);
	for (unsigned i = 0; i < f->compositor_count; i++) {
		if (f->compositors[i] >= 0) {
			(void)close(f->compositors[i]);
		}
	}
	ck_assert_uint_eq(fdcount(), f->fds_before);
}

/* ---- requests ---- */

uint32_t gpu_request(struct gpu_fix *f, const struct gpu_header *h, const void *body, size_t len)
{
	struct fakedrv_buf bufs[] = {
		FAKEDRV_OUT(f->request, sizeof(*h) + len),
		FAKEDRV_IN(f->answer, 4096),
	};
	uint32_t type;
	uint32_t used;

	ck_assert_uint_le(sizeof(*h) + len, REQUEST_ROOM);
	memcpy(f->request, h, sizeof(*h));
	if (len > 0) {
		memcpy(f->request + sizeof(*h), body, len);
	}
	memset(f->answer, 0xee, 4096);
	used = fakedrv_request(f->drv, 0, bufs, 2);
	ck_assert_uint_ge(used, sizeof(struct gpu_header));
	memcpy(&type, f->answer, sizeof(type));
	return type;
}

uint32_t gpu_do(struct gpu_fix *f, uint32_t type, uint32_t ctx, const void *body, size_t len)
{
	struct gpu_header h = {.type = type, .ctx_id = ctx};

	return gpu_request(f, &h, body, len);
}

uint32_t gpu_ctx_create(struct gpu_fix *f, uint32_t ctx, uint32_t init)
{
	struct gpu_ctx_create cmd = {.name_len = 4, .context_init = init, .name = "test"};

	return gpu_do(f, CMD_CTX_CREATE, ctx, &cmd, sizeof(cmd));
}

uint32_t gpu_ctx_destroy(struct gpu_fix *f, uint32_t ctx)
{
	return gpu_do(f, CMD_CTX_DESTROY, ctx, NULL, 0);
}

static uint32_t by_resource(struct gpu_fix *f, uint32_t type, uint32_t ctx, uint32_t res)
{
	struct gpu_resource_id cmd = {.resource_id = res};

	return gpu_do(f, type, ctx, &cmd, sizeof(cmd));
}

uint32_t gpu_attach(struct gpu_fix *f, uint32_t ctx, uint32_t res)
{
	return by_resource(f, CMD_CTX_ATTACH_RESOURCE, ctx, res);
}

uint32_t gpu_detach(struct gpu_fix *f, uint32_t ctx, uint32_t res)
{
	return by_resource(f, CMD_CTX_DETACH_RESOURCE, ctx, res);
}

uint32_t gpu_unref(struct gpu_fix *f, uint32_t res)
{
	return by_resource(f, CMD_RESOURCE_UNREF, 0, res);
}

uint32_t gpu_unmap(struct gpu_fix *f, uint32_t res)
{
	return by_resource(f, CMD_UNMAP_BLOB, 0, res);
}

uint32_t gpu_map(struct gpu_fix *f, uint32_t res, uint64_t offset)
{
	struct gpu_map_blob cmd = {.resource_id = res, .offset = offset};

	return gpu_do(f, CMD_MAP_BLOB, 0, &cmd, sizeof(cmd));
}

uint32_t gpu_guest_blob(struct gpu_fix *f, uint32_t res, void *pages, size_t len, size_t piece)
{
	struct {
		struct gpu_create_blob cmd;
		struct gpu_mem_entry entries[64];
	} all = {
		.cmd = {.resource_id = res, .mem = BLOB_MEM_GUEST, .flags = 1, .size = len},
	};

	for (size_t at = 0; at < len; at += piece) {
		ck_assert_uint_lt(all.cmd.count, 64);
		all.entries[all.cmd.count++] = (struct gpu_mem_entry){
			.addr = fakedrv_gpa(f->drv, (uint8_t *)pages + at),
			.length = (uint32_t)(piece < len - at ? piece : len - at),
		};
	}
	return gpu_do(f, CMD_RESOURCE_CREATE_BLOB, 0, &all,
		      sizeof(all.cmd) + all.cmd.count * sizeof(all.entries[0]));
}

uint32_t gpu_host_blob(struct gpu_fix *f, uint32_t ctx, uint32_t res, uint64_t item, uint64_t size,
		       uint32_t flags)
{
	struct gpu_create_blob cmd = {
		.resource_id = res,
		.mem = BLOB_MEM_HOST3D,
		.flags = flags,
		.blob_id = item,
		.size = size,
	};

	return gpu_do(f, CMD_RESOURCE_CREATE_BLOB, ctx, &cmd, sizeof(cmd));
}

uint32_t gpu_submit(struct gpu_fix *f, uint32_t ctx, const void *payload, size_t len)
{
	static uint8_t body[REQUEST_ROOM];
	struct gpu_submit cmd = {.size = (uint32_t)len};

	ck_assert_uint_le(sizeof(cmd) + len, sizeof(body) - sizeof(struct gpu_header));
	memcpy(body, &cmd, sizeof(cmd));
	memcpy(body + sizeof(cmd), payload, len);
	return gpu_do(f, CMD_SUBMIT_3D, ctx, body, sizeof(cmd) + len);
}

/* ---- clients ---- */

void gpu_client_start(struct gpu_client *c, struct gpu_fix *f, uint32_t ctx, uint32_t rings)
{
	struct xd_init init = {
		.h = {.cmd = XD_INIT, .size = sizeof(init)},
		.query_ring = rings,
		.channel_ring = rings + 1,
		.channel_type = XD_CHANNEL_WAYLAND,
	};

	*c = (struct gpu_client){.f = f, .ctx = ctx, .rings = rings, .compositor = -1};
	c->query = fakedrv_alloc(f->drv, XD_RING_SIZE);
	c->ring = fakedrv_alloc(f->drv, XD_RING_SIZE);
	ck_assert_uint_eq(gpu_ctx_create(f, ctx, XD_CAPSET_ID), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_guest_blob(f, rings, c->query, XD_RING_SIZE, XD_RING_SIZE),
			  RESP_OK_NODATA);
	/* Not in one piece: memory of the guest seldom is. */
	ck_assert_uint_eq(gpu_guest_blob(f, rings + 1, c->ring, XD_RING_SIZE, 1000),
			  RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(f, ctx, rings), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_attach(f, ctx, rings + 1), RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_submit(f, ctx, &init, sizeof(init)), RESP_OK_NODATA);
	if (!f->late) {
		c->compositor = f->compositors[f->compositor_count - 1];
	}
}

uint32_t gpu_client_send(struct gpu_client *c, const void *bytes, size_t len, unsigned ids,
			 const uint32_t *id, const uint32_t *type)
{
	uint8_t payload[XD_RING_SIZE];
	struct xd_send send = {
		.h = {.cmd = XD_SEND, .size = (uint16_t)(sizeof(send) + len)},
		.ids = ids,
		.len = (uint32_t)len,
	};

	ck_assert_uint_le(len, XD_RECEIVE_MAX);
	for (unsigned i = 0; i < ids; i++) {
		send.id[i] = id[i];
		send.type[i] = type[i];
	}
	memcpy(payload, &send, sizeof(send));
	memcpy(payload + sizeof(send), bytes, len);
	return gpu_submit(c->f, c->ctx, payload, sizeof(send) + len);
}

int gpu_client_poll(struct gpu_client *c, unsigned slot, uint64_t fence)
{
	struct {
		struct gpu_header h;
		struct gpu_submit submit;
		struct xd_header poll;
		uint64_t pad;
	} all = {
		.h = {.type = CMD_SUBMIT_3D,
		      .flags = FLAG_FENCE | FLAG_INFO_RING_IDX,
		      .fence_id = fence,
		      .ctx_id = c->ctx,
		      .ring_idx = XD_RING_CHANNEL},
		.submit = {.size = 16},
		.poll = {.cmd = XD_POLL, .size = 16},
	};
	uint8_t *at = c->f->polls + (size_t)slot * SLOT_SIZE;
	struct fakedrv_buf bufs[] = {
		FAKEDRV_OUT(at, sizeof(all)),
		FAKEDRV_IN(at + SLOT_ANSWER, sizeof(struct gpu_header)),
	};

	ck_assert_uint_lt(slot, PARK_SLOTS);
	memcpy(at, &all, sizeof(all));
	memset(at + SLOT_ANSWER, 0xee, sizeof(struct gpu_header));
	return fakedrv_add(c->f->drv, 0, bufs, 2);
}

const struct gpu_header *gpu_poll_answer(const struct gpu_fix *f, unsigned slot)
{
	return (const void *)(f->polls + (size_t)slot * SLOT_SIZE + SLOT_ANSWER);
}

const struct xd_send *gpu_client_receive(struct gpu_client *c)
{
	const struct xd_send *m = (const void *)c->ring;
	struct fakedrv_used used;
	int head;

	memset(c->ring, 0xee, XD_RING_SIZE);
	head = gpu_client_poll(c, 0, 77);
	ck_assert_int_ge(head, 0);
	fakedrv_kick(c->f->drv, 0);
	ck_assert(fakedrv_wait_used(c->f->drv, 0, &used, FAKEDRV_PATIENCE_MS));
	ck_assert_uint_eq(used.head, (uint32_t)head);
	ck_assert_uint_eq(gpu_poll_answer(c->f, 0)->type, RESP_OK_NODATA);
	ck_assert_uint_eq(gpu_poll_answer(c->f, 0)->fence_id, 77);
	ck_assert_uint_eq(m->h.cmd, XD_RECEIVE);
	ck_assert_uint_le(m->len, XD_RECEIVE_MAX);
	return m;
}

uint32_t gpu_client_template(struct gpu_client *c, uint32_t bytes)
{
	struct xd_get_image cmd = {
		.h = {.cmd = XD_GET_IMAGE, .size = sizeof(cmd)},
		.width = bytes,
		.height = 1,
		.fourcc = 0x20203852, /* R8 */
	};

	ck_assert_uint_eq(gpu_submit(c->f, c->ctx, &cmd, sizeof(cmd)), RESP_OK_NODATA);
	return ((const struct xd_image *)(const void *)c->query)->blob_id;
}

/* ---- Wayland ---- */

/* The compositor has heard exactly this. */
static void hears(struct gpu_client *c, const uint8_t *bytes, size_t len)
{
	uint8_t heard[1024];

	ck_assert_int_eq(recv(c->compositor, heard, sizeof(heard), MSG_DONTWAIT), (ssize_t)len);
	ck_assert_mem_eq(heard, bytes, len);
}

static size_t put_global(uint8_t *buf, uint32_t name, const char *interface)
{
	return wlmsg(buf, REGISTRY, VMM_WL_EV_WL_REGISTRY_GLOBAL, "usu", name, interface, 1u);
}

static size_t put_bind(uint8_t *buf, uint32_t name, const char *interface, uint32_t id)
{
	return wlmsg(buf, REGISTRY, VMM_WL_RQ_WL_REGISTRY_BIND, "usuu", name, interface, 1u, id);
}

void gpu_client_says(struct gpu_client *c, const uint8_t *bytes, size_t len)
{
	ck_assert_uint_eq(gpu_client_send(c, bytes, len, 0, NULL, NULL), RESP_OK_NODATA);
	hears(c, bytes, len);
}

void gpu_client_bind(struct gpu_client *c)
{
	uint8_t buf[WLMSG_MAX];
	size_t allowed;
	size_t len =
		wlmsg(buf, VMM_WL_DISPLAY_ID, VMM_WL_RQ_WL_DISPLAY_GET_REGISTRY, "u", REGISTRY);

	gpu_client_says(c, buf, len);
	len = put_global(buf, 1, "wl_seat");
	len += put_global(buf + len, 2, "wl_shm");
	allowed = len + put_global(buf + len, 3, "wl_data_device_manager");
	len = allowed + put_global(buf + allowed, 4, "zwlr_screencopy_manager_v1");
	ck_assert_int_eq(write(c->compositor, buf, len), (ssize_t)len);
	ck_assert_uint_eq(gpu_client_receive(c)->len, allowed);
	ck_assert_mem_eq(c->ring + sizeof(struct xd_send), buf, allowed);
	len = put_bind(buf, 1, "wl_seat", SEAT);
	len += wlmsg(buf + len, SEAT, VMM_WL_RQ_WL_SEAT_GET_KEYBOARD, "u", KEYBOARD);
	len += put_bind(buf + len, 2, "wl_shm", SHM);
	len += put_bind(buf + len, 3, "wl_data_device_manager", DATA_MANAGER);
	gpu_client_says(c, buf, len);
}
