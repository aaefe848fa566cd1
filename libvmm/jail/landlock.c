/* SPDX-License-Identifier: MIT */
/*
 * Landlock with an empty ruleset: every right that the running kernel knows is handled, none is
 * granted. Descriptors that are open keep what they could do.
 */
#include <linux/landlock.h>
#include <unistd.h>

#include "internal.h"
#include "uapi.h"

/* How many rights to the file system each ABI knows: they are bits, added one after the other. */
static unsigned fs_rights(int abi)
{
	static const unsigned char known[] = {0, 13, 14, 15, 15, 16};
	size_t last = sizeof(known) - 1;

	return known[(size_t)abi < last ? (size_t)abi : last];
}

#define NET_BIND_TCP    (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT  (UINT64_C(1) << 0)
#define SCOPE_SIGNAL    (UINT64_C(1) << 1)

#define ABI_NET   4
#define ABI_SCOPE 6

/* An older kernel refuses a longer struct than it knows, unless what it does not know is zero. */
static int create_ruleset(int abi)
{
	struct jail_landlock_attr attr = {
		.handled_access_fs = (UINT64_C(1) << fs_rights(abi)) - 1,
		.handled_access_net = abi >= ABI_NET ? NET_BIND_TCP | NET_CONNECT_TCP : 0,
		.scoped = abi >= ABI_SCOPE ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0,
	};

	return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

int vmm_jail_landlock(void)
{
	int abi =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int fd = abi > 0 ? create_ruleset(abi) : -1;
	long ret;

	if (fd < 0) {
		return 0;
	}
	ret = syscall(SYS_landlock_restrict_self, fd, 0);
	(void)close(fd);
	return ret == 0 ? abi : 0;
}
