/* SPDX-License-Identifier: MIT */
/*
 * Inside of the file disk: what its two engines share. A request is carried out in steps, one
 * system call (or one io_uring entry) each; plan says what the next step is, advance says what its
 * result means. So both engines agree on short transfers, retries, errors and write-through.
 */
#ifndef DEVICES_BACKEND_DISK_PRIV_H
#define DEVICES_BACKEND_DISK_PRIV_H

#include <vmm/dev/disk.h>

/* Bytes moved in one step, so that a huge request shares the loop with others. */
#define DISK_STEP_MAX (1u << 20)
/* Bytes moved in one turn of the loop (one step more at most). */
#define DISK_TURN_MAX (8u << 20)

enum disk_call {
	DISK_READV,
	DISK_WRITEV,
	DISK_FALLOCATE,
	DISK_SYNC,
};

struct disk_step {
	enum disk_call call;
	const struct iovec *iov; /* READV, WRITEV; valid until the step's result is in */
	unsigned iov_count;
	uint64_t offset;
	uint64_t len;
	int mode; /* FALLOCATE */
};

struct disk_list {
	struct vmm_disk_request *head;
	struct vmm_disk_request *tail;
};

struct vmm_uring;

struct file_disk {
	struct vmm_disk base;
	int fd;
	/*
	 * The first error of fdatasync since attach. Linux reports lost dirty pages once and then
	 * calls them clean, so a later fdatasync that succeeds proves nothing about them: every
	 * flush fails until the driver has reset the device and knows that it must start over.
	 */
	int sync_error;
	bool no_zero_range; /* what fallocate turned out not to do here */
	bool no_punch_hole;
	void *zeroes; /* DISK_STEP_MAX bytes of the kernel's zero page, read-only */

	struct vmm_loop *loop; /* NULL while detached */
	struct vmm_work more;  /* the rest of a turn that was too long */
	struct disk_list pending;

	/* io_uring only */
	struct vmm_uring *ring;
	struct vmm_source *source;
	struct disk_list sync_waiting; /* only one fdatasync runs at a time: see disk_uring.c */
	bool sync_running;
};

void vmm_disk_list_push(struct disk_list *list, struct vmm_disk_request *req);
void vmm_disk_list_unpop(struct disk_list *list, struct vmm_disk_request *req);
struct vmm_disk_request *vmm_disk_list_pop(struct disk_list *list);

/* Checks a new request and queues it as pending; one that is refused carries its result already. */
void vmm_disk_accept(struct file_disk *disk, struct vmm_disk_request *req);
/* Fills step; false when the request is complete (req->result). */
bool vmm_disk_plan(struct file_disk *disk, struct vmm_disk_request *req, struct disk_step *step);
/*
 * Takes the result of the step planned last: bytes, 0 or a negative errno. True when the request is
 * complete (req->result).
 */
bool vmm_disk_advance(struct file_disk *disk, struct vmm_disk_request *req, int64_t result);

/* One step as a system call on this thread; its result as for vmm_disk_advance. */
int64_t vmm_disk_carry_out(int fd, const struct disk_step *step);

extern const struct vmm_disk_ops vmm_disk_sync_ops;
extern const struct vmm_disk_ops vmm_disk_uring_ops;

/* Makes disk->ring for fd. 0 or the negative errno of io_uring_setup, mmap, ... */
int vmm_disk_uring_create(struct file_disk *disk, int fd);
bool vmm_disk_uring_is_restricted(const struct file_disk *disk);
int vmm_disk_uring_fd(const struct file_disk *disk);
/* Closes and frees what there is in disk, but the ring. */
void vmm_disk_file_destroy(struct file_disk *disk);

#endif
