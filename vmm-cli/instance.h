/* SPDX-License-Identifier: MIT */
/*
 * A VM that has a VMM process: its runtime directory, its processes, its network.
 *
 *	RUN/NAME/vmm         the API socket
 *	RUN/NAME/pid         the VMM's process id, from which its network is named
 *	RUN/NAME/config      symbolic link to the VM directory; made last, when the VM is complete
 *	RUN/NAME/network     there when a bridge and taps of that name may exist and are this VM's
 *	RUN/NAME/log         what the VMM has to say
 *	RUN/NAME/serial.log  the guest's ttyS0
 *	RUN/NAME/lock        held by the watcher, a small process that outlives the VMM and takes
 *	                     away what it leaves: bridge, taps and this directory
 *
 * RUN is the truth about which VMs exist. A VMM whose guest is off stays as long as something it is
 * connected to runs, so that a provider of network can be restarted under its clients and the other
 * way round.
 *
 * Whoever makes or ends VMMs holds the lock of RUN meanwhile (instance_roots_lock).
 */
#ifndef VMM_CLI_INSTANCE_H
#define VMM_CLI_INSTANCE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include <vmm/error.h>

/* Where VM directories and runtime directories are. Both absolute. */
struct instance_roots {
	char vms[PATH_MAX];
	char run[PATH_MAX];
};

/*
 * Fills roots: vms is the argument, or $VMM_VMS, or /var/lib/vm; run is the argument, or $VMM_RUN,
 * or /run/vm for root and $XDG_RUNTIME_DIR/vm for others. Relative paths are taken from the working
 * directory. -ENAMETOOLONG, -ENOENT.
 */
int instance_roots_init(struct instance_roots *roots, const char *vms, const char *run,
			struct vmm_error *err);

/*
 * Takes the lock of RUN, waiting for whoever has it, and makes RUN first if create is set: the
 * descriptor that holds it, close-on-exec. -ENOENT: there is no RUN. -EPERM: RUN belongs to
 * somebody else, or others may write to it.
 */
int instance_roots_lock(const struct instance_roots *roots, bool create, struct vmm_error *err);
/* Lets go of it, and of RUN when nothing is left in it. A negative lock is a no-op. */
void instance_roots_unlock(const struct instance_roots *roots, int lock);

enum instance_state {
	INSTANCE_ABSENT,     /* no VMM */
	INSTANCE_UNFINISHED, /* a VMM whose VM is not complete: being made, or its maker died */
	INSTANCE_OFF,        /* a VMM whose guest is off */
	INSTANCE_RUNNING,
	INSTANCE_PAUSED,
	INSTANCE_SILENT, /* there is a VMM, but it does not answer */
};

/* Path of a file in the runtime directory of name. -ENAMETOOLONG. */
int instance_path(const struct instance_roots *roots, const char *name, const char *file,
		  char out[PATH_MAX], struct vmm_error *err);

enum instance_state instance_state(const struct instance_roots *roots, const char *name);

/* Is there a VM directory for name? -ENOENT and the like, with its path. */
int instance_check_known(const struct instance_roots *roots, const char *name,
			 struct vmm_error *err);

/* The VMM's pid as recorded, or -ESRCH. */
pid_t instance_pid(const struct instance_roots *roots, const char *name);

/* The VM that provides the network of name, "" when there is none. From the VM directory. */
int instance_provider(const struct instance_roots *roots, const char *name, char out[NAME_MAX + 1]);

/* ---- making and ending: under the lock of RUN ---- */

/*
 * Starts a VMM for the VM directory of name, makes its network and creates the VM, not yet booted.
 * The VMM of its provider must exist already and be off. -EEXIST: it has one. -EBUSY: the
 * provider's guest runs and can take no further interface. On failure nothing is left.
 */
int instance_create(const struct instance_roots *roots, const char *name, struct vmm_error *err);

/*
 * Makes sure that a VM that has a VMM is connected to its provider, which may have got another VMM
 * since. 0 also when it needs no network. -EBUSY as above, -ESRCH: the provider has no VMM.
 */
int instance_join(const struct instance_roots *roots, const char *name, struct vmm_error *err);

/*
 * Boots the guest, or lets one that is paused go on; 0 also when it runs already. Interfaces to
 * clients whose VMM has died meanwhile are taken out first.
 */
int instance_boot(const struct instance_roots *roots, const char *name, struct vmm_error *err);

/* Ends the VMM process, by request, then by signal, and takes away what it leaves. 0 also when
 * there is none. */
int instance_end(const struct instance_roots *roots, const char *name, struct vmm_error *err);

/*
 * Ends every VMM that is not connected, by way of networks, to a guest that runs, and takes away
 * what VMMs left whose watcher died as well. With logs also what was kept of those that failed.
 */
int instance_sweep(const struct instance_roots *roots, bool logs, struct vmm_error *err);

/* ---- switching off: no lock needed ---- */

/* Presses the power button. -ESRCH: no guest runs. */
int instance_press(const struct instance_roots *roots, const char *name, struct vmm_error *err);

/*
 * Waits up to grace_ms for the guest to go off and then switches it off. 0 also when it is off;
 * -ETIMEDOUT: the VMM does not answer.
 */
int instance_shutdown(const struct instance_roots *roots, const char *name, int grace_ms,
		      struct vmm_error *err);

/* ---- which there are ---- */

/*
 * Calls fn for each name in a directory of VMs in alphabetical order, until it returns other than
 * 0, which is then the result. Configured: in roots->vms, with a kernel; live: in roots->run, with
 * a socket; left: all in roots->run, also what was kept of VMMs that failed.
 */
typedef int (*instance_name_fn)(void *ctx, const char *name);
int instance_each_configured(const struct instance_roots *roots, instance_name_fn fn, void *ctx);
int instance_each_live(const struct instance_roots *roots, instance_name_fn fn, void *ctx);
int instance_each_left(const struct instance_roots *roots, instance_name_fn fn, void *ctx);

#endif
