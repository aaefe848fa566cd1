/* SPDX-License-Identifier: MIT */
/*
 * Private to virtio-gpu: what a guest's Wayland proxy and a cross-domain context say to each other.
 * A guest's commands follow one another in the payload of SUBMIT_3D; the host's messages lie at the
 * start of a page of the guest's, the channel ring, one at a time. Little-endian like the hosts we
 * run on.
 */
#ifndef VMM_DEVICES_GPU_XDOMAIN_H
#define VMM_DEVICES_GPU_XDOMAIN_H

#include <stddef.h>
#include <stdint.h>

#define XD_CAPSET_ID 5u

enum {
	XD_INIT = 1,
	XD_GET_IMAGE = 2, /* "image requirements": how much memory a picture needs */
	XD_POLL = 3,
	XD_SEND = 4,
	XD_RECEIVE = 5, /* from the host only, as is READ */
	XD_READ = 6,
	XD_WRITE = 7,
};

enum {
	XD_CHANNEL_NONE = 0,
	XD_CHANNEL_WAYLAND = 1,
};

/* What an identifier beside SEND's or RECEIVE's bytes names. */
enum {
	XD_ID_BLOB = 1, /* to the host a resource, to the guest an item to make a blob from */
	XD_ID_READ_PIPE = 3,
	XD_ID_WRITE_PIPE = 4,
};

#define XD_IDS_MAX         28u /* as many as libwayland's messages can have */
#define XD_READ_PIPE_START 0x80000000u
#define XD_FIRST_ITEM      2u
#define XD_RING_SIZE       4096u /* a ring is used for at most so much, however long it is */

/* The fence of a command on this ring is a POLL: it is held back until there is a message. */
#define XD_RING_CHANNEL 1u

/* The context's capabilities. */
struct xd_capset {
	uint32_t version;
	uint32_t channels; /* bit n: channel type n */
	uint32_t dmabuf;
	uint32_t external_memory;
};

struct xd_header {
	uint8_t cmd;
	uint8_t ring; /* means nothing: some proxies leave 0xff there */
	uint16_t size;
	uint32_t pad;
};

/* Longer ones are in use, with fields behind these that do not matter here. */
struct xd_init {
	struct xd_header h;
	uint32_t query_ring;
	uint32_t channel_ring;
	uint32_t channel_type;
};

/* Of old proxies: one ring for both. */
struct xd_init_short {
	struct xd_header h;
	uint32_t ring;
	uint32_t channel_type;
};

struct xd_get_image {
	struct xd_header h;
	uint32_t width;
	uint32_t height;
	uint32_t fourcc;
	uint32_t flags;
};

/* The answer, in the query ring. */
struct xd_image {
	uint32_t strides[4];
	uint32_t offsets[4];
	uint64_t modifier;
	uint64_t size;
	uint32_t blob_id;
	uint32_t map_info;
	int32_t memory;
	int32_t physical_device;
};

struct xd_send {
	struct xd_header h;
	uint32_t ids;
	uint32_t len; /* of the bytes that follow the struct */
	uint32_t id[XD_IDS_MAX];
	uint32_t type[XD_IDS_MAX];
	uint32_t id_size[XD_IDS_MAX]; /* to the guest only */
};

struct xd_write {
	struct xd_header h;
	uint32_t id;
	uint32_t hang_up;
	uint32_t len;
	uint32_t pad;
};

_Static_assert(sizeof(struct xd_capset) == 16, "as the guest's proxies read it");
_Static_assert(sizeof(struct xd_header) == 8, "as the guest's proxies write it");
_Static_assert(sizeof(struct xd_init) == 20, "as the guest's proxies write it");
_Static_assert(sizeof(struct xd_init_short) == 16, "as the guest's proxies write it");
_Static_assert(sizeof(struct xd_get_image) == 24, "as the guest's proxies write it");
_Static_assert(sizeof(struct xd_image) == 64, "as the guest's proxies read it");
_Static_assert(sizeof(struct xd_send) == 352, "as the guest's proxies read and write it");
_Static_assert(sizeof(struct xd_write) == 24, "as the guest's proxies read and write it");

#define XD_RECEIVE_MAX (XD_RING_SIZE - sizeof(struct xd_send))
#define XD_READ_MAX    (XD_RING_SIZE - sizeof(struct xd_write))

#endif
