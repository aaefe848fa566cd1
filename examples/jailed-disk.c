/* SPDX-License-Identifier: MIT */
/*
 * A VM whose disk is served by a process in a jail of its own, while all else is in this one:
 * jailed-disk VMM-DEVICE KERNEL DISK. The guest's log is on stdout.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <vmm/dev/chardev.h>
#include <vmm/dev/serial.h>
#include <vmm/dev/spawn.h>
#include <vmm/vm.h>

#define NOBODY 65534
#define DISK   4 /* its number in the other process */

static int add_disk(struct vmm_vm *vm, struct vmm_process *process, char **argv,
		    struct vmm_error *err)
{
	static const char *const options[] = {"--disk-fd", "4", NULL};
	const struct vmm_process_fd disk = {.from = open(argv[3], O_RDWR | O_CLOEXEC), .to = DISK};
	const struct vmm_dev_spawn_config config = {
		.program = argv[1],
		.kind = "blk",
		.options = options,
		.fds = &disk,
		.fd_count = 1,
		.uid = NOBODY, /* if this is root */
		.gid = NOBODY,
		.loop = vmm_vm_loop(vm),
	};
	struct vmm_virtio_device *dev;
	int ret = vmm_dev_spawn(&dev, process, &config, err);

	close(disk.from);
	if (ret == 0) {
		ret = vmm_vm_add_virtio(vm, "disk", dev, err);
	}
	return ret;
}

static int build(struct vmm_vm *vm, struct vmm_chardev *log, struct vmm_process *process,
		 char **argv, struct vmm_error *err)
{
	struct vmm_serial_config serial_config = {.loop = vmm_vm_loop(vm), .output = log};
	struct vmm_platform_device *serial;

	if (vmm_vm_set_kernel(vm, open(argv[2], O_RDONLY | O_CLOEXEC), err) < 0 ||
	    vmm_vm_set_cmdline(vm, "console=ttyS0 root=/dev/vda", err) < 0 ||
	    vmm_serial_create(&serial, &serial_config, err) < 0 ||
	    vmm_vm_add_platform(vm, serial, err) < 0 || add_disk(vm, process, argv, err) < 0) {
		return -1;
	}
	return vmm_vm_start(vm, err);
}

int main(int argc, char **argv)
{
	struct vmm_fdchar_config log_config = {.in_fd = -1, .out_fd = 1};
	struct vmm_vm_config config = {.memory_size = UINT64_C(256) << 20};
	struct vmm_exit exit = {.reason = VMM_EXIT_ERROR};
	struct vmm_process process = {0};
	struct vmm_error err = {0};
	struct vmm_chardev *log = NULL;
	struct vmm_vm *vm = NULL;

	if (argc < 4 || vmm_fdchar_create(&log, &log_config, &err) < 0 ||
	    vmm_vm_create(&vm, &config, &err) < 0 || build(vm, log, &process, argv, &err) < 0) {
		fprintf(stderr, "%s\n",
			argc < 4 ? "usage: jailed-disk VMM-DEVICE KERNEL DISK" : err.message);
	} else {
		vmm_vm_wait(vm, &exit);
	}
	vmm_vm_destroy(vm); /* and with it the connection, which ends the process */
	vmm_process_wait(&process, -1, NULL);
	vmm_chardev_destroy(log);
	return exit.reason == VMM_EXIT_POWEROFF ? 0 : 1;
}
