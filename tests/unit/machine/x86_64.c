/* SPDX-License-Identifier: MIT */
#include "machine_fix.h"

#include <elf.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#define LAPIC_SPURIOUS 0xf0u
#define LAPIC_IRR      0x200u
#define LAPIC_ENABLED  0x1u /* in the second byte of the spurious vector register */
#define PIN_VECTOR     0x50u

const char machine_no_kernel[] = "kernel: neither";
const unsigned machine_virtio_places = 16;
const uint64_t machine_msi_base = 0xfee00000;
const uint64_t machine_msi_size = 0x100000;
const unsigned machine_irqchip = KVM_IRQCHIP_IOAPIC;
const bool machine_has_messages = true;

/* A PVH kernel at 1 MiB: cli; hlt; and back. */
int machine_kernel(void)
{
	static const uint8_t code[] = {0xfa, 0xf4, 0xeb, 0xfc};
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph[2];
		uint32_t note[5];
		uint8_t code[4];
	} elf = {
		.eh = {.e_machine = EM_X86_64, .e_phoff = sizeof(elf.eh), .e_phnum = 2},
		.ph = {{.p_type = PT_LOAD, .p_paddr = 1 << 20, .p_memsz = sizeof(code)},
		       {.p_type = PT_NOTE, .p_filesz = sizeof(elf.note), .p_align = 4}},
		.note = {4, 4, 18, 0x006e6558, 1 << 20},
	};
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memcpy(elf.eh.e_ident, ELFMAG, SELFMAG);
	elf.eh.e_ident[EI_CLASS] = ELFCLASS64;
	elf.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.eh.e_phentsize = sizeof(Elf64_Phdr);
	elf.ph[0].p_offset = (uint64_t)((char *)elf.code - (char *)&elf);
	elf.ph[0].p_filesz = sizeof(code);
	elf.ph[1].p_offset = (uint64_t)((char *)elf.note - (char *)&elf);
	memcpy(elf.code, code, sizeof(code));
	ck_assert_int_eq(write(fd, &elf, sizeof(elf)), sizeof(elf));
	return fd;
}

/* Application processors wait for a start-up signal inside KVM_RUN. */
void machine_start(struct vmm_kvm *kvm, unsigned count)
{
	struct kvm_mp_state waiting = {.mp_state = KVM_MP_STATE_UNINITIALIZED};
	struct vmm_error err = {0};

	ck_assert_int_eq(ioctl(vmm_kvm_vm_fd(kvm), KVM_CREATE_IRQCHIP, 0), 0);
	vmm_kvm_set_msi_window(kvm, machine_msi_base, machine_msi_size, false);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_int_eq(vmm_kvm_add_vcpu(kvm, &err), 0);
		ck_assert_int_eq(ioctl(vmm_kvm_vcpu_fd(kvm, i), KVM_SET_MP_STATE, &waiting), 0);
	}
}

void machine_stop(void)
{
}

void machine_wire_pin(struct vmm_kvm *kvm, unsigned pin)
{
	struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};
	struct kvm_lapic_state lapic;
	int fd = vmm_kvm_vcpu_fd(kvm, 0);

	ck_assert_int_eq(ioctl(fd, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[LAPIC_SPURIOUS + 1] |= LAPIC_ENABLED;
	ck_assert_int_eq(ioctl(fd, KVM_SET_LAPIC, &lapic), 0);
	ck_assert_int_eq(ioctl(vmm_kvm_vm_fd(kvm), KVM_GET_IRQCHIP, &chip), 0);
	chip.chip.ioapic.redirtbl[pin].bits = PIN_VECTOR + pin; /* edge, not masked, to APIC 0 */
	ck_assert_int_eq(ioctl(vmm_kvm_vm_fd(kvm), KVM_SET_IRQCHIP, &chip), 0);
}

bool machine_message_waits(struct vmm_kvm *kvm, uint32_t data)
{
	struct kvm_lapic_state lapic;
	uint8_t vector = (uint8_t)data;

	ck_assert_int_eq(ioctl(vmm_kvm_vcpu_fd(kvm, 0), KVM_GET_LAPIC, &lapic), 0);
	return ((uint8_t)lapic.regs[LAPIC_IRR + vector / 32 * 16 + vector % 32 / 8] >> vector % 8 &
		1) != 0;
}

bool machine_pin_waits(struct vmm_kvm *kvm, unsigned pin)
{
	return machine_message_waits(kvm, PIN_VECTOR + pin);
}
