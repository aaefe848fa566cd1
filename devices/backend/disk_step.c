/* SPDX-License-Identifier: MIT */
/* The steps of a disk request; see disk_priv.h. */
#include "backend/disk_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

/* A step that was interrupted this often without moving a byte will not get anywhere. */
#define RETRIES_MAX 1000

/* What Linux takes in one preadv (UIO_MAXIOV). */
#define IOV_COUNT_MAX 1024

enum phase {
	PHASE_DATA,
	PHASE_SYNC, /* of a VMM_DISK_THROUGH request, after its data */
	PHASE_COMPLETE,
};

void vmm_disk_list_push(struct disk_list *list, struct vmm_disk_request *req)
{
	req->next = NULL;
	if (list->tail) {
		list->tail->next = req;
	} else {
		list->head = req;
	}
	list->tail = req;
}

void vmm_disk_list_unpop(struct disk_list *list, struct vmm_disk_request *req)
{
	req->next = list->head;
	list->head = req;
	if (!list->tail) {
		list->tail = req;
	}
}

struct vmm_disk_request *vmm_disk_list_pop(struct disk_list *list)
{
	struct vmm_disk_request *req = list->head;

	if (req) {
		list->head = req->next;
		if (!list->head) {
			list->tail = NULL;
		}
		req->next = NULL;
	}
	return req;
}

static void complete(struct vmm_disk_request *req, int result)
{
	req->result = result;
	req->phase = PHASE_COMPLETE;
}

/* Whether a read-only disk must refuse it. */
static bool changes_data(const struct vmm_disk_request *req)
{
	return req->op != VMM_DISK_READ && req->op != VMM_DISK_FLUSH;
}

static uint64_t iov_total(const struct vmm_disk_request *req)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < req->iov_count; i++) {
		total += req->iov[i].iov_len;
	}
	return total;
}

static bool in_range(const struct file_disk *disk, const struct vmm_disk_request *req)
{
	if (req->op == VMM_DISK_FLUSH) {
		return true;
	}
	if (req->offset > disk->base.capacity || req->len > disk->base.capacity - req->offset) {
		return false;
	}
	if (req->op == VMM_DISK_READ || req->op == VMM_DISK_WRITE) {
		return iov_total(req) == req->len;
	}
	return true;
}

static bool nothing_to_do(const struct file_disk *disk, const struct vmm_disk_request *req)
{
	if (req->op == VMM_DISK_FLUSH) {
		/* Nothing was ever written through a read-only descriptor. */
		return disk->base.read_only;
	}
	return req->len == 0;
}

void vmm_disk_accept(struct file_disk *disk, struct vmm_disk_request *req)
{
	req->progress = 0;
	req->retries = 0;
	req->phase = PHASE_DATA;
	req->result = 0;
	if (disk->base.read_only && changes_data(req)) {
		complete(req, -EROFS);
	} else if (!in_range(disk, req)) {
		complete(req, -EINVAL);
	} else if (nothing_to_do(disk, req)) {
		complete(req, 0);
	}
	vmm_disk_list_push(&disk->pending, req);
}

/* As many whole iovecs as fit a step, or a part of the first. */
static void plan_transfer(struct vmm_disk_request *req, struct disk_step *step)
{
	unsigned count = 0;
	uint64_t len = 0;

	while (count < req->iov_count && count < IOV_COUNT_MAX &&
	       req->iov[count].iov_len <= DISK_STEP_MAX - len) {
		len += req->iov[count].iov_len;
		count++;
	}
	step->iov = req->iov;
	if (count == 0) {
		req->clip.iov_base = req->iov[0].iov_base;
		req->clip.iov_len = DISK_STEP_MAX;
		step->iov = &req->clip;
		count = 1;
		len = DISK_STEP_MAX;
	}
	step->iov_count = count;
	step->len = len;
	step->call = req->op == VMM_DISK_READ ? DISK_READV : DISK_WRITEV;
}

static void plan_zeroes(struct file_disk *disk, struct vmm_disk_request *req,
			struct disk_step *step)
{
	step->call = DISK_FALLOCATE;
	if ((req->flags & VMM_DISK_UNMAP) && !disk->no_punch_hole) {
		step->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		return;
	}
	if (!disk->no_zero_range) {
		step->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
		return;
	}
	if (step->len > DISK_STEP_MAX) {
		step->len = DISK_STEP_MAX;
	}
	req->clip.iov_base = disk->zeroes;
	req->clip.iov_len = (size_t)step->len;
	step->iov = &req->clip;
	step->iov_count = 1;
	step->call = DISK_WRITEV;
}

