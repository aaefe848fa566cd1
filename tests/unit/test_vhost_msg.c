/* SPDX-License-Identifier: MIT */
/*
 * Messages on a socket: every request with every number of descriptors and with sizes around the
 * right ones, byte by byte, too late and not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdcount.h"
#include "suite.h"
#include "vhost/msg.h"

#define FDS_MAX  9
#define REQUESTS 64
#define HEADER   sizeof(struct vhost_user_header)
#define LONG_MS  5000

/* What the specification says, written down a second time. */
struct expectation {
	uint32_t request;
	uint32_t min;
	uint32_t max;
	uint32_t step;
	unsigned fds_min;
	unsigned fds_max;
};

static const struct expectation expectations[] = {
	{1, 0, 0, 0, 0, 0},     {2, 8, 8, 0, 0, 0},    {3, 0, 0, 0, 0, 0},
	{4, 0, 0, 0, 0, 0},     {5, 8, 264, 32, 0, 8}, {8, 8, 8, 0, 0, 0},
	{9, 40, 40, 0, 0, 0},   {10, 8, 8, 0, 0, 0},   {11, 8, 8, 0, 0, 0},
	{12, 8, 8, 0, 0, 1},    {13, 8, 8, 0, 0, 1},   {14, 8, 8, 0, 0, 1},
	{15, 0, 0, 0, 0, 0},    {16, 8, 8, 0, 0, 0},   {17, 0, 0, 0, 0, 0},
	{18, 8, 8, 0, 0, 0},    {21, 0, 0, 0, 1, 1},   {24, 13, 268, 1, 0, 0},
	{25, 13, 268, 1, 0, 0}, {31, 20, 24, 4, 0, 0}, {32, 20, 24, 4, 1, 1},
	{34, 0, 0, 0, 0, 0},    {36, 0, 0, 0, 0, 0},   {37, 40, 40, 0, 1, 1},
	{38, 40, 40, 0, 0, 1},  {39, 8, 8, 0, 0, 0},   {40, 0, 0, 0, 0, 0},
	{44, 0, 0, 0, 0, 0},    {1004, 0, 0, 0, 0, 0},
};
#define KNOWN (sizeof(expectations) / sizeof(expectations[0]))

static int pair[2];
static unsigned fds_before;

static void set_up(void)
{
	fds_before = fdcount();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void tear_down(void)
{
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0) {
			(void)close(pair[i]);
		}
	}
	ck_assert_uint_eq(fdcount(), fds_before);
}

static const struct expectation *find(uint32_t request)
{
	for (size_t i = 0; i < KNOWN; i++) {
		if (expectations[i].request == request) {
			return &expectations[i];
		}
	}
	return NULL;
}

static bool is_allowed(const struct expectation *e, uint32_t size, unsigned fds)
{
	return e && size >= e->min && size <= e->max &&
	       (e->step == 0 || (size - e->min) % e->step == 0) && fds >= e->fds_min &&
	       fds <= e->fds_max;
}

/* Header and `have` bytes of payload in one piece, with fds descriptors. */
static void send_raw(const struct vhost_user_header *h, size_t have, unsigned fds)
{
	static uint8_t bytes[4096];
	union {
		uint8_t bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {bytes, HEADER + have};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd = fds > 0 ? eventfd(0, EFD_CLOEXEC) : -1;

	memcpy(bytes, h, HEADER);
	memset(&control, 0, sizeof(control));
	if (fds > 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (unsigned i = 0; i < fds; i++) {
			memcpy(CMSG_DATA(&control.align) + i * sizeof(fd), &fd, sizeof(fd));
		}
	}
	ck_assert_int_eq(sendmsg(pair[0], &m, 0), (ssize_t)(HEADER + have));
	if (fd >= 0) {
		(void)close(fd);
	}
}

/* Drops the socket, and what is in it, for another. */
static void fresh_pair(void)
{
	(void)close(pair[0]);
	(void)close(pair[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void try_message(uint32_t request, uint32_t size, unsigned fds)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_MAIN};
	struct vhost_user_header h = {request, VHOST_USER_VERSION, size};
	bool good = is_allowed(find(request), size, fds);
	unsigned before = fdcount();
	int ret;

	send_raw(&h, size <= 512 ? size : 0, fds);
	ret = vmm_vhost_reader_step(&r, pair[1]);
	ck_assert_msg(ret == (good ? 1 : -EPROTO), "request %u, size %u, %u descriptors: %d",
		      request, size, fds, ret);
	if (good) {
		ck_assert_uint_eq(r.msg.fd_count, fds);
		ck_assert_uint_eq(fdcount(), before + fds);
		for (unsigned i = 0; i < fds; i++) {
			ck_assert(fcntl(r.msg.fds[i], F_GETFD) & FD_CLOEXEC);
		}
		ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), 0);
	} else {
		fresh_pair();
	}
	vmm_vhost_reader_finish(&r);
	ck_assert_uint_eq(fdcount(), before);
}

