/* SPDX-License-Identifier: MIT */
/*
 * What virtio-gpu driver and device say to each other (VIRTIO 1.3 section 5.7), little-endian like
 * the hosts we run on. Requests are written down without the header that each begins with, answers
 * with it.
 */
#ifndef VMM_DEVICES_GPU_PROTO_H
#define VMM_DEVICES_GPU_PROTO_H

#include <stddef.h>
#include <stdint.h>

#define F_VIRGL         (UINT64_C(1) << 0)
#define F_EDID          (UINT64_C(1) << 1)
#define F_RESOURCE_UUID (UINT64_C(1) << 2)
#define F_RESOURCE_BLOB (UINT64_C(1) << 3)
#define F_CONTEXT_INIT  (UINT64_C(1) << 4)

#define CONFIG_EVENTS_READ_AT  0u
#define CONFIG_EVENTS_CLEAR_AT 4u
#define CONFIG_SCANOUTS_AT     8u
#define CONFIG_CAPSETS_AT      12u
#define CONFIG_LEN             16u

#define EVENT_DISPLAY 1u

enum {
	CMD_GET_DISPLAY_INFO = 0x100,
	CMD_RESOURCE_CREATE_2D = 0x101,
	CMD_RESOURCE_UNREF = 0x102,
	CMD_SET_SCANOUT = 0x103,
	CMD_RESOURCE_FLUSH = 0x104,
	CMD_TRANSFER_TO_HOST_2D = 0x105,
	CMD_ATTACH_BACKING = 0x106,
	CMD_DETACH_BACKING = 0x107,
	CMD_GET_CAPSET_INFO = 0x108,
	CMD_GET_CAPSET = 0x109,
	CMD_GET_EDID = 0x10a,
	CMD_RESOURCE_ASSIGN_UUID = 0x10b,
	CMD_RESOURCE_CREATE_BLOB = 0x10c,
	CMD_SET_SCANOUT_BLOB = 0x10d,

	CMD_CTX_CREATE = 0x200,
	CMD_CTX_DESTROY = 0x201,
	CMD_CTX_ATTACH_RESOURCE = 0x202,
	CMD_CTX_DETACH_RESOURCE = 0x203,
	CMD_RESOURCE_CREATE_3D = 0x204,
	CMD_TRANSFER_TO_HOST_3D = 0x205,
	CMD_TRANSFER_FROM_HOST_3D = 0x206,
	CMD_SUBMIT_3D = 0x207,
	CMD_MAP_BLOB = 0x208,
	CMD_UNMAP_BLOB = 0x209,

	CMD_UPDATE_CURSOR = 0x300,
	CMD_MOVE_CURSOR = 0x301,

	RESP_OK_NODATA = 0x1100,
	RESP_OK_DISPLAY_INFO = 0x1101,
	RESP_OK_CAPSET_INFO = 0x1102,
	RESP_OK_CAPSET = 0x1103,
	RESP_OK_EDID = 0x1104,
	RESP_OK_RESOURCE_UUID = 0x1105,
	RESP_OK_MAP_INFO = 0x1106,

	RESP_ERR_UNSPEC = 0x1200,
	RESP_ERR_OUT_OF_MEMORY = 0x1201,
	RESP_ERR_INVALID_SCANOUT_ID = 0x1202,
	RESP_ERR_INVALID_RESOURCE_ID = 0x1203,
	RESP_ERR_INVALID_CONTEXT_ID = 0x1204,
	RESP_ERR_INVALID_PARAMETER = 0x1205,
};

#define FLAG_FENCE         1u
#define FLAG_INFO_RING_IDX 2u

struct gpu_header {
	uint32_t type;
	uint32_t flags;
	uint64_t fence_id;
	uint32_t ctx_id;
	uint8_t ring_idx;
	uint8_t padding[3];
};

struct gpu_rect {
	uint32_t x;
	uint32_t y;
	uint32_t width;
	uint32_t height;
};

#define GPU_SCANOUTS 16u

struct gpu_display_info {
	struct gpu_header header;
	struct {
		struct gpu_rect rect;
		uint32_t enabled;
		uint32_t flags;
	} modes[GPU_SCANOUTS];
};

struct gpu_create_2d {
	uint32_t resource_id;
	uint32_t format;
	uint32_t width;
	uint32_t height;
};

/* UNREF, DETACH_BACKING, ASSIGN_UUID, CTX_ATTACH/DETACH_RESOURCE, UNMAP_BLOB */
struct gpu_resource_id {
	uint32_t resource_id;
	uint32_t padding;
};

struct gpu_set_scanout {
	struct gpu_rect rect;
	uint32_t scanout_id;
	uint32_t resource_id; /* 0: off */
};

struct gpu_set_scanout_blob {
	struct gpu_rect rect;
	uint32_t scanout_id;
	uint32_t resource_id;
	uint32_t width;
	uint32_t height;
	uint32_t format;
	uint32_t padding;
	uint32_t strides[4];
	uint32_t offsets[4];
};

struct gpu_flush {
	struct gpu_rect rect;
	uint32_t resource_id;
	uint32_t padding;
};

struct gpu_transfer_2d {
	struct gpu_rect rect;
	uint64_t offset;
	uint32_t resource_id;
	uint32_t padding;
};

struct gpu_attach_backing {
	uint32_t resource_id;
	uint32_t count; /* of struct gpu_mem_entry behind it */
};

struct gpu_mem_entry {
	uint64_t addr;
	uint32_t length;
	uint32_t padding;
};

struct gpu_get_edid {
	uint32_t scanout_id;
	uint32_t padding;
};

struct gpu_edid {
	struct gpu_header header;
	uint32_t size;
	uint32_t padding;
	uint8_t edid[1024];
};

struct gpu_cursor {
	uint32_t scanout_id;
	uint32_t x;
	uint32_t y;
	uint32_t padding;
	uint32_t resource_id; /* 0: none */
	uint32_t hot_x;
	uint32_t hot_y;
	uint32_t padding2;
};

_Static_assert(sizeof(struct gpu_header) == 24, "section 5.7.6.7");
_Static_assert(sizeof(struct gpu_display_info) == 408, "section 5.7.6.8");
_Static_assert(sizeof(struct gpu_set_scanout_blob) == 72, "section 5.7.6.8");
_Static_assert(sizeof(struct gpu_edid) == 1056, "section 5.7.6.8");
_Static_assert(sizeof(struct gpu_cursor) == 32, "section 5.7.6.10");

#endif
