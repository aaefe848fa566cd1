/* SPDX-License-Identifier: MIT */
/*
 * Somebody else's back end may offer whatever its own front end knows. Here a device has as many
 * queues and bytes of configuration as this file says, so that features that need more, such as
 * several queues or a control queue, are left out.
 */
#include "vm/foreign.h"

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

#define BIT(n) (UINT64_C(1) << (n))

/* VIRTIO 1.2, section 5.2.3: SIZE_MAX, SEG_MAX, GEOMETRY, RO, BLK_SIZE, FLUSH, TOPOLOGY,
 * CONFIG_WCE, DISCARD, WRITE_ZEROES. */
#define BLK_FEATURES                                                                         \
	(BIT(1) | BIT(2) | BIT(4) | BIT(5) | BIT(6) | BIT(9) | BIT(10) | BIT(11) | BIT(13) | \
	 BIT(14))

/* Section 5.1.3: CSUM, GUEST_CSUM, all kinds of TSO, ECN and UFO, MRG_RXBUF. */
#define NET_FEATURES \
	(BIT(0) | BIT(1) | (BIT(15) - BIT(7)) | BIT(15) | NET_F_MTU | NET_F_MAC | BIT(16))
#define NET_F_MTU      BIT(3)
#define NET_F_MAC      BIT(5)
#define NET_CONFIG_LEN 12
#define NET_QUEUES     2 /* receive, transmit */
#define NET_LINK_UP    1

/* Section 5.11: all but NOTIFICATION, which has a queue of its own. */
#define FS_FEATURES   (~BIT(0))
#define FS_CONFIG_LEN 40

/* Section 5.7: contexts, blobs and all that they need; a back end without screens has no EDID. */
#define GPU_FEATURES     (BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4))
#define GPU_CONFIG_LEN   16
#define GPU_QUEUES       2 /* control, cursor */
#define GPU_CONTROL_SIZE 256
#define GPU_CURSOR_SIZE  16

static void init(struct vm_foreign *f, const char *socket, const char *kind, unsigned queue_count,
		 uint64_t queue_size)
{
	memset(f, 0, sizeof(*f));
	f->socket = socket;
	for (unsigned i = 0; i < queue_count; i++) {
		f->queue_sizes[i] = (uint16_t)queue_size;
	}
	f->shape.kind = kind;
	f->shape.queue_count = queue_count;
	f->shape.queue_sizes = f->queue_sizes;
}

static void put_le(uint8_t *out, uint64_t value, size_t len)
{
	value = htole64(value);
	memcpy(out, &value, len);
}

void vm_foreign_disk(struct vm_foreign *f, const struct vm_disk *disk)
{
	init(f, disk->vhost_socket, "blk", 1, disk->queue_size);
	f->shape.device_id = VMM_VIRTIO_ID_BLOCK;
	f->shape.config_len = vmm_dev_shape_find("blk")->config_len;
	f->features = BLK_FEATURES;
}

/* A back end with a configuration has an address of its own as well. */
void vm_foreign_net(struct vm_foreign *f, const struct vm_net *net)
{
	init(f, net->vhost_socket, "net", NET_QUEUES, vmm_dev_shape_find("net")->queue_sizes[0]);
	f->shape.device_id = VMM_VIRTIO_ID_NET;
	f->shape.config_len = NET_CONFIG_LEN;
	f->features = NET_FEATURES;
	f->own_features = NET_F_MAC | (net->mtu > 0 ? NET_F_MTU : 0);
	memcpy(f->space, net->mac, sizeof(net->mac));
	put_le(f->space + 6, NET_LINK_UP, 2);
	put_le(f->space + 10, net->mtu, 2);
}

void vm_foreign_fs(struct vm_foreign *f, const struct vm_fs *fs)
{
	init(f, fs->socket, "fs", (unsigned)fs->num_queues + 1, fs->queue_size);
	f->shape.device_id = VMM_VIRTIO_ID_FS;
	f->shape.config_len = FS_CONFIG_LEN;
	f->features = FS_FEATURES;
	/* Padded with zeroes, and not ended by one that would not fit. */
	memcpy(f->space, fs->tag, strlen(fs->tag));
	put_le(f->space + VM_FS_TAG_MAX, fs->num_queues, 4);
}

void vm_foreign_gpu(struct vm_foreign *f, const struct vm_gpu *gpu)
{
	init(f, gpu->socket, "gpu", GPU_QUEUES, GPU_CONTROL_SIZE);
	f->queue_sizes[1] = GPU_CURSOR_SIZE;
	f->shape.device_id = VMM_VIRTIO_ID_GPU;
	f->shape.config_len = GPU_CONFIG_LEN;
	f->features = GPU_FEATURES;
}

int vm_foreign_connect(const struct vm_foreign *f, struct vmm_error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timeval limit = {.tv_sec = CONNECT_S};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret;

	if (fd < 0) {
		return vmm_error_set(err, -errno, "socket: %s", strerror(errno));
	}
	memcpy(addr.sun_path, f->socket, strlen(f->socket) + 1); /* its length was checked */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = -errno;
		(void)close(fd);
		return vmm_error_set(err, ret, "socket '%s': %s", f->socket, strerror(-ret));
	}
	return fd;
}
