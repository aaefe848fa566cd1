/* SPDX-License-Identifier: MIT */
/*
 * What the back end makes of each message, good and bad, and of a front end that stops in the
 * middle of one, does not listen, or says anything in any order. Rings are in test_vhost_rings.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faultinj.h"
#include "fdcount.h"
#include "suite.h"
#include "test_vhost_fix.h"

#define HEADER   sizeof(struct vhost_user_header)
#define CONFIG   offsetof(struct vhost_user_config, bytes)
#define SHORT_NS UINT64_C(20000000)

/* ---- negotiation ---- */

START_TEST(backend_offers_the_devices_and_the_rings_features)
{
	struct fix f;

	fix_init(&f);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_FEATURES),
			  TESTDEV_FEATURE | VMM_VIRTIO_F_VERSION_1 | VMM_VIRTIO_F_INDIRECT_DESC |
				  VMM_VIRTIO_F_EVENT_IDX | VHOST_USER_F_PROTOCOL_FEATURES);
	/* MQ, REPLY_ACK, BACKEND_REQ, CONFIG, INFLIGHT, RESET, SLOTS, STATUS. */
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_PROTOCOL_FEATURES), 0x1b229);
	ck_assert_uint_eq(fix_ask_u64(&f, VHOST_USER_GET_QUEUE_NUM), TESTDEV_QUEUES);
	fix_finish(&f);
}
END_TEST

START_TEST(backend_refuses_features_it_did_not_offer)
{
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t one = UINT64_C(1) << bit;
		bool good = (fix_ask_u64(&f, VHOST_USER_GET_FEATURES) & one) != 0;

		ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_FEATURES, one), !good);
		ck_assert(!good || f.b->features == one);
	}
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t one = (UINT64_C(1) << bit) | VHOST_USER_PROTOCOL_F_REPLY_ACK;

		ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_PROTOCOL_FEATURES, one),
				 (one & ~VHOST_PROTOCOL_FEATURES) != 0);
	}
	fix_finish(&f);
}
END_TEST

/* Without REPLY_ACK a flag asking for an answer means nothing, and a refusal ends the connection.
 */
START_TEST(backend_without_reply_ack_closes_instead_of_refusing)
{
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_OWNER, 0);
	msg.header.flags |= VHOST_USER_NEED_REPLY;
	fix_send(&f, &msg);
	ck_assert_int_eq(
		vmm_vhost_receive_reply(f.fd, VHOST_USER_SET_OWNER, &msg, vmm_vhost_deadline(10)),
		-ETIMEDOUT);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_FEATURES, 8);
	msg.payload.u64 = 1;
	fix_send(&f, &msg);
	ck_assert(fix_is_closed(&f));
	ck_assert_int_eq(f.why, -EINVAL);
	fix_finish(&f);
}
END_TEST

static const struct {
	uint32_t request;
	uint32_t size;
	uint64_t feature;
} gated[] = {
	{VHOST_USER_GET_CONFIG, CONFIG + 1, VHOST_USER_PROTOCOL_F_CONFIG},
	{VHOST_USER_SET_CONFIG, CONFIG + 1, VHOST_USER_PROTOCOL_F_CONFIG},
	{VHOST_USER_GET_INFLIGHT_FD, 24, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD},
	{VHOST_USER_SET_INFLIGHT_FD, 24, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD},
	{VHOST_USER_GET_MAX_MEM_SLOTS, 0, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS},
	{VHOST_USER_ADD_MEM_REG, 40, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS},
	{VHOST_USER_REM_MEM_REG, 40, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS},
	{VHOST_USER_SET_STATUS, 8, VHOST_USER_PROTOCOL_F_STATUS},
	{VHOST_USER_GET_STATUS, 0, VHOST_USER_PROTOCOL_F_STATUS},
	{VHOST_USER_GET_SHMEM_CONFIG, 0, VHOST_USER_PROTOCOL_F_SHMEM},
	{VHOST_USER_GET_SHMEM_PRIVATE, 0, VHOST_USER_PROTOCOL_F_SHMEM_PRIVATE},
};
#define GATED (int)(sizeof(gated) / sizeof(gated[0]))

