/* SPDX-License-Identifier: MIT */
/*
 * What the front end says to its back end. Each function is a conversation in which every answer
 * has a deadline; any failure means that the connection is of no more use.
 */
#include "vhost/frontend_priv.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define RING_FEATURES (VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_INDIRECT_DESC | VMM_VIRTIO_F_EVENT_IDX)
/* Device features (VIRTIO 1.2 section 2.2); the others are of transports and rings not known here.
 */
#define DEVICE_FEATURES (((UINT64_C(1) << 24) - 1) | ~((UINT64_C(1) << 50) - 1))

#define STATUS_RUNNING UINT64_C(0x0f) /* ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK */

/* ---- one message ---- */

static bool speaks(const struct frontend *fe, uint64_t feature)
{
	return (fe->protocol & feature) != 0;
}

static uint64_t deadline(const struct frontend *fe)
{
	return vmm_vhost_deadline(fe->config.deadline_ms);
}

/* A request whose answer is part of it; out is msg. */
static int ask(struct frontend *fe, struct vhost_msg *msg)
{
	/* Its answer may wait for one of ours. */
	const struct vhost_meanwhile meanwhile = {
		.fd = speaks(fe, VHOST_USER_PROTOCOL_F_BACKEND_REQ) ? fe->request_fd : -1,
		.serve = vmm_vhost_frontend_serve,
		.ctx = fe,
	};
	uint32_t request = msg->header.request;
	uint64_t until = deadline(fe);
	int ret = vmm_vhost_send(fe->fd, msg, until);

	return ret < 0 ? ret
		       : vmm_vhost_receive_reply_meanwhile(fe->fd, request, msg, until, &meanwhile);
}

int vmm_vhost_link_ask(struct frontend *fe, struct vhost_msg *msg)
{
	return ask(fe, msg);
}

static int ask_u64(struct frontend *fe, uint32_t request, uint64_t *value)
{
	struct vhost_msg msg;
	int ret;

	vmm_vhost_msg_init(&msg, request, 0);
	ret = ask(fe, &msg);
	*value = msg.payload.u64;
	return ret;
}

/* A request without an answer of its own: with one all the same where the back end can. */
static int tell(struct frontend *fe, struct vhost_msg *msg)
{
	int ret;

	if (!speaks(fe, VHOST_USER_PROTOCOL_F_REPLY_ACK)) {
		return vmm_vhost_send(fe->fd, msg, deadline(fe));
	}
	msg->header.flags |= VHOST_USER_NEED_REPLY;
	ret = ask(fe, msg);
	if (ret < 0) {
		return ret;
	}
	return msg->payload.u64 == 0 ? 0 : -EREMOTEIO;
}

static int tell_plain(struct frontend *fe, uint32_t request)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, 0);
	return tell(fe, &msg);
}

static int tell_u64(struct frontend *fe, uint32_t request, uint64_t value)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.u64));
	msg.payload.u64 = value;
	return tell(fe, &msg);
}

static int tell_state(struct frontend *fe, uint32_t request, unsigned queue, uint32_t num)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.state));
	msg.payload.state.index = queue;
	msg.payload.state.num = num;
	return tell(fe, &msg);
}

static int tell_fd(struct frontend *fe, uint32_t request, unsigned queue, int fd)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.u64));
	msg.payload.u64 = fd < 0 ? queue | VHOST_USER_VRING_NOFD : queue;
	msg.fds[0] = fd;
	msg.fd_count = fd < 0 ? 0 : 1;
	return tell(fe, &msg);
}

/* ---- greeting ---- */

static int agree_on_protocol(struct frontend *fe, uint64_t features)
{
	uint64_t theirs = 0;
	uint64_t shm;
	uint64_t ours = VHOST_PROTOCOL_FEATURES & ~VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS;
	int ret;

	fe->protocol = 0;
	fe->has_protocol = (features & VHOST_USER_F_PROTOCOL_FEATURES) != 0;
	if (!fe->has_protocol) {
		return 0;
	}
	ret = ask_u64(fe, VHOST_USER_GET_PROTOCOL_FEATURES, &theirs);
	if (ret < 0) {
		return ret;
	}
	shm = vmm_vhost_shm_dialect(fe, theirs);
	ours |= shm;
	/* Its requests are about its configuration and its shared memory: without them it has
	 * nothing to say. */
	if ((theirs & VHOST_USER_PROTOCOL_F_CONFIG) == 0 && shm == 0) {
		ours &= ~VHOST_USER_PROTOCOL_F_BACKEND_REQ;
	}
	ret = tell_u64(fe, VHOST_USER_SET_PROTOCOL_FEATURES, theirs & ours);
	fe->protocol = theirs & ours;
	return ret;
}

