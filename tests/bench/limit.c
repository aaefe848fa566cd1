/* SPDX-License-Identifier: MIT */
/*
 * limit KERNEL MIB [COMMANDLINE [blk FILE | net TAP]]: the least that runs a guest of the rows
 * (limit_vm.h), with one device at most (limit_virtio.c). What a VMM takes beyond it is its own.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "limit.h"
#include "limit_vm.h"

int main(int argc, char **argv)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int kernel = open(argc > 1 ? argv[1] : "", O_RDONLY | O_CLOEXEC);
	struct limit_vm vm;

	if (argc < 3 || limit_vm_create(&vm, kvm, kernel, (size_t)atoi(argv[2]) << 20) != 0) {
		(void)fputs("usage: limit KERNEL MIB [COMMANDLINE [blk|net PATH]], with /dev/kvm\n",
			    stderr);
		return 1;
	}
	if (argc > 3) {
		limit_vm_cmdline(&vm, argv[3]);
	}
	if (argc > 5) {
		vm.on_mmio = device_access;
		device_start(vm.ram, argv[4], argv[5]);
	}
	return limit_vm_run(&vm) == 0 ? 0 : 1;
}
