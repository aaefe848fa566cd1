/* SPDX-License-Identifier: MIT */
/* Contexts and objects of the graphics device. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe.h"
#include "virtgpu.h"

int device_open(void)
{
	const char *path = "/dev/dri/renderD128";
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		fail("%s: %s", path, strerror(errno));
	}
	return fd;
}

/* -1 where the kernel does not know the parameter. */
int device_param(int fd, uint64_t param)
{
	int value = 0;
	struct virtgpu_getparam get = {.param = param, .value = (uintptr_t)&value};

	return ioctl(fd, VIRTGPU_GETPARAM, &get) == 0 ? value : -1;
}

void context_open(struct context *context)
{
	struct virtgpu_set_param params[] = {
		{CONTEXT_CAPSET_ID, CAPSET_CROSS_DOMAIN},
		{CONTEXT_NUM_RINGS, 2},
		{CONTEXT_POLL_RINGS, 1U << 1},
	};
	struct virtgpu_context_init init = {.num_params = 3, .ctx_set_params = (uintptr_t)params};

	memset(context, 0, sizeof(*context));
	context->fd = device_open();
	if (ioctl(context->fd, VIRTGPU_CONTEXT_INIT, &init) != 0) {
		fail("no cross-domain context: %s", strerror(errno));
	}
}

void context_close(struct context *context)
{
	blob_unmap(&context->query);
	blob_unmap(&context->ring);
	close(context->fd);
}

bool blob_try(int fd, struct blob *blob, uint32_t mem, uint32_t flags, uint64_t size, uint64_t id)
{
	struct virtgpu_create_blob create = {
		.blob_mem = mem, .blob_flags = flags, .size = size, .blob_id = id};

	memset(blob, 0, sizeof(*blob));
	if (ioctl(fd, VIRTGPU_CREATE_BLOB, &create) != 0) {
		return false;
	}
	blob->handle = create.bo_handle;
	blob->resource = create.res_handle;
	blob->size = size;
	return true;
}

bool blob_map(int fd, struct blob *blob)
{
	struct virtgpu_map map = {.handle = blob->handle};
	void *at;

	if (ioctl(fd, VIRTGPU_MAP, &map) != 0) {
		return false;
	}
	at = mmap(NULL, blob->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map.offset);
	if (at == MAP_FAILED) {
		return false;
	}
	blob->map = at;
	return true;
}

void blob_unmap(struct blob *blob)
{
	if (blob->map != NULL) {
		munmap(blob->map, blob->size);
		blob->map = NULL;
	}
}

void blob_close(int fd, struct blob *blob)
{
	struct drm_gem_close gone = {.handle = blob->handle};

	blob_unmap(blob);
	if (ioctl(fd, DRM_IOCTL_GEM_CLOSE, &gone) != 0) {
		fail("an object cannot be closed: %s", strerror(errno));
	}
}

bool submit(int fd, const void *commands, size_t size, const struct blob *wait, int ring)
{
	uint32_t handle = wait != NULL ? wait->handle : 0;
	struct virtgpu_execbuffer exec = {
		.flags = EXECBUF_RING_IDX,
		.size = (uint32_t)size,
		.command = (uintptr_t)commands,
		.ring_idx = (uint32_t)ring,
		.fence_fd = -1,
	};
	struct virtgpu_wait until = {.handle = handle};

	if (wait != NULL) {
		exec.bo_handles = (uintptr_t)&handle;
		exec.num_bo_handles = 1;
	}
	if (ioctl(fd, VIRTGPU_EXECBUFFER, &exec) != 0) {
		return false;
	}
	return wait == NULL || ioctl(fd, VIRTGPU_WAIT, &until) == 0;
}
