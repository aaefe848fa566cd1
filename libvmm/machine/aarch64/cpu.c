/* SPDX-License-Identifier: MIT */
/*
 * vCPUs: what the host's processor is, with PSCI by KVM (DEN 0022): secondary vCPUs are off until
 * the guest turns them on, and its calls to switch off or reset come out of KVM_RUN. KVM's own
 * initialisation is the state after power-on, at every reset anew.
 */
#include "machine/aarch64/arm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "kvm/kvm.h"

#define CORE_REG(field)                                        \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 (offsetof(struct kvm_regs, regs.field) / sizeof(uint32_t)))

#define MPIDR_EL1        ARM64_SYS_REG(3, 0, 0, 0, 5)
#define ID_AA64MMFR0_EL1 ARM64_SYS_REG(3, 0, 0, 7, 0)

struct arm_cpus {
	unsigned count;
	bool pauth;
	bool sve;
	struct kvm_vcpu_init init; /* of vCPU 0 */
	unsigned page_sizes;       /* bit 1, 2, 3: 4, 16, 64 KiB */
	uint64_t mpidr[];
};

int vmm_arm_cpus_create(struct arm_cpus **out, int kvm_fd, unsigned count, struct vmm_error *err)
{
	struct arm_cpus *cpus = calloc(1, sizeof(*cpus) + count * sizeof(cpus->mpidr[0]));

	*out = cpus;
	if (!cpus) {
		return vmm_error_set(err, -ENOMEM, "vCPU state: out of memory");
	}
	cpus->count = count;
	cpus->pauth = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0 &&
		      ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_GENERIC) > 0;
	cpus->sve = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_SVE) > 0;
	return 0;
}

void vmm_arm_cpus_destroy(struct arm_cpus *cpus)
{
	free(cpus);
}

static int get_reg(int fd, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)value};

	return ioctl(fd, KVM_GET_ONE_REG, &reg) == 0 ? 0 : -errno;
}

static int set_reg(int fd, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uint64_t)(uintptr_t)&value};

	return ioctl(fd, KVM_SET_ONE_REG, &reg) == 0 ? 0 : -errno;
}

static void feature(struct kvm_vcpu_init *init, unsigned bit)
{
	init->features[bit / 32] |= UINT32_C(1) << (bit % 32);
}

/* Power-on. What is on is the same at each call, as KVM demands. */
static int init_vcpu(const struct arm_cpus *cpus, unsigned index, int fd)
{
	struct kvm_vcpu_init init = cpus->init;

	if (index > 0) {
		feature(&init, KVM_ARM_VCPU_POWER_OFF);
	}
	return ioctl(fd, KVM_ARM_VCPU_INIT, &init) == 0 ? 0 : -errno;
}

/* The page sizes that a guest may use (Arm DDI 0487, ID_AA64MMFR0_EL1). */
static unsigned page_sizes(uint64_t mmfr0)
{
	unsigned gran4 = (unsigned)(mmfr0 >> 28) & 0xf;
	unsigned gran64 = (unsigned)(mmfr0 >> 24) & 0xf;
	unsigned gran16 = (unsigned)(mmfr0 >> 20) & 0xf;

	return (gran4 < 8 ? 1u << 1 : 0) | (gran16 != 0 ? 1u << 2 : 0) | (gran64 < 8 ? 1u << 3 : 0);
}

static int set_up_vcpu(struct arm_cpus *cpus, unsigned index, int fd)
{
	int sve = KVM_ARM_VCPU_SVE;
	uint64_t mmfr0 = 0;
	int ret = init_vcpu(cpus, index, fd);

	if (ret == 0 && cpus->sve && ioctl(fd, KVM_ARM_VCPU_FINALIZE, &sve) != 0) {
		ret = -errno;
	}
	if (ret == 0) {
		ret = get_reg(fd, MPIDR_EL1, &cpus->mpidr[index]);
	}
	if (ret == 0) {
		ret = get_reg(fd, ID_AA64MMFR0_EL1, &mmfr0);
	}
	cpus->page_sizes = page_sizes(mmfr0);
	return ret;
}

int vmm_arm_cpus_setup(struct arm_cpus *cpus, struct vmm_kvm *kvm, struct vmm_error *err)
{
	if (ioctl(vmm_kvm_vm_fd(kvm), KVM_ARM_PREFERRED_TARGET, &cpus->init) != 0) {
		return vmm_error_wrap(err, -errno, "vCPU: kind of processor");
	}
	feature(&cpus->init, KVM_ARM_VCPU_PSCI_0_2);
	if (cpus->pauth) {
		feature(&cpus->init, KVM_ARM_VCPU_PTRAUTH_ADDRESS);
		feature(&cpus->init, KVM_ARM_VCPU_PTRAUTH_GENERIC);
	}
	if (cpus->sve) {
		feature(&cpus->init, KVM_ARM_VCPU_SVE);
	}
	for (unsigned i = 0; i < cpus->count; i++) {
		int ret = set_up_vcpu(cpus, i, vmm_kvm_vcpu_fd(kvm, i));

		if (ret < 0) {
			return vmm_error_wrap(err, ret, "vCPU %u: state", i);
		}
	}
	return 0;
}

const uint64_t *vmm_arm_cpus_mpidr(const struct arm_cpus *cpus)
{
	return cpus->mpidr;
}

bool vmm_arm_cpus_have_pages(const struct arm_cpus *cpus, unsigned page_size)
{
	return page_size == 0 || (cpus->page_sizes & (1u << page_size)) != 0;
}

int vmm_arm_cpus_reset(struct arm_cpus *cpus, struct vmm_kvm *kvm, uint64_t entry, uint64_t fdt,
		       struct vmm_error *err)
{
	int fd = vmm_kvm_vcpu_fd(kvm, 0);
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < cpus->count; i++) {
		ret = init_vcpu(cpus, i, vmm_kvm_vcpu_fd(kvm, i));
	}
	if (ret == 0) {
		ret = set_reg(fd, CORE_REG(pc), entry);
	}
	if (ret == 0) {
		ret = set_reg(fd, CORE_REG(regs[0]), fdt);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "vCPUs: reset") : 0;
}
