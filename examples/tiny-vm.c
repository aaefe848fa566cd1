/* SPDX-License-Identifier: MIT */
/* A whole VM: tiny-vm KERNEL [COMMAND-LINE]. The guest's log is on stdout; it ends when the guest
 * powers off. */
#include <fcntl.h>
#include <stdio.h>

#include <vmm/dev/chardev.h>
#include <vmm/dev/rng.h>
#include <vmm/dev/serial.h>
#include <vmm/vm.h>

static int build(struct vmm_vm *vm, struct vmm_chardev *log, char **argv, struct vmm_error *err)
{
	struct vmm_serial_config serial_config = {.loop = vmm_vm_loop(vm), .output = log};
	struct vmm_platform_device *serial;
	struct vmm_virtio_device *rng;

	if (vmm_vm_set_kernel(vm, open(argv[1], O_RDONLY | O_CLOEXEC), err) < 0 ||
	    vmm_vm_set_cmdline(vm, argv[2] ? argv[2] : "console=ttyS0", err) < 0 ||
	    vmm_serial_create(&serial, &serial_config, err) < 0 ||
	    vmm_vm_add_platform(vm, serial, err) < 0 || vmm_rng_create(&rng, NULL, err) < 0 ||
	    vmm_vm_add_virtio(vm, "rng", rng, err) < 0) {
		return -1;
	}
	return vmm_vm_start(vm, err);
}

int main(int argc, char **argv)
{
	struct vmm_fdchar_config log_config = {.in_fd = -1, .out_fd = 1};
	struct vmm_vm_config config = {.memory_size = UINT64_C(256) << 20};
	struct vmm_exit exit = {.reason = VMM_EXIT_ERROR};
	struct vmm_error err = {0};
	struct vmm_chardev *log = NULL;
	struct vmm_vm *vm = NULL;

	if (argc < 2 || vmm_fdchar_create(&log, &log_config, &err) < 0 ||
	    vmm_vm_create(&vm, &config, &err) < 0 || build(vm, log, argv, &err) < 0) {
		fprintf(stderr, "%s\n",
			argc < 2 ? "usage: tiny-vm KERNEL [COMMAND-LINE]" : err.message);
	} else {
		vmm_vm_wait(vm, &exit);
	}
	vmm_vm_destroy(vm);
	vmm_chardev_destroy(log);
	return exit.reason == VMM_EXIT_POWEROFF ? 0 : 1;
}
