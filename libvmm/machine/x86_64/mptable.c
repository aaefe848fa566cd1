/* SPDX-License-Identifier: MIT */
/*
 * The tables of the MultiProcessor Specification 1.4: what a kernel that does without ACPI is told
 * about processors and interrupt lines. Without them it would know of one processor, and of no
 * line at all.
 */
#include "machine/x86_64/x86.h"

#include <errno.h>
#include <string.h>

#include "machine/x86_64/aml.h"
#include "machine/x86_64/layout.h"

#define POINTER_SIZE     16u
#define POINTER_CHECKSUM 10u
#define HEADER_SIZE      44u
#define HEADER_LENGTH    4u
#define HEADER_CHECKSUM  7u
#define HEADER_ENTRIES   34u
#define SPEC_1_4         4u

#define ENTRY_PROCESSOR 0u
#define ENTRY_BUS       1u
#define ENTRY_IOAPIC    2u
#define ENTRY_LINE      3u
#define ENTRY_LOCAL     4u

#define LAPIC_VERSION  0x14u
#define IOAPIC_VERSION 0x11u
#define ENABLED        1u
#define BOOTS          2u
#define BUS_ISA        0u /* lines of an ISA bus are edges, active high */
#define TYPE_INT       0u
#define TYPE_NMI       1u
#define TYPE_EXTINT    3u
#define ALL_LAPICS     0xffu

static void pointer(struct aml *a, uint64_t gpa)
{
	vmm_aml_bytes(a, "_MP_", 4);
	vmm_aml_number(a, gpa + POINTER_SIZE, 4);
	vmm_aml_byte(a, 1); /* times 16 bytes */
	vmm_aml_byte(a, SPEC_1_4);
	vmm_aml_number(a, 0, 6); /* checksum; there is a table; no IMCR */
}

static void header(struct aml *a)
{
	vmm_aml_bytes(a, "PCMP", 4);
	vmm_aml_number(a, 0, 2); /* length */
	vmm_aml_byte(a, SPEC_1_4);
	vmm_aml_byte(a, 0); /* checksum */
	vmm_aml_bytes(a, "LIBVMM  LIBVMM      ", 20);
	vmm_aml_number(a, 0, 8); /* no OEM table; entries */
	vmm_aml_number(a, LAPIC_GPA, 4);
	vmm_aml_number(a, 0, 4); /* no extended entries */
}

static void processor(struct aml *a, unsigned index)
{
	vmm_aml_byte(a, ENTRY_PROCESSOR);
	vmm_aml_byte(a, (uint8_t)index);
	vmm_aml_byte(a, LAPIC_VERSION);
	vmm_aml_byte(a, ENABLED | (index == 0 ? BOOTS : 0));
	/* Signature and features: CPUID says more. */
	vmm_aml_number(a, 0, 8);
	vmm_aml_number(a, 0, 8);
}

static void interrupt(struct aml *a, uint8_t entry, uint8_t type, uint8_t line, uint8_t apic,
		      uint8_t pin)
{
	vmm_aml_byte(a, entry);
	vmm_aml_byte(a, type);
	vmm_aml_number(a, 0, 2); /* polarity and trigger mode: the bus's */
	vmm_aml_byte(a, BUS_ISA);
	vmm_aml_byte(a, line);
	vmm_aml_byte(a, apic);
	vmm_aml_byte(a, pin);
}

/* Returns how many there are. */
static unsigned entries(struct aml *a, unsigned vcpus)
{
	uint8_t ioapic = (uint8_t)vcpus; /* the first id that is no processor's */

	for (unsigned i = 0; i < vcpus; i++) {
		processor(a, i);
	}
	vmm_aml_byte(a, ENTRY_BUS);
	vmm_aml_byte(a, BUS_ISA);
	vmm_aml_bytes(a, "ISA   ", 6);
	vmm_aml_byte(a, ENTRY_IOAPIC);
	vmm_aml_byte(a, ioapic);
	vmm_aml_byte(a, IOAPIC_VERSION);
	vmm_aml_byte(a, ENABLED);
	vmm_aml_number(a, IOAPIC_GPA, 4);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		interrupt(a, ENTRY_LINE, TYPE_INT, (uint8_t)pin, ioapic, (uint8_t)pin);
	}
	interrupt(a, ENTRY_LOCAL, TYPE_EXTINT, 0, 0, 0);
	interrupt(a, ENTRY_LOCAL, TYPE_NMI, 0, ALL_LAPICS, 1);
	return vcpus + 2 + IOAPIC_PINS + 2;
}

int vmm_x86_mptable(unsigned vcpus, uint64_t gpa, uint8_t *buf, size_t cap)
{
	struct aml a = {.buf = buf, .cap = cap};
	uint8_t *table = buf + POINTER_SIZE;
	unsigned count;
	size_t len;

	pointer(&a, gpa);
	header(&a);
	count = entries(&a, vcpus);
	if (a.full) {
		return -ENOSPC;
	}
	len = a.len - POINTER_SIZE;
	table[HEADER_LENGTH] = (uint8_t)len;
	table[HEADER_LENGTH + 1] = (uint8_t)(len >> 8);
	table[HEADER_ENTRIES] = (uint8_t)count;
	table[HEADER_CHECKSUM] = vmm_aml_checksum(table, len);
	buf[POINTER_CHECKSUM] = vmm_aml_checksum(buf, POINTER_SIZE);
	return (int)a.len;
}
