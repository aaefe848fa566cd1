/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing vhost-user messages.
 *
 * Descriptors come with the first bytes of a message, so a message is read in two parts, header and
 * payload, and never a byte of the next one with it. The control buffer has room for as many
 * descriptors as the largest message may have: the kernel drops what is beyond, and says so.
 */
#include "msg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS     UINT64_C(1000000)
#define HEADER        sizeof(struct vhost_user_header)

#define U64       sizeof(uint64_t)
#define STATE     sizeof(struct vhost_user_vring_state)
#define ADDR      sizeof(struct vhost_user_vring_addr)
#define TABLE     offsetof(struct vhost_user_mem_table, regions)
#define TABLE_MAX sizeof(struct vhost_user_mem_table)
#define REGION    sizeof(struct vhost_user_region)
#define REG       sizeof(struct vhost_user_mem_reg)
#define CONFIG    offsetof(struct vhost_user_config, bytes)
#define CONF_MAX  sizeof(struct vhost_user_config)
#define INFL      offsetof(struct vhost_user_inflight, padding)
#define INFL_MAX  sizeof(struct vhost_user_inflight)
#define SHMEM     offsetof(struct vhost_user_shmem_config, sizes)
#define SHMEM_MAX sizeof(struct vhost_user_shmem_config)
#define PRIV      offsetof(struct vhost_user_shmem_private, regions)
#define PRIV_MAX  sizeof(struct vhost_user_shmem_private)
#define PRIV_STEP ((PRIV_MAX - PRIV) / VHOST_USER_SHMEM_PRIVATE_MAX)
#define MMAP      sizeof(struct vhost_user_mmap)

/* Allowed sizes of a payload: min, min + step, ... max, and 0 where may_be_empty; and descriptors.
 */
struct shape {
	uint16_t min;
	uint16_t max;
	uint16_t step;
	uint8_t fds_min;
	uint8_t fds_max;
	bool may_be_empty;
};

struct rule {
	struct shape request;
	struct shape reply;
	bool known;
	bool has_reply;
};

#define SIZE(n)             .min = (n), .max = (n)
#define SIZES(from, to, by) .min = (from), .max = (to), .step = (by)
#define FDS(from, to)       .fds_min = (from), .fds_max = (to)
#define ACK                 .known = true, .reply = {SIZE(U64)}
#define REPLY(...)          .known = true, .has_reply = true, .reply = {__VA_ARGS__}
#define CONFIG_SIZES        SIZES(CONFIG + 1, CONF_MAX, 1)
#define INFLIGHT_SIZES      SIZES(INFL, INFL_MAX, INFL_MAX - INFL)
#define MEM_TABLE_SIZES     SIZES(TABLE, TABLE_MAX, REGION)

static const struct rule main_rules[] = {
	[VHOST_USER_GET_FEATURES] = {REPLY(SIZE(U64))},
	[VHOST_USER_SET_FEATURES] = {ACK, .request = {SIZE(U64)}},
	[VHOST_USER_SET_OWNER] = {ACK},
	[VHOST_USER_RESET_OWNER] = {ACK},
	[VHOST_USER_SET_MEM_TABLE] = {ACK, .request = {MEM_TABLE_SIZES, FDS(0, VHOST_FDS_MAX)}},
	[VHOST_USER_SET_VRING_NUM] = {ACK, .request = {SIZE(STATE)}},
	[VHOST_USER_SET_VRING_ADDR] = {ACK, .request = {SIZE(ADDR)}},
	[VHOST_USER_SET_VRING_BASE] = {ACK, .request = {SIZE(STATE)}},
	[VHOST_USER_GET_VRING_BASE] = {REPLY(SIZE(STATE)), .request = {SIZE(STATE)}},
	[VHOST_USER_SET_VRING_KICK] = {ACK, .request = {SIZE(U64), FDS(0, 1)}},
	[VHOST_USER_SET_VRING_CALL] = {ACK, .request = {SIZE(U64), FDS(0, 1)}},
	[VHOST_USER_SET_VRING_ERR] = {ACK, .request = {SIZE(U64), FDS(0, 1)}},
	[VHOST_USER_GET_PROTOCOL_FEATURES] = {REPLY(SIZE(U64))},
	[VHOST_USER_SET_PROTOCOL_FEATURES] = {ACK, .request = {SIZE(U64)}},
	[VHOST_USER_GET_QUEUE_NUM] = {REPLY(SIZE(U64))},
	[VHOST_USER_SET_VRING_ENABLE] = {ACK, .request = {SIZE(STATE)}},
	[VHOST_USER_SET_BACKEND_REQ_FD] = {ACK, .request = {FDS(1, 1)}},
	[VHOST_USER_GET_CONFIG] = {REPLY(CONFIG_SIZES, .may_be_empty = true),
				   .request = {CONFIG_SIZES}},
	[VHOST_USER_SET_CONFIG] = {ACK, .request = {CONFIG_SIZES}},
	[VHOST_USER_GET_INFLIGHT_FD] = {REPLY(INFLIGHT_SIZES, FDS(0, 1)),
					.request = {INFLIGHT_SIZES}},
	[VHOST_USER_SET_INFLIGHT_FD] = {ACK, .request = {INFLIGHT_SIZES, FDS(1, 1)}},
	[VHOST_USER_RESET_DEVICE] = {ACK},
	[VHOST_USER_GET_MAX_MEM_SLOTS] = {REPLY(SIZE(U64))},
	[VHOST_USER_ADD_MEM_REG] = {ACK, .request = {SIZE(REG), FDS(1, 1)}},
	/* Some front ends send a descriptor with it: it is closed unused. */
	[VHOST_USER_REM_MEM_REG] = {ACK, .request = {SIZE(REG), FDS(0, 1)}},
	[VHOST_USER_SET_STATUS] = {ACK, .request = {SIZE(U64)}},
	[VHOST_USER_GET_STATUS] = {REPLY(SIZE(U64))},
	[VHOST_USER_GET_SHMEM_CONFIG] = {REPLY(SIZES(SHMEM, SHMEM_MAX, U64))},
};

