/* SPDX-License-Identifier: MIT */
/*
 * What a VM runs in. The manager (api/manager.h) knows states, the API and the configuration; a
 * body knows how guest and devices come to run, over as many boots as there are:
 *
 *	vm_body_isolated   a process for the guest and one for each device, each in a jail
 *	vm_body_inprocess  all of it in this process; for debugging
 *
 * All calls are made on the loop's thread.
 */
#ifndef VMM_CLI_VM_BODY_H
#define VMM_CLI_VM_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>
#include <vmm/vm.h>

#include "config/config.h"

/* The devices that every VM has, and those of a window. */
#define VM_CONSOLE_ID  "__console"
#define VM_RNG_ID      "__rng"
#define VM_KEYBOARD_ID "__keyboard"
#define VM_TABLET_ID   "__tablet"

struct vm_body_ops;

/* Embedded first in the body's own struct. */
struct vm_body {
	const struct vm_body_ops *ops;
};

enum vm_body_state {
	VM_BODY_OFF, /* before boot, or after off */
	VM_BODY_RUNNING,
	VM_BODY_PAUSED,
	VM_BODY_ENDED, /* by itself, and not yet off */
};

enum vm_device_event {
	VM_DEVICE_LOST,      /* its process has ended */
	VM_DEVICE_RESTARTED, /* another one serves it */
	VM_DEVICE_FAILED,    /* nobody will; the guest sees DEVICE_NEEDS_RESET */
};

/* How processes are made; without meaning in process. */
struct vm_isolation {
	const char *device_program; /* NULL: vmm-device, beside this program */
	uint32_t uid_base;          /* root's children are user uid_base + pid; 0: the default */
	bool restart_never;         /* of devices that do not say */
};

struct vm_body_config {
	struct vmm_loop *loop;     /* borrowed, as all that follows */
	const struct vmm_log *log; /* may be NULL */
	/*
	 * The VM; the path of a pty is entered, and taps named in it are opened once and stay open
	 * in it. Disks and network cards come and go while the body is off.
	 */
	struct vm_config *vm;
	struct vm_isolation isolation;
	/* The terminal of consoles in mode Tty, and who looks at its input first (may be NULL). */
	int tty_in;
	int tty_out;
	size_t (*tty_filter)(void *ctx, uint8_t *bytes, size_t len);
	void *tty_ctx;
	/*
	 * The VM ended by itself; it rebooted; a device's process came or went. May be called
	 * during any operation but create and destroy. Neither off nor destroy may be called in
	 * on_exit.
	 */
	void (*on_exit)(void *ctx, const struct vmm_exit *why);
	void (*on_reboot)(void *ctx);
	void (*on_device)(void *ctx, const char *id, enum vm_device_event event);
	void *ctx;
};

/* One process of a VM; strings are borrowed for the call. */
struct vm_process_info {
	const char *name;    /* "vmm", "vm", or the id of a device */
	const char *kind;    /* "supervisor", "vm", "blk", ... */
	const char *profile; /* of its system calls; NULL: no filter */
	pid_t pid;
	unsigned restarts;
};

typedef void (*vm_process_fn)(void *ctx, const struct vm_process_info *process);
typedef void (*vm_counter_fn)(void *ctx, const char *name, uint64_t value);

/* Where it says int: 0 or a negative errno with words in err. */
struct vm_body_ops {
	const char *isolation; /* "process" or "none", for people */

	/*
	 * Opens what clients may ask for before the VM runs: the pty, and the log, so that a wrong
	 * path is known at once. Fields of config are copied.
	 */
	int (*create)(struct vm_body **out, const struct vm_body_config *config,
		      struct vmm_error *err);
	/* Ends what runs, closes all. */
	void (*destroy)(struct vm_body *body);

	/* Only while off. */
	int (*boot)(struct vm_body *body, struct vmm_error *err);
	/* Pulls the plug, or lets go of what a VM that ended still holds; a no-op when off. */
	void (*off)(struct vm_body *body);
	enum vm_body_state (*state)(const struct vm_body *body);

	int (*pause)(struct vm_body *body, struct vmm_error *err);
	int (*resume)(struct vm_body *body, struct vmm_error *err);
	int (*reboot)(struct vm_body *body, struct vmm_error *err);
	int (*power_button)(struct vm_body *body, struct vmm_error *err);

	/* -ENOENT: no such device (words are the caller's); its counters, if it has any. */
	int (*counters)(struct vm_body *body, const char *id, vm_counter_fn emit, void *ctx);
	/* Another process takes the device over. -ENODEV: no such device (words are the
	 * caller's); -ENOTSUP where devices have none. */
	int (*restart_device)(struct vm_body *body, const char *id, struct vmm_error *err);
	/* This process first. */
	void (*processes)(struct vm_body *body, vm_process_fn emit, void *ctx);
	/*
	 * Writes what the VM's screen shows into fd, an empty regular file, as a PPM image.
	 * -ENOENT: the VM has no display of kind file (words are the caller's); -EAGAIN: nothing
	 * was shown yet.
	 */
	int (*screenshot)(struct vm_body *body, int fd, struct vmm_error *err);
	/* The terminal has a new size. */
	void (*tty_resized)(struct vm_body *body);
};

extern const struct vm_body_ops vm_body_inprocess;
extern const struct vm_body_ops vm_body_isolated;

#endif
