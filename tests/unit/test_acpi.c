/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables: structure and checksums here; what the tables mean is read back by ACPICA's
 * disassembler, an implementation that knows nothing of ours.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/x86_64/aml.h"
#include "machine/x86_64/layout.h"
#include "machine/x86_64/x86.h"
#include "suite.h"

#define GPA UINT64_C(0xe0000)

static uint8_t tables[ACPI_SIZE];

static const struct x86_acpi full = {
	.vcpus = 3,
	.mmio64 = {.base = GIB(6), .size = GIB(32)},
	.com1 = true,
};

/* No PCI, and all the virtio-mmio devices there can be. */
static const struct x86_acpi mmio = {
	.vcpus = 2,
	.no_pci = true,
	.mmio64 = {.base = GIB(6), .size = GIB(32)},
	.virtio = VIRTIO_PLACES,
	.com1 = true,
};

static uint64_t number(uint64_t gpa, unsigned len)
{
	uint64_t value = 0;

	ck_assert_uint_ge(gpa, GPA);
	for (unsigned i = len; i > 0; i--) {
		value = value << 8 | tables[gpa - GPA + i - 1];
	}
	return value;
}

static uint8_t sum(uint64_t gpa, uint64_t len)
{
	unsigned total = 0;

	for (uint64_t i = 0; i < len; i++) {
		total += (unsigned)number(gpa + i, 1);
	}
	return (uint8_t)total;
}

static int build(const struct x86_acpi *acpi)
{
	int len;

	memset(tables, 0xee, sizeof(tables));
	len = vmm_x86_acpi(acpi, GPA, tables, sizeof(tables));
	ck_assert_int_gt(len, 0);
	return len;
}

/* Address of the table with a signature that the XSDT lists; 0: there is none. */
static uint64_t look_for(const char *signature)
{
	uint64_t xsdt = number(GPA + 24, 8);
	uint64_t len = number(xsdt + 4, 4);

	for (uint64_t at = xsdt + 36; at < xsdt + len; at += 8) {
		uint64_t table = number(at, 8);

		if (memcmp(tables + (table - GPA), signature, 4) == 0) {
			return table;
		}
	}
	return 0;
}

static uint64_t find(const char *signature)
{
	uint64_t table = look_for(signature);

	ck_assert_msg(table != 0, "no table %s", signature);
	return table;
}

START_TEST(acpi_every_checksum_is_right)
{
	static const char *const names[] = {"FACP", "APIC", "MCFG"};
	int len = build(&full);
	uint64_t xsdt = number(GPA + 24, 8);
	uint64_t dsdt;

	ck_assert_mem_eq(tables, "RSD PTR ", 8);
	ck_assert_uint_eq(sum(GPA, 20), 0);
	ck_assert_uint_eq(sum(GPA, 36), 0);
	ck_assert_uint_eq(sum(xsdt, number(xsdt + 4, 4)), 0);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t table = find(names[i]);

		ck_assert_uint_eq(sum(table, number(table + 4, 4)), 0);
		ck_assert_uint_le(table + number(table + 4, 4), GPA + (uint64_t)len);
	}
	dsdt = number(find("FACP") + 140, 8);
	ck_assert_mem_eq(tables + (dsdt - GPA), "DSDT", 4);
	ck_assert_uint_eq(sum(dsdt, number(dsdt + 4, 4)), 0);
}
END_TEST

START_TEST(acpi_madt_lists_each_processor_once)
{
	struct x86_acpi acpi = full;
	uint64_t madt;
	unsigned cpus = 0;

	acpi.vcpus = 64;
	(void)build(&acpi);
	madt = find("APIC");
	for (uint64_t at = madt + 44; at < madt + number(madt + 4, 4); at += number(at + 1, 1)) {
		if (number(at, 1) == 0) {
			ck_assert_uint_eq(number(at + 3, 1), cpus);
			ck_assert_uint_eq(number(at + 4, 4), 1);
			cpus++;
		}
	}
	ck_assert_uint_eq(cpus, 64);
}
END_TEST

START_TEST(acpi_fadt_is_hardware_reduced)
{
	uint64_t fadt;

	(void)build(&full);
	fadt = find("FACP");
	ck_assert_uint_eq(number(fadt + 4, 4), 276);
	ck_assert(number(fadt + 112, 4) & 1u << 20);
	ck_assert(number(fadt + 112, 4) & 1u << 10);
	ck_assert_uint_eq(number(fadt + 120, 8), PM_PORT + PM_RESET);
	ck_assert_uint_eq(number(fadt + 128, 1), PM_RESET_VALUE);
	ck_assert_uint_eq(number(fadt + 248, 8), PM_PORT + PM_SLEEP);
	ck_assert_uint_eq(number(fadt + 260, 8), PM_PORT + PM_WAKE);
}
END_TEST

