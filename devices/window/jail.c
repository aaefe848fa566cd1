/* SPDX-License-Identifier: MIT */
/*
 * What the program gives up once it is connected: everything but its descriptors. The window needs
 * no file, no network and no other process; what the compositor and the gpu say is looked at only
 * afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <vmm/jail.h>

#include "window.h"

#define MIB (UINT64_C(1) << 20)
/* Pictures are memfds that are handed on, never mapped. */
#define MEMORY_LIMIT (256 * MIB)
/* Of a log that somebody has made standard error. */
#define FILE_LIMIT (64 * MIB)
/* What libwayland may hold at once, to send and received, and our own. */
#define FD_LIMIT 128u

int window_enter_jail(const int *fds, size_t count)
{
	int keep[WINDOW_FDS_MAX + 1];
	struct vmm_jail_config config = {
		.keep_fds = keep,
		.memory_limit = MEMORY_LIMIT,
		.file_limit = FILE_LIMIT,
		.fd_limit = FD_LIMIT,
	};
	struct vmm_jail_level level = {0};
	struct vmm_error err = {0};

	for (size_t i = 0; i < count && i < WINDOW_FDS_MAX; i++) {
		if (fds[i] >= 0) {
			keep[config.keep_count++] = fds[i];
		}
	}
	if (fcntl(STDERR_FILENO, F_GETFD) >= 0) {
		keep[config.keep_count++] = STDERR_FILENO;
	}
	if (vmm_jail_enter(&config, &level, &err) < 0 ||
	    vmm_jail_seal("window", &level, &err) < 0) {
		say("it cannot be confined: %s", err.message);
		return -1;
	}
	return 0;
}
