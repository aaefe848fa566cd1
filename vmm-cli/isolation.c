/* SPDX-License-Identifier: MIT */
#include "isolation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICE_PROGRAM "vmm-device"
/* Process ids are added to it, and -1 is no user. */
#define UID_BASE_MAX (UINT32_MAX - (UINT32_C(1) << 22) - 1)

static const char *given(const char *option, const char *variable)
{
	const char *value = option ? option : getenv(variable);

	return value && value[0] ? value : NULL;
}

static int one_of(const char *value, const char *a, const char *b, const char *name,
		  struct vmm_error *err)
{
	if (value && strcmp(value, a) != 0 && strcmp(value, b) != 0) {
		return vmm_error_set(err, -EINVAL, "--%s '%.40s': '%s' or '%s'", name, value, a, b);
	}
	return 0;
}

/* Where this program lies now; it may be replaced by another one later. */
static const char *find_device_program(struct isolation_options *o)
{
	ssize_t len = readlink("/proc/self/exe", o->path, sizeof(o->path) - sizeof(DEVICE_PROGRAM));
	char *slash;

	o->path[len > 0 ? len : 0] = '\0';
	slash = strrchr(o->path, '/');
	(void)snprintf(slash ? slash + 1 : o->path, sizeof(DEVICE_PROGRAM), DEVICE_PROGRAM);
	return o->path;
}

static int parse_uid_base(const char *text, uint32_t *base, struct vmm_error *err)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno != 0 || end == text || *end || value == 0 || value > UID_BASE_MAX) {
		return vmm_error_set(err, -EINVAL, "--uid-base '%.40s': a number from 1 to %lu",
				     text, (unsigned long)UID_BASE_MAX);
	}
	*base = (uint32_t)value;
	return 0;
}

int isolation_choose(struct isolation_options *o, struct isolation *out, struct vmm_error *err)
{
	const char *isolation = given(o->isolation, "VMM_ISOLATION");
	const char *restart = given(o->restart, "VMM_RESTART");
	const char *uid_base = given(o->uid_base, "VMM_UID_BASE");
	const char *program = given(o->device_program, "VMM_DEVICE");
	int ret = one_of(isolation, "process", "none", "isolation", err);

	if (ret == 0) {
		ret = one_of(restart, "always", "never", "restart", err);
	}
	memset(out, 0, sizeof(*out));
	if (ret == 0 && uid_base) {
		ret = parse_uid_base(uid_base, &out->config.uid_base, err);
	}
	out->body = isolation && strcmp(isolation, "none") == 0 ? &vm_body_inprocess
								: &vm_body_isolated;
	out->config.restart_never = restart && strcmp(restart, "never") == 0;
	out->config.device_program = program ? program : find_device_program(o);
	return ret;
}
