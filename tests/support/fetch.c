/* SPDX-License-Identifier: MIT */
#include "fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FETCHES_MAX 65536u

static struct fetch fetches[FETCHES_MAX];
static size_t used;
static const uint8_t *watched;
static size_t watched_len;

void fetch_start(const void *base, size_t len)
{
	used = 0;
	watched_len = len;
	watched = base;
}

void fetch_stop(void)
{
	watched = NULL;
}

const struct fetch *fetch_list(size_t *count)
{
	*count = used;
	return fetches;
}

static void record(const volatile void *p, size_t len, bool write, bool atomic)
{
	uintptr_t at = (uintptr_t)p;
	uintptr_t start = (uintptr_t)watched;

	if (!watched || len == 0 || at >= start + watched_len || at + len <= start) {
		return;
	}
	if (used == FETCHES_MAX) {
		(void)fprintf(stderr, "fetch: too many accesses\n");
		abort();
	}
	fetches[used++] = (struct fetch){
		.at = watched + (ptrdiff_t)(at - start),
		.len = len,
		.write = write,
		.atomic = atomic,
	};
}

/* ---- what the compiler calls for each access ---- */

void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void __tsan_read_range(const void *p, size_t len);
void __tsan_write_range(void *p, size_t len);
void __tsan_atomic_thread_fence(int order);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void)
{
}

void __tsan_read_range(const void *p, size_t len)
{
	record(p, len, false, false);
}

void __tsan_write_range(void *p, size_t len)
{
	record(p, len, true, false);
}

void __tsan_atomic_thread_fence(int order)
{
	(void)order;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#define PLAIN(name, size, write)               \
	void __tsan_##name(const void *p);     \
	void __tsan_##name(const void *p)      \
	{                                      \
		record(p, size, write, false); \
	}

PLAIN(read1, 1, false)
PLAIN(read2, 2, false)
PLAIN(read4, 4, false)
PLAIN(read8, 8, false)
PLAIN(read16, 16, false)
PLAIN(unaligned_read2, 2, false)
PLAIN(unaligned_read4, 4, false)
PLAIN(unaligned_read8, 8, false)
PLAIN(unaligned_read16, 16, false)
PLAIN(write1, 1, true)
PLAIN(write2, 2, true)
PLAIN(write4, 4, true)
PLAIN(write8, 8, true)
PLAIN(write16, 16, true)
PLAIN(unaligned_write2, 2, true)
PLAIN(unaligned_write4, 4, true)
PLAIN(unaligned_write8, 8, true)
PLAIN(unaligned_write16, 16, true)

#define MODIFY(bits, op)                                                                      \
	uint##bits##_t __tsan_atomic##bits##_##op(volatile void *p, uint##bits##_t v, int o); \
	uint##bits##_t __tsan_atomic##bits##_##op(volatile void *p, uint##bits##_t v, int o)  \
	{                                                                                     \
		(void)o;                                                                      \
		record(p, sizeof(v), true, true);                                             \
		return __atomic_##op##_n((volatile uint##bits##_t *)p, v, __ATOMIC_SEQ_CST);  \
	}
#define __atomic_fetch_add_n __atomic_fetch_add
#define __atomic_fetch_sub_n __atomic_fetch_sub
#define __atomic_fetch_or_n  __atomic_fetch_or
#define __atomic_fetch_and_n __atomic_fetch_and

#define ATOMIC(bits)                                                                          \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile void *p, int o);             \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile void *p, int o)              \
	{                                                                                     \
		(void)o;                                                                      \
		record(p, bits / 8, false, true);                                             \
		return __atomic_load_n((const volatile uint##bits##_t *)p, __ATOMIC_SEQ_CST); \
	}                                                                                     \
	void __tsan_atomic##bits##_store(volatile void *p, uint##bits##_t v, int o);          \
	void __tsan_atomic##bits##_store(volatile void *p, uint##bits##_t v, int o)           \
	{                                                                                     \
		(void)o;                                                                      \
		record(p, bits / 8, true, true);                                              \
		__atomic_store_n((volatile uint##bits##_t *)p, v, __ATOMIC_SEQ_CST);          \
	}                                                                                     \
	MODIFY(bits, exchange)                                                                \
	MODIFY(bits, fetch_add)                                                               \
	MODIFY(bits, fetch_sub)                                                               \
	MODIFY(bits, fetch_or)                                                                \
	MODIFY(bits, fetch_and)

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

/* ---- libc ---- */

void *__real_memcpy(void *to, const void *from, size_t len);
void *__wrap_memcpy(void *to, const void *from, size_t len);
void *__real_memmove(void *to, const void *from, size_t len);
void *__wrap_memmove(void *to, const void *from, size_t len);
void *__real_memset(void *to, int byte, size_t len);
void *__wrap_memset(void *to, int byte, size_t len);
int __real_memcmp(const void *a, const void *b, size_t len);
int __wrap_memcmp(const void *a, const void *b, size_t len);

void *__wrap_memcpy(void *to, const void *from, size_t len)
{
	record(from, len, false, false);
	record(to, len, true, false);
	return __real_memcpy(to, from, len);
}

void *__wrap_memmove(void *to, const void *from, size_t len)
{
	record(from, len, false, false);
	record(to, len, true, false);
	return __real_memmove(to, from, len);
}

void *__wrap_memset(void *to, int byte, size_t len)
{
	record(to, len, true, false);
	return __real_memset(to, byte, len);
}

int __wrap_memcmp(const void *a, const void *b, size_t len)
{
	record(a, len, false, false);
	record(b, len, false, false);
	return __real_memcmp(a, b, len);
}

/* ---- the kernel ---- */

static void record_iov(const struct iovec *iov, size_t count, bool write, ssize_t len)
{
	for (size_t i = 0; i < count && len > 0; i++) {
		size_t part = iov[i].iov_len < (size_t)len ? iov[i].iov_len : (size_t)len;

		record(iov[i].iov_base, part, write, false);
		len -= (ssize_t)part;
	}
}

#define WRAP(name, write, params, args, iov, count)           \
	ssize_t __real_##name params;                         \
	ssize_t __wrap_##name params;                         \
	ssize_t __wrap_##name params                          \
	{                                                     \
		ssize_t len = __real_##name args;             \
                                                              \
		record_iov(iov, (size_t)(count), write, len); \
		return len;                                   \
	}

#define ONE(buf, len) (&(struct iovec){(void *)(uintptr_t)(buf), (len)})

WRAP(read, true, (int fd, void *buf, size_t n), (fd, buf, n), ONE(buf, n), 1)
WRAP(write, false, (int fd, const void *buf, size_t n), (fd, buf, n), ONE(buf, n), 1)
WRAP(readv, true, (int fd, const struct iovec *iov, int n), (fd, iov, n), iov, n)
WRAP(writev, false, (int fd, const struct iovec *iov, int n), (fd, iov, n), iov, n)
WRAP(pread64, true, (int fd, void *buf, size_t n, off_t at), (fd, buf, n, at), ONE(buf, n), 1)
WRAP(preadv, true, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at), iov, n)
WRAP(pwritev, false, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at), iov, n)
WRAP(preadv64, true, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at), iov, n)
WRAP(pwritev64, false, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at), iov, n)
WRAP(recvmsg, true, (int fd, struct msghdr *m, int f), (fd, m, f), m->msg_iov, m->msg_iovlen)
WRAP(sendmsg, false, (int fd, const struct msghdr *m, int f), (fd, m, f), m->msg_iov, m->msg_iovlen)
WRAP(getrandom, true, (void *buf, size_t n, unsigned f), (buf, n, f), ONE(buf, n), 1)
