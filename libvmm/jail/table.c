/* SPDX-License-Identifier: MIT */
/*
 * The allow-lists: data only. A profile is what one kind of process or thread does once it runs;
 * the first rules are those of the data path, as the filter looks at them in this order.
 *
 * The release is linked with musl, and the budgets of tests/jail/sweep are for it. glibc and
 * AddressSanitizer use other calls for the same functions: GLIBC_RULES and SANITIZER_RULES, empty
 * in the release, are the only places for those.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "arch.h"
#include "internal.h"
#include "sanitized.h"

/* ---- how rules are written ---- */

#define ANY(call)                               \
	{                                       \
		.nr = SYS_##call, .name = #call \
	}
#define CHECKED(call, ...)                                                 \
	{                                                                  \
		.nr = SYS_##call, .name = #call, .checks = { __VA_ARGS__ } \
	}
/* An argument that the kernel takes as int: its high half means nothing. */
#define INT_IS(n, v)                                                   \
	{                                                              \
		.arg = (n), .mask = 0xffffffff, .value = (uint32_t)(v) \
	}
/* These of its bits, likewise. */
#define BITS(n, bits, v)                                                     \
	{                                                                    \
		.arg = (n), .mask = (uint32_t)(bits), .value = (uint32_t)(v) \
	}
#define CLEAR(n, bits)                                 \
	{                                              \
		.arg = (n), .mask = (bits), .value = 0 \
	}
#define SET(n, bits)                                        \
	{                                                   \
		.arg = (n), .mask = (bits), .value = (bits) \
	}
#define IOCTL(request)   CHECKED(ioctl, INT_IS(1, request))
#define FCNTL(command)   CHECKED(fcntl, INT_IS(1, command))
#define FALLOCATE(mode)  CHECKED(fallocate, INT_IS(1, mode))
#define OWN_LIMIT(which) CHECKED(prlimit64, INT_IS(0, 0), INT_IS(1, which))
#define FUTEX(op)        CHECKED(futex, INT_IS(1, op))

/* ---- what the C library and the sanitizers add ---- */

#define NOTHING_EXECUTABLE \
	CHECKED(mmap, CLEAR(2, PROT_EXEC)), CHECKED(mprotect, CLEAR(2, PROT_EXEC))

#if defined(__GLIBC__)
#define GLIBC_RULES                                                                    \
	JAIL_GLIBC_WAIT_RULES, ANY(newfstatat), ANY(tgkill), ANY(getpid), ANY(gettid), \
		ANY(rt_sigprocmask), ANY(exit), FUTEX(FUTEX_WAIT_PRIVATE),             \
		FUTEX(FUTEX_WAKE_PRIVATE), FUTEX(FUTEX_WAIT_BITSET_PRIVATE),           \
		FUTEX(FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME)
#else
#define GLIBC_RULES
#endif

#if JAIL_SANITIZED
/* The last two: LeakSanitizer at exit finds that it may not, instead of dying. */
#define SANITIZER_RULES                                                                        \
	GLIBC_RULES, NOTHING_EXECUTABLE, ANY(munmap), ANY(mremap), ANY(madvise), ANY(brk),     \
		ANY(sched_yield), ANY(sigaltstack), ANY(rt_sigaction), ANY(rt_sigreturn),      \
		ANY(futex), ANY(write), ANY(writev), ANY(openat), ANY(readlinkat), ANY(lseek), \
		ANY(pread64), ANY(getrandom), ANY(getrusage), ANY(clock_nanosleep), ANY(fstat)
#else
#define SANITIZER_RULES GLIBC_RULES
#endif

/* ---- what all devices do ---- */

/* The event loop, kicks and interrupts, the front end's messages, the end. */
#define DEVICE_RULES                                                                               \
	ANY(epoll_pwait), ANY(read), ANY(write), ANY(clock_gettime), ANY(epoll_ctl), ANY(recvmsg), \
		ANY(close), ANY(exit_group)

#define NET_RULES DEVICE_RULES, ANY(readv), ANY(writev), IOCTL(TUNSETOFFLOAD)
/* Another program's socket instead of a tap. */
#define NET_SOCKET_RULES DEVICE_RULES, ANY(readv), ANY(sendmsg)

#define CONSOLE_RULES DEVICE_RULES, IOCTL(TIOCGWINSZ)

