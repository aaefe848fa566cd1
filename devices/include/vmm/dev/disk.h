/* SPDX-License-Identifier: MIT */
/*
 * Disk back ends: where the sectors of a block device live. One implementation stands here, a raw
 * file or block device; a program (or a test) may bring its own by filling struct vmm_disk.
 *
 * Image bytes are data and are never interpreted: no formats, no backing files, no partition
 * tables. The capacity is fixed when the disk is opened and nothing is ever written beyond it.
 *
 *	open -> attach(loop) -> submit, commit ... done -> detach -> (attach again) -> destroy
 *
 * Requests are asynchronous: submit takes them, commit starts them, and done is called for each
 * on the loop's thread, from inside commit or from the loop, never from inside submit.
 */
#ifndef VMM_DEV_DISK_H
#define VMM_DEV_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vmm/error.h>
#include <vmm/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMM_DISK_SECTOR 512u

struct vmm_disk;
struct vmm_disk_request;

enum vmm_disk_op {
	VMM_DISK_READ = 1,
	VMM_DISK_WRITE,
	VMM_DISK_FLUSH,        /* offset and len do not matter */
	VMM_DISK_DISCARD,      /* the range may read as anything afterwards */
	VMM_DISK_WRITE_ZEROES, /* the range reads as zeroes afterwards */
};

/* The request is complete only when its effect is on stable storage (any op that changes data). */
#define VMM_DISK_THROUGH 0x1u
/* WRITE_ZEROES may give the storage of the range back. */
#define VMM_DISK_UNMAP 0x2u

/*
 * result: 0, or a negative errno: -EROFS (a change to a read-only disk), -EINVAL (outside the
 * capacity), -EOPNOTSUPP (DISCARD only), -EIO, -ENOSPC, ... After an error the bytes of the range
 * are undefined. The request may be submitted again from inside.
 */
typedef void (*vmm_disk_done_fn)(struct vmm_disk_request *req, int result);

/*
 * One request: memory of whoever submits it, zero-initialised, left alone from submit until done
 * is called or detach returned.
 */
struct vmm_disk_request {
	enum vmm_disk_op op;
	unsigned flags;     /* VMM_DISK_THROUGH, VMM_DISK_UNMAP */
	uint64_t offset;    /* bytes */
	uint64_t len;       /* bytes; for READ and WRITE the sum of iov */
	struct iovec *iov;  /* READ, WRITE: the caller's array, which the disk changes as it goes */
	unsigned iov_count; /* at most IOV_MAX (1024) */
	vmm_disk_done_fn done;
	void *ctx; /* the submitter's */

	/* Private to the disk. */
	struct vmm_disk_request *next;
	uint64_t progress;
	struct iovec clip;
	unsigned phase;
	unsigned call;
	int mode;
	unsigned retries;
	int result;
};

/*
 * Called after every group of done calls, wherever they came from: the moment to tell the guest,
 * once for all of them.
 */
typedef void (*vmm_disk_batch_fn)(void *ctx);

/* All on the loop's thread, but destroy, which wants the disk detached. */
struct vmm_disk_ops {
	/* Before the first submit; sets the disk to work on loop. 0, -ENOMEM, errno of epoll_ctl.
	 */
	int (*attach)(struct vmm_disk *disk, struct vmm_loop *loop);
	/* Takes one request. Cannot fail: whatever is wrong with it is told through done. */
	void (*submit)(struct vmm_disk *disk, struct vmm_disk_request *req);
	/* Starts what was submitted; requests submitted from inside done need no commit. */
	void (*commit)(struct vmm_disk *disk);
	/*
	 * Forgets every request: when it returns nothing, the kernel included, touches their memory
	 * any more and done will not be called. Waits for what the kernel is busy with.
	 */
	void (*detach)(struct vmm_disk *disk);
	void (*destroy)(struct vmm_disk *disk);
};

/* Filled by the implementation and constant from then on, but the last group. */
struct vmm_disk {
	const struct vmm_disk_ops *ops;
	uint64_t capacity; /* bytes, a multiple of VMM_DISK_SECTOR */
	bool read_only;
	bool discard; /* DISCARD is worth offering */

	/* Set by the disk's user before attach. batch may be NULL. */
	vmm_disk_batch_fn batch;
	void *batch_ctx;
};

enum vmm_disk_engine {
	VMM_DISK_AUTO,  /* io_uring when the kernel lets us, else SYNC */
	VMM_DISK_SYNC,  /* preadv, pwritev, fdatasync, fallocate on the loop's thread */
	VMM_DISK_URING, /* io_uring or an error */
};

struct vmm_disk_config {
	bool read_only;
	enum vmm_disk_engine engine;
};

/*
 * Opens a raw image or a block device; symbolic links are followed. A writable disk is locked
 * against a second writer (an open file description lock, so also against one in this process)
 * until it is destroyed; a read-only one takes no lock. On failure *out is NULL and err says why in
 * words.
 * Errors: errno of open; -EISDIR; -EINVAL (neither a regular file nor a block device, or smaller
 * than a sector); -EBUSY (another writer, still there after half a second); -ENOMEM;
 * VMM_DISK_URING: errno of io_uring_setup.
 */
int vmm_disk_open(struct vmm_disk **out, const char *path, const struct vmm_disk_config *config,
		  struct vmm_error *err);

/*
 * The same for a descriptor that is open already: taken over on success (and closed by destroy),
 * left to the caller on failure. O_NONBLOCK is cleared on it. More errors: -EBADF; -EACCES (the
 * descriptor's access mode does not allow what config asks for); -EINVAL (O_APPEND, O_PATH).
 */
int vmm_disk_open_fd(struct vmm_disk **out, int fd, const struct vmm_disk_config *config,
		     struct vmm_error *err);

/* The engine at work in a disk made by the two functions above: SYNC or URING. */
enum vmm_disk_engine vmm_disk_get_engine(const struct vmm_disk *disk);

/*
 * True when the disk has an io_uring that takes nothing but the operations it needs on its own
 * file, and cannot be changed: a process with such a ring and io_uring_enter can do no more than
 * one without. False for SYNC, which has no ring, and on Linux before 5.10, where a ring can do
 * whatever the process could before its system calls were filtered. Which flags a ring is entered
 * with is not restricted: IORING_ENTER_GETEVENTS or none are used.
 */
bool vmm_disk_is_restricted(const struct vmm_disk *disk);

/*
 * The descriptor behind a disk made by these functions, which owns it: for handing the disk, with
 * its lock, to another process, which uses vmm_disk_open_fd.
 */
int vmm_disk_get_fd(const struct vmm_disk *disk);

/*
 * The descriptor of a disk's io_uring, owned by the disk, for a process that closes all others; -1:
 * it has none.
 */
int vmm_disk_ring_fd(const struct vmm_disk *disk);

/* Destroys a disk of any implementation, which must not be attached. NULL is a no-op. */
void vmm_disk_destroy(struct vmm_disk *disk);

#ifdef __cplusplus
}
#endif

#endif
