/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller: KVM's GICv3, with an interrupt translation service for MSIs. KVM has no
 * operation that resets it (but for the service), so its registers are written as they are after
 * power-on (Arm IHI 0069, section 12; the meaning that a write from here has is that of
 * Documentation/virt/kvm/devices/arm-vgic-v3.rst of Linux).
 */
#include "machine/aarch64/arm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/kvm.h"
#include "machine/aarch64/layout.h"

#define PRIVATE_IRQS 32u

/* Distributor, and the same registers of a redistributor's second frame. */
#define GICD_CTLR      0x0000u
#define GICD_ICENABLER 0x0180u
#define GICD_ISPENDR   0x0200u
#define GICD_ICACTIVER 0x0380u
#define GICD_IPRIORITY 0x0400u
#define GICD_ICFGR     0x0c00u
#define GICD_IROUTER   0x6000u

#define GICR_CTLR      0x0000u
#define GICR_PROPBASER 0x0070u
#define GICR_PENDBASER 0x0078u
#define GICR_SGI_FRAME 0x10000u

#define ALL UINT32_MAX

/* A system register as KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS wants it. */
#define SYSREG(op0, op1, crn, crm, op2) \
	(((op0) << 14) | ((op1) << 11) | ((crn) << 7) | ((crm) << 3) | (op2))

/* The CPU interface, in the order in which it is put back: the control register decides what the
 * active priorities may be. */
static const uint32_t interface[] = {
	SYSREG(3u, 0u, 12u, 12u, 4u), /* ICC_CTLR_EL1 */
	SYSREG(3u, 0u, 4u, 6u, 0u),   /* ICC_PMR_EL1 */
	SYSREG(3u, 0u, 12u, 8u, 3u),  /* ICC_BPR0_EL1 */
	SYSREG(3u, 0u, 12u, 12u, 3u), /* ICC_BPR1_EL1 */
	SYSREG(3u, 0u, 12u, 8u, 4u),  /* ICC_AP0R0_EL1; the others exist with more priorities */
	SYSREG(3u, 0u, 12u, 8u, 5u),  SYSREG(3u, 0u, 12u, 8u, 6u),
	SYSREG(3u, 0u, 12u, 8u, 7u),  SYSREG(3u, 0u, 12u, 9u, 0u), /* ICC_AP1R0_EL1 */
	SYSREG(3u, 0u, 12u, 9u, 1u),  SYSREG(3u, 0u, 12u, 9u, 2u),
	SYSREG(3u, 0u, 12u, 9u, 3u),  SYSREG(3u, 0u, 12u, 12u, 6u), /* ICC_IGRPEN0_EL1 */
	SYSREG(3u, 0u, 12u, 12u, 7u),                               /* ICC_IGRPEN1_EL1 */
};
#define INTERFACE (sizeof(interface) / sizeof(interface[0]))

struct cpu {
	uint64_t affinity; /* bits 63:32 of an attribute */
	uint64_t interface[INTERFACE];
	bool has[INTERFACE];
};

struct arm_gic {
	int gic_fd;
	int its_fd; /* -1: there is none */
	unsigned count;
	struct cpu cpus[];
};

static int create_device(struct vmm_kvm *kvm, uint32_t type, int *fd)
{
	struct kvm_create_device dev = {.type = type};

	if (ioctl(vmm_kvm_vm_fd(kvm), KVM_CREATE_DEVICE, &dev) != 0) {
		return -errno;
	}
	*fd = (int)dev.fd;
	return 0;
}

static int set(int fd, uint32_t group, uint64_t attr, void *value)
{
	struct kvm_device_attr a = {
		.group = group,
		.attr = attr,
		.addr = (uint64_t)(uintptr_t)value,
	};

	return ioctl(fd, KVM_SET_DEVICE_ATTR, &a) == 0 ? 0 : -errno;
}

static bool get_interface(int fd, uint64_t attr, uint64_t *value)
{
	struct kvm_device_attr a = {
		.group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
		.attr = attr,
		.addr = (uint64_t)(uintptr_t)value,
	};

	return ioctl(fd, KVM_GET_DEVICE_ATTR, &a) == 0;
}

static int set_address(int fd, uint64_t type, uint64_t address)
{
	return set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &address);
}

