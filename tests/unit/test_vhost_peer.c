/* SPDX-License-Identifier: MIT */
#include "test_vhost_peer.h"

#include <check.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/virtio.h>

static void keep_fd(int *slot, struct vhost_msg *msg)
{
	if (*slot >= 0) {
		(void)close(*slot);
	}
	*slot = vmm_vhost_msg_take_fd(msg);
}

static int make_record(void)
{
	int fd = memfd_create("record", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	return fd;
}

/* Fills the answer; false when there is none. */
static bool answer(struct back_end *b, struct vhost_msg *in, struct vhost_msg *out)
{
	uint32_t request = in->header.request;
	unsigned queue = in->payload.state.index < QUEUES ? in->payload.state.index : 0;

	vmm_vhost_msg_init(out, request, sizeof(out->payload.u64));
	switch (request) {
	case VHOST_USER_GET_FEATURES:
		out->payload.u64 = b->features;
		return true;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		out->payload.u64 = b->protocol;
		return true;
	case VHOST_USER_GET_QUEUE_NUM:
		out->payload.u64 = b->queues;
		return true;
	case VHOST_USER_GET_CONFIG:
		vmm_vhost_msg_init(out, request, in->header.size);
		out->payload.config = in->payload.config;
		memcpy(out->payload.config.bytes, b->config, CONFIG_LEN);
		return true;
	case VHOST_USER_GET_VRING_BASE:
		out->payload.state.index = in->payload.state.index;
		out->payload.state.num = 0;
		return true;
	case VHOST_USER_GET_INFLIGHT_FD:
		vmm_vhost_msg_init(out, request, sizeof(out->payload.inflight));
		out->payload.inflight = in->payload.inflight;
		out->payload.inflight.mmap_size = 4096;
		out->fds[0] = make_record();
		out->fd_count = 1;
		b->records_made++;
		return true;
	case VHOST_USER_GET_SHMEM_CONFIG:
		vmm_vhost_msg_init(out, request, b->shmem_size);
		out->payload.shmem = b->shmem;
		return true;
	case VHOST_USER_GET_SHMEM_PRIVATE:
		vmm_vhost_msg_init(out, request,
				   8 + b->shmem_private.count *
						   sizeof(b->shmem_private.regions[0]));
		out->payload.shmem_private = b->shmem_private;
		return true;
	case VHOST_USER_SET_FEATURES:
		b->accepted = in->payload.u64;
		break;
	case VHOST_USER_SET_VRING_BASE:
		b->base[queue] = (uint16_t)in->payload.state.num;
		break;
	case VHOST_USER_SET_VRING_CALL:
		keep_fd(&b->call_fd[in->payload.u64 & 1], in);
		break;
	case VHOST_USER_SET_VRING_KICK:
		keep_fd(&b->kick_fd[in->payload.u64 & 1], in);
		break;
	case VHOST_USER_SET_VRING_ERR:
		keep_fd(&b->err_fd, in);
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		keep_fd(&b->channel, in);
		break;
	case VHOST_USER_SET_INFLIGHT_FD:
		keep_fd(&b->record_fd, in);
		break;
	case VHOST_USER_SET_CONFIG:
		memcpy(b->config + in->payload.config.offset, in->payload.config.bytes,
		       in->payload.config.size);
		memset(b->written + in->payload.config.offset, 1, in->payload.config.size);
		break;
	default:
		break;
	}
	out->payload.u64 = 0;
	return (in->header.flags & VHOST_USER_NEED_REPLY) != 0;
}

/* A wrong answer, on the wire byte by byte. False: the connection has ended. */
static bool spoil(struct back_end *b, struct vhost_msg *out)
{
	int spare = -1;

	switch (b->fault) {
	case FAULT_CLOSE:
		return false;
	case FAULT_SILENT:
		return true;
	case FAULT_SHORT:
		out->header.size--;
		break;
	case FAULT_LONG:
		out->header.size++;
		break;
	case FAULT_HUGE:
		out->header.size = UINT32_MAX;
		break;
	case FAULT_REQUEST:
		out->header.request++;
		break;
	case FAULT_NO_REPLY:
		out->header.flags &= ~VHOST_USER_REPLY;
		break;
	case FAULT_VERSION:
		out->header.flags ^= VHOST_USER_VERSION_MASK;
		break;
	case FAULT_NO:
		if (vmm_vhost_has_reply(out->header.request)) {
			out->header.size = 0;
		}
		out->payload.u64 = 1;
		break;
	default:
		spare = eventfd(0, EFD_CLOEXEC);
		break;
	}
	{
		char bytes[sizeof(out->header) + sizeof(out->payload) + 1] = {0};
		size_t len = out->header.size < sizeof(out->payload) ? out->header.size : 8;
		struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(out->header) + len};
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int))];
		} control = {0};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

		memcpy(bytes, &out->header, sizeof(out->header));
		memcpy(bytes + sizeof(out->header), &out->payload, sizeof(out->payload));
		if (spare >= 0) {
			struct cmsghdr *c;

			msg.msg_control = &control;
			msg.msg_controllen = sizeof(control);
			c = CMSG_FIRSTHDR(&msg);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(c), &spare, sizeof(spare));
		}
		(void)sendmsg(b->fd, &msg, MSG_NOSIGNAL);
	}
	if (spare >= 0) {
		(void)close(spare);
	}
	return true;
}

