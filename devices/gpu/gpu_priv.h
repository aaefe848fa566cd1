/* SPDX-License-Identifier: MIT */
/*
 * Private to virtio-gpu.
 *
 *	gpu.c       features, configuration space, life, sizes of the screens
 *	control.c   requests of the control queue: copied, looked up, answered
 *	cursor.c    the cursor queue
 *	resource.c  the guest's resources: their table, the guest memory behind them
 *	pixels.c    transfers, and the pixels of a picture
 *	scanout.c   what is on a screen, and what of it has changed
 *	edid.c      what a screen says about itself
 *	context.c   what `contexts` in the configuration asks for: their life, capabilities,
 *commands blob.c      blobs, in guest memory or mapped into the shared memory region channel.c   a
 *context's connection to a compositor (channel.h), with command.c, stream.c, items.c, pipes.c,
 *sendq.c, fds.c
 */
#ifndef VMM_DEVICES_GPU_PRIV_H
#define VMM_DEVICES_GPU_PRIV_H

#include <vmm/dev/gpu.h>

#include "display/region.h"
#include "gpu/gpu_proto.h"

enum { QUEUE_CONTROL, QUEUE_CURSOR, QUEUES };

#define CONTROL_SIZE 256u
#define CURSOR_SIZE  16u

/* Numbers a guest may have of things, at most. */
#define RESOURCES_MAX 16384u
#define PARKED_MAX    16u /* flushes of one screen that wait for a frame */

struct gpu;
struct gpu_request;

/* ---- guest memory behind a resource ---- */

/* A piece of guest memory; end is where it ends in the resource. */
struct gpu_entry {
	vmm_gpa addr;
	uint64_t end;
};

/*
 * Every piece lay in RAM when it was attached, and is looked up again at each use. All zero: none.
 */
struct gpu_backing {
	struct gpu_entry *entries;
	uint32_t count;
	uint64_t len; /* of all pieces */
};

/*
 * Takes count entries from r. 0, or what to answer: RESP_ERR_*; nothing is kept then. Their memory
 * is charged.
 */
uint32_t vmm_gpu_backing_attach(struct gpu *gpu, struct gpu_backing *b, struct vmm_reader *r,
				uint32_t count);
void vmm_gpu_backing_free(struct gpu *gpu, struct gpu_backing *b);
/* Copies bytes out of or into the pieces. -EFAULT (some may have been copied): not that many. */
int vmm_gpu_backing_read(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset, void *dst,
			 size_t len);
int vmm_gpu_backing_write(struct gpu *gpu, const struct gpu_backing *b, uint64_t offset,
			  const void *src, size_t len);

/* ---- resources ---- */

enum gpu_kind {
	GPU_2D,         /* a picture: format, width, height */
	GPU_BLOB_GUEST, /* bytes in guest memory */
	GPU_BLOB_HOST,  /* bytes in a memfd */
};

struct gpu_resource {
	struct gpu_resource *next; /* of the same bucket */
	uint32_t id;
	enum gpu_kind kind;
	uint64_t size; /* bytes: width * height * 4, or the blob's */
	struct gpu_backing backing;

	/* GPU_2D */
	uint32_t format;
	uint32_t width;
	uint32_t height;
	struct region dirty; /* transferred, not flushed yet */
	bool written;        /* something was transferred */
	uint8_t *image;      /* see vmm_gpu_keep_image; else NULL */

	/* Blobs: context.c's, which fills and frees these. */
	int fd; /* GPU_BLOB_HOST; else -1 */
	uint32_t blob_flags;
	uint32_t ctx_id;
	bool mapped;
	uint64_t map_offset;
	uint64_t contexts[2]; /* that it is attached to, a bit each */
};

struct gpu_resource *vmm_gpu_resource_find(struct gpu *gpu, uint32_t id);
/*
 * Makes a resource, all else zero but fd -1. 0, or what to answer: the id is 0 or taken, there are
 * too many.
 */
