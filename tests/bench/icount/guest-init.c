/* SPDX-License-Identifier: MIT */
/*
 * The first program of a Linux guest whose boot is counted: a mark with its first instruction, then
 * power-off. Without a library: what one does before main would be counted.
 */
#include <asm/unistd_64.h>
#include <linux/reboot.h>

#include "mark.h"

void _start(void) __attribute__((noreturn));

void _start(void)
{
	long ret = __NR_reboot;

	MARK(MARK_GUEST);
	__asm__ volatile("syscall"
			 : "+a"(ret)
			 : "D"(LINUX_REBOOT_MAGIC1), "S"(LINUX_REBOOT_MAGIC2),
			   "d"(LINUX_REBOOT_CMD_POWER_OFF)
			 : "rcx", "r11", "memory");
	for (;;) {
	}
}
