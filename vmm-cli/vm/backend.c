/* SPDX-License-Identifier: MIT */
#include "vm/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int open_pty(struct vmm_chardev **out, struct vm_console *console, struct vmm_error *err)
{
	int ret = vmm_pty_create(out, err);
	char *path;

	if (ret < 0) {
		return ret;
	}
	path = strdup(vmm_pty_path(*out));
	if (!path) {
		vmm_chardev_destroy(*out);
		*out = NULL;
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	free(console->file.path);
	console->file.path = path;
	return 0;
}

static int open_log(struct vmm_chardev **out, struct vm_console *console, struct vmm_error *err)
{
	struct vmm_logfile_config log = {.max_size = console->size_limit};
	int ret;

	if (console->file.fd < 0) {
		log.path = console->file.path;
		return vmm_logfile_create(out, &log, err);
	}
	log.fd = console->file.fd;
	ret = vmm_logfile_create(out, &log, err);
	if (ret == 0) {
		console->file.fd = -1;
	}
	return ret;
}

int vm_backend_open(struct vmm_chardev **out, struct vm_console *console,
		    const struct vm_body_config *config, bool input, struct vmm_error *err)
{
	const struct vmm_fdchar_config tty = {
		.in_fd = input ? config->tty_in : -1,
		.out_fd = config->tty_out,
		.filter = input ? config->tty_filter : NULL,
		.ctx = config->tty_ctx,
	};

	*out = NULL;
	switch (console->mode) {
	case VM_CONSOLE_PTY:
		return open_pty(out, console, err);
	case VM_CONSOLE_FILE:
		return open_log(out, console, err);
	case VM_CONSOLE_TTY:
		return vmm_fdchar_create(out, &tty, err);
	case VM_CONSOLE_OFF:
	case VM_CONSOLE_NULL:
		break;
	}
	return 0;
}