START_TEST(message_of_a_feature_not_negotiated_closes)
{
	uint32_t request = gated[_i].request;
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL & ~gated[_i].feature);
	vmm_vhost_msg_init(&msg, request, gated[_i].size);
	msg.fds[0] = f.mem_fd;
	msg.fd_count = request == VHOST_USER_SET_INFLIGHT_FD || request == VHOST_USER_ADD_MEM_REG;
	msg.payload.config.size = 1;
	fix_send(&f, &msg);
	ck_assert(fix_is_closed(&f));
	ck_assert_int_eq(f.why, -EPROTO);
	fix_finish(&f);
}
END_TEST

/* ---- the connection ---- */

START_TEST(front_end_that_hangs_up_ends_everything)
{
	struct fix f;

	fix_init(&f);
	fix_start(&f, 2);
	(void)close(f.fd);
	f.fd = -1;
	ck_assert(fix_is_closed(&f));
	ck_assert_int_eq(f.why, 0);
	ck_assert_uint_eq(f.dev.resets, 1);
	ck_assert_ptr_null(f.b->mem);
	/* The device can be served again. */
	fix_reconnect(&f);
	fix_start(&f, 2);
	ck_assert_uint_eq(f.dev.activated, 2);
	ck_assert_uint_eq(f.dev.destroyed, 0);
	fix_finish(&f);
}
END_TEST

static void destroy_on_closed(void *ctx, int why)
{
	struct fix *f = ctx;

	(void)why;
	f->closed++;
	vmm_vhost_backend_destroy(f->b);
	f->b = NULL;
}

START_TEST(back_end_may_be_destroyed_by_on_closed)
{
	struct fix f;

	fix_init(&f);
	f.config.on_closed = destroy_on_closed;
	fix_reconnect(&f);
	fix_start(&f, 1);
	(void)close(f.fd);
	f.fd = -1;
	ck_assert(fix_is_closed(&f));
	ck_assert_ptr_null(f.b);
	fix_finish(&f);
}
END_TEST

/* Of a message of 52 bytes, after which nothing comes. */
START_TEST(half_a_message_closes_at_the_deadline_and_holds_nobody_up)
{
	size_t len = (size_t)_i + 1;
	size_t header = len < HEADER ? len : HEADER;
	struct vhost_msg msg;
	struct fix f;

	fix_init(&f);
	fix_start(&f, 1);
	f.dev.echo = true;
	f.b->deadline_ns = SHORT_NS;
	fix_addr(&f, 0, &msg);
	ck_assert_int_eq(write(f.fd, &msg.header, header), (ssize_t)header);
	ck_assert_int_eq(write(f.fd, &msg.payload, len - header), (ssize_t)(len - header));
	fix_run(&f);
	ck_assert(!fix_is_closed(&f));
	/* The device goes on. */
	fix_offer(&f, 0, 3);
	fix_kick(&f, 0);
	ck_assert_int_eq(fix_used(&f, 0), 3);
	ck_assert(fix_run_until(&f, &f.closed, 2000));
	ck_assert_int_eq(f.why, -ETIMEDOUT);
	fix_finish(&f);
}
END_TEST

START_TEST(message_completed_in_time_is_done_and_the_deadline_is_off)
{
	struct vhost_user_header h = {VHOST_USER_GET_FEATURES, 1, 0};
	struct vhost_msg msg;
	unsigned never = 0;
	struct fix f;

	fix_init(&f);
	f.b->deadline_ns = SHORT_NS;
	ck_assert_int_eq(write(f.fd, &h, 5), 5);
	fix_run(&f);
	ck_assert_int_eq(write(f.fd, (uint8_t *)&h + 5, HEADER - 5), HEADER - 5);
	fix_run(&f);
	ck_assert_int_eq(vmm_vhost_receive_reply(f.fd, VHOST_USER_GET_FEATURES, &msg,
						 vmm_vhost_deadline(FIX_DEADLINE)),
			 0);
	ck_assert(!fix_run_until(&f, &never, 60));
	ck_assert(!fix_is_closed(&f));
	fix_finish(&f);
}
END_TEST

