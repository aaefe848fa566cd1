/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables of a hardware-reduced system (ACPI 6.4): RSDP, XSDT, FADT, MADT, MCFG and a DSDT with
 * the PCI host bridge, the power button behind a Generic Event Device, and S5. Without PCI there is
 * no MCFG, and the DSDT has the virtio-mmio devices in place of the host bridge.
 */
#include "machine/x86_64/x86.h"

#include <errno.h>
#include <string.h>

#include "machine/x86_64/aml.h"
#include "machine/x86_64/layout.h"

#define RSDP_SIZE 36u
#define FADT_SIZE 276u
#define TABLES    3u /* that the XSDT lists at most: FADT, MADT, MCFG */

/* FADT flags (table 5.10) and boot architecture flags (table 5.11). */
#define FADT_WBINVD           (1u << 0)
#define FADT_PROC_C1          (1u << 2)
#define FADT_NO_POWER_BUTTON  (1u << 4) /* none of fixed hardware */
#define FADT_NO_SLEEP_BUTTON  (1u << 5)
#define FADT_RESET_REG        (1u << 10)
#define FADT_HARDWARE_REDUCED (1u << 20)
#define BOOT_NO_VGA           (1u << 2)
#define BOOT_NO_ASPM          (1u << 4)
#define BOOT_NO_CMOS_RTC      (1u << 5)

#define SPACE_IO       1u
#define ACCESS_BYTE    1u
#define MADT_LAPIC     0u
#define MADT_IOAPIC    1u
#define MADT_LAPIC_NMI 4u
#define MADT_ALL_CPUS  0xffu
#define LAPIC_ENABLED  1u
#define NOTIFY_PRESSED 0x80u

/* AML opcodes used in the one method. */
#define OP_LOCAL0                0x60u
#define OP_STORE                 0x70u
#define OP_AND                   0x7bu
#define OP_NOTIFY                0x86u
#define OP_EXT                   0x5bu
#define EXT_REGION               0x80u
#define EXT_FIELD                0x81u
#define FIELD_BYTE_ACCESS_ZEROES 0x41u

static const char oem_id[6] = {'L', 'I', 'B', 'V', 'M', 'M'};
static const char oem_table_id[8] = {'L', 'I', 'B', 'V', 'M', 'M', ' ', ' '};
static const char creator_id[4] = {'V', 'M', 'M', ' '};

static void pad(struct aml *a)
{
	while (a->len % 16 != 0 && !a->full) {
		vmm_aml_byte(a, 0);
	}
}

/* The header that every table has; length and checksum come with finish. */
static size_t start(struct aml *a, const char *signature, uint8_t revision)
{
	size_t at;

	pad(a);
	at = a->len;
	vmm_aml_bytes(a, signature, 4);
	vmm_aml_number(a, 0, 4);
	vmm_aml_byte(a, revision);
	vmm_aml_byte(a, 0);
	vmm_aml_bytes(a, oem_id, sizeof(oem_id));
	vmm_aml_bytes(a, oem_table_id, sizeof(oem_table_id));
	vmm_aml_number(a, 1, 4);
	vmm_aml_bytes(a, creator_id, sizeof(creator_id));
	vmm_aml_number(a, 1, 4);
	return at;
}

static void finish(struct aml *a, size_t at)
{
	size_t len = a->len - at;

	if (a->full) {
		return;
	}
	for (unsigned i = 0; i < 4; i++) {
		a->buf[at + 4 + i] = (uint8_t)(len >> (8 * i));
	}
	a->buf[at + 9] = vmm_aml_checksum(a->buf + at, len);
}

/* ---- DSDT ---- */

static void host_bridge(struct aml *a, const struct x86_acpi *acpi)
{
	struct aml_resources r;
	size_t device = vmm_aml_device(a, "PCI0");

	vmm_aml_name(a, "_HID");
	vmm_aml_eisa_id(a, "PNP0A08");
	vmm_aml_name(a, "_CID");
	vmm_aml_eisa_id(a, "PNP0A03");
	vmm_aml_name(a, "_UID");
	vmm_aml_integer(a, 0);
	vmm_aml_name(a, "_SEG");
	vmm_aml_integer(a, 0);
	vmm_aml_name(a, "_BBN");
	vmm_aml_integer(a, 0);
	vmm_aml_name(a, "_CRS");
	r = vmm_aml_resources(a);
	vmm_aml_res_bus(a, 0, 0);
	vmm_aml_res_io(a, 0xcf8, 8);
	vmm_aml_res_window(a, 4, MMIO32_GPA, MMIO32_SIZE, false);
	if (acpi->mmio64.size > 0) {
		vmm_aml_res_window(a, 8, acpi->mmio64.base, acpi->mmio64.size, true);
	}
	vmm_aml_resources_end(a, &r);
	vmm_aml_end(a, device);
}

