/* SPDX-License-Identifier: MIT */
#include "test_vhost_fix.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdcount.h"

#define RING_STRIDE 0x10000u
#define AVAIL_AT    0x4000u
#define USED_AT     0x8000u
#define BUFFER_LEN  64u

/* ---- life ---- */

static int on_start(void *ctx)
{
	struct fix *f = ctx;

	f->started++;
	return f->start_result;
}

static void on_closed(void *ctx, int why)
{
	struct fix *f = ctx;

	f->closed++;
	f->why = why;
}

static void make_memory(struct fix *f)
{
	f->mem_fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(f->mem_fd, 0);
	ck_assert_int_eq(ftruncate(f->mem_fd, (off_t)FIX_MEM), 0);
	ck_assert_int_eq(fcntl(f->mem_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	f->mem = mmap(NULL, FIX_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, f->mem_fd, 0);
	ck_assert(f->mem != MAP_FAILED);
}

static void make_rings(struct fix *f)
{
	for (unsigned i = 0; i < FIX_QUEUES; i++) {
		struct fix_ring *r = &f->rings[i];
		size_t at = (size_t)i * RING_STRIDE;

		r->desc = f->mem + at;
		r->avail = (uint16_t *)(void *)(f->mem + at + AVAIL_AT);
		r->used = (uint16_t *)(void *)(f->mem + at + USED_AT);
		r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ck_assert(r->kick >= 0 && r->call >= 0 && r->err >= 0);
	}
}

void fix_reconnect(struct fix *f)
{
	int pair[2];

	vmm_vhost_backend_destroy(f->b);
	f->b = NULL;
	if (f->fd >= 0) {
		(void)close(f->fd);
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f->fd = pair[0];
	f->config.fd = pair[1];
	f->closed = 0;
	f->started = 0;
	ck_assert_int_eq(vmm_vhost_backend_create(&f->b, f->served, &f->config, NULL), 0);
}

void fix_init_with(struct fix *f, struct vmm_virtio_device *dev, bool sealed)
{
	memset(f, 0, sizeof(*f));
	f->fds_before = fdcount();
	/* As vhost_backend.h asks of a program. */
	(void)signal(SIGPIPE, SIG_IGN);
	f->fd = -1;
	ck_assert_int_eq(vmm_loop_create(&f->loop), 0);
	testdev_init(&f->dev);
	f->served = dev ? dev : &f->dev.base;
	make_memory(f);
	make_rings(f);
	f->config = (struct vmm_vhost_backend_config){
		.loop = f->loop,
		.sealed_after_start = sealed,
		.on_start = on_start,
		.on_closed = on_closed,
		.ctx = f,
	};
	fix_reconnect(f);
}

void fix_init(struct fix *f)
{
	fix_init_with(f, NULL, false);
}

void fix_finish(struct fix *f)
{
	vmm_vhost_backend_destroy(f->b);
	if (f->fd >= 0) {
		(void)close(f->fd);
	}
	for (unsigned i = 0; i < FIX_QUEUES; i++) {
		(void)close(f->rings[i].kick);
		(void)close(f->rings[i].call);
		(void)close(f->rings[i].err);
	}
	(void)munmap(f->mem, FIX_MEM);
	(void)close(f->mem_fd);
	vmm_loop_destroy(f->loop);
	ck_assert_uint_eq(fdcount(), f->fds_before);
}

void fix_run(struct fix *f)
{
	for (int i = 0; i < 1000 && vmm_loop_dispatch(f->loop, 0) > 0; i++) {
	}
}

bool fix_run_until(struct fix *f, const unsigned *flag, int ms)
{
	uint64_t end = vmm_vhost_deadline((unsigned)ms);

	while (*flag == 0 && vmm_vhost_deadline(0) < end) {
		ck_assert_int_ge(vmm_loop_dispatch(f->loop, 5), 0);
	}
	return *flag != 0;
}

bool fix_is_closed(struct fix *f)
{
	fix_run(f);
	return f->closed > 0;
}

/* ---- messages ---- */

void fix_send(struct fix *f, const struct vhost_msg *msg)
{
	/* The peer may have hung up already. */
	(void)vmm_vhost_send(f->fd, msg, vmm_vhost_deadline(FIX_DEADLINE));
	fix_run(f);
}

int fix_ask(struct fix *f, const struct vhost_msg *msg, struct vhost_msg *reply)
{
	fix_send(f, msg);
	return vmm_vhost_receive_reply(f->fd, msg->header.request, reply,
				       vmm_vhost_deadline(FIX_DEADLINE));
}

int fix_tell(struct fix *f, struct vhost_msg *msg)
{
	struct vhost_msg reply;
	int ret;

	msg->header.flags |= VHOST_USER_NEED_REPLY;
	ret = fix_ask(f, msg, &reply);
	if (ret < 0) {
		/* Hanging up with a request unread is ECONNRESET, or EPIPE for who writes then. */
		ck_assert_int_eq(ret, -ECONNRESET);
		ck_assert(fix_is_closed(f));
		return ret;
	}
	ck_assert_uint_le(reply.payload.u64, 1);
	return (int)reply.payload.u64;
}

int fix_tell_u64(struct fix *f, uint32_t request, uint64_t value)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.u64));
	msg.payload.u64 = value;
	return fix_tell(f, &msg);
}