START_TEST(acpi_without_room_is_refused)
{
	int len = build(&full);

	for (int cap = 0; cap < len; cap++) {
		uint8_t *exact = malloc((size_t)cap + 1);

		/* Under the sanitizer one byte past the end would be found. */
		ck_assert_ptr_nonnull(exact);
		ck_assert_int_eq(vmm_x86_acpi(&full, GPA, exact + 1, (size_t)cap), -ENOSPC);
		free(exact);
	}
	ck_assert_int_eq(vmm_x86_acpi(&full, GPA, tables, (size_t)len), len);
}
END_TEST

START_TEST(acpi_without_pci_has_no_mcfg)
{
	int len = build(&mmio);
	uint64_t xsdt = number(GPA + 24, 8);

	ck_assert_uint_eq(look_for("MCFG"), 0);
	ck_assert_uint_eq(number(xsdt + 4, 4), 36 + 2 * 8);
	ck_assert_uint_eq(sum(xsdt, number(xsdt + 4, 4)), 0);
	ck_assert_uint_eq(sum(find("APIC"), number(find("APIC") + 4, 4)), 0);
	ck_assert_uint_eq(sum(find("FACP"), number(find("FACP") + 4, 4)), 0);
	for (int cap = len - 1; cap >= 0; cap -= 7) {
		ck_assert_int_eq(vmm_x86_acpi(&mmio, GPA, tables, (size_t)cap), -ENOSPC);
	}
}
END_TEST

/* ---- read back by iasl ---- */

static char dir[] = "/tmp/test_acpi.XXXXXX";

static void dump(const char *name, uint64_t gpa)
{
	char path[64];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(tables + (gpa - GPA), 1, number(gpa + 4, 4), file),
			  number(gpa + 4, 4));
	ck_assert_int_eq(fclose(file), 0);
}

/* The source that iasl makes of a table. */
static const char *disassemble(const char *name)
{
	static char text[65536];
	char command[256];
	FILE *pipe;
	size_t len;

	(void)snprintf(command, sizeof(command),
		       "cd %s && iasl -d %s.dat >%s.log 2>&1 && cat %s.dsl", dir, name, name, name);
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	len = fread(text, 1, sizeof(text) - 1, pipe);
	text[len] = '\0';
	ck_assert_int_eq(pclose(pipe), 0);
	return text;
}

static void assert_has(const char *text, const char *what)
{
	ck_assert_msg(strstr(text, what), "no '%s' in: %s", what, text);
}

START_TEST(acpi_dsdt_means_what_it_should)
{
	const char *text;

	(void)build(&full);
	dump("dsdt", number(find("FACP") + 140, 8));
	text = disassemble("dsdt");
	assert_has(text, "Device (PCI0)");
	assert_has(text, "EisaId (\"PNP0A08\")");
	assert_has(text, "EisaId (\"PNP0A03\")");
	assert_has(text, "0xC0000000,         // Range Minimum");
	assert_has(text, "0x0000000180000000, // Range Minimum");
	assert_has(text, "0x0000000800000000, // Length");
	assert_has(text, "Memory32Fixed (ReadWrite");
	assert_has(text, "0xE0000000,");
	assert_has(text, "Device (COM1)");
	assert_has(text, "\"ACPI0013\"");
	assert_has(text, "EisaId (\"PNP0C0C\")");
	assert_has(text, "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive");
	assert_has(text, "OperationRegion (EVRG, SystemIO, 0x0604, One)");
	assert_has(text, "Field (EVRG, ByteAcc, NoLock, WriteAsZeros)");
	assert_has(text, "Method (_EVT, 1, Serialized)");
	assert_has(text, "Notify (PWRB, 0x80)");
	assert_has(text, "Name (_S5, Package (0x04)");
}
END_TEST

