/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng: an entropy source (VIRTIO 1.2 section 5.4), fed by getrandom(2).
 */
#ifndef VMM_DEV_RNG_H
#define VMM_DEV_RNG_H

#include <vmm/virtio.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Makes a virtio-rng device. The caller owns it until it is handed to a carrier or a VM, and frees
 * it with vmm_virtio_device_destroy otherwise. It opens nothing. -ENOMEM.
 */
int vmm_rng_create(struct vmm_virtio_device **out, struct vmm_error *err);

#ifdef __cplusplus
}
#endif

#endif
