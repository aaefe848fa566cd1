/* SPDX-License-Identifier: MIT */
/*
 * bzImage: Linux/x86 boot protocol 2.12 or later, entered through its 64-bit entry point (Linux,
 * Documentation/arch/x86/boot.rst, sections "The Real-Mode Kernel Header" and "64-bit Boot
 * Protocol").
 */
#include "machine/x86_64/x86.h"

#include <errno.h>
#include <string.h>

#include "machine/x86_64/layout.h"

#define SETUP_GPA_OFFSET 0x1f1u /* of the setup header, in file and zero page */
#define SECTOR           512u
#define PROTOCOL_MIN     0x020cu
#define XLF_KERNEL_64    0x0001u
#define ENTRY_64         0x200u

/* Offsets from the start of the file and of the zero page (struct boot_params). */
#define OFF_EXT_RAMDISK_IMAGE 0x0c0u
#define OFF_EXT_RAMDISK_SIZE  0x0c4u
#define OFF_RSDP              0x070u
#define OFF_E820_ENTRIES      0x1e8u
#define OFF_SETUP_SECTS       0x1f1u
#define OFF_SYSSIZE           0x1f4u
#define OFF_VID_MODE          0x1fau
#define OFF_BOOT_FLAG         0x1feu
#define OFF_JUMP_LEN          0x201u
#define OFF_HEADER            0x202u
#define OFF_VERSION           0x206u
#define OFF_LOADER            0x210u
#define OFF_CODE32_START      0x214u
#define OFF_RAMDISK_IMAGE     0x218u
#define OFF_RAMDISK_SIZE      0x21cu
#define OFF_CMDLINE           0x228u
#define OFF_INITRD_MAX        0x22cu
#define OFF_XLOADFLAGS        0x236u
#define OFF_CMDLINE_SIZE      0x238u
#define OFF_PREF_ADDRESS      0x258u
#define OFF_INIT_SIZE         0x260u
#define OFF_SETUP_END         0x264u /* of protocol 2.12 */
#define OFF_E820              0x2d0u
#define ZERO_PAGE_SIZE        4096u

#define LOADER_UNDEFINED 0xffu
#define VID_MODE_NORMAL  0xffffu

/* Little-endian, like the host; the header is not aligned. */
static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* Reads the start of the file up to the end of the setup header, and says whether it is one. */
static int read_header(const struct vmm_image *image, uint8_t *head, size_t len,
		       struct vmm_error *err)
{
	int ret;

	if (image->size < len) {
		return vmm_error_set(
			err, -ENOEXEC,
			"neither an ELF vmlinux nor a bzImage (%llu bytes are too few)",
			(unsigned long long)image->size);
	}
	ret = image->read(image->ctx, 0, head, len);
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot be read");
	}
	if (get16(head + OFF_BOOT_FLAG) != 0xaa55 || memcmp(head + OFF_HEADER, "HdrS", 4) != 0) {
		return vmm_error_set(err, -ENOEXEC,
				     "neither an ELF vmlinux nor a bzImage (no signature of "
				     "either)");
	}
	if (get16(head + OFF_VERSION) < PROTOCOL_MIN) {
		return vmm_error_set(err, -ENOEXEC,
				     "bzImage with boot protocol %u.%u, which must be 2.12 or "
				     "later (Linux 3.8)",
				     head[OFF_VERSION + 1], head[OFF_VERSION]);
	}
	if ((get16(head + OFF_XLOADFLAGS) & XLF_KERNEL_64) == 0) {
		return vmm_error_set(err, -ENOEXEC, "bzImage of a 32-bit kernel");
	}
	return 0;
}

int vmm_x86_plan_bzimage(const struct vmm_image *image, struct x86_plan *plan,
			 struct vmm_error *err)
{
	uint8_t head[SETUP_GPA_OFFSET + sizeof(plan->setup)] = {0};
	struct x86_segment *s = &plan->segments[0];
	uint64_t sectors;
	uint64_t init_size;
	int ret = read_header(image, head, sizeof(head), err);

