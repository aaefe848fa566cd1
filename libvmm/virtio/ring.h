/* SPDX-License-Identifier: MIT */
/*
 * The split virtqueue as it lies in guest memory (VIRTIO 1.2 section 2.7), and the state of the
 * device's side of it. Private to virtio/.
 *
 * Everything in guest memory is accessed through the functions below and nothing else: one atomic
 * access for each field, so that a value is fetched once and never torn, whatever the guest does
 * meanwhile.
 */
#ifndef VMM_VIRTIO_RING_H
#define VMM_VIRTIO_RING_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmm/log.h>
#include <vmm/virtq.h>

#define DESC_SIZE       16u
#define DESC_F_NEXT     1u
#define DESC_F_WRITE    2u
#define DESC_F_INDIRECT 4u

#define AVAIL_F_NO_INTERRUPT 1u
#define USED_F_NO_NOTIFY     1u

/* The largest split ring there is (section 2.7). */
#define RING_SIZE_LIMIT 32768u

/* A private copy of a descriptor, in the byte order of the host. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct used_elem {
	uint32_t id;
	uint32_t len;
};

/*
 * The record of chains in flight as vhost-user has it ("Inflight I/O tracking", split virtqueue),
 * in the byte order of the host. It is memory that others can write to as well.
 */
struct inflight_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;    /* the head pushed before this one in the same batch */
	uint64_t counter; /* ascending in the order of pops */
};

#define INFLIGHT_VERSION 1u

struct vmm_inflight {
	uint64_t features;
	uint16_t version; /* 0: nobody has used it yet */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_desc desc[];
};

struct vmm_virtq {
	struct vmm_mem *mem;
	struct vmm_irq *irq;
	vmm_virtq_broken_fn broken_fn;
	void *ctx;

	uint16_t size;     /* power of two */
	uint16_t size_max; /* what the arrays below have room for */
	bool wants_kicks;  /* the device has asked for notifications */
	bool polled;       /* and somebody looks instead of waiting for them */
	bool has_news;     /* seen_avail has moved since somebody who looks was told */
	bool event_idx;
	bool indirect;
	bool broken;

	/* Guest memory. */
	const uint8_t *desc;         /* size * DESC_SIZE bytes, aligned to 16 */
	const uint16_t *avail_flags; /* then idx, ring[size], used_event */
	const uint16_t *avail_idx;
	const uint16_t *avail_ring;
	const uint16_t *used_event;
	uint16_t *used_flags; /* then idx, ring[size], avail_event */
	uint16_t *used_idx;
	struct used_elem *used_ring;
	uint16_t *avail_event;

	/* All indices count modulo 2^16; slots are index & (size - 1). */
	uint16_t next_avail; /* the next chain to pop */
	uint16_t seen_avail; /* the driver's index when it was last read */
	uint16_t next_used;  /* where the next push goes */
	uint16_t published;  /* what used_idx in memory says */

	uint16_t replay; /* so many pops take the head from order, not from the available ring */
	uint64_t fresh;  /* pops since then, less those given back */

	unsigned in_flight;
	uint16_t *order;    /* [slot]: the head that was popped there, for unpop and replay */
	uint32_t *room;     /* [head]: writable bytes of a chain in flight */
	uint64_t *is_taken; /* bitmap by head: in flight */

	struct vmm_inflight *record; /* NULL: none is kept */
	uint64_t counter;            /* of the next pop */
	uint16_t *batch;             /* heads pushed since the last flush */
	unsigned batch_count;
	uint64_t *counters; /* [head]: a private copy while a record is read */
};

static inline uint16_t ring_load16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

/* Pairs with the driver's write barrier before it publishes the index. */
static inline uint16_t ring_load16_acquire(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static inline void ring_store16(uint16_t *p, uint16_t value)
{
	__atomic_store_n(p, htole16(value), __ATOMIC_RELAXED);
}

/* Pairs with the driver's read barrier after it saw the index. */
static inline void ring_store16_release(uint16_t *p, uint16_t value)
{
	__atomic_store_n(p, htole16(value), __ATOMIC_RELEASE);
}

static inline void ring_store32(uint32_t *p, uint32_t value)
{
	__atomic_store_n(p, htole32(value), __ATOMIC_RELAXED);
}

/*
 * Reads the record and makes the queue replay what it says is in flight, oldest first. -EPROTO: it
 * is none of a queue of this size, or contradicts the ring.
 */
int vmm_inflight_open(struct vmm_virtq *q);
/* A chain was popped, or given back unpopped. */
void vmm_inflight_set(struct vmm_virtq *q, uint16_t head, bool in_flight);
/* The heads of q->batch are about to become visible in the used ring, and have become so. */
void vmm_inflight_publish(struct vmm_virtq *q);
void vmm_inflight_published(struct vmm_virtq *q);

/* Copies the descriptor at p (any alignment), each byte once. */
void vmm_ring_fetch_desc(const uint8_t *p, struct desc *out);

/*
 * Walks the chain that starts at head and adds its buffers to chain, which is empty. 0, or
 * -EPROTO/-EFAULT with the broken rule in *why.
 */
int vmm_chain_walk(const struct vmm_virtq *q, uint16_t head, struct vmm_chain *chain,
		   const char **why);

#endif
