/* SPDX-License-Identifier: MIT */
/*
 * virtio-gpu with contexts, driven as a guest's kernel and the programs in it do; the compositor is
 * the test, at the other ends of the connections that the device asks for.
 */
#ifndef TESTS_GPU_CONTEXT_FIX_H
#define TESTS_GPU_CONTEXT_FIX_H

#include <check.h>

#include <vmm/dev/gpu.h>

#include "fakedrv.h"
#include "fdcount.h"
#include "gpu/context_priv.h"
#include "gpu/xdomain.h"
#include "suite.h"
#include "wayland/wire.h"
#include "wlmsg.h"

#define COMPOSITORS_MAX 130u
#define REQUEST_ROOM    (128u << 10)
#define PARK_SLOTS      16u

struct gpu_fix {
	struct fakedrv *drv;
	struct vmm_virtio_device *dev;
	uint8_t *request; /* guest memory: REQUEST_ROOM and a page */
	uint8_t *answer;
	uint8_t *polls;                   /* a request and an answer for each slot */
	int compositors[COMPOSITORS_MAX]; /* the far ends of connections, in the order they came */
	unsigned compositor_count;
	bool late; /* connections come when the test says so, by gpu_connect */
	void (*done)(void *ctx, int fd);
	void *done_ctx;
	unsigned cancelled;
	struct vmm_gpu_connector connector;
	unsigned fds_before;
};

/* config NULL: contexts, a connector, both ways of the clipboard, no name. */
void gpu_start(struct gpu_fix *f, const struct vmm_gpu_config *config);
/* Fails the test when descriptors are left. */
void gpu_stop(struct gpu_fix *f);
/* The connection of a late connector. */
void gpu_connect(struct gpu_fix *f);

/* ---- requests ---- */

/* One with header h (type set) and a body; the type of the answer, which is in f->answer. */
uint32_t gpu_request(struct gpu_fix *f, const struct gpu_header *h, const void *body, size_t len);
/* The same by type and context, without a fence. */
uint32_t gpu_do(struct gpu_fix *f, uint32_t type, uint32_t ctx, const void *body, size_t len);

uint32_t gpu_ctx_create(struct gpu_fix *f, uint32_t ctx, uint32_t init);
uint32_t gpu_ctx_destroy(struct gpu_fix *f, uint32_t ctx);
uint32_t gpu_attach(struct gpu_fix *f, uint32_t ctx, uint32_t res);
uint32_t gpu_detach(struct gpu_fix *f, uint32_t ctx, uint32_t res);
uint32_t gpu_unref(struct gpu_fix *f, uint32_t res);
/* A blob of len bytes of guest memory at pages, in pieces of `piece` bytes. */
uint32_t gpu_guest_blob(struct gpu_fix *f, uint32_t res, void *pages, size_t len, size_t piece);
uint32_t gpu_host_blob(struct gpu_fix *f, uint32_t ctx, uint32_t res, uint64_t item, uint64_t size,
		       uint32_t flags);
uint32_t gpu_map(struct gpu_fix *f, uint32_t res, uint64_t offset);
uint32_t gpu_unmap(struct gpu_fix *f, uint32_t res);
/* The payload, without a fence. */
uint32_t gpu_submit(struct gpu_fix *f, uint32_t ctx, const void *payload, size_t len);

/* ---- programs of the guest, one for each context ---- */

struct gpu_client {
	struct gpu_fix *f;
	uint32_t ctx;
	uint32_t rings; /* resources rings and rings + 1 */
	uint8_t *query; /* their pages */
	uint8_t *ring;
	int compositor; /* the far end of its connection, f's */
};

/* Context, rings, INIT. Resources with ids from rings on. */
void gpu_client_start(struct gpu_client *c, struct gpu_fix *f, uint32_t ctx, uint32_t rings);
uint32_t gpu_client_send(struct gpu_client *c, const void *bytes, size_t len, unsigned ids,
			 const uint32_t *id, const uint32_t *type);
/* A POLL with a fence on ring 1, in a slot; its head. It is added, not waited for. */
int gpu_client_poll(struct gpu_client *c, unsigned slot, uint64_t fence);
/* A POLL and the RECEIVE that it gets. */
const struct xd_send *gpu_client_receive(struct gpu_client *c);
/* A template for that many bytes; its item's id. */
uint32_t gpu_client_template(struct gpu_client *c, uint32_t bytes);

/* The answer of a slot's POLL. */
const struct gpu_header *gpu_poll_answer(const struct gpu_fix *f, unsigned slot);

/* ---- Wayland ---- */

/* Objects of a client, and the first id that is free. */
enum { REGISTRY = 2, SEAT, KEYBOARD, SHM, DATA_MANAGER, FREE_ID };

/* Says something that the compositor hears as it is. */
void gpu_client_says(struct gpu_client *c, const uint8_t *bytes, size_t len);
/*
 * What the client of a compositor with wl_seat (global 1), wl_shm (2), wl_data_device_manager (3)
 * and one that is on no list does to have these objects.
 */
void gpu_client_bind(struct gpu_client *c);

#endif
