/* SPDX-License-Identifier: MIT */
#include "machine_fix.h"

#include <endian.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#define GICD_GPA     0x08000000u
#define GICR_GPA     0x080a0000u
#define GICD_ISPENDR 0x0200u
#define GICD_ICFGR   0x0c00u
#define SPI          32u /* the first */
#define IRQS         64u

const char machine_no_kernel[] = "kernel: it is";
const unsigned machine_virtio_places = 30;
const uint64_t machine_msi_base = 0x08030000;
const uint64_t machine_msi_size = 0x10000;
const unsigned machine_irqchip = 0;
const bool machine_has_messages = false;

static int gic = -1;

/* An Image: wfi; and back. */
int machine_kernel(void)
{
	static const uint32_t code[] = {0xd503207f, 0x17ffffff};
	struct {
		uint32_t code[2];
		uint64_t text_offset, image_size, flags, reserved[3];
		char magic[4];
		uint32_t pe;
	} image = {.image_size = htole64(0x10000), .magic = "ARM\x64"};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memcpy(image.code, code, sizeof(code));
	ck_assert_int_eq(write(fd, &image, sizeof(image)), sizeof(image));
	return fd;
}

static void attr(unsigned long request, uint32_t group, uint64_t which, void *value)
{
	struct kvm_device_attr a = {
		.group = group,
		.attr = which,
		.addr = (uint64_t)(uintptr_t)value,
	};

	ck_assert_int_eq(ioctl(gic, request, &a), 0);
}

static void add_vcpu(struct vmm_kvm *kvm, unsigned index)
{
	struct kvm_vcpu_init init;
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_kvm_add_vcpu(kvm, &err), 0);
	ck_assert_int_eq(ioctl(vmm_kvm_vm_fd(kvm), KVM_ARM_PREFERRED_TARGET, &init), 0);
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2 | 1u << KVM_ARM_VCPU_POWER_OFF;
	ck_assert_int_eq(ioctl(vmm_kvm_vcpu_fd(kvm, index), KVM_ARM_VCPU_INIT, &init), 0);
}

/* vCPUs that are off wait inside KVM_RUN. */
void machine_start(struct vmm_kvm *kvm, unsigned count)
{
	struct kvm_create_device dev = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	uint64_t distributor = GICD_GPA;
	uint64_t redistributors = GICR_GPA;
	uint32_t irqs = IRQS;

	ck_assert_int_eq(ioctl(vmm_kvm_vm_fd(kvm), KVM_CREATE_DEVICE, &dev), 0);
	gic = (int)dev.fd;
	for (unsigned i = 0; i < count; i++) {
		add_vcpu(kvm, i);
	}
	attr(KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST,
	     &distributor);
	attr(KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
	     &redistributors);
	attr(KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs);
	attr(KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	vmm_kvm_set_msi_window(kvm, machine_msi_base, machine_msi_size, false);
}

void machine_stop(void)
{
	if (gic >= 0) {
		(void)close(gic);
	}
	gic = -1;
}

/* Two bits for each interrupt; the higher one is: edges. */
void machine_wire_pin(struct vmm_kvm *kvm, unsigned pin)
{
	uint32_t edge = 2u << (2 * (pin % 16));

	(void)kvm;
	attr(KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
	     GICD_ICFGR + 4 * ((SPI + pin) / 16), &edge);
}

bool machine_pin_waits(struct vmm_kvm *kvm, unsigned pin)
{
	uint32_t pending = 0;

	(void)kvm;
	attr(KVM_GET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
	     GICD_ISPENDR + 4 * ((SPI + pin) / 32), &pending);
	return (pending >> (pin % 32) & 1) != 0;
}

bool machine_message_waits(struct vmm_kvm *kvm, uint32_t data)
{
	(void)kvm;
	(void)data;
	return false;
}