/* Catalogue row 64: unexpected descriptors, wrong sizes. */
START_TEST(catalogue_64_messages_with_0_to_9_descriptors_and_wrong_sizes)
{
	uint32_t request = (uint32_t)_i;
	const struct expectation *e = find(request);
	uint32_t min = e ? e->min : 8;
	uint32_t max = e ? e->max : 8;
	const uint32_t sizes[] = {0,          min - 1, min,     min + 1, min + 32,   max - 1,
				  max,        max + 1, 269,     4096,    0x7fffffff, 0x80000000,
				  0xffffffff, 1,       min + 4, max + 32};

	set_up();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned fds = 0; fds <= FDS_MAX; fds++) {
			try_message(request, sizes[i], fds);
		}
	}
	tear_down();
}
END_TEST

START_TEST(reader_refuses_numbers_that_are_no_request)
{
	static const uint32_t requests[] = {64,   255,        256,        1000,      1003,
					    1005, 0x7fffffff, 0x80000000, 0xffffffff};

	set_up();
	try_message(requests[_i], 8, 0);
	try_message(requests[_i], 0, 1);
	tear_down();
}
END_TEST

/* A request is version 1 and no reply, and has no bits that nobody knows. */
START_TEST(reader_refuses_flags_of_another_version_or_direction)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_MAIN};

	set_up();
	for (uint32_t flags = 0; flags < 64; flags++) {
		struct vhost_user_header h = {VHOST_USER_SET_OWNER, flags, 0};
		bool good = flags == 1 || flags == 9;

		send_raw(&h, 0, 0);
		ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), good ? 1 : -EPROTO);
	}
	vmm_vhost_reader_finish(&r);
	tear_down();
}
END_TEST

START_TEST(reader_takes_a_message_in_pieces_of_any_length)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_MAIN};
	struct vhost_msg msg;
	uint8_t bytes[HEADER + sizeof(msg.payload.addr)];

	set_up();
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_VRING_ADDR, sizeof(msg.payload.addr));
	msg.payload.addr.index = 3;
	msg.payload.addr.log = UINT64_C(0x1122334455667788);
	memcpy(bytes, &msg.header, HEADER);
	memcpy(bytes + HEADER, &msg.payload, sizeof(msg.payload.addr));
	for (size_t piece = 1; piece <= sizeof(bytes); piece++) {
		for (size_t at = 0; at < sizeof(bytes); at += piece) {
			size_t n = sizeof(bytes) - at < piece ? sizeof(bytes) - at : piece;
			bool last = at + n == sizeof(bytes);

			ck_assert_int_eq(write(pair[0], bytes + at, n), (ssize_t)n);
			ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), last);
			ck_assert(vmm_vhost_reader_is_half(&r) == !last);
		}
		ck_assert_mem_eq(&r.msg.payload.addr, &msg.payload.addr, sizeof(msg.payload.addr));
	}
	vmm_vhost_reader_finish(&r);
	tear_down();
}
END_TEST

START_TEST(reader_takes_messages_one_by_one_without_touching_the_next)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_MAIN};
	struct vhost_user_header h = {VHOST_USER_SET_VRING_CALL, 1, 8};
	unsigned before;

	set_up();
	before = fdcount();
	for (int i = 0; i < 3; i++) {
		send_raw(&h, 8, 1);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), 1);
		ck_assert_uint_eq(r.msg.fd_count, 1);
		/* The descriptor of the one before is closed. */
		ck_assert_uint_eq(fdcount(), before + 1);
	}
	ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), 0);
	ck_assert_uint_eq(fdcount(), before);
	tear_down();
}
END_TEST

