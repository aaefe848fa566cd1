/* SPDX-License-Identifier: MIT */
/*
 * What each message of a front end means to the back end.
 */
#include "backend_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

typedef int (*handle_fn)(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			 struct vhost_msg *reply);

static bool is_active_with_other(const struct vmm_vhost_backend *b, uint64_t have, uint64_t wanted)
{
	return b->active && have != wanted;
}

/* ---- features ---- */

static uint64_t offered(const struct vmm_vhost_backend *b)
{
	return vmm_carrier_features(b->carrier) | VHOST_USER_F_PROTOCOL_FEATURES;
}

static int get_features(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	(void)msg;
	reply->payload.u64 = offered(b);
	return 0;
}

static int set_features(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	uint64_t features = msg->payload.u64;

	(void)reply;
	if (features & ~offered(b)) {
		return -EINVAL;
	}
	if (is_active_with_other(b, b->features, features)) {
		return -EBUSY;
	}
	b->features = features;
	vmm_vhost_update(b);
	return 0;
}

static uint64_t offered_protocol(const struct vmm_vhost_backend *b)
{
	return VHOST_PROTOCOL_FEATURES |
	       (vmm_carrier_device(b->carrier)->shm_count > 0 ? VHOST_USER_PROTOCOL_F_SHMEM : 0);
}

static int get_protocol(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	(void)msg;
	reply->payload.u64 = offered_protocol(b);
	return 0;
}

static int set_protocol(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	uint64_t protocol = msg->payload.u64;

	(void)reply;
	if (protocol & ~offered_protocol(b)) {
		return -EINVAL;
	}
	if (is_active_with_other(b, b->protocol, protocol)) {
		return -EBUSY;
	}
	b->protocol = protocol;
	vmm_vhost_update(b);
	return 0;
}

/* The session begins with the connection, and RESET_OWNER is best ignored, says its text. */
static int do_nothing(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	(void)b;
	(void)msg;
	(void)reply;
	return 0;
}

static int get_queue_num(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			 struct vhost_msg *reply)
{
	(void)msg;
	reply->payload.u64 = b->queue_count;
	return 0;
}

/* ---- status ---- */

static int get_status(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	(void)msg;
	reply->payload.u64 = b->status | (b->failed ? VMM_VIRTIO_S_NEEDS_RESET : 0u);
	return 0;
}

/*
 * Rings keep their place over a status of 0: front ends send it for a pause as well, and may ask
 * for the place afterwards.
 */
static int set_status(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	uint64_t status = msg->payload.u64 & ~(uint64_t)VMM_VIRTIO_S_NEEDS_RESET;

	(void)reply;
	if (status == 0) {
		b->status = 0;
		vmm_vhost_stop(b);
		b->failed = false;
		b->resuming = false;
		b->kicked = false;
	} else if (status > UINT8_MAX || (b->status & ~status) != 0) {
		return -EINVAL;
	}
	b->status = (uint8_t)status;
	vmm_vhost_update(b);
	return 0;
}

static int reset_device(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	(void)msg;
	(void)reply;
	vmm_vhost_rings_reset(b);
	vmm_vhost_clear_record(b);
	b->status = 0;
	return 0;
}

/* ---- configuration space ---- */

static bool is_consistent(const struct vhost_msg *msg)
{
	const struct vhost_user_config *c = &msg->payload.config;

	return msg->header.size == offsetof(struct vhost_user_config, bytes) + c->size;
}

static bool is_inside(const struct vhost_user_config *c, size_t len)
{
	return c->offset < len && c->size <= len - c->offset;
}

/* Front ends ask for the whole struct of the newest device: what this one has not reads 0. */
static int get_config(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	const struct vhost_user_config *c = &msg->payload.config;

	if (!is_consistent(msg)) {
		return -EPROTO;
	}
	if (!is_inside(c, VHOST_USER_CONFIG_SIZE)) {
		return -EINVAL;
	}
	reply->header.size = msg->header.size;
	reply->payload.config.offset = c->offset;
	reply->payload.config.size = c->size;
	reply->payload.config.flags = c->flags;
	vmm_carrier_read_config(b->carrier, c->offset, reply->payload.config.bytes, c->size);
	return 0;
}

