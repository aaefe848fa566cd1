/* SPDX-License-Identifier: MIT */
/* Where RAM and the PCI windows are. */
#include "machine/aarch64/arm.h"

#include <errno.h>

#include "machine/aarch64/layout.h"

int vmm_arm_layout(struct arm_layout *layout, uint64_t memory_size, unsigned ipa_bits,
		   struct vmm_error *err)
{
	uint64_t limit = UINT64_C(1) << ipa_bits;
	uint64_t top;

	if (memory_size < FDT_ROOM) {
		return vmm_error_set(err, -EINVAL, "memory of %llu bytes: this machine needs more",
				     (unsigned long long)memory_size);
	}
	if (memory_size > limit - RAM_GPA) {
		return vmm_error_set(
			err, -EINVAL,
			"memory of %llu MiB: this processor addresses %u bits, %llu MiB at most",
			(unsigned long long)(memory_size >> 20), ipa_bits,
			(unsigned long long)((limit - RAM_GPA) >> 20));
	}
	layout->ram = memory_size;
	top = (RAM_GPA + memory_size + GIB(1) - 1) & ~(GIB(1) - 1);
	/* PCI's 64-bit window is above 4 GiB by its name. */
	layout->mmio64.base = top < GIB(4) ? GIB(4) : top;
	layout->mmio64.size = layout->mmio64.base < limit ? limit - layout->mmio64.base : 0;
	if (layout->mmio64.size > MMIO64_SIZE) {
		layout->mmio64.size = MMIO64_SIZE;
	}
	return 0;
}

uint64_t vmm_arm_fdt_gpa(const struct arm_layout *layout)
{
	uint64_t ram = layout->ram < INITRD_WINDOW ? layout->ram : INITRD_WINDOW;

	return RAM_GPA + ((ram - FDT_ROOM) & ~(FDT_ROOM - 1));
}