START_TEST(descriptors_that_are_taken_stay_open)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_MAIN};
	struct vhost_user_header h = {VHOST_USER_SET_VRING_CALL, 1, 8};
	int fd;

	set_up();
	send_raw(&h, 8, 1);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), 1);
	fd = vmm_vhost_msg_take_fd(&r.msg);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(vmm_vhost_msg_take_fd(&r.msg), -1);
	vmm_vhost_reader_finish(&r);
	ck_assert_int_eq(close(fd), 0);
	tear_down();
}
END_TEST

/* Descriptors belong to the first byte: later ones are not counted, so they are not taken. */
START_TEST(catalogue_64_descriptors_in_the_middle_of_a_message_are_refused)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_MAIN};
	struct vhost_user_header h = {VHOST_USER_SET_VRING_CALL, 1, 8};

	set_up();
	ck_assert_int_eq(write(pair[0], &h, (size_t)_i + 1), _i + 1);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), 0);
	send_raw(&h, 8, 1);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), -EPROTO);
	tear_down();
}
END_TEST

START_TEST(reader_whose_peer_hangs_up_holds_no_descriptors)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_MAIN};
	struct vhost_user_header h = {VHOST_USER_ADD_MEM_REG, 1, 40};

	set_up();
	/* Whole, half, or no message at all before it. */
	if (_i > 0) {
		send_raw(&h, _i == 1 ? 40 : 7, 1);
		ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), _i == 1);
	}
	(void)close(pair[0]);
	pair[0] = -1;
	ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), -ECONNRESET);
	tear_down();
}
END_TEST

START_TEST(request_of_a_back_end_is_the_one_it_may_send)
{
	static const struct expectation allowed[] = {
		{VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, 0, 0, 0, 0},
		{VHOST_USER_BACKEND_SHMEM_MAP, 40, 40, 0, 1, 1},
		{VHOST_USER_BACKEND_SHMEM_UNMAP, 40, 40, 0, 0, 0},
		{VHOST_USER_BACKEND_MAP_PRIVATE, 32, 32, 0, 1, 1},
		{VHOST_USER_BACKEND_UNMAP_PRIVATE, 24, 24, 0, 0, 0},
	};
	static const uint32_t sizes[] = {0, 8, 23, 24, 25, 31, 32, 33, 39, 40, 41, 48};
	struct vhost_reader r = {.channel = VHOST_CHANNEL_BACKEND};
	unsigned good = 0;

	set_up();
	for (uint32_t request = 0; request < 1010; request++) {
		const struct expectation *e = NULL;

		for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
			e = allowed[i].request == request ? &allowed[i] : e;
		}
		/* Those that nobody knows need no more than one try. */
		for (size_t i = 0; i < (e ? sizeof(sizes) / sizeof(sizes[0]) : 1); i++) {
			for (unsigned fds = 0; fds <= 2; fds++) {
				struct vhost_user_header h = {request, 1, sizes[i]};
				bool is = is_allowed(e, sizes[i], fds);

				send_raw(&h, sizes[i], fds);
				ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]),
						 is ? 1 : -EPROTO);
				vmm_vhost_reader_finish(&r);
				good += is;
				fresh_pair();
			}
		}
	}
	ck_assert_uint_eq(good, sizeof(allowed) / sizeof(allowed[0]));
	tear_down();
}
END_TEST

/* ---- waiting ---- */

START_TEST(receive_reply_takes_the_reply_and_nothing_else)
{
	static const struct {
		struct vhost_user_header h;
		unsigned fds;
		int ret;
	} cases[] = {
		{{VHOST_USER_GET_FEATURES, 5, 8}, 0, 0},
		{{VHOST_USER_GET_FEATURES, 13, 8}, 0, 0},
		{{VHOST_USER_GET_FEATURES, 1, 8}, 0, -EPROTO},
		{{VHOST_USER_GET_FEATURES, 6, 8}, 0, -EPROTO},
		{{VHOST_USER_GET_FEATURES, 5, 7}, 0, -EPROTO},
		{{VHOST_USER_GET_FEATURES, 5, 9}, 0, -EPROTO},
		{{VHOST_USER_GET_FEATURES, 5, 0}, 0, -EPROTO},
		{{VHOST_USER_GET_FEATURES, 5, 8}, 1, -EPROTO},
		{{VHOST_USER_GET_FEATURES, 5, 8}, 9, -EPROTO},
		{{VHOST_USER_GET_QUEUE_NUM, 5, 8}, 0, -EPROTO},
	};
	struct vhost_msg msg;

	set_up();
	send_raw(&cases[_i].h, cases[_i].h.size, cases[_i].fds);
	ck_assert_int_eq(vmm_vhost_receive_reply(pair[1], VHOST_USER_GET_FEATURES, &msg,
						 vmm_vhost_deadline(LONG_MS)),
			 cases[_i].ret);
	ck_assert_uint_eq(msg.fd_count, 0);
	tear_down();
}
END_TEST