int fix_tell_state(struct fix *f, uint32_t request, unsigned index, unsigned num)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.state));
	msg.payload.state.index = index;
	msg.payload.state.num = num;
	return fix_tell(f, &msg);
}

int fix_tell_fd(struct fix *f, uint32_t request, uint64_t value, int fd)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.u64));
	msg.payload.u64 = value;
	msg.fds[0] = fd;
	msg.fd_count = fd >= 0;
	return fix_tell(f, &msg);
}

int fix_tell_plain(struct fix *f, uint32_t request)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, 0);
	return fix_tell(f, &msg);
}

uint64_t fix_ask_u64(struct fix *f, uint32_t request)
{
	struct vhost_msg msg;
	struct vhost_msg reply;

	vmm_vhost_msg_init(&msg, request, 0);
	ck_assert_int_eq(fix_ask(f, &msg, &reply), 0);
	return reply.payload.u64;
}

int fix_get_base(struct fix *f, unsigned index)
{
	struct vhost_msg msg;
	struct vhost_msg reply;

	vmm_vhost_msg_init(&msg, VHOST_USER_GET_VRING_BASE, sizeof(msg.payload.state));
	msg.payload.state.index = index;
	if (fix_ask(f, &msg, &reply) < 0) {
		return -1;
	}
	ck_assert_uint_eq(reply.payload.state.index, index);
	return (int)reply.payload.state.num;
}

int fix_channel(struct fix *f)
{
	struct vhost_msg msg;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_BACKEND_REQ_FD, 0);
	msg.fds[0] = pair[1];
	msg.fd_count = 1;
	ck_assert_int_eq(fix_tell(f, &msg), 0);
	(void)close(pair[1]);
	return pair[0];
}

void fix_negotiate(struct fix *f, uint64_t features, uint64_t protocol)
{
	struct vhost_msg msg;

	ck_assert_uint_eq(fix_ask_u64(f, VHOST_USER_GET_FEATURES) & features, features);
	ck_assert_uint_eq(fix_ask_u64(f, VHOST_USER_GET_PROTOCOL_FEATURES),
			  VHOST_PROTOCOL_FEATURES |
				  (f->served->shm_count > 0 ? VHOST_USER_PROTOCOL_F_SHMEM : 0));
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_PROTOCOL_FEATURES, sizeof(msg.payload.u64));
	msg.payload.u64 = protocol;
	fix_send(f, &msg);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_OWNER, 0);
	fix_send(f, &msg);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_FEATURES, sizeof(msg.payload.u64));
	msg.payload.u64 = features;
	fix_send(f, &msg);
	ck_assert(!fix_is_closed(f));
}

void fix_mem_table(struct fix *f, struct vhost_msg *msg)
{
	vmm_vhost_msg_init(msg, VHOST_USER_SET_MEM_TABLE, 8 + 2 * sizeof(struct vhost_user_region));
	msg->payload.mem.count = 2;
	msg->payload.mem.regions[0] = (struct vhost_user_region){
		.guest_addr = FIX_GPA_LOW,
		.size = FIX_MEM / 2,
		.user_addr = FIX_USER_LOW,
	};
	msg->payload.mem.regions[1] = (struct vhost_user_region){
		.guest_addr = FIX_GPA_HIGH,
		.size = FIX_MEM / 2,
		.user_addr = FIX_USER_HIGH,
		.mmap_offset = FIX_MEM / 2,
	};
	msg->fds[0] = f->mem_fd;
	msg->fds[1] = f->mem_fd;
	msg->fd_count = 2;
}