/* What belongs to the board: systems use ECAM only where a device claims it. */
static void board(struct aml *a, bool no_pci)
{
	struct aml_resources r;
	size_t device = vmm_aml_device(a, "MBRD");

	vmm_aml_name(a, "_HID");
	vmm_aml_eisa_id(a, "PNP0C02");
	vmm_aml_name(a, "_UID");
	vmm_aml_integer(a, 0);
	vmm_aml_name(a, "_CRS");
	r = vmm_aml_resources(a);
	if (!no_pci) {
		vmm_aml_res_memory32(a, (uint32_t)ECAM_GPA, (uint32_t)VMM_PCI_ECAM_SIZE);
	}
	vmm_aml_res_io(a, PM_PORT, PM_SIZE);
	vmm_aml_resources_end(a, &r);
	vmm_aml_end(a, device);
}

/* Devices VR00, VR01, ... of the id that Linux and QEMU have agreed upon. */
static void virtio(struct aml *a, unsigned index)
{
	static const char digits[] = "0123456789ABCDEF";
	const char name[] = {'V', 'R', digits[index / 16], digits[index % 16], '\0'};
	struct aml_resources r;
	size_t device = vmm_aml_device(a, name);

	vmm_aml_name(a, "_HID");
	vmm_aml_string(a, "LNRO0005");
	vmm_aml_name(a, "_UID");
	vmm_aml_integer(a, index);
	vmm_aml_name(a, "_CRS");
	r = vmm_aml_resources(a);
	vmm_aml_res_memory32(a, (uint32_t)vmm_x86_virtio_gpa(index), (uint32_t)VIRTIO_SIZE);
	vmm_aml_res_interrupt(a, vmm_x86_virtio_gsi(index));
	vmm_aml_resources_end(a, &r);
	vmm_aml_end(a, device);
}

static void com1(struct aml *a)
{
	struct aml_resources r;
	size_t device = vmm_aml_device(a, "COM1");

	vmm_aml_name(a, "_HID");
	vmm_aml_eisa_id(a, "PNP0501");
	vmm_aml_name(a, "_UID");
	vmm_aml_integer(a, 0);
	vmm_aml_name(a, "_CRS");
	r = vmm_aml_resources(a);
	vmm_aml_res_io(a, COM1_PORT, COM1_SIZE);
	vmm_aml_res_interrupt(a, COM1_GSI);
	vmm_aml_resources_end(a, &r);
	vmm_aml_end(a, device);
}

static void power_button(struct aml *a)
{
	size_t device = vmm_aml_device(a, "PWRB");

	vmm_aml_name(a, "_HID");
	vmm_aml_eisa_id(a, "PNP0C0C");
	vmm_aml_name(a, "_UID");
	vmm_aml_integer(a, 0);
	vmm_aml_end(a, device);
}

/* Method (_EVT, 1): Local0 = EVNT; If (Local0 & 1) { Notify (PWRB, 0x80) } */
static void event_method(struct aml *a)
{
	size_t method = vmm_aml_method(a, "_EVT", 1, true);
	size_t block;

	vmm_aml_byte(a, OP_STORE);
	vmm_aml_name_seg(a, "EVNT");
	vmm_aml_byte(a, OP_LOCAL0);
	block = vmm_aml_if(a);
	vmm_aml_byte(a, OP_AND);
	vmm_aml_byte(a, OP_LOCAL0);
	vmm_aml_integer(a, PM_EVENT_BUTTON);
	vmm_aml_byte(a, 0); /* no target */
	vmm_aml_byte(a, OP_NOTIFY);
	vmm_aml_name_seg(a, "PWRB");
	vmm_aml_integer(a, NOTIFY_PRESSED);
	vmm_aml_end(a, block);
	vmm_aml_end(a, method);
}

