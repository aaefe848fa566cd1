/* SPDX-License-Identifier: MIT */
/*
 * What the 64-bit entry of the Linux boot protocol wants to find: paging on with the first 4 GiB
 * mapped one to one, and a descriptor table with __BOOT_CS and __BOOT_DS.
 */
#include "machine/x86_64/x86.h"

#include <errno.h>

#include "machine/x86_64/layout.h"

#define PAGE_SIZE   UINT64_C(4096)
#define ENTRIES     ((size_t)512)
#define PRESENT_RW  UINT64_C(0x03)
#define LARGE_PAGE  UINT64_C(0x80)
#define DIRECTORIES 4u
#define TABLE_PAGES (2u + DIRECTORIES)

int vmm_x86_write_tables(struct vmm_mem *mem)
{
	static const uint64_t gdt[] = {
		0, 0, UINT64_C(0x00af9b000000ffff), /* 0x10: 64-bit code */
		UINT64_C(0x00cf93000000ffff),       /* 0x18: data */
	};
	uint64_t *table = vmm_mem_ptr(mem, PAGE_TABLE_GPA, TABLE_PAGES * PAGE_SIZE, PAGE_SIZE);
	uint64_t *directory_pointers;
	uint64_t *directories;

	if (!table) {
		return -EFAULT;
	}
	directory_pointers = table + ENTRIES;
	directories = table + (size_t)2 * ENTRIES;
	table[0] = (PAGE_TABLE_GPA + PAGE_SIZE) | PRESENT_RW;
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		directory_pointers[i] = (PAGE_TABLE_GPA + (2 + i) * PAGE_SIZE) | PRESENT_RW;
	}
	for (unsigned i = 0; i < DIRECTORIES * ENTRIES; i++) {
		directories[i] = i * MIB(2) | PRESENT_RW | LARGE_PAGE;
	}
	return vmm_mem_write(mem, GDT_GPA, gdt, sizeof(gdt));
}

/*
 * Linux without EFI reboots a hardware-reduced system by jumping to the BIOS in real mode
 * (BOOT_BIOS is what its EFI preference falls back to), not by the reset register that the FADT
 * announces. So this is all the BIOS there is: it writes to that register.
 */
int vmm_x86_write_bios(struct vmm_mem *mem)
{
	static const uint8_t code[BIOS_SIZE] = {
		0xba, PM_PORT & 0xff, PM_PORT >> 8,       /* mov dx, PM_PORT + PM_RESET */
		0xb0, PM_RESET_VALUE,                     /* mov al, PM_RESET_VALUE */
		0xee,                                     /* out dx, al */
		0xfa, 0xf4,           0xeb,         0xfc, /* cli; hlt; jmp to the cli */
	};

	return vmm_mem_write(mem, BIOS_GPA, code, sizeof(code));
}
