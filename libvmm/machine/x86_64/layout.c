/* SPDX-License-Identifier: MIT */
/* Where RAM and the PCI windows are, and how a kernel is told. */
#include "machine/x86_64/x86.h"

#include <errno.h>

#include "machine/x86_64/layout.h"

int vmm_x86_layout(struct x86_layout *layout, uint64_t memory_size, unsigned phys_bits,
		   struct vmm_error *err)
{
	uint64_t limit = UINT64_C(1) << phys_bits;
	uint64_t top;

	layout->low_ram = memory_size < HOLE_GPA ? memory_size : HOLE_GPA;
	layout->high_ram = memory_size - layout->low_ram;
	if (layout->low_ram <= HIGH_RAM_GPA) {
		return vmm_error_set(err, -EINVAL, "memory of %llu bytes: this machine needs more",
				     (unsigned long long)memory_size);
	}
	if (layout->high_ram > limit - HOLE_END) {
		return vmm_error_set(
			err, -EINVAL,
			"memory of %llu MiB: this processor addresses %u bits, %llu MiB at most",
			(unsigned long long)(memory_size >> 20), phys_bits,
			(unsigned long long)((limit - (HOLE_END - HOLE_GPA)) >> 20));
	}
	top = (HOLE_END + layout->high_ram + GIB(1) - 1) & ~(GIB(1) - 1);
	layout->mmio64.base = top;
	layout->mmio64.size = top < limit ? limit - top : 0;
	if (layout->mmio64.size > MMIO64_SIZE) {
		layout->mmio64.size = MMIO64_SIZE;
	}
	return 0;
}

static size_t add(struct x86_map_entry *map, size_t n, uint64_t gpa, uint64_t size, uint32_t type)
{
	map[n] = (struct x86_map_entry){.gpa = gpa, .size = size, .type = type};
	return size > 0 ? n + 1 : n;
}

size_t vmm_x86_memory_map(const struct x86_layout *layout, struct x86_map_entry *map)
{
	size_t n = 0;

	n = add(map, n, 0, LOW_RAM_END, X86_MAP_RAM);
	n = add(map, n, LOW_RAM_END, LOW_HOLE_GPA - LOW_RAM_END, X86_MAP_RESERVED);
	n = add(map, n, ACPI_GPA, HIGH_RAM_GPA - ACPI_GPA, X86_MAP_RESERVED);
	n = add(map, n, HIGH_RAM_GPA, layout->low_ram - HIGH_RAM_GPA, X86_MAP_RAM);
	/* Linux uses ECAM only where it is reserved. */
	n = add(map, n, ECAM_GPA, layout->no_pci ? 0 : VMM_PCI_ECAM_SIZE, X86_MAP_RESERVED);
	n = add(map, n, HOLE_END, layout->high_ram, X86_MAP_RAM);
	return n;
}
