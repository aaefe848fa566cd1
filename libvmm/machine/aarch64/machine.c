/* SPDX-License-Identifier: MIT */
/* The aarch64 machine: what a device tree can describe and a hypervisor can do. */
#include "machine/machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "machine/aarch64/arm.h"
#include "machine/aarch64/layout.h"

/* KVM's own choice when it is told nothing. */
#define IPA_BITS_DEFAULT 40u

struct vmm_machine {
	struct vmm_machine_config config;
	unsigned ipa_bits; /* of a guest's physical addresses */
	unsigned vm_type;
	struct arm_layout layout;
	struct arm_cpus *cpus;
	struct arm_gic *gic;
	struct arm_rtc *rtc;
	struct arm_gunzip *gunzip;
	struct vmm_irq *button;
	struct vmm_machine_parts parts;
	uint8_t *fdt; /* FDT_SIZE bytes in which the tree is built */
	bool uart;
	unsigned virtio; /* virtio-mmio devices */
};

int vmm_machine_host_check(int kvm_fd, struct vmm_error *err)
{
	static const struct vmm_kvm_cap needed[] = {
		{KVM_CAP_IRQCHIP, "in-kernel interrupt controller (KVM_CAP_IRQCHIP)"},
		{KVM_CAP_ONE_REG, "registers of vCPUs (KVM_CAP_ONE_REG)"},
		{KVM_CAP_DEVICE_CTRL, "devices (KVM_CAP_DEVICE_CTRL)"},
		{KVM_CAP_ARM_PSCI_0_2, "power states of vCPUs (KVM_CAP_ARM_PSCI_0_2)"},
	};

	return vmm_kvm_check_caps(kvm_fd, needed, sizeof(needed) / sizeof(needed[0]), err);
}

/*
 * How wide a guest's physical addresses are: what KVM takes by itself, or less on a host that has
 * less, or more for a guest that needs more.
 */
static void choose_width(struct vmm_machine *m, int kvm_fd)
{
	int limit = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	uint64_t enough = (UINT64_C(1) << IPA_BITS_DEFAULT) - RAM_GPA - MMIO64_SIZE;

	m->ipa_bits = IPA_BITS_DEFAULT;
	if (limit <= 0) {
		return;
	}
	if (limit < (int)m->ipa_bits || m->config.memory_size > enough) {
		m->ipa_bits = (unsigned)limit;
	}
	m->vm_type = KVM_VM_TYPE_ARM_IPA_SIZE(m->ipa_bits);
}

int vmm_machine_create(struct vmm_machine **out, const struct vmm_machine_config *config,
		       struct vmm_error *err)
{
	struct vmm_machine *m = calloc(1, sizeof(*m));
	int ret;

	*out = NULL;
	if (!m) {
		return vmm_error_set(err, -ENOMEM, "machine: out of memory");
	}
	m->config = *config;
	m->config.kvm_fd = -1;
	choose_width(m, config->kvm_fd);
	ret = vmm_arm_layout(&m->layout, config->memory_size, m->ipa_bits, err);
	if (ret == 0) {
		ret = vmm_arm_cpus_create(&m->cpus, config->kvm_fd, config->vcpus, err);
	}
	m->fdt = malloc(FDT_SIZE);
	m->gunzip = vmm_arm_gunzip_create();
	if (ret == 0 && (!m->fdt || !m->gunzip)) {
		ret = vmm_error_set(err, -ENOMEM, "machine: out of memory");
	}
	if (ret < 0) {
		vmm_machine_destroy(m);
		return ret;
	}
	*out = m;
	return 0;
}

void vmm_machine_destroy(struct vmm_machine *m)
{
	if (!m) {
		return;
	}
	vmm_kvm_line_destroy(m->parts.kvm, m->button);
	vmm_arm_rtc_destroy(m->rtc);
	vmm_arm_gic_destroy(m->gic);
	vmm_arm_cpus_destroy(m->cpus);
	vmm_arm_gunzip_destroy(m->gunzip);
	free(m->fdt);
	free(m);
}

size_t vmm_machine_ram(const struct vmm_machine *m, struct vmm_mem_region *regions)
{
	regions[0] = (struct vmm_mem_region){.gpa = RAM_GPA, .size = m->layout.ram};
	return 1;
}

