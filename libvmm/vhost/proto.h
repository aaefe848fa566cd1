/* SPDX-License-Identifier: MIT */
/*
 * vhost-user on the wire: numbers and structs, with the names of the specification (QEMU's
 * docs/interop/vhost-user.rst). Everything is in the byte order of the machine. Private to vhost/.
 */
#ifndef VMM_VHOST_PROTO_H
#define VMM_VHOST_PROTO_H

#include <stdint.h>

/* Feature bit 30 of GET_FEATURES: there are protocol features. No virtio device has that bit. */
#define VHOST_USER_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)

/* Protocol features. */
#define VHOST_USER_PROTOCOL_F_MQ                  (UINT64_C(1) << 0)
#define VHOST_USER_PROTOCOL_F_REPLY_ACK           (UINT64_C(1) << 3)
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ         (UINT64_C(1) << 5)
#define VHOST_USER_PROTOCOL_F_CONFIG              (UINT64_C(1) << 9)
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD      (UINT64_C(1) << 12)
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE        (UINT64_C(1) << 13)
#define VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS (UINT64_C(1) << 15)
#define VHOST_USER_PROTOCOL_F_STATUS              (UINT64_C(1) << 16)

#define VHOST_USER_PROTOCOL_F_SHMEM (UINT64_C(1) << 22)

/*
 * Shared memory regions as others say it or have said it. crosvm had numbers of its own until the
 * end of 2025 (and what has been made to work with it, patches for cloud-hypervisor among it, still
 * does), and then those of the specification, but for the feature bit, which moved twice while the
 * specification was not settled. Bits 20 and 21 mean other things today: they are taken only when
 * regions are expected, and a back end says nothing better.
 */
#define VHOST_USER_PROTOCOL_F_SHMEM_PRIVATE (UINT64_C(1) << 31)
#define VHOST_USER_PROTOCOL_F_SHMEM_2026    (UINT64_C(1) << 21)
#define VHOST_USER_PROTOCOL_F_SHMEM_2025    (UINT64_C(1) << 20)

/* What both sides of this library speak; a device with shared memory regions SHMEM as well. */
#define VHOST_PROTOCOL_FEATURES                                                      \
	(VHOST_USER_PROTOCOL_F_MQ | VHOST_USER_PROTOCOL_F_REPLY_ACK |                \
	 VHOST_USER_PROTOCOL_F_BACKEND_REQ | VHOST_USER_PROTOCOL_F_CONFIG |          \
	 VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD | VHOST_USER_PROTOCOL_F_RESET_DEVICE | \
	 VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS | VHOST_USER_PROTOCOL_F_STATUS)

/* Requests of the front end. */
#define VHOST_USER_GET_FEATURES          1u
#define VHOST_USER_SET_FEATURES          2u
#define VHOST_USER_SET_OWNER             3u
#define VHOST_USER_RESET_OWNER           4u
#define VHOST_USER_SET_MEM_TABLE         5u
#define VHOST_USER_SET_VRING_NUM         8u
#define VHOST_USER_SET_VRING_ADDR        9u
#define VHOST_USER_SET_VRING_BASE        10u
#define VHOST_USER_GET_VRING_BASE        11u
#define VHOST_USER_SET_VRING_KICK        12u
#define VHOST_USER_SET_VRING_CALL        13u
#define VHOST_USER_SET_VRING_ERR         14u
#define VHOST_USER_GET_PROTOCOL_FEATURES 15u
#define VHOST_USER_SET_PROTOCOL_FEATURES 16u
#define VHOST_USER_GET_QUEUE_NUM         17u
#define VHOST_USER_SET_VRING_ENABLE      18u
#define VHOST_USER_SET_BACKEND_REQ_FD    21u
#define VHOST_USER_GET_CONFIG            24u
#define VHOST_USER_SET_CONFIG            25u
#define VHOST_USER_GET_INFLIGHT_FD       31u
#define VHOST_USER_SET_INFLIGHT_FD       32u
#define VHOST_USER_RESET_DEVICE          34u
#define VHOST_USER_GET_MAX_MEM_SLOTS     36u
#define VHOST_USER_ADD_MEM_REG           37u
#define VHOST_USER_REM_MEM_REG           38u
#define VHOST_USER_SET_STATUS            39u
#define VHOST_USER_GET_STATUS            40u
#define VHOST_USER_GET_SHMEM_CONFIG      44u
#define VHOST_USER_GET_SHMEM_PRIVATE     1004u

