/* SPDX-License-Identifier: MIT */
/*
 * The host side of a client: a connection to the compositor, wherever that is. Two kinds: virtgpu
 * (a cross-domain context of a virtio-gpu device) and local (a socket of this machine, for tests
 * without a VM).
 *
 * Descriptors do not cross. What stands for them:
 *
 *   blob   memory that the compositor can map as well: goes out beside bytes
 *   pipe   of which the host holds an end: a number that the proxy chooses goes out; bytes come in
 *   item   what came in beside bytes: a file to be copied, or a pipe to be written to
 *
 * All on the loop's thread. Callbacks come from the loop, never out of a call made here.
 */
#ifndef WLXD_HOST_H
#define WLXD_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/loop.h>

/* What one SEND of a cross-domain channel holds: 4096 bytes with its header of 352. */
#define HOST_SEND_MAX 3744u
#define HOST_IDS_MAX  28u

/* The n-th pipe of a connection that goes out is FIRST + n, counted from 0. */
#define HOST_PIPE_FIRST UINT32_C(0x80000001)

struct host_conn;

struct host_blob {
	uint8_t *map; /* all of it, shared and writable */
	uint64_t size;
	/* The implementation's own. */
	uint64_t map_size;
	int fd;
	uint32_t handle;
	uint32_t resource;
};

enum host_item_type {
	HOST_ITEM_FILE,
	HOST_ITEM_PIPE,
};

struct host_item {
	enum host_item_type type;
	uint32_t id;
	uint64_t size; /* of a file */
};

/* What goes out beside a message. */
struct host_pass {
	const struct host_blob *blob; /* or NULL: */
	uint32_t pipe;
};

struct host_events {
	/* Bytes of the compositor, cut anywhere, and count items that belong to messages in them or
	 * behind. */
	void (*receive)(void *ctx, const uint8_t *data, size_t len, const struct host_item *items,
			unsigned count);
	/* What was written to the other end of an outgoing pipe; hang_up: nothing more will come.
	 */
	void (*pipe_data)(void *ctx, uint32_t id, const uint8_t *data, size_t len, bool hang_up);
	/* host_pending has become 0 again. */
	void (*drained)(void *ctx);
	/* An item that host_pipe_write found full takes more. */
	void (*pipe_drained)(void *ctx, uint32_t id);
	/* The compositor has hung up, or never answered. Nothing comes any more; close it. */
	void (*closed)(void *ctx);
};

struct host_ops {
	/* -errno; EAGAIN and ENOSPC among them: not now. */
	int (*connect)(void *host, const struct host_events *events, void *ctx,
		       struct host_conn **out);
	void (*close)(struct host_conn *conn);
	int (*blob_create)(struct host_conn *conn, uint64_t size, struct host_blob *blob);
	void (*blob_destroy)(struct host_conn *conn, struct host_blob *blob);
	int (*send)(struct host_conn *conn, const uint8_t *data, size_t len,
		    const struct host_pass *pass, unsigned count);
	size_t (*pending)(struct host_conn *conn);
	void (*listen)(struct host_conn *conn, bool on);
	int (*file_copy)(struct host_conn *conn, const struct host_item *item, int memfd);
	int (*pipe_write)(struct host_conn *conn, uint32_t id, const uint8_t *data, size_t len,
			  bool hang_up);
	void (*item_drop)(struct host_conn *conn, const struct host_item *item);
};

/* A kind of host, and where it is. */
struct host {
	const struct host_ops *ops;
	void *impl;
};

/* What every connection begins with. */
struct host_conn {
	const struct host_ops *ops;
	const struct host_events *events;
	void *ctx;
	/* Messages that wait for host_flush. */
	uint8_t data[HOST_SEND_MAX];
	size_t len;
	struct host_pass pass[HOST_IDS_MAX];
	unsigned pass_count;
};

/* The connection is silent until host_listen. -errno. */
int host_connect(const struct host *host, const struct host_events *events, void *ctx,
		 struct host_conn **out);
/* NULL is a no-op. Blobs must have been destroyed. */
void host_close(struct host_conn *conn);

/* Zeroed memory of size bytes (> 0), mapped. -ENOMEM, -ENOSPC, ... */
int host_blob_create(struct host_conn *conn, uint64_t size, struct host_blob *blob);
/* The compositor keeps what it has of it. */
void host_blob_destroy(struct host_conn *conn, struct host_blob *blob);

/*
 * Queues a message, or a piece of one, and what goes beside it (pass may be NULL; a blob may be
 * destroyed afterwards). Messages leave at host_flush, or before when there are many. -errno: the
 * connection is of no more use.
 */
int host_send(struct host_conn *conn, const uint8_t *data, size_t len,
	      const struct host_pass *pass);
int host_flush(struct host_conn *conn);
/* Bytes that host_flush could not hand over yet. While there are some, read no more from the
 * client. */
size_t host_pending(struct host_conn *conn);

/* Whether events are wanted. After off, what is under way already may still come. */
void host_listen(struct host_conn *conn, bool on);

/* Writes a HOST_ITEM_FILE to memfd, item->size bytes; ends the item. -errno. */
int host_file_copy(struct host_conn *conn, const struct host_item *item, int memfd);
/*
 * Writes to a HOST_ITEM_PIPE; hang_up ends the item. 0; 1: taken, but wait for pipe_drained before
 * more; -EPIPE: nobody reads, the item has ended.
 */
int host_pipe_write(struct host_conn *conn, uint32_t id, const uint8_t *data, size_t len,
		    bool hang_up);
/* Ends an item that nobody wants. */
void host_item_drop(struct host_conn *conn, const struct host_item *item);

/*
 * impl of a host that is a socket at path: path and loop are borrowed until host_local_destroy.
 * Needs no device. NULL without memory.
 */
struct host_local *host_local_create(struct vmm_loop *loop, const char *path);
void host_local_destroy(struct host_local *local);
extern const struct host_ops host_local_ops;

/*
 * impl of a host that is a virtio-gpu device with cross-domain contexts: the render node at path,
 * or (NULL) the first that is one. path and loop are borrowed. On failure NULL, and *why is a
 * phrase for the user.
 */
struct host_virtgpu *host_virtgpu_create(struct vmm_loop *loop, const char *path, const char **why);
void host_virtgpu_destroy(struct host_virtgpu *virtgpu);
extern const struct host_ops host_virtgpu_ops;

#endif