static void event_device(struct aml *a)
{
	struct aml_resources r;
	size_t device = vmm_aml_device(a, "GED_");
	size_t field;

	vmm_aml_name(a, "_HID");
	vmm_aml_string(a, "ACPI0013");
	vmm_aml_name(a, "_UID");
	vmm_aml_integer(a, 0);
	vmm_aml_name(a, "_CRS");
	r = vmm_aml_resources(a);
	vmm_aml_res_interrupt(a, PM_GSI);
	vmm_aml_resources_end(a, &r);
	/* OperationRegion (EVRG, SystemIO, ...); Field (EVRG, ByteAcc, NoLock, WriteAsZeros) */
	vmm_aml_byte(a, OP_EXT);
	vmm_aml_byte(a, EXT_REGION);
	vmm_aml_name_seg(a, "EVRG");
	vmm_aml_byte(a, SPACE_IO);
	vmm_aml_integer(a, PM_PORT + PM_EVENTS);
	vmm_aml_integer(a, 1);
	vmm_aml_byte(a, OP_EXT);
	vmm_aml_byte(a, EXT_FIELD);
	/* Its length includes the length bytes: 1 + 4 (region) + 1 (flags) + 4 (name) + 1 (bits) */
	field = 11;
	vmm_aml_byte(a, (uint8_t)field);
	vmm_aml_name_seg(a, "EVRG");
	vmm_aml_byte(a, FIELD_BYTE_ACCESS_ZEROES);
	vmm_aml_name_seg(a, "EVNT");
	vmm_aml_byte(a, 8);
	event_method(a);
	vmm_aml_end(a, device);
}

static void sleep_state(struct aml *a)
{
	size_t package;

	vmm_aml_name(a, "_S5_");
	package = vmm_aml_package(a, 4);
	vmm_aml_integer(a, PM_SLEEP_S5);
	vmm_aml_integer(a, 0);
	vmm_aml_integer(a, 0);
	vmm_aml_integer(a, 0);
	vmm_aml_end(a, package);
}

static uint64_t dsdt(struct aml *a, const struct x86_acpi *acpi, uint64_t gpa)
{
	size_t table = start(a, "DSDT", 2); /* 2: integers have 64 bits */
	size_t scope = vmm_aml_scope(a, "\\_SB_");

	if (!acpi->no_pci) {
		host_bridge(a, acpi);
	}
	board(a, acpi->no_pci);
	for (unsigned i = 0; i < acpi->virtio; i++) {
		virtio(a, i);
	}
	if (acpi->com1) {
		com1(a);
	}
	power_button(a);
	event_device(a);
	vmm_aml_end(a, scope);
	sleep_state(a);
	finish(a, table);
	return gpa + table;
}

/* ---- the tables of fixed layout ---- */

static void io_register(struct aml *a, uint32_t port)
{
	vmm_aml_byte(a, SPACE_IO);
	vmm_aml_byte(a, 8); /* bits */
	vmm_aml_byte(a, 0);
	vmm_aml_byte(a, ACCESS_BYTE);
	vmm_aml_number(a, port, 8);
}

static void zeroes_to(struct aml *a, size_t table, size_t offset)
{
	while (a->len - table < offset && !a->full) {
		vmm_aml_byte(a, 0);
	}
}

static uint64_t fadt(struct aml *a, uint64_t gpa, uint64_t dsdt_gpa)
{
	size_t table = start(a, "FACP", 6);

	zeroes_to(a, table, 40);
	vmm_aml_number(a, dsdt_gpa, 4);
	zeroes_to(a, table, 109);
	vmm_aml_number(a, BOOT_NO_VGA | BOOT_NO_ASPM | BOOT_NO_CMOS_RTC, 2);
	zeroes_to(a, table, 112);
	vmm_aml_number(a,
		       FADT_WBINVD | FADT_PROC_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON |
			       FADT_RESET_REG | FADT_HARDWARE_REDUCED,
		       4);
	io_register(a, PM_PORT + PM_RESET);
	vmm_aml_byte(a, PM_RESET_VALUE);
	zeroes_to(a, table, 131);
	vmm_aml_byte(a, 4); /* minor version: 6.4 */
	zeroes_to(a, table, 140);
	vmm_aml_number(a, dsdt_gpa, 8);
	zeroes_to(a, table, 244);
	io_register(a, PM_PORT + PM_SLEEP);
	io_register(a, PM_PORT + PM_WAKE);
	vmm_aml_bytes(a, oem_id, sizeof(oem_id)); /* hypervisor vendor */
	zeroes_to(a, table, FADT_SIZE);
	finish(a, table);
	return gpa + table;
}