static void plan_sync(struct file_disk *disk, struct vmm_disk_request *req, struct disk_step *step)
{
	step->call = DISK_SYNC;
	step->len = 0;
	if (disk->sync_error != 0) {
		complete(req, disk->sync_error);
	}
}

static void plan_data(struct file_disk *disk, struct vmm_disk_request *req, struct disk_step *step)
{
	switch (req->op) {
	case VMM_DISK_READ:
	case VMM_DISK_WRITE:
		plan_transfer(req, step);
		break;
	case VMM_DISK_DISCARD:
		step->call = DISK_FALLOCATE;
		step->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		break;
	case VMM_DISK_WRITE_ZEROES:
		plan_zeroes(disk, req, step);
		break;
	case VMM_DISK_FLUSH:
		plan_sync(disk, req, step);
		break;
	default:
		complete(req, -EINVAL);
		break;
	}
}

bool vmm_disk_plan(struct file_disk *disk, struct vmm_disk_request *req, struct disk_step *step)
{
	if (req->phase == PHASE_COMPLETE) {
		return false;
	}
	*step = (struct disk_step){
		.offset = req->offset + req->progress,
		.len = req->len - req->progress,
	};
	if (req->phase == PHASE_SYNC) {
		plan_sync(disk, req, step);
	} else {
		plan_data(disk, req, step);
	}
	req->call = step->call;
	req->mode = step->mode;
	return req->phase != PHASE_COMPLETE;
}

/* Steps the iovecs over n bytes that were moved. */
static void consume(struct vmm_disk_request *req, uint64_t n)
{
	while (n > 0 && req->iov_count > 0) {
		struct iovec *iov = req->iov;
		size_t part = n < iov->iov_len ? (size_t)n : iov->iov_len;

		iov->iov_base = (char *)iov->iov_base + part;
		iov->iov_len -= part;
		n -= part;
		if (iov->iov_len == 0) {
			req->iov++;
			req->iov_count--;
		}
	}
}

static void data_is_there(struct vmm_disk_request *req)
{
	if (changes_data(req) && (req->flags & VMM_DISK_THROUGH)) {
		req->phase = PHASE_SYNC;
	} else {
		complete(req, 0);
	}
}

static void moved(struct vmm_disk_request *req, uint64_t n)
{
	if (n == 0 || n > req->len - req->progress) {
		/* The file ends before its capacity: somebody truncated it. */
		complete(req, -EIO);
		return;
	}
	req->retries = 0;
	req->progress += n;
	if (req->op != VMM_DISK_WRITE_ZEROES) {
		consume(req, n);
	}
	if (req->progress == req->len) {
		data_is_there(req);
	}
}

static void synced(struct file_disk *disk, struct vmm_disk_request *req, int result)
{
	if (result < 0 && disk->sync_error == 0) {
		disk->sync_error = result;
	}
	complete(req, disk->sync_error);
}

/* True when there is another way to the same end. */
static bool other_way(struct file_disk *disk, const struct vmm_disk_request *req)
{
	if (req->op != VMM_DISK_WRITE_ZEROES) {
		return false;
	}
	if (req->mode & FALLOC_FL_PUNCH_HOLE) {
		disk->no_punch_hole = true;
	} else {
		disk->no_zero_range = true;
	}
	return true;
}

static void failed(struct file_disk *disk, struct vmm_disk_request *req, int error)
{
	if (error == -EINTR || error == -EAGAIN) {
		req->retries++;
		if (req->retries > RETRIES_MAX) {
			complete(req, -EIO);
		}
	} else if (req->call == DISK_SYNC) {
		synced(disk, req, error);
	} else if (req->call != DISK_FALLOCATE || error != -EOPNOTSUPP || !other_way(disk, req)) {
		complete(req, error);
	}
}

bool vmm_disk_advance(struct file_disk *disk, struct vmm_disk_request *req, int64_t result)
{
	if (result < 0) {
		failed(disk, req, (int)result);
	} else if (req->call == DISK_SYNC) {
		synced(disk, req, 0);
	} else if (req->call == DISK_FALLOCATE) {
		data_is_there(req);
	} else {
		moved(req, (uint64_t)result);
	}
	return req->phase == PHASE_COMPLETE;
}
