/* SPDX-License-Identifier: MIT */
/*
 * The least that runs a guest of one vCPU: KVM and nothing else. No device, no check, no jail, no
 * way to do anything but this: a measure of what is possible, and never an example.
 */
#ifndef TESTS_BENCH_LIMIT_VM_H
#define TESTS_BENCH_LIMIT_VM_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#define LIMIT_PM_SLEEP 0x601u

struct limit_vm {
	int fd;
	int vcpu;
	uint8_t *ram;
	size_t size;
	struct kvm_run *run;
	size_t run_size;
};

/* The kernel is an ELF with a PVH note, read from its beginning. -1 when it cannot be had. */
int limit_vm_create(struct limit_vm *vm, int kvm, int kernel, size_t size);
/* What the guest finds as its command line. */
void limit_vm_cmdline(struct limit_vm *vm, const char *text);
/* Runs until the guest powers itself off (0) or does what nobody here knows (-1); bytes for the
 * serial port go to standard output. */
int limit_vm_run(struct limit_vm *vm);
void limit_vm_destroy(struct limit_vm *vm);

#endif
