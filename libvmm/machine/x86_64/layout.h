/* SPDX-License-Identifier: MIT */
/* The x86_64 machine's addresses. */
#ifndef VMM_MACHINE_X86_64_LAYOUT_H
#define VMM_MACHINE_X86_64_LAYOUT_H

#include <stdint.h>

#define KIB(n) (UINT64_C(n) << 10)
#define MIB(n) (UINT64_C(n) << 20)
#define GIB(n) (UINT64_C(n) << 30)

/*
 * The first MiB: boot data for the kernel's first moments in what the memory map calls usable, and
 * the tables of ACPI and of the MultiProcessor Specification in what it calls reserved.
 */
#define GDT_GPA        UINT64_C(0x500)
#define START_INFO_GPA UINT64_C(0x6000) /* PVH: start info, module list, memory map */
#define ZERO_PAGE_GPA  UINT64_C(0x7000) /* bzImage: struct boot_params */
#define PAGE_TABLE_GPA UINT64_C(0x9000) /* bzImage: six pages */
#define CMDLINE_GPA    UINT64_C(0x20000)
#define LOW_RAM_END    UINT64_C(0x9fc00)
#define LOW_HOLE_GPA   UINT64_C(0xa0000)
#define ACPI_GPA       UINT64_C(0xe0000)
#define ACPI_SIZE      UINT64_C(0x10000)
#define MPTABLE_GPA    UINT64_C(0xf0000) /* from here on systems look for it */
#define MPTABLE_SIZE   UINT64_C(0x1000)
#define BIOS_GPA       UINT64_C(0xffff0) /* where a PC's BIOS starts: see boot.c */
#define BIOS_SIZE      UINT64_C(0x10)
#define HIGH_RAM_GPA   MIB(1) /* kernels load from here on */

/* RAM below 4 GiB ends here at the latest; the rest of it is at 4 GiB. */
#define HOLE_GPA    GIB(3)
#define HOLE_END    GIB(4)
#define MMIO32_GPA  HOLE_GPA
#define MMIO32_SIZE MIB(512)
#define ECAM_GPA    (MMIO32_GPA + MMIO32_SIZE)
#define IOAPIC_GPA  UINT64_C(0xfec00000)
#define IOAPIC_SIZE UINT64_C(0x1000)
#define LAPIC_GPA   UINT64_C(0xfee00000)
#define MSI_SIZE    MIB(1) /* from LAPIC_GPA on */
/*
 * virtio-mmio, where there is no PCI: a page for each device, of which the first is the lowest,
 * and a line of the IOAPIC (vmm_x86_virtio_gsi).
 */
#define VIRTIO_GPA    UINT64_C(0xfeb00000)
#define VIRTIO_SIZE   KIB(4)
#define VIRTIO_PLACES 16u
/* Four pages that KVM needs on Intel hosts to run real mode. */
#define IDENTITY_MAP_GPA UINT64_C(0xfffbc000)
#define TSS_GPA          UINT64_C(0xfffbd000)

/* The 64-bit window stands above RAM, at most this large. */
#define MMIO64_SIZE GIB(32)

/* Ports and interrupt lines. */
#define COM1_PORT   0x3f8u
#define COM1_SIZE   8u
#define COM1_GSI    4u
#define KBD_PORT    0x64u /* only its reset command */
#define PM_PORT     0x600u
#define PM_RESET    0u /* write PM_RESET_VALUE */
#define PM_SLEEP    1u /* ACPI sleep control register (6.4 section 4.8.3.7) */
#define PM_WAKE     2u /* ACPI sleep status register */
#define PM_EVENTS   4u /* read: what happened since the last read */
#define PM_SIZE     8u
#define PM_GSI      5u
#define IOAPIC_PINS 24u

#define PM_RESET_VALUE   0x01u
#define PM_EVENT_BUTTON  0x01u
#define PM_SLEEP_ENABLE  0x20u
#define PM_SLEEP_TYPE(v) (((v) >> 2) & 7u)
#define PM_SLEEP_S5      5u

#endif