static int check_queues(struct frontend *fe, struct vmm_error *err)
{
	uint64_t count = fe->base.queue_count;
	int ret = 0;

	if (speaks(fe, VHOST_USER_PROTOCOL_F_MQ)) {
		ret = ask_u64(fe, VHOST_USER_GET_QUEUE_NUM, &count);
	}
	if (ret == 0 && count < fe->base.queue_count) {
		return vmm_error_set(
			err, -EPROTO, "%s: the back end has %llu queues, %u are needed",
			fe->base.name, (unsigned long long)count, fe->base.queue_count);
	}
	return ret;
}

static int open_channel(struct frontend *fe)
{
	struct vhost_msg msg;

	if (!speaks(fe, VHOST_USER_PROTOCOL_F_BACKEND_REQ)) {
		return 0;
	}
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_BACKEND_REQ_FD, 0);
	msg.fds[0] = fe->request_peer;
	msg.fd_count = 1;
	return tell(fe, &msg);
}

/* What the driver is offered of the back end's features, and what else. */
static uint64_t allowed_features(struct frontend *fe, uint64_t theirs)
{
	uint64_t mask = fe->config.features ? fe->config.features : ~UINT64_C(0);
	uint64_t own = speaks(fe, VHOST_USER_PROTOCOL_F_CONFIG) ? 0 : fe->config.own_features;

	fe->own_features = own & DEVICE_FEATURES;
	return (theirs & ((DEVICE_FEATURES & mask) | RING_FEATURES)) | fe->own_features;
}

int vmm_vhost_link_greet(struct frontend *fe, uint64_t *features, struct vmm_error *err)
{
	int ret = ask_u64(fe, VHOST_USER_GET_FEATURES, features);

	if (ret == 0) {
		ret = agree_on_protocol(fe, *features);
	}
	if (ret == 0) {
		ret = tell_plain(fe, VHOST_USER_SET_OWNER);
	}
	if (ret == 0) {
		ret = check_queues(fe, err);
	}
	if (ret == 0) {
		ret = open_channel(fe);
	}
	if (ret == 0) {
		ret = vmm_vhost_shm_ask(fe, err);
	}
	if (ret < 0) {
		return err && err->message[0]
			       ? ret
			       : vmm_error_wrap(err, ret, "%s: the back end", fe->base.name);
	}
	*features = allowed_features(fe, *features);
	if ((*features & VMM_VIRTIO_F_VERSION_1) == 0) {
		return vmm_error_set(err, -EPROTO, "%s: the back end is not of VIRTIO 1.0 or later",
				     fe->base.name);
	}
	return 0;
}

/* ---- configuration space ---- */

int vmm_vhost_link_get_config(struct frontend *fe, uint8_t *bytes)
{
	size_t len = fe->base.config_len;
	struct vhost_msg msg;
	int ret;

	if (!speaks(fe, VHOST_USER_PROTOCOL_F_CONFIG) || len == 0) {
		memcpy(bytes, fe->initial, len);
		return 0;
	}
	vmm_vhost_msg_init(&msg, VHOST_USER_GET_CONFIG,
			   offsetof(struct vhost_user_config, bytes) + len);
	msg.payload.config.size = (uint32_t)len;
	ret = ask(fe, &msg);
	if (ret < 0) {
		return ret;
	}
	if (msg.header.size != offsetof(struct vhost_user_config, bytes) + len ||
	    msg.payload.config.size != len || msg.payload.config.offset != 0) {
		return -EPROTO;
	}
	memcpy(bytes, msg.payload.config.bytes, len);
	return 0;
}

int vmm_vhost_link_set_config(struct frontend *fe, size_t offset, const void *bytes, size_t len)
{
	struct vhost_msg msg;
	int ret;

	if (!speaks(fe, VHOST_USER_PROTOCOL_F_CONFIG)) {
		return 0;
	}
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_CONFIG,
			   offsetof(struct vhost_user_config, bytes) + len);
	msg.payload.config.offset = (uint32_t)offset;
	msg.payload.config.size = (uint32_t)len;
	msg.payload.config.flags = VHOST_USER_CONFIG_WRITABLE;
	memcpy(msg.payload.config.bytes, bytes, len);
	ret = tell(fe, &msg);
	/* What is not writable is the driver's mistake, and no reason to part. */
	return ret == -EREMOTEIO ? 0 : ret;
}

