/* SPDX-License-Identifier: MIT */
/*
 * In the place of the calls with which the product lets the kernel read and write guest memory, of
 * memcmp, and of the carrier's and the loop's ways in: those are where a device begins its work.
 */
#include "judge_priv.h"

#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <vmm/carrier.h>
#include <vmm/loop.h>

static void load_all(const struct iovec *iov, int count, ssize_t len)
{
	for (int i = 0; i < count && len > 0; i++) {
		size_t n = (size_t)len < iov[i].iov_len ? (size_t)len : iov[i].iov_len;

		watch_load(iov[i].iov_base, n);
		len -= (ssize_t)n;
	}
}

static void store_all(const struct iovec *iov, int count, ssize_t len)
{
	for (int i = 0; i < count && len > 0; i++) {
		size_t n = (size_t)len < iov[i].iov_len ? (size_t)len : iov[i].iov_len;

		watch_store(iov[i].iov_base, n);
		len -= (ssize_t)n;
	}
}

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

/* After the fact: what was not sent was not fetched, and may be sent later. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t ret;

	watch_settle();
	ret = __real_sendmsg(fd, msg, flags);
	load_all(msg->msg_iov, (int)msg->msg_iovlen, ret);
	return ret;
}

ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t ret;

	watch_settle();
	ret = __real_recvmsg(fd, msg, flags);
	store_all(msg->msg_iov, (int)msg->msg_iovlen, ret);
	return ret;
}

ssize_t __real_writev(int fd, const struct iovec *iov, int count);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int count);

ssize_t __wrap_writev(int fd, const struct iovec *iov, int count)
{
	ssize_t ret;

	watch_settle();
	ret = __real_writev(fd, iov, count);
	load_all(iov, count, ret);
	return ret;
}

ssize_t __real_readv(int fd, const struct iovec *iov, int count);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int count);

ssize_t __wrap_readv(int fd, const struct iovec *iov, int count)
{
	ssize_t ret;

	watch_settle();
	ret = __real_readv(fd, iov, count);
	store_all(iov, count, ret);
	return ret;
}

ssize_t __real_getrandom(void *to, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags);

ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags)
{
	ssize_t ret;

	watch_settle();
	ret = __real_getrandom(to, len, flags);
	watch_store(to, ret > 0 ? (size_t)ret : 0);
	return ret;
}

int __real_memcmp(const void *a, const void *b, size_t len);
int __wrap_memcmp(const void *a, const void *b, size_t len);

/* Harnesses compare guest memory outside of brackets. */
int __wrap_memcmp(const void *a, const void *b, size_t len)
{
	if (judge.depth > 0) {
		watch_load(a, len);
		watch_load(b, len);
	}
	return __real_memcmp(a, b, len);
}

bool watch_same(const void *a, const void *b, size_t len)
{
	return __real_memcmp(a, b, len) == 0;
}

/* ---- where devices begin their work ---- */

void __real_vmm_carrier_kick(struct vmm_carrier *c, unsigned queue);
void __wrap_vmm_carrier_kick(struct vmm_carrier *c, unsigned queue);

void __wrap_vmm_carrier_kick(struct vmm_carrier *c, unsigned queue)
{
	judge_begin_hot(judge.rules & JUDGE_LOOP);
	__real_vmm_carrier_kick(c, queue);
	judge_end();
}

void __real_vmm_carrier_set_status(struct vmm_carrier *c, uint8_t status);
void __wrap_vmm_carrier_set_status(struct vmm_carrier *c, uint8_t status);

void __wrap_vmm_carrier_set_status(struct vmm_carrier *c, uint8_t status)
{
	judge_begin();
	__real_vmm_carrier_set_status(c, status);
	judge_end();
}

void __real_vmm_carrier_write_config(struct vmm_carrier *c, size_t offset, const void *buf,
				     size_t len);
void __wrap_vmm_carrier_write_config(struct vmm_carrier *c, size_t offset, const void *buf,
				     size_t len);

void __wrap_vmm_carrier_write_config(struct vmm_carrier *c, size_t offset, const void *buf,
				     size_t len)
{
	judge_begin();
	__real_vmm_carrier_write_config(c, offset, buf, len);
	judge_end();
}

int __real_vmm_loop_dispatch(struct vmm_loop *loop, int timeout_ms);
int __wrap_vmm_loop_dispatch(struct vmm_loop *loop, int timeout_ms);

int __wrap_vmm_loop_dispatch(struct vmm_loop *loop, int timeout_ms)
{
	int ret;

	judge_begin_hot(judge.rules & JUDGE_LOOP);
	ret = __real_vmm_loop_dispatch(loop, timeout_ms);
	judge_end();
	return ret;
}
