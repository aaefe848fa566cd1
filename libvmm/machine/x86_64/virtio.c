/* SPDX-License-Identifier: MIT */
/* Where virtio-mmio devices are, and how a kernel without ACPI is told: by its command line. */
#include "machine/x86_64/x86.h"

#include <stdio.h>
#include <string.h>

#include "machine/x86_64/layout.h"

/*
 * First the lines that no PC has a use for. None of the rest is that of the machine's own devices,
 * nor of a timer, keyboard or clock that a kernel without ACPI may look for.
 */
static const uint8_t lines[VIRTIO_PLACES] = {16, 17, 18, 19, 20, 21, 22, 23,
					     6,  7,  9,  10, 11, 12, 14, 15};

uint64_t vmm_x86_virtio_gpa(unsigned index)
{
	return VIRTIO_GPA + index * VIRTIO_SIZE;
}

unsigned vmm_x86_virtio_gsi(unsigned index)
{
	return lines[index];
}

bool vmm_x86_acpi_is_off(const char *cmdline)
{
	static const char word[] = "acpi=off";
	size_t len;

	for (; *cmdline != '\0'; cmdline += len) {
		cmdline += strspn(cmdline, " ");
		len = strcspn(cmdline, " ");
		if (len == 2 && memcmp(cmdline, "--", len) == 0) {
			return false; /* what follows is init's */
		}
		if (len == sizeof(word) - 1 && memcmp(cmdline, word, len) == 0) {
			return true;
		}
	}
	return false;
}

/* In front of the rest, which may have a part that is not the kernel's. */
void vmm_x86_virtio_cmdline(const char *cmdline, unsigned count, char *out, size_t cap)
{
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		len += (size_t)snprintf(out + len, cap - len, "virtio_mmio.device=%uK@0x%llx:%u ",
					(unsigned)(VIRTIO_SIZE >> 10),
					(unsigned long long)vmm_x86_virtio_gpa(i),
					vmm_x86_virtio_gsi(i));
	}
	(void)snprintf(out + len, cap - len, "%s", cmdline);
}
