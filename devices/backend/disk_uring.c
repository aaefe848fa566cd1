/* SPDX-License-Identifier: MIT */
/*
 * The io_uring engine of the file disk: steps are ring entries, so the loop never waits for the
 * disk. The ring is made when the disk is opened, before any sandbox, and lives as long as the
 * disk; its descriptor is watched by the loop while the disk is attached.
 *
 * Only one fdatasync is in the kernel at a time. Of two at once, the one that came second could
 * return success (Linux reports lost pages once for each descriptor) and be seen before the other's
 * failure.
 */
#include "backend/disk_priv.h"
#include "backend/uring.h"

#include <errno.h>
#include <string.h>

#define DEPTH 128
/* Rounds of submit and reap in one turn: what the page cache answers at once needs no wake-up. */
#define TURN_ROUNDS 4

/* What an entry belongs to. */
static struct vmm_disk_request *owner(uint64_t user_data)
{
	void *req;

	_Static_assert(sizeof(req) <= sizeof(user_data), "a pointer fits");
	memcpy(&req, &user_data, sizeof(req));
	return req;
}

int vmm_disk_uring_create(struct file_disk *disk, int fd)
{
	static const uint8_t ops[] = {
		IORING_OP_READV,
		IORING_OP_WRITEV,
		IORING_OP_FALLOCATE,
		IORING_OP_FSYNC,
	};

	/* A read-only disk is read and nothing else. */
	return vmm_uring_create(&disk->ring, fd, DEPTH, ops, disk->base.read_only ? 1 : 4);
}

int vmm_disk_uring_fd(const struct file_disk *disk)
{
	return disk->ring->fd;
}

bool vmm_disk_uring_is_restricted(const struct file_disk *disk)
{
	return disk->ring && disk->ring->restricted;
}

static void fill_sqe(struct io_uring_sqe *sqe, const struct disk_step *step)
{
	switch (step->call) {
	case DISK_READV:
	case DISK_WRITEV:
		sqe->opcode = step->call == DISK_READV ? IORING_OP_READV : IORING_OP_WRITEV;
		sqe->addr = (uintptr_t)step->iov;
		sqe->len = step->iov_count;
		sqe->off = step->offset;
		break;
	case DISK_FALLOCATE:
		/* The length stands in addr and the mode in len (io_uring_enter(2)). */
		sqe->opcode = IORING_OP_FALLOCATE;
		sqe->off = step->offset;
		sqe->addr = step->len;
		sqe->len = (uint32_t)step->mode;
		break;
	case DISK_SYNC:
	default:
		sqe->opcode = IORING_OP_FSYNC;
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
		break;
	}
}

static void queue(struct file_disk *disk, struct vmm_disk_request *req,
		  const struct disk_step *step)
{
	struct io_uring_sqe *sqe = vmm_uring_next(disk->ring);
	void *who = req;

	fill_sqe(sqe, step);
	memcpy(&sqe->user_data, &who, sizeof(who));
	vmm_uring_queue(disk->ring);
}

/* Turns pending requests into ring entries; returns the bytes they will move. */
static uint64_t fill(struct file_disk *disk, uint64_t budget)
{
	struct vmm_disk_request *req;
	struct disk_step step;
	uint64_t bytes = 0;

	while (disk->ring->in_flight < disk->ring->sq_entries && bytes < budget) {
		req = vmm_disk_list_pop(&disk->pending);
		if (!req) {
			break;
		}
		if (!vmm_disk_plan(disk, req, &step)) {
			req->done(req, req->result);
		} else if (step.call == DISK_SYNC && disk->sync_running) {
			vmm_disk_list_push(&disk->sync_waiting, req);
		} else {
			disk->sync_running |= step.call == DISK_SYNC;
			bytes += step.len;
			queue(disk, req, &step);
		}
	}
	return bytes;
}

/*
 * What cannot be done at once the kernel gives to a thread of its own. Where the process may have
 * no more threads (RLIMIT_NPROC) it cancels the entry instead, and this thread has to do it.
 */
static int64_t make_up_for(struct file_disk *disk, struct vmm_disk_request *req)
{
	struct disk_step step;

	return vmm_disk_plan(disk, req, &step) ? vmm_disk_carry_out(disk->fd, &step) : -ECANCELED;
}

static void took(struct file_disk *disk, struct vmm_disk_request *req, int64_t result)
{
	struct vmm_disk_request *waiting;

	disk->ring->in_flight--;
	if (result == -ECANCELED) {
		result = make_up_for(disk, req);
	}
	if (req->call == DISK_SYNC) {
		disk->sync_running = false;
		waiting = vmm_disk_list_pop(&disk->sync_waiting);
		if (waiting) {
			vmm_disk_list_push(&disk->pending, waiting);
		}
	}
	if (vmm_disk_advance(disk, req, result)) {
		req->done(req, req->result);
	} else {
		vmm_disk_list_push(&disk->pending, req);
	}
}

