/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of console and serial port go when the devices are processes. The console's
 * process has a pty itself, or one side of a pty or pipe whose other side is pumped here, to the
 * user's terminal or the bounded log; the serial port, which the vm process has, always is a pipe.
 */
#ifndef VMM_CLI_VM_STREAMS_H
#define VMM_CLI_VM_STREAMS_H

#include "vm/body.h"
#include "vm/devices.h"
#include "vm/pump.h"

struct vm_streams {
	/* As long as there is a VM. */
	struct vmm_chardev *console; /* log or terminal; NULL for a pty, and for nowhere */
	struct vmm_chardev *serial;
	int master; /* of the console's pty; -1: none */
	int inotify;

	/* Of a run. */
	struct vm_pump console_pump;
	struct vm_pump serial_pump;
	int console_out; /* writing end of a pipe, or /dev/null; -1: none */
	int serial_out;
};

/* Opens what outlives runs; the path of a pty is entered in config. On failure finish it. */
int vm_streams_init(struct vm_streams *s, const struct vm_body_config *config,
		    struct vmm_error *err);
void vm_streams_finish(struct vm_streams *s);

/* Opens the rest; console tells what its process is given (borrowed). On failure stop it. */
int vm_streams_start(struct vm_streams *s, const struct vm_body_config *config,
		     struct vm_console_fds *console, struct vmm_error *err);
/* Takes what the processes left in the pipes, and closes these. */
void vm_streams_stop(struct vm_streams *s);

/* The user's terminal has a new size. */
void vm_streams_resized(struct vm_streams *s, const struct vm_body_config *config);

#endif