/* Requests without end and never a look at the replies. */
START_TEST(front_end_that_takes_no_reply_is_closed_at_the_deadline)
{
	struct vhost_user_header h = {VHOST_USER_GET_FEATURES, 1, 0};
	int flags;
	struct fix f;

	fix_init(&f);
	f.b->deadline_ns = SHORT_NS;
	flags = fcntl(f.fd, F_GETFL);
	ck_assert_int_eq(fcntl(f.fd, F_SETFL, flags | O_NONBLOCK), 0);
	for (int i = 0; i < 1000000 && !f.b->writer.pending; i++) {
		if (write(f.fd, &h, HEADER) < 0) {
			ck_assert_int_eq(errno, EAGAIN);
		}
		(void)vmm_loop_dispatch(f.loop, 0);
	}
	ck_assert(f.b->writer.pending);
	ck_assert(fix_run_until(&f, &f.closed, 2000));
	ck_assert_int_eq(f.why, -ETIMEDOUT);
	fix_finish(&f);
}
END_TEST

/* Taken in the end, it goes on where it was. */
START_TEST(reply_that_had_to_wait_arrives_whole)
{
	struct vhost_user_header h = {VHOST_USER_GET_FEATURES, 1, 0};
	struct vhost_msg msg;
	int sent = 0;
	struct fix f;

	fix_init(&f);
	while (!f.b->writer.pending) {
		ck_assert_int_eq(write(f.fd, &h, HEADER), HEADER);
		sent++;
		(void)vmm_loop_dispatch(f.loop, 0);
	}
	for (int i = 0; i < sent; i++) {
		ck_assert_int_eq(vmm_vhost_receive_reply(f.fd, VHOST_USER_GET_FEATURES, &msg,
							 vmm_vhost_deadline(FIX_DEADLINE)),
				 0);
		fix_run(&f);
	}
	ck_assert(!f.b->writer.pending && !fix_is_closed(&f));
	fix_finish(&f);
}
END_TEST

/* ---- anything in any order ---- */

static uint64_t rnd_state;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

/* Mostly of the right size, with values that often make sense. */
static void random_message(struct fix *f, struct vhost_msg *msg)
{
	static const uint16_t sizes[41] = {
		[2] = 8,           [5] = 72,  [8] = 8,   [9] = 40,  [10] = 8,  [11] = 8,
		[12] = 8,          [13] = 8,  [14] = 8,  [16] = 8,  [18] = 8,  [24] = CONFIG + 4,
		[25] = CONFIG + 4, [31] = 24, [32] = 24, [37] = 40, [38] = 40, [39] = 8,
	};
	uint32_t request = (uint32_t)(rnd() % 41);
	unsigned index = (unsigned)(rnd() % (FIX_QUEUES + 1));

	vmm_vhost_msg_init(msg, request, sizes[request]);
	msg->header.flags |= rnd() % 2 ? VHOST_USER_NEED_REPLY : 0;
	switch (request) {
	case VHOST_USER_SET_FEATURES:
		msg->payload.u64 = rnd() % 4 ? FIX_FEATURES : VMM_VIRTIO_F_VERSION_1;
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		msg->payload.u64 = rnd() % 4 ? FIX_PROTOCOL : FIX_NO_STATUS;
		break;
	case VHOST_USER_SET_MEM_TABLE:
		fix_mem_table(f, msg);
		break;
	case VHOST_USER_SET_VRING_ADDR:
		fix_addr(f, index % FIX_QUEUES, msg);
		msg->payload.addr.desc += rnd() % 8 ? 0 : rnd();
		break;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		msg->payload.u64 = index;
		msg->fds[0] = f->rings[index % FIX_QUEUES].kick;
		msg->fd_count = 1;
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		msg->fds[0] = f->rings[0].err;
		msg->fd_count = 1;
		break;
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		msg->payload.config.offset = (uint32_t)(rnd() % 24);
		msg->payload.config.size = 4;
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		msg->payload.inflight.mmap_size = 4096;
		msg->payload.inflight.queue_count = (uint16_t)(rnd() % 6);
		msg->payload.inflight.queue_size = (uint16_t)(1u << rnd() % 8);
		msg->fds[0] = f->mem_fd;
		msg->fd_count = request == VHOST_USER_SET_INFLIGHT_FD;
		break;
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		msg->payload.reg.region.size = 4096;
		msg->payload.reg.region.guest_addr = rnd() % 16 * 4096;
		msg->payload.reg.region.user_addr = rnd() % 16 * 4096;
		msg->fds[0] = f->mem_fd;
		msg->fd_count = request == VHOST_USER_ADD_MEM_REG;
		break;
	case VHOST_USER_SET_STATUS:
		msg->payload.u64 = rnd() % 3 ? 15 : rnd() % 2 ? 0 : rnd();
		break;
	default:
		msg->payload.state.index = index;
		msg->payload.state.num = rnd() % 4 ? 1u << rnd() % 5 : (uint32_t)rnd();
		break;
	}
}

