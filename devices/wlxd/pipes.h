/* SPDX-License-Identifier: MIT */
/*
 * Pipes of the clipboard, whose ends are on different machines. Neither end is ever waited for.
 */
#ifndef WLXD_PIPES_H
#define WLXD_PIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host.h"

#define PIPES_MAX 256

struct pipe_end;

struct pipes {
	struct vmm_loop *loop;
	struct host_conn *host;
	/* How much waits for the client's ends has changed. */
	void (*changed)(void *ctx);
	void *ctx;
	struct pipe_end *ends;
	unsigned count;
	uint32_t next_id;
	size_t pending; /* bytes that wait for the client's ends */
};

void pipes_init(struct pipes *pipes, struct vmm_loop *loop, struct host_conn *host,
		void (*changed)(void *ctx), void *ctx);
/* Closes all. */
void pipes_finish(struct pipes *pipes);

/* The client's end fd (taken) is to be written to with what the host sends for *id. -errno. */
int pipes_to_client(struct pipes *pipes, int fd, uint32_t *id);
/* What came for it; an id that is not known any more is the rest of one that the client closed. */
void pipes_data(struct pipes *pipes, uint32_t id, const uint8_t *data, size_t len, bool hang_up);

/* The end to give to the client (of the caller) for what goes to the host's item; or -errno. */
int pipes_to_host(struct pipes *pipes, uint32_t item);
/* The host takes more for item. */
void pipes_resume(struct pipes *pipes, uint32_t item);

/* The client is gone: what it has written before goes to the host now. */
void pipes_drain(struct pipes *pipes);

#endif
