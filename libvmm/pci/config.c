/* SPDX-License-Identifier: MIT */
#include "pci/function.h"

#include <errno.h>
#include <string.h>

#include "pci/msix.h"

#define CAP_FIRST       0x40u
#define BAR_TYPE_64     0x4u
#define BAR_PREFETCH    0x8u
#define BAR_FLAGS       0xfu
#define MSIX_CAP_LEN    12u
#define MSIX_CONTROL    2u /* offset in the capability */
#define MSIX_TABLE      4u
#define MSIX_PBA        8u
#define MSIX_CONTROL_RW 0xc000u /* enable, function mask */

void vmm_pci_function_set8(struct vmm_pci_function *fn, unsigned offset, uint8_t value)
{
	fn->config[offset] = value;
}

void vmm_pci_function_set16(struct vmm_pci_function *fn, unsigned offset, uint16_t value)
{
	fn->config[offset] = (uint8_t)value;
	fn->config[offset + 1] = (uint8_t)(value >> 8);
}

void vmm_pci_function_set32(struct vmm_pci_function *fn, unsigned offset, uint32_t value)
{
	vmm_pci_function_set16(fn, offset, (uint16_t)value);
	vmm_pci_function_set16(fn, offset + 2, (uint16_t)(value >> 16));
}

uint16_t vmm_pci_function_get16(const struct vmm_pci_function *fn, unsigned offset)
{
	return (uint16_t)(fn->config[offset] | (fn->config[offset + 1] << 8));
}

uint32_t vmm_pci_function_get32(const struct vmm_pci_function *fn, unsigned offset)
{
	return vmm_pci_function_get16(fn, offset) |
	       ((uint32_t)vmm_pci_function_get16(fn, offset + 2) << 16);
}

static void allow_writes(struct vmm_pci_function *fn, unsigned offset, unsigned len, uint32_t mask)
{
	for (unsigned i = 0; i < len; i++) {
		fn->writable[offset + i] = (uint8_t)(mask >> (8 * i));
	}
}

void vmm_pci_function_init(struct vmm_pci_function *fn, const struct vmm_pci_function_ops *ops,
			   const struct vmm_pci_ids *ids)
{
	memset(fn, 0, sizeof(*fn));
	fn->ops = ops;
	fn->cap_end = CAP_FIRST;
	fn->cap_link = VMM_PCI_REG_CAPABILITIES;
	vmm_pci_function_set16(fn, VMM_PCI_REG_VENDOR, ids->vendor);
	vmm_pci_function_set16(fn, VMM_PCI_REG_DEVICE, ids->device);
	vmm_pci_function_set32(fn, VMM_PCI_REG_REVISION, (ids->class_code << 8) | ids->revision);
	vmm_pci_function_set16(fn, VMM_PCI_REG_SUBSYSTEM_VENDOR, ids->subsystem_vendor);
	vmm_pci_function_set16(fn, VMM_PCI_REG_SUBSYSTEM, ids->subsystem);
	/*
	 * The status register has bits that a 1 clears, but none of them is ever set here: there is
	 * no parity and no abort to report. So all of it is read-only.
	 */
	allow_writes(fn, VMM_PCI_REG_COMMAND, 2,
		     VMM_PCI_COMMAND_MEMORY | VMM_PCI_COMMAND_BUS_MASTER |
			     VMM_PCI_COMMAND_INTX_DISABLE);
}

int vmm_pci_function_add_bar(struct vmm_pci_function *fn, unsigned index, uint64_t size, bool is_64,
			     bool prefetchable)
{
	unsigned reg = VMM_PCI_REG_BAR0 + 4 * index;
	uint64_t mask = ~(size - 1);

	if (index >= VMM_PCI_BARS - (is_64 ? 1u : 0u) || size < 4096 || (size & (size - 1)) != 0 ||
	    (!is_64 && size > UINT64_C(0x80000000)) || fn->bars[index].size != 0 ||
	    fn->writable[reg + 3] != 0 || (is_64 && fn->bars[index + 1].size != 0)) {
		return -EINVAL;
	}
	fn->bars[index].size = size;
	fn->bars[index].is_64 = is_64;
	fn->bars[index].prefetchable = prefetchable;
	vmm_pci_function_set32(fn, reg,
			       (is_64 ? BAR_TYPE_64 : 0) | (prefetchable ? BAR_PREFETCH : 0));
	allow_writes(fn, reg, 4, (uint32_t)mask);
	if (is_64) {
		allow_writes(fn, reg + 4, 4, (uint32_t)(mask >> 32));
	}
	return 0;
}

unsigned vmm_pci_function_add_cap(struct vmm_pci_function *fn, uint8_t id, unsigned len)
{
	unsigned at = fn->cap_end;

	if (len > VMM_PCI_CONFIG_USED - at) {
		return 0;
	}
	/* Capabilities start at multiples of 4 (PCI 3.0 section 6.7). */
	fn->cap_end = (at + len + 3) & ~3u;
	fn->config[fn->cap_link] = (uint8_t)at;
	fn->config[at] = id;
	fn->cap_link = at + 1;
	vmm_pci_function_set16(fn, VMM_PCI_REG_STATUS, VMM_PCI_STATUS_CAPABILITIES);
	return at;
}

int vmm_pci_function_add_msix(struct vmm_pci_function *fn, struct vmm_pci_msix *msix, unsigned bar,
			      uint32_t table, uint32_t pba)
{
	unsigned at = vmm_pci_function_add_cap(fn, VMM_PCI_CAP_MSIX, MSIX_CAP_LEN);

	if (at == 0) {
		return -ENOSPC;
	}
	/* The field holds the number of vectors less one. */
	vmm_pci_function_set16(fn, at + MSIX_CONTROL, (uint16_t)(vmm_pci_msix_count(msix) - 1));
	vmm_pci_function_set32(fn, at + MSIX_TABLE, table | bar);
	vmm_pci_function_set32(fn, at + MSIX_PBA, pba | bar);
	allow_writes(fn, at + MSIX_CONTROL, 2, MSIX_CONTROL_RW);
	fn->msix = msix;
	fn->msix_cap = at;
	return 0;
}

