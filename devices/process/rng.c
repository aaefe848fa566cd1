/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/rng.h>

static const char help[] = "rng: random bytes\n"
			   "  --source-fd N        read them from there (/dev/urandom)\n";

static const struct option_spec options[] = {
	{"source-fd", OPTION_FD, false},
	{NULL, OPTION_FLAG, false},
};

static int rng_open(struct program *p, struct vmm_error *err)
{
	int fd;

	if (program_fd(p, "source-fd") >= 0) {
		return 0;
	}
	fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		return vmm_error_set(err, -errno, "/dev/urandom: %s", strerror(errno));
	}
	return program_add_fd(p, "source-fd", fd, err);
}

static int rng_create(struct program *p, struct vmm_virtio_device **out, struct vmm_error *err)
{
	struct vmm_rng_config config = {.source_fd = program_fd(p, "source-fd")};

	return vmm_rng_create(out, &config, err);
}

const struct kind rng_kind = {
	.name = "rng",
	.help = help,
	.options = options,
	.open = rng_open,
	.create = rng_create,
};
