/* SPDX-License-Identifier: MIT */
/*
 * Commands of a cross-domain context, and what the host writes into its rings: mailboxes of a page,
 * with one message at a time at the front.
 */
#ifndef WLXD_CROSS_DOMAIN_H
#define WLXD_CROSS_DOMAIN_H

#include <stdint.h>

#define CROSS_DOMAIN_INIT      1u
#define CROSS_DOMAIN_GET_IMAGE 2u
#define CROSS_DOMAIN_POLL      3u
#define CROSS_DOMAIN_SEND      4u
#define CROSS_DOMAIN_RECEIVE   5u
#define CROSS_DOMAIN_READ      6u
#define CROSS_DOMAIN_WRITE     7u
#define CROSS_DOMAIN_WAYLAND   1u /* a channel's type */
#define CROSS_DOMAIN_PAGE      4096u
#define CROSS_DOMAIN_IDS       28u
#define CROSS_DOMAIN_ID_BLOB   1u
#define CROSS_DOMAIN_ID_READ   3u /* a pipe that the guest reads */
#define CROSS_DOMAIN_ID_WRITE  4u

struct cross_domain_header {
	uint8_t cmd, ring_idx;
	uint16_t cmd_size; /* with the header */
	uint32_t pad;
};

struct cross_domain_init {
	struct cross_domain_header header;
	uint32_t query_ring, channel_ring, channel_type;
};

struct cross_domain_get_image {
	struct cross_domain_header header;
	uint32_t width, height, format, flags;
};

/* The answer, at the front of the query ring. */
struct cross_domain_image {
	uint32_t strides[4], offsets[4];
	uint64_t modifier, size;
	uint32_t blob_id, map_info, memory, type;
};

struct cross_domain_poll {
	struct cross_domain_header header;
	uint64_t pad;
};

#define CROSS_DOMAIN_DATA_MAX 3744u

/* SEND and RECEIVE. */
struct cross_domain_message {
	struct cross_domain_header header;
	uint32_t count, size;
	uint32_t ids[CROSS_DOMAIN_IDS], types[CROSS_DOMAIN_IDS], sizes[CROSS_DOMAIN_IDS];
	uint8_t data[CROSS_DOMAIN_DATA_MAX];
};

#define CROSS_DOMAIN_PIPE_MAX 4072u

/* READ and WRITE. */
struct cross_domain_pipe {
	struct cross_domain_header header;
	uint32_t id, hang_up, size, pad;
	uint8_t data[CROSS_DOMAIN_PIPE_MAX];
};

/* Whatever is in the channel's ring. */
union cross_domain_any {
	struct cross_domain_header header;
	struct cross_domain_message message;
	struct cross_domain_pipe pipe;
	uint8_t page[CROSS_DOMAIN_PAGE];
};

#endif