static void drain(int fd)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_REPLY};
	uint8_t bytes[4096];

	(void)r;
	/* Descriptors in replies are dropped by the kernel. */
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
	}
}

START_TEST(anything_in_any_order_ends_well)
{
	struct vhost_msg msg;
	unsigned before;
	unsigned closings = 0;
	struct fix f;

	rnd_state = UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)_i;
	fix_init(&f);
	f.dev.echo = true;
	before = fdcount();
	for (int i = 0; i < 4000; i++) {
		if (i % 5 == 0 && !f.b->active) {
			f.b->protocol |= VHOST_USER_PROTOCOL_F_REPLY_ACK;
		}
		random_message(&f, &msg);
		(void)vmm_vhost_send(f.fd, &msg, vmm_vhost_deadline(FIX_DEADLINE));
		if (i % 3 == 0) {
			uint64_t one = 1;

			fix_offer(&f, (unsigned)i % FIX_QUEUES, (uint16_t)(i % FIX_SIZE));
			(void)!write(f.rings[i % FIX_QUEUES].kick, &one, sizeof(one));
		}
		fix_run(&f);
		drain(f.fd);
		if (fix_is_closed(&f)) {
			closings++;
			fix_reconnect(&f);
			SUITE_REQUIRE(fdcount() == before);
		}
	}
	ck_assert_uint_gt(closings, 0);
	/* None of it has done harm that lasts. */
	fix_reconnect(&f);
	for (unsigned i = 0; i < FIX_QUEUES; i++) {
		memset(f.rings[i].desc, 0, 0x10000);
	}
	fix_start(&f, FIX_QUEUES);
	fix_offer(&f, 1, 2);
	fix_kick(&f, 1);
	ck_assert_int_eq(f.rings[1].used[2], 2);
	fix_finish(&f);
}
END_TEST

/* ---- a process that seals itself ---- */

