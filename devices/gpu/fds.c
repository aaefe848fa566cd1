/* SPDX-License-Identifier: MIT */
#include "gpu/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "gpu/xdomain.h"

int vmm_gpu_budget_charge(struct gpu_budget *budget, uint64_t bytes)
{
	if (budget->used > budget->max || bytes > budget->max - budget->used) {
		return -ENOSPC;
	}
	__atomic_store_n(&budget->used, budget->used + bytes, __ATOMIC_RELAXED);
	return 0;
}

void vmm_gpu_budget_release(struct gpu_budget *budget, uint64_t bytes)
{
	__atomic_store_n(&budget->used, budget->used - bytes, __ATOMIC_RELAXED);
}

uint64_t vmm_gpu_page_round(uint64_t bytes)
{
	return bytes > INT64_MAX - GPU_PAGE ? 0 : (bytes + GPU_PAGE - 1) / GPU_PAGE * GPU_PAGE;
}

int vmm_gpu_memory(uint64_t size)
{
	int fd = memfd_create("vmm-gpu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret = 0;

	if (fd < 0) {
		return -errno;
	}
	if (size > INT64_MAX || ftruncate(fd, (off_t)size) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		ret = size > INT64_MAX ? -EFBIG : -errno;
		(void)close(fd);
		return ret;
	}
	return fd;
}

int vmm_gpu_classify(int fd, enum fd_kind *kind, uint64_t *size)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) != 0) {
		return -EPROTO;
	}
	*size = 0;
	*kind = FD_FILE;
	if (S_ISREG(st.st_mode) && (flags & O_ACCMODE) != O_WRONLY && st.st_size >= 0 &&
	    (uint64_t)st.st_size <= FD_FILE_MAX) {
		*size = (uint64_t)st.st_size;
		return 0;
	}
	/* What a compositor without a keymap gives in its place. */
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) {
		return 0;
	}
	*kind = FD_WRITE_PIPE;
	return S_ISFIFO(st.st_mode) && (flags & O_ACCMODE) == O_WRONLY ? 0 : -EPROTO;
}

/* As much of the file as there is. */
static void read_file(int fd, uint8_t *to, uint64_t size)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, to + done, size - done, (off_t)done);

		if (n <= 0) {
			return;
		}
		done += (uint64_t)n;
	}
}

int vmm_gpu_snapshot(int fd, uint64_t size)
{
	uint64_t len = vmm_gpu_page_round(size);
	int copy = vmm_gpu_memory(len);
	void *to;

	if (copy < 0) {
		return copy;
	}
	to = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0);
	if (to == MAP_FAILED) {
		(void)close(copy);
		return -ENOMEM;
	}
	read_file(fd, to, size);
	(void)munmap(to, len);
	return copy;
}

int vmm_gpu_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

void vmm_gpu_close_fds(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		(void)close(fds[i]);
	}
}

/* Room for the descriptors of one message, aligned as the kernel wants it. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(XD_IDS_MAX * sizeof(int))];
};

ssize_t vmm_gpu_send_fds(int fd, const struct iovec *bytes, const int *fds, unsigned count)
{
	union control control;
	struct iovec iov = *bytes;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (count > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static unsigned take_fds(struct msghdr *msg, int *fds)
{
	unsigned count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

			memcpy(fds + count, CMSG_DATA(c), n * sizeof(int));
			count += n;
		}
	}
	return count;
}

ssize_t vmm_gpu_recv_fds(int fd, const struct iovec *bytes, int *fds, unsigned *count)
{
	union control control;
	struct iovec iov = *bytes;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*count = 0;
	if (n < 0) {
		return errno == EINTR ? -EAGAIN : -errno;
	}
	*count = take_fds(&msg, fds);
	return (msg.msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : n;
}