/* What the driver wrote before, run by run. */
static int replay_config(struct frontend *fe)
{
	size_t end;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < fe->base.config_len; i = end) {
		for (end = i; end < fe->base.config_len && fe->is_written[end]; end++) {
		}
		if (end > i) {
			ret = vmm_vhost_link_set_config(fe, i, fe->written + i, end - i);
		} else {
			end++;
		}
	}
	return ret;
}

/* ---- memory and record ---- */

static int send_memory(struct frontend *fe)
{
	struct vmm_mem_mapping map;
	struct vhost_msg msg;
	size_t count = vmm_mem_region_count(fe->active.mem);

	if (fe->knows_memory) {
		return 0;
	}
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_MEM_TABLE,
			   offsetof(struct vhost_user_mem_table, regions) +
				   count * sizeof(struct vhost_user_region));
	msg.payload.mem.count = (uint32_t)count;
	msg.payload.mem.padding = 0;
	for (size_t i = 0; vmm_mem_get_mapping(fe->active.mem, i, &map) == 0; i++) {
		/* Ring addresses are told in terms of user_addr: where this process has its memory
		 * is not the back end's business, so guest addresses serve. */
		msg.payload.mem.regions[i] = (struct vhost_user_region){
			.guest_addr = map.gpa,
			.size = map.size,
			.user_addr = map.gpa,
			.mmap_offset = map.fd_offset,
		};
		msg.fds[i] = vmm_mem_fd(fe->active.mem);
	}
	msg.fd_count = (unsigned)count;
	fe->knows_memory = true;
	return tell(fe, &msg);
}

/* The back end makes it, since only it knows how large it has to be. */
static int get_record(struct frontend *fe)
{
	struct vhost_msg msg;
	int ret;

	vmm_vhost_msg_init(&msg, VHOST_USER_GET_INFLIGHT_FD, sizeof(msg.payload.inflight));
	msg.payload.inflight = (struct vhost_user_inflight){
		.queue_count = (uint16_t)fe->base.queue_count,
		.queue_size = fe->base.queue_sizes[0],
	};
	for (unsigned i = 1; i < fe->base.queue_count; i++) {
		if (fe->base.queue_sizes[i] > msg.payload.inflight.queue_size) {
			msg.payload.inflight.queue_size = fe->base.queue_sizes[i];
		}
	}
	ret = ask(fe, &msg);
	if (ret < 0) {
		return ret;
	}
	fe->record_fd = vmm_vhost_msg_take_fd(&msg);
	fe->record = msg.payload.inflight;
	vmm_vhost_msg_close_fds(&msg);
	return fe->record_fd < 0 ? -EPROTO : 0;
}

static int send_record(struct frontend *fe)
{
	struct vhost_msg msg;
	int ret = 0;

	if (!speaks(fe, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)) {
		return 0;
	}
	if (fe->record_fd < 0) {
		ret = get_record(fe);
	} else if (fe->knows_record) {
		return 0;
	}
	if (ret < 0) {
		return ret;
	}
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_INFLIGHT_FD, sizeof(msg.payload.inflight));
	msg.payload.inflight = fe->record;
	msg.fds[0] = fe->record_fd;
	msg.fd_count = 1;
	fe->knows_record = true;
	return tell(fe, &msg);
}

/* ---- queues ---- */

int vmm_vhost_link_set_call(struct frontend *fe, unsigned queue)
{
	struct vmm_irq *irq = fe->active.queue_irqs[queue];
	int fd = irq && irq->eventfd ? irq->eventfd(irq) : -1;

	if (fd == fe->call_fds[queue]) {
		return 0;
	}
	fe->call_fds[queue] = fd;
	return tell_fd(fe, VHOST_USER_SET_VRING_CALL, queue, fd);
}

/* Where a back end went on that left no word: behind what it gave back. */
static uint16_t used_index(const struct frontend *fe, const struct vmm_carrier_ring *ring)
{
	uint16_t index = 0;

	(void)vmm_mem_read(fe->active.mem, ring->device + 2, &index, sizeof(index));
	return le16toh(index);
}