START_TEST(sealed_process_closes_on_what_it_can_no_longer_do)
{
	static const uint32_t requests[] = {
		VHOST_USER_SET_MEM_TABLE,      VHOST_USER_SET_PROTOCOL_FEATURES,
		VHOST_USER_ADD_MEM_REG,        VHOST_USER_REM_MEM_REG,
		VHOST_USER_GET_INFLIGHT_FD,    VHOST_USER_SET_INFLIGHT_FD,
		VHOST_USER_SET_BACKEND_REQ_FD,
	};
	struct vhost_msg msg;
	struct fix f;

	fix_init_with(&f, NULL, true);
	fix_start(&f, 2);
	ck_assert_uint_eq(f.started, 1);
	/* Descriptors of memory are not kept. */
	ck_assert_int_eq(f.b->regions[0].fd, -1);
	/* A driver that starts over does not need any of it. */
	ck_assert_int_ge(fix_get_base(&f, 0), 0);
	ck_assert_int_ge(fix_get_base(&f, 1), 0);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	fix_give_ring(&f, 0, 0);
	fix_driver_ok(&f);
	ck_assert(f.b->active);
	ck_assert_uint_eq(f.started, 1);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	fix_mem_table(&f, &msg);
	switch (requests[_i]) {
	case VHOST_USER_SET_MEM_TABLE:
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		vmm_vhost_msg_init(&msg, requests[_i], 8);
		msg.payload.u64 = FIX_PROTOCOL;
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		vmm_vhost_msg_init(&msg, requests[_i], 24);
		msg.fd_count = requests[_i] == VHOST_USER_SET_INFLIGHT_FD;
		msg.fds[0] = f.mem_fd;
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		vmm_vhost_msg_init(&msg, requests[_i], 0);
		msg.fds[0] = f.mem_fd;
		msg.fd_count = 1;
		break;
	default:
		vmm_vhost_msg_init(&msg, requests[_i], 40);
		msg.fds[0] = f.mem_fd;
		msg.fd_count = requests[_i] == VHOST_USER_ADD_MEM_REG;
		break;
	}
	fix_send(&f, &msg);
	ck_assert(fix_is_closed(&f));
	ck_assert_int_eq(f.why, -EPROTO);
	fix_finish(&f);
}
END_TEST

START_TEST(process_that_cannot_seal_looks_at_no_ring)
{
	struct fix f;

	fix_init_with(&f, NULL, _i == 1);
	f.start_result = -EPERM;
	fix_negotiate(&f, FIX_FEATURES, FIX_PROTOCOL);
	fix_give_memory(&f);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	f.dev.echo = true;
	fix_offer(&f, 0, 1);
	ck_assert_int_eq(fix_tell_u64(&f, VHOST_USER_SET_STATUS, 0x0f), -ECONNRESET);
	ck_assert_int_eq(f.why, -EPERM);
	ck_assert_uint_eq(f.started, 1);
	ck_assert_uint_eq(f.dev.activated, 1);
	ck_assert_uint_eq(f.dev.resets, 1);
	ck_assert_uint_eq(f.dev.notified[0], 0);
	ck_assert_int_eq(fix_used(&f, 0), -1);
	fix_finish(&f);
}
END_TEST

/* ---- create, and what may fail ---- */

START_TEST(create_fails_at_each_step_and_leaves_the_socket_to_the_caller)
{
	struct faultinj inj = {0};
	struct fix f;

	fix_init(&f);
	vmm_vhost_backend_destroy(f.b);
	f.b = NULL;
	for (;;) {
		struct vmm_error err = {0};
		unsigned before;
		int pair[2];
		bool more;
		int ret;

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		f.config.fd = pair[1];
		before = fdcount();
		more = faultinj_next(&inj);
		ret = vmm_vhost_backend_create(&f.b, f.served, &f.config, &err);
		faultinj_stop(&inj);
		ck_assert(!more || (ret < 0) == (inj.failed != NULL));
		if (ret < 0) {
			ck_assert_ptr_null(f.b);
			ck_assert_ptr_null(f.dev.base.carrier);
			ck_assert(err.message[0] != '\0');
			ck_assert_uint_eq(fdcount(), before);
			(void)close(pair[1]);
		}
		vmm_vhost_backend_destroy(f.b);
		f.b = NULL;
		(void)close(pair[0]);
		if (!more) {
			break;
		}
	}
	fix_finish(&f);
}
END_TEST

START_TEST(create_refuses_devices_it_cannot_serve)
{
	struct vmm_vhost_backend *b;
	struct testdev dev;
	struct fix f;

	fix_init(&f);
	testdev_init(&dev);
	dev.base.external_queues = true;
	ck_assert_int_eq(vmm_vhost_backend_create(&b, &dev.base, &f.config, NULL), -EINVAL);
	ck_assert_int_eq(vmm_vhost_backend_create(&b, &f.dev.base, &f.config, NULL), -EBUSY);
	vmm_vhost_backend_destroy(NULL);
	fix_finish(&f);
}
END_TEST

