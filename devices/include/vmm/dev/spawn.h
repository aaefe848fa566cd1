/* SPDX-License-Identifier: MIT */
/*
 * A device in a process and a jail of its own, by one call: starts vmm-device over a socket pair
 * and makes the virtio device that stands for it, to be added to a VM like any other. A program
 * chooses for each device whether it is made here (<vmm/dev/blk.h>, ...) or there.
 *
 *	vmm_dev_spawn(&dev, &process, &config, &err);
 *	vmm_vm_add_virtio(vm, "disk", dev, &err);
 *	...
 *	vmm_vm_destroy(vm);                  the device goes, and with it the connection
 *	vmm_process_wait(&process, -1, &status);
 *
 * All calls are made on the thread of config.loop, which has to live as long as the process does
 * (<vmm/process.h>).
 */
#ifndef VMM_DEV_SPAWN_H
#define VMM_DEV_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <vmm/error.h>
#include <vmm/log.h>
#include <vmm/loop.h>
#include <vmm/process.h>
#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Number of the connection in the process; descriptors of the config have others, and not 2. */
#define VMM_DEV_SPAWN_SOCKET  3
#define VMM_DEV_SPAWN_OPTIONS 24

/* Everything is borrowed for the call, but loop and log for the life of the device. */
struct vmm_dev_spawn_config {
	const char *program; /* path of vmm-device */
	const char *kind;    /* as for vmm_dev_shape_find */
	/*
	 * Its other options ("--disk-fd", "4", "--readonly", see vmm-device --help) without --fd,
	 * --log-fd and --queue-size; NULL-terminated, at most VMM_DEV_SPAWN_OPTIONS; NULL: none.
	 */
	const char *const *options;
	const struct vmm_process_fd *fds; /* the descriptors that options name */
	size_t fd_count;
	int log_fd; /* > 0: where the process says what happens, best a pipe; else nowhere */
	uid_t uid;  /* as for vmm_process_spawn, when this process is root */
	gid_t gid;

	struct vmm_loop *loop;
	const struct vmm_log *log; /* may be NULL */
	/* As in <vmm/vhost_frontend.h>: what to do when the process is lost. */
	bool waits;
	void (*on_lost)(void *ctx, int why);
	void *ctx;
};

/*
 * Starts the process and makes the device. The process ends by itself when the device is destroyed;
 * waiting for it is the caller's. Errors: -EINVAL (an unknown kind, too many options), those of
 * vmm_process_spawn and vmm_vhost_frontend_create; *out is then NULL and no process is left.
 */
int vmm_dev_spawn(struct vmm_virtio_device **out, struct vmm_process *process,
		  const struct vmm_dev_spawn_config *config, struct vmm_error *err);

/*
 * Puts another process in the place of one that was lost, or is to be replaced (a new program,
 * under a running guest): what is left of the old one is killed and waited for, then the new one
 * goes on with what was in flight. config as for vmm_dev_spawn; loop, waits and on_lost do not
 * count. On failure there is no process, and the device waits on.
 */
int vmm_dev_respawn(struct vmm_virtio_device *dev, struct vmm_process *process,
		    const struct vmm_dev_spawn_config *config, struct vmm_error *err);

#ifdef __cplusplus
}
#endif

#endif
