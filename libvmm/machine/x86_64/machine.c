/* SPDX-License-Identifier: MIT */
/* The x86_64 machine: a PC without its history. */
#include "machine/machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "machine/x86_64/layout.h"
#include "machine/x86_64/x86.h"

struct vmm_machine {
	struct vmm_machine_config config;
	struct x86_layout layout;
	struct x86_cpus *cpus;
	struct x86_pm *pm;
	struct x86_ioapic *ioapic;
	struct vmm_machine_parts parts;
	uint8_t *acpi; /* ACPI_SIZE bytes in which tables are built */
	bool com1;
	unsigned virtio; /* virtio-mmio devices */
	/* The command line of the boot, as far as it is not the image's own. */
	char cmdline[VMM_MACHINE_CMDLINE_MAX + VIRTIO_PLACES * X86_VIRTIO_WORD_MAX + 1];
};

int vmm_machine_host_check(int kvm_fd, struct vmm_error *err)
{
	/* All else is older than what vmm_kvm_check asks for; this is a matter of the processor. */
	static const struct vmm_kvm_cap needed[] = {
		{KVM_CAP_XCRS, "extended control registers (KVM_CAP_XCRS)"},
	};

	return vmm_kvm_check_caps(kvm_fd, needed, sizeof(needed) / sizeof(needed[0]), err);
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
	m->acpi = malloc(ACPI_SIZE);
	if (!m->acpi) {
		free(m);
		return vmm_error_set(err, -ENOMEM, "machine: out of memory");
	}
	ret = vmm_x86_cpus_create(&m->cpus, config->kvm_fd, config->vcpus, err);
	if (ret == 0) {
		ret = vmm_x86_layout(&m->layout, config->memory_size,
				     vmm_x86_cpus_phys_bits(m->cpus), err);
		m->layout.no_pci = config->transport == VMM_TRANSPORT_MMIO;
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
	vmm_x86_pm_destroy(m->pm);
	vmm_x86_ioapic_destroy(m->ioapic);
	vmm_x86_cpus_destroy(m->cpus);
	free(m->acpi);
	free(m);
}

size_t vmm_machine_ram(const struct vmm_machine *m, struct vmm_mem_region *regions)
{
	regions[0] = (struct vmm_mem_region){.gpa = 0, .size = m->layout.low_ram};
	regions[1] = (struct vmm_mem_region){.gpa = HOLE_END, .size = m->layout.high_ram};
	return m->layout.high_ram > 0 ? 2 : 1;
}

unsigned vmm_machine_vm_type(const struct vmm_machine *m)
{
	(void)m;
	return 0;
}

bool vmm_machine_has_ports(void)
{
	return true;
}

void vmm_machine_pci(const struct vmm_machine *m, struct vmm_pci_host_config *config)
{
	config->ecam_base = ECAM_GPA;
	config->mmio32 = (struct vmm_pci_window){.base = MMIO32_GPA, .size = MMIO32_SIZE};
	config->mmio64 = m->layout.mmio64;
}

static void pm_event(void *ctx, bool reset)
{
	struct vmm_machine *m = ctx;

	m->config.event(m->config.ctx, reset ? VMM_MACHINE_RESET : VMM_MACHINE_POWEROFF);
}

static void route_pin(void *ctx, unsigned pin, const struct vmm_pci_msi *msi)
{
	struct vmm_machine *m = ctx;

	/* Where the kernel cannot, the line is silent. */
	(void)vmm_kvm_line_route(m->parts.kvm, pin, msi);
}

/*
 * The local APICs are the kernel's, the IOAPIC is ours. No PIC and no PIT: a hardware-reduced
 * system has none. The performance counters stay the host's where KVM can be told so.
 */
static int create_irqchip(struct vmm_machine *m, struct vmm_error *err)
{
	int fd = vmm_kvm_vm_fd(m->parts.kvm);
	uint64_t identity_map = IDENTITY_MAP_GPA;
	struct kvm_enable_cap no_pmu = {
		.cap = KVM_CAP_PMU_CAPABILITY,
		.args = {KVM_PMU_CAP_DISABLE},
	};
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = {IOAPIC_PINS},
	};

	(void)ioctl(fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	(void)ioctl(fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_GPA);
	(void)ioctl(fd, KVM_ENABLE_CAP, &no_pmu);
	if (ioctl(fd, KVM_ENABLE_CAP, &split) != 0) {
		return vmm_error_wrap(err, -errno, "KVM: interrupt controller");
	}
	vmm_kvm_set_msi_window(m->parts.kvm, LAPIC_GPA, MSI_SIZE, false);
	return vmm_x86_ioapic_create(&m->ioapic, m->parts.mmio, route_pin, m, err);
}

int vmm_machine_setup(struct vmm_machine *m, const struct vmm_machine_parts *parts,
		      struct vmm_error *err)
{
	int ret;

	m->parts = *parts;
	ret = create_irqchip(m, err);
	for (unsigned i = 0; ret == 0 && i < m->config.vcpus; i++) {
		ret = vmm_kvm_add_vcpu(parts->kvm, err);
	}
	if (ret == 0) {
		ret = vmm_x86_cpus_setup(m->cpus, parts->kvm, err);
	}
	if (ret == 0) {
		ret = vmm_x86_pm_create(&m->pm, parts->kvm, parts->pio, pm_event, m, err);
	}
	return ret;
}

const enum vmm_platform_type vmm_machine_uart = VMM_PLATFORM_UART_8250;
const char vmm_machine_tty[] = "ttyS0";

int vmm_machine_place(struct vmm_machine *m, enum vmm_platform_type type,
		      struct vmm_machine_place *place, struct vmm_error *err)
{
	if (type != VMM_PLATFORM_UART_8250) {
		return vmm_error_set(err, -EOPNOTSUPP,
				     "the x86_64 machine has no place for this kind of device");
	}
	if (m->com1) {
		return vmm_error_set(err, -EEXIST, "the machine has a serial port at COM1 already");
	}
	m->com1 = true;
	*place = (struct vmm_machine_place){
		.name = "COM1",
		.bus = m->parts.pio,
		.base = COM1_PORT,
		.size = COM1_SIZE,
		.gsi = COM1_GSI,
	};
	return 0;
}

void vmm_machine_unplace(struct vmm_machine *m, enum vmm_platform_type type)
{
	if (type == VMM_PLATFORM_UART_8250) {
		m->com1 = false;
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
		.base = vmm_x86_virtio_gpa(m->virtio),
		.size = VIRTIO_SIZE,
		.gsi = vmm_x86_virtio_gsi(m->virtio),
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
	struct vmm_image_file file;
	struct vmm_image image = {0};
	struct x86_plan plan;
	int ret = vmm_image_fd(&image, &file, fd, err);

	return ret < 0 ? ret : vmm_x86_plan(&image, &plan, err);
}

static int load_initrd(struct vmm_machine *m, int fd, const struct x86_plan *plan,
		       struct x86_boot_params *params, struct vmm_error *err)
{
	struct vmm_image_file file;
	struct vmm_image image = {0};
	int ret = 0;

	if (fd >= 0) {
		ret = vmm_image_fd(&image, &file, fd, err);
		if (ret == 0) {
			ret = vmm_x86_load_initrd(&image, plan, m->parts.mem, &m->layout,
						  &params->initrd, err);
			params->initrd_size = image.size;
		}
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "initrd") : 0;
}

static int write_acpi(struct vmm_machine *m, struct vmm_error *err)
{
	const struct x86_acpi acpi = {
		.vcpus = m->config.vcpus,
		.no_pci = m->layout.no_pci,
		.mmio64 = m->layout.mmio64,
		.virtio = m->virtio,
		.com1 = m->com1,
	};
	int ret;

	memset(m->acpi, 0, ACPI_SIZE);
	ret = vmm_x86_acpi(&acpi, ACPI_GPA, m->acpi, ACPI_SIZE);
	if (ret > 0) {
		ret = vmm_mem_write(m->parts.mem, ACPI_GPA, m->acpi, (size_t)ret);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "ACPI tables") : 0;
}

/*
 * For a kernel that is told not to use ACPI, and has no PCI to look for devices. cmdline was
 * checked when it was set, so there is room for it.
 */
static int tell_without_acpi(struct vmm_machine *m, const char *cmdline, struct vmm_error *err)
{
	int ret;

	vmm_x86_virtio_cmdline(cmdline, m->virtio, m->cmdline, sizeof(m->cmdline));
	ret = vmm_x86_mptable(m->config.vcpus, MPTABLE_GPA, m->acpi, MPTABLE_SIZE);
	if (ret > 0) {
		ret = vmm_mem_write(m->parts.mem, MPTABLE_GPA, m->acpi, (size_t)ret);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "MP tables") : 0;
}

static int write_params(struct vmm_machine *m, const struct x86_plan *plan, const char *cmdline,
			struct x86_boot_params *params, struct vmm_error *err)
{
	bool without_acpi = m->layout.no_pci && vmm_x86_acpi_is_off(cmdline);
	int ret = without_acpi ? tell_without_acpi(m, cmdline, err) : 0;
	size_t len;

	if (ret < 0) {
		return ret;
	}
	cmdline = without_acpi ? m->cmdline : cmdline;
	len = strlen(cmdline);
	if (len > plan->cmdline_max) {
		return vmm_error_set(err, -E2BIG,
				     "the command line has %zu bytes%s, this kernel takes %u", len,
				     without_acpi ? " with the words for virtio devices" : "",
				     plan->cmdline_max);
	}
	ret = vmm_mem_write(m->parts.mem, CMDLINE_GPA, cmdline, len + 1);
	if (ret == 0) {
		ret = plan->boot == X86_BOOT_PVH ? vmm_x86_pvh_params(m->parts.mem, params)
						 : vmm_x86_linux_params(m->parts.mem, plan, params);
	}
	if (ret == 0) {
		ret = vmm_x86_write_bios(m->parts.mem);
	}
	if (ret == 0 && plan->boot == X86_BOOT_LINUX64) {
		ret = vmm_x86_write_tables(m->parts.mem);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "boot data") : 0;
}

int vmm_machine_boot(struct vmm_machine *m, const struct vmm_machine_image *image,
		     struct vmm_error *err)
{
	struct x86_boot_params params = {
		.layout = &m->layout,
		.rsdp = ACPI_GPA,
		.cmdline = CMDLINE_GPA,
	};
	struct vmm_image_file file;
	struct vmm_image kernel;
	struct x86_plan plan = {0};
	int ret = vmm_image_fd(&kernel, &file, image->kernel_fd, err);

	if (ret == 0) {
		ret = vmm_x86_plan(&kernel, &plan, err);
	}
	if (ret == 0) {
		ret = vmm_x86_load(&kernel, &plan, m->parts.mem, &m->layout, err);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "kernel");
	}
	ret = load_initrd(m, image->initrd_fd, &plan, &params, err);
	if (ret == 0) {
		ret = write_acpi(m, err);
	}
	if (ret == 0) {
		ret = write_params(m, &plan, image->cmdline, &params, err);
	}
	if (ret < 0) {
		return ret;
	}
	vmm_x86_ioapic_reset(m->ioapic);
	vmm_x86_pm_reset(m->pm);
	return vmm_x86_cpus_reset(m->cpus, m->parts.kvm, plan.boot, plan.entry, err);
}

/* ---- running ---- */

void vmm_machine_resuming(struct vmm_machine *m)
{
	/*
	 * Time has passed and the guest may know: its clocks go on as wall clocks do. This keeps
	 * its watchdogs from taking the pause for a lock-up; guests without kvmclock refuse it.
	 */
	for (unsigned i = 0; i < m->config.vcpus; i++) {
		(void)ioctl(vmm_kvm_vcpu_fd(m->parts.kvm, i), KVM_KVMCLOCK_CTRL, 0);
	}
}

void vmm_machine_power_button(struct vmm_machine *m)
{
	vmm_x86_pm_button(m->pm);
}