static void fault_session(struct fix *f)
{
	struct vhost_msg msg;
	struct vhost_msg reply;

	/* Not the checked helpers: anything may end at any step. */
	f->b->protocol = FIX_PROTOCOL;
	f->b->features = FIX_FEATURES;
	fix_mem_table(f, &msg);
	(void)vmm_vhost_send(f->fd, &msg, vmm_vhost_deadline(FIX_DEADLINE));
	vmm_vhost_msg_init(&msg, VHOST_USER_GET_INFLIGHT_FD, 24);
	msg.payload.inflight.queue_count = 2;
	msg.payload.inflight.queue_size = FIX_SIZE;
	(void)vmm_vhost_send(f->fd, &msg, vmm_vhost_deadline(FIX_DEADLINE));
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_VRING_NUM, 8);
	msg.payload.state.num = FIX_SIZE;
	(void)vmm_vhost_send(f->fd, &msg, vmm_vhost_deadline(FIX_DEADLINE));
	fix_addr(f, 0, &msg);
	(void)vmm_vhost_send(f->fd, &msg, vmm_vhost_deadline(FIX_DEADLINE));
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_VRING_KICK, 8);
	msg.fds[0] = f->rings[0].kick;
	msg.fd_count = 1;
	(void)vmm_vhost_send(f->fd, &msg, vmm_vhost_deadline(FIX_DEADLINE));
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_VRING_ENABLE, 8);
	msg.payload.state.num = 1;
	(void)vmm_vhost_send(f->fd, &msg, vmm_vhost_deadline(FIX_DEADLINE));
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_STATUS, 8);
	msg.payload.u64 = 15;
	(void)vmm_vhost_send(f->fd, &msg, vmm_vhost_deadline(FIX_DEADLINE));
	fix_run(f);
	if (f->closed == 0 && vmm_vhost_receive_reply(f->fd, VHOST_USER_GET_INFLIGHT_FD, &reply,
						      vmm_vhost_deadline(FIX_DEADLINE)) == 0) {
		vmm_vhost_msg_close_fds(&reply);
	}
}

START_TEST(session_survives_the_failure_of_each_call)
{
	struct faultinj inj = {0};
	unsigned failures = 0;
	bool more = true;
	struct fix f;

	while (more) {
		fix_init(&f);
		more = faultinj_next(&inj);
		fault_session(&f);
		faultinj_stop(&inj);
		failures += f.closed || f.b->failed || !f.b->active;
		/* It runs, or it failed, or the connection is closed; nothing in between. */
		ck_assert(inj.failed || f.b->active);
		fix_finish(&f);
	}
	ck_assert_uint_gt(failures, 3);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{backend_offers_the_devices_and_the_rings_features, 1},
		{backend_refuses_features_it_did_not_offer, 1},
		{backend_without_reply_ack_closes_instead_of_refusing, 1},
		{message_of_a_feature_not_negotiated_closes, GATED},
		{front_end_that_hangs_up_ends_everything, 1},
		{back_end_may_be_destroyed_by_on_closed, 1},
		{half_a_message_closes_at_the_deadline_and_holds_nobody_up, 51},
		{message_completed_in_time_is_done_and_the_deadline_is_off, 1},
		{front_end_that_takes_no_reply_is_closed_at_the_deadline, 1},
		{reply_that_had_to_wait_arrives_whole, 1},
		{anything_in_any_order_ends_well, 8},
		{sealed_process_closes_on_what_it_can_no_longer_do, 7},
		{process_that_cannot_seal_looks_at_no_ring, 2},
		{create_fails_at_each_step_and_leaves_the_socket_to_the_caller, 1},
		{create_refuses_devices_it_cannot_serve, 1},
		{session_survives_the_failure_of_each_call, 1},
	};

	return suite_run_looped("vhost-backend", tests, sizeof(tests) / sizeof(tests[0]));
}