static int set_up_gic(struct arm_gic *gic)
{
	uint32_t irqs = PRIVATE_IRQS + GIC_SPIS;
	int ret = set_address(gic->gic_fd, KVM_VGIC_V3_ADDR_TYPE_DIST, GICD_GPA);

	if (ret == 0) {
		ret = set_address(gic->gic_fd, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR_GPA);
	}
	if (ret == 0) {
		ret = set(gic->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs);
	}
	if (ret == 0) {
		ret = set(gic->gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	}
	return ret;
}

static int set_up_its(struct arm_gic *gic, struct vmm_kvm *kvm)
{
	int ret = create_device(kvm, KVM_DEV_TYPE_ARM_VGIC_ITS, &gic->its_fd);

	if (ret == 0) {
		ret = set_address(gic->its_fd, KVM_VGIC_ITS_ADDR_TYPE, ITS_GPA);
	}
	if (ret == 0) {
		ret = set(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	}
	if (ret == 0) {
		vmm_kvm_set_msi_window(kvm, ITS_MSI_GPA, ITS_MSI_SIZE, true);
	}
	return ret;
}

/* What each vCPU's interface looks like before its guest has run. */
static void remember_interface(const struct arm_gic *gic, struct cpu *cpu)
{
	for (size_t i = 0; i < INTERFACE; i++) {
		cpu->has[i] = get_interface(gic->gic_fd, cpu->affinity | interface[i],
					    &cpu->interface[i]);
	}
}

/* Affinity fields as MPIDR_EL1 has them: Aff3 in 39:32, the others in 23:0. */
static uint64_t affinity_of(uint64_t mpidr)
{
	uint64_t packed = ((mpidr >> 8) & UINT64_C(0xff000000)) | (mpidr & UINT64_C(0xffffff));

	return packed << 32;
}

static int set_lines(struct vmm_kvm *kvm)
{
	int ret = 0;

	for (unsigned gsi = 0; ret == 0 && gsi < VMM_KVM_GSI_LINES; gsi++) {
		ret = vmm_kvm_route_pin(kvm, gsi, 0, gsi);
	}
	return ret < 0 ? ret : vmm_kvm_route_commit(kvm);
}

int vmm_arm_gic_create(struct arm_gic **out, struct vmm_kvm *kvm, const uint64_t *mpidr, bool its,
		       struct vmm_error *err)
{
	unsigned count = vmm_kvm_vcpu_count(kvm);
	struct arm_gic *gic = calloc(1, sizeof(*gic) + count * sizeof(gic->cpus[0]));
	int ret;

	*out = NULL;
	if (!gic) {
		return vmm_error_set(err, -ENOMEM, "interrupt controller: out of memory");
	}
	gic->count = count;
	gic->gic_fd = gic->its_fd = -1;
	ret = create_device(kvm, KVM_DEV_TYPE_ARM_VGIC_V3, &gic->gic_fd);
	if (ret == 0) {
		ret = set_up_gic(gic);
	}
	if (ret < 0) {
		(void)vmm_error_wrap(err, ret, "KVM: GICv3, which this host may not have");
		goto error;
	}
	ret = its ? set_up_its(gic, kvm) : 0;
	if (ret < 0) {
		(void)vmm_error_wrap(err, ret, "KVM: interrupt translation service");
		goto error;
	}
	ret = set_lines(kvm);
	if (ret < 0) {
		(void)vmm_error_wrap(err, ret, "KVM: interrupt routing");
		goto error;
	}
	for (unsigned i = 0; i < count; i++) {
		gic->cpus[i].affinity = affinity_of(mpidr[i]);
		remember_interface(gic, &gic->cpus[i]);
	}
	*out = gic;
	return 0;
error:
	vmm_arm_gic_destroy(gic);
	return ret;
}

void vmm_arm_gic_destroy(struct arm_gic *gic)
{
	if (!gic) {
		return;
	}
	if (gic->its_fd >= 0) {
		(void)close(gic->its_fd);
	}
	if (gic->gic_fd >= 0) {
		(void)close(gic->gic_fd);
	}
	free(gic);
}

/* ---- reset ---- */

/* Registers of one frame: the first failure stays. */
struct frame {
	int fd;
	uint32_t group;
	uint64_t attr; /* the vCPU's affinity, or 0 */
	int ret;
};

static void put(struct frame *f, uint32_t offset, uint32_t value)
{
	if (f->ret == 0) {
		f->ret = set(f->fd, f->group, f->attr | offset, &value);
	}
}

static void put64(struct frame *f, uint32_t offset, uint32_t value)
{
	put(f, offset, value);
	put(f, offset + 4, 0);
}

/*
 * 32 interrupts, those that register `word` of the distributor is for: off, neither pending nor
 * active, of the highest priority. A write to ISPENDR from here is the pending state itself.
 */
static void put_word(struct frame *f, uint32_t base, unsigned word)
{
	put(f, base + GICD_ICENABLER + 4 * word, ALL);
	put(f, base + GICD_ISPENDR + 4 * word, 0);
	put(f, base + GICD_ICACTIVER + 4 * word, ALL);
	for (unsigned i = 0; i < 8; i++) {
		put(f, base + GICD_IPRIORITY + 32 * word + 4 * i, 0);
	}
}

static int reset_distributor(const struct arm_gic *gic)
{
	struct frame f = {.fd = gic->gic_fd, .group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS};

	put(&f, GICD_CTLR, 0);
	put_word(&f, 0, PRIVATE_IRQS / 32);
	/* Two bits for each interrupt: level. */
	put(&f, GICD_ICFGR + 4 * (PRIVATE_IRQS / 16), 0);
	put(&f, GICD_ICFGR + 4 * (PRIVATE_IRQS / 16 + 1), 0);
	for (unsigned i = 0; i < GIC_SPIS; i++) {
		put64(&f, GICD_IROUTER + 8 * (PRIVATE_IRQS + i), 0);
	}
	return f.ret;
}

static int reset_cpu(const struct arm_gic *gic, const struct cpu *cpu)
{
	struct frame f = {
		.fd = gic->gic_fd,
		.group = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
		.attr = cpu->affinity,
	};

	/* First LPIs off: with them on, their tables cannot be changed. */
	put(&f, GICR_CTLR, 0);
	put64(&f, GICR_PROPBASER, 0);
	put64(&f, GICR_PENDBASER, 0);
	put_word(&f, GICR_SGI_FRAME, 0);
	for (size_t i = 0; f.ret == 0 && i < INTERFACE; i++) {
		uint64_t value = cpu->interface[i];

		if (cpu->has[i]) {
			f.ret = set(gic->gic_fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
				    cpu->affinity | interface[i], &value);
		}
	}
	return f.ret;
}

int vmm_arm_gic_reset(struct arm_gic *gic, struct vmm_error *err)
{
	int ret = 0;

	if (gic->its_fd >= 0) {
		ret = set(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET, NULL);
	}
	if (ret == 0) {
		ret = reset_distributor(gic);
	}
	for (unsigned i = 0; ret == 0 && i < gic->count; i++) {
		ret = reset_cpu(gic, &gic->cpus[i]);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "KVM: interrupt controller's reset") : 0;
}
