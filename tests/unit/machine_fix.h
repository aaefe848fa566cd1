/* SPDX-License-Identifier: MIT */
/* What tests of the layers around the machine need to know of this architecture: machine/ARCH.c. */
#ifndef TESTS_UNIT_MACHINE_FIX_H
#define TESTS_UNIT_MACHINE_FIX_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm/kvm.h"

/* A smallest kernel that this machine boots, which halts: an open file. */
int machine_kernel(void);
/* What vmm_vm_set_kernel says of a file that is no kernel. */
extern const char machine_no_kernel[];
/* How many virtio-mmio devices there can be. */
extern const unsigned machine_virtio_places;

/* Makes an interrupt controller and count vCPUs that wait inside KVM_RUN. stop: before kvm goes. */
void machine_start(struct vmm_kvm *kvm, unsigned count);
void machine_stop(void);
/* Where MSIs go: 64 KiB or more from here. */
extern const uint64_t machine_msi_base;
extern const uint64_t machine_msi_size;
/* The controller whose pins are lines, as vmm_kvm_route_pin wants it. */
extern const unsigned machine_irqchip;
/* Lets an edge at pin interrupt the first vCPU, and says whether one has. */
void machine_wire_pin(struct vmm_kvm *kvm, unsigned pin);
bool machine_pin_waits(struct vmm_kvm *kvm, unsigned pin);
/* Whether a message of this data waits at the first vCPU; false where messages need a guest that
 * sets up their controller (machine_has_messages). */
extern const bool machine_has_messages;
bool machine_message_waits(struct vmm_kvm *kvm, uint32_t data);

#endif
