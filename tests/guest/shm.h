/* SPDX-License-Identifier: MIT */
/*
 * A device with shared memory: what its two sides have agreed on, the payload's (shm.c) and the
 * device's own (shmdev.c).
 */
#ifndef TESTS_GUEST_SHM_H
#define TESTS_GUEST_SHM_H

#include <stdint.h>

#define SHM_ID     1u
#define SHM_LENGTH (UINT64_C(8) << 30)
#define SHM_PAGE   4096ul

/* What is mapped where. */
#define SHM_FIRST     0ul
#define SHM_HOLE      0x1000ul
#define SHM_READ_ONLY 0x2000ul
#define SHM_LAST      (SHM_LENGTH - SHM_PAGE)

#define SHM_ANSWER 0x616e73776572ul
#define SHM_RAM    0x2000000ul /* RAM, where nothing else is */

struct acpi;

void shm_pci(const struct acpi *acpi, const char *what);
void shm_ring(const struct acpi *acpi);
void shm_mmio(void);

#endif