static const struct rule backend_rules[] = {
	[VHOST_USER_BACKEND_CONFIG_CHANGE_MSG] = {ACK},
	[VHOST_USER_BACKEND_SHMEM_MAP] = {ACK, .request = {SIZE(MMAP), FDS(1, 1)}},
	[VHOST_USER_BACKEND_SHMEM_UNMAP] = {ACK, .request = {SIZE(MMAP)}},
};

/* Numbers that are not of the specification begin here. */
#define PRIVATE VHOST_USER_BACKEND_MAP_PRIVATE

static const struct rule main_private[] = {
	[VHOST_USER_GET_SHMEM_PRIVATE - PRIVATE] = {REPLY(SIZES(PRIV, PRIV_MAX, PRIV_STEP))},
};

static const struct rule backend_private[] = {
	{ACK, .request = {SIZE(sizeof(struct vhost_user_map_private)), FDS(1, 1)}},
	{ACK, .request = {SIZE(sizeof(struct vhost_user_unmap_private))}},
};

#define TABLE_OF(rules)                                     \
	{                                                   \
		(rules), sizeof(rules) / sizeof((rules)[0]) \
	}

static const struct {
	const struct rule *rules;
	size_t count;
} tables[2][2] = {
	{TABLE_OF(main_rules), TABLE_OF(main_private)},
	{TABLE_OF(backend_rules), TABLE_OF(backend_private)},
};

/* NULL for a request that is not spoken here. */
static const struct rule *find_rule(enum vhost_channel channel, uint32_t request)
{
	bool backend = channel == VHOST_CHANNEL_BACKEND || channel == VHOST_CHANNEL_ANSWER;
	bool private = request >= PRIVATE;
	const struct rule *rules = tables[backend][private].rules;
	uint32_t at = private ? request - PRIVATE : request;

	return at < tables[backend][private].count && rules[at].known ? &rules[at] : NULL;
}

static bool fits(const struct shape *shape, uint32_t size, unsigned fd_count)
{
	if (size == 0 && shape->may_be_empty) {
		return fd_count == 0;
	}
	return size >= shape->min && size <= shape->max &&
	       (shape->step == 0 || (size - shape->min) % shape->step == 0) &&
	       fd_count >= shape->fds_min && fd_count <= shape->fds_max;
}

/* ---- messages ---- */

void vmm_vhost_msg_init(struct vhost_msg *msg, uint32_t request, size_t payload_size)
{
	memset(msg, 0, sizeof(*msg));
	msg->header.request = request;
	msg->header.flags = VHOST_USER_VERSION;
	msg->header.size = (uint32_t)payload_size;
}

int vmm_vhost_msg_take_fd(struct vhost_msg *msg)
{
	int fd;

	if (msg->fd_count == 0) {
		return -1;
	}
	fd = msg->fds[0];
	msg->fd_count--;
	memmove(msg->fds, msg->fds + 1, msg->fd_count * sizeof(msg->fds[0]));
	return fd;
}

void vmm_vhost_msg_close_fds(struct vhost_msg *msg)
{
	while (msg->fd_count > 0) {
		(void)close(msg->fds[--msg->fd_count]);
	}
}

bool vmm_vhost_has_reply(uint32_t request)
{
	const struct rule *rule = find_rule(VHOST_CHANNEL_MAIN, request);

	return rule && rule->has_reply;
}

/* ---- reading ---- */

