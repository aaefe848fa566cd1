/* SPDX-License-Identifier: MIT */
#ifndef JAIL_INTERNAL_H
#define JAIL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/jail.h>

struct sock_filter;

/* More instructions than any profile needs; the kernel's limit is 4096. */
#define JAIL_FILTER_MAX 512

/*
 * Compiles a profile to a classic BPF program over struct seccomp_data. Returns the number of
 * instructions, or -E2BIG when max of them are too few or a jump would be too far.
 */
int vmm_jail_compile(const struct vmm_jail_profile *profile, struct sock_filter *out, size_t max);

/* Takes every right Landlock knows from the calling thread. The ABI used, 0: no Landlock. */
int vmm_jail_landlock(void);

/*
 * What a file of /proc says, as a string: its length, or -errno. What does not fit is left out.
 */
int vmm_jail_read_file(const char *path, char *text, size_t size);

/* Maps uid and gid to 0 in the user namespace this process just entered, and no other. -errno. */
int vmm_jail_map_ids(unsigned uid, unsigned gid);

/* The first half of vmm_jail_enter: fills in user_ns to cgroup_ns, uid_changed and empty_root. */
void vmm_jail_namespaces(struct vmm_jail_level *level);
void vmm_jail_empty_root(struct vmm_jail_level *level);

#endif
