/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "machine/x86_64/layout.h"
#include "machine/x86_64/x86.h"
#include "suite.h"

#define SELECT  (IOAPIC_GPA + 0x00)
#define WINDOW  (IOAPIC_GPA + 0x10)
#define MASKED  UINT64_C(0x10000)
#define LEVEL   UINT64_C(0x8000)
#define LOGICAL UINT64_C(0x800)

/* What the lines lead to, as the machine would have told KVM. */
static struct line {
	bool routed;
	struct vmm_pci_msi msi;
} lines[IOAPIC_PINS];
static unsigned calls;

static struct vmm_bus *bus;
static struct x86_ioapic *io;

static void route(void *ctx, unsigned pin, const struct vmm_pci_msi *msi)
{
	(void)ctx;
	ck_assert_uint_lt(pin, IOAPIC_PINS);
	lines[pin] = (struct line){.routed = msi != NULL};
	if (msi) {
		lines[pin].msi = *msi;
	}
	calls++;
}

static void setup(void)
{
	struct vmm_error err = {0};

	memset(lines, 0, sizeof(lines));
	calls = 0;
	ck_assert_int_eq(vmm_bus_create(&bus), 0);
	ck_assert_int_eq(vmm_x86_ioapic_create(&io, bus, route, NULL, &err), 0);
}

static void teardown(void)
{
	vmm_x86_ioapic_destroy(io);
	vmm_bus_destroy(bus);
}

static uint32_t get(uint8_t index)
{
	uint64_t value = 0;

	ck_assert(vmm_bus_write(bus, SELECT, 4, index));
	ck_assert(vmm_bus_read(bus, WINDOW, 4, &value));
	return (uint32_t)value;
}

static void put(uint8_t index, uint32_t value)
{
	ck_assert(vmm_bus_write(bus, SELECT, 4, index));
	ck_assert(vmm_bus_write(bus, WINDOW, 4, value));
}

static uint64_t get_entry(unsigned pin)
{
	return get((uint8_t)(0x10 + 2 * pin)) | (uint64_t)get((uint8_t)(0x11 + 2 * pin)) << 32;
}

static void put_entry(unsigned pin, uint64_t entry)
{
	put((uint8_t)(0x11 + 2 * pin), (uint32_t)(entry >> 32));
	put((uint8_t)(0x10 + 2 * pin), (uint32_t)entry);
}

START_TEST(ioapic_starts_and_resets_with_all_lines_masked)
{
	for (unsigned turn = 0; turn < 2; turn++) {
		ck_assert_uint_eq(get(0), 0);
		ck_assert_uint_eq(get(1), 0x00170011); /* 24 entries */
		ck_assert_uint_eq(get(2), 0);
		for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
			ck_assert_uint_eq(get_entry(pin), MASKED);
			ck_assert(!lines[pin].routed);
			put_entry(pin, 0x30 + pin);
			ck_assert(lines[pin].routed);
		}
		put(0, UINT32_MAX);
		ck_assert_uint_eq(get(0), 0x0f000000);
		ck_assert_uint_eq(get(2), 0x0f000000);
		vmm_x86_ioapic_reset(io);
	}
}
END_TEST

/* Intel's manual, volume 3: the entry's format, and the message's. */
START_TEST(ioapic_entry_becomes_a_message)
{
	static const struct {
		uint64_t entry;
		uint64_t address;
		uint32_t data;
	} cases[] = {
		{0x0000000000000031, 0xfee00000, 0x031},
		{0x0300000000000031, 0xfee03000, 0x031},
		{0xff00000000000031 | LOGICAL, 0xfeeff004, 0x031},
		{0x0100000000000131 | LOGICAL, 0xfee0100c, 0x131}, /* lowest priority */
		{0x0200000000000400, 0xfee02000, 0x400},           /* NMI: no vector */
		/* Lines are edges whatever the guest says; polarity is a matter of wires. */
		{0x0000000000000031 | LEVEL | 0x2000, 0xfee00000, 0x031},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_entry(7, cases[i].entry);
		ck_assert_uint_eq(get_entry(7), cases[i].entry);
		ck_assert(lines[7].routed);
		ck_assert_uint_eq(lines[7].msi.address, cases[i].address);
		ck_assert_uint_eq(lines[7].msi.data, cases[i].data);
		put_entry(7, cases[i].entry | MASKED);
		ck_assert(!lines[7].routed);
	}
}
END_TEST