	if (ret < 0) {
		return ret;
	}
	/* The header's end: the jump at 0x200 leads over it. */
	plan->setup_len = (size_t)head[OFF_JUMP_LEN] + OFF_HEADER - SETUP_GPA_OFFSET;
	if (plan->setup_len < OFF_SETUP_END - SETUP_GPA_OFFSET) {
		return vmm_error_set(err, -ENOEXEC, "bzImage with a broken setup header");
	}
	if (plan->setup_len > sizeof(plan->setup)) {
		plan->setup_len = sizeof(plan->setup);
	}
	memcpy(plan->setup, head + SETUP_GPA_OFFSET, plan->setup_len);

	sectors = head[OFF_SETUP_SECTS] ? head[OFF_SETUP_SECTS] : 4;
	s->offset = (sectors + 1) * SECTOR;
	s->size = (uint64_t)get32(head + OFF_SYSSIZE) * 16;
	s->gpa = get64(head + OFF_PREF_ADDRESS);
	init_size = get32(head + OFF_INIT_SIZE);
	if (s->size == 0 || s->offset > image->size || image->size - s->offset < s->size) {
		return vmm_error_set(err, -ENOEXEC,
				     "bzImage, cut off: %llu bytes of kernel announced, %llu there",
				     (unsigned long long)s->size,
				     (unsigned long long)(image->size > s->offset
								  ? image->size - s->offset
								  : 0));
	}
	if (s->gpa < HIGH_RAM_GPA || s->gpa >= HOLE_GPA) {
		return vmm_error_set(err, -ENOEXEC, "bzImage with an impossible load address");
	}
	s->memory = init_size > s->size ? init_size : s->size;
	plan->segment_count = 1;
	plan->end = s->gpa + s->memory;
	plan->entry = s->gpa + ENTRY_64;
	plan->boot = X86_BOOT_LINUX64;
	plan->initrd_last = get32(head + OFF_INITRD_MAX);
	plan->cmdline_max = get32(head + OFF_CMDLINE_SIZE);
	return 0;
}

int vmm_x86_linux_params(struct vmm_mem *mem, const struct x86_plan *plan,
			 const struct x86_boot_params *params)
{
	uint8_t zero_page[ZERO_PAGE_SIZE] = {0};
	struct x86_map_entry map[X86_MAP_MAX];
	size_t count = vmm_x86_memory_map(params->layout, map);

	memcpy(zero_page + SETUP_GPA_OFFSET, plan->setup, plan->setup_len);
	zero_page[OFF_LOADER] = LOADER_UNDEFINED;
	zero_page[OFF_VID_MODE] = VID_MODE_NORMAL & 0xff;
	zero_page[OFF_VID_MODE + 1] = VID_MODE_NORMAL >> 8;
	put32(zero_page + OFF_CODE32_START, (uint32_t)plan->segments[0].gpa);
	put32(zero_page + OFF_RAMDISK_IMAGE, (uint32_t)params->initrd);
	put32(zero_page + OFF_RAMDISK_SIZE, (uint32_t)params->initrd_size);
	put32(zero_page + OFF_EXT_RAMDISK_IMAGE, (uint32_t)(params->initrd >> 32));
	put32(zero_page + OFF_EXT_RAMDISK_SIZE, (uint32_t)(params->initrd_size >> 32));
	put32(zero_page + OFF_CMDLINE, (uint32_t)params->cmdline);
	put64(zero_page + OFF_RSDP, params->rsdp);
	zero_page[OFF_E820_ENTRIES] = (uint8_t)count;
	for (size_t i = 0; i < count; i++) {
		uint8_t *e = zero_page + OFF_E820 + i * 20; /* packed entries */

		put64(e, map[i].gpa);
		put64(e + 8, map[i].size);
		put32(e + 16, map[i].type);
	}
	return vmm_mem_write(mem, ZERO_PAGE_GPA, zero_page, sizeof(zero_page));
}
