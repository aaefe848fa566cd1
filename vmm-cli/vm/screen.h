/* SPDX-License-Identifier: MIT */
/* The screen of a VM whose display is a file that the device's process keeps up to date. */
#ifndef VMM_CLI_VM_SCREEN_H
#define VMM_CLI_VM_SCREEN_H

#include <vmm/error.h>

/* An empty memfd for vmm_display_file, close-on-exec, the caller's; or -errno with words. */
int vm_screen_create(struct vmm_error *err);
/*
 * Writes what the screen shows into out, an empty regular file, as PPM. -EINVAL (out is none),
 * -EAGAIN (nothing is shown), -ENOMEM, errors of writing.
 */
int vm_screen_write(int screen, int out, struct vmm_error *err);

#endif
