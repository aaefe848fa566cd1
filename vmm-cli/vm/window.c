/* SPDX-License-Identifier: MIT */
#include "vm/window.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vm/desktop.h"

#define PROGRAM "vmm-window"
#define CLOSED  'c'

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

static void close_ends(int *ends)
{
	for (int i = 0; i < VM_WINDOW_ENDS; i++) {
		close_fd(&ends[i]);
	}
}

void vm_window_init(struct vm_window *w)
{
	memset(w, 0, sizeof(*w));
	vm_child_init(&w->child);
	for (int i = 0; i < VM_WINDOW_ENDS; i++) {
		w->ends[i] = -1;
	}
}

int vm_window_open(struct vm_window *w, int *devices, struct vmm_error *err)
{
	for (int i = 0; i < VM_WINDOW_ENDS; i++) {
		devices[i] = -1;
	}
	for (int i = 0; i < VM_WINDOW_ENDS; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) !=
		    0) {
			int ret = vmm_error_wrap(err, -errno, "sockets of a window");

			close_ends(devices);
			close_ends(w->ends);
			return ret;
		}
		devices[i] = pair[0];
		w->ends[i] = pair[1];
	}
	return 0;
}

/* ---- what it says ---- */

static void on_control(void *ctx, int fd, uint32_t events)
{
	struct vm_window *w = ctx;
	char byte;
	ssize_t got = recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);

	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got <= 0) {
		vmm_source_remove(w->control);
		w->control = NULL;
	} else if (byte == CLOSED) {
		w->on_close(w->ctx);
	}
}

/* The VM runs on, unseen; what the program said last is in the log. */
static void on_end(void *ctx)
{
	struct vm_window *w = ctx;
	char text[96];
	int status;

	vmm_source_remove(w->control);
	w->control = NULL;
	if (vm_child_wait(&w->child, 0, &status) == 1) {
		vmm_log(w->log, VMM_LOG_WARN, "window: its process %s",
			vm_child_status(status, text, sizeof(text)));
		vm_window_end(w);
	}
}

/* ---- life ---- */

static int beside(const char *program, char path[PATH_MAX], struct vmm_error *err)
{
	const char *slash = strrchr(program, '/');
	int dir = slash ? (int)(slash - program) + 1 : 0;
	int len = snprintf(path, PATH_MAX, "%.*s" PROGRAM, dir, program);

	if (len < 0 || len >= PATH_MAX) {
		return vmm_error_set(err, -ENAMETOOLONG, "'%.200s...': too long", program);
	}
	return 0;
}

static int start(struct vm_window *w, struct vm_nursery *n, char *program, int compositor,
		 const char *title, struct vmm_error *err)
{
	char name[VM_NAME_MAX + 1];
	char *argv[] = {PROGRAM, "--control-fd",
			"3",     "--gpu-fd",
			"4",     "--keyboard-fd",
			"5",     "--tablet-fd",
			"6",     "--wayland-fd",
			"7",     "--title",
			name,    NULL};
	const int fds[] = {w->ends[VM_WINDOW_SCREEN], w->ends[VM_WINDOW_KEYBOARD],
			   w->ends[VM_WINDOW_TABLET], compositor};
	const struct vm_child_config config = {
		.name = "window",
		.program = program,
		.argv = argv,
		.socket_type = SOCK_SEQPACKET,
		.fds = fds,
		.fd_count = VM_WINDOW_ENDS + 1,
		.on_end = on_end,
		.ctx = w,
	};
	int ret;

	(void)snprintf(name, sizeof(name), "%s", title);
	ret = vm_child_start(&w->child, n, &config, err);
	if (ret < 0) {
		return ret;
	}
	w->known = true;
	ret = vmm_loop_add_fd(n->loop, w->child.socket, VMM_LOOP_READABLE, on_control, w,
			      &w->control);
	return ret < 0 ? vmm_error_wrap(err, ret, "window") : 0;
}

int vm_window_start(struct vm_window *w, struct vm_nursery *n, const char *device_program,
		    const char *title, const char *socket, void (*on_close)(void *ctx), void *ctx,
		    struct vmm_error *err)
{
	char path[PATH_MAX];
	int ret = beside(device_program, path, err);
	int compositor = ret < 0 ? ret : vm_desktop_connect(socket, err);

	if (compositor < 0) {
		return compositor;
	}
	w->log = n->log;
	w->on_close = on_close;
	w->ctx = ctx;
	ret = start(w, n, path, compositor, title, err);
	(void)close(compositor);
	close_ends(w->ends);
	return ret;
}

void vm_window_end(struct vm_window *w)
{
	vmm_source_remove(w->control);
	w->control = NULL;
	if (w->known) {
		vm_child_end(&w->child);
		w->known = false;
	}
	close_ends(w->ends);
}
