/* SPDX-License-Identifier: MIT */
/*
 * From a configuration to a VM of the library with its devices.
 */
#ifndef VMM_CLI_VM_MACHINE_H
#define VMM_CLI_VM_MACHINE_H

#include <vmm/dev/chardev.h>
#include <vmm/vm.h>

#include "config/config.h"
#include "vm/body.h"

/* Back ends that live longer than one run of the VM; NULL: nowhere. */
struct vm_backends {
	struct vmm_chardev *console;
	struct vmm_chardev *serial;
	const struct vmm_log *log; /* borrowed; learns of back ends of others that are lost */
};

/*
 * Gives vm its kernel and devices: opens the files that config names and duplicates
 * the descriptors it holds; taps named in config are opened once and stay open in it. backends are
 * borrowed until the VM is destroyed. On failure the VM is half built: destroy it. err names the
 * file or device.
 */
int vm_machine_build(struct vmm_vm *vm, struct vm_config *config,
		     const struct vm_backends *backends, struct vmm_error *err);

#endif
