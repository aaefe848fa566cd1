/* SPDX-License-Identifier: MIT */
/*
 * The back end of a device with shared memory regions, against front ends that do not do as they
 * should. How it works with one that does is in test_vhost_shm.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"
#include "test_vhost_fix.h"

#define PAGE     UINT64_C(4096)
#define ID       3
#define LEN      (UINT64_C(1) << 30)
#define SHORT_NS UINT64_C(50000000)

#define PROTOCOL (FIX_PROTOCOL | VHOST_USER_PROTOCOL_F_SHMEM)

static const struct vmm_virtio_shm regions[] = {{.id = ID, .len = LEN}};

static struct fix f;
static struct testdev dev;
static struct vmm_virtio_ops ops;
static int result;
static int (*todo)(struct vmm_virtio_device *dev);

static int map(struct vmm_virtio_device *base)
{
	return vmm_virtio_shm_map(base, ID, PAGE, f.mem_fd, 2 * PAGE, 3 * PAGE, true);
}

static int unmap(struct vmm_virtio_device *base)
{
	return vmm_virtio_shm_unmap(base, ID, PAGE, 3 * PAGE);
}

static void notify(struct vmm_virtio_device *base, unsigned queue)
{
	(void)queue;
	if (todo) {
		int (*now)(struct vmm_virtio_device *) = todo;

		todo = NULL;
		result = now(base);
	}
}

static void set_up(void)
{
	testdev_init(&dev);
	ops = *dev.base.ops;
	ops.notify = notify;
	dev.base.ops = &ops;
	dev.base.shm = regions;
	dev.base.shm_count = 1;
	todo = NULL;
	result = 1;
	fix_init_with(&f, &dev.base, false);
}

static void tear_down(void)
{
	fix_finish(&f);
}

/* Up to a running device; the channel, or -1 without one. */
static int start(uint64_t protocol, bool with_channel)
{
	int fd;

	fix_negotiate(&f, FIX_FEATURES, protocol);
	fd = with_channel ? fix_channel(&f) : -1;
	fix_give_memory(&f);
	fix_give_ring(&f, 0, 0);
	fix_enable(&f, 0, true);
	if (protocol & VHOST_USER_PROTOCOL_F_REPLY_ACK) {
		fix_driver_ok(&f);
	} else {
		struct vhost_msg msg;

		vmm_vhost_msg_init(&msg, VHOST_USER_SET_STATUS, sizeof(msg.payload.u64));
		msg.payload.u64 = 0x0f;
		fix_send(&f, &msg);
	}
	ck_assert(f.b->active);
	return fd;
}

/* The answer lies there before the question is asked, as all is one thread. */
static void put_answer(int channel, uint32_t request, uint64_t value)
{
	struct vhost_msg msg;

	vmm_vhost_msg_init(&msg, request, sizeof(msg.payload.u64));
	msg.header.flags |= VHOST_USER_REPLY;
	msg.payload.u64 = value;
	ck_assert_int_eq(vmm_vhost_send(channel, &msg, vmm_vhost_deadline(FIX_DEADLINE)), 0);
}

static void run(int (*what)(struct vmm_virtio_device *))
{
	todo = what;
	result = 1;
	fix_kick(&f, 0);
	ck_assert_int_ne(result, 1);
}

START_TEST(backend_tells_its_regions)
{
	struct vhost_msg msg;
	struct vhost_msg reply;

	fix_negotiate(&f, FIX_FEATURES, PROTOCOL);
	vmm_vhost_msg_init(&msg, VHOST_USER_GET_SHMEM_CONFIG, 0);
	ck_assert_int_eq(fix_ask(&f, &msg, &reply), 0);
	ck_assert_uint_eq(reply.header.size, 8 + 256 * 8);
	ck_assert_uint_eq(reply.payload.shmem.count, 1);
	for (unsigned i = 0; i < 256; i++) {
		ck_assert_uint_eq(reply.payload.shmem.sizes[i], i == ID ? LEN : 0);
	}
}
END_TEST

