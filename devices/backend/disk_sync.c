/* SPDX-License-Identifier: MIT */
/*
 * The plain engine of the file disk: each step is a system call on the loop's thread. A slow disk
 * makes the loop wait, so what must not wait for it belongs on another loop or in another process;
 * a fast one is kept from crowding others out by DISK_TURN_MAX.
 */
#include "backend/disk_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Steps in one turn, however small. */
#define TURN_STEPS 256

/* One buffer is what most requests have, and an array of one takes the kernel longer. */
static ssize_t read_some(int fd, const struct disk_step *step)
{
	off_t at = (off_t)step->offset;

	return step->iov_count == 1 ? pread(fd, step->iov->iov_base, step->iov->iov_len, at)
				    : preadv(fd, step->iov, (int)step->iov_count, at);
}

int64_t vmm_disk_carry_out(int fd, const struct disk_step *step)
{
	ssize_t n;

	switch (step->call) {
	case DISK_READV:
		n = read_some(fd, step);
		break;
	case DISK_WRITEV:
		n = pwritev(fd, step->iov, (int)step->iov_count, (off_t)step->offset);
		break;
	case DISK_FALLOCATE:
		n = fallocate(fd, step->mode, (off_t)step->offset, (off_t)step->len);
		break;
	case DISK_SYNC:
	default:
		n = fdatasync(fd);
		break;
	}
	return n < 0 ? -errno : n;
}

static void turn(struct file_disk *disk)
{
	struct vmm_disk_request *req;
	struct disk_step step;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < TURN_STEPS && bytes < DISK_TURN_MAX; i++) {
		req = vmm_disk_list_pop(&disk->pending);
		if (!req) {
			break;
		}
		if (vmm_disk_plan(disk, req, &step)) {
			bytes += step.len;
			if (!vmm_disk_advance(disk, req, vmm_disk_carry_out(disk->fd, &step))) {
				vmm_disk_list_unpop(&disk->pending, req);
				continue;
			}
		}
		req->done(req, req->result);
	}
	if (disk->base.batch) {
		disk->base.batch(disk->base.batch_ctx);
	}
	if (disk->pending.head) {
		vmm_loop_post(disk->loop, &disk->more);
	}
}

static void turn_again(void *ctx)
{
	turn(ctx);
}

static int sync_attach(struct vmm_disk *base, struct vmm_loop *loop)
{
	struct file_disk *disk = (struct file_disk *)base;

	disk->loop = loop;
	disk->sync_error = 0;
	disk->more.fn = turn_again;
	disk->more.ctx = disk;
	return 0;
}

static void sync_submit(struct vmm_disk *base, struct vmm_disk_request *req)
{
	vmm_disk_accept((struct file_disk *)base, req);
}

static void sync_commit(struct vmm_disk *base)
{
	struct file_disk *disk = (struct file_disk *)base;

	/* A turn that was cut short goes on by itself: a busy guest must not get more of them. */
	if (disk->pending.head && !disk->more.queued) {
		turn(disk);
	}
}

static void sync_detach(struct vmm_disk *base)
{
	struct file_disk *disk = (struct file_disk *)base;

	vmm_loop_cancel(disk->loop, &disk->more);
	memset(&disk->pending, 0, sizeof(disk->pending));
	disk->loop = NULL;
}

static void sync_destroy(struct vmm_disk *base)
{
	vmm_disk_file_destroy((struct file_disk *)base);
}

const struct vmm_disk_ops vmm_disk_sync_ops = {
	.attach = sync_attach,
	.submit = sync_submit,
	.commit = sync_commit,
	.detach = sync_detach,
	.destroy = sync_destroy,
};
