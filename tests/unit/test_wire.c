/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/vm.h>

#include "fdcount.h"
#include "vm/wire.h"

static int pair[2];
static int spare[8]; /* descriptors to send */
static unsigned before;

static void open_pair(void)
{
	before = fdcount();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	for (size_t i = 0; i < 8; i++) {
		spare[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
}

/* Nothing is open that was not before, but what the test closed itself. */
static void close_pair(void)
{
	for (size_t i = 0; i < 8; i++) {
		close(spare[i]);
	}
	close(pair[0]);
	close(pair[1]);
	ck_assert_uint_eq(fdcount(), before);
}

static void close_got(const int *fds)
{
	for (size_t i = 0; i < WIRE_FDS_MAX; i++) {
		if (fds[i] >= 0) {
			close(fds[i]);
		}
	}
}

/* A message of each type that is of the form. */
static void good(struct wire_message *m, enum wire_type type)
{
	wire_begin(m, type, 7);
	switch (type) {
	case WIRE_CONFIG:
		m->u.config = (struct wire_config){
			.memory_size = 1 << 21, .vcpus = 1, .log_level = 1, .cmdline = "console=x"};
		break;
	case WIRE_DEVICE:
		m->u.device = (struct wire_device){
			.device_id = 2, .queue_count = 1, .queue_sizes = {128}, .id = "disk"};
		break;
	case WIRE_EXITED:
		m->u.exited.reason = VMM_EXIT_POWEROFF;
		break;
	case WIRE_DEVICE_LOST:
		m->u.lost.why = -ECONNRESET;
		break;
	default:
		break;
	}
}

static const enum wire_type types[] = {
	WIRE_CONFIG, WIRE_KERNEL, WIRE_INITRD,   WIRE_DEVICE,      WIRE_BOOT,    WIRE_PAUSE,
	WIRE_RESUME, WIRE_REBOOT, WIRE_BUTTON,   WIRE_STOP,        WIRE_CONNECT, WIRE_GIVE_UP,
	WIRE_REPLY,  WIRE_EXITED, WIRE_REBOOTED, WIRE_DEVICE_LOST,
};

#define TYPES (sizeof(types) / sizeof(types[0]))

static enum wire_side side(enum wire_type type)
{
	return type < WIRE_REPLY ? WIRE_SUPERVISOR : WIRE_VM;
}

static enum wire_side other(enum wire_type type)
{
	return type < WIRE_REPLY ? WIRE_VM : WIRE_SUPERVISOR;
}

START_TEST(wire_every_message_arrives_with_its_descriptors)
{
	struct wire_message out;
	struct wire_message in;
	int fds[WIRE_FDS_MAX];

	open_pair();
	for (size_t i = 0; i < TYPES; i++) {
		size_t count = 0;

		good(&out, types[i]);
		ck_assert_int_eq(wire_send(pair[0], &out, spare, 100), 0);
		memset(&in, 0xa5, sizeof(in));
		ck_assert_int_eq(wire_receive(pair[1], side(types[i]), &in, fds, 100), 0);
		ck_assert_uint_eq(in.header.type, types[i]);
		ck_assert_uint_eq(in.header.seq, 7);
		for (size_t k = 0; k < WIRE_FDS_MAX; k++) {
			count += fds[k] >= 0;
			ck_assert(fds[k] < 0 || (fcntl(fds[k], F_GETFD) & FD_CLOEXEC) != 0);
		}
		ck_assert_uint_eq(count, wire_fd_count(&out));
		close_got(fds);
	}
	good(&out, WIRE_CONFIG);
	out.u.config.has_serial = 1;
	ck_assert_uint_eq(wire_fd_count(&out), 2);
	ck_assert_int_eq(wire_send(pair[0], &out, spare, 100), 0);
	ck_assert_int_eq(wire_receive(pair[1], WIRE_SUPERVISOR, &in, fds, 100), 0);
	ck_assert_str_eq(in.u.config.cmdline, "console=x");
	ck_assert_int_ge(fds[1], 0);
	close_got(fds);
	close_pair();
}
END_TEST

/* Sends len bytes with count descriptors, as a hostile peer would. */
static void send_raw(const void *bytes, size_t len, size_t count)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct iovec iov = {.iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(&iov.iov_base, &bytes, sizeof(bytes));
	if (count > 0) {
		struct cmsghdr *cmsg = (struct cmsghdr *)(void *)control;

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), spare, count * sizeof(int));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(pair[0], &msg, MSG_NOSIGNAL), (ssize_t)len);
}