/* Requests of the back end, on the channel of SET_BACKEND_REQ_FD. */
#define VHOST_USER_BACKEND_CONFIG_CHANGE_MSG 2u
#define VHOST_USER_BACKEND_SHMEM_MAP         9u
#define VHOST_USER_BACKEND_SHMEM_UNMAP       10u
/* These two are always answered, as if they wanted it. */
#define VHOST_USER_BACKEND_MAP_PRIVATE   1000u
#define VHOST_USER_BACKEND_UNMAP_PRIVATE 1001u

/* Header flags. */
#define VHOST_USER_VERSION      0x1u
#define VHOST_USER_VERSION_MASK 0x3u
#define VHOST_USER_REPLY        0x4u
#define VHOST_USER_NEED_REPLY   0x8u

/* The u64 of SET_VRING_KICK, CALL and ERR. */
#define VHOST_USER_VRING_IDX_MASK UINT64_C(0xff)
#define VHOST_USER_VRING_NOFD     (UINT64_C(1) << 8)

/* Flags of SET_CONFIG. */
#define VHOST_USER_CONFIG_WRITABLE  0u
#define VHOST_USER_CONFIG_MIGRATION 1u

#define VHOST_USER_MEM_REGIONS 8
#define VHOST_USER_CONFIG_SIZE 256
#define VHOST_USER_SHMEM_IDS   256
/* Regions that a back end may tell of in its own way. */
#define VHOST_USER_SHMEM_PRIVATE_MAX 8

/* Flags of SHMEM_MAP. */
#define VHOST_USER_SHMEM_RW UINT64_C(1)
/* Flags of MAP_PRIVATE. */
#define VHOST_USER_PRIVATE_READ  0x1u
#define VHOST_USER_PRIVATE_WRITE 0x2u

struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc; /* addresses of the front end's own address space */
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct vhost_user_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr; /* where the front end sees it */
	uint64_t mmap_offset;
};

struct vhost_user_mem_table {
	uint32_t count;
	uint32_t padding;
	struct vhost_user_region regions[VHOST_USER_MEM_REGIONS]; /* count of them are sent */
};

struct vhost_user_mem_reg {
	uint64_t padding;
	struct vhost_user_region region;
};

struct vhost_user_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t bytes[VHOST_USER_CONFIG_SIZE]; /* size of them are sent */
};

/* 20 bytes in the text of the specification, 24 (with the struct's padding) in QEMU. */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t queue_count;
	uint16_t queue_size;
	uint32_t padding;
};

/* How the record of one queue begins, in the memory that SET_INFLIGHT_FD hands over. */
struct vhost_user_inflight_queue {
	uint64_t features;
	uint16_t version; /* 0: nobody has used it yet */
};

/* GET_SHMEM_CONFIG: by id; 0 where there is no such region. Some send only the first ids. */
struct vhost_user_shmem_config {
	uint32_t count;
	uint32_t padding;
	uint64_t sizes[VHOST_USER_SHMEM_IDS];
};

struct vhost_user_shmem_private {
	uint64_t count;
	struct {
		uint8_t id;
		uint8_t padding[7];
		uint64_t len;
	} regions[VHOST_USER_SHMEM_PRIVATE_MAX]; /* count of them are sent */
};

/* SHMEM_MAP and SHMEM_UNMAP. */
struct vhost_user_mmap {
	uint8_t id;
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags;
};

struct vhost_user_map_private {
	uint8_t flags;
	uint8_t id;
	uint8_t padding[6];
	uint64_t shm_offset;
	uint64_t fd_offset;
	uint64_t len;
};

struct vhost_user_unmap_private {
	uint8_t id;
	uint8_t padding[7];
	uint64_t shm_offset;
	uint64_t len;
};

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table mem;
	struct vhost_user_mem_reg reg;
	struct vhost_user_config config;
	struct vhost_user_inflight inflight;
	struct vhost_user_shmem_config shmem;
	struct vhost_user_shmem_private shmem_private;
	struct vhost_user_mmap mmap;
	struct vhost_user_map_private map_private;
	struct vhost_user_unmap_private unmap_private;
};

_Static_assert(sizeof(struct vhost_user_header) == 12, "no padding");
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "no padding");
_Static_assert(sizeof(struct vhost_user_mem_table) == 8 + 8 * 32, "no padding");
_Static_assert(sizeof(struct vhost_user_mem_reg) == 40, "no padding");
_Static_assert(sizeof(struct vhost_user_config) == 12 + 256, "no padding");
_Static_assert(sizeof(struct vhost_user_inflight) == 24, "as QEMU's");
_Static_assert(sizeof(struct vhost_user_shmem_config) == 8 + 8 * 256, "no padding");
_Static_assert(sizeof(struct vhost_user_mmap) == 40, "no padding");
_Static_assert(sizeof(struct vhost_user_map_private) == 32, "no padding");
_Static_assert(sizeof(struct vhost_user_unmap_private) == 24, "no padding");

#endif