unsigned vmm_machine_vm_type(const struct vmm_machine *m)
{
	return m->vm_type;
}

bool vmm_machine_has_ports(void)
{
	return false;
}

void vmm_machine_pci(const struct vmm_machine *m, struct vmm_pci_host_config *config)
{
	config->ecam_base = ECAM_GPA;
	config->mmio32 = (struct vmm_pci_window){.base = MMIO32_GPA, .size = MMIO32_SIZE};
	config->mmio64 = m->layout.mmio64;
}

static bool has_no_pci(const struct vmm_machine *m)
{
	return m->config.transport == VMM_TRANSPORT_MMIO;
}

int vmm_machine_setup(struct vmm_machine *m, const struct vmm_machine_parts *parts,
		      struct vmm_error *err)
{
	/* An access that the processor does not explain is to come out as one, not as a failure. */
	struct kvm_enable_cap unexplained = {.cap = KVM_CAP_ARM_NISV_TO_USER};
	int ret = 0;

	m->parts = *parts;
	(void)ioctl(vmm_kvm_vm_fd(parts->kvm), KVM_ENABLE_CAP, &unexplained);
	for (unsigned i = 0; ret == 0 && i < m->config.vcpus; i++) {
		ret = vmm_kvm_add_vcpu(parts->kvm, err);
	}
	if (ret == 0) {
		ret = vmm_arm_cpus_setup(m->cpus, parts->kvm, err);
	}
	if (ret == 0) {
		ret = vmm_arm_gic_create(&m->gic, parts->kvm, vmm_arm_cpus_mpidr(m->cpus),
					 !has_no_pci(m), err);
	}
	if (ret == 0) {
		ret = vmm_arm_rtc_create(&m->rtc, parts->mmio, err);
	}
	if (ret == 0) {
		ret = vmm_kvm_line_create(parts->kvm, BUTTON_GSI, &m->button);
		if (ret < 0) {
			(void)vmm_error_wrap(err, ret, "power button: interrupt line");
		}
	}
	return ret;
}

const enum vmm_platform_type vmm_machine_uart = VMM_PLATFORM_PL011;
const char vmm_machine_tty[] = "ttyAMA0";

int vmm_machine_place(struct vmm_machine *m, enum vmm_platform_type type,
		      struct vmm_machine_place *place, struct vmm_error *err)
{
	if (type != VMM_PLATFORM_PL011) {
		return vmm_error_set(err, -EOPNOTSUPP,
				     "the aarch64 machine has no place for this kind of device");
	}
	if (m->uart) {
		return vmm_error_set(err, -EEXIST, "the machine has a serial port already");
	}
	m->uart = true;
	*place = (struct vmm_machine_place){
		.name = "serial port",
		.bus = m->parts.mmio,
		.base = UART_GPA,
		.size = UART_SIZE,
		.gsi = UART_GSI,
	};
	return 0;
}

void vmm_machine_unplace(struct vmm_machine *m, enum vmm_platform_type type)
{
	if (type == VMM_PLATFORM_PL011) {
		m->uart = false;
	}
}

int vmm_machine_place_virtio(struct vmm_machine *m, struct vmm_machine_place *place,
			     struct vmm_error *err)
{
	if (m->virtio == VIRTIO_PLACES) {
		return vmm_error_set(err, -ENOSPC,
				     "all %u places for virtio-mmio devices are taken",
				     VIRTIO_PLACES);
	}
	*place = (struct vmm_machine_place){
		.name = "virtio-mmio",
		.bus = m->parts.mmio,
		.base = VIRTIO_GPA + m->virtio * VIRTIO_STRIDE,
		.size = VIRTIO_SIZE,
		.gsi = VIRTIO_GSI + m->virtio,
	};
	m->virtio++;
	return 0;
}

void vmm_machine_unplace_virtio(struct vmm_machine *m)
{
	m->virtio--;
}

/* ---- boot ---- */

