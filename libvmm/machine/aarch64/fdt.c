/* SPDX-License-Identifier: MIT */
/*
 * The device tree: what this machine has and where, in the words of the kernel's bindings
 * (Documentation/devicetree/bindings of Linux). libfdt writes it.
 */
#include "machine/aarch64/arm.h"

#include <endian.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "machine/aarch64/layout.h"

#define PHANDLE_GIC   1u
#define PHANDLE_ITS   2u
#define PHANDLE_CLOCK 3u

/* The first two cells of an interrupt's three. */
#define IRQ_SPI 0u
#define IRQ_PPI 1u
/* The third. */
#define IRQ_EDGE_RISING 1u
#define IRQ_LEVEL_HIGH  4u

/* Private interrupts of the architected timers: secure, physical, virtual, hypervisor. */
#define PPI_TIMER_SECURE   13u
#define PPI_TIMER_PHYSICAL 14u
#define PPI_TIMER_VIRTUAL  11u
#define PPI_TIMER_HYP      10u

#define KEY_POWER 116u

/* The space of a PCI address (IEEE 1275, PCI bus binding): 32 bits, 64 bits and prefetchable. */
#define PCI_MEM32 0x02000000u
#define PCI_MEM64 0x43000000u

#define AFFINITY    UINT64_C(0xffffff) /* Aff2, Aff1, Aff0 */
#define UART_CLOCK  24000000u
#define CELLS_MAX   16u
#define NAME_LEN    40u
#define HIGH(value) ((uint32_t)((value) >> 32))
#define LOW(value)  ((uint32_t)(value))

struct tree {
	void *buf;
	int error; /* libfdt's first, or 0 */
};

static void note(struct tree *t, int error)
{
	if (t->error == 0) {
		t->error = error;
	}
}

static void begin(struct tree *t, const char *name)
{
	note(t, fdt_begin_node(t->buf, name));
}

/* A node named after its place: NAME@ADDRESS. */
static void begin_at(struct tree *t, const char *name, uint64_t address)
{
	char full[NAME_LEN];

	(void)snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
	begin(t, full);
}

static void end(struct tree *t)
{
	note(t, fdt_end_node(t->buf));
}

static void empty(struct tree *t, const char *name)
{
	note(t, fdt_property(t->buf, name, NULL, 0));
}

static void string(struct tree *t, const char *name, const char *value)
{
	note(t, fdt_property(t->buf, name, value, (int)strlen(value) + 1));
}

/* Several strings, each with its NUL. */
static void strings(struct tree *t, const char *name, const char *values, size_t len)
{
	note(t, fdt_property(t->buf, name, values, (int)len));
}

#define STRINGS(t, name, values) strings(t, name, values, sizeof(values))

static void cells(struct tree *t, const char *name, const uint32_t *values, size_t count)
{
	uint32_t be[CELLS_MAX];

	for (size_t i = 0; i < count; i++) {
		be[i] = htobe32(values[i]);
	}
	note(t, fdt_property(t->buf, name, be, (int)(count * sizeof(be[0]))));
}