void fix_give_memory(struct fix *f)
{
	struct vhost_msg msg;

	fix_mem_table(f, &msg);
	fix_send(f, &msg);
	ck_assert(!fix_is_closed(f));
}

void fix_addr(const struct fix *f, unsigned index, struct vhost_msg *msg)
{
	uint64_t at = FIX_USER_LOW + (uint64_t)(f->rings[index].desc - f->mem);

	vmm_vhost_msg_init(msg, VHOST_USER_SET_VRING_ADDR, sizeof(msg->payload.addr));
	msg->payload.addr = (struct vhost_user_vring_addr){
		.index = index,
		.desc = at,
		.avail = at + AVAIL_AT,
		.used = at + USED_AT,
	};
}

static void send_state(struct fix *f, uint32_t request, unsigned index, unsigned num)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.state));
	msg.payload.state.index = index;
	msg.payload.state.num = num;
	fix_send(f, &msg);
}

static void send_fd(struct fix *f, uint32_t request, unsigned index, int fd)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.u64));
	msg.payload.u64 = index;
	msg.fds[0] = fd;
	msg.fd_count = 1;
	fix_send(f, &msg);
}

void fix_give_ring(struct fix *f, unsigned index, uint16_t base)
{
	struct vhost_msg msg;

	send_state(f, VHOST_USER_SET_VRING_NUM, index, FIX_SIZE);
	send_state(f, VHOST_USER_SET_VRING_BASE, index, base);
	fix_addr(f, index, &msg);
	fix_send(f, &msg);
	send_fd(f, VHOST_USER_SET_VRING_CALL, index, f->rings[index].call);
	send_fd(f, VHOST_USER_SET_VRING_ERR, index, f->rings[index].err);
	send_fd(f, VHOST_USER_SET_VRING_KICK, index, f->rings[index].kick);
	ck_assert(!fix_is_closed(f));
}

void fix_enable(struct fix *f, unsigned index, bool enable)
{
	send_state(f, VHOST_USER_SET_VRING_ENABLE, index, enable);
}

void fix_driver_ok(struct fix *f)
{
	ck_assert_int_eq(fix_tell_u64(f, VHOST_USER_SET_STATUS, 0x0f), 0);
}

void fix_start(struct fix *f, unsigned count)
{
	fix_negotiate(f, FIX_FEATURES, FIX_PROTOCOL);
	fix_give_memory(f);
	for (unsigned i = 0; i < count; i++) {
		fix_give_ring(f, i, 0);
		fix_enable(f, i, true);
	}
	fix_driver_ok(f);
	ck_assert(f->b->active);
}

/* ---- the driver ---- */

uint8_t *fix_buffer(struct fix *f, unsigned index, uint16_t head)
{
	/* In the other region. */
	return f->mem + FIX_MEM / 2 + (index * FIX_SIZE + head) * BUFFER_LEN;
}

void fix_offer(struct fix *f, unsigned index, uint16_t head)
{
	struct fix_ring *r = &f->rings[index];
	uint64_t addr = FIX_GPA_HIGH + (index * FIX_SIZE + head) * BUFFER_LEN;
	uint32_t len = BUFFER_LEN;
	uint16_t flags[2] = {2, 0}; /* WRITE; next */

	memcpy(r->desc + 16u * head, &addr, sizeof(addr));
	memcpy(r->desc + 16u * head + 8, &len, sizeof(len));
	memcpy(r->desc + 16u * head + 12, flags, sizeof(flags));
	r->avail[2 + r->avail[1] % FIX_SIZE] = head;
	__atomic_store_n(&r->avail[1], (uint16_t)(r->avail[1] + 1), __ATOMIC_RELEASE);
}

void fix_kick(struct fix *f, unsigned index)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(f->rings[index].kick, &one, sizeof(one)), sizeof(one));
	fix_run(f);
}

uint16_t fix_used_idx(const struct fix *f, unsigned index)
{
	return __atomic_load_n(&f->rings[index].used[1], __ATOMIC_ACQUIRE);
}

int fix_used(struct fix *f, unsigned index)
{
	struct fix_ring *r = &f->rings[index];
	uint32_t head;

	if (r->seen == fix_used_idx(f, index)) {
		return -1;
	}
	memcpy(&head, r->used + 2 + 4u * (r->seen % FIX_SIZE), sizeof(head));
	r->seen++;
	/* used_event: an interrupt for the next one, please. */
	r->avail[2 + FIX_SIZE] = r->seen;
	return (int)head;
}

uint64_t fix_count(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count) ? count : 0;
}