int vmm_machine_check_kernel(int fd, struct vmm_error *err)
{
	struct arm_gunzip *gunzip = vmm_arm_gunzip_create();
	struct vmm_image_file file;
	struct vmm_image image = {0};
	struct arm_plan plan;
	int ret;

	if (!gunzip) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	ret = vmm_image_fd(&image, &file, fd, err);
	if (ret == 0) {
		ret = vmm_arm_plan(&image, gunzip, &plan, err);
	}
	vmm_arm_gunzip_destroy(gunzip);
	return ret;
}

static int load_kernel(struct vmm_machine *m, int fd, struct arm_plan *plan, struct vmm_error *err)
{
	static const unsigned kib[] = {0, 4, 16, 64};
	struct vmm_image_file file;
	struct vmm_image image;
	int ret = vmm_image_fd(&image, &file, fd, err);

	if (ret == 0) {
		ret = vmm_arm_plan(&image, m->gunzip, plan, err);
	}
	if (ret == 0 && !vmm_arm_cpus_have_pages(m->cpus, plan->page_size)) {
		ret = vmm_error_set(err, -ENOEXEC,
				    "it is for pages of %u KiB, which this processor does not have",
				    kib[plan->page_size]);
	}
	if (ret == 0) {
		ret = vmm_arm_load(&image, m->gunzip, plan, m->parts.mem, &m->layout, err);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "kernel") : 0;
}

static int load_initrd(struct vmm_machine *m, int fd, const struct arm_plan *plan,
		       struct arm_fdt *fdt, struct vmm_error *err)
{
	struct vmm_image_file file;
	struct vmm_image image = {0};
	int ret = 0;

	if (fd >= 0) {
		ret = vmm_image_fd(&image, &file, fd, err);
		if (ret == 0) {
			ret = vmm_arm_load_initrd(&image, plan, m->parts.mem, &m->layout,
						  &fdt->initrd, err);
			fdt->initrd_size = image.size;
		}
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "initrd") : 0;
}

static int write_fdt(struct vmm_machine *m, struct arm_fdt *fdt, struct vmm_error *err)
{
	uint8_t seeds[sizeof(fdt->kaslr_seed) + sizeof(fdt->rng_seed)];
	int ret;

	/* So few bytes come whole or not at all; without them the guest boots less random. */
	if (getrandom(seeds, sizeof(seeds), GRND_NONBLOCK) == (ssize_t)sizeof(seeds)) {
		memcpy(&fdt->kaslr_seed, seeds, sizeof(fdt->kaslr_seed));
		memcpy(fdt->rng_seed, seeds + sizeof(fdt->kaslr_seed), sizeof(fdt->rng_seed));
	}
	ret = vmm_arm_fdt(fdt, m->fdt, FDT_SIZE);
	if (ret > 0) {
		ret = vmm_mem_write(m->parts.mem, vmm_arm_fdt_gpa(&m->layout), m->fdt, (size_t)ret);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "device tree") : 0;
}

int vmm_machine_boot(struct vmm_machine *m, const struct vmm_machine_image *image,
		     struct vmm_error *err)
{
	struct arm_fdt fdt = {
		.vcpus = m->config.vcpus,
		.mpidr = vmm_arm_cpus_mpidr(m->cpus),
		.layout = &m->layout,
		.cmdline = image->cmdline,
		.uart = m->uart,
		.no_pci = has_no_pci(m),
		.virtio = m->virtio,
	};
	struct arm_plan plan = {0};
	int ret = load_kernel(m, image->kernel_fd, &plan, err);

	if (ret == 0) {
		ret = load_initrd(m, image->initrd_fd, &plan, &fdt, err);
	}
	if (ret == 0) {
		ret = write_fdt(m, &fdt, err);
	}
	if (ret == 0) {
		ret = vmm_arm_gic_reset(m->gic, err);
	}
	if (ret < 0) {
		return ret;
	}
	vmm_arm_rtc_reset(m->rtc);
	return vmm_arm_cpus_reset(m->cpus, m->parts.kvm, plan.gpa, vmm_arm_fdt_gpa(&m->layout),
				  err);
}

/* ---- running ---- */

void vmm_machine_resuming(struct vmm_machine *m)
{
	/* The virtual counter runs on while a guest is paused, as wall clocks do. */
	(void)m;
}

void vmm_machine_power_button(struct vmm_machine *m)
{
	vmm_irq_raise(m->button);
}
