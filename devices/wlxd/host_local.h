/* SPDX-License-Identifier: MIT */
/*
 * Private to the local host: its connections, and the ends of pipes and files that belong to them.
 */
#ifndef WLXD_HOST_LOCAL_H
#define WLXD_HOST_LOCAL_H

#include "host.h"
#include "outbuf.h"

struct host_local {
	struct vmm_loop *loop;
	const char *path;
};

enum local_kind {
	LOCAL_FILE,  /* came from the compositor, waits to be copied */
	LOCAL_READ,  /* the compositor has the end that is written to */
	LOCAL_WRITE, /* came from the compositor */
};

struct local_end {
	struct local_end *next;
	struct local_conn *conn;
	enum local_kind kind;
	uint32_t id;
	int fd;
	struct vmm_source *source; /* NULL for files */
	struct outbuf out;
	bool hang_up;
};

struct local_conn {
	struct host_conn base;
	struct host_local *local;
	int fd;
	struct vmm_source *source;
	struct outbuf out;
	bool on;
	bool broken; /* takes nothing any more, but may have something left to say */
	struct local_end *ends;
	uint32_t next_item;
};

/* Takes fd. NULL: it is closed. */
struct local_end *local_end_add(struct local_conn *conn, enum local_kind kind, uint32_t id, int fd);
void local_end_remove(struct local_end *end);
struct local_end *local_end_find(struct local_conn *conn, enum local_kind kind, uint32_t id);
/* As the connection is listened to or not, so are its pipes. */
void local_ends_listen(struct local_conn *conn);

int local_file_copy(struct host_conn *base, const struct host_item *item, int memfd);
int local_pipe_write(struct host_conn *base, uint32_t id, const uint8_t *data, size_t len,
		     bool hang_up);
void local_item_drop(struct host_conn *base, const struct host_item *item);

#endif
