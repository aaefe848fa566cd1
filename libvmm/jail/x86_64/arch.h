/* SPDX-License-Identifier: MIT */
/* What of the filter depends on the architecture; CMake chooses the directory. */
#ifndef JAIL_ARCH_H
#define JAIL_ARCH_H

#include <linux/audit.h>

#define JAIL_AUDIT_ARCH AUDIT_ARCH_X86_64
/* From here on numbers belong to x32, which is the same architecture to seccomp. */
#define JAIL_NR_LIMIT 0x40000000u

/* For table.c, in its words. What glibc waits with. */
#define JAIL_GLIBC_WAIT_RULES ANY(epoll_wait), ANY(poll)

/* The state of a PC that a guest's reset puts back, and what a pause tells its clock. */
#define JAIL_MACHINE_RULES                                                             \
	IOCTL(KVM_SET_REGS), IOCTL(KVM_SET_SREGS), IOCTL(KVM_SET_MP_STATE),            \
		IOCTL(KVM_SET_VCPU_EVENTS), IOCTL(KVM_SET_MSRS), IOCTL(KVM_SET_LAPIC), \
		IOCTL(KVM_SET_XCRS), IOCTL(KVM_SET_XSAVE), IOCTL(KVM_SET_DEBUGREGS),   \
		IOCTL(KVM_KVMCLOCK_CTRL)

#endif
