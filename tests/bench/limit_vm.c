/* SPDX-License-Identifier: MIT */
#include "limit_vm.h"

#include <elf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define COM1               0x3f8
#define START_INFO         0x6000
#define START_INFO_CMDLINE 24
#define CMDLINE            0x7000
#define GDT                0x500
#define NOTE_ENTRY         18
#define CR0_PE             1

/* The PVH entry: the note of that type holds it. */
static uint32_t load(uint8_t *ram, int fd)
{
	static uint8_t file[1 << 20];
	const Elf64_Ehdr *eh = (const void *)file;
	uint32_t entry = 0;

	(void)!pread(fd, file, sizeof(file), 0);
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		const Elf64_Phdr *ph = (const void *)(file + eh->e_phoff + i * sizeof(*ph));
		const uint32_t *note = (const void *)(file + ph->p_offset);

		if (ph->p_type == PT_LOAD) {
			memcpy(ram + ph->p_paddr, file + ph->p_offset, ph->p_filesz);
		} else if (ph->p_type == PT_NOTE && note[2] == NOTE_ENTRY) {
			entry = note[4];
		}
	}
	return entry;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){.limit = 0xffffffff,
				    .selector = selector,
				    .type = type,
				    .present = 1,
				    .s = 1,
				    .g = 1,
				    .db = 1};
}

/* Without it there is no 64-bit mode. */
static void offer_all(int kvm, int vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = {.head.nent = 256};

	(void)ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	(void)ioctl(vcpu, KVM_SET_CPUID2, &cpuid);
}

static void enter(int vcpu, uint32_t entry)
{
	struct kvm_sregs s;
	struct kvm_regs r = {.rflags = 2, .rip = entry, .rbx = START_INFO};

	(void)ioctl(vcpu, KVM_GET_SREGS, &s);
	s.cs = flat(0x10, 0xb);
	s.ds = s.es = s.ss = s.fs = s.gs = flat(0x18, 0x3);
	s.tr = (struct kvm_segment){.limit = 0x67, .selector = 0x20, .type = 0xb, .present = 1};
	s.gdt = (struct kvm_dtable){.base = GDT, .limit = 31};
	s.cr0 = CR0_PE | 0x10;
	(void)ioctl(vcpu, KVM_SET_SREGS, &s);
	(void)ioctl(vcpu, KVM_SET_REGS, &r);
}

int limit_vm_create(struct limit_vm *vm, int kvm, int kernel, size_t size)
{
	struct kvm_userspace_memory_region region = {.memory_size = size};

	vm->fd = ioctl(kvm, KVM_CREATE_VM, 0);
	vm->size = size;
	vm->ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	region.userspace_addr = (uint64_t)(uintptr_t)vm->ram;
	if (vm->fd < 0 || vm->ram == MAP_FAILED ||
	    ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) != 0) {
		return -1;
	}
	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	vm->run_size = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	offer_all(kvm, vm->vcpu);
	enter(vm->vcpu, load(vm->ram, kernel));
	return 0;
}

void limit_vm_cmdline(struct limit_vm *vm, const char *text)
{
	const uint64_t at = CMDLINE;

	memcpy(vm->ram + START_INFO + START_INFO_CMDLINE, &at, sizeof(at));
	memcpy(vm->ram + CMDLINE, text, strlen(text) + 1);
}

int limit_vm_run(struct limit_vm *vm)
{
	while (ioctl(vm->vcpu, KVM_RUN, 0) == 0) {
		const char *data = (const char *)vm->run + vm->run->io.data_offset;

		if (vm->run->exit_reason == KVM_EXIT_MMIO) {
			continue; /* nothing is there */
		}
		if (vm->run->exit_reason != KVM_EXIT_IO) {
			break;
		}
		if (vm->run->io.port == COM1) {
			(void)!write(STDOUT_FILENO, data, 1);
		} else if (vm->run->io.port == LIMIT_PM_SLEEP) {
			return 0;
		}
	}
	return -1;
}

void limit_vm_destroy(struct limit_vm *vm)
{
	(void)munmap(vm->run, vm->run_size);
	(void)close(vm->vcpu);
	(void)close(vm->fd);
	(void)munmap(vm->ram, vm->size);
}
