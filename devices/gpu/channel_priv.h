/* SPDX-License-Identifier: MIT */
/* Private to the channel: channel.c (its life, messages to the guest), command.c (the guest's
 * commands), stream.c (through the filter), items.c, pipes.c. */
#ifndef VMM_DEVICES_GPU_CHANNEL_PRIV_H
#define VMM_DEVICES_GPU_CHANNEL_PRIV_H

#include "gpu/channel.h"
#include "gpu/sendq.h"
#include "gpu/xdomain.h"

/* What the guest can make a blob of. */
struct item {
	uint32_t id;
	int fd;          /* of a file, else -1 */
	uint64_t size;   /* bytes that a blob of it may have, whole pages */
	uint32_t width;  /* of a template, as are the next two */
	uint32_t height; /* 0 for a file */
	uint32_t fourcc;
};

struct items {
	struct item *list;
	unsigned count;
	unsigned size;
	uint32_t last_id; /* shared with write pipes */
};

/* Something to read from. */
struct watch {
	int fd;
	struct vmm_source *source;
	uint32_t events; /* what it waits for now */
	/* There may be something: look. Otherwise it is watched. */
	bool ready;
};

struct pipe {
	struct gpu_channel *ch;
	struct pipe *next;
	uint32_t id;
	bool is_read; /* the guest reads */
	bool ending;  /* write: the guest has closed its end, the rest goes out */
	bool dead;    /* write: nobody reads */
	struct watch watch;
	struct sendq out;
};

/* Bytes of one side on their way to the other, through the filter. */
struct stream {
	struct sendq to;
	/* Descriptors that came and wait for their message, and those that come next. */
	int fds[2 * XD_IDS_MAX];
	unsigned fd_count;
};

enum channel_state {
	CHANNEL_NONE,       /* no INIT yet, or one without a channel */
	CHANNEL_CONNECTING, /* what the guest sends waits */
	CHANNEL_OPEN,
	CHANNEL_ENDING, /* the guest has not been told */
	CHANNEL_ENDED,  /* it has, or cannot be */
};

struct gpu_channel {
	struct gpu_channel_config config;
	enum channel_state state;
	bool initialised;
	uint32_t query_ring;
	uint32_t channel_ring;
	struct vmm_wl_filter *filter; /* NULL: none */
	struct watch socket;          /* fd -1: none */
	struct stream requests;       /* to the compositor */
	struct stream events;         /* to the guest */
	struct sendq_budget budget;   /* of requests and pipes */
	struct sendq_budget events_budget;
	bool pipes_first; /* whose turn it is */

	struct items items;
	struct pipe *pipes; /* of both kinds, the one whose turn it is first */
	unsigned pipe_count;
	uint32_t read_pipes; /* made so far: the guest counts, too */

	uint64_t parked[GPU_PARKED_MAX];
	unsigned parked_first;
	unsigned parked_count;

	/* A message for the guest. */
	union {
		struct xd_send receive;
		struct xd_write read;
		uint8_t bytes[XD_RING_SIZE];
	} message;
	uint8_t filtered[VMM_WL_OUT_MIN];
};

/* ---- channel.c ---- */

/* Gives the guest what there is, as far as it has asked. The end of whatever changed something. */
void vmm_gpu_channel_pump(struct gpu_channel *ch);
/* The compositor is gone, or treated as such; the guest is told by and by. */
void vmm_gpu_channel_hang_up(struct gpu_channel *ch, const char *why);
/* Asks for a connection. */
void vmm_gpu_channel_open(struct gpu_channel *ch);
/* Sends what the compositor takes. */
void vmm_gpu_channel_flush(struct gpu_channel *ch);
/* Puts len bytes of ch->message into the channel ring. On failure nothing more will be. */
int vmm_gpu_channel_deliver(struct gpu_channel *ch, size_t len);

/* Waits for events with fn, of VMM_LOOP_READABLE and WRITABLE; 0: not at all. Negative errno. */
int vmm_gpu_watch(struct gpu_channel *ch, struct watch *w, uint32_t events, vmm_loop_fd_fn fn,
		  void *ctx);
/* Closes it as well. */
void vmm_gpu_watch_end(struct watch *w);

/* ---- stream.c ---- */

/*
 * Takes len bytes and count descriptors of one side, &ch->requests or &ch->events, to be sent
 * further. The descriptors are used up. -EPROTO: the side has said what it may not. -ENOSPC: more
 * is waiting than may. -ENOMEM. On failure the channel cannot go on.
 */
int vmm_gpu_pass(struct gpu_channel *ch, struct stream *s, const uint8_t *bytes, size_t len,
		 const int *fds, unsigned count);
void vmm_gpu_stream_clear(struct stream *s);

/* ---- items.c ---- */

/* Keeps fd, which is then the items', as a blob of size bytes. Its id, or 0: there are too many. */
uint32_t vmm_gpu_items_add_file(struct items *items, int fd, uint64_t size);
/* The same template for the same picture. 0: there are too many. */
uint32_t vmm_gpu_items_template(struct items *items, const struct xd_get_image *image,
				uint64_t size);
/* NULL: there is none. */
struct item *vmm_gpu_items_find(struct items *items, uint64_t id);
/* Forgets it; fd is the caller's. */
void vmm_gpu_items_remove(struct items *items, struct item *item);
void vmm_gpu_items_clear(struct items *items, struct gpu_budget *budget);
uint32_t vmm_gpu_items_next_id(struct items *items);

/* ---- pipes.c ---- */

/* Makes the pipe that the guest will read, under the next id; *fd is its write end, for the caller
 * to give away. -ENOSPC, -EMFILE, -ENOMEM. */
int vmm_gpu_pipes_make(struct gpu_channel *ch, int *fd);
/* Takes the write end fd for the guest. Its id, or 0 (fd is still the caller's). */
uint32_t vmm_gpu_pipes_take(struct gpu_channel *ch, int fd);
/* The guest's bytes for one of them. -ENOENT, -ENOSPC, -ENOMEM. */
int vmm_gpu_pipes_write(struct gpu_channel *ch, const struct xd_write *cmd, const uint8_t *bytes);
/* Reads from one of those that have something into the channel ring; false: none has. */
bool vmm_gpu_pipes_message(struct gpu_channel *ch);
void vmm_gpu_pipes_clear(struct gpu_channel *ch);

/* ---- command.c ---- */

int vmm_gpu_command(struct gpu_channel *ch, const uint8_t *bytes, const struct xd_header *h);

#endif
