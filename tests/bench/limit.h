/* SPDX-License-Identifier: MIT */
#ifndef TESTS_BENCH_LIMIT_H
#define TESTS_BENCH_LIMIT_H

#include <linux/kvm.h>
#include <stdint.h>

/* The one device: a disk of a file ("blk") or a card on a tap ("net"), by virtio-mmio. */
#define LIMIT_MMIO 0xfeb00000u

/* Opens path and starts a thread that looks at the device's queues for ever. */
void device_start(uint8_t *memory, const char *kind, const char *path);
/* The vCPU's access to its registers. */
void device_access(struct kvm_run *run);

#endif
