/* SPDX-License-Identifier: MIT */
/* What a kernel without ACPI is told: words on its command line, and the tables of the
 * MultiProcessor Specification 1.4. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"
#include "machine/x86_64/layout.h"
#include "machine/x86_64/x86.h"
#include "suite.h"

#define VCPUS 64u

static uint8_t table[MPTABLE_SIZE];

/* ---- command line ---- */

START_TEST(acpi_is_off_where_the_word_stands_alone)
{
	static const char *const off[] = {"acpi=off", "a acpi=off b", "  acpi=off", "x  acpi=off ",
					  "acpi=off -- acpi=on"};
	static const char *const on[] = {
		"",           "acpi=offf",    "xacpi=off", "acpi=of", "a -- acpi=off",
		"acpi = off", "pci=acpi=off", "ACPI=OFF"};

	for (unsigned i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		ck_assert_msg(vmm_x86_acpi_is_off(off[i]), "'%s'", off[i]);
	}
	for (unsigned i = 0; i < sizeof(on) / sizeof(on[0]); i++) {
		ck_assert_msg(!vmm_x86_acpi_is_off(on[i]), "'%s'", on[i]);
	}
}
END_TEST

START_TEST(words_for_devices_stand_before_the_rest)
{
	char line[256];

	vmm_x86_virtio_cmdline("acpi=off -- x", 0, line, sizeof(line));
	ck_assert_str_eq(line, "acpi=off -- x");
	vmm_x86_virtio_cmdline("acpi=off -- x", 2, line, sizeof(line));
	ck_assert_str_eq(line, "virtio_mmio.device=4K@0xfeb00000:16 "
			       "virtio_mmio.device=4K@0xfeb01000:17 acpi=off -- x");
}
END_TEST

/* The longest there can be fits, and is all there. */
START_TEST(words_for_all_devices_have_room)
{
	static char cmdline[VMM_MACHINE_CMDLINE_MAX + 1];
	size_t cap = sizeof(cmdline) + (size_t)VIRTIO_PLACES * X86_VIRTIO_WORD_MAX;
	char *line = malloc(cap);
	const char *at = line;

	ck_assert_ptr_nonnull(line);
	memset(cmdline, 'x', VMM_MACHINE_CMDLINE_MAX);
	vmm_x86_virtio_cmdline(cmdline, VIRTIO_PLACES, line, cap);
	for (unsigned i = 0; i < VIRTIO_PLACES; i++) {
		char *end;

		ck_assert_int_eq(strncmp(at, "virtio_mmio.device=4K@", 22), 0);
		ck_assert_uint_eq(strtoull(at + 22, &end, 16), vmm_x86_virtio_gpa(i));
		ck_assert_int_eq(*end, ':');
		ck_assert_uint_eq(strtoul(end + 1, &end, 10), vmm_x86_virtio_gsi(i));
		ck_assert_int_eq(*end, ' ');
		at = end + 1;
	}
	ck_assert_str_eq(at, cmdline);
	free(line);
}
END_TEST

/* ---- tables ---- */

static uint64_t number(size_t at, unsigned len)
{
	uint64_t value = 0;

	for (unsigned i = len; i > 0; i--) {
		value = value << 8 | table[at + i - 1];
	}
	return value;
}

static uint8_t sum(size_t at, size_t len)
{
	unsigned total = 0;

	for (size_t i = 0; i < len; i++) {
		total += table[at + i];
	}
	return (uint8_t)total;
}

START_TEST(mptable_is_found_and_adds_up)
{
	int len = vmm_x86_mptable(3, MPTABLE_GPA, table, sizeof(table));

	ck_assert_int_gt(len, 0);
	/* Where systems look: on 16 bytes, in the last 64 KiB of the first MiB. */
	ck_assert_uint_eq(MPTABLE_GPA % 16, 0);
	ck_assert_uint_ge(MPTABLE_GPA, 0xf0000);
	ck_assert_uint_ge(MPTABLE_GPA, ACPI_GPA + ACPI_SIZE);
	ck_assert_uint_le(MPTABLE_GPA + MPTABLE_SIZE, BIOS_GPA);
	ck_assert_mem_eq(table, "_MP_", 4);
	ck_assert_uint_eq(number(4, 4), MPTABLE_GPA + 16);
	ck_assert_uint_eq(number(8, 1), 1);
	ck_assert_uint_eq(number(9, 1), 4);
	ck_assert_uint_eq(number(11, 1), 0); /* not one of the default configurations */
	ck_assert_uint_eq(sum(0, 16), 0);
	ck_assert_mem_eq(table + 16, "PCMP", 4);
	ck_assert_uint_eq(number(16 + 4, 2), (unsigned)len - 16);
	ck_assert_uint_eq(sum(16, (size_t)len - 16), 0);
	ck_assert_uint_eq(number(16 + 36, 4), LAPIC_GPA);
}
END_TEST

