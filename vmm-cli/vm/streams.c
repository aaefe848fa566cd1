/* SPDX-License-Identifier: MIT */
#include "vm/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vm/backend.h"

#define PTY_PATH_MAX 64

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

/* ---- what outlives runs ---- */

/* For clients: its path stays as long as the master is open here. */
static int open_pty(struct vm_streams *s, struct vm_console *console, struct vmm_error *err)
{
	char path[PTY_PATH_MAX];
	int ret = vmm_pty_open(&s->master, &s->inotify, path, sizeof(path), err);
	char *copy;

	if (ret < 0) {
		return ret;
	}
	copy = strdup(path);
	if (!copy) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	free(console->file.path);
	console->file.path = copy;
	return 0;
}

int vm_streams_init(struct vm_streams *s, const struct vm_body_config *config,
		    struct vmm_error *err)
{
	struct vm_console *console = &config->vm->console;
	int ret;

	memset(s, 0, sizeof(*s));
	s->master = s->inotify = s->console_out = s->serial_out = -1;
	s->console_pump.fd = s->serial_pump.fd = -1;
	ret = console->mode == VM_CONSOLE_PTY
		      ? open_pty(s, console, err)
		      : vm_backend_open(&s->console, console, config, true, err);
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "console");
	}
	ret = vm_backend_open(&s->serial, &config->vm->serial, config, false, err);
	return ret < 0 ? vmm_error_wrap(err, ret, "serial") : 0;
}

void vm_streams_finish(struct vm_streams *s)
{
	vm_streams_stop(s);
	close_fd(&s->master);
	close_fd(&s->inotify);
	vmm_chardev_destroy(s->console);
	vmm_chardev_destroy(s->serial);
	s->console = NULL;
	s->serial = NULL;
}

/* ---- of a run ---- */

/* A pipe into the back end: *out is the end that bytes go into. */
static int start_pipe(struct vm_pump *pump, struct vmm_loop *loop, struct vmm_chardev *chardev,
		      int *out)
{
	int ends[2];
	int ret;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		return -errno;
	}
	ret = vm_pump_start(pump, loop, ends[0], chardev, false);
	if (ret < 0) {
		(void)close(ends[0]);
		(void)close(ends[1]);
		return ret;
	}
	*out = ends[1];
	return 0;
}

/*
 * The user's terminal stays with this process; the console's has a pty, for the sake of the size
 * that only a terminal has.
 */
static int start_terminal(struct vm_streams *s, const struct vm_body_config *config,
			  struct vmm_error *err)
{
	char path[PTY_PATH_MAX];
	int fd;
	int ret = vmm_pty_open(&s->master, &s->inotify, path, sizeof(path), err);

	if (ret < 0) {
		return ret;
	}
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		return vmm_error_wrap(err, -errno, "'%s'", path);
	}
	ret = vm_pump_start(&s->console_pump, config->loop, fd, s->console, true);
	if (ret < 0) {
		(void)close(fd);
		return vmm_error_wrap(err, ret, "terminal");
	}
	vm_streams_resized(s, config);
	return 0;
}

static int start_console(struct vm_streams *s, const struct vm_body_config *config,
			 struct vmm_error *err)
{
	int ret;

	switch (config->vm->console.mode) {
	case VM_CONSOLE_TTY:
		return start_terminal(s, config, err);
	case VM_CONSOLE_FILE:
		ret = start_pipe(&s->console_pump, config->loop, s->console, &s->console_out);
		return ret < 0 ? vmm_error_wrap(err, ret, "pipe") : 0;
	case VM_CONSOLE_NULL:
		s->console_out = open("/dev/null", O_WRONLY | O_CLOEXEC);
		return s->console_out < 0 ? vmm_error_wrap(err, -errno, "/dev/null") : 0;
	case VM_CONSOLE_PTY:
	case VM_CONSOLE_OFF:
		break;
	}
	return 0;
}

int vm_streams_start(struct vm_streams *s, const struct vm_body_config *config,
		     struct vm_console_fds *console, struct vmm_error *err)
{
	int ret = start_console(s, config, err);

	if (ret < 0) {
		return vmm_error_wrap(err, ret, "console");
	}
	/* A port that nobody listens to is a port all the same. */
	if (config->vm->serial.mode != VM_CONSOLE_OFF) {
		ret = start_pipe(&s->serial_pump, config->loop, s->serial, &s->serial_out);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "serial");
		}
	}
	*console = (struct vm_console_fds){
		.master = s->master, .inotify = s->inotify, .out = s->console_out};
	return 0;
}

void vm_streams_stop(struct vm_streams *s)
{
	bool terminal = s->master >= 0 && s->console;

	vm_pump_stop(&s->console_pump);
	vm_pump_stop(&s->serial_pump);
	close_fd(&s->console_out);
	close_fd(&s->serial_out);
	if (terminal) {
		close_fd(&s->master);
		close_fd(&s->inotify);
	}
}

void vm_streams_resized(struct vm_streams *s, const struct vm_body_config *config)
{
	struct winsize size;

	if (config->vm->console.mode == VM_CONSOLE_TTY && s->console_pump.fd >= 0 &&
	    (ioctl(config->tty_out, TIOCGWINSZ, &size) == 0 ||
	     ioctl(config->tty_in, TIOCGWINSZ, &size) == 0)) {
		(void)ioctl(s->console_pump.fd, TIOCSWINSZ, &size);
	}
}
