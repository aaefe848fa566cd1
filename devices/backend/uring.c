/* SPDX-License-Identifier: MIT */
/*
 * The two ring indices that the kernel writes are read with acquire, the two that we write are
 * stored with release; they pair with the kernel's own (io_uring(7)).
 */
#include "backend/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the code below relies on; all of it is there since Linux 5.6. */
#define FEATURES                                                                    \
	(IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | \
	 IORING_FEAT_RW_CUR_POS)
#define OPS_MAX 8

int vmm_uring_enter(const struct vmm_uring *ring, unsigned submit, unsigned wait)
{
	long n = syscall(SYS_io_uring_enter, ring->fd, submit, wait,
			 wait > 0 ? IORING_ENTER_GETEVENTS : 0u, NULL, 0);

	return n < 0 ? -errno : (int)n;
}

static int do_register(const struct vmm_uring *ring, unsigned what, const void *arg, unsigned count)
{
	return syscall(SYS_io_uring_register, ring->fd, what, arg, count) < 0 ? -errno : 0;
}

void vmm_uring_destroy(struct vmm_uring *ring)
{
	if (!ring) {
		return;
	}
	if (ring->restricted) {
		/* Closing the ring lets go of the file some time later, and of its lock with it. */
		(void)do_register(ring, IORING_UNREGISTER_FILES, NULL, 0);
	}
	if (ring->sqes) {
		(void)munmap(ring->sqes, ring->sqes_len);
	}
	if (ring->rings) {
		(void)munmap(ring->rings, ring->rings_len);
	}
	if (ring->fd >= 0) {
		(void)close(ring->fd);
	}
	free(ring);
}

/* ---- create ---- */

static void *at(void *base, uint32_t offset)
{
	return (char *)base + offset;
}

static void *map(const struct vmm_uring *ring, size_t len, off_t offset)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
		       offset);

	return p == MAP_FAILED ? NULL : p;
}

static int map_rings(struct vmm_uring *ring, const struct io_uring_params *p)
{
	size_t sq_len = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	size_t cq_len = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	unsigned *array;

	ring->rings_len = sq_len > cq_len ? sq_len : cq_len;
	ring->rings = map(ring, ring->rings_len, IORING_OFF_SQ_RING);
	if (!ring->rings) {
		return -errno;
	}
	ring->sqes_len = p->sq_entries * sizeof(*ring->sqes);
	ring->sqes = map(ring, ring->sqes_len, (off_t)IORING_OFF_SQES);
	if (!ring->sqes) {
		return -errno;
	}
	ring->sq_head = at(ring->rings, p->sq_off.head);
	ring->sq_tail = at(ring->rings, p->sq_off.tail);
	ring->sq_mask = *(unsigned *)at(ring->rings, p->sq_off.ring_mask);
	ring->sq_entries = p->sq_entries;
	ring->cq_head = at(ring->rings, p->cq_off.head);
	ring->cq_tail = at(ring->rings, p->cq_off.tail);
	ring->cq_mask = *(unsigned *)at(ring->rings, p->cq_off.ring_mask);
	ring->cqes = at(ring->rings, p->cq_off.cqes);
	array = at(ring->rings, p->sq_off.array);
	for (unsigned i = 0; i < p->sq_entries; i++) {
		array[i] = i;
	}
	return 0;
}

/*
 * A ring that starts disabled can be restricted, once, before it is enabled. After that the kernel
 * refuses every other call that would change it.
 */
static int restrict_ring(struct vmm_uring *ring, const uint8_t *ops, size_t op_count)
{
	struct io_uring_restriction rules[OPS_MAX + 3];
	unsigned count = 0;
	int ret;

	memset(rules, 0, sizeof(rules));
	for (size_t i = 0; i < op_count && i < OPS_MAX; i++) {
		rules[count].opcode = IORING_RESTRICTION_SQE_OP;
		rules[count++].sqe_op = ops[i];
	}
	rules[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	rules[count++].sqe_flags = IOSQE_FIXED_FILE;
	rules[count].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	rules[count++].sqe_flags = IOSQE_FIXED_FILE;
	rules[count].opcode = IORING_RESTRICTION_REGISTER_OP;
	rules[count++].register_op = IORING_UNREGISTER_FILES;
	ret = do_register(ring, IORING_REGISTER_FILES, &ring->file, 1);
	if (ret == 0) {
		ring->restricted = true;
		ret = do_register(ring, IORING_REGISTER_RESTRICTIONS, rules, count);
	}
	return ret < 0 ? ret : do_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int set_up(struct vmm_uring *ring, unsigned entries, struct io_uring_params *params,
		  uint32_t flags)
{
	memset(params, 0, sizeof(*params));
	params->flags = flags;
	ring->fd = (int)syscall(SYS_io_uring_setup, entries, params);
	return ring->fd < 0 ? -errno : 0;
}

static int make(struct vmm_uring *ring, unsigned entries, const uint8_t *ops, size_t op_count)
{
	struct io_uring_params params;
	bool can_restrict = true;
	int ret = set_up(ring, entries, &params, IORING_SETUP_R_DISABLED);

	if (ret == -EINVAL) {
		can_restrict = false;
		ret = set_up(ring, entries, &params, 0);
	}
	if (ret == 0 && (params.features & FEATURES) != FEATURES) {
		ret = -ENOSYS;
	}
	if (ret == 0) {
		ret = map_rings(ring, &params);
	}
	return ret == 0 && can_restrict ? restrict_ring(ring, ops, op_count) : ret;
}

int vmm_uring_create(struct vmm_uring **out, int file, unsigned entries, const uint8_t *ops,
		     size_t op_count)
{
	struct vmm_uring *ring = calloc(1, sizeof(*ring));
	int ret;

	*out = NULL;
	if (!ring) {
		return -ENOMEM;
	}
	ring->fd = -1;
	ring->file = file;
	ret = make(ring, entries, ops, op_count);
	if (ret < 0) {
		vmm_uring_destroy(ring);
		return ret;
	}
	*out = ring;
	return 0;
}

/* ---- use ---- */

struct io_uring_sqe *vmm_uring_next(struct vmm_uring *ring)
{
	struct io_uring_sqe *sqe = &ring->sqes[*ring->sq_tail & ring->sq_mask];

	memset(sqe, 0, sizeof(*sqe));
	/* A restricted ring knows the file by its place in the table of one. */
	sqe->fd = ring->restricted ? 0 : ring->file;
	sqe->flags = ring->restricted ? IOSQE_FIXED_FILE : 0;
	return sqe;
}

void vmm_uring_queue(struct vmm_uring *ring)
{
	__atomic_store_n(ring->sq_tail, *ring->sq_tail + 1, __ATOMIC_RELEASE);
	ring->in_flight++;
}

unsigned vmm_uring_unsubmitted(const struct vmm_uring *ring)
{
	return *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
}
