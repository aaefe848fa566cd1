/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <string.h>

#include <vmm/dev/chardev.h>
#include <vmm/dev/console.h>

#define PTY_PATH_MAX 64

static const char help[] =
	"console: the guest's terminal\n"
	"  --pty                a pseudo-terminal, whose path is said in the log\n"
	"  --pty-fd N           the same, made already: its master\n"
	"  --inotify-fd N       tells when somebody opens that pseudo-terminal\n"
	"  --in-fd N            a pipe or socket with input\n"
	"  --out-fd N           a pipe or socket for output\n";

static const struct option_spec options[] = {
	{"pty", OPTION_FLAG, true},  {"pty-fd", OPTION_FD, false}, {"inotify-fd", OPTION_FD, false},
	{"in-fd", OPTION_FD, false}, {"out-fd", OPTION_FD, false}, {NULL, OPTION_FLAG, false},
};

static int console_check(const struct program *p, struct vmm_error *err)
{
	bool plain = program_fd(p, "in-fd") >= 0 || program_fd(p, "out-fd") >= 0;
	int ways = program_flag(p, "pty") + (program_fd(p, "pty-fd") >= 0) + plain;

	if (ways != 1) {
		return vmm_error_set(err, -EINVAL,
				     "one of --pty, --pty-fd, or --in-fd and --out-fd is needed");
	}
	if (program_fd(p, "inotify-fd") >= 0 && program_fd(p, "pty-fd") < 0) {
		return vmm_error_set(err, -EINVAL, "--inotify-fd goes with --pty-fd only");
	}
	return 0;
}

static int console_open(struct program *p, struct vmm_error *err)
{
	char path[PTY_PATH_MAX];
	int master;
	int inotify;
	int ret;

	if (!program_flag(p, "pty")) {
		return 0;
	}
	ret = vmm_pty_open(&master, &inotify, path, sizeof(path), err);
	if (ret < 0) {
		return ret;
	}
	vmm_log(&p->log, VMM_LOG_INFO, "the terminal is %s", path);
	ret = program_add_fd(p, "pty-fd", master, err);
	if (ret == 0 && inotify >= 0) {
		ret = program_add_fd(p, "inotify-fd", inotify, err);
	}
	return ret;
}

static int open_host(struct program *p, struct vmm_chardev **out, struct vmm_error *err)
{
	struct vmm_fdchar_config plain = {
		.in_fd = program_fd(p, "in-fd"),
		.out_fd = program_fd(p, "out-fd"),
	};

	if (program_fd(p, "pty-fd") >= 0) {
		return vmm_pty_from_fds(out, program_fd(p, "pty-fd"), program_fd(p, "inotify-fd"),
					err);
	}
	return vmm_fdchar_create(out, &plain, err);
}

static int console_create(struct program *p, struct vmm_virtio_device **out, struct vmm_error *err)
{
	struct vmm_console_port port = {.console = true};
	struct vmm_console_config config = {.ports = &port, .port_count = 1};
	int ret = open_host(p, &port.chardev, err);

	if (ret < 0) {
		return ret;
	}
	p->host = port.chardev;
	return vmm_console_create(out, &config, err);
}

static void console_finish(struct program *p)
{
	vmm_chardev_destroy(p->host);
}

const struct kind console_kind = {
	.name = "console",
	.help = help,
	.options = options,
	.check = console_check,
	.open = console_open,
	.create = console_create,
	.finish = console_finish,
};
