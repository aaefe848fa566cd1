/* SPDX-License-Identifier: MIT */
/*
 * A guest without an operating system for tests of vmm-cli: it says on ttyS0 what it does, and the
 * first word of its kernel command line says what that is.
 *
 *	(nothing)  wait for the power button, then power off
 *	off        power off at once
 *	reset      wait for the power button, then reset
 *	crash      triple fault at once
 *	stubborn   wait for the power button and ignore it
 *	chatty     write to ttyS0 for ever
 */
#include <stdint.h>

#define COM1         0x3f8u
#define PM_RESET     0x600u
#define PM_SLEEP     0x601u
#define PM_EVENTS    0x604u
#define SLEEP_S5     0x34u /* enable, type 5 */
#define EVENT_BUTTON 1u
#define BUTTON_GSI   5u
#define VECTOR       0x40u
#define CODE         0x08u

#define IOAPIC_SELECT 0xfec00000u
#define IOAPIC_WINDOW 0xfec00010u
#define LAPIC_SPUR    0xfee000f0u

/* The part of PVH's start info that matters here. */
struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
};

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

void payload_main(const struct start_info *info);
void interrupt_entry(void);
void wait_interrupt(void);
void load_idt(const struct idt_pointer *pointer);

static struct gate idt[VECTOR + 1];

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static volatile uint32_t *mmio(uint32_t address)
{
	return (volatile uint32_t *)(uintptr_t)address;
}

static void say(const char *text)
{
	for (; *text; text++) {
		out8(COM1, (uint8_t)*text);
	}
	out8(COM1, '\n');
}

static int word_is(const char *text, const char *word)
{
	while (*word && *text == *word) {
		text++;
		word++;
	}
	return *word == '\0' && (*text == '\0' || *text == ' ');
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	*mmio(IOAPIC_SELECT) = index;
	*mmio(IOAPIC_WINDOW) = value;
}

static void listen_to_button(void)
{
	uint64_t entry = (uint64_t)(uintptr_t)interrupt_entry;
	const struct idt_pointer pointer = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

	idt[VECTOR] = (struct gate){
		.offset_low = (uint16_t)entry,
		.selector = CODE,
		.type = 0x8e00,
		.offset_middle = (uint16_t)(entry >> 16),
		.offset_high = (uint32_t)(entry >> 32),
	};
	load_idt(&pointer);
	*mmio(LAPIC_SPUR) = 0x1ff;
	ioapic_write(0x10 + 2 * BUTTON_GSI + 1, 0);
	ioapic_write(0x10 + 2 * BUTTON_GSI, VECTOR); /* edge, active high, CPU 0 */
}

static void wait_for_button(void)
{
	do {
		wait_interrupt();
	} while (!(in8(PM_EVENTS) & EVENT_BUTTON));
	say("button");
}

static void power_off(void)
{
	say("off");
	out8(PM_SLEEP, SLEEP_S5);
}

static void crash(void)
{
	const struct idt_pointer none = {0, 0};

	say("crash");
	load_idt(&none);
	__asm__ volatile("ud2");
}

void payload_main(const struct start_info *info)
{
	const char *words = (const char *)(uintptr_t)info->cmdline;

	say("hello");
	if (word_is(words, "off")) {
		power_off();
	} else if (word_is(words, "crash")) {
		crash();
	}
	while (word_is(words, "chatty")) {
		say("0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz");
	}
	listen_to_button();
	say("waiting");
	for (;;) {
		wait_for_button();
		if (word_is(words, "reset")) {
			out8(PM_RESET, 1);
		} else if (!word_is(words, "stubborn")) {
			power_off();
		}
	}
}
