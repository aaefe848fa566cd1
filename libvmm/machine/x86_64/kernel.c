/* SPDX-License-Identifier: MIT */
/*
 * Loading: a kernel's headers become a plan in which every number has been checked, then the plan
 * is carried out. The file is as trustworthy as the guest it belongs to.
 */
#include "machine/x86_64/x86.h"

#include <errno.h>
#include <string.h>

#include "machine/x86_64/layout.h"

#define PAGE UINT64_C(4096)

int vmm_x86_plan(const struct vmm_image *image, struct x86_plan *plan, struct vmm_error *err)
{
	uint8_t magic[4];
	int ret;

	memset(plan, 0, sizeof(*plan));
	if (image->size < sizeof(magic)) {
		return vmm_error_set(err, -ENOEXEC, "it is empty or cut off after %llu bytes",
				     (unsigned long long)image->size);
	}
	ret = image->read(image->ctx, 0, magic, sizeof(magic));
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot be read");
	}
	if (memcmp(magic, "\177ELF", sizeof(magic)) == 0) {
		return vmm_x86_plan_elf(image, plan, err);
	}
	return vmm_x86_plan_bzimage(image, plan, err);
}

int vmm_x86_load(const struct vmm_image *image, const struct x86_plan *plan, struct vmm_mem *mem,
		 const struct x86_layout *layout, struct vmm_error *err)
{
	if (plan->end > layout->low_ram) {
		return vmm_error_set(
			err, -EINVAL,
			"it needs memory up to %llu MiB, and the machine has %llu MiB below 4 GiB",
			(unsigned long long)((plan->end + MIB(1) - 1) >> 20),
			(unsigned long long)(layout->low_ram >> 20));
	}
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct x86_segment *s = &plan->segments[i];
		struct iovec iov;
		int ret;

		if (s->size == 0) {
			continue;
		}
		vmm_mem_expect(mem, s->gpa, s->size);
		ret = vmm_mem_iov(mem, s->gpa, s->size, &iov);
		if (ret == 0) {
			ret = image->read(image->ctx, s->offset, iov.iov_base, iov.iov_len);
		}
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "cannot be loaded");
		}
	}
	return 0;
}

int vmm_x86_load_initrd(const struct vmm_image *image, const struct x86_plan *plan,
			struct vmm_mem *mem, const struct x86_layout *layout, uint64_t *gpa,
			struct vmm_error *err)
{
	struct vmm_initrd_room room = {
		.bottom = plan->end,
		.top = layout->low_ram,
		.align = PAGE,
		.ram = layout->low_ram,
	};

	if (plan->initrd_last < room.top) {
		room.top = plan->initrd_last + 1;
	}
	return vmm_image_load_initrd(image, &room, mem, gpa, err);
}