/* What was disassembled is assembled again, without an error. */
static void compile_again(void)
{
	char command[256];

	(void)disassemble("again");
	(void)snprintf(
		command, sizeof(command),
		"cd %s && iasl -we -vw 2126 again.dsl >again.log 2>&1 || { cat again.log; exit 1; }",
		dir);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(acpi_dsdt_compiles_again)
{
	(void)build(&full);
	dump("again", number(find("FACP") + 140, 8));
	compile_again();
}
END_TEST

START_TEST(acpi_dsdt_leaves_out_what_is_not_there)
{
	struct x86_acpi acpi = {.vcpus = 1};
	const char *text;

	(void)build(&acpi);
	dump("small", number(find("FACP") + 140, 8));
	text = disassemble("small");
	ck_assert_ptr_null(strstr(text, "COM1"));
	ck_assert_ptr_null(strstr(text, "QWordMemory"));
	assert_has(text, "DWordMemory");
}
END_TEST

/* The number behind the next `words` in the source at *at, which goes on behind them. */
static unsigned long number_behind(const char **at, const char *words)
{
	const char *found = strstr(*at, words);

	ck_assert_msg(found != NULL, "no '%s' in: %.200s", words, *at);
	*at = strstr(found + strlen(words), "0x");
	ck_assert_ptr_nonnull(*at);
	*at += strlen("0x");
	return strtoul(*at, NULL, 16);
}

/* Addresses and lines as Linux will take them, each once, and none of the machine's own. */
START_TEST(acpi_dsdt_lists_virtio_devices)
{
	uint32_t lines = 1u << COM1_GSI | 1u << PM_GSI;
	const char *text;
	const char *at;

	(void)build(&mmio);
	dump("virtio", number(find("FACP") + 140, 8));
	text = disassemble("virtio");
	ck_assert_ptr_null(strstr(text, "PNP0A0"));
	ck_assert_ptr_null(strstr(text, "0xE0000000"));
	at = text;
	for (unsigned i = 0; i < VIRTIO_PLACES; i++) {
		unsigned long line;
		char name[32];

		(void)snprintf(name, sizeof(name), "Device (VR%02X)", i);
		at = strstr(at, name);
		ck_assert_msg(at != NULL, "no %s", name);
		at = strstr(at, "Name (_HID, \"LNRO0005\")");
		ck_assert_ptr_nonnull(at);
		ck_assert_uint_eq(number_behind(&at, "Memory32Fixed (ReadWrite,"),
				  vmm_x86_virtio_gpa(i));
		ck_assert_uint_eq(number_behind(&at, ","), VIRTIO_SIZE);
		line = number_behind(&at,
				     "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive");
		ck_assert_uint_eq(line, vmm_x86_virtio_gsi(i));
		ck_assert_uint_lt(line, IOAPIC_PINS);
		ck_assert_uint_eq(lines & 1u << line, 0);
		lines |= 1u << line;
	}
	ck_assert_ptr_null(strstr(at, "Device (VR"));
	dump("again", number(find("FACP") + 140, 8));
	compile_again();
}
END_TEST

START_TEST(acpi_data_tables_are_understood)
{
	const char *text;

	(void)build(&full);
	dump("mcfg", find("MCFG"));
	dump("apic", find("APIC"));
	dump("facp", find("FACP"));
	text = disassemble("mcfg");
	assert_has(text, "Base Address : 00000000E0000000");
	assert_has(text, "End Bus Number : 00");
	text = disassemble("apic");
	assert_has(text, "Local Apic ID : 02");
	assert_has(text, "Address : FEC00000");
	text = disassemble("facp");
	assert_has(text, "Hardware Reduced (V5) : 1");
	assert_has(text, "Reset Register Supported (V2) : 1");
	assert_has(text, "CMOS RTC Not Present (V5) : 1");
	ck_assert_ptr_null(strstr(text, "Invalid"));
}
END_TEST

START_TEST(aml_integers_take_the_shortest_form)
{
	static const uint8_t expected[] = {
		0x00, 0x01, 0x0a, 0x02, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0c, 0x00, 0x00,
		0x01, 0x00, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
	};
	uint8_t buf[64];
	struct aml a = {.buf = buf, .cap = sizeof(buf)};

	vmm_aml_integer(&a, 0);
	vmm_aml_integer(&a, 1);
	vmm_aml_integer(&a, 2);
	vmm_aml_integer(&a, 0xff);
	vmm_aml_integer(&a, 0x100);
	vmm_aml_integer(&a, 0x10000);
	vmm_aml_integer(&a, UINT64_C(0x100000000));
	ck_assert_uint_eq(a.len, sizeof(expected));
	ck_assert_mem_eq(buf, expected, sizeof(expected));
}
END_TEST

int main(void)
{
	const TTest *const structure[] = {
		acpi_every_checksum_is_right,  acpi_madt_lists_each_processor_once,
		acpi_fadt_is_hardware_reduced, acpi_without_room_is_refused,
		acpi_without_pci_has_no_mcfg,  aml_integers_take_the_shortest_form,
	};
	const TTest *const meaning[] = {
		acpi_dsdt_means_what_it_should,         acpi_dsdt_compiles_again,
		acpi_dsdt_leaves_out_what_is_not_there, acpi_dsdt_lists_virtio_devices,
		acpi_data_tables_are_understood,
	};
	char command[64];
	int ret = suite_run("acpi", structure, sizeof(structure) / sizeof(structure[0]));

	if (ret != EXIT_SUCCESS) {
		return ret;
	}
	if (system("iasl -v >/dev/null 2>&1") != 0) {
		(void)printf("skipped: no iasl (Debian: acpica-tools) to read the tables back\n");
		return 77;
	}
	if (!mkdtemp(dir)) {
		return EXIT_FAILURE;
	}
	ret = suite_run("acpi by iasl", meaning, sizeof(meaning) / sizeof(meaning[0]));
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? ret : EXIT_FAILURE;
}
