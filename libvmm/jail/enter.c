/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "internal.h"
#include "sanitized.h"
#include "uapi.h"

/* ---- descriptors ---- */

static int check_kept(const struct vmm_jail_config *config, unsigned limit, struct vmm_error *err)
{
	for (size_t i = 0; i < config->keep_count; i++) {
		int fd = config->keep_fds[i];

		if (fd < 0 || (unsigned)fd >= limit) {
			return vmm_error_set(err, -EINVAL, "descriptor %d is not below %u", fd,
					     limit);
		}
		if (fcntl(fd, F_GETFD) < 0) {
			return vmm_error_set(err, -EBADF, "descriptor %d is not open", fd);
		}
	}
	return 0;
}

/* The lowest one to be kept that is not below from; UINT_MAX: none. */
static unsigned next_kept(const struct vmm_jail_config *config, unsigned from)
{
	unsigned next = UINT_MAX;

	for (size_t i = 0; i < config->keep_count; i++) {
		unsigned fd = (unsigned)config->keep_fds[i];

		if (fd >= from && fd < next) {
			next = fd;
		}
	}
	return next;
}

static int close_others(const struct vmm_jail_config *config, struct vmm_error *err)
{
	unsigned from = 0;

	for (;;) {
		unsigned kept = next_kept(config, from);
		unsigned last = kept == UINT_MAX ? UINT_MAX : kept - 1;

		if (kept != from && syscall(SYS_close_range, from, last, 0) != 0) {
			return vmm_error_wrap(err, -errno, "cannot close descriptors");
		}
		if (kept == UINT_MAX) {
			return 0;
		}
		from = kept + 1;
	}
}

/* ---- limits ---- */

struct limit {
	int resource;
	uint64_t value;
	const char *name;
};

static int set_limit(const struct limit *limit, struct vmm_error *err)
{
	/* By the kernel's interface: the type of a resource differs between C libraries. */
	struct {
		uint64_t soft;
		uint64_t hard;
	} is, wanted = {limit->value, limit->value};
	long ret = 0;

	/* Not above what there is: that would take a capability. */
	if (limit->value > 0) {
		ret = syscall(SYS_prlimit64, 0, limit->resource, NULL, &is);
		if (ret == 0 && is.hard < limit->value) {
			wanted.soft = is.hard;
			wanted.hard = is.hard;
		}
	}
	if (ret == 0) {
		ret = syscall(SYS_prlimit64, 0, limit->resource, &wanted, NULL);
	}
	return ret == 0 ? 0 : vmm_error_wrap(err, -errno, "cannot limit %s", limit->name);
}

static int set_limits(const struct vmm_jail_config *config, unsigned fds, struct vmm_error *err)
{
	const struct limit limits[] = {
		{RLIMIT_CORE, 0, "core dumps"},
		{RLIMIT_MEMLOCK, 0, "locked memory"},
		{RLIMIT_NOFILE, fds, "descriptors"},
		{RLIMIT_FSIZE, config->file_limit, "file sizes"},
		{RLIMIT_AS, config->memory_limit, "memory"},
	};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	size_t count = sizeof(limits) / sizeof(limits[0]);
	int ret = 0;

	if (config->memory_limit == 0 || JAIL_SANITIZED) {
		count--;
	}
	for (size_t i = 0; ret == 0 && i < count; i++) {
		ret = set_limit(&limits[i], err);
	}
	(void)sigaction(SIGXFSZ, &ignore, NULL);
	return ret;
}

/* ---- capabilities ---- */

static bool bounding_empty(void)
{
	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (prctl(PR_CAPBSET_READ, cap) == 1) {
			return false;
		}
	}
	return true;
}

/* All that the kernel has, which may be more than the headers do. Refused without CAP_SETPCAP. */
static bool bounding_dropped(void)
{
	unsigned long cap = 0;

	while (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) {
		cap++;
	}
	return cap > CAP_LAST_CAP && errno == EINVAL;
}

static int drop_caps(struct vmm_jail_level *level, struct vmm_error *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	level->no_bounding = bounding_dropped() || bounding_empty();
	/* Unknown before Linux 4.3, where there is nothing to clear. */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) != 0) {
		return vmm_error_wrap(err, -errno, "cannot drop capabilities");
	}
	level->no_caps = true;
	return 0;
}

/* ---- the process ---- */

static int set_process(struct vmm_jail_level *level, struct vmm_error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		return vmm_error_wrap(err, -errno, "cannot set no_new_privs");
	}
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
		return vmm_error_wrap(err, -errno, "cannot clear dumpable");
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
		return vmm_error_wrap(err, -errno, "cannot die with the parent");
	}
	/* Since Linux 6.3. */
	level->mdwe = prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
	return 0;
}

int vmm_jail_enter(const struct vmm_jail_config *config, struct vmm_jail_level *level,
		   struct vmm_error *err)
{
	unsigned fds = config->fd_limit ? config->fd_limit : VMM_JAIL_FD_LIMIT;
	struct vmm_jail_level unwanted = {0};
	int ret = check_kept(config, fds, err);

	level = level ? level : &unwanted;
	if (ret == 0) {
		ret = close_others(config, err);
	}
	if (ret < 0) {
		return ret;
	}
	vmm_jail_namespaces(level);
	vmm_jail_empty_root(level);
	ret = set_process(level, err);
	if (ret < 0) {
		return ret;
	}
	/* Before the limits: it takes a free descriptor for a moment. */
	level->landlock_abi = vmm_jail_landlock();
	ret = set_limits(config, fds, err);
	return ret < 0 ? ret : drop_caps(level, err);
}

/* ---- the filter ---- */

static int install(const struct vmm_jail_profile *profile)
{
	struct sock_filter code[JAIL_FILTER_MAX];
	struct sock_fprog program = {.filter = code};
	int len = vmm_jail_compile(profile, code, JAIL_FILTER_MAX);

	if (len < 0) {
		return len;
	}
	program.len = (unsigned short)len;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : -errno;
}

int vmm_jail_seal_thread(const char *profile)
{
	const struct vmm_jail_profile *found = vmm_jail_profile_find(profile);

	return found ? install(found) : -ENOENT;
}

int vmm_jail_seal(const char *profile, struct vmm_jail_level *level, struct vmm_error *err)
{
	static const struct limit no_processes = {RLIMIT_NPROC, 0, "processes"};
	const struct vmm_jail_profile *found = vmm_jail_profile_find(profile);
	int ret;

	if (!found) {
		return vmm_error_set(err, -ENOENT, "no jail profile \"%s\"", profile);
	}
	ret = set_limit(&no_processes, err);
	if (ret < 0) {
		return ret;
	}
	ret = install(found);
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot install the filter %s", profile);
	}
	if (level) {
		level->seccomp = true;
		level->profile = found;
	}
	return 0;
}
