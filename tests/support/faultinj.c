/* SPDX-License-Identifier: MIT */
#include "faultinj.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>

#define ROUNDS_MAX 10000

struct epoll_event;
struct stat;

static _Thread_local struct faultinj *armed;
static _Thread_local struct faultinj_watch *watching;

bool faultinj_next(struct faultinj *f)
{
	if (f->started && !f->failed) {
		return false;
	}
	f->started = true;
	f->failed = NULL;
	f->seen = 0;
	f->n++;
	if (f->n > ROUNDS_MAX) {
		(void)fprintf(stderr, "faultinj: it never ends\n");
		abort();
	}
	armed = f;
	return true;
}

void faultinj_stop(struct faultinj *f)
{
	(void)f;
	armed = NULL;
}

void faultinj_watch(struct faultinj_watch *w)
{
	*w = (struct faultinj_watch){0};
	watching = w;
}

void faultinj_unwatch(void)
{
	watching = NULL;
}

/* Of the functions that can fail, those that neither take memory nor make a descriptor. */
static bool is_harmless(const char *name)
{
	static const char *const harmless[] = {
		"bind",  "epoll_ctl", "fcntl",  "fstat",   "ftruncate",
		"ioctl", "listen",    "pwrite", "syscall",
	};

	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		if (strcmp(name, harmless[i]) == 0) {
			return true;
		}
	}
	return false;
}

static void note(const char *name)
{
	if (watching && !is_harmless(name)) {
		watching->calls++;
		watching->first = watching->first ? watching->first : name;
	}
}

/* True when this call has to fail; errno is set then. */
static bool must_fail(const char *name, int error)
{
	struct faultinj *f = armed;

	note(name);
	if (!f || f->failed || (f->only && strcmp(f->only, name) != 0)) {
		return false;
	}
	f->seen++;
	if (f->seen != f->n) {
		return false;
	}
	f->failed = name;
	errno = error;
	return true;
}

/*
 * WRAP(type, name, parameters, arguments, failure, errno): __wrap_name, which the linker puts in
 * the place of name. With 64-bit file offsets glibc's headers call some functions by another name;
 * WRAP_AS covers those.
 */
#define WRAP_AS(type, symbol, name, params, args, failure, error)                  \
	type __real_##symbol params;                                               \
	type __wrap_##symbol params;                                               \
	type __wrap_##symbol params                                                \
	{                                                                          \
		return must_fail(#name, error) ? (failure) : __real_##symbol args; \
	}
#define WRAP(type, name, params, args, failure, error) \
	WRAP_AS(type, name, name, params, args, failure, error)
#define WRAP64(type, name, params, args, failure, error)        \
	WRAP_AS(type, name, name, params, args, failure, error) \
	WRAP_AS(type, name##64, name, params, args, failure, error)

/* Identifiers that begin with two underscores are the linker's choice here. */
WRAP(void *, malloc, (size_t size), (size), NULL, ENOMEM)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
WRAP(void *, realloc, (void *p, size_t size), (p, size), NULL, ENOMEM)
WRAP(char *, strdup, (const char *s), (s), NULL, ENOMEM)
WRAP(int, posix_memalign, (void **p, size_t align, size_t size), (p, align, size), ENOMEM, ENOMEM)
WRAP64(void *, mmap, (void *addr, size_t len, int prot, int flags, int fd, off_t offset),
       (addr, len, prot, flags, fd, offset), MAP_FAILED, ENOMEM)
WRAP64(int, ftruncate, (int fd, off_t len), (fd, len), -1, EIO)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
WRAP(int, eventfd, (unsigned initial, int flags), (initial, flags), -1, EMFILE)
WRAP(int, epoll_create1, (int flags), (flags), -1, EMFILE)
WRAP(int, epoll_ctl, (int epfd, int op, int fd, struct epoll_event *event), (epfd, op, fd, event),
     -1, ENOMEM)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), -1, EMFILE)
WRAP(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), -1, EMFILE)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
WRAP(int, socketpair, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds), -1, EMFILE)
WRAP(int, bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len), -1,
     EADDRINUSE)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), -1, EIO)
WRAP(int, dup, (int fd), (fd), -1, EMFILE)
WRAP64(int, fstat, (int fd, struct stat *st), (fd, st), -1, EIO)
WRAP(int, inotify_init1, (int flags), (flags), -1, EMFILE)
WRAP(int, posix_openpt, (int flags), (flags), -1, ENOSPC)
WRAP64(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t offset), (fd, buf, len, offset),
       -1, ENOSPC)
WRAP(int, mount,
     (const char *source, const char *target, const char *type, unsigned long flags,
      const void *data),
     (source, target, type, flags, data), -1, EPERM)
WRAP(int, umount2, (const char *target, int flags), (target, flags), -1, EINVAL)
WRAP(int, unshare, (int flags), (flags), -1, ENOSPC)
WRAP(pid_t, fork, (void), (), -1, EAGAIN)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg),
     (thread, attr, start, arg), EAGAIN, EAGAIN)

/* These two never fail, but are watched. */
void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	if (p) {
		note("free");
	}
	__real_free(p);
}

int __real_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len)
{
	note("munmap");
	return __real_munmap(addr, len);
}

/* Variadic in libc, but one more argument of a register's size is all that is ever passed. */
#define WRAP_VARIADIC(symbol, name, fixed_type, fixed2_type, error)             \
	int __real_##symbol(fixed_type a, fixed2_type b, ...);                  \
	int __wrap_##symbol(fixed_type a, fixed2_type b, ...);                  \
	int __wrap_##symbol(fixed_type a, fixed2_type b, ...)                   \
	{                                                                       \
		va_list ap;                                                     \
		unsigned long c;                                                \
                                                                                \
		va_start(ap, b);                                                \
		c = va_arg(ap, unsigned long);                                  \
		va_end(ap);                                                     \
		return must_fail(#name, error) ? -1 : __real_##symbol(a, b, c); \
	}

WRAP_VARIADIC(open, open, const char *, int, EMFILE)
WRAP_VARIADIC(open64, open, const char *, int, EMFILE)
WRAP_VARIADIC(fcntl, fcntl, int, int, EINVAL)
WRAP_VARIADIC(fcntl64, fcntl, int, int, EINVAL)
WRAP_VARIADIC(ioctl, ioctl, int, unsigned long, ENODEV)

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	unsigned mode;

	va_start(ap, flags);
	mode = va_arg(ap, unsigned);
	va_end(ap);
	return must_fail("openat", EMFILE) ? -1 : __real_openat(dir, path, flags, mode);
}

int __real_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...)
{
	va_list ap;
	unsigned mode;

	va_start(ap, flags);
	mode = va_arg(ap, unsigned);
	va_end(ap);
	return must_fail("openat", EMFILE) ? -1 : __real_openat64(dir, path, flags, mode);
}

int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
int __wrap_prctl(int option, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, option);
	for (int i = 0; i < 4; i++) {
		a[i] = va_arg(ap, unsigned long);
	}
	va_end(ap);
	return must_fail("prctl", EINVAL) ? -1 : __real_prctl(option, a[0], a[1], a[2], a[3]);
}

/* System calls without a function in libc (io_uring). */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++) {
		a[i] = va_arg(ap, long);
	}
	va_end(ap);
	return must_fail("syscall", ENOSYS)
		       ? -1
		       : __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
