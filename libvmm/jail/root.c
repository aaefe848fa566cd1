/* SPDX-License-Identifier: MIT */
/* An empty root directory in the place of the system's: a tmpfs of one page that nobody may look
 * into. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#define FLAGS   (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define OPTIONS "size=4k,nr_inodes=2,mode=700"

/* Any directory will do: what it hides was of no more use. */
static bool mount_empty(void)
{
	static const char *const places[] = {"/proc", "/tmp", "/dev", "/sys"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (mount("none", places[i], "tmpfs", FLAGS, OPTIONS) == 0) {
			return chdir(places[i]) == 0;
		}
	}
	return false;
}

/*
 * pivot_root(".", ".") puts the old root on top of the new one, from where it is taken away. A root
 * that is the initial ramfs cannot be pivoted; it can be covered.
 */
static bool enter_empty(void)
{
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		return umount2(".", MNT_DETACH) == 0;
	}
	return mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0;
}

void vmm_jail_empty_root(struct vmm_jail_level *level)
{
	level->empty_root =
		level->mount_ns && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount_empty() && enter_empty() && chdir("/") == 0 && chmod("/", 0) == 0 &&
		mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | FLAGS, OPTIONS) == 0;
}