#define CELLS(t, name, ...)                             \
	cells(t, name, (const uint32_t[]){__VA_ARGS__}, \
	      sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void reg(struct tree *t, uint64_t address, uint64_t size)
{
	CELLS(t, "reg", HIGH(address), LOW(address), HIGH(size), LOW(size));
}

static void interrupt(struct tree *t, unsigned gsi)
{
	/* Lines are edges: see vmm_kvm_line_create. */
	CELLS(t, "interrupts", IRQ_SPI, gsi, IRQ_EDGE_RISING);
}

/* ---- the nodes ---- */

static void chosen(struct tree *t, const struct arm_fdt *fdt)
{
	uint64_t initrd_end = fdt->initrd + fdt->initrd_size;
	char uart[NAME_LEN];

	(void)snprintf(uart, sizeof(uart), "/serial@%llx", (unsigned long long)UART_GPA);
	begin(t, "chosen");
	string(t, "bootargs", fdt->cmdline);
	CELLS(t, "kaslr-seed", HIGH(fdt->kaslr_seed), LOW(fdt->kaslr_seed));
	note(t, fdt_property(t->buf, "rng-seed", fdt->rng_seed, ARM_RNG_SEED));
	if (fdt->uart) {
		string(t, "stdout-path", uart);
	}
	if (fdt->initrd != 0) {
		CELLS(t, "linux,initrd-start", HIGH(fdt->initrd), LOW(fdt->initrd));
		CELLS(t, "linux,initrd-end", HIGH(initrd_end), LOW(initrd_end));
	}
	end(t);
	if (fdt->uart) {
		begin(t, "aliases");
		string(t, "serial0", uart);
		end(t);
	}
}

static void memory(struct tree *t, const struct arm_fdt *fdt)
{
	begin_at(t, "memory", RAM_GPA);
	string(t, "device_type", "memory");
	reg(t, RAM_GPA, fdt->layout->ram);
	end(t);
}

static void cpus(struct tree *t, const struct arm_fdt *fdt)
{
	begin(t, "cpus");
	CELLS(t, "#address-cells", 1);
	CELLS(t, "#size-cells", 0);
	for (unsigned i = 0; i < fdt->vcpus; i++) {
		uint64_t affinity = fdt->mpidr[i] & AFFINITY;

		begin_at(t, "cpu", affinity);
		string(t, "device_type", "cpu");
		string(t, "compatible", "arm,armv8");
		string(t, "enable-method", "psci");
		CELLS(t, "reg", LOW(affinity));
		end(t);
	}
	end(t);
	begin(t, "psci");
	STRINGS(t, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	string(t, "method", "hvc");
	end(t);
}

static void timer(struct tree *t)
{
	begin(t, "timer");
	string(t, "compatible", "arm,armv8-timer");
	CELLS(t, "interrupts", IRQ_PPI, PPI_TIMER_SECURE, IRQ_LEVEL_HIGH, IRQ_PPI,
	      PPI_TIMER_PHYSICAL, IRQ_LEVEL_HIGH, IRQ_PPI, PPI_TIMER_VIRTUAL, IRQ_LEVEL_HIGH,
	      IRQ_PPI, PPI_TIMER_HYP, IRQ_LEVEL_HIGH);
	empty(t, "always-on");
	end(t);
}

static void interrupt_controller(struct tree *t, const struct arm_fdt *fdt)
{
	uint64_t redistributors = fdt->vcpus * GICR_CPU_SIZE;

	begin_at(t, "interrupt-controller", GICD_GPA);
	string(t, "compatible", "arm,gic-v3");
	empty(t, "interrupt-controller");
	CELLS(t, "#interrupt-cells", 3);
	CELLS(t, "#address-cells", 2);
	CELLS(t, "#size-cells", 2);
	empty(t, "ranges");
	CELLS(t, "reg", HIGH(GICD_GPA), LOW(GICD_GPA), HIGH(GICD_SIZE), LOW(GICD_SIZE),
	      HIGH(GICR_GPA), LOW(GICR_GPA), HIGH(redistributors), LOW(redistributors));
	CELLS(t, "phandle", PHANDLE_GIC);
	if (!fdt->no_pci) {
		begin_at(t, "msi-controller", ITS_GPA);
		string(t, "compatible", "arm,gic-v3-its");
		empty(t, "msi-controller");
		CELLS(t, "#msi-cells", 1);
		reg(t, ITS_GPA, ITS_SIZE);
		CELLS(t, "phandle", PHANDLE_ITS);
		end(t);
	}
	end(t);
}

static void clocks(struct tree *t)
{
	begin(t, "apb-pclk");
	string(t, "compatible", "fixed-clock");
	CELLS(t, "#clock-cells", 0);
	CELLS(t, "clock-frequency", UART_CLOCK);
	string(t, "clock-output-names", "clk24mhz");
	CELLS(t, "phandle", PHANDLE_CLOCK);
	end(t);
	begin_at(t, "rtc", RTC_GPA);
	STRINGS(t, "compatible", "arm,pl031\0arm,primecell");
	reg(t, RTC_GPA, RTC_SIZE);
	CELLS(t, "clocks", PHANDLE_CLOCK);
	string(t, "clock-names", "apb_pclk");
	end(t);
}

static void uart(struct tree *t)
{
	begin_at(t, "serial", UART_GPA);
	STRINGS(t, "compatible", "arm,pl011\0arm,primecell");
	reg(t, UART_GPA, UART_SIZE);
	interrupt(t, UART_GSI);
	CELLS(t, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
	STRINGS(t, "clock-names", "uartclk\0apb_pclk");
	end(t);
}

/* A key whose press is an interrupt, with no GPIO controller behind it. */
static void power_button(struct tree *t)
{
	begin(t, "gpio-keys");
	string(t, "compatible", "gpio-keys");
	begin(t, "power");
	string(t, "label", "power button");
	CELLS(t, "linux,code", KEY_POWER);
	interrupt(t, BUTTON_GSI);
	end(t);
	end(t);
}

static void pci(struct tree *t, const struct arm_fdt *fdt)
{
	const struct vmm_pci_window *high = &fdt->layout->mmio64;
	const uint32_t ranges[] = {
		PCI_MEM32,        HIGH(MMIO32_GPA),  LOW(MMIO32_GPA),  HIGH(MMIO32_GPA),
		LOW(MMIO32_GPA),  HIGH(MMIO32_SIZE), LOW(MMIO32_SIZE), PCI_MEM64,
		HIGH(high->base), LOW(high->base),   HIGH(high->base), LOW(high->base),
		HIGH(high->size), LOW(high->size),
	};
	size_t count = sizeof(ranges) / sizeof(ranges[0]);

	begin_at(t, "pcie", ECAM_GPA);
	string(t, "compatible", "pci-host-ecam-generic");
	string(t, "device_type", "pci");
	CELLS(t, "#address-cells", 3);
	CELLS(t, "#size-cells", 2);
	reg(t, ECAM_GPA, VMM_PCI_ECAM_SIZE);
	CELLS(t, "bus-range", 0, 0);
	CELLS(t, "linux,pci-domain", 0);
	cells(t, "ranges", ranges, high->size > 0 ? count : count / 2);
	CELLS(t, "msi-map", 0, PHANDLE_ITS, 0, 0x10000);
	empty(t, "dma-coherent");
	end(t);
}

static void virtio(struct tree *t, unsigned index)
{
	uint64_t gpa = VIRTIO_GPA + index * VIRTIO_STRIDE;

	begin_at(t, "virtio_mmio", gpa);
	string(t, "compatible", "virtio,mmio");
	reg(t, gpa, VIRTIO_SIZE);
	interrupt(t, VIRTIO_GSI + index);
	empty(t, "dma-coherent");
	end(t);
}

int vmm_arm_fdt(const struct arm_fdt *fdt, void *buf, size_t cap)
{
	struct tree t = {.buf = buf};

	if (cap > INT32_MAX) {
		cap = INT32_MAX;
	}
	/* libfdt goes by what it finds in the buffer: without a beginning nothing may follow. */
	if (fdt_create(buf, (int)cap) != 0) {
		return -ENOSPC;
	}
	note(&t, fdt_finish_reservemap(buf));
	begin(&t, "");
	string(&t, "compatible", "linux,dummy-virt");
	string(&t, "model", "libvmm");
	CELLS(&t, "#address-cells", 2);
	CELLS(&t, "#size-cells", 2);
	CELLS(&t, "interrupt-parent", PHANDLE_GIC);
	chosen(&t, fdt);
	memory(&t, fdt);
	cpus(&t, fdt);
	timer(&t);
	interrupt_controller(&t, fdt);
	clocks(&t);
	if (fdt->uart) {
		uart(&t);
	}
	power_button(&t);
	if (!fdt->no_pci) {
		pci(&t, fdt);
	}
	for (unsigned i = 0; i < fdt->virtio; i++) {
		virtio(&t, i);
	}
	end(&t);
	note(&t, fdt_finish(buf));
	return t.error == 0 ? (int)fdt_totalsize(buf) : -ENOSPC;
}
