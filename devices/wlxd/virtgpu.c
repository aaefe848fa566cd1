/* SPDX-License-Identifier: MIT */
#include "virtgpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtgpu_uapi.h"

#define CAPSET_CROSS_DOMAIN 5
#define CHANNEL_WAYLAND     1

#define NODE_FIRST 128
#define NODE_LAST  191

struct cross_domain_capset {
	uint32_t version;
	uint32_t channels; /* a bit for each type */
	uint32_t dmabuf, external_memory;
};

static int request(int fd, unsigned int number, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, number, arg);
	} while (ret != 0 && (errno == EINTR || errno == EAGAIN));
	return ret != 0 ? -errno : 0;
}

static bool has_param(int fd, uint64_t param, unsigned int mask)
{
	unsigned int value = 0;
	struct drm_virtgpu_getparam arg = {.param = param, .value = (uintptr_t)&value};

	return request(fd, DRM_IOCTL_VIRTGPU_GETPARAM, &arg) == 0 && (value & mask) != 0;
}

static bool is_virtio_gpu(int fd)
{
	char name[16] = "";
	struct drm_version version = {.name_len = sizeof(name) - 1, .name = name};

	return request(fd, DRM_IOCTL_VERSION, &version) == 0 && strcmp(name, "virtio_gpu") == 0;
}

/* Two devices of one VM, for scanouts and for contexts, look alike up to here. */
static bool has_wayland(int fd)
{
	struct cross_domain_capset capset = {0};
	struct drm_virtgpu_get_caps arg = {
		.cap_set_id = CAPSET_CROSS_DOMAIN,
		.addr = (uintptr_t)&capset,
		.size = sizeof(capset),
	};

	return has_param(fd, VIRTGPU_PARAM_RESOURCE_BLOB, 1) &&
	       has_param(fd, VIRTGPU_PARAM_HOST_VISIBLE, 1) &&
	       has_param(fd, VIRTGPU_PARAM_CONTEXT_INIT, 1) &&
	       has_param(fd, VIRTGPU_PARAM_SUPPORTED_CAPSET_IDS, 1u << CAPSET_CROSS_DOMAIN) &&
	       request(fd, DRM_IOCTL_VIRTGPU_GET_CAPS, &arg) == 0 &&
	       (capset.channels & 1u << CHANNEL_WAYLAND) != 0;
}

static int open_node(const char *path)
{
	/* An event that is not there yet must not be waited for. */
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		return -errno;
	}
	if (!is_virtio_gpu(fd) || !has_wayland(fd)) {
		(void)close(fd);
		return -ENODEV;
	}
	return fd;
}

int virtgpu_open(const char *path)
{
	char name[32];
	int best = -ENOENT;

	if (path) {
		return open_node(path);
	}
	for (int i = NODE_FIRST; i <= NODE_LAST; i++) {
		int fd;

		(void)snprintf(name, sizeof(name), "/dev/dri/renderD%d", i);
		fd = open_node(name);
		if (fd >= 0) {
			return fd;
		}
		if (fd != -ENOENT) {
			best = fd;
		}
	}
	return best;
}

int virtgpu_init(int fd)
{
	struct drm_virtgpu_context_set_param params[] = {
		{VIRTGPU_CONTEXT_PARAM_CAPSET_ID, CAPSET_CROSS_DOMAIN},
		{VIRTGPU_CONTEXT_PARAM_NUM_RINGS, 2},
		{VIRTGPU_CONTEXT_PARAM_POLL_RINGS_MASK, 1u << VIRTGPU_RING_CHANNEL},
	};
	struct drm_virtgpu_context_init arg = {.num_params = 3,
					       .ctx_set_params = (uintptr_t)params};

	return request(fd, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &arg);
}

static void close_handle(int fd, uint32_t handle)
{
	struct drm_gem_close arg = {.handle = handle};

	(void)request(fd, DRM_IOCTL_GEM_CLOSE, &arg);
}

/* All of it or none: parts of the host's memory cannot be mapped. */
static int map(int fd, struct virtgpu_memory *memory)
{
	struct drm_virtgpu_map arg = {.handle = memory->handle};
	int ret = request(fd, DRM_IOCTL_VIRTGPU_MAP, &arg);
	void *at;

	if (ret < 0) {
		return ret;
	}
	at = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)arg.offset);
	if (at == MAP_FAILED) {
		return -errno;
	}
	memory->map = at;
	return 0;
}

static int create(int fd, struct drm_virtgpu_resource_create_blob *arg,
		  struct virtgpu_memory *memory)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int ret;

	arg->size = (arg->size + page - 1) / page * page;
	ret = request(fd, DRM_IOCTL_VIRTGPU_CREATE_BLOB, arg);
	if (ret < 0) {
		return ret;
	}
	*memory = (struct virtgpu_memory){
		.size = arg->size, .handle = arg->bo_handle, .resource = arg->res_handle};
	ret = map(fd, memory);
	if (ret < 0) {
		close_handle(fd, memory->handle);
	}
	return ret;
}

int virtgpu_guest_memory(int fd, struct virtgpu_memory *memory)
{
	struct drm_virtgpu_resource_create_blob arg = {
		.blob_mem = VIRTGPU_BLOB_MEM_GUEST,
		.blob_flags = VIRTGPU_BLOB_FLAG_MAPPABLE,
		.size = 1,
	};

	return create(fd, &arg, memory);
}

int virtgpu_host_memory(int fd, uint64_t blob_id, uint64_t size, struct virtgpu_memory *memory)
{
	struct drm_virtgpu_resource_create_blob arg = {
		.blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
		.blob_flags = VIRTGPU_BLOB_FLAG_MAPPABLE | VIRTGPU_BLOB_FLAG_SHAREABLE,
		.size = size,
		.blob_id = blob_id,
	};

	return create(fd, &arg, memory);
}

void virtgpu_memory_free(int fd, struct virtgpu_memory *memory)
{
	if (memory->map) {
		(void)munmap(memory->map, memory->size);
		close_handle(fd, memory->handle);
		memory->map = NULL;
	}
}

int virtgpu_submit(int fd, const void *command, size_t size, uint32_t ring, uint32_t handle)
{
	struct drm_virtgpu_execbuffer arg = {
		.size = (uint32_t)size,
		.command = (uintptr_t)command,
		.bo_handles = (uintptr_t)&handle,
		.num_bo_handles = handle ? 1 : 0,
		.fence_fd = -1,
	};

	if (ring != VIRTGPU_RING_NONE) {
		arg.flags = VIRTGPU_EXECBUF_RING_IDX;
		arg.ring_idx = ring;
	}
	return request(fd, DRM_IOCTL_VIRTGPU_EXECBUFFER, &arg);
}

int virtgpu_wait(int fd, uint32_t handle)
{
	struct drm_virtgpu_3d_wait arg = {.handle = handle};

	return request(fd, DRM_IOCTL_VIRTGPU_WAIT, &arg);
}

int virtgpu_events(int fd)
{
	struct drm_event events[32];
	ssize_t got = read(fd, events, sizeof(events));
	const char *at = (const char *)events;
	int count = 0;

	if (got < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	while (got >= (ssize_t)sizeof(events[0])) {
		struct drm_event event;

		memcpy(&event, at, sizeof(event));
		if (event.length < sizeof(event) || (ssize_t)event.length > got) {
			return -EPROTO;
		}
		count += event.type == VIRTGPU_EVENT_FENCE_SIGNALED;
		at += event.length;
		got -= (ssize_t)event.length;
	}
	return count;
}
