/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <string.h>

#include <vmm/dev/input.h>

static const char help[] = "input: a keyboard or a pointer\n"
			   "  --type keyboard|tablet\n"
			   "  --events-fd N        a socket of packets with events, one or more\n"
			   "                       groups in each\n"
			   "  --serial TEXT        a serial number that the guest can see\n";

static const struct option_spec options[] = {
	{"type", OPTION_VALUE, false},
	{"events-fd", OPTION_FD, false},
	{"serial", OPTION_VALUE, false},
	{NULL, OPTION_FLAG, false},
};

static bool is_type(const struct program *p, const char *type)
{
	const char *given = program_value(p, "type");

	return given && strcmp(given, type) == 0;
}

static int input_check(const struct program *p, struct vmm_error *err)
{
	if (!is_type(p, "keyboard") && !is_type(p, "tablet")) {
		return vmm_error_set(err, -EINVAL, "--type keyboard or --type tablet is needed");
	}
	if (program_fd(p, "events-fd") < 0) {
		return vmm_error_set(err, -EINVAL, "--events-fd is needed");
	}
	return 0;
}

static int input_create(struct program *p, struct vmm_virtio_device **out, struct vmm_error *err)
{
	struct vmm_input_config config = {
		.kind = is_type(p, "tablet") ? VMM_INPUT_TABLET : VMM_INPUT_KEYBOARD,
		.source_fd = program_fd(p, "events-fd"),
		.serial = program_value(p, "serial"),
	};

	return vmm_input_create(out, &config, err);
}

const struct kind input_kind = {
	.name = "input",
	.help = help,
	.options = options,
	.check = input_check,
	.create = input_create,
};
