/* SPDX-License-Identifier: MIT */
/* What of the filter depends on the architecture; CMake chooses the directory. */
#ifndef JAIL_ARCH_H
#define JAIL_ARCH_H

#include <linux/audit.h>

#define JAIL_AUDIT_ARCH AUDIT_ARCH_AARCH64
#define JAIL_NR_LIMIT   0x40000000u

/* For table.c, in its words. What glibc waits with. */
#define JAIL_GLIBC_WAIT_RULES ANY(ppoll)

/* A guest's reset: vCPUs and interrupt controller as after power-on, seeds for the next kernel. */
#define JAIL_MACHINE_RULES                                                            \
	IOCTL(KVM_ARM_VCPU_INIT), IOCTL(KVM_SET_ONE_REG), IOCTL(KVM_SET_DEVICE_ATTR), \
		CHECKED(getrandom, INT_IS(2, GRND_NONBLOCK))

#endif