static uint64_t madt(struct aml *a, const struct x86_acpi *acpi, uint64_t gpa)
{
	size_t table = start(a, "APIC", 5);

	vmm_aml_number(a, LAPIC_GPA, 4);
	vmm_aml_number(a, 0, 4); /* no 8259 */
	for (unsigned i = 0; i < acpi->vcpus; i++) {
		vmm_aml_byte(a, MADT_LAPIC);
		vmm_aml_byte(a, 8);
		vmm_aml_byte(a, (uint8_t)i); /* processor uid */
		vmm_aml_byte(a, (uint8_t)i); /* APIC id */
		vmm_aml_number(a, LAPIC_ENABLED, 4);
	}
	vmm_aml_byte(a, MADT_IOAPIC);
	vmm_aml_byte(a, 12);
	vmm_aml_byte(a, 0);
	vmm_aml_byte(a, 0);
	vmm_aml_number(a, IOAPIC_GPA, 4);
	vmm_aml_number(a, 0, 4); /* its first gsi */
	vmm_aml_byte(a, MADT_LAPIC_NMI);
	vmm_aml_byte(a, 6);
	vmm_aml_byte(a, MADT_ALL_CPUS);
	vmm_aml_number(a, 0, 2);
	vmm_aml_byte(a, 1); /* LINT1 */
	finish(a, table);
	return gpa + table;
}

static uint64_t mcfg(struct aml *a, uint64_t gpa)
{
	size_t table = start(a, "MCFG", 1);

	vmm_aml_number(a, 0, 8);
	vmm_aml_number(a, ECAM_GPA, 8);
	vmm_aml_number(a, 0, 2); /* segment */
	vmm_aml_byte(a, 0);      /* first bus */
	vmm_aml_byte(a, 0);      /* last bus */
	vmm_aml_number(a, 0, 4);
	finish(a, table);
	return gpa + table;
}

static uint64_t xsdt(struct aml *a, uint64_t gpa, const uint64_t *tables, size_t count)
{
	size_t table = start(a, "XSDT", 1);

	for (size_t i = 0; i < count; i++) {
		vmm_aml_number(a, tables[i], 8);
	}
	finish(a, table);
	return gpa + table;
}

static void rsdp(uint8_t *buf, uint64_t xsdt_gpa)
{
	struct aml a = {.buf = buf, .cap = RSDP_SIZE};

	vmm_aml_bytes(&a, "RSD PTR ", 8);
	vmm_aml_byte(&a, 0);
	vmm_aml_bytes(&a, oem_id, sizeof(oem_id));
	vmm_aml_byte(&a, 2);
	vmm_aml_number(&a, 0, 4); /* no RSDT */
	vmm_aml_number(&a, RSDP_SIZE, 4);
	vmm_aml_number(&a, xsdt_gpa, 8);
	vmm_aml_number(&a, 0, 4);
	buf[8] = vmm_aml_checksum(buf, 20); /* of the part that ACPI 1.0 knew */
	buf[32] = vmm_aml_checksum(buf, RSDP_SIZE);
}

int vmm_x86_acpi(const struct x86_acpi *acpi, uint64_t gpa, uint8_t *buf, size_t cap)
{
	struct aml a = {.buf = buf, .cap = cap};
	uint64_t tables[TABLES];
	size_t count = 0;
	uint64_t at;

	for (unsigned i = 0; i < RSDP_SIZE; i++) {
		vmm_aml_byte(&a, 0);
	}
	at = dsdt(&a, acpi, gpa);
	tables[count++] = fadt(&a, gpa, at);
	tables[count++] = madt(&a, acpi, gpa);
	if (!acpi->no_pci) {
		tables[count++] = mcfg(&a, gpa);
	}
	at = xsdt(&a, gpa, tables, count);
	if (a.full) {
		return -ENOSPC;
	}
	rsdp(buf, at);
	return (int)a.len;
}
