/* SPDX-License-Identifier: MIT */
/*
 * What this process gives up, and when. Before it has looked at anything but its command line: the
 * file system, the network, capabilities, other descriptors. Before it looks at the first byte of
 * a guest: all system calls but those of the device's work.
 *
 * Before the first message of a front end there is a first filter, which leaves what memory tables
 * and the final filter take. With one front end after the other it is the only one, since another
 * memory table may always come.
 */
#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define MIB          (UINT64_C(1) << 20)
#define OWN_MEMORY   (64 * MIB)
#define GUARDS       (UINT64_C(9) << 32) /* around eight regions */
#define GUEST_MIB    (UINT64_C(1) << 24)
#define RECORD_LIMIT (2 * MIB) /* the record of what is in flight is a file as well */
/* A memory table comes while the descriptors of the one before are still there. */
#define SERVED_FDS 64u

/* Everything that was given but what is of no more use. */
static size_t kept_fds(const struct program *p, int *fds)
{
	size_t count = 0;

	for (unsigned i = 0; i < p->given_count; i++) {
		if (p->given[i].spec->type == OPTION_FD &&
		    strcmp(p->given[i].spec->name, "counters-fd") != 0) {
			fds[count++] = p->given[i].fd;
		}
	}
	if (p->log_fd >= 0 && program_fd(p, "log-fd") < 0) {
		fds[count++] = p->log_fd;
	}
	if (p->extra_fd >= 0) {
		fds[count++] = p->extra_fd;
	}
	return count;
}

int program_enter_jail(struct program *p, bool served, struct vmm_error *err)
{
	int fds[GIVEN_MAX + 2];
	struct vmm_jail_config config = {.keep_fds = fds};
	uint64_t guest;
	int ret;

	ret = program_number(p, "guest-memory", 1, GUEST_MIB, 0, &guest, err);
	if (ret < 0) {
		return ret;
	}
	if (!p->isolated) {
		vmm_log(&p->log, VMM_LOG_WARN, "no isolation, as was asked for");
		return 0;
	}
	config.keep_count = kept_fds(p, fds);
	/* Now, because it may take calls that the filters do not allow. */
	p->file_limit = p->kind->file_limit ? p->kind->file_limit(p) : 0;
	config.file_limit = p->file_limit > RECORD_LIMIT ? p->file_limit : RECORD_LIMIT;
	config.memory_limit = guest == 0 ? 0 : guest * MIB + GUARDS + OWN_MEMORY + p->kind->memory;
	config.fd_limit = served ? SERVED_FDS : 0;
	if (config.fd_limit < p->kind->fd_limit) {
		config.fd_limit = p->kind->fd_limit;
	}
	return vmm_jail_enter(&config, &p->level, err);
}

static const char *profile_name(const struct program *p)
{
	return p->kind->profile ? p->kind->profile(p) : p->kind->name;
}

int program_seal_setup(struct program *p, struct vmm_error *err)
{
	const struct rlimit none = {0};
	char profile[32];
	int ret = 0;

	if (p->isolated) {
		(void)setrlimit(RLIMIT_NPROC,
				&none); /* again, and checked, with the final filter */
		(void)snprintf(profile, sizeof(profile), "%s-setup", profile_name(p));
		ret = vmm_jail_seal_thread(profile);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "cannot filter system calls") : 0;
}

int program_seal(struct program *p, bool served, struct vmm_error *err)
{
	struct rlimit files = {0};
	char profile[32];
	char level[256];
	int ret;

	if (!p->isolated) {
		return 0;
	}
	(void)snprintf(profile, sizeof(profile), "%s%s", profile_name(p), served ? "-served" : "");
	if (!served) {
		/* Nobody can ask for a record any more. */
		files.rlim_cur = p->file_limit;
		files.rlim_max = files.rlim_cur;
		if (setrlimit(RLIMIT_FSIZE, &files) != 0) {
			return vmm_error_set(err, -errno, "cannot limit file sizes: %s",
					     strerror(errno));
		}
	}
	ret = vmm_jail_seal(profile, &p->level, err);
	if (ret == 0) {
		(void)vmm_jail_describe(&p->level, level, sizeof(level));
		vmm_log(&p->log, VMM_LOG_INFO, "jailed: %s", level);
	}
	return ret;
}
