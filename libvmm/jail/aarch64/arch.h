/* SPDX-License-Identifier: MIT */
/* What of the filter depends on the architecture; CMake chooses the directory. */
#ifndef JAIL_ARCH_H
#define JAIL_ARCH_H

#include <linux/audit.h>

#define JAIL_AUDIT_ARCH AUDIT_ARCH_AARCH64
#define JAIL_NR_LIMIT   0x40000000u

#endif