uint32_t vmm_gpu_resource_add(struct gpu *gpu, uint32_t id, enum gpu_kind kind,
			      struct gpu_resource **out);
/* Takes it off screens and contexts and frees it. */
void vmm_gpu_resource_remove(struct gpu *gpu, struct gpu_resource *res);
void vmm_gpu_resource_remove_all(struct gpu *gpu);

/* Counts bytes that are kept for the guest against the limit; false: too many, nothing counted. */
bool vmm_gpu_charge(struct gpu *gpu, uint64_t bytes);
void vmm_gpu_uncharge(struct gpu *gpu, uint64_t bytes);

/* ---- pixels ---- */

#define GPU_PIXEL 4u

/* Rects of a guest: no sum wraps. */
static inline bool gpu_rect_inside(const struct gpu_rect *r, uint32_t width, uint32_t height)
{
	return r->x <= width && r->width <= width - r->x && r->y <= height &&
	       r->height <= height - r->y;
}

static inline struct vmm_display_rect gpu_rect(const struct gpu_rect *r)
{
	return (struct vmm_display_rect){
		.x = r->x, .y = r->y, .width = r->width, .height = r->height};
}

/*
 * Copies rect of a picture whose first pixel is at offset in the resource and whose rows are `from`
 * bytes apart to dst, rows `to` bytes apart. What is not there leaves dst as it is.
 */
void vmm_gpu_copy_rows(struct gpu *gpu, const struct gpu_resource *res, uint64_t offset,
		       size_t from, const struct vmm_display_rect *rect, void *dst, size_t to);
/*
 * Makes a copy of a 2D resource's pixels here, if there is none yet; from then on transfers go
 * there at once. 0, or what to answer.
 */
uint32_t vmm_gpu_keep_image(struct gpu *gpu, struct gpu_resource *res);
uint32_t vmm_gpu_transfer_2d(struct gpu *gpu, struct gpu_request *req);

/* ---- requests ---- */

/* The longest of the structs that follow the header. */
#define REQUEST_BODY_MAX 72u

struct gpu_request {
	struct gpu *gpu;
	struct gpu_header header; /* as the guest wrote it, in a private copy like all the rest */
	union {
		uint8_t bytes[REQUEST_BODY_MAX];
		struct gpu_create_2d create_2d;
		struct gpu_resource_id resource;
		struct gpu_set_scanout set_scanout;
		struct gpu_set_scanout_blob set_scanout_blob;
		struct gpu_flush flush;
		struct gpu_transfer_2d transfer_2d;
		struct gpu_attach_backing attach_backing;
		struct gpu_get_edid get_edid;
		uint64_t align;
	} body;
	struct vmm_reader rest; /* what follows: entries, a payload; each byte is read once */
	struct vmm_writer answer;
	uint16_t head;
	bool parked;
};

/* A request that is answered, but not given back yet. */
struct gpu_parked {
	uint16_t head;
	uint32_t written;
};

/* The handler has answered the request or parked it. */
#define ANSWERED 0u

struct gpu_command {
	uint16_t type;
	uint16_t len; /* bytes after the header without which it is no such command */
	/* What to answer in a plain header (RESP_*), or ANSWERED. */
	uint32_t (*handle)(struct gpu *gpu, struct gpu_request *req);
};

/*
 * Answers with len bytes that begin with a struct gpu_header whose type is set; the rest of it, the
 * fence above all, is filled in here. No more is written than the guest has room for. At most once
 * for each request.
 */
void vmm_gpu_respond(struct gpu_request *req, void *resp, size_t len);

/*
 * Answers with OK_NODATA, but keeps the request: the guest sees that it is done with
 * vmm_gpu_unpark. All must be unparked, or forgotten at reset.
 */
struct gpu_parked vmm_gpu_park(struct gpu_request *req);
/* Gives a parked request back. From anywhere on the loop's thread while the device is active. */
void vmm_gpu_unpark(struct gpu *gpu, const struct gpu_parked *parked);

