/* SPDX-License-Identifier: MIT */
#include "vm/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <vmm/log.h>
#include <vmm/virtio.h>
#include <vmm/vm.h>

/* Room for more than any message has: too many must be seen, and closed. */
#define ROOM_FDS 4u

_Static_assert(WIRE_QUEUES_MAX >= VMM_VIRTIO_QUEUES_MAX, "queues of any device");
_Static_assert(CMSG_LEN(ROOM_FDS * sizeof(int)) == CMSG_SPACE(ROOM_FDS * sizeof(int)),
	       "no padding, which would be room for one more");

/* ---- form ---- */

/* Bytes after the header; -1: no such type. */
static int body_size(uint32_t type)
{
	switch (type) {
	case WIRE_CONFIG:
		return sizeof(struct wire_config);
	case WIRE_DEVICE:
		return sizeof(struct wire_device);
	case WIRE_CONNECT:
	case WIRE_GIVE_UP:
		return sizeof(struct wire_connection);
	case WIRE_KERNEL:
	case WIRE_INITRD:
	case WIRE_BOOT:
	case WIRE_PAUSE:
	case WIRE_RESUME:
	case WIRE_REBOOT:
	case WIRE_BUTTON:
	case WIRE_STOP:
	case WIRE_REBOOTED:
		return 0;
	case WIRE_REPLY:
		return sizeof(struct wire_reply);
	case WIRE_EXITED:
		return sizeof(struct wire_exited);
	case WIRE_DEVICE_LOST:
		return sizeof(struct wire_device_lost);
	default:
		return -1;
	}
}

size_t wire_fd_count(const struct wire_message *message)
{
	switch (message->header.type) {
	case WIRE_CONFIG:
		return message->u.config.has_serial ? 2 : 1;
	case WIRE_KERNEL:
	case WIRE_INITRD:
	case WIRE_DEVICE:
	case WIRE_CONNECT:
		return 1;
	default:
		return 0;
	}
}

static bool is_text(const char *text, size_t max)
{
	return memchr(text, '\0', max) != NULL;
}

static bool config_is_good(const struct wire_config *config)
{
	return config->vcpus >= 1 && config->vcpus <= VMM_VCPUS_MAX &&
	       config->devices <= WIRE_DEVICES_MAX && config->log_level >= VMM_LOG_ERROR &&
	       config->log_level <= VMM_LOG_DEBUG && config->has_serial <= 1 &&
	       config->huge_pages <= 1 && config->transport <= VMM_TRANSPORT_MMIO &&
	       config->shm_size <= (uint64_t)WIRE_DEVICES_MAX * WIRE_SHM_MAX * WIRE_SHM_LEN_MAX &&
	       config->memory_size > 0 && is_text(config->cmdline, WIRE_CMDLINE_MAX);
}

static bool device_is_good(const struct wire_device *device)
{
	for (uint32_t i = 0; i < WIRE_SHM_MAX; i++) {
		if (device->shm[i].id > UINT8_MAX) {
			return false;
		}
	}
	return device->index < WIRE_DEVICES_MAX && device->queue_count >= 1 &&
	       (device->shm_count <= WIRE_SHM_MAX || device->shm_count == WIRE_SHM_ANY) &&
	       device->queue_count <= VMM_VIRTIO_QUEUES_MAX &&
	       device->config_len <= WIRE_SPACE_MAX && device->waits <= 1 &&
	       is_text(device->id, WIRE_ID_MAX) && device->id[0] != '\0';
}

static bool exited_is_good(const struct wire_exited *exited)
{
	return exited->reason > VMM_EXIT_NONE && exited->reason <= VMM_EXIT_ERROR &&
	       exited->code <= 0 && is_text(exited->detail, WIRE_TEXT_MAX);
}

static bool body_is_good(const struct wire_message *message)
{
	switch (message->header.type) {
	case WIRE_CONFIG:
		return config_is_good(&message->u.config);
	case WIRE_DEVICE:
		return device_is_good(&message->u.device);
	case WIRE_CONNECT:
	case WIRE_GIVE_UP:
		return message->u.connection.index < WIRE_DEVICES_MAX;
	case WIRE_REPLY:
		return message->u.reply.result <= 0 &&
		       is_text(message->u.reply.text, WIRE_TEXT_MAX);
	case WIRE_EXITED:
		return exited_is_good(&message->u.exited);
	case WIRE_DEVICE_LOST:
		return message->u.lost.index < WIRE_DEVICES_MAX && message->u.lost.why < 0;
	default:
		return true;
	}
}

static enum wire_side side_of(uint32_t type)
{
	return type < WIRE_REQUESTS_END ? WIRE_SUPERVISOR : WIRE_VM;
}

