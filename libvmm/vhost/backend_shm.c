/* SPDX-License-Identifier: MIT */
/*
 * What a device maps into its shared memory regions, which are the front end's: it is asked to, and
 * waited for. It answers at once even while it waits for this side, or it has failed.
 *
 * A jailed process needs sendmsg, recvmsg and ppoll for it.
 */
#include "backend_priv.h"

#include <errno.h>
#include <unistd.h>

#define NEEDED                                                             \
	(VHOST_USER_PROTOCOL_F_SHMEM | VHOST_USER_PROTOCOL_F_BACKEND_REQ | \
	 VHOST_USER_PROTOCOL_F_REPLY_ACK)

void vmm_vhost_get_shmem(const struct vmm_vhost_backend *b, struct vhost_user_shmem_config *out)
{
	const struct vmm_virtio_device *dev = vmm_carrier_device(b->carrier);

	out->count = dev->shm_count;
	for (unsigned i = 0; i < dev->shm_count; i++) {
		out->sizes[dev->shm[i].id] = dev->shm[i].len;
	}
}

/* The connection as a whole is over when the front end does not answer as it has to. */
static int ask(struct vmm_vhost_backend *b, struct vhost_msg *msg)
{
	uint64_t until = vmm_vhost_deadline((unsigned)(b->deadline_ns / 1000000));
	uint32_t request = msg->header.request;
	int ret;

	if (b->fd < 0) {
		return -EPIPE;
	}
	if ((b->protocol & NEEDED) != NEEDED || b->request_fd < 0) {
		return -EOPNOTSUPP;
	}
	msg->header.flags |= VHOST_USER_NEED_REPLY;
	ret = vmm_vhost_send(b->request_fd, msg, until);
	if (ret == 0) {
		ret = vmm_vhost_receive_answer(b->request_fd, request, msg, until);
	}
	if (ret < 0) {
		vmm_vhost_backend_close(b, ret);
		return ret == -ETIMEDOUT ? ret : -EPIPE;
	}
	return msg->payload.u64 == 0 ? 0 : -EREMOTEIO;
}

static void fill(struct vhost_msg *msg, uint32_t request, uint8_t id, uint64_t offset, uint64_t len)
{
	vmm_vhost_msg_init(msg, request, sizeof(msg->payload.mmap));
	msg->payload.mmap.id = id;
	msg->payload.mmap.shm_offset = offset;
	msg->payload.mmap.len = len;
}

static int shm_map(void *ctx, uint8_t id, uint64_t offset, int fd, uint64_t fd_offset, uint64_t len,
		   bool writable)
{
	struct vhost_msg msg;

	fill(&msg, VHOST_USER_BACKEND_SHMEM_MAP, id, offset, len);
	msg.payload.mmap.fd_offset = fd_offset;
	msg.payload.mmap.flags = writable ? VHOST_USER_SHMEM_RW : 0;
	msg.fds[0] = fd;
	msg.fd_count = 1;
	return ask(ctx, &msg);
}

static int shm_unmap(void *ctx, uint8_t id, uint64_t offset, uint64_t len)
{
	struct vhost_msg msg;

	fill(&msg, VHOST_USER_BACKEND_SHMEM_UNMAP, id, offset, len);
	return ask(ctx, &msg);
}

const struct vmm_carrier_shm_ops vmm_vhost_backend_shm_ops = {.map = shm_map, .unmap = shm_unmap};