union control {
	uint8_t bytes[CMSG_SPACE(VHOST_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
};

/* Moves the descriptors of one recvmsg to msg. -EPROTO: more than may ever come. */
static int collect_fds(struct vhost_msg *msg, struct msghdr *received)
{
	int ret = received->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(received); c; c = CMSG_NXTHDR(received, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			continue;
		}
		for (size_t i = 0; i < count; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (msg->fd_count < VHOST_FDS_MAX) {
				msg->fds[msg->fd_count++] = fd;
			} else {
				(void)close(fd);
				ret = -EPROTO;
			}
		}
	}
	return ret;
}

/* One recvmsg for the next bytes of the present part. Their number, 0: none now, or an error. */
static ssize_t receive(struct vhost_reader *r, int fd, void *buf, size_t len)
{
	union control control;
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	bool first = r->have == 0;
	ssize_t got;
	int ret;

	do {
		got = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	}
	if (got == 0) {
		return -ECONNRESET;
	}
	/* Only the first bytes may bring descriptors: later ones would be uncounted. */
	ret = collect_fds(&r->msg, &m);
	if (ret < 0 || (!first && m.msg_controllen > 0)) {
		return -EPROTO;
	}
	r->have += (size_t)got;
	return got;
}

/* All that can be known before the payload is there. */
static int check_header(const struct vhost_reader *r)
{
	const struct vhost_user_header *h = &r->msg.header;
	const struct rule *rule = find_rule(r->channel, h->request);
	bool reply = r->channel == VHOST_CHANNEL_REPLY || r->channel == VHOST_CHANNEL_ANSWER;
	uint32_t flags = h->flags;

	if (!rule || (reply && h->request != r->expected)) {
		return -EPROTO;
	}
	if (!reply) {
		flags &= ~VHOST_USER_NEED_REPLY;
	} else if (flags & VHOST_USER_REPLY) {
		/* Some back ends leave NEED_REPLY of the request set. */
		flags &= ~(VHOST_USER_REPLY | VHOST_USER_NEED_REPLY);
	} else {
		return -EPROTO;
	}
	return flags == VHOST_USER_VERSION &&
			       fits(reply ? &rule->reply : &rule->request, h->size, r->msg.fd_count)
		       ? 0
		       : -EPROTO;
}

static void start_message(struct vhost_reader *r)
{
	vmm_vhost_msg_close_fds(&r->msg);
	memset(&r->msg, 0, sizeof(r->msg));
	r->have = 0;
	r->done = false;
}

static int read_message(struct vhost_reader *r, int fd)
{
	ssize_t got;
	int ret;

	while (r->have < HEADER) {
		got = receive(r, fd, (uint8_t *)&r->msg.header + r->have, HEADER - r->have);
		if (got <= 0) {
			return (int)got;
		}
		if (r->have == HEADER) {
			ret = check_header(r);
			if (ret < 0) {
				return ret;
			}
		}
	}
	while (r->have < HEADER + r->msg.header.size) {
		size_t at = r->have - HEADER;

		got = receive(r, fd, (uint8_t *)&r->msg.payload + at, r->msg.header.size - at);
		if (got <= 0) {
			return (int)got;
		}
	}
	return 1;
}

int vmm_vhost_reader_step(struct vhost_reader *reader, int fd)
{
	int ret;

	if (reader->done) {
		start_message(reader);
	}
	ret = read_message(reader, fd);
	if (ret < 0) {
		start_message(reader);
	}
	reader->done = ret == 1;
	return ret;
}

bool vmm_vhost_reader_is_half(const struct vhost_reader *reader)
{
	return reader->have > 0 && !reader->done;
}

void vmm_vhost_reader_finish(struct vhost_reader *reader)
{
	start_message(reader);
}

/* ---- waiting ---- */

static uint64_t now(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * NS_PER_MS + (uint64_t)ts.tv_nsec;
}

uint64_t vmm_vhost_deadline(unsigned timeout_ms)
{
	return now() + timeout_ms * NS_PER_MS;
}

/* 0 when fd, or other (-1: none) for reading, may be ready, -ETIMEDOUT. A broken connection is for
 * the next call on it to find. */
static int wait_for(int fd, short events, int other, uint64_t deadline)
{
	struct pollfd pfd[] = {{.fd = fd, .events = events}, {.fd = other, .events = POLLIN}};

	for (;;) {
		uint64_t at = now();
		uint64_t left = at < deadline ? deadline - at : 0;
		const struct timespec limit = {.tv_sec = (time_t)(left / NS_PER_SECOND),
					       .tv_nsec = (long)(left % NS_PER_SECOND)};
		/* Not poll, for the reason that is in vmm_loop_dispatch_posted. */
		int ret = ppoll(pfd, 2, &limit, NULL);

		if (ret > 0) {
			return 0;
		}
		if (ret < 0 && errno != EINTR) {
			return -errno;
		}
		if (ret == 0 && left == 0) {
			return -ETIMEDOUT;
		}
	}
}

static int receive_message(struct vhost_reader *reader, int fd, struct vhost_msg *msg,
			   uint64_t deadline, const struct vhost_meanwhile *meanwhile)
{
	int ret = 0;

	while (ret == 0) {
		ret = wait_for(fd, POLLIN, meanwhile ? meanwhile->fd : -1, deadline);
		if (ret == 0 && meanwhile && meanwhile->fd >= 0) {
			ret = meanwhile->serve(meanwhile->ctx);
		}
		if (ret == 0) {
			ret = vmm_vhost_reader_step(reader, fd);
		}
	}
	if (ret < 0) {
		vmm_vhost_reader_finish(reader);
	}
	/* With it go the descriptors. */
	*msg = reader->msg;
	return ret < 0 ? ret : 0;
}

int vmm_vhost_receive_reply_meanwhile(int fd, uint32_t request, struct vhost_msg *msg,
				      uint64_t deadline, const struct vhost_meanwhile *meanwhile)
{
	struct vhost_reader reader = {.channel = VHOST_CHANNEL_REPLY, .expected = request};

	return receive_message(&reader, fd, msg, deadline, meanwhile);
}

int vmm_vhost_receive_reply(int fd, uint32_t request, struct vhost_msg *msg, uint64_t deadline)
{
	return vmm_vhost_receive_reply_meanwhile(fd, request, msg, deadline, NULL);
}

int vmm_vhost_receive_answer(int fd, uint32_t request, struct vhost_msg *msg, uint64_t deadline)
{
	struct vhost_reader reader = {.channel = VHOST_CHANNEL_ANSWER, .expected = request};

	return receive_message(&reader, fd, msg, deadline, NULL);
}

/* ---- writing ---- */

/* Both parts of msg from byte `from` on. */
static unsigned rest_of(const struct vhost_msg *msg, size_t from, struct iovec iov[2])
{
	/* Written from only. */
	union {
		const void *in;
		void *out;
	} header = {&msg->header}, payload = {&msg->payload};
	unsigned count = 0;

	if (from < HEADER) {
		iov[count++] = (struct iovec){(uint8_t *)header.out + from, HEADER - from};
		from = HEADER;
	}
	if (from < HEADER + msg->header.size) {
		iov[count++] = (struct iovec){(uint8_t *)payload.out + (from - HEADER),
					      msg->header.size - (from - HEADER)};
	}
	return count;
}

/* One sendmsg from byte `from` on, with the descriptors when it is the first. Bytes, 0: none now.
 */
static ssize_t send_some(int fd, const struct vhost_msg *msg, size_t from)
{
	union control control;
	struct iovec iov[2];
	struct msghdr m = {.msg_iov = iov};
	ssize_t sent;

	m.msg_iovlen = rest_of(msg, from, iov);
	if (from == 0 && msg->fd_count > 0) {
		size_t len = msg->fd_count * sizeof(int);

		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = (socklen_t)CMSG_LEN(len);
		memcpy(CMSG_DATA(&control.align), msg->fds, len);
		m.msg_control = control.bytes;
		m.msg_controllen = (socklen_t)CMSG_SPACE(len);
	}
	do {
		sent = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	}
	return sent;
}

int vmm_vhost_send(int fd, const struct vhost_msg *msg, uint64_t deadline)
{
	size_t len = HEADER + msg->header.size;
	size_t sent = 0;

	while (sent < len) {
		ssize_t ret = send_some(fd, msg, sent);

		if (ret < 0) {
			return (int)ret;
		}
		sent += (size_t)ret;
		if (ret == 0) {
			int waited = wait_for(fd, POLLOUT, -1, deadline);

			if (waited < 0) {
				return waited;
			}
		}
	}
	return 0;
}

/* As send_some, for a socket that does not block and a message without descriptors. */
static ssize_t write_some(int fd, const struct vhost_msg *msg, size_t from)
{
	uint8_t bytes[sizeof(msg->header) + sizeof(msg->payload)];
	ssize_t sent;

	memcpy(bytes, &msg->header, HEADER);
	memcpy(bytes + HEADER, &msg->payload, msg->header.size);
	do {
		sent = write(fd, bytes + from, HEADER + msg->header.size - from);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	}
	return sent;
}

int vmm_vhost_writer_step(struct vhost_writer *writer, int fd)
{
	while (writer->pending) {
		const struct vhost_msg *msg = &writer->msg;
		ssize_t ret = msg->fd_count > 0 ? send_some(fd, msg, writer->sent)
						: write_some(fd, msg, writer->sent);

		if (ret <= 0) {
			return (int)ret;
		}
		writer->sent += (size_t)ret;
		if (writer->sent == HEADER + msg->header.size) {
			writer->pending = false;
			writer->sent = 0;
		}
	}
	return 1;
}
