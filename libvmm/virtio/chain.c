/* SPDX-License-Identifier: MIT */
/*
 * From a head to the buffers of its chain (VIRTIO 1.2 section 2.7.5, 2.7.5.3).
 *
 * The guest can change descriptors while they are read, so each is copied once and only the copy
 * is looked at. The number of descriptors followed is at most the size of the ring, which ends
 * every loop: no driver may build a longer chain (section 2.7.5.3.1), with or without an indirect
 * table.
 */
#include "ring.h"

#include <errno.h>

/* Where descriptors come from: the ring's table, or one indirect table. */
struct table {
	const uint8_t *base;
	uint32_t count;
	bool indirect;
};

struct walk {
	const struct vmm_virtq *q;
	struct vmm_chain *chain;
	const char **why;
};

void vmm_ring_fetch_desc(const uint8_t *p, struct desc *out)
{
	uint64_t word[2];

	if (((uintptr_t)p & 7) == 0) {
		const uint64_t *from = (const uint64_t *)(const void *)p;

		word[0] = __atomic_load_n(&from[0], __ATOMIC_RELAXED);
		word[1] = __atomic_load_n(&from[1], __ATOMIC_RELAXED);
	} else {
		/* Nothing says how an indirect table is aligned. */
		uint8_t *to = (uint8_t *)word;

		for (unsigned i = 0; i < DESC_SIZE; i++) {
			to[i] = __atomic_load_n(&p[i], __ATOMIC_RELAXED);
		}
	}
	word[1] = le64toh(word[1]);
	out->addr = le64toh(word[0]);
	out->len = (uint32_t)word[1];
	out->flags = (uint16_t)(word[1] >> 32);
	out->next = (uint16_t)(word[1] >> 48);
}

static int refuse(struct walk *walk, int code, const char *why)
{
	*walk->why = why;
	return code;
}

static int add_buffer(struct walk *walk, const struct desc *d)
{
	struct vmm_chain *chain = walk->chain;
	bool write = d->flags & DESC_F_WRITE;
	uint32_t *total = write ? &chain->writable_len : &chain->readable_len;
	unsigned at = chain->readable + chain->writable;

	if (d->len == 0) {
		return 0;
	}
	if (!write && chain->writable > 0) {
		return refuse(walk, -EPROTO, "a device-readable buffer behind a writable one");
	}
	if (d->len > UINT32_MAX - *total) {
		return refuse(walk, -EPROTO, "a chain of more than 4 GiB");
	}
	if (at >= chain->iov_cap) {
		return refuse(walk, -EPROTO, "a chain of more buffers than the device takes");
	}
	if (vmm_mem_iov(walk->q->mem, d->addr, d->len, &chain->iov[at]) != 0) {
		return refuse(walk, -EFAULT, "a buffer outside guest memory");
	}
	*total += d->len;
	if (write) {
		chain->writable++;
	} else {
		chain->readable++;
	}
	return 0;
}

/* d is the descriptor of an indirect table: its WRITE flag means nothing (section 2.7.5.3.2). */
static int enter_indirect(struct walk *walk, const struct desc *d, struct table *table)
{
	struct iovec iov;

	if (!walk->q->indirect) {
		return refuse(walk, -EPROTO, "an indirect table that was not negotiated");
	}
	if (table->indirect) {
		return refuse(walk, -EPROTO, "an indirect table inside an indirect table");
	}
	if (d->flags & DESC_F_NEXT) {
		return refuse(walk, -EPROTO, "a descriptor with both INDIRECT and NEXT");
	}
	if (d->len == 0 || d->len % DESC_SIZE != 0 || d->len / DESC_SIZE > walk->q->size) {
		return refuse(walk, -EPROTO, "an indirect table of a bad length");
	}
	if (vmm_mem_iov(walk->q->mem, d->addr, d->len, &iov) != 0) {
		return refuse(walk, -EFAULT, "an indirect table outside guest memory");
	}
	table->base = iov.iov_base;
	table->count = d->len / DESC_SIZE;
	table->indirect = true;
	return 0;
}

int vmm_chain_walk(const struct vmm_virtq *q, uint16_t head, struct vmm_chain *chain,
		   const char **why)
{
	struct walk walk = {.q = q, .chain = chain, .why = why};
	struct table table = {.base = q->desc, .count = q->size, .indirect = false};
	uint16_t next = head;
	int ret;

	chain->head = head;
	for (unsigned buffers = 0; buffers < q->size;) {
		struct desc d;

		if (next >= table.count) {
			return refuse(&walk, -EPROTO, "a descriptor index outside its table");
		}
		vmm_ring_fetch_desc(table.base + (size_t)next * DESC_SIZE, &d);
		if (d.flags & DESC_F_INDIRECT) {
			ret = enter_indirect(&walk, &d, &table);
			next = 0;
		} else {
			ret = add_buffer(&walk, &d);
			next = d.next;
			buffers++;
		}
		if (ret < 0) {
			return ret;
		}
		if (!(d.flags & (DESC_F_INDIRECT | DESC_F_NEXT))) {
			return 0;
		}
	}
	return refuse(&walk, -EPROTO, "a chain longer than its ring");
}
