/* SPDX-License-Identifier: MIT */
/*
 * The guest of `start` and `memory`: one byte on the serial port, then the end: power-off as
 * libvmm's x86_64 machine has it, and where that is not the power-off, a triple fault, which ends
 * other VMMs when they are told not to reboot. With the word "stay" on its command line it halts
 * for ever instead.
 */
#include "hw.h"

#define COM1     0x3f8u
#define PM_SLEEP 0x601u
#define SLEEP_S5 0x34u

void payload_main(const struct start_info *info);

void payload_main(const struct start_info *info)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_idt = {0, 0};
	const char *word = (const char *)(uintptr_t)info->cmdline;

	out8(COM1, '!');
	if (word && *word == 's') {
		out8(COM1, '\n');
		return; /* start.S halts */
	}
	out8(PM_SLEEP, SLEEP_S5);
	__asm__ volatile("lidt %0; ud2" : : "m"(no_idt));
}