static int set_config(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	const struct vhost_user_config *c = &msg->payload.config;
	const struct vmm_virtio_device *dev = vmm_carrier_device(b->carrier);

	(void)reply;
	if (!is_consistent(msg)) {
		return -EPROTO;
	}
	/* Nothing migrates, and which bytes can be written is the device's to know. */
	if (c->flags != VHOST_USER_CONFIG_WRITABLE || !is_inside(c, dev->config_len) ||
	    !dev->ops->set_config) {
		return -EINVAL;
	}
	vmm_carrier_write_config(b->carrier, c->offset, c->bytes, c->size);
	return 0;
}

static int set_request_fd(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			  struct vhost_msg *reply)
{
	(void)reply;
	if (b->request_fd >= 0) {
		(void)close(b->request_fd);
	}
	b->request_fd = vmm_vhost_msg_take_fd(msg);
	vmm_vhost_set_nonblock(b, b->request_fd);
	return 0;
}

void vmm_vhost_backend_config_changed(void *ctx)
{
	struct vmm_vhost_backend *b = ctx;
	struct vhost_writer w = {.pending = true};

	if (b->request_fd < 0 || !(b->protocol & VHOST_USER_PROTOCOL_F_CONFIG)) {
		return;
	}
	vmm_vhost_msg_init(&w.msg, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0);
	/* A socket that is full holds changes that nobody has looked at yet: one more is no news.
	 */
	if (vmm_vhost_writer_step(&w, b->request_fd) < 0 || w.sent > 0) {
		(void)close(b->request_fd);
		b->request_fd = -1;
	}
}

static int get_shmem_config(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			    struct vhost_msg *reply)
{
	(void)msg;
	vmm_vhost_get_shmem(b, &reply->payload.shmem);
	return 0;
}

/* ---- memory and rings ---- */

static int set_mem_table(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			 struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_set_mem_table(b, msg);
}

static int get_max_mem_slots(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			     struct vhost_msg *reply)
{
	(void)b;
	(void)msg;
	reply->payload.u64 = VHOST_USER_MEM_REGIONS;
	return 0;
}

static int add_mem_reg(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_add_region(b, msg);
}

static int rem_mem_reg(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_remove_region(b, msg);
}

static int get_inflight_fd(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			   struct vhost_msg *reply)
{
	return vmm_vhost_get_inflight(b, msg, reply);
}

static int set_inflight_fd(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			   struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_set_inflight(b, msg);
}

static int set_vring_num(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			 struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_set_num(b, &msg->payload.state);
}

static int set_vring_addr(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			  struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_set_addr(b, &msg->payload.addr);
}

static int set_vring_base(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			  struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_set_base(b, &msg->payload.state);
}

static int get_vring_base(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			  struct vhost_msg *reply)
{
	return vmm_vhost_get_base(b, &msg->payload.state, &reply->payload.state);
}

static int set_vring_fd(struct vmm_vhost_backend *b, struct vhost_msg *msg, struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_set_ring_fd(b, msg);
}

static int set_vring_enable(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			    struct vhost_msg *reply)
{
	(void)reply;
	return vmm_vhost_set_enable(b, &msg->payload.state);
}

/* ---- the table ---- */

#define CONFIG   VHOST_USER_PROTOCOL_F_CONFIG
#define INFLIGHT VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD
#define SLOTS    VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS
#define STATUS   VHOST_USER_PROTOCOL_F_STATUS
#define SHMEM    VHOST_USER_PROTOCOL_F_SHMEM