START_TEST(receive_reply_of_a_kind_of_its_own)
{
	static const struct {
		struct vhost_user_header h;
		unsigned fds;
		int ret;
	} cases[] = {
		/* No is said by an empty payload, or without a descriptor. */
		{{VHOST_USER_GET_CONFIG, 5, 0}, 0, 0},
		{{VHOST_USER_GET_CONFIG, 5, 12}, 0, -EPROTO},
		{{VHOST_USER_GET_CONFIG, 5, 13}, 0, 0},
		{{VHOST_USER_GET_CONFIG, 5, 268}, 0, 0},
		{{VHOST_USER_GET_CONFIG, 5, 269}, 0, -EPROTO},
		{{VHOST_USER_GET_CONFIG, 5, 0}, 1, -EPROTO},
		{{VHOST_USER_GET_INFLIGHT_FD, 5, 24}, 0, 0},
		{{VHOST_USER_GET_INFLIGHT_FD, 5, 24}, 1, 0},
		{{VHOST_USER_GET_INFLIGHT_FD, 5, 24}, 2, -EPROTO},
		{{VHOST_USER_GET_INFLIGHT_FD, 5, 22}, 1, -EPROTO},
		{{VHOST_USER_GET_VRING_BASE, 5, 8}, 0, 0},
		{{VHOST_USER_GET_SHMEM_CONFIG, 5, 0}, 0, -EPROTO},
		{{VHOST_USER_GET_SHMEM_CONFIG, 5, 8}, 0, 0},
		{{VHOST_USER_GET_SHMEM_CONFIG, 5, 12}, 0, -EPROTO},
		{{VHOST_USER_GET_SHMEM_CONFIG, 5, 24}, 0, 0},
		{{VHOST_USER_GET_SHMEM_CONFIG, 5, 2056}, 0, 0},
		{{VHOST_USER_GET_SHMEM_CONFIG, 5, 2064}, 0, -EPROTO},
		{{VHOST_USER_GET_SHMEM_CONFIG, 5, 8}, 1, -EPROTO},
		{{VHOST_USER_GET_SHMEM_PRIVATE, 5, 8}, 0, 0},
		{{VHOST_USER_GET_SHMEM_PRIVATE, 5, 16}, 0, -EPROTO},
		{{VHOST_USER_GET_SHMEM_PRIVATE, 5, 24}, 0, 0},
		{{VHOST_USER_GET_SHMEM_PRIVATE, 5, 136}, 0, 0},
		{{VHOST_USER_GET_SHMEM_PRIVATE, 5, 152}, 0, -EPROTO},
		{{VHOST_USER_BACKEND_MAP_PRIVATE, 5, 8}, 0, -EPROTO},
		{{VHOST_USER_SET_MEM_TABLE, 5, 8}, 0, 0},
		{{VHOST_USER_SET_MEM_TABLE, 5, 40}, 0, -EPROTO},
	};
	struct vhost_msg msg;

	set_up();
	send_raw(&cases[_i].h, cases[_i].h.size, cases[_i].fds);
	ck_assert_int_eq(vmm_vhost_receive_reply(pair[1], cases[_i].h.request, &msg,
						 vmm_vhost_deadline(LONG_MS)),
			 cases[_i].ret);
	vmm_vhost_msg_close_fds(&msg);
	tear_down();
}
END_TEST

