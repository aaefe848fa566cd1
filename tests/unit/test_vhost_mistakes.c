/* SPDX-License-Identifier: MIT */
/*
 * Mistakes that other implementations of vhost-user have made (tests/planted/catalogue): a peer
 * that says any length and sends all of it, and one that sends descriptors with everything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fdcount.h"
#include "suite.h"
#include "vhost/msg.h"

#define REQUESTS 48u
#define FDS_SENT 40u

static int ours;
static int theirs;
/* On the heap, so that a byte behind it is noticed. */
static struct vhost_reader *reader;
static uint8_t bytes[80000];

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	ours = pair[0];
	theirs = pair[1];
	reader = calloc(1, sizeof(*reader));
}

static void teardown(void)
{
	vmm_vhost_reader_finish(reader);
	free(reader);
	(void)close(ours);
	(void)close(theirs);
}

/* Sends bytes with count descriptors. */
static void say_bytes(const void *from, size_t len, unsigned count)
{
	union {
		uint8_t bytes[CMSG_SPACE(FDS_SENT * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	union {
		const void *in;
		void *out;
	} base = {from};
	struct iovec iov = {base.out, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[FDS_SENT];

	for (unsigned i = 0; i < count; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC);
	}
	if (count > 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, count * sizeof(int));
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	SUITE_REQUIRE(sendmsg(theirs, &m, MSG_NOSIGNAL) > 0);
	for (unsigned i = 0; i < count; i++) {
		(void)close(fds[i]);
	}
}

/* Sends a message and as many bytes as it says it has, with count descriptors. */
static void say(uint32_t request, uint32_t flags, uint32_t size, unsigned count)
{
	struct vhost_user_header h = {.request = request, .flags = flags, .size = size};

	memcpy(bytes, &h, sizeof(h));
	say_bytes(bytes, sizeof(h) + (size < 70000 ? size : 70000), count);
}

/* One message to a reader of that kind, on a connection of its own. */
static int hear(enum vhost_channel channel, uint32_t request, uint32_t size, unsigned count)
{
	int ret;

	setup();
	reader->channel = channel;
	reader->expected = request;
	say(request, VHOST_USER_VERSION | (channel == VHOST_CHANNEL_REPLY ? VHOST_USER_REPLY : 0),
	    size, count);
	ret = vmm_vhost_reader_step(reader, ours);
	/* Longer than a socket takes at once: the rest does not come. */
	SUITE_REQUIRE(ret == 1 || ret == -EPROTO);
	SUITE_REQUIRE(ret != 1 || reader->msg.header.size <= sizeof(reader->msg.payload));
	SUITE_REQUIRE(ret != 1 || reader->msg.fd_count == count);
	return ret;
}

START_TEST(vhost_message_of_any_length_stays_in_its_structure)
{
	static const uint32_t sizes[] = {
		300, 1000, 4096, 65535, 65536, 0x7fffffff, 0x80000000, UINT32_MAX - 12, UINT32_MAX};
	unsigned heard = 0;

	for (unsigned channel = 0; channel <= VHOST_CHANNEL_REPLY; channel++) {
		for (uint32_t request = 0; request < REQUESTS; request++) {
			for (uint32_t size = 0; size <= 290; size++) {
				heard += hear(channel, request, size, 0) == 1;
				teardown();
			}
			for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
				/* The one reply that is longer than the rest. */
				bool fits = channel == VHOST_CHANNEL_REPLY &&
					    request == VHOST_USER_GET_SHMEM_CONFIG &&
					    sizes[i] == 1000;

				SUITE_REQUIRE(hear(channel, request, sizes[i], 0) ==
					      (fits ? 1 : -EPROTO));
				teardown();
			}
		}
	}
	ck_assert_uint_gt(heard, 0);
}
END_TEST

/* The most descriptors that a message may bring (vhost-user specification, "Message types"). */
static unsigned fds_allowed(enum vhost_channel channel, uint32_t request)
{
	if (channel == VHOST_CHANNEL_REPLY) {
		return request == VHOST_USER_GET_INFLIGHT_FD;
	}
	if (channel == VHOST_CHANNEL_BACKEND) {
		return request == VHOST_USER_BACKEND_SHMEM_MAP;
	}
	switch (request) {
	case VHOST_USER_SET_MEM_TABLE:
		return VHOST_USER_MEM_REGIONS;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
	case VHOST_USER_SET_BACKEND_REQ_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		return 1;
	default:
		return 0;
	}
}

START_TEST(vhost_descriptors_nobody_asked_for_are_closed)
{
	static const uint32_t sizes[] = {0, 8, 20, 24, 40, 72, 264};
	unsigned before = fdcount();
	unsigned heard = 0;

	for (unsigned channel = 0; channel <= VHOST_CHANNEL_REPLY; channel++) {
		for (uint32_t request = 0; request < REQUESTS; request++) {
			for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
				for (unsigned count = 0; count <= FDS_SENT;
				     count += 1 + count / 2) {
					int ret = hear(channel, request, sizes[i], count);

					/* Refused: nothing is left of it, though it goes on. */
					SUITE_REQUIRE(ret == 1 || fdcount() == before + 2);
					SUITE_REQUIRE(ret != 1 ||
						      count <= fds_allowed(channel, request));
					heard += ret == 1 && count > 0;
					teardown();
				}
			}
		}
	}
	ck_assert_uint_gt(heard, 0);
	ck_assert_uint_eq(fdcount(), before);
}
END_TEST

/* A peer may say the same with descriptors a thousand times on one connection. */
START_TEST(vhost_descriptors_of_the_message_before_are_closed)
{
	unsigned before;

	setup();
	before = fdcount();
	reader->channel = VHOST_CHANNEL_MAIN;
	for (unsigned i = 0; i < 1000; i++) {
		say(VHOST_USER_SET_VRING_KICK, VHOST_USER_VERSION, 8, 1);
		ck_assert_int_eq(vmm_vhost_reader_step(reader, ours), 1);
		ck_assert_uint_le(fdcount(), before + 1);
	}
	teardown();
	ck_assert_uint_eq(fdcount(), before - 2);
}
END_TEST

/* The number of descriptors is looked at with the header: later ones would be nobody's. */
START_TEST(vhost_descriptors_behind_the_first_byte_are_refused)
{
	struct vhost_user_header h = {VHOST_USER_SET_VRING_CALL, VHOST_USER_VERSION, 8};
	uint8_t message[sizeof(h) + 8] = {0};

	memcpy(message, &h, sizeof(h));
	for (size_t first = 1; first < sizeof(message); first++) {
		unsigned before;

		setup();
		before = fdcount();
		reader->channel = VHOST_CHANNEL_MAIN;
		say_bytes(message, first, 0);
		ck_assert_int_eq(vmm_vhost_reader_step(reader, ours), 0);
		say_bytes(message + first, sizeof(message) - first, 1);
		ck_assert_int_eq(vmm_vhost_reader_step(reader, ours), -EPROTO);
		ck_assert_uint_eq(fdcount(), before);
		teardown();
	}
}
END_TEST

SUITE_MAIN("vhost_mistakes", vhost_message_of_any_length_stays_in_its_structure,
	   vhost_descriptors_nobody_asked_for_are_closed,
	   vhost_descriptors_of_the_message_before_are_closed,
	   vhost_descriptors_behind_the_first_byte_are_refused)
