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

/* ---- virtio.c ---- */

/* Where the registers of a virtio device are. */
struct virtio_blocks {
	uint64_t common;
	uint64_t notify;
	uint32_t notify_multiplier;
	uint64_t msix_control; /* in configuration space */
	uint64_t msix_table;
};

#define VIRTIO_DESC_NEXT  1u
#define VIRTIO_DESC_WRITE 2u

struct virtio_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* The three parts of a queue: size descriptors, 3 + size words, 2 + 2 * size words. */
struct virtio_ring {
	uint16_t size;
	const volatile void *desc;
	const volatile void *avail;
	const volatile void *used;
};

/* False when a block is missing. */
bool virtio_find(const struct acpi *acpi, unsigned slot, struct virtio_blocks *b);
/* Resets the device and starts it with one queue, whose MSI-X vector sends VECTOR, and no feature
 * but VERSION_1. */
bool virtio_start(const struct virtio_blocks *b, const struct virtio_ring *ring);
/* Where the queue is kicked. */
uint64_t virtio_notify_address(const struct virtio_blocks *b);

/* For every transport: an address of a queue into a 64-bit register, by halves. */
void virtio_put_address(uint64_t reg, const volatile void *p);
/* The payload's one queue, as new. */
const struct virtio_ring *virtio_empty_ring(void);
/* One buffer through it, as in virtio_fill. */
int virtio_transfer(uint64_t notify, void *buf, uint32_t len, bool interrupt);

/*
 * Drives the virtio device (its PCI device id) in a slot: one buffer of len bytes through queue 0.
 * With interrupt set it sleeps for the MSI-X interrupt, otherwise it polls. Bytes the device says
 * it has written, or -1.
 */
int virtio_fill(const struct acpi *acpi, unsigned slot, void *buf, uint32_t len, bool interrupt);

/* ---- virtio_mmio.c ---- */

/* The same with the first virtio-mmio device of a machine without PCI. */
int virtio_mmio_fill(void *buf, uint32_t len, bool interrupt);

#endif
