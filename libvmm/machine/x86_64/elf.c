/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels with a PVH note (Xen's x86/HVM direct boot ABI): the entry point is in a note, the
 * kernel starts in 32-bit protected mode with ebx pointing to struct hvm_start_info.
 */
#include "machine/x86_64/x86.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "machine/machine.h"
#include "machine/x86_64/layout.h"

#define PHDRS_MAX      64u
#define NOTES_MAX      KIB(64)
#define NOTE_PVH_ENTRY 18u /* XEN_ELFNOTE_PHYS32_ENTRY */

struct note {
	uint32_t name_len;
	uint32_t desc_len;
	uint32_t type;
};

static bool inside(const struct vmm_image *image, uint64_t offset, uint64_t len)
{
	return offset <= image->size && len <= image->size - offset;
}

static int read_header(const struct vmm_image *image, Elf64_Ehdr *eh, struct vmm_error *err)
{
	int ret;

	if (!inside(image, 0, sizeof(*eh))) {
		return vmm_error_set(err, -ENOEXEC, "ELF file, cut off in its header");
	}
	ret = image->read(image->ctx, 0, eh, sizeof(*eh));
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "cannot be read");
	}
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB ||
	    eh->e_machine != EM_X86_64) {
		return vmm_error_set(err, -ENOEXEC, "ELF file, but not for x86_64");
	}
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phnum > PHDRS_MAX ||
	    !inside(image, eh->e_phoff, eh->e_phnum * sizeof(Elf64_Phdr))) {
		return vmm_error_set(err, -ENOEXEC,
				     "ELF file with a broken or cut-off program header table");
	}
	return 0;
}

static int add_segment(const struct vmm_image *image, const Elf64_Phdr *ph, struct x86_plan *plan,
		       struct vmm_error *err)
{
	struct x86_segment *s = &plan->segments[plan->segment_count];

	if (ph->p_memsz == 0) {
		return 0;
	}
	if (plan->segment_count == X86_SEGMENTS_MAX) {
		return vmm_error_set(err, -ENOEXEC, "ELF file with more than %u segments",
				     X86_SEGMENTS_MAX);
	}
	if (ph->p_filesz > ph->p_memsz || !inside(image, ph->p_offset, ph->p_filesz)) {
		return vmm_error_set(err, -ENOEXEC, "ELF file, cut off: a segment lies outside it");
	}
	if (ph->p_paddr < HIGH_RAM_GPA || ph->p_paddr >= HOLE_GPA ||
	    ph->p_memsz > HOLE_GPA - ph->p_paddr) {
		return vmm_error_set(err, -ENOEXEC,
				     "ELF file with a segment outside the first MiB to 3 GiB of "
				     "memory: not a kernel for this machine");
	}
	*s = (struct x86_segment){
		.offset = ph->p_offset,
		.size = ph->p_filesz,
		.gpa = ph->p_paddr,
		.memory = ph->p_memsz,
	};
	plan->segment_count++;
	if (s->gpa + s->memory > plan->end) {
		plan->end = s->gpa + s->memory;
	}
	return 0;
}

/* Takes the entry point out of a note that has the right type and lengths, if its name is right
 * too.
 */
static int read_entry(const struct vmm_image *image, uint64_t name_at, uint64_t desc_at,
		      uint32_t desc_len, struct x86_plan *plan)
{
	uint64_t entry = 0;
	char name[4];
	int ret = image->read(image->ctx, name_at, name, sizeof(name));

	if (ret == 0) {
		ret = image->read(image->ctx, desc_at, &entry, desc_len);
	}
	if (ret == 0 && memcmp(name, "Xen", sizeof(name)) == 0) {
		plan->entry = entry;
	}
	return ret;
}

/* Looks for the PVH note among the notes of one segment. */
static int scan_notes(const struct vmm_image *image, const Elf64_Phdr *ph, struct x86_plan *plan,
		      struct vmm_error *err)
{
	uint64_t at = ph->p_offset;
	uint64_t left = ph->p_filesz;
	uint64_t align = ph->p_align == 8 ? 8 : 4;