/* ---- BARs ---- */

static uint64_t bar_address(const struct vmm_pci_function *fn, unsigned index)
{
	unsigned reg = VMM_PCI_REG_BAR0 + 4 * index;
	uint64_t address = vmm_pci_function_get32(fn, reg) & ~BAR_FLAGS;

	if (fn->bars[index].is_64) {
		address |= (uint64_t)vmm_pci_function_get32(fn, reg + 4) << 32;
	}
	return address;
}

static void set_bar_address(struct vmm_pci_function *fn, unsigned index, uint64_t address)
{
	unsigned reg = VMM_PCI_REG_BAR0 + 4 * index;
	uint32_t flags = vmm_pci_function_get32(fn, reg) & BAR_FLAGS;

	vmm_pci_function_set32(fn, reg, (uint32_t)address | flags);
	if (fn->bars[index].is_64) {
		vmm_pci_function_set32(fn, reg + 4, (uint32_t)(address >> 32));
	}
}

static void move_bar(struct vmm_pci_function *fn, unsigned index, bool mapped, uint64_t gpa)
{
	struct vmm_pci_bar *bar = &fn->bars[index];

	if (bar->mapped == mapped && (!mapped || bar->gpa == gpa)) {
		return;
	}
	if (bar->mapped && fn->ops->bar_mapped) {
		fn->ops->bar_mapped(fn, index, bar->gpa, false);
	}
	bar->mapped = mapped;
	bar->gpa = gpa;
	if (mapped && fn->ops->bar_mapped) {
		fn->ops->bar_mapped(fn, index, gpa, true);
	}
}

/*
 * Follows the command register and the BARs. An address outside the windows decodes nowhere: a
 * driver sizing a BAR with decoding on, or pointing it at RAM, must not disturb anything. A BAR
 * that another one is in the way of decodes when its own function's registers are written next.
 */
static void update_bars(struct vmm_pci_function *fn)
{
	bool decode =
		(vmm_pci_function_get16(fn, VMM_PCI_REG_COMMAND) & VMM_PCI_COMMAND_MEMORY) != 0;

	for (unsigned i = 0; i < VMM_PCI_BARS; i++) {
		const struct vmm_pci_bar *bar = &fn->bars[i];
		uint64_t gpa;

		if (bar->size == 0) {
			continue;
		}
		gpa = bar_address(fn, i);
		move_bar(fn, i, decode && vmm_pci_host_may_decode(fn->host, bar, gpa), gpa);
	}
}

void vmm_pci_config_unmap(struct vmm_pci_function *fn)
{
	for (unsigned i = 0; i < VMM_PCI_BARS; i++) {
		move_bar(fn, i, false, 0);
	}
}

/* ---- access ---- */

static void update_msix(struct vmm_pci_function *fn)
{
	if (fn->msix) {
		uint16_t control = vmm_pci_function_get16(fn, fn->msix_cap + MSIX_CONTROL);

		vmm_pci_msix_set_control(fn->msix, (control & 0x8000u) != 0,
					 (control & 0x4000u) != 0);
	}
}

uint32_t vmm_pci_config_load(const struct vmm_pci_function *fn, unsigned offset, unsigned len)
{
	uint32_t value = 0;

	if (offset >= VMM_PCI_CONFIG_USED) {
		return 0;
	}
	for (unsigned i = 0; i < len; i++) {
		value |= (uint32_t)fn->config[offset + i] << (8 * i);
	}
	return value;
}

static bool overlaps(unsigned offset, unsigned len, unsigned start, unsigned end)
{
	return offset < end && offset + len > start;
}

void vmm_pci_config_store(struct vmm_pci_function *fn, unsigned offset, unsigned len,
			  uint32_t value)
{
	if (offset >= VMM_PCI_CONFIG_USED) {
		return;
	}
	for (unsigned i = 0; i < len; i++) {
		uint8_t mask = fn->writable[offset + i];
		uint8_t byte = (uint8_t)(value >> (8 * i));

		fn->config[offset + i] =
			(uint8_t)((fn->config[offset + i] & ~mask) | (byte & mask));
	}
	if (overlaps(offset, len, VMM_PCI_REG_COMMAND, VMM_PCI_REG_COMMAND + 2) ||
	    overlaps(offset, len, VMM_PCI_REG_BAR0, VMM_PCI_REG_BAR0 + 4 * VMM_PCI_BARS)) {
		update_bars(fn);
	}
	if (fn->msix &&
	    overlaps(offset, len, fn->msix_cap + MSIX_CONTROL, fn->msix_cap + MSIX_CONTROL + 2)) {
		update_msix(fn);
	}
}

void vmm_pci_config_reset(struct vmm_pci_function *fn)
{
	for (unsigned i = 0; i < VMM_PCI_BARS; i++) {
		if (fn->bars[i].size != 0) {
			set_bar_address(fn, i, fn->bars[i].assigned);
		}
	}
	for (unsigned i = 0; i < VMM_PCI_CONFIG_USED; i++) {
		bool is_bar = i >= VMM_PCI_REG_BAR0 && i < VMM_PCI_REG_BAR0 + 4 * VMM_PCI_BARS;

		if (!is_bar) {
			fn->config[i] = fn->power_on[i];
		}
	}
	if (fn->msix) {
		vmm_pci_msix_reset(fn->msix);
	}
	update_bars(fn);
}
