/* SPDX-License-Identifier: MIT */
/* What the files of the x86_64 machine share. */
#ifndef VMM_MACHINE_X86_64_X86_H
#define VMM_MACHINE_X86_64_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/mem.h>

#include "kvm/kvm.h"
#include "machine/image.h"
#include "pci/pci.h"

/* Where RAM and windows are. */
struct x86_layout {
	uint64_t low_ram;  /* bytes from 0 */
	uint64_t high_ram; /* bytes from 4 GiB */
	struct vmm_pci_window mmio64;
	bool no_pci; /* its windows and ECAM are not there */
};

/* -EINVAL when the memory does not fit below phys_bits bits of address. */
int vmm_x86_layout(struct x86_layout *layout, uint64_t memory_size, unsigned phys_bits,
		   struct vmm_error *err);

/* The memory map a kernel is told. type as in e820. */
#define X86_MAP_MAX      8u
#define X86_MAP_RAM      1u
#define X86_MAP_RESERVED 2u

struct x86_map_entry {
	uint64_t gpa;
	uint64_t size;
	uint32_t type;
};

size_t vmm_x86_memory_map(const struct x86_layout *layout, struct x86_map_entry *map);

/* ---- kernels (kernel.c, elf.c, bzimage.c) ---- */

enum x86_boot {
	X86_BOOT_PVH,    /* 32-bit, paging off, ebx: start info */
	X86_BOOT_LINUX64 /* 64-bit, rsi: zero page */
};

#define X86_SEGMENTS_MAX 16u

struct x86_segment {
	uint64_t offset; /* in the file */
	uint64_t size;   /* there; memory beyond it is zero */
	uint64_t gpa;
	uint64_t memory; /* bytes at gpa, >= size */
};

/* How a kernel is to be loaded: the result of checking every length and offset of its headers. */
struct x86_plan {
	enum x86_boot boot;
	uint64_t entry;
	uint64_t end;         /* first address behind the kernel and its working room */
	uint64_t initrd_last; /* highest address an initrd's last byte may have */
	uint32_t cmdline_max; /* bytes, without NUL */
	size_t segment_count;
	struct x86_segment segments[X86_SEGMENTS_MAX];
	/* bzImage: its setup header, to be copied to the zero page at 0x1f1 */
	uint8_t setup[0x110];
	size_t setup_len;
};

/* -ENOEXEC with words, or the errno of read. Never reads outside [0, image->size). */
int vmm_x86_plan(const struct vmm_image *image, struct x86_plan *plan, struct vmm_error *err);
int vmm_x86_plan_elf(const struct vmm_image *image, struct x86_plan *plan, struct vmm_error *err);
int vmm_x86_plan_bzimage(const struct vmm_image *image, struct x86_plan *plan,
			 struct vmm_error *err);

struct x86_boot_params {
	const struct x86_layout *layout;
	uint64_t rsdp;
	uint64_t cmdline;
	uint64_t initrd; /* 0: none */
	uint64_t initrd_size;
};

/* Copies the segments to mem. -EINVAL: they do not fit. */
int vmm_x86_load(const struct vmm_image *image, const struct x86_plan *plan, struct vmm_mem *mem,
		 const struct x86_layout *layout, struct vmm_error *err);
/* Puts the initrd as high as it may be. *gpa: where. */
int vmm_x86_load_initrd(const struct vmm_image *image, const struct x86_plan *plan,
			struct vmm_mem *mem, const struct x86_layout *layout, uint64_t *gpa,
			struct vmm_error *err);
/* Writes what the kernel reads first. -EFAULT: RAM is too small for it. */
int vmm_x86_pvh_params(struct vmm_mem *mem, const struct x86_boot_params *params);
int vmm_x86_linux_params(struct vmm_mem *mem, const struct x86_plan *plan,
			 const struct x86_boot_params *params);

/* ---- ACPI ---- */

struct x86_acpi {
	unsigned vcpus;
	bool no_pci;
	struct vmm_pci_window mmio64;
	unsigned virtio; /* virtio-mmio devices, at the first places */
	bool com1;
};

/*
 * Writes all tables into buf, which will stand at gpa (16-byte aligned); the RSDP comes first.
 * Bytes used, or -ENOSPC.
 */
