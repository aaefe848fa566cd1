/* SPDX-License-Identifier: MIT */
/*
 * limit KERNEL MIB [CMDLINE]: the least that runs the guest of `start` (limit_vm.h). What a VMM
 * takes beyond it is its own.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "limit_vm.h"

int main(int argc, char **argv)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int kernel = open(argc > 1 ? argv[1] : "", O_RDONLY | O_CLOEXEC);
	struct limit_vm vm;

	if (argc < 3 || limit_vm_create(&vm, kvm, kernel, (size_t)atoi(argv[2]) << 20) != 0) {
		(void)fputs("usage: limit KERNEL MIB [CMDLINE], with /dev/kvm\n", stderr);
		return 1;
	}
	if (argc > 3) {
		limit_vm_cmdline(&vm, argv[3]);
	}
	return limit_vm_run(&vm) == 0 ? 0 : 1;
}