	if (left > NOTES_MAX || !inside(image, at, left)) {
		return 0;
	}
	while (plan->entry == 0 && left >= sizeof(struct note)) {
		struct note n;
		uint64_t desc; /* offset in the note */
		uint64_t size;
		int ret = image->read(image->ctx, at, &n, sizeof(n));

		if (ret < 0) {
			return vmm_error_wrap(err, ret, "cannot be read");
		}
		/* 32-bit lengths: these sums cannot wrap in 64 bits. */
		desc = sizeof(n) + (((uint64_t)n.name_len + align - 1) & ~(align - 1));
		size = desc + (((uint64_t)n.desc_len + align - 1) & ~(align - 1));
		if (desc + n.desc_len > left) {
			return 0;
		}
		if (n.type == NOTE_PVH_ENTRY && n.name_len == 4 &&
		    (n.desc_len == 4 || n.desc_len == 8)) {
			ret = read_entry(image, at + sizeof(n), at + desc, n.desc_len, plan);
		}
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "cannot be read");
		}
		at += size;
		left -= size < left ? size : left;
	}
	return 0;
}

static bool entry_inside(const struct x86_plan *plan)
{
	for (size_t i = 0; i < plan->segment_count; i++) {
		const struct x86_segment *s = &plan->segments[i];

		if (plan->entry >= s->gpa && plan->entry - s->gpa < s->memory) {
			return true;
		}
	}
	return false;
}

int vmm_x86_plan_elf(const struct vmm_image *image, struct x86_plan *plan, struct vmm_error *err)
{
	Elf64_Ehdr eh = {0};
	int ret = read_header(image, &eh, err);

	for (unsigned i = 0; ret == 0 && i < eh.e_phnum; i++) {
		Elf64_Phdr ph;

		ret = image->read(image->ctx, eh.e_phoff + i * sizeof(ph), &ph, sizeof(ph));
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "cannot be read");
		}
		if (ph.p_type == PT_LOAD) {
			ret = add_segment(image, &ph, plan, err);
		} else if (ph.p_type == PT_NOTE) {
			ret = scan_notes(image, &ph, plan, err);
		}
	}
	if (ret < 0) {
		return ret;
	}
	if (plan->entry == 0) {
		return vmm_error_set(err, -ENOEXEC,
				     "ELF file without a PVH entry note (a Linux kernel needs "
				     "CONFIG_PVH)");
	}
	if (!entry_inside(plan)) {
		return vmm_error_set(err, -ENOEXEC,
				     "ELF file whose PVH entry lies outside its segments");
	}
	plan->boot = X86_BOOT_PVH;
	plan->initrd_last = HOLE_GPA - 1;
	plan->cmdline_max = VMM_MACHINE_CMDLINE_MAX;
	return 0;
}

/* ---- start info (xen/include/public/arch-x86/hvm/start_info.h) ---- */

#define START_MAGIC   0x336ec578u
#define START_VERSION 1u

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct module {
	uint64_t gpa;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct memmap_entry {
	uint64_t gpa;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

int vmm_x86_pvh_params(struct vmm_mem *mem, const struct x86_boot_params *params)
{
	struct {
		struct start_info info;
		struct module initrd;
		struct memmap_entry map[X86_MAP_MAX];
	} start = {0};
	struct x86_map_entry map[X86_MAP_MAX];
	size_t count = vmm_x86_memory_map(params->layout, map);

	for (size_t i = 0; i < count; i++) {
		start.map[i].gpa = map[i].gpa;
		start.map[i].size = map[i].size;
		start.map[i].type = map[i].type;
	}
	start.initrd.gpa = params->initrd;
	start.initrd.size = params->initrd_size;
	start.info.magic = START_MAGIC;
	start.info.version = START_VERSION;
	start.info.cmdline = params->cmdline;
	start.info.rsdp = params->rsdp;
	start.info.memmap = START_INFO_GPA + sizeof(start.info) + sizeof(start.initrd);
	start.info.memmap_entries = (uint32_t)count;
	if (params->initrd_size > 0) {
		start.info.nr_modules = 1;
		start.info.modlist = START_INFO_GPA + sizeof(start.info);
	}
	return vmm_mem_write(mem, START_INFO_GPA, &start, sizeof(start));
}
