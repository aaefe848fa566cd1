/* SPDX-License-Identifier: MIT */
/*
 * One client: its socket, its connection to the compositor, and what is known of both. Private to
 * client.c (bytes), request.c (what the client says) and event.c (what it hears).
 *
 * Ids are the same on both sides, and bytes pass as they are, but for: descriptors, globals that
 * the tables do not know, and pools (shadow.h).
 */
#ifndef WLXD_CLIENT_H
#define WLXD_CLIENT_H

#include <vmm/log.h>
#include <vmm/loop.h>

#include "host.h"
#include "outbuf.h"
#include "pipes.h"
#include "shadow.h"
#include "table.h"
#include "wayland/wire.h"

#define CLIENT_IN  (2u * VMM_WL_MESSAGE_MAX)
#define CLIENT_FDS (2u * VMM_WL_FDS_MAX)

struct client {
	/* The owner's list. */
	struct client *prev, *next;
	void (*gone)(void *ctx, struct client *client);
	void *ctx;
	unsigned number;
	struct vmm_loop *loop;
	const struct vmm_log *log;

	int fd;
	struct vmm_source *source;
	struct host_conn *host;
	struct vmm_wl_conn *wire;
	struct shadow shadow;
	struct pipes pipes;
	struct table things; /* by vmm_wl_object.user */
	uint32_t shm;        /* id of wl_shm */

	/* From the client, and from the host: less than a message, when all has been looked at. */
	uint8_t in[CLIENT_IN];
	size_t in_len;
	int in_fds[CLIENT_FDS];
	unsigned in_fd_count;
	uint8_t events[CLIENT_IN];
	size_t event_len;
	struct host_item items[CLIENT_FDS];
	unsigned item_count;
	struct outbuf out;

	bool waiting; /* the next message of the client is for later */
	bool ended;   /* the client has: what it said last is on its way */
	bool closing; /* the compositor has: what it said last is on its way */
};

/* What client_request made of a message. */
enum {
	REQUEST_DONE = 0,
	REQUEST_LATER = 1, /* after another event; nothing has happened yet */
};

/*
 * A client behind fd, which is taken. It ends by itself, and then calls gone, after which it is no
 * more; never from within this call. -errno: there is none.
 */
int client_create(struct client **out, const struct host *host, struct vmm_loop *loop,
		  const struct vmm_log *log, int fd);
/* Ends it without a call of gone. */
void client_destroy(struct client *client);

/* One whole message of the client. -errno: it is to end, and has been told if that can be. */
int client_request(struct client *client, uint8_t *data, size_t size);
/* The pool, buffer or surface of that number in things goes; 0: none does. */
void client_drop_thing(struct client *client, uint16_t number);

/* One whole message of the compositor. -errno: as above. */
int client_event(struct client *client, uint8_t *data, size_t size);

/*
 * Puts a wl_display.error into the client's stream and ends the conversation after it. Returns
 * -ECONNABORTED.
 */
int client_no_memory(struct client *client, uint32_t object, const char *what);

#endif