static void *back_end_main(void *arg)
{
	struct back_end *b = arg;
	struct vhost_reader reader = {.channel = VHOST_CHANNEL_MAIN};
	bool going = true;

	while (going) {
		struct pollfd p = {.fd = b->fd, .events = POLLIN};
		struct vhost_msg out;
		unsigned at;
		int ret;

		(void)poll(&p, 1, -1);
		ret = vmm_vhost_reader_step(&reader, b->fd);
		if (ret < 0) {
			break;
		}
		if (ret == 0) {
			continue;
		}
		at = b->count++;
		b->log[at % LOG_MAX] = reader.msg.header.request;
		if (b->before) {
			b->before(b, reader.msg.header.request);
		}
		if (answer(b, &reader.msg, &out)) {
			out.header.flags |= VHOST_USER_REPLY;
			if (b->fault != FAULT_NONE && at == b->fault_at) {
				going = spoil(b, &out);
			} else {
				(void)vmm_vhost_send(b->fd, &out, vmm_vhost_deadline(1000));
			}
			if (out.fd_count > 0) {
				(void)close(out.fds[0]);
			}
		}
	}
	vmm_vhost_reader_finish(&reader);
	(void)close(b->fd);
	return NULL;
}

void init_back_end(struct back_end *b)
{
	memset(b, 0, sizeof(*b));
	b->features = VHOST_USER_F_PROTOCOL_FEATURES | VMM_VIRTIO_F_VERSION_1 |
		      VMM_VIRTIO_F_EVENT_IDX | 0x21;
	b->protocol = VHOST_PROTOCOL_FEATURES;
	b->queues = QUEUES;
	b->shmem_size = sizeof(b->shmem);
	for (int i = 0; i < CONFIG_LEN; i++) {
		b->config[i] = (uint8_t)(i + 1);
	}
	b->call_fd[0] = b->call_fd[1] = b->kick_fd[0] = b->kick_fd[1] = -1;
	b->err_fd = b->channel = b->record_fd = -1;
}

int start_back_end(struct back_end *b)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	b->fd = pair[1];
	ck_assert_int_eq(pthread_create(&b->thread, NULL, back_end_main, b), 0);
	return pair[0];
}

static void close_one(int fd)
{
	if (fd >= 0) {
		(void)close(fd);
	}
}

void join(struct back_end *b)
{
	(void)pthread_join(b->thread, NULL);
	for (int i = 0; i < QUEUES; i++) {
		close_one(b->call_fd[i]);
		close_one(b->kick_fd[i]);
	}
	close_one(b->err_fd);
	close_one(b->channel);
	close_one(b->record_fd);
}

unsigned count_of(const struct back_end *b, uint32_t request)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->count; i++) {
		n += b->log[i] == request;
	}
	return n;
}
