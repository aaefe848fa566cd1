/* SPDX-License-Identifier: MIT */
/*
 * The window that shows a VM's screen: vmm-window, a process of its own with a connection to the
 * compositor, and a socket to each of the devices that it shows or serves. It lives from one boot
 * to the end of that run.
 */
#ifndef VMM_CLI_VM_WINDOW_H
#define VMM_CLI_VM_WINDOW_H

#include "vm/child.h"

/* Ends of its sockets. */
enum {
	VM_WINDOW_SCREEN,
	VM_WINDOW_KEYBOARD,
	VM_WINDOW_TABLET,
	VM_WINDOW_ENDS,
};

struct vm_window {
	struct vm_child child;
	bool known; /* it was started and has not been ended */
	struct vmm_source *control;
	int ends[VM_WINDOW_ENDS]; /* its own, until it is started */
	const struct vmm_log *log;
	void (*on_close)(void *ctx);
	void *ctx;
};

/* There is none. */
void vm_window_init(struct vm_window *w);
/*
 * Makes the sockets; devices[], VM_WINDOW_ENDS of them, are the caller's. -errno with words; then
 * there are none.
 */
int vm_window_open(struct vm_window *w, int *devices, struct vmm_error *err);
/*
 * Starts the program that lies beside device_program, for the VM called title. on_close: the user
 * has closed the window; may be called until vm_window_end. socket: of the compositor, as for
 * vm_desktop_connect. -errno with words.
 */
int vm_window_start(struct vm_window *w, struct vm_nursery *n, const char *device_program,
		    const char *title, const char *socket, void (*on_close)(void *ctx), void *ctx,
		    struct vmm_error *err);
/* Ends it. A no-op when there is none. */
void vm_window_end(struct vm_window *w);

#endif