START_TEST(backend_asks_for_a_mapping_in_the_words_of_the_specification)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_BACKEND};
	int channel = start(PROTOCOL, true);
	const struct vhost_user_mmap *m = &r.msg.payload.mmap;

	put_answer(channel, VHOST_USER_BACKEND_SHMEM_MAP, 0);
	run(map);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, channel), 1);
	ck_assert_uint_eq(r.msg.header.request, 9);
	ck_assert_uint_eq(r.msg.header.flags, VHOST_USER_VERSION | VHOST_USER_NEED_REPLY);
	ck_assert_uint_eq(m->id, ID);
	ck_assert_uint_eq(m->shm_offset, PAGE);
	ck_assert_uint_eq(m->fd_offset, 2 * PAGE);
	ck_assert_uint_eq(m->len, 3 * PAGE);
	ck_assert_uint_eq(m->flags, 1);
	ck_assert_uint_eq(r.msg.fd_count, 1);
	put_answer(channel, VHOST_USER_BACKEND_SHMEM_UNMAP, 0);
	run(unmap);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, channel), 1);
	ck_assert_uint_eq(r.msg.header.request, 10);
	ck_assert_uint_eq(m->shm_offset, PAGE);
	ck_assert_uint_eq(m->len, 3 * PAGE);
	ck_assert(!fix_is_closed(&f));
	vmm_vhost_reader_finish(&r);
	(void)close(channel);
}
END_TEST

START_TEST(backend_hears_a_refusal)
{
	int channel = start(PROTOCOL, true);

	put_answer(channel, VHOST_USER_BACKEND_SHMEM_MAP, UINT64_C(1) << 63);
	run(map);
	ck_assert_int_eq(result, -EREMOTEIO);
	ck_assert(!fix_is_closed(&f));
	/* And has nothing to unmap. */
	run(unmap);
	ck_assert_int_eq(result, -ENOENT);
	(void)close(channel);
}
END_TEST

START_TEST(backend_cannot_map_where_it_was_not_agreed_on)
{
	static const uint64_t missing[] = {VHOST_USER_PROTOCOL_F_SHMEM,
					   VHOST_USER_PROTOCOL_F_BACKEND_REQ,
					   VHOST_USER_PROTOCOL_F_REPLY_ACK, 0};
	int channel = start(PROTOCOL & ~missing[_i], false);

	run(map);
	ck_assert_int_eq(result, -EOPNOTSUPP);
	ck_assert_int_eq(channel, -1);
	ck_assert(!fix_is_closed(&f));
}
END_TEST

START_TEST(backend_gives_a_front_end_up_that_answers_wrongly)
{
	int channel = start(PROTOCOL, true);
	struct vhost_msg msg;

	f.b->deadline_ns = SHORT_NS;
	vmm_vhost_msg_init(&msg, VHOST_USER_BACKEND_SHMEM_MAP, sizeof(msg.payload.u64));
	msg.header.flags |= VHOST_USER_REPLY;
	switch (_i) {
	case 0:
		msg.header.request = VHOST_USER_BACKEND_SHMEM_UNMAP;
		break;
	case 1:
		msg.header.flags = VHOST_USER_VERSION;
		break;
	case 2:
		msg.header.size = 4;
		break;
	case 3:
		msg.header.size = 16;
		break;
	case 4:
		msg.fds[0] = f.mem_fd;
		msg.fd_count = 1;
		break;
	case 5: /* is silent */
		break;
	default: /* has gone */
		(void)shutdown(channel, SHUT_RDWR);
		break;
	}
	if (_i < 5) {
		ck_assert_int_eq(vmm_vhost_send(channel, &msg, vmm_vhost_deadline(FIX_DEADLINE)),
				 0);
	}
	run(map);
	ck_assert_int_eq(result, _i == 5 ? -ETIMEDOUT : -EPIPE);
	ck_assert(fix_is_closed(&f));
	ck_assert_uint_eq(dev.resets, 1);
	(void)close(channel);
}
END_TEST

/* What is mapped when the device is reset is taken back, whatever comes of it. */
START_TEST(backend_unmaps_at_reset)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_BACKEND};
	int channel = start(PROTOCOL, true);

	put_answer(channel, VHOST_USER_BACKEND_SHMEM_MAP, 0);
	run(map);
	put_answer(channel, VHOST_USER_BACKEND_SHMEM_UNMAP, (uint64_t)_i);
	ck_assert_int_ge(fix_get_base(&f, 0), 0);
	ck_assert_uint_eq(dev.resets, 1);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, channel), 1);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, channel), 1);
	ck_assert_uint_eq(r.msg.header.request, VHOST_USER_BACKEND_SHMEM_UNMAP);
	vmm_vhost_reader_finish(&r);
	(void)close(channel);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{backend_tells_its_regions, 1},
		{backend_asks_for_a_mapping_in_the_words_of_the_specification, 1},
		{backend_hears_a_refusal, 1},
		{backend_cannot_map_where_it_was_not_agreed_on, 4},
		{backend_gives_a_front_end_up_that_answers_wrongly, 7},
		{backend_unmaps_at_reset, 2},
	};
	Suite *suite = suite_create("vhost_shm_backend");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, set_up, tear_down);
	}
	return suite_finish(suite);
}