struct found {
	unsigned processors;
	unsigned boot_processors;
	unsigned buses;
	unsigned ioapics;
	uint32_t lines;
	unsigned locals;
	uint8_t ioapic_id;
};

static void add_line(struct found *f, size_t at)
{
	unsigned pin = table[at + 7];

	ck_assert_uint_eq(table[at + 1], 0);
	ck_assert_uint_eq(number(at + 2, 2), 0); /* as the bus has it: edges */
	ck_assert_uint_eq(table[at + 5], pin);   /* the number that drivers ask for */
	ck_assert_uint_eq(table[at + 6], f->ioapic_id);
	ck_assert_uint_lt(pin, IOAPIC_PINS);
	ck_assert_uint_eq(f->lines & 1u << pin, 0);
	f->lines |= 1u << pin;
}

static size_t add_entry(struct found *f, size_t at)
{
	switch (table[at]) {
	case 0:
		ck_assert_uint_eq(table[at + 1], f->processors++);
		ck_assert_uint_eq(table[at + 3] & 1, 1);
		f->boot_processors += (table[at + 3] & 2) != 0;
		return 20;
	case 1:
		f->buses++;
		ck_assert_mem_eq(table + at + 2, "ISA   ", 6);
		return 8;
	case 2:
		f->ioapics++;
		f->ioapic_id = table[at + 1];
		ck_assert_uint_eq(table[at + 3], 1);
		ck_assert_uint_eq(number(at + 4, 4), IOAPIC_GPA);
		return 8;
	case 3:
		add_line(f, at);
		return 8;
	default:
		ck_assert_uint_eq(table[at], 4);
		f->locals++;
		return 8;
	}
}

START_TEST(mptable_has_each_processor_and_each_line_once)
{
	static const unsigned counts[] = {1, 2, VCPUS};

	for (unsigned i = 0; i < 3; i++) {
		size_t len = (size_t)vmm_x86_mptable(counts[i], MPTABLE_GPA, table, sizeof(table));
		struct found f = {0};
		unsigned entries = 0;
		size_t at = 16 + 44;

		for (; at < len; entries++) {
			at += add_entry(&f, at);
		}
		ck_assert_uint_eq(at, len);
		ck_assert_uint_eq(number(16 + 34, 2), entries);
		ck_assert_uint_eq(f.processors, counts[i]);
		ck_assert_uint_eq(f.boot_processors, 1);
		ck_assert_uint_eq(f.buses, 1);
		ck_assert_uint_eq(f.ioapics, 1);
		ck_assert_uint_ge(f.ioapic_id, counts[i]); /* no processor's */
		ck_assert_uint_eq(f.lines, 0xffffff);
		ck_assert_uint_eq(f.locals, 2);
	}
}
END_TEST

START_TEST(mptable_without_room_is_refused)
{
	int len = vmm_x86_mptable(VCPUS, MPTABLE_GPA, table, sizeof(table));

	ck_assert_int_gt(len, 0);
	for (int cap = 0; cap < len; cap++) {
		uint8_t *exact = malloc((size_t)cap + 1);

		ck_assert_ptr_nonnull(exact);
		ck_assert_int_eq(vmm_x86_mptable(VCPUS, MPTABLE_GPA, exact + 1, (size_t)cap),
				 -ENOSPC);
		free(exact);
	}
}
END_TEST

SUITE_MAIN("no-acpi", acpi_is_off_where_the_word_stands_alone,
	   words_for_devices_stand_before_the_rest, words_for_all_devices_have_room,
	   mptable_is_found_and_adds_up, mptable_has_each_processor_and_each_line_once,
	   mptable_without_room_is_refused)
