/* SPDX-License-Identifier: MIT */
/* Private to virtio-gpu: descriptors, and memory that has one. None of these calls blocks. */
#ifndef VMM_DEVICES_GPU_FDS_H
#define VMM_DEVICES_GPU_FDS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Memory that guests map comes in whole pages of theirs. */
#define GPU_PAGE UINT64_C(4096)

/* Bytes of host memory that a guest may have made. */
struct gpu_budget {
	uint64_t used; /* any thread may look, atomically */
	uint64_t max;
};

/* -ENOSPC. */
int vmm_gpu_budget_charge(struct gpu_budget *budget, uint64_t bytes);

void vmm_gpu_budget_release(struct gpu_budget *budget, uint64_t bytes);

/* Rounded up to whole pages; 0 when that is more than a file can have. */
uint64_t vmm_gpu_page_round(uint64_t bytes);

/* A memfd of size bytes whose size nobody can change, or a negative errno. */
int vmm_gpu_memory(uint64_t size);

/* What a descriptor from the compositor is good for. */
enum fd_kind {
	FD_FILE,
	FD_WRITE_PIPE,
};

/* Files from the compositor are tables (keymaps); there is no reason for a long one. */
#define FD_FILE_MAX (UINT64_C(4) << 20)

/*
 * Says what fd is; *size is that of a file, 0 that of /dev/null. -EPROTO: nothing that can be
 * passed on. A file that cannot be read counts as one.
 */
int vmm_gpu_classify(int fd, enum fd_kind *kind, uint64_t *size);

/*
 * The first size bytes, not 0, of a file in memory of our own, in whole pages: it stays as it is
 * whatever happens to the file, and a guest may write to it. A descriptor or a negative errno.
 */
int vmm_gpu_snapshot(int fd, uint64_t size);

/* 0 or a negative errno. For descriptors whose other holders do not mind. */
int vmm_gpu_set_nonblocking(int fd);

void vmm_gpu_close_fds(const int *fds, unsigned count);

/*
 * One sendmsg, without waiting and without a signal. Up to XD_IDS_MAX descriptors, borrowed.
 */
ssize_t vmm_gpu_send_fds(int fd, const struct iovec *bytes, const int *fds, unsigned count);

/*
 * One recvmsg. fds has room for XD_IDS_MAX; *count of them are now the caller's, whatever this
 * returns. -EAGAIN; -EPROTO when descriptors were lost; else errno.
 */
ssize_t vmm_gpu_recv_fds(int fd, const struct iovec *bytes, int *fds, unsigned *count);

#endif
