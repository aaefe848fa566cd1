/* SPDX-License-Identifier: MIT */
/*
 * Any file as a kernel: either it is refused with words, or every segment of the plan lies inside
 * the file and inside the memory that kernels may use, and loading it touches nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/x86_64/layout.h"
#include "machine/x86_64/x86.h"

#define MEMORY MIB(64)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct file {
	const uint8_t *data;
	size_t size;
};

static void require(bool condition, const char *what)
{
	if (!condition) {
		(void)fprintf(stderr, "not true: %s\n", what);
		abort();
	}
}

static int read_file(void *ctx, uint64_t offset, void *buf, size_t len)
{
	const struct file *file = ctx;

	require(offset <= file->size && len <= file->size - offset, "reads stay inside the file");
	memcpy(buf, file->data + offset, len);
	return 0;
}

static void check(const struct x86_plan *plan, size_t size)
{
	require(plan->segment_count <= X86_SEGMENTS_MAX, "as many segments as there is room for");
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct x86_segment *s = &plan->segments[i];

		require(s->offset <= size && s->size <= size - s->offset,
			"segments are in the file");
		require(s->size <= s->memory, "a segment has room for its bytes");
		require(s->gpa >= HIGH_RAM_GPA && s->gpa < HOLE_GPA, "segments are in low memory");
		require(s->memory <= plan->end - s->gpa, "segments end before the kernel does");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct file file = {.data = data, .size = size};
	struct vmm_image image = {.read = read_file, .ctx = &file, .size = size};
	struct vmm_mem_region region = {.gpa = 0, .size = MEMORY};
	struct x86_layout layout = {.low_ram = MEMORY};
	struct x86_boot_params params = {.layout = &layout, .cmdline = CMDLINE_GPA};
	struct vmm_error err = {0};
	struct x86_plan plan;
	struct vmm_mem *mem;

	if (vmm_x86_plan(&image, &plan, &err) < 0) {
		require(err.message[0] != '\0', "a refusal has words");
		return 0;
	}
	check(&plan, size);
	require(vmm_mem_create(&mem, &region, 1, &err) == 0, "guest memory");
	if (vmm_x86_load(&image, &plan, mem, &layout, &err) == 0) {
		(void)vmm_x86_load_initrd(&image, &plan, mem, &layout, &params.initrd, &err);
		params.initrd_size = size;
		require((plan.boot == X86_BOOT_PVH
				 ? vmm_x86_pvh_params(mem, &params)
				 : vmm_x86_linux_params(mem, &plan, &params)) == 0,
			"boot data is written");
	}
	vmm_mem_destroy(mem);
	return 0;
}