START_TEST(ioapic_entry_that_no_device_can_mean_leads_nowhere)
{
	/* Vectors of exceptions; SMI, reserved, INIT, reserved, ExtINT. */
	static const uint64_t entries[] = {0x000, 0x00f, 0x10f, 0x231, 0x331, 0x531, 0x631, 0x731};

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		put_entry(23, 0x31);
		ck_assert(lines[23].routed);
		put_entry(23, entries[i]);
		ck_assert_uint_eq(get_entry(23), entries[i]);
		ck_assert(!lines[23].routed);
	}
}
END_TEST

START_TEST(ioapic_registers_that_are_not_there_do_nothing)
{
	uint64_t value = 0;

	for (unsigned index = 0; index < 256; index++) {
		unsigned before = calls;
		bool is_entry = index >= 0x10 && index < 0x10 + 2 * IOAPIC_PINS;

		put((uint8_t)index, UINT32_MAX);
		ck_assert_uint_eq(calls, before + is_entry);
		if (!is_entry && index > 2) {
			ck_assert_uint_eq(get((uint8_t)index), 0);
		}
	}
	/* Delivery status and remote IRR are read-only, the rest is reserved. */
	ck_assert_uint_eq(get_entry(5), UINT64_C(0xff0000000001afff));
	put_entry(5, 0x31);
	calls = 0;
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (uint64_t at = IOAPIC_GPA; at < IOAPIC_GPA + IOAPIC_SIZE - 8; at++) {
			if (at == SELECT || at == WINDOW) {
				continue;
			}
			ck_assert(vmm_bus_write(bus, at, len, UINT64_MAX));
			ck_assert(vmm_bus_read(bus, at, len, &value));
			ck_assert_uint_eq(value, 0);
		}
	}
	/* Half an entry's half is no write. */
	ck_assert(vmm_bus_write(bus, SELECT, 1, 0x10 + 2 * 5));
	ck_assert(vmm_bus_write(bus, WINDOW, 1, 0x44));
	ck_assert(vmm_bus_write(bus, WINDOW, 2, 0x4444));
	ck_assert_uint_eq(calls, 0);
	ck_assert_uint_eq(get_entry(5), 0x31);
}
END_TEST

/* What the line leads to always follows from what the entry reads as. */
static void check_line(unsigned pin)
{
	uint64_t entry = get_entry(pin);
	unsigned mode = (unsigned)(entry >> 8) & 7;
	bool leads = (mode == 4 || (mode <= 1 && (entry & 0xff) >= 16)) && !(entry & MASKED);

	ck_assert_uint_eq(lines[pin].routed, leads);
	if (leads) {
		ck_assert_uint_eq(lines[pin].msi.data, entry & 0x7ff);
		ck_assert_uint_eq(lines[pin].msi.address >> 12 & 0xff, entry >> 56);
		ck_assert_uint_eq(lines[pin].msi.address & ~UINT64_C(0xff00c), LAPIC_GPA);
	}
}

START_TEST(ioapic_takes_anything)
{
	uint64_t state = 1;

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t value;

		state = state * UINT64_C(6364136223846793005) + 1;
		value = state >> 16;
		switch (state >> 60 & 3) {
		case 0:
			put((uint8_t)value, (uint32_t)(value >> 8));
			break;
		case 1:
			put((uint8_t)(0x10 + value % (2 * IOAPIC_PINS)), (uint32_t)(value >> 8));
			break;
		default:
			(void)vmm_bus_write(bus, IOAPIC_GPA + (value & 0xfff),
					    1u << (value >> 12 & 3), value);
			break;
		}
		if (i % 64 == 0) {
			for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
				check_line(pin);
			}
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		ioapic_starts_and_resets_with_all_lines_masked,
		ioapic_entry_becomes_a_message,
		ioapic_entry_that_no_device_can_mean_leads_nowhere,
		ioapic_registers_that_are_not_there_do_nothing,
		ioapic_takes_anything,
	};
	Suite *suite = suite_create("ioapic");

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, setup, teardown);
	}
	return suite_finish(suite);
}