/* The kernel takes no entries (out of memory, say): fail those it left, or none would ever end. */
static void take_back(struct file_disk *disk, int error)
{
	struct vmm_uring *ring = disk->ring;
	unsigned head = __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
	unsigned tail = *ring->sq_tail;

	__atomic_store_n(ring->sq_tail, head, __ATOMIC_RELEASE);
	for (; head != tail; head++) {
		took(disk, owner(ring->sqes[head & ring->sq_mask].user_data), error);
	}
}

static void submit_all(struct file_disk *disk)
{
	unsigned count = vmm_uring_unsubmitted(disk->ring);
	int ret = count > 0 ? vmm_uring_enter(disk->ring, count, 0) : 0;

	/* For these three there is a later: the turn is posted again. */
	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY) {
		take_back(disk, ret);
	}
}

/* Takes the results that are in. */
static unsigned reap(struct file_disk *disk)
{
	struct vmm_uring *ring = disk->ring;
	unsigned tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
	unsigned head = *ring->cq_head;
	unsigned count = tail - head;

	for (; head != tail; head++) {
		struct io_uring_cqe cqe = ring->cqes[head & ring->cq_mask];

		__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
		took(disk, owner(cqe.user_data), cqe.res);
	}
	return count;
}

static void turn(struct file_disk *disk)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < TURN_ROUNDS && bytes < DISK_TURN_MAX; i++) {
		bytes += fill(disk, DISK_TURN_MAX - bytes);
		submit_all(disk);
		if (reap(disk) == 0) {
			break;
		}
	}
	if (disk->base.batch) {
		disk->base.batch(disk->base.batch_ctx);
	}
	/* When the ring is full its descriptor wakes us; otherwise nothing else would. */
	if (vmm_uring_unsubmitted(disk->ring) > 0 ||
	    (disk->pending.head && disk->ring->in_flight < disk->ring->sq_entries)) {
		vmm_loop_post(disk->loop, &disk->more);
	}
}

static void turn_again(void *ctx)
{
	turn(ctx);
}

static void on_ring(void *ctx, int fd, uint32_t events)
{
	struct file_disk *disk = ctx;

	(void)fd;
	(void)events;
	(void)reap(disk);
	turn(disk);
}

static int uring_attach(struct vmm_disk *base, struct vmm_loop *loop)
{
	struct file_disk *disk = (struct file_disk *)base;
	int ret = vmm_loop_add_fd(loop, disk->ring->fd, VMM_LOOP_READABLE, on_ring, disk,
				  &disk->source);

	if (ret < 0) {
		return ret;
	}
	disk->loop = loop;
	disk->sync_error = 0;
	disk->more.fn = turn_again;
	disk->more.ctx = disk;
	return 0;
}

static void uring_submit(struct vmm_disk *base, struct vmm_disk_request *req)
{
	vmm_disk_accept((struct file_disk *)base, req);
}

static void uring_commit(struct vmm_disk *base)
{
	struct file_disk *disk = (struct file_disk *)base;

	if (disk->pending.head && !disk->more.queued) {
		turn(disk);
	}
}

/* Drops entries the kernel has not taken and waits for those it has. */
static void drain(struct vmm_uring *ring)
{
	unsigned count = vmm_uring_unsubmitted(ring);
	unsigned tail;

	__atomic_store_n(ring->sq_tail, *ring->sq_tail - count, __ATOMIC_RELEASE);
	ring->in_flight -= count;
	for (;;) {
		tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
		ring->in_flight -= tail - *ring->cq_head;
		__atomic_store_n(ring->cq_head, tail, __ATOMIC_RELEASE);
		if (ring->in_flight == 0) {
			return;
		}
		/* Whatever it answers, guest memory must not be let go of before the end. */
		(void)vmm_uring_enter(ring, 0, 1);
	}
}

static void uring_detach(struct vmm_disk *base)
{
	struct file_disk *disk = (struct file_disk *)base;

	vmm_loop_cancel(disk->loop, &disk->more);
	vmm_source_remove(disk->source);
	drain(disk->ring);
	memset(&disk->pending, 0, sizeof(disk->pending));
	memset(&disk->sync_waiting, 0, sizeof(disk->sync_waiting));
	disk->sync_running = false;
	disk->source = NULL;
	disk->loop = NULL;
}

static void uring_destroy(struct vmm_disk *base)
{
	struct file_disk *disk = (struct file_disk *)base;

	vmm_uring_destroy(disk->ring);
	vmm_disk_file_destroy(disk);
}

const struct vmm_disk_ops vmm_disk_uring_ops = {
	.attach = uring_attach,
	.submit = uring_submit,
	.commit = uring_commit,
	.detach = uring_detach,
	.destroy = uring_destroy,
};