/* Every request that msg.c lets through has an entry. */
static const struct {
	handle_fn handle;
	uint64_t needs;  /* protocol features that have to be negotiated */
	uint16_t reply;  /* payload of its own reply, 0: none, or handle says how much */
	bool unsealed;   /* takes more than a jailed process can do */
	bool may_ignore; /* a refusal that nobody hears of does no harm */
} handlers[] = {
	[VHOST_USER_GET_FEATURES] = {.handle = get_features, .reply = 8},
	[VHOST_USER_SET_FEATURES] = {.handle = set_features},
	[VHOST_USER_SET_OWNER] = {.handle = do_nothing},
	[VHOST_USER_RESET_OWNER] = {.handle = do_nothing},
	[VHOST_USER_SET_MEM_TABLE] = {.handle = set_mem_table, .unsealed = true},
	[VHOST_USER_SET_VRING_NUM] = {.handle = set_vring_num},
	[VHOST_USER_SET_VRING_ADDR] = {.handle = set_vring_addr},
	[VHOST_USER_SET_VRING_BASE] = {.handle = set_vring_base},
	[VHOST_USER_GET_VRING_BASE] = {.handle = get_vring_base, .reply = 8},
	[VHOST_USER_SET_VRING_KICK] = {.handle = set_vring_fd},
	[VHOST_USER_SET_VRING_CALL] = {.handle = set_vring_fd},
	[VHOST_USER_SET_VRING_ERR] = {.handle = set_vring_fd},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {.handle = get_protocol, .reply = 8},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {.handle = set_protocol, .unsealed = true},
	[VHOST_USER_GET_QUEUE_NUM] = {.handle = get_queue_num, .reply = 8},
	[VHOST_USER_SET_VRING_ENABLE] = {.handle = set_vring_enable},
	[VHOST_USER_SET_BACKEND_REQ_FD] = {.handle = set_request_fd, .unsealed = true},
	[VHOST_USER_GET_CONFIG] = {.handle = get_config, .needs = CONFIG},
	[VHOST_USER_SET_CONFIG] = {.handle = set_config, .needs = CONFIG, .may_ignore = true},
	[VHOST_USER_GET_INFLIGHT_FD] = {.handle = get_inflight_fd,
					.needs = INFLIGHT,
					.unsealed = true},
	[VHOST_USER_SET_INFLIGHT_FD] = {.handle = set_inflight_fd,
					.needs = INFLIGHT,
					.unsealed = true},
	[VHOST_USER_RESET_DEVICE] = {.handle = reset_device},
	[VHOST_USER_GET_MAX_MEM_SLOTS] = {.handle = get_max_mem_slots, .needs = SLOTS, .reply = 8},
	[VHOST_USER_ADD_MEM_REG] = {.handle = add_mem_reg, .needs = SLOTS, .unsealed = true},
	[VHOST_USER_REM_MEM_REG] = {.handle = rem_mem_reg, .needs = SLOTS, .unsealed = true},
	[VHOST_USER_SET_STATUS] = {.handle = set_status, .needs = STATUS},
	[VHOST_USER_GET_STATUS] = {.handle = get_status, .needs = STATUS, .reply = 8},
	[VHOST_USER_GET_SHMEM_CONFIG] = {.handle = get_shmem_config,
					 .needs = SHMEM,
					 .reply = sizeof(struct vhost_user_shmem_config)},
};

int vmm_vhost_backend_handle(struct vmm_vhost_backend *b, struct vhost_msg *msg,
			     struct vhost_msg *reply)
{
	uint32_t request = msg->header.request;

	if (request >= sizeof(handlers) / sizeof(handlers[0])) {
		return -EPROTO; /* of those that are not of the specification: a front end's only */
	}
	if ((handlers[request].needs & ~b->protocol) != 0 ||
	    (handlers[request].unsealed && vmm_vhost_is_sealed(b))) {
		return -EPROTO;
	}
	reply->header.size = handlers[request].reply;
	return handlers[request].handle(b, msg, reply);
}

bool vmm_vhost_backend_may_ignore(uint32_t request)
{
	return handlers[request].may_ignore;
}
