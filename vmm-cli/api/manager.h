/* SPDX-License-Identifier: MIT */
/*
 * One VM and what must outlive its runs: the configuration, the descriptors of taps, the pty and
 * the log. It knows nothing of HTTP; the API and the commands that run a VM in the foreground are
 * its callers.
 *
 *	           create            boot               pause
 *	 absent ----------> created --------> running <--------> paused
 *	    ^                 | ^                 |      resume     |
 *	    +-----------------+ +-----------------+-----------------+
 *	          delete                      shutdown
 *
 * A VM that ended by itself (the guest powered off, or it failed) is in state `shutdown` until it
 * is booted again or deleted. All calls are made on the loop's thread.
 */
#ifndef VMM_CLI_MANAGER_H
#define VMM_CLI_MANAGER_H

#include <jansson.h>

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>
#include <vmm/vm.h>

#include "api/events.h"
#include "config/config.h"
#include "vm/body.h"

enum vm_state {
	VM_ABSENT,
	VM_CREATED,
	VM_RUNNING,
	VM_PAUSED,
	VM_SHUTDOWN,
};

/* How an operation ended; everything but VM_OK comes with words in err. */
enum vm_result {
	VM_OK,
	VM_INVALID,   /* the caller's input is at fault */
	VM_NOT_FOUND, /* no VM, or no device of that name */
	VM_CONFLICT,  /* something of that name is there already */
	VM_FAILED,    /* not in this state, or the host failed */
};

struct vm_manager;

struct vm_manager_config {
	struct vmm_loop *loop;     /* borrowed */
	const struct vmm_log *log; /* borrowed, may be NULL */
	struct vm_events *events;  /* borrowed, may be NULL */
	/* What the VM runs in: &vm_body_isolated or &vm_body_inprocess. */
	const struct vm_body_ops *body;
	struct vm_isolation isolation; /* what it points to is borrowed */
	/* The terminal of consoles in mode Tty; borrowed. */
	int tty_in;
	int tty_out;
	/* Looks at the terminal's input first, see struct vmm_fdchar_config. May be NULL. */
	size_t (*tty_filter)(void *ctx, uint8_t *bytes, size_t len);
	/* The VM ended by itself. The manager must not be destroyed in here. May be NULL. */
	void (*on_exit)(void *ctx, const struct vmm_exit *exit);
	void *ctx;
};

/* -ENOMEM. Fields of config are copied. */
int vm_manager_create(struct vm_manager **out, const struct vm_manager_config *config);
/* Ends a VM that runs, drops everything. NULL is a no-op. */
void vm_manager_destroy(struct vm_manager *m);

enum vm_state vm_manager_state(const struct vm_manager *m);
/* "Created", "Running", "Paused", "Shutdown". */
const char *vm_state_name(enum vm_state state);

/*
 * Takes over a checked configuration (config is then as after vm_config_init, on failure too) and
 * opens what clients may ask for before the VM runs: the pty, and the log, so that a wrong path
 * is known at once.
 */
enum vm_result vm_manager_define(struct vm_manager *m, struct vm_config *config,
				 struct vmm_error *err);
/* The configuration; NULL when there is none. */
const struct vm_config *vm_manager_config_of(const struct vm_manager *m);
/* Ends the VM if it runs and forgets it. Fine when there is none. */
enum vm_result vm_manager_delete(struct vm_manager *m, struct vmm_error *err);

enum vm_result vm_manager_boot(struct vm_manager *m, struct vmm_error *err);
/*
 * Lets go of what a VM that ended by itself still holds, its memory above all: in state `shutdown`
 * the VM is `created` again, in any other nothing happens. Not from within on_exit.
 */
void vm_manager_release(struct vm_manager *m);
/* Pulls the plug; the VM is `created` again. */
enum vm_result vm_manager_shutdown(struct vm_manager *m, struct vmm_error *err);
enum vm_result vm_manager_reboot(struct vm_manager *m, struct vmm_error *err);
enum vm_result vm_manager_pause(struct vm_manager *m, struct vmm_error *err);
enum vm_result vm_manager_resume(struct vm_manager *m, struct vmm_error *err);
enum vm_result vm_manager_power_button(struct vm_manager *m, struct vmm_error *err);
/* Writes what the VM's screen shows into fd, an empty regular file, as a PPM image. */
enum vm_result vm_manager_screenshot(struct vm_manager *m, int fd, struct vmm_error *err);

/* Before boot only. The device's contents are taken on success. */
enum vm_result vm_manager_add_disk(struct vm_manager *m, struct vm_disk *disk,
				   struct vmm_error *err);
enum vm_result vm_manager_add_gpu(struct vm_manager *m, struct vm_gpu *gpu, struct vmm_error *err);
enum vm_result vm_manager_add_net(struct vm_manager *m, struct vm_net *net, struct vmm_error *err);
/* Before boot only: a disk or network card. Its descriptor is closed. */
enum vm_result vm_manager_remove(struct vm_manager *m, const char *id, struct vmm_error *err);

/*
 * Another process, of the program as it is now, takes over a device of a VM that runs; its I/O in
 * flight goes on.
 */
enum vm_result vm_manager_restart_device(struct vm_manager *m, const char *id,
					 struct vmm_error *err);

/*
 * New references: {"config":...,"state":...}, {id: {counter: number}}, and an array of what is in
 * struct vm_process_info.
 */
enum vm_result vm_manager_info(struct vm_manager *m, json_t **out, struct vmm_error *err);
enum vm_result vm_manager_counters(struct vm_manager *m, json_t **out, struct vmm_error *err);
enum vm_result vm_manager_processes(struct vm_manager *m, json_t **out, struct vmm_error *err);

/* The terminal of mode Tty has a new size (SIGWINCH). */
void vm_manager_tty_resized(struct vm_manager *m);

#endif