/* Nothing, half a header, a header, half a payload: for each the deadline comes. */
START_TEST(receive_reply_ends_at_the_deadline)
{
	static const size_t lengths[] = {0, 5, 12, 16};
	struct vhost_msg msg;
	uint64_t before;

	set_up();
	vmm_vhost_msg_init(&msg, VHOST_USER_GET_FEATURES, 8);
	msg.header.flags |= VHOST_USER_REPLY;
	ck_assert_int_eq(write(pair[0], &msg, lengths[_i]), (ssize_t)lengths[_i]);
	before = vmm_vhost_deadline(0);
	ck_assert_int_eq(vmm_vhost_receive_reply(pair[1], VHOST_USER_GET_FEATURES, &msg,
						 vmm_vhost_deadline(30)),
			 -ETIMEDOUT);
	ck_assert_uint_ge(vmm_vhost_deadline(0) - before, 30 * UINT64_C(1000000));
	tear_down();
}
END_TEST

static int small_buffer(void)
{
	int small = 4096;

	return setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
}

START_TEST(send_to_a_peer_that_does_not_read_ends_at_the_deadline)
{
	struct vhost_msg msg;
	int ret = 0;

	set_up();
	ck_assert_int_eq(small_buffer(), 0);
	vmm_vhost_msg_init(&msg, VHOST_USER_SET_CONFIG, sizeof(msg.payload.config));
	for (int i = 0; ret == 0 && i < 10000; i++) {
		ret = vmm_vhost_send(pair[0], &msg, vmm_vhost_deadline(30));
	}
	ck_assert_int_eq(ret, -ETIMEDOUT);
	(void)close(pair[1]);
	pair[1] = -1;
	/* No signal either. */
	ret = vmm_vhost_send(pair[0], &msg, vmm_vhost_deadline(30));
	ck_assert(ret == -EPIPE || ret == -ECONNRESET);
	tear_down();
}
END_TEST

/* A writer goes on where it was, and its descriptors go once. */
START_TEST(writer_sends_a_message_as_room_comes)
{
	struct vhost_reader r = {.channel = VHOST_CHANNEL_MAIN};
	struct vhost_writer w = {.pending = true};
	struct vhost_msg *msg = &w.msg;
	int on = 1;
	int sent = 0;
	int got = 0;

	set_up();
	ck_assert_int_eq(small_buffer(), 0);
	ck_assert_int_eq(ioctl(pair[0], FIONBIO, &on), 0);
	vmm_vhost_msg_init(msg, VHOST_USER_SET_MEM_TABLE, sizeof(msg->payload.mem));
	if (_i == 1) {
		msg->fds[0] = pair[0];
		msg->fd_count = 1;
	}
	while (sent < 1000 && vmm_vhost_writer_step(&w, pair[0]) == 1) {
		w.pending = true;
		sent++;
	}
	ck_assert_int_gt(sent, 0);
	ck_assert_int_lt(sent, 1000);
	while (vmm_vhost_reader_step(&r, pair[1]) == 1) {
		ck_assert_uint_eq(r.msg.fd_count, (unsigned)_i);
		got++;
	}
	ck_assert_int_eq(got, sent);
	ck_assert_int_eq(vmm_vhost_writer_step(&w, pair[0]), 1);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), 1);
	ck_assert_uint_eq(r.msg.fd_count, (unsigned)_i);
	/* Nothing is pending: nothing happens. */
	ck_assert_int_eq(vmm_vhost_writer_step(&w, pair[0]), 1);
	ck_assert_int_eq(vmm_vhost_reader_step(&r, pair[1]), 0);
	tear_down();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
		{catalogue_64_messages_with_0_to_9_descriptors_and_wrong_sizes, REQUESTS},
		{reader_refuses_numbers_that_are_no_request, 9},
		{reader_refuses_flags_of_another_version_or_direction, 1},
		{reader_takes_a_message_in_pieces_of_any_length, 1},
		{reader_takes_messages_one_by_one_without_touching_the_next, 1},
		{descriptors_that_are_taken_stay_open, 1},
		{catalogue_64_descriptors_in_the_middle_of_a_message_are_refused, 11},
		{reader_whose_peer_hangs_up_holds_no_descriptors, 3},
		{request_of_a_back_end_is_the_one_it_may_send, 1},
		{receive_reply_takes_the_reply_and_nothing_else, 10},
		{receive_reply_of_a_kind_of_its_own, 26},
		{receive_reply_ends_at_the_deadline, 4},
		{send_to_a_peer_that_does_not_read_ends_at_the_deadline, 1},
		{writer_sends_a_message_as_room_comes, 2},
	};

	return suite_run_looped("vhost-msg", tests, sizeof(tests) / sizeof(tests[0]));
}