static void refused(enum wire_side from)
{
	struct wire_message in;
	int fds[WIRE_FDS_MAX];
	unsigned open = fdcount();

	ck_assert_int_eq(wire_receive(pair[1], from, &in, fds, 100), -EPROTO);
	ck_assert_uint_eq(fdcount(), open);
}

static size_t length_of(enum wire_type type)
{
	struct wire_message m;
	struct wire_message in;
	int fds[WIRE_FDS_MAX];
	ssize_t len;

	good(&m, type);
	ck_assert_int_eq(wire_send(pair[0], &m, spare, 100), 0);
	len = recv(pair[1], &in, sizeof(in), MSG_PEEK);
	ck_assert_int_eq(wire_receive(pair[1], side(type), &in, fds, 100), 0);
	close_got(fds);
	return (size_t)len;
}

START_TEST(wire_wrong_number_of_descriptors_is_refused_and_closed)
{
	struct wire_message m;

	open_pair();
	for (size_t i = 0; i < TYPES; i++) {
		size_t len = length_of(types[i]);

		good(&m, types[i]);
		for (size_t count = 0; count <= 8; count++) {
			if (count != wire_fd_count(&m)) {
				send_raw(&m, len, count);
				refused(side(types[i]));
			}
		}
	}
	close_pair();
}
END_TEST

START_TEST(wire_wrong_length_is_refused)
{
	char bytes[sizeof(struct wire_message) + 64] = {0};
	struct wire_message m;

	open_pair();
	for (size_t i = 0; i < TYPES; i++) {
		size_t len = length_of(types[i]);
		const size_t wrong[] = {1,       sizeof(m.header) - 1, len - 1,
					len + 1, sizeof(m) + 1,        sizeof(bytes)};

		good(&m, types[i]);
		memcpy(bytes, &m, sizeof(m));
		for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			if (wrong[k] != len) {
				send_raw(bytes, wrong[k], wire_fd_count(&m));
				refused(side(types[i]));
			}
		}
	}
	close_pair();
}
END_TEST

START_TEST(wire_header_that_is_wrong_is_refused)
{
	struct wire_message m;

	open_pair();
	for (size_t i = 0; i < TYPES; i++) {
		size_t len = length_of(types[i]);

		good(&m, types[i]);
		/* From the wrong side. */
		send_raw(&m, len, wire_fd_count(&m));
		refused(other(types[i]));
		m.header.magic++;
		send_raw(&m, len, wire_fd_count(&m));
		refused(side(types[i]));
		good(&m, types[i]);
		m.header.reserved = 1;
		send_raw(&m, len, wire_fd_count(&m));
		refused(side(types[i]));
	}
	wire_begin(&m, WIRE_PAUSE, 1);
	for (uint32_t type = 0; type < 300; type++) {
		m.header.type = type;
		if ((type == 0 || type >= WIRE_REQUESTS_END) &&
		    (type < WIRE_REPLY || type >= WIRE_ANSWERS_END)) {
			send_raw(&m, sizeof(m.header), 0);
			refused(type < WIRE_REPLY ? WIRE_SUPERVISOR : WIRE_VM);
			ck_assert_int_eq(wire_send(pair[0], &m, NULL, 100), -EINVAL);
		}
	}
	close_pair();
}
END_TEST

static void refused_both_ways(struct wire_message *m, size_t len)
{
	ck_assert_int_eq(wire_send(pair[0], m, spare, 100), -EINVAL);
	send_raw(m, len, wire_fd_count(m) <= WIRE_FDS_MAX ? wire_fd_count(m) : 0);
	refused(side(m->header.type));
	good(m, m->header.type);
}

