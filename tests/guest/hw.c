/* SPDX-License-Identifier: MIT */
#include "hw.h"

#define COM1          0x3f8u
#define IOAPIC_SELECT 0xfec00000u
#define IOAPIC_WINDOW 0xfec00010u
#define LAPIC_SPUR    0xfee000f0u
#define CODE          0x08u
#define GATE          0x8e00u /* present, 64-bit interrupt gate */
#define HEADER_SIZE   36u

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t zero;
} __attribute__((packed));

struct idt_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct gate idt[VECTOR + 1];

void say(const char *text)
{
	while (*text) {
		out8(COM1, (uint8_t)*text++);
	}
}

void say_hex(uint64_t value)
{
	unsigned shift = 60;

	while (shift > 0 && (value >> shift) == 0) {
		shift -= 4;
	}
	say(" ");
	for (;; shift -= 4) {
		out8(COM1, (uint8_t) "0123456789abcdef"[value >> shift & 0xf]);
		if (shift == 0) {
			return;
		}
	}
}

void say_end(void)
{
	say("\n");
}

void bad(const char *what)
{
	say("BAD ");
	say(what);
	say_end();
}

void interrupts_init(void)
{
	uint64_t entry = (uint64_t)&interrupt_entry;
	struct idt_pointer pointer = {.limit = sizeof(idt) - 1, .base = (uint64_t)idt};

	idt[VECTOR] = (struct gate){
		.offset_low = (uint16_t)entry,
		.selector = CODE,
		.type = GATE,
		.offset_middle = (uint16_t)(entry >> 16),
		.offset_high = (uint32_t)(entry >> 32),
	};
	load_idt(&pointer);
	put32(LAPIC_SPUR, 0x1ff); /* on */
}

void ioapic_route(unsigned line)
{
	put32(IOAPIC_SELECT, 0x11 + 2 * line);
	put32(IOAPIC_WINDOW, 0); /* to APIC 0 */
	put32(IOAPIC_SELECT, 0x10 + 2 * line);
	put32(IOAPIC_WINDOW, VECTOR); /* fixed, edge, high, not masked */
}

/* ---- ACPI ---- */

static bool sum_is_zero(uint64_t gpa, uint32_t len)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < len; i++) {
		sum = (uint8_t)(sum + get8(gpa + i));
	}
	return sum == 0;
}

#define SIGNATURE(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

static void read_madt(uint64_t table, struct acpi *out)
{
	uint32_t len = get32(table + 4);

	for (uint32_t at = HEADER_SIZE + 8; at + 2 <= len; at += get8(table + at + 1)) {
		out->cpus += get8(table + at) == 0;
	}
}

static void read_table(uint64_t table, struct acpi *out)
{
	switch (get32(table)) {
	case SIGNATURE('M', 'C', 'F', 'G'):
		out->ecam = get64(table + 44);
		break;
	case SIGNATURE('A', 'P', 'I', 'C'):
		read_madt(table, out);
		break;
	case SIGNATURE('F', 'A', 'C', 'P'):
		out->reset_port = (uint16_t)get64(table + 116 + 4);
		out->reset_value = get8(table + 128);
		out->sleep_port = (uint16_t)get64(table + 244 + 4);
		if (get32(get64(table + 140)) != SIGNATURE('D', 'S', 'D', 'T')) {
			bad("dsdt");
		}
		break;
	default:
		bad("unknown table");
	}
}

bool acpi_read(uint64_t rsdp, struct acpi *out)
{
	uint64_t xsdt = get64(rsdp + 24);
	uint32_t len = get32(xsdt + 4);

	*out = (struct acpi){0};
	if (get64(rsdp) != UINT64_C(0x2052545020445352) || !sum_is_zero(rsdp, 20) ||
	    !sum_is_zero(rsdp, 36) || get32(xsdt) != SIGNATURE('X', 'S', 'D', 'T')) {
		return false;
	}
	for (uint32_t at = HEADER_SIZE; at + 8 <= len; at += 8) {
		uint64_t table = get64(xsdt + at);

		if (!sum_is_zero(table, get32(table + 4))) {
			return false;
		}
		read_table(table, out);
	}
	return sum_is_zero(xsdt, len);
}

uint32_t pci_read_ports(unsigned slot, unsigned offset)
{
	out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfcu));
	return in32(0xcfc);
}
