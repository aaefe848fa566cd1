/* SPDX-License-Identifier: MIT */
/* What the files of the aarch64 machine share. Those that know no KVM also run in unit tests and
 * fuzzers on other architectures: layout.c, kernel.c, gunzip.c, fdt.c. */
#ifndef VMM_MACHINE_AARCH64_ARM_H
#define VMM_MACHINE_AARCH64_ARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/bus.h>
#include <vmm/error.h>
#include <vmm/mem.h>

#include "machine/image.h"
#include "pci/pci.h"

struct vmm_kvm;

/* ---- memory (layout.c) ---- */

struct arm_layout {
	uint64_t ram; /* bytes from RAM_GPA */
	struct vmm_pci_window mmio64;
};

/* -EINVAL when the memory does not fit below ipa_bits bits of address. */
int vmm_arm_layout(struct arm_layout *layout, uint64_t memory_size, unsigned ipa_bits,
		   struct vmm_error *err);
/* Where the device tree stands. */
uint64_t vmm_arm_fdt_gpa(const struct arm_layout *layout);

/* ---- kernels (kernel.c, gunzip.c) ---- */

struct arm_gunzip;

/* How a kernel is to be loaded: its header, checked. */
struct arm_plan {
	bool gzip;
	uint64_t gpa;       /* of its first byte, which is also its entry */
	uint64_t size;      /* bytes it takes from there, bss included */
	unsigned page_size; /* 0: it does not say; 1, 2, 3: 4, 16, 64 KiB */
};

/*
 * Checks an Image (Documentation/arch/arm64/booting.rst of Linux), which may be compressed by gzip.
 * -ENOEXEC with words, or the errno of read. Nothing is allocated: gunzip has room for one at a
 * time.
 */
int vmm_arm_plan(const struct vmm_image *image, struct arm_gunzip *gunzip, struct arm_plan *plan,
		 struct vmm_error *err);
/* Copies it to mem. -EINVAL: it does not fit. */
int vmm_arm_load(const struct vmm_image *image, struct arm_gunzip *gunzip,
		 const struct arm_plan *plan, struct vmm_mem *mem, const struct arm_layout *layout,
		 struct vmm_error *err);
/* Puts the initrd as high as it may be. *gpa: where. */
int vmm_arm_load_initrd(const struct vmm_image *image, const struct arm_plan *plan,
			struct vmm_mem *mem, const struct arm_layout *layout, uint64_t *gpa,
			struct vmm_error *err);

/* Room for unpacking, taken once: a reboot allocates nothing. NULL: out of memory. */
struct arm_gunzip *vmm_arm_gunzip_create(void);
void vmm_arm_gunzip_destroy(struct arm_gunzip *gunzip);
/*
 * Unpacks image into out, cap bytes at most; *len: how many. all: -ENOSPC when there are more, and
 * the end of the file is checked. -EBADMSG: it is damaged or cut off; errno of read.
 */
int vmm_arm_gunzip(struct arm_gunzip *gunzip, const struct vmm_image *image, void *out, size_t cap,
		   bool all, size_t *len);

/* ---- device tree (fdt.c) ---- */

#define ARM_RNG_SEED 32u

struct arm_fdt {
	unsigned vcpus;
	const uint64_t *mpidr; /* vcpus of them: affinity fields as in MPIDR_EL1 */
	const struct arm_layout *layout;
	const char *cmdline;
	uint64_t initrd; /* 0: none */
	uint64_t initrd_size;
	bool uart;
	bool no_pci;     /* nor a service for its interrupts */
	unsigned virtio; /* virtio-mmio devices, at the first places */
	uint64_t kaslr_seed;
	uint8_t rng_seed[ARM_RNG_SEED];
};

/* Writes the tree into buf. Its size, or -ENOSPC. */
int vmm_arm_fdt(const struct arm_fdt *fdt, void *buf, size_t cap);

/* ---- KVM's parts (gic.c, cpu.c) and the clock (rtc.c) ---- */

struct arm_gic;

/* The GICv3, with its translation service if its is set, for the vCPUs that kvm has. errno of KVM.
 */
int vmm_arm_gic_create(struct arm_gic **out, struct vmm_kvm *kvm, const uint64_t *mpidr, bool its,
		       struct vmm_error *err);
void vmm_arm_gic_destroy(struct arm_gic *gic);
/* As after power-on. No vCPU runs. */
int vmm_arm_gic_reset(struct arm_gic *gic, struct vmm_error *err);

struct arm_cpus;

int vmm_arm_cpus_create(struct arm_cpus **out, int kvm_fd, unsigned count, struct vmm_error *err);
void vmm_arm_cpus_destroy(struct arm_cpus *cpus);
/* Makes kvm's new vCPUs what this machine's are. */
int vmm_arm_cpus_setup(struct arm_cpus *cpus, struct vmm_kvm *kvm, struct vmm_error *err);
/* MPIDR_EL1 of each, once set up. Borrowed. */
const uint64_t *vmm_arm_cpus_mpidr(const struct arm_cpus *cpus);
/* Whether a kernel of such pages (struct arm_plan) runs on them. */
bool vmm_arm_cpus_have_pages(const struct arm_cpus *cpus, unsigned page_size);
/* vCPU 0 at entry with fdt in x0, the others off. */
int vmm_arm_cpus_reset(struct arm_cpus *cpus, struct vmm_kvm *kvm, uint64_t entry, uint64_t fdt,
		       struct vmm_error *err);

struct arm_rtc;

int vmm_arm_rtc_create(struct arm_rtc **out, struct vmm_bus *mmio, struct vmm_error *err);
void vmm_arm_rtc_destroy(struct arm_rtc *rtc);
void vmm_arm_rtc_reset(struct arm_rtc *rtc);

#endif