START_TEST(wire_numbers_out_of_range_are_refused)
{
	struct wire_message m;
	size_t len;

	open_pair();
	len = length_of(WIRE_CONFIG);
	good(&m, WIRE_CONFIG);
	m.u.config.vcpus = 0;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.vcpus = VMM_VCPUS_MAX + 1;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.memory_size = 0;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.devices = WIRE_DEVICES_MAX + 1;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.log_level = 0;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.log_level = 5;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.has_serial = 2;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.huge_pages = 2;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.shm_size = UINT64_MAX;
	refused_both_ways(&m, len);
	good(&m, WIRE_CONFIG);
	m.u.config.transport = VMM_TRANSPORT_MMIO + 1;
	refused_both_ways(&m, len);
	len = length_of(WIRE_DEVICE);
	good(&m, WIRE_DEVICE);
	m.u.device.index = WIRE_DEVICES_MAX;
	refused_both_ways(&m, len);
	good(&m, WIRE_DEVICE);
	m.u.device.queue_count = 0;
	refused_both_ways(&m, len);
	good(&m, WIRE_DEVICE);
	m.u.device.queue_count = VMM_VIRTIO_QUEUES_MAX + 1;
	refused_both_ways(&m, len);
	good(&m, WIRE_DEVICE);
	m.u.device.config_len = WIRE_SPACE_MAX + 1;
	refused_both_ways(&m, len);
	good(&m, WIRE_DEVICE);
	m.u.device.waits = 2;
	refused_both_ways(&m, len);
	good(&m, WIRE_DEVICE);
	m.u.device.shm_count = WIRE_SHM_MAX + 1;
	refused_both_ways(&m, len);
	good(&m, WIRE_DEVICE);
	m.u.device.shm[WIRE_SHM_MAX - 1].id = 256;
	refused_both_ways(&m, len);
	len = length_of(WIRE_CONNECT);
	good(&m, WIRE_CONNECT);
	m.u.connection.index = UINT32_MAX;
	refused_both_ways(&m, len);
	len = length_of(WIRE_DEVICE_LOST);
	good(&m, WIRE_DEVICE_LOST);
	m.u.lost.index = WIRE_DEVICES_MAX;
	refused_both_ways(&m, len);
	good(&m, WIRE_DEVICE_LOST);
	m.u.lost.why = 0;
	refused_both_ways(&m, len);
	len = length_of(WIRE_EXITED);
	good(&m, WIRE_EXITED);
	m.u.exited.reason = VMM_EXIT_NONE;
	refused_both_ways(&m, len);
	good(&m, WIRE_EXITED);
	m.u.exited.reason = VMM_EXIT_ERROR + 1;
	refused_both_ways(&m, len);
	good(&m, WIRE_EXITED);
	m.u.exited.code = 1;
	refused_both_ways(&m, len);
	len = length_of(WIRE_REPLY);
	good(&m, WIRE_REPLY);
	m.u.reply.result = 1;
	refused_both_ways(&m, len);
	close_pair();
}
END_TEST

START_TEST(wire_texts_without_an_end_are_refused)
{
	struct wire_message m;

	open_pair();
	good(&m, WIRE_CONFIG);
	memset(m.u.config.cmdline, 'x', sizeof(m.u.config.cmdline));
	refused_both_ways(&m, length_of(WIRE_CONFIG));
	good(&m, WIRE_DEVICE);
	memset(m.u.device.id, 'x', sizeof(m.u.device.id));
	refused_both_ways(&m, length_of(WIRE_DEVICE));
	good(&m, WIRE_DEVICE);
	m.u.device.id[0] = '\0';
	refused_both_ways(&m, length_of(WIRE_DEVICE));
	good(&m, WIRE_REPLY);
	memset(m.u.reply.text, 'x', sizeof(m.u.reply.text));
	refused_both_ways(&m, length_of(WIRE_REPLY));
	good(&m, WIRE_EXITED);
	memset(m.u.exited.detail, 'x', sizeof(m.u.exited.detail));
	refused_both_ways(&m, length_of(WIRE_EXITED));
	close_pair();
}
END_TEST

START_TEST(wire_waits_have_an_end)
{
	struct wire_message m;
	int fds[WIRE_FDS_MAX];
	int ret = 0;

	open_pair();
	ck_assert_int_eq(wire_receive(pair[1], WIRE_VM, &m, fds, 0), -ETIMEDOUT);
	ck_assert_int_eq(wire_receive(pair[1], WIRE_VM, &m, fds, 20), -ETIMEDOUT);
	good(&m, WIRE_CONFIG);
	for (int i = 0; ret == 0 && i < 10000; i++) {
		ret = wire_send(pair[0], &m, spare, 20);
	}
	ck_assert_int_eq(ret, -ETIMEDOUT);
	close(pair[0]);
	pair[0] = open("/dev/null", O_RDONLY);
	/* What was on its way has arrived; then the end. */
	while ((ret = wire_receive(pair[1], WIRE_SUPERVISOR, &m, fds, 20)) == 0) {
		close_got(fds);
	}
	ck_assert_int_eq(ret, -ECONNRESET);
	good(&m, WIRE_REPLY);
	ck_assert_int_eq(wire_send(pair[1], &m, NULL, 20), -EPIPE);
	close_pair();
}
END_TEST

SUITE_MAIN("wire", wire_every_message_arrives_with_its_descriptors,
	   wire_wrong_number_of_descriptors_is_refused_and_closed, wire_wrong_length_is_refused,
	   wire_header_that_is_wrong_is_refused, wire_numbers_out_of_range_are_refused,
	   wire_texts_without_an_end_are_refused, wire_waits_have_an_end)