#define BLK_RULES                                                              \
	DEVICE_RULES, ANY(pread64), ANY(preadv), ANY(pwritev), ANY(fdatasync), \
		FALLOCATE(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE),         \
		FALLOCATE(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

/* Memory of the process's own, and memory as files, to be shared with others. */
#define MEMORY_RULES                                                                             \
	NOTHING_EXECUTABLE, ANY(munmap), ANY(madvise), ANY(mremap), ANY(brk), ANY(fstat),        \
		ANY(sendmsg), ANY(memfd_create), ANY(ftruncate), FCNTL(F_GETFL), FCNTL(F_SETFL), \
		FCNTL(F_ADD_SEALS)

/*
 * The guest has the host keep things for it, and its programs speak to a compositor, with what they
 * send along. ppoll: for the front end's word that something has been mapped. F_SETFD: of musl, for
 * kernels that know F_DUPFD_CLOEXEC but do not mind the flag.
 */
#define GPU_RULES                                                                                 \
	DEVICE_RULES, MEMORY_RULES, ANY(ppoll), ANY(pread64), ANY(pipe2), FCNTL(F_DUPFD_CLOEXEC), \
		FCNTL(F_SETFD)

/*
 * What a back end does that outlives its front ends: the next connection brings another memory
 * table, and the device's memory is allocated again. Still nothing by path, and nothing executable.
 */
#define SERVED_ALONE ANY(accept4), ANY(eventfd2), FCNTL(F_GETFD), FCNTL(F_SETFD), FCNTL(F_GET_SEALS)
#define SERVED_RULES MEMORY_RULES, SERVED_ALONE

/* Linux 6.10; the number is the same on every architecture. */
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/*
 * Until the driver starts the device, which may be never: the front end's messages, which bring
 * memory and records, and the way to the final filter. Nothing of a guest is looked at yet, but the
 * front end may be in a guest's hands.
 */
#define SETUP_ALONE \
	SERVED_ALONE, ANY(seccomp), ANY(mseal), OWN_LIMIT(RLIMIT_NPROC), OWN_LIMIT(RLIMIT_FSIZE)
#define SETUP_RULES MEMORY_RULES, SETUP_ALONE

/* ---- the lists ---- */

/*
 * A thread that runs the guest. What it does between two runs: answers registers, tells the loop
 * thread (an eventfd), waits at the gate (a mutex and a condition), wakes up from the kick.
 */
static const struct vmm_jail_rule vcpu[] = {IOCTL(KVM_RUN),
					    ANY(write),
					    FUTEX(FUTEX_WAIT_PRIVATE),
					    FUTEX(FUTEX_WAKE_PRIVATE),
					    FUTEX(FUTEX_REQUEUE_PRIVATE),
					    ANY(read),
					    ANY(rt_sigreturn),
					    ANY(clock_gettime),
					    IOCTL(KVM_IRQFD),
					    IOCTL(KVM_IOEVENTFD),
					    IOCTL(KVM_SET_GSI_ROUTING),
					    SANITIZER_RULES};

/*
 * The loop thread of the process that holds KVM: the supervisor's messages, pause, and a guest's
 * reset: memory reads as zero, the kernel is read again, vCPUs start over.
 */
#define RESET_RULES                                                                      \
	ANY(pread64), ANY(fstat), FALLOCATE(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), \
		IOCTL(KVM_IRQFD), IOCTL(KVM_IOEVENTFD), IOCTL(KVM_SET_GSI_ROUTING),      \
		IOCTL(BLKGETSIZE64), JAIL_MACHINE_RULES

#define VM_RULES                                                                                \
	ANY(epoll_pwait), ANY(read), ANY(write), FUTEX(FUTEX_WAIT_PRIVATE),                     \
		FUTEX(FUTEX_WAKE_PRIVATE), FUTEX(FUTEX_REQUEUE_PRIVATE), ANY(clock_gettime),    \
		ANY(epoll_ctl), ANY(recvmsg), ANY(sendmsg), ANY(close), ANY(ppoll), ANY(tkill), \
		ANY(rt_sigprocmask), ANY(rt_sigreturn), ANY(exit_group), RESET_RULES

static const struct vmm_jail_rule vm[] = {VM_RULES, SANITIZER_RULES};

/*
 * The same of a guest that has devices with shared memory (kvm/window.c): files are put in the
 * place of what is not accessible, and that in theirs again. Guest memory is sealed (mseal) against
 * just this.
 */
static const struct vmm_jail_rule vm_shm[] = {
	VM_RULES,
	/* PROT_READ, with or without PROT_WRITE. */
	CHECKED(mmap, BITS(2, ~PROT_WRITE, PROT_READ), INT_IS(3, MAP_SHARED | MAP_FIXED)),
	CHECKED(mmap, INT_IS(2, PROT_READ), INT_IS(3, MAP_PRIVATE | MAP_FIXED)),
	CHECKED(mmap, INT_IS(2, PROT_NONE),
		INT_IS(3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED)),
	IOCTL(KVM_SET_USER_MEMORY_REGION), SANITIZER_RULES};

static const struct vmm_jail_rule rng[] = {DEVICE_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule console[] = {CONSOLE_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule net[] = {NET_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule net_socket[] = {NET_SOCKET_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule blk[] = {BLK_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule blk_uring[] = {BLK_RULES, ANY(io_uring_enter), SANITIZER_RULES};

static const struct vmm_jail_rule gpu[] = {GPU_RULES, SANITIZER_RULES};

/*
 * vmm-window, which is made for the C library of the system: libwayland's messages and what goes
 * along with them, and the user's input on its way to the devices.
 */
static const struct vmm_jail_rule window[] = {
	ANY(recvmsg),       ANY(sendmsg), ANY(sendto),        ANY(ppoll),
	ANY(write),         ANY(close),   ANY(clock_gettime), FCNTL(F_DUPFD_CLOEXEC),
	FCNTL(F_GET_SEALS), ANY(fstat),   NOTHING_EXECUTABLE, ANY(munmap),
	ANY(mremap),        ANY(madvise), ANY(brk),           ANY(exit_group),
	SANITIZER_RULES};

static const struct vmm_jail_rule rng_served[] = {DEVICE_RULES, SERVED_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule console_served[] = {CONSOLE_RULES, SERVED_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule net_served[] = {NET_RULES, SERVED_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule blk_served[] = {BLK_RULES, SERVED_RULES, SANITIZER_RULES};

static const struct vmm_jail_rule gpu_served[] = {GPU_RULES, SERVED_ALONE, SANITIZER_RULES};

static const struct vmm_jail_rule rng_setup[] = {DEVICE_RULES, SETUP_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule console_setup[] = {CONSOLE_RULES, SETUP_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule net_setup[] = {NET_RULES, SETUP_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule net_socket_setup[] = {NET_SOCKET_RULES, SETUP_RULES,
							SANITIZER_RULES};
static const struct vmm_jail_rule blk_setup[] = {BLK_RULES, SETUP_RULES, SANITIZER_RULES};
static const struct vmm_jail_rule blk_uring_setup[] = {BLK_RULES, ANY(io_uring_enter), SETUP_RULES,
						       SANITIZER_RULES};

static const struct vmm_jail_rule gpu_setup[] = {GPU_RULES, SETUP_ALONE, SANITIZER_RULES};

#define PROFILE(name, rules)                                        \
	{                                                           \
		(name), (rules), sizeof(rules) / sizeof((rules)[0]) \
	}

static const struct vmm_jail_profile profiles[] = {
	PROFILE("vcpu", vcpu),
	PROFILE("vm", vm),
	PROFILE("vm-shm", vm_shm),
	PROFILE("rng", rng),
	PROFILE("input", rng), /* a socket is read as well as a file */
	PROFILE("console", console),
	PROFILE("net", net),
	PROFILE("net-socket", net_socket),
	PROFILE("blk", blk),
	PROFILE("blk-uring", blk_uring),
	PROFILE("gpu", gpu),
	PROFILE("window", window),
	PROFILE("rng-served", rng_served),
	PROFILE("input-served", rng_served),
	PROFILE("console-served", console_served),
	PROFILE("net-served", net_served),
	PROFILE("blk-served", blk_served),
	PROFILE("gpu-served", gpu_served),
	PROFILE("rng-setup", rng_setup),
	PROFILE("input-setup", rng_setup),
	PROFILE("console-setup", console_setup),
	PROFILE("net-setup", net_setup),
	PROFILE("net-socket-setup", net_socket_setup),
	PROFILE("blk-setup", blk_setup),
	PROFILE("blk-uring-setup", blk_uring_setup),
	PROFILE("gpu-setup", gpu_setup),
};

size_t vmm_jail_profile_count(void)
{
	return sizeof(profiles) / sizeof(profiles[0]);
}

const struct vmm_jail_profile *vmm_jail_profile_at(size_t i)
{
	return &profiles[i];
}

const struct vmm_jail_profile *vmm_jail_profile_find(const char *name)
{
	for (size_t i = 0; i < vmm_jail_profile_count(); i++) {
		if (strcmp(profiles[i].name, name) == 0) {
			return &profiles[i];
		}
	}
	return NULL;
}

size_t vmm_jail_profile_calls(const struct vmm_jail_profile *profile)
{
	size_t count = 0;

	for (size_t i = 0; i < profile->rule_count; i++) {
		size_t first = 0;

		while (profile->rules[first].nr != profile->rules[i].nr) {
			first++;
		}
		count += first == i;
	}
	return count;
}