static int send_ring(struct frontend *fe, unsigned i, bool resumed)
{
	const struct vmm_carrier_ring *ring = &fe->active.rings[i];
	struct vhost_msg msg;
	int ret = tell_state(fe, VHOST_USER_SET_VRING_NUM, i, ring->size);

	if (ret == 0) {
		ret = tell_state(fe, VHOST_USER_SET_VRING_BASE, i,
				 resumed ? used_index(fe, ring) : 0);
	}
	if (ret < 0) {
		return ret;
	}
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_VRING_ADDR, sizeof(msg.payload.addr));
	msg.payload.addr = (struct vhost_user_vring_addr){
		.index = i,
		.desc = ring->desc,
		.avail = ring->driver,
		.used = ring->device,
	};
	ret = tell(fe, &msg);
	if (ret == 0) {
		ret = tell_fd(fe, VHOST_USER_SET_VRING_ERR, i, fe->error_fd);
	}
	if (ret == 0) {
		fe->call_fds[i] = -2; /* whatever it is, it is new to this back end */
		ret = vmm_vhost_link_set_call(fe, i);
	}
	if (ret == 0) {
		ret = tell_fd(fe, VHOST_USER_SET_VRING_KICK, i, fe->active.kick_fds[i]);
	}
	return ret;
}

static void write_event(int fd)
{
	uint64_t one = 1;

	/* EAGAIN: it is at its maximum, so it is known already. */
	(void)!write(fd, &one, sizeof(one));
}

/*
 * A kick may have been taken by a back end that is gone, an interrupt never have been sent by it: a
 * spurious one harms nobody.
 */
static void wake_both_sides(const struct frontend *fe)
{
	for (unsigned i = 0; i < fe->base.queue_count; i++) {
		if (fe->active.rings[i].enabled) {
			write_event(fe->active.kick_fds[i]);
			vmm_irq_raise(fe->active.queue_irqs[i]);
		}
	}
}

int vmm_vhost_link_start(struct frontend *fe, bool resumed)
{
	uint64_t features = fe->active.features & ~fe->own_features;
	int ret;

	features |= fe->has_protocol ? VHOST_USER_F_PROTOCOL_FEATURES : 0;
	ret = tell_u64(fe, VHOST_USER_SET_FEATURES, features);
	if (ret == 0) {
		ret = send_memory(fe);
	}
	if (ret == 0) {
		ret = send_record(fe);
	}
	if (ret == 0 && resumed) {
		ret = replay_config(fe);
	}
	for (unsigned i = 0; ret == 0 && i < fe->base.queue_count; i++) {
		if (fe->active.rings[i].enabled) {
			ret = send_ring(fe, i, resumed);
		}
	}
	for (unsigned i = 0; ret == 0 && fe->has_protocol && i < fe->base.queue_count; i++) {
		if (fe->active.rings[i].enabled) {
			ret = tell_state(fe, VHOST_USER_SET_VRING_ENABLE, i, 1);
		}
	}
	if (ret == 0 && speaks(fe, VHOST_USER_PROTOCOL_F_STATUS)) {
		ret = tell_u64(fe, VHOST_USER_SET_STATUS, STATUS_RUNNING);
	}
	if (ret == 0) {
		fe->running = true;
		wake_both_sides(fe);
	}
	return ret;
}

int vmm_vhost_link_stop(struct frontend *fe)
{
	struct vhost_msg msg;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < fe->base.queue_count; i++) {
		if (!fe->active.rings[i].enabled) {
			continue;
		}
		vmm_vhost_msg_init(&msg, VHOST_USER_GET_VRING_BASE, sizeof(msg.payload.state));
		msg.payload.state.index = i;
		msg.payload.state.num = 0;
		ret = ask(fe, &msg);
		if (ret == 0 && msg.payload.state.index != i) {
			ret = -EPROTO;
		}
	}
	if (ret == 0 && speaks(fe, VHOST_USER_PROTOCOL_F_STATUS)) {
		ret = tell_u64(fe, VHOST_USER_SET_STATUS, 0);
	} else if (ret == 0 && speaks(fe, VHOST_USER_PROTOCOL_F_RESET_DEVICE)) {
		ret = tell_plain(fe, VHOST_USER_RESET_DEVICE);
	}
	fe->running = false;
	return ret;
}

int vmm_vhost_link_answer(struct frontend *fe, const struct vhost_msg *request, bool good)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request->header.request, sizeof(msg.payload.u64));
	msg.header.flags |= VHOST_USER_REPLY;
	msg.payload.u64 = good ? 0 : 1;
	return vmm_vhost_send(fe->request_fd, &msg, deadline(fe));
}
