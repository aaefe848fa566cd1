/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng: an entropy source (VIRTIO 1.2 section 5.4), fed by the kernel's random numbers.
 */
#ifndef VMM_DEV_RNG_H
#define VMM_DEV_RNG_H

#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise; all zero, like no configuration at all, is getrandom(2). */
struct vmm_rng_config {
	/*
	 * An open /dev/urandom to read instead, for a process that may make no other system call
	 * than read; borrowed until destroy. 0 or less: none.
	 */
	int source_fd;
};

/*
 * Makes a virtio-rng device. config may be NULL. The caller owns it until it is handed to a carrier
 * or a VM, and frees it with vmm_virtio_device_destroy otherwise. It opens nothing. Errors: -EBADF,
 * -EINVAL (source_fd is not a character device open for reading), -ENOMEM.
 */
int vmm_rng_create(struct vmm_virtio_device **out, const struct vmm_rng_config *config,
		   struct vmm_error *err);

#ifdef __cplusplus
}
#endif

#endif