/* Serves what there is in a queue, or a good deal of it and the rest in the loop's next turn. */
void vmm_gpu_drain(struct gpu *gpu, unsigned queue);
/* cursor.c: a request of the cursor queue. */
void vmm_gpu_cursor_request(struct gpu *gpu, const struct vmm_chain *chain);

/* ---- screens ---- */

struct gpu_scanout {
	/* The size that the guest is told. */
	uint32_t width;
	uint32_t height;

	/* All below starts anew with each activation. */
	struct gpu *gpu;
	struct gpu_resource *res;     /* NULL: off */
	struct vmm_display_rect rect; /* the part of it that is shown */
	uint32_t format;
	uint32_t stride; /* of the resource's rows */
	uint64_t offset; /* of the shown part's first pixel in the resource */
	bool fresh;      /* nothing of it has been presented yet */
	unsigned parked_count;
	struct gpu_parked parked[PARKED_MAX];
};

uint32_t vmm_gpu_set_scanout(struct gpu *gpu, struct gpu_request *req);
uint32_t vmm_gpu_set_scanout_blob(struct gpu *gpu, struct gpu_request *req);
uint32_t vmm_gpu_flush(struct gpu *gpu, struct gpu_request *req);
/* Nothing shows the resource any more. */
void vmm_gpu_scanouts_forget(struct gpu *gpu, const struct gpu_resource *res);
/* The next picture may come: what waited for that is given back. */
void vmm_gpu_scanout_frame(struct gpu *gpu, unsigned scanout);

/* An EDID of one block whose preferred mode is width x height (at most VMM_GPU_SIDE_MAX). */
#define EDID_LEN 128u
void vmm_gpu_edid(uint8_t edid[EDID_LEN], unsigned scanout, uint32_t width, uint32_t height);

/* ---- contexts: all in context.c and what it is made of ---- */

struct gpu_contexts;

/* Only called when config->contexts: sets gpu->contexts. */
int vmm_gpu_contexts_create(struct gpu *gpu, const struct vmm_gpu_config *config,
			    struct vmm_error *err);
/* All below are only called when gpu->contexts is not NULL. */
void vmm_gpu_contexts_destroy(struct gpu *gpu);
int vmm_gpu_contexts_activate(struct gpu *gpu);
/* The device is being reset; resources still exist, and go afterwards. */
void vmm_gpu_contexts_reset(struct gpu *gpu);
/* A resource is about to go: unmaps it, detaches it, closes its descriptor. */
void vmm_gpu_contexts_forget(struct gpu *gpu, struct gpu_resource *res);
/* The commands that only exist with contexts (0x108, 0x109, 0x10b, 0x10c, 0x2xx); NULL: no such. */
const struct gpu_command *vmm_gpu_contexts_command(uint32_t type);
void vmm_gpu_contexts_counters(struct gpu *gpu,
			       void (*emit)(void *ctx, const char *name, uint64_t value),
			       void *ctx);

/* ---- the device ---- */

#define RESOURCE_BUCKETS 1024u

struct gpu {
	struct vmm_virtio_device base;
	struct vmm_virtio_active active; /* all zero while not active */
	struct vmm_display *display;     /* may be NULL */
	unsigned scanout_count;
	struct gpu_scanout scanouts[GPU_SCANOUTS];
	struct gpu_contexts *contexts; /* NULL: none */
	struct vmm_virtio_shm shm;

	/* Relaxed atomics. */
	uint64_t commands;
	uint64_t errors;
	uint64_t copied_bytes;
	uint64_t frames;
	uint64_t resource_count;
	uint64_t memory; /* charged */

	uint32_t events; /* events_read */
	uint64_t memory_max;
	struct gpu_resource *resources[RESOURCE_BUCKETS];
	struct vmm_work again[QUEUES]; /* the rest of a queue that was longer than one turn */
	struct vmm_chain chain;
	struct iovec iov[CONTROL_SIZE];
};

static inline void gpu_count(uint64_t *counter, uint64_t n)
{
	(void)__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

#endif