int vmm_x86_acpi(const struct x86_acpi *acpi, uint64_t gpa, uint8_t *buf, size_t cap);

/* ---- virtio-mmio (virtio.c), and systems without ACPI (mptable.c) ---- */

/* Of place index, below VIRTIO_PLACES. */
uint64_t vmm_x86_virtio_gpa(unsigned index);
unsigned vmm_x86_virtio_gsi(unsigned index);
/* Does the kernel's part of cmdline have acpi=off? */
bool vmm_x86_acpi_is_off(const char *cmdline);
/* Writes cmdline to out with words for count devices; out has room for X86_VIRTIO_WORD_MAX bytes
 * for each of them besides cmdline and its NUL. */
#define X86_VIRTIO_WORD_MAX 48u
void vmm_x86_virtio_cmdline(const char *cmdline, unsigned count, char *out, size_t cap);

/* Writes the tables into buf, which will stand at gpa (16-byte aligned). Bytes used, or -ENOSPC. */
int vmm_x86_mptable(unsigned vcpus, uint64_t gpa, uint8_t *buf, size_t cap);

/* ---- CPUs ---- */

struct x86_cpus;

/* Reads what KVM can offer to guests on this host. */
int vmm_x86_cpus_create(struct x86_cpus **out, int kvm_fd, unsigned count, struct vmm_error *err);
void vmm_x86_cpus_destroy(struct x86_cpus *cpus);
/* Bits of a physical address, from what KVM supports. */
unsigned vmm_x86_cpus_phys_bits(const struct x86_cpus *cpus);
/* Sets CPUID on the new vCPUs of kvm and remembers their state. */
int vmm_x86_cpus_setup(struct x86_cpus *cpus, struct vmm_kvm *kvm, struct vmm_error *err);
/* Back to that state; vCPU 0 at entry, the others waiting for their start-up signal. */
int vmm_x86_cpus_reset(struct x86_cpus *cpus, struct vmm_kvm *kvm, enum x86_boot boot,
		       uint64_t entry, struct vmm_error *err);

/* cpuid.c: the supported leaves, made fit for vCPU index of count. cap entries; -E2BIG. */
struct kvm_cpuid2;
int vmm_x86_cpuid_supported(int kvm_fd, struct kvm_cpuid2 **out);
unsigned vmm_x86_cpuid_phys_bits(const struct kvm_cpuid2 *supported);
int vmm_x86_cpuid_for(const struct kvm_cpuid2 *supported, unsigned index, unsigned count,
		      bool tsc_deadline, struct kvm_cpuid2 *out, unsigned cap);

/* ---- IOAPIC ---- */

struct x86_ioapic;

/* A line is to raise that message from now on; NULL: nothing. On a vCPU's thread, or at reset. */
typedef void (*x86_ioapic_route_fn)(void *ctx, unsigned pin, const struct vmm_pci_msi *msi);

/* All lines are masked. -ENOMEM, errors of vmm_bus_add. */
int vmm_x86_ioapic_create(struct x86_ioapic **out, struct vmm_bus *mmio, x86_ioapic_route_fn route,
			  void *ctx, struct vmm_error *err);
/* NULL is a no-op. Before ctx goes. */
void vmm_x86_ioapic_destroy(struct x86_ioapic *io);
/* As after power-on. No vCPU runs. */
void vmm_x86_ioapic_reset(struct x86_ioapic *io);

/* boot.c: page tables and descriptor table for the 64-bit entry. */
int vmm_x86_write_tables(struct vmm_mem *mem);
/* boot.c: the instructions that a system finds when it jumps to the BIOS in order to reboot. */
int vmm_x86_write_bios(struct vmm_mem *mem);

/* ---- power management device ---- */

struct x86_pm;

int vmm_x86_pm_create(struct x86_pm **out, struct vmm_kvm *kvm, struct vmm_bus *pio,
		      void (*event)(void *ctx, bool reset), void *ctx, struct vmm_error *err);
void vmm_x86_pm_destroy(struct x86_pm *pm);
void vmm_x86_pm_reset(struct x86_pm *pm);
void vmm_x86_pm_button(struct x86_pm *pm);

#endif
