/* SPDX-License-Identifier: MIT */
#ifndef TESTS_GPU_GUEST_VIRTGPU_H
#define TESTS_GPU_GUEST_VIRTGPU_H

/*
 * What the test program uses of the kernel's DRM interface. Debian 12 packages these headers with
 * libdrm only, and of a kernel that had no blobs yet, so the few that are needed are here. The
 * numbers are the kernel's ABI.
 */
#include <stdint.h>
#include <sys/ioctl.h>

struct drm_gem_close {
	uint32_t handle;
	uint32_t pad;
};

struct virtgpu_map {
	uint64_t offset; /* answer: where to mmap the device file */
	uint32_t handle;
	uint32_t pad;
};

struct virtgpu_execbuffer {
	uint32_t flags;
	uint32_t size;
	uint64_t command;
	uint64_t bo_handles;
	uint32_t num_bo_handles;
	int32_t fence_fd;
	uint32_t ring_idx;
	uint32_t syncobj_stride;
	uint32_t num_in_syncobjs;
	uint32_t num_out_syncobjs;
	uint64_t in_syncobjs;
	uint64_t out_syncobjs;
};

struct virtgpu_getparam {
	uint64_t param;
	uint64_t value; /* address of an int */
};

struct virtgpu_resource_create {
	uint32_t target, format, bind, width, height, depth, array_size, last_level, nr_samples,
		flags;
	uint32_t bo_handle, res_handle, size, stride;
};

struct virtgpu_wait {
	uint32_t handle;
	uint32_t flags;
};

struct virtgpu_get_caps {
	uint32_t cap_set_id;
	uint32_t cap_set_ver;
	uint64_t addr;
	uint32_t size;
	uint32_t pad;
};

struct virtgpu_create_blob {
	uint32_t blob_mem;
	uint32_t blob_flags;
	uint32_t bo_handle;
	uint32_t res_handle;
	uint64_t size;
	uint32_t pad;
	uint32_t cmd_size;
	uint64_t cmd;
	uint64_t blob_id;
};

struct virtgpu_set_param {
	uint64_t param;
	uint64_t value;
};

struct virtgpu_context_init {
	uint32_t num_params;
	uint32_t pad;
	uint64_t ctx_set_params;
};

struct drm_event {
	uint32_t type;
	uint32_t length;
};

#define DRM_IOCTL_GEM_CLOSE     _IOW('d', 0x09, struct drm_gem_close)
#define VIRTGPU_IOCTL(n, type)  _IOWR('d', 0x40 + (n), type)
#define VIRTGPU_MAP             VIRTGPU_IOCTL(0x01, struct virtgpu_map)
#define VIRTGPU_EXECBUFFER      VIRTGPU_IOCTL(0x02, struct virtgpu_execbuffer)
#define VIRTGPU_GETPARAM        VIRTGPU_IOCTL(0x03, struct virtgpu_getparam)
#define VIRTGPU_RESOURCE_CREATE VIRTGPU_IOCTL(0x04, struct virtgpu_resource_create)
#define VIRTGPU_WAIT            VIRTGPU_IOCTL(0x08, struct virtgpu_wait)
#define VIRTGPU_GET_CAPS        VIRTGPU_IOCTL(0x09, struct virtgpu_get_caps)
#define VIRTGPU_CREATE_BLOB     VIRTGPU_IOCTL(0x0a, struct virtgpu_create_blob)
#define VIRTGPU_CONTEXT_INIT    VIRTGPU_IOCTL(0x0b, struct virtgpu_context_init)

enum {
	PARAM_3D_FEATURES = 1,
	PARAM_CAPSET_FIX = 2,
	PARAM_BLOB = 3,
	PARAM_HOST_VISIBLE = 4,
	PARAM_CROSS_DEVICE = 5,
	PARAM_CONTEXT_INIT = 6,
	PARAM_CAPSETS = 7,

	EXECBUF_RING_IDX = 4,

	BLOB_GUEST = 1,
	BLOB_HOST3D = 2,
	BLOB_MAPPABLE = 1,
	BLOB_SHAREABLE = 2,

	CONTEXT_CAPSET_ID = 1,
	CONTEXT_NUM_RINGS = 2,
	CONTEXT_POLL_RINGS = 3,

	CAPSET_CROSS_DOMAIN = 5,
};

#endif
