/* SPDX-License-Identifier: MIT */
/*
 * Private to virtio-gpu: bytes and descriptors that wait until a socket or pipe takes them. The
 * queues of one channel share a budget, so that whoever does not read costs a bounded amount.
 */
#ifndef VMM_DEVICES_GPU_SENDQ_H
#define VMM_DEVICES_GPU_SENDQ_H

#include <stdbool.h>
#include <stddef.h>

struct sendq_budget {
	size_t bytes; /* left, with what keeping them costs */
	unsigned fds; /* left */
};

struct sendq_chunk;

/* Zero-initialised, but for the budget. */
struct sendq {
	struct sendq_budget *budget;
	struct sendq_chunk *first;
	struct sendq_chunk *last;
};

/*
 * Appends len bytes (of 1 or more) and count descriptors, which go with the first of them. On
 * success the queue owns the descriptors. -ENOSPC: over budget. -ENOMEM.
 */
int vmm_gpu_sendq_add(struct sendq *q, const void *bytes, size_t len, const int *fds,
		      unsigned count);

/*
 * Sends what fd, which does not block, takes now; by sendmsg if it is a socket. 0: the queue is
 * empty. -EAGAIN: it is not. Else what is wrong with fd, and the queue is as it was.
 */
int vmm_gpu_sendq_flush(struct sendq *q, int fd, bool is_socket);

/*
 * Takes up to len bytes off the front of a queue that is not empty, and the descriptors that go
 * with them (fds has room for XD_IDS_MAX), which are then the caller's. How many bytes.
 */
size_t vmm_gpu_sendq_take(struct sendq *q, void *bytes, size_t len, int *fds, unsigned *count);

/* Drops everything, descriptors included. */
void vmm_gpu_sendq_clear(struct sendq *q);

static inline bool sendq_is_empty(const struct sendq *q)
{
	return !q->first;
}

#endif
