/* SPDX-License-Identifier: MIT */
/* What the test payload knows of the machine: ports, local APIC, start info, tables, PCI. */
#ifndef TESTS_GUEST_HW_H
#define TESTS_GUEST_HW_H

#include <stdbool.h>
#include <stdint.h>

/* PVH's start info and memory map (Xen, arch-x86/hvm/start_info.h). */
struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t map;
	uint32_t map_count;
	uint32_t reserved;
};

struct module {
	uint64_t gpa;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct map_entry {
	uint64_t gpa;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

#define MAP_RAM 1u

/* What the payload takes out of the ACPI tables. */
struct acpi {
	uint64_t ecam;
	uint16_t reset_port;
	uint8_t reset_value;
	uint16_t sleep_port;
	unsigned cpus;
};

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint8_t get8(uint64_t gpa)
{
	return *(volatile uint8_t *)gpa;
}

static inline uint16_t get16(uint64_t gpa)
{
	return *(volatile uint16_t *)gpa;
}

static inline uint32_t get32(uint64_t gpa)
{
	return *(volatile uint32_t *)gpa;
}

static inline uint64_t get64(uint64_t gpa)
{
	return *(volatile uint64_t *)gpa;
}

static inline void put8(uint64_t gpa, uint8_t value)
{
	*(volatile uint8_t *)gpa = value;
}

static inline void put16(uint64_t gpa, uint16_t value)
{
	*(volatile uint16_t *)gpa = value;
}

static inline void put32(uint64_t gpa, uint32_t value)
{
	*(volatile uint32_t *)gpa = value;
}

static inline void put64(uint64_t gpa, uint64_t value)
{
	*(volatile uint64_t *)gpa = value;
}

/* ---- start.S ---- */

extern volatile uint32_t interrupts; /* taken so far */
extern const uint8_t ap_code[];
extern const uint8_t ap_code_end[];
void interrupt_entry(void);
/* Sleeps until there was an interrupt. */
void wait_interrupt(void);
void load_idt(const void *pointer);

/* ---- hw.c ---- */

#define VECTOR 0x40u /* the one interrupt vector that is served */

/* Lines of output: words, numbers in hexadecimal, a newline. */
void say(const char *text);
void say_hex(uint64_t value);
void say_end(void);
/* "not what it should be": the word that the runner looks for is "BAD". */
void bad(const char *what);

void interrupts_init(void);
/* Routes a line of the IOAPIC to VECTOR. */
void ioapic_route(unsigned line);

/* False when a signature or checksum is wrong. */
bool acpi_read(uint64_t rsdp, struct acpi *out);

uint32_t pci_read_ports(unsigned slot, unsigned offset);
static inline uint64_t pci_ecam(const struct acpi *acpi, unsigned slot, unsigned offset)
{
	return acpi->ecam + ((uint64_t)slot << 15) + offset;
}

#endif