static bool is_good(const struct wire_message *message, size_t len, enum wire_side from)
{
	const struct wire_header *header = &message->header;
	int size;

	if (len < sizeof(*header)) {
		return false;
	}
	size = body_size(header->type);
	return header->magic == WIRE_MAGIC && header->reserved == 0 && size >= 0 &&
	       len == sizeof(*header) + (size_t)size && side_of(header->type) == from &&
	       body_is_good(message);
}

void wire_begin(struct wire_message *message, enum wire_type type, uint32_t seq)
{
	memset(message, 0, sizeof(*message));
	message->header.magic = WIRE_MAGIC;
	message->header.type = type;
	message->header.seq = seq;
}

void wire_set_text(char *out, size_t max, const char *text)
{
	(void)snprintf(out, max, "%s", text);
}

/* ---- waiting ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* 0: try again. */
static int wait_until(int fd, short events, int64_t end)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left = end - now_ms();
	const struct timespec limit = {.tv_sec = (time_t)(left / 1000),
				       .tv_nsec = (long)(left % 1000) * 1000000};

	if (left <= 0) {
		return -ETIMEDOUT;
	}
	/* ppoll, as poll goes on after SIGSTOP by a call that the vm process may not make. */
	if (ppoll(&p, 1, &limit, NULL) < 0 && errno != EINTR) {
		return -errno;
	}
	return 0;
}

/* ---- sending ---- */

union control {
	char bytes[CMSG_SPACE(ROOM_FDS * sizeof(int))];
	struct cmsghdr align;
};

static void put_fds(struct msghdr *msg, union control *control, const int *fds, size_t count)
{
	struct cmsghdr *cmsg;

	if (count == 0) {
		return;
	}
	memset(control, 0, sizeof(*control));
	msg->msg_control = control->bytes;
	msg->msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int));
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
}

int wire_send(int fd, const struct wire_message *message, const int *fds, int timeout_ms)
{
	union control control;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	const void *bytes = message;
	int64_t end = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
	int size = body_size(message->header.type);
	int ret = 0;

	iov.iov_len = sizeof(message->header) + (size_t)(size < 0 ? 0 : size);
	/* sendmsg does not write to it, but its type says so. */
	memcpy(&iov.iov_base, &bytes, sizeof(bytes));
	if (!is_good(message, iov.iov_len, side_of(message->header.type))) {
		return -EINVAL;
	}
	put_fds(&msg, &control, fds, wire_fd_count(message));
	while (ret == 0) {
		if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
			return 0;
		}
		if (errno != EAGAIN && errno != EINTR) {
			return -errno;
		}
		ret = wait_until(fd, POLLOUT, end);
	}
	return ret;
}

/* ---- receiving ---- */

struct received {
	int fds[ROOM_FDS];
	size_t count;
	bool odd; /* something came that is no descriptor, or too many of them */
};

static void take_fds(struct msghdr *msg, struct received *r)
{
	r->odd = (msg->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			r->odd = true;
			continue;
		}
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (count > ROOM_FDS - r->count) {
			count = ROOM_FDS - r->count; /* cannot be: there was no room for them */
		}
		memcpy(r->fds + r->count, CMSG_DATA(c), count * sizeof(int));
		r->count += count;
	}
}

/* One packet as it comes: its length, or a negative errno. */
static ssize_t receive_some(int fd, struct wire_message *message, struct received *r)
{
	union control control;
	struct iovec iov = {.iov_base = message, .iov_len = sizeof(*message)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t len = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (len < 0) {
		return -errno;
	}
	take_fds(&msg, r);
	return len;
}

static void drop_fds(const struct received *r)
{
	for (size_t i = 0; i < r->count; i++) {
		(void)close(r->fds[i]);
	}
}

/* A packet that came becomes a message, or is dropped. */
static int accept_message(const struct wire_message *message, size_t len, enum wire_side from,
			  const struct received *r, int *fds)
{
	/* An empty packet is no message either, and the end of the connection looks like one. */
	if (len == 0 && r->count == 0) {
		return -ECONNRESET;
	}
	if (r->odd || !is_good(message, len, from) || r->count != wire_fd_count(message)) {
		drop_fds(r);
		return -EPROTO;
	}
	for (size_t i = 0; i < WIRE_FDS_MAX; i++) {
		fds[i] = i < r->count ? r->fds[i] : -1;
	}
	return 0;
}

int wire_receive(int fd, enum wire_side from, struct wire_message *message, int *fds,
		 int timeout_ms)
{
	int64_t end = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
	int ret = 0;

	while (ret == 0) {
		struct received r = {.count = 0};
		ssize_t len = receive_some(fd, message, &r);

		if (len >= 0) {
			return accept_message(message, (size_t)len, from, &r, fds);
		}
		if (len != -EAGAIN && len != -EINTR) {
			return (int)len;
		}
		ret = timeout_ms > 0 ? wait_until(fd, POLLIN, end) : -ETIMEDOUT;
	}
	return ret;
}
