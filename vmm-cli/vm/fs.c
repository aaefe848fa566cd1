/* SPDX-License-Identifier: MIT */
#include "vm/fs.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <vmm/virtio.h>

/* A program that does not take connections is not waited for any longer. */
#define CONNECT_S 5

#define ALL(size)                                                    \
	{                                                            \
		size, size, size, size, size, size, size, size, size \
	}

/* Constant, as front ends refer to them for life. */
static const uint16_t queue_sizes[][1 + VM_FS_QUEUES_MAX] = {
	ALL(4), ALL(8), ALL(16), ALL(32), ALL(64), ALL(128), ALL(256), ALL(512), ALL(1024),
};

static const uint16_t *sizes_of(uint64_t size)
{
	size_t i = 0;

	while (i + 1 < sizeof(queue_sizes) / sizeof(queue_sizes[0]) && queue_sizes[i][0] < size) {
		i++;
	}
	return queue_sizes[i];
}

void vm_fs_shape_of(struct vm_fs_shape *out, const struct vm_fs *fs)
{
	const uint32_t queues = htole32((uint32_t)fs->num_queues);

	memset(out, 0, sizeof(*out));
	out->shape = (struct vmm_dev_shape){
		.kind = "fs",
		.device_id = VMM_VIRTIO_ID_FS,
		.queue_count =
			1 + (unsigned)fs->num_queues, /* the first one is for urgent requests */
		.queue_sizes = sizes_of(fs->queue_size),
		.config_len = VM_FS_SPACE_LEN,
	};
	/* Padded with zeroes; one of full length has none. */
	memcpy(out->space, fs->tag, strlen(fs->tag));
	memcpy(out->space + VM_FS_TAG_MAX, &queues, sizeof(queues));
}

int vm_fs_connect(const struct vm_fs *fs, struct vmm_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = CONNECT_S};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0) {
		return vmm_error_set(err, -errno, "socket: %s", strerror(errno));
	}
	memcpy(addr.sun_path, fs->socket, strlen(fs->socket) + 1); /* its length was checked */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = -errno;
		(void)close(fd);
		return vmm_error_set(err, ret, "socket '%s': %s", fs->socket, strerror(-ret));
	}
	return fd;
}
