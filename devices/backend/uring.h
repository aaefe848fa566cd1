/* SPDX-License-Identifier: MIT */
/*
 * Private: an io_uring for one file. It is told at creation which operations it may carry out; the
 * kernel then takes no other, on no other file, and nothing of it can be changed any more. So
 * whoever may enter it gains by that what it could do to the file anyway, and nothing else.
 */
#ifndef DEVICES_BACKEND_URING_H
#define DEVICES_BACKEND_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/io_uring.h>

struct vmm_uring {
	int fd;
	int file; /* borrowed */
	bool restricted;

	void *rings;
	size_t rings_len;
	struct io_uring_sqe *sqes;
	size_t sqes_len;

	unsigned *sq_head;
	unsigned *sq_tail;
	unsigned sq_mask;
	unsigned sq_entries;
	unsigned *cq_head;
	unsigned *cq_tail;
	unsigned cq_mask;
	const struct io_uring_cqe *cqes;

	unsigned in_flight; /* entries queued whose result was not taken; at most sq_entries */
};

/*
 * Makes a ring for `file`, which stays open as long as the ring does, and restricts it to op_count
 * operations (IORING_OP_*). Linux before 5.10 cannot: the ring is then not restricted. 0, or the
 * negative errno of io_uring_setup and friends.
 */
int vmm_uring_create(struct vmm_uring **out, int file, unsigned entries, const uint8_t *ops,
		     size_t op_count);
/* NULL is a no-op. The file is no longer in use when it returns. */
void vmm_uring_destroy(struct vmm_uring *ring);

/* An entry on the file, zeroed otherwise. Only while in_flight < sq_entries. */
struct io_uring_sqe *vmm_uring_next(struct vmm_uring *ring);
/* Hands the entry of vmm_uring_next over; the kernel sees it at the next enter. */
void vmm_uring_queue(struct vmm_uring *ring);
/* Entries handed over that the kernel has not taken. */
unsigned vmm_uring_unsubmitted(const struct vmm_uring *ring);
/* io_uring_enter; wait > 0 waits for so many results. What the kernel took, or a negative errno. */
int vmm_uring_enter(const struct vmm_uring *ring, unsigned submit, unsigned wait);

#endif
