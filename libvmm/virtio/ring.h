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

struct vmm_virtq {
	struct vmm_mem *mem;
	struct vmm_irq *irq;
	vmm_virtq_broken_fn broken_fn;
	void *ctx;

	uint16_t size; /* power of two */
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

	unsigned in_flight;
	uint16_t *order;    /* [slot]: the head that was popped there, for unpop */
	uint32_t *room;     /* [head]: writable bytes of a chain in flight */
	uint64_t *is_taken; /* bitmap by head: in flight */
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

/* Copies the descriptor at p (any alignment), each byte once. */
void vmm_ring_fetch_desc(const uint8_t *p, struct desc *out);

/*
 * Walks the chain that starts at head and adds its buffers to chain, which is empty. 0, or
 * -EPROTO/-EFAULT with the broken rule in *why.
 */
int vmm_chain_walk(const struct vmm_virtq *q, uint16_t head, struct vmm_chain *chain,
		   const char **why);

#endif
