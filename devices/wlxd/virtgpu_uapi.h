/* SPDX-License-Identifier: MIT */
/*
 * What is used of the kernel's interface to virtio-gpu (include/uapi/drm/drm.h and virtgpu_drm.h in
 * Linux), as some packages of kernel headers leave that folder out. Structures may be shorter than
 * the kernel's: it takes what is missing as zero.
 */
#ifndef WLXD_VIRTGPU_UAPI_H
#define WLXD_VIRTGPU_UAPI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct drm_version {
	int major, minor, patchlevel;
	size_t name_len;
	char *name;
	size_t date_len;
	char *date;
	size_t desc_len;
	char *desc;
};

struct drm_gem_close {
	uint32_t handle, pad;
};

struct drm_event {
	uint32_t type, length;
};

struct drm_virtgpu_map {
	uint64_t offset; /* for mmap */
	uint32_t handle, pad;
};

struct drm_virtgpu_execbuffer {
	uint32_t flags;
	uint32_t size;
	uint64_t command;
	uint64_t bo_handles;
	uint32_t num_bo_handles;
	int32_t fence_fd;
	uint32_t ring_idx, pad;
};

struct drm_virtgpu_getparam {
	uint64_t param;
	uint64_t value; /* where the answer, an int, is to be written */
};

struct drm_virtgpu_3d_wait {
	uint32_t handle, flags;
};

struct drm_virtgpu_get_caps {
	uint32_t cap_set_id, cap_set_ver;
	uint64_t addr;
	uint32_t size, pad;
};

struct drm_virtgpu_resource_create_blob {
	uint32_t blob_mem, blob_flags;
	uint32_t bo_handle, res_handle; /* answers */
	uint64_t size;
	uint32_t pad, cmd_size;
	uint64_t cmd;
	uint64_t blob_id;
};

struct drm_virtgpu_context_set_param {
	uint64_t param, value;
};

struct drm_virtgpu_context_init {
	uint32_t num_params, pad;
	uint64_t ctx_set_params;
};

#define DRM_IOCTL_VERSION   _IOWR('d', 0x00, struct drm_version)
#define DRM_IOCTL_GEM_CLOSE _IOW('d', 0x09, struct drm_gem_close)

#define DRM_IOCTL_VIRTGPU_MAP          _IOWR('d', 0x41, struct drm_virtgpu_map)
#define DRM_IOCTL_VIRTGPU_EXECBUFFER   _IOWR('d', 0x42, struct drm_virtgpu_execbuffer)
#define DRM_IOCTL_VIRTGPU_GETPARAM     _IOWR('d', 0x43, struct drm_virtgpu_getparam)
#define DRM_IOCTL_VIRTGPU_WAIT         _IOWR('d', 0x48, struct drm_virtgpu_3d_wait)
#define DRM_IOCTL_VIRTGPU_GET_CAPS     _IOWR('d', 0x49, struct drm_virtgpu_get_caps)
#define DRM_IOCTL_VIRTGPU_CREATE_BLOB  _IOWR('d', 0x4a, struct drm_virtgpu_resource_create_blob)
#define DRM_IOCTL_VIRTGPU_CONTEXT_INIT _IOWR('d', 0x4b, struct drm_virtgpu_context_init)

#define VIRTGPU_EXECBUF_RING_IDX 0x04u

#define VIRTGPU_PARAM_RESOURCE_BLOB        3
#define VIRTGPU_PARAM_HOST_VISIBLE         4
#define VIRTGPU_PARAM_CONTEXT_INIT         6
#define VIRTGPU_PARAM_SUPPORTED_CAPSET_IDS 7

#define VIRTGPU_BLOB_MEM_GUEST      1u
#define VIRTGPU_BLOB_MEM_HOST3D     2u
#define VIRTGPU_BLOB_FLAG_MAPPABLE  1u
#define VIRTGPU_BLOB_FLAG_SHAREABLE 2u

#define VIRTGPU_CONTEXT_PARAM_CAPSET_ID       1
#define VIRTGPU_CONTEXT_PARAM_NUM_RINGS       2
#define VIRTGPU_CONTEXT_PARAM_POLL_RINGS_MASK 3

#define VIRTGPU_EVENT_FENCE_SIGNALED UINT32_C(0x90000000)

#endif
