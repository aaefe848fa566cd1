/* SPDX-License-Identifier: MIT */
/*
 * The aarch64 machine's addresses: devices in the first GiB, RAM from there on. Each device has 64
 * KiB of its own, so that guests with pages of that size can map one and not its neighbour.
 */
#ifndef VMM_MACHINE_AARCH64_LAYOUT_H
#define VMM_MACHINE_AARCH64_LAYOUT_H

#include <stdint.h>

#define KIB(n) (UINT64_C(n) << 10)
#define MIB(n) (UINT64_C(n) << 20)
#define GIB(n) (UINT64_C(n) << 30)

/* GICv3: distributor, translation service, and a pair of frames for each vCPU. */
#define GICD_GPA      MIB(128)
#define GICD_SIZE     KIB(64)
#define ITS_GPA       (GICD_GPA + GICD_SIZE)
#define ITS_SIZE      KIB(128)
#define ITS_MSI_GPA   (ITS_GPA + KIB(64)) /* the frame of GITS_TRANSLATER */
#define ITS_MSI_SIZE  KIB(64)
#define GICR_GPA      (ITS_GPA + ITS_SIZE)
#define GICR_CPU_SIZE KIB(128)

#define UART_GPA  MIB(144)
#define UART_SIZE KIB(4)
#define RTC_GPA   (UART_GPA + KIB(64))
#define RTC_SIZE  KIB(4)

/* virtio-mmio, where there is no PCI: the first of its places, which are 64 KiB apart. */
#define VIRTIO_GPA    MIB(160)
#define VIRTIO_STRIDE KIB(64)
#define VIRTIO_SIZE   KIB(4)
#define VIRTIO_PLACES 30u

#define MMIO32_GPA  MIB(256)
#define MMIO32_SIZE MIB(752)
#define ECAM_GPA    (MMIO32_GPA + MMIO32_SIZE)
#define RAM_GPA     GIB(1)

/* The 64-bit window stands above RAM, at most this large. */
#define MMIO64_SIZE GIB(32)

/* Shared peripheral interrupts: gsi N is pin N of the distributor, interrupt 32 + N. */
#define UART_GSI   0u
#define BUTTON_GSI 1u
#define VIRTIO_GSI 2u  /* and the next VIRTIO_PLACES - 1 */
#define GIC_SPIS   32u /* one register of them; all lines of the machine fit */

/* An initrd must lie within 32 GiB of the kernel, in whole GiB that cover both. */
#define INITRD_WINDOW GIB(32)

/* The device tree stands in the last 2 MiB of what the kernel maps first; it may not be larger. */
#define FDT_ROOM MIB(2)
#define FDT_SIZE KIB(64)

#endif
