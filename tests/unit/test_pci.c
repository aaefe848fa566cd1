/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "test_pci_fix.h"

/* A function with a 64-bit BAR 0 and a 32-bit BAR 2, whose registers remember the last access. */
struct probe {
	struct vmm_pci_function fn;
	unsigned bar;
	uint64_t offset;
	unsigned len;
	uint64_t value;
	unsigned calls;
	unsigned maps;
	unsigned unmaps;
	unsigned resets;
};

#define PROBE_BAR0  UINT64_C(0x8000)
#define PROBE_BAR2  UINT64_C(0x1000)
#define PROBE_VALUE UINT64_C(0x1122334455667788)
#define ONES(len)   ((uint64_t)-1 >> (64 - 8 * (len)))

static void note(struct vmm_pci_function *fn, unsigned bar, uint64_t offset, unsigned len)
{
	struct probe *p = (struct probe *)fn;

	p->bar = bar;
	p->offset = offset;
	p->len = len;
	p->calls++;
}

static uint64_t probe_read(struct vmm_pci_function *fn, unsigned bar, uint64_t offset, unsigned len)
{
	note(fn, bar, offset, len);
	return PROBE_VALUE;
}

static void probe_write(struct vmm_pci_function *fn, unsigned bar, uint64_t offset, unsigned len,
			uint64_t value)
{
	note(fn, bar, offset, len);
	((struct probe *)fn)->value = value;
}

static void probe_mapped(struct vmm_pci_function *fn, unsigned bar, uint64_t gpa, bool mapped)
{
	struct probe *p = (struct probe *)fn;

	(void)bar;
	(void)gpa;
	p->maps += mapped;
	p->unmaps += !mapped;
}

static void probe_reset(struct vmm_pci_function *fn)
{
	((struct probe *)fn)->resets++;
}

static void probe_destroy(struct vmm_pci_function *fn)
{
	free(fn);
}

static const struct vmm_pci_function_ops probe_ops = {
	.bar = {.read = probe_read, .write = probe_write},
	.bar_mapped = probe_mapped,
	.reset = probe_reset,
	.destroy = probe_destroy,
};

static const struct vmm_pci_ids probe_ids = {
	.vendor = 0x1234,
	.device = 0x5678,
	.subsystem_vendor = 0x9abc,
	.subsystem = 0xdef0,
	.class_code = 0x123456,
	.revision = 0x78,
};

static struct probe *new_probe(void)
{
	struct probe *p = calloc(1, sizeof(*p));

	ck_assert_ptr_nonnull(p);
	vmm_pci_function_init(&p->fn, &probe_ops, &probe_ids);
	return p;
}

static struct probe *add_probe(struct pcifix *fix)
{
	struct probe *p = new_probe();

	ck_assert_int_eq(vmm_pci_function_add_bar(&p->fn, 0, PROBE_BAR0, true, true), 0);
	ck_assert_int_eq(vmm_pci_function_add_bar(&p->fn, 2, PROBE_BAR2, false, false), 0);
	ck_assert_int_eq(vmm_pci_host_place(fix->host, &p->fn, NULL), 0);
	vmm_pci_host_add(fix->host, &p->fn);
	return p;
}

/* ---- host ---- */

static int try_create(uint64_t ecam, struct vmm_pci_window mmio32, struct vmm_pci_window mmio64)
{
	struct vmm_pci_host_config config = {
		.ecam_base = ecam,
		.mmio32 = mmio32,
		.mmio64 = mmio64,
	};
	struct vmm_error err = {0};
	struct vmm_pci_host *host;
	int ret;

	ck_assert_int_eq(vmm_bus_create(&config.mmio), 0);
	ret = vmm_pci_host_create(&host, &config, &err);
	ck_assert_int_eq(err.code, ret);
	ck_assert_int_eq(err.message[0] == '\0', ret == 0);
	ck_assert_int_eq(host == NULL, ret != 0);
	vmm_pci_host_destroy(host);
	vmm_bus_destroy(config.mmio);
	return ret;
}

START_TEST(host_create_bad_ranges_are_refused)
{
	const struct vmm_pci_window none = {0};
	const struct vmm_pci_window low = {.base = FIX_MMIO32, .size = FIX_WINDOW};
	const struct vmm_pci_window high = {.base = FIX_MMIO64, .size = FIX_WINDOW};
	const struct vmm_pci_window at_zero = {.base = 0, .size = FIX_WINDOW};
	const struct vmm_pci_window across = {.base = 0xfff00000, .size = 0x200000};
	const struct vmm_pci_window wraps = {.base = FIX_MMIO64, .size = UINT64_MAX};
	const struct vmm_pci_window huge = {.base = UINT64_MAX, .size = 1};
	const struct vmm_pci_window on_ecam = {.base = FIX_ECAM + 0x80000, .size = FIX_WINDOW};

	ck_assert_int_eq(try_create(FIX_ECAM, low, high), 0);
	ck_assert_int_eq(try_create(FIX_ECAM, low, none), 0);
	ck_assert_int_eq(try_create(FIX_ECAM, none, high), 0);
	ck_assert_int_eq(try_create(FIX_ECAM + 0x1000, low, high), -EINVAL);
	ck_assert_int_eq(try_create(FIX_ECAM, at_zero, high), -EINVAL);
	ck_assert_int_eq(try_create(FIX_ECAM, across, high), -EINVAL);
	ck_assert_int_eq(try_create(FIX_ECAM, huge, high), -EINVAL);
	ck_assert_int_eq(try_create(FIX_ECAM, low, low), -EINVAL);
	ck_assert_int_eq(try_create(FIX_ECAM, low, wraps), -EINVAL);
	ck_assert_int_eq(try_create(FIX_ECAM, on_ecam, high), -EEXIST);
	vmm_pci_host_destroy(NULL);
}
END_TEST

START_TEST(host_bridge_is_found_by_ecam_and_by_ports)
{
	struct pcifix fix;

	pcifix_init(&fix, true);
	ck_assert_uint_eq(pcifix_config_read(&fix, 0, 0, 4), 0x0d578086);
	ck_assert_uint_eq(pcifix_config_read(&fix, 0, 0x0a, 2), 0x0600);
	ck_assert_uint_eq(pcifix_config_read(&fix, 0, 0x0e, 1), 0); /* type 0, one function */
	/* Nothing else on the bus, in no function, and no wrap-around at its end. */
	for (unsigned devfn = 1; devfn < 256; devfn++) {
		ck_assert_uint_eq(pcifix_read(&fix, FIX_ECAM + devfn * UINT64_C(0x1000), 4),
				  0xffffffff);
	}
	ck_assert_ptr_null(vmm_pci_host_function(fix.host, VMM_PCI_SLOTS));
	/* How Linux looks for configuration mechanism 1. */
	pcifix_out(&fix, 0xcfb, 1, 1);
	pcifix_out(&fix, 0xcf8, 4, 0x80000000);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcf8, 4), 0x80000000);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 2), 0x8086);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfe, 2), 0x0d57);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcff, 1), 0x0d);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 4), 0x0d578086);
	pcifix_finish(&fix);
}
END_TEST

START_TEST(host_ports_decode_address_and_widths)
{
	struct pcifix fix;

	pcifix_init(&fix, true);
	(void)add_probe(&fix);
	/* Only a write of 4 bytes reaches the address register, and only its decoded bits stay. */
	pcifix_out(&fix, 0xcf8, 4, 0xffffffff);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcf8, 4), 0x80fffffc);
	pcifix_out(&fix, 0xcf8, 2, 0);
	pcifix_out(&fix, 0xcf9, 1, 6);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcf8, 4), 0x80fffffc);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcf8, 2), 0xffff);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcf9, 1), 0xff);
	/* Slot 1: data ports of all widths; misaligned ones read all ones and write nothing. */
	pcifix_out(&fix, 0xcf8, 4, 0x80000800 | 0x2c);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 4), 0xdef09abc);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfd, 1), 0x9a);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfd, 2), 0xffff);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfd, 4), 0xffffffff);
	pcifix_out(&fix, 0xcf8, 4, 0x80000800 | 0x04);
	pcifix_out(&fix, 0xcfd, 2, 0xffff);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 2), 0x0002);
	pcifix_out(&fix, 0xcfd, 1, 0xff);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 2), 0x0402);
	/* Without the enable bit, on another bus or function, nothing answers. */
	pcifix_out(&fix, 0xcf8, 4, 0x00000800);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 4), 0xffffffff);
	pcifix_out(&fix, 0xcfc, 4, 0);
	pcifix_out(&fix, 0xcf8, 4, 0x80010800);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 4), 0xffffffff);
	pcifix_out(&fix, 0xcf8, 4, 0x80000900);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 4), 0xffffffff);
	pcifix_out(&fix, 0xcf8, 4, 0x80000804);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcfc, 2), 0x0402);
	vmm_pci_host_reset(fix.host);
	ck_assert_uint_eq(pcifix_in(&fix, 0xcf8, 4), 0);
	pcifix_finish(&fix);
}
END_TEST

START_TEST(host_place_full_bus_or_window_changes_nothing)
{
	struct probe *big = new_probe();
	struct vmm_error err = {0};
	struct probe *p = NULL;
	struct pcifix fix;

	pcifix_init(&fix, true);
	ck_assert_int_eq(vmm_pci_function_add_bar(&big->fn, 0, FIX_ALIGNED, true, true), 0);
	ck_assert_int_eq(vmm_pci_function_add_bar(&big->fn, 2, 2 * FIX_ALIGNED, false, false), 0);
	ck_assert_int_eq(vmm_pci_host_place(fix.host, &big->fn, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.message, "no room"));
	free(big);
	for (unsigned slot = 1; slot < VMM_PCI_SLOTS; slot++) {
		p = add_probe(&fix);
		ck_assert_uint_eq(p->fn.slot, slot);
	}
	/* Addresses are aligned and follow one another; the windows still have room. */
	ck_assert_uint_eq(pcifix_bar(&fix, 1, 0), FIX_MMIO64);
	ck_assert_uint_eq(pcifix_bar(&fix, 31, 0), FIX_MMIO64 + 30 * PROBE_BAR0);
	ck_assert_uint_eq(pcifix_bar(&fix, 31, 2), FIX_MMIO32 + 30 * PROBE_BAR2);
	p = new_probe();
	ck_assert_int_eq(vmm_pci_host_place(fix.host, &p->fn, &err), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.message, "slots"));
	free(p);
	pcifix_finish(&fix);
}
END_TEST

START_TEST(host_place_takes_the_lower_window_when_there_is_no_other)
{
	struct pcifix fix;
	struct probe *p;

	pcifix_init(&fix, false);
	(void)add_probe(&fix);
	ck_assert_uint_eq(pcifix_bar(&fix, 1, 0), FIX_MMIO32);
	ck_assert_uint_eq(pcifix_bar(&fix, 1, 2), FIX_MMIO32 + PROBE_BAR0);
	/* The next one is aligned to its size, behind a gap. */
	p = add_probe(&fix);
	ck_assert_uint_eq(pcifix_bar(&fix, 2, 0), FIX_MMIO32 + 2 * PROBE_BAR0);
	(void)pcifix_read(&fix, FIX_MMIO32 + 2 * PROBE_BAR0 + 8, 4);
	ck_assert_uint_eq(p->calls, 1);
	pcifix_finish(&fix);
}
END_TEST

START_TEST(function_add_bar_bad_places_and_sizes_are_refused)
{
	struct probe *p = new_probe();
	struct vmm_pci_function *fn = &p->fn;

	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 6, 0x1000, false, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 5, 0x1000, true, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 0, 0, false, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 0, 0x800, false, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 0, 0x1800, false, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 0, UINT64_C(1) << 32, false, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 1, 0x1000, true, false), 0);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 0, 0x1000, true, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 1, 0x1000, false, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 2, 0x1000, false, false), -EINVAL);
	ck_assert_int_eq(vmm_pci_function_add_bar(fn, 5, 0x1000, false, false), 0);
	/* Capabilities are chained, aligned and end with the room for them. */
	ck_assert_uint_eq(vmm_pci_function_add_cap(fn, 9, 13), 0x40);
	ck_assert_uint_eq(vmm_pci_function_add_cap(fn, 9, 0xb0), 0x50);
	ck_assert_uint_eq(vmm_pci_function_add_cap(fn, 9, 4), 0);
	ck_assert_uint_eq(fn->config[0x34], 0x40);
	ck_assert_uint_eq(fn->config[0x41], 0x50);
	ck_assert_uint_eq(fn->config[0x51], 0);
	free(p);
}
END_TEST

/* ---- configuration space ---- */

/* What a driver may change in the probe's configuration space, by the specification. */
static uint8_t expected_mask(unsigned offset)
{
	static const uint8_t low[] = {
		[0x04] = 0x06, [0x05] = 0x04,                /* memory, bus master, INTx disable */
		[0x11] = 0x80, [0x12] = 0xff, [0x13] = 0xff, /* BAR 0: 32 KiB */
		[0x14] = 0xff, [0x15] = 0xff, [0x16] = 0xff, [0x17] = 0xff,
		[0x19] = 0xf0, [0x1a] = 0xff, [0x1b] = 0xff, /* BAR 2: 4 KiB */
	};

	return offset < sizeof(low) ? low[offset] : 0;
}

START_TEST(config_every_byte_only_writable_bits_change)
{
	uint8_t before[VMM_PCI_CONFIG_SIZE];
	struct pcifix fix;

	pcifix_init(&fix, true);
	(void)add_probe(&fix);
	for (unsigned i = 0; i < VMM_PCI_CONFIG_SIZE; i++) {
		before[i] = (uint8_t)pcifix_config_read(&fix, 1, i, 1);
	}
	for (unsigned len = 1; len <= 4; len *= 2) {
		for (unsigned i = 0; i < VMM_PCI_CONFIG_SIZE; i += len) {
			pcifix_config_write(&fix, 1, i, len, 0xffffffff);
			for (unsigned k = i; k < i + len; k++) {
				ck_assert_uint_eq(pcifix_config_read(&fix, 1, k, 1),
						  before[k] | expected_mask(k));
			}
			pcifix_config_write(&fix, 1, i, len, 0);
			for (unsigned k = i; k < i + len; k++) {
				ck_assert_uint_eq(pcifix_config_read(&fix, 1, k, 1),
						  before[k] & ~(unsigned)expected_mask(k));
			}
		}
	}
	/* The bridge has no BAR: nothing but the command register. */
	for (unsigned i = 0; i < VMM_PCI_CONFIG_SIZE; i++) {
		uint32_t was = pcifix_config_read(&fix, 0, i, 1);

		pcifix_config_write(&fix, 0, i, 1, ~was & 0xff);
		if (i != 0x04 && i != 0x05) {
			ck_assert_uint_eq(pcifix_config_read(&fix, 0, i, 1), was);
		}
	}
	pcifix_finish(&fix);
}
END_TEST

START_TEST(config_malformed_access_reads_ones_and_writes_nothing)
{
	static const unsigned lens[] = {2, 3, 4, 5, 8, 16};
	struct pcifix fix;

	pcifix_init(&fix, true);
	(void)add_probe(&fix);
	ck_assert_uint_eq(pcifix_read(&fix, FIX_ECAM + 0x8000, 8), UINT64_MAX);
	pcifix_write(&fix, FIX_ECAM + 0x8000, 8, 0);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (unsigned at = 0; at < 4; at++) {
			uint64_t gpa = FIX_ECAM + 0x8000 + 0x04 + at;
			uint64_t value = 0;
			bool legal = (lens[i] == 2 || lens[i] == 4) && at % lens[i] == 0;

			if (!legal) {
				(void)vmm_bus_read(fix.mmio, gpa, lens[i], &value);
				ck_assert_uint_eq(value & 0xff, 0xff);
				(void)vmm_bus_write(fix.mmio, gpa, lens[i], 0);
			}
		}
	}
	ck_assert_uint_eq(pcifix_config_read(&fix, 1, 4, 2), 0x0002);
	/* Across two functions, and past the end of the bus. */
	ck_assert_uint_eq(pcifix_read(&fix, FIX_ECAM + 0x8ffe, 4), 0xffffffff);
	ck_assert_uint_eq(pcifix_read(&fix, FIX_ECAM + VMM_PCI_ECAM_SIZE - 2, 4), 0xffffffff);
	pcifix_finish(&fix);
}
END_TEST

/* ---- BARs ---- */

START_TEST(bar_sizing_gives_the_size_and_disturbs_nothing)
{
	struct pcifix fix;
	struct probe *p;

	pcifix_init(&fix, true);
	p = add_probe(&fix);
	/* As Linux does it, with decoding off. */
	pcifix_config_write(&fix, 1, 4, 2, 0);
	pcifix_config_write(&fix, 1, 0x10, 4, 0xffffffff);
	ck_assert_uint_eq(pcifix_config_read(&fix, 1, 0x10, 4), 0xffff800c);
	pcifix_config_write(&fix, 1, 0x14, 4, 0xffffffff);
	ck_assert_uint_eq(pcifix_config_read(&fix, 1, 0x14, 4), 0xffffffff);
	pcifix_config_write(&fix, 1, 0x18, 4, 0xffffffff);
	ck_assert_uint_eq(pcifix_config_read(&fix, 1, 0x18, 4), 0xfffff000);
	for (unsigned bar = 3; bar < 6; bar++) {
		pcifix_config_write(&fix, 1, 0x10 + 4 * bar, 4, 0xffffffff);
		ck_assert_uint_eq(pcifix_config_read(&fix, 1, 0x10 + 4 * bar, 4), 0);
	}
	/* No expansion ROM either. */
	pcifix_config_write(&fix, 1, 0x30, 4, 0xffffffff);
	ck_assert_uint_eq(pcifix_config_read(&fix, 1, 0x30, 4), 0);
	pcifix_config_write(&fix, 1, 0x10, 4, (uint32_t)FIX_MMIO64);
	pcifix_config_write(&fix, 1, 0x14, 4, (uint32_t)(FIX_MMIO64 >> 32));
	pcifix_config_write(&fix, 1, 0x18, 4, (uint32_t)FIX_MMIO32);
	ck_assert_uint_eq(p->maps, 2);
	ck_assert_uint_eq(p->unmaps, 2);
	pcifix_config_write(&fix, 1, 4, 2, 2);
	ck_assert_uint_eq(p->maps, 4);
	/* And with decoding on: all ones is outside the windows, so it decodes nowhere. */
	pcifix_config_write(&fix, 1, 0x18, 4, 0xffffffff);
	ck_assert_uint_eq(p->unmaps, 3);
	ck_assert_uint_eq(pcifix_read(&fix, 0xfffff000, 4), 0xffffffff);
	pcifix_config_write(&fix, 1, 0x18, 4, (uint32_t)FIX_MMIO32);
	ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO32, 4), 0x55667788);
	ck_assert_uint_eq(p->bar, 2);
	pcifix_finish(&fix);
}
END_TEST

START_TEST(bar_access_all_widths_inside_and_at_the_end)
{
	struct pcifix fix;
	struct probe *p;

	pcifix_init(&fix, true);
	p = add_probe(&fix);
	for (unsigned len = 1; len <= 8; len *= 2) {
		uint64_t last = PROBE_BAR0 - len;

		ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO64 + last, len),
				  PROBE_VALUE & ONES(len));
		ck_assert_uint_eq(p->offset, last);
		ck_assert_uint_eq(p->len, len);
		pcifix_write(&fix, FIX_MMIO64 + last, len, UINT64_MAX);
		ck_assert_uint_eq(p->value, ONES(len));
		/* Unaligned, across the end, and just behind it. */
		p->calls = 0;
		for (unsigned off = 1; off < len; off++) {
			ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO64 + off, len), ONES(len));
			pcifix_write(&fix, FIX_MMIO64 + last + off, len, 0);
		}
		ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO64 + PROBE_BAR0, len), ONES(len));
		ck_assert_uint_eq(p->calls, 0);
	}
	for (unsigned len = 0; len <= 17; len++) {
		uint64_t value;

		if (len != 1 && len != 2 && len != 4 && len != 8) {
			ck_assert(!vmm_bus_read(fix.mmio, FIX_MMIO64, len, &value));
			ck_assert(!vmm_bus_write(fix.mmio, FIX_MMIO64, len, 0));
		}
	}
	ck_assert_uint_eq(p->calls, 0);
	pcifix_finish(&fix);
}
END_TEST

START_TEST(bar_moves_at_run_time)
{
	const uint64_t to = FIX_MMIO64 + 0x100000;
	struct pcifix fix;
	struct probe *p;

	pcifix_init(&fix, true);
	p = add_probe(&fix);
	pcifix_config_write(&fix, 1, 4, 2, 0);
	ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO64, 4), 0xffffffff);
	ck_assert_uint_eq(p->calls, 0);
	pcifix_config_write(&fix, 1, 0x10, 4, (uint32_t)to);
	pcifix_config_write(&fix, 1, 4, 2, 6);
	ck_assert_uint_eq(pcifix_bar(&fix, 1, 0), to);
	ck_assert_uint_eq(pcifix_read(&fix, to + 4, 4), 0x55667788);
	ck_assert_uint_eq(p->offset, 4);
	ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO64, 4), 0xffffffff);
	/* Into the other window, as far as it goes, and one step further: across the end. */
	pcifix_config_write(&fix, 1, 0x14, 4, 0);
	pcifix_config_write(&fix, 1, 0x10, 4, (uint32_t)(FIX_MMIO32 + FIX_ALIGNED - PROBE_BAR0));
	ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO32 + FIX_ALIGNED - 4, 4), 0x55667788);
	pcifix_config_write(&fix, 1, 0x10, 4, (uint32_t)(FIX_MMIO32 + FIX_ALIGNED));
	ck_assert(!p->fn.bars[0].mapped);
	/* At RAM, at ECAM, at 0. */
	pcifix_config_write(&fix, 1, 0x10, 4, (uint32_t)FIX_ECAM);
	ck_assert_uint_eq(pcifix_config_read(&fix, 0, 0, 4), 0x0d578086);
	pcifix_config_write(&fix, 1, 0x10, 4, 0);
	ck_assert(!p->fn.bars[0].mapped);
	pcifix_finish(&fix);
}
END_TEST

START_TEST(bar_overlap_one_answers_and_the_other_comes_back)
{
	struct pcifix fix;
	struct probe *a;
	struct probe *b;

	pcifix_init(&fix, true);
	a = add_probe(&fix);
	b = add_probe(&fix);
	pcifix_config_write(&fix, 2, 0x10, 4, (uint32_t)FIX_MMIO64);
	(void)pcifix_read(&fix, FIX_MMIO64, 4);
	pcifix_write(&fix, FIX_MMIO64, 4, 0);
	ck_assert_uint_eq(a->calls, 2);
	ck_assert_uint_eq(b->calls, 0);
	pcifix_config_write(&fix, 1, 4, 2, 0);
	(void)pcifix_read(&fix, FIX_MMIO64, 4);
	ck_assert_uint_eq(b->calls, 1);
	/* One function's own BARs over each other. */
	pcifix_config_write(&fix, 2, 0x14, 4, 0);
	pcifix_config_write(&fix, 2, 0x10, 4, (uint32_t)FIX_MMIO32);
	pcifix_config_write(&fix, 2, 0x18, 4, (uint32_t)FIX_MMIO32);
	(void)pcifix_read(&fix, FIX_MMIO32, 4);
	ck_assert_uint_eq(b->bar, 0);
	pcifix_finish(&fix);
}
END_TEST

START_TEST(host_reset_puts_everything_back)
{
	struct pcifix fix;
	struct probe *p;

	pcifix_init(&fix, true);
	p = add_probe(&fix);
	pcifix_config_write(&fix, 1, 4, 2, 0xffff);
	pcifix_config_write(&fix, 1, 0x10, 4, 0x12340000);
	pcifix_config_write(&fix, 1, 0x14, 4, 0x77);
	pcifix_config_write(&fix, 1, 0x18, 4, 0);
	vmm_pci_host_reset(fix.host);
	ck_assert_uint_eq(p->resets, 1);
	ck_assert_uint_eq(pcifix_config_read(&fix, 1, 4, 2), 2);
	ck_assert_uint_eq(pcifix_bar(&fix, 1, 0), FIX_MMIO64);
	ck_assert_uint_eq(pcifix_bar(&fix, 1, 2), FIX_MMIO32);
	ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO64, 1), 0x88);
	ck_assert_uint_eq(pcifix_read(&fix, FIX_MMIO32, 1), 0x88);
	pcifix_finish(&fix);
}
END_TEST

/* ---- several vCPUs ---- */

static void *vcpu(void *ctx)
{
	struct pcifix *fix = ctx;
	unsigned seed = (unsigned)(uintptr_t)&seed;

	for (unsigned i = 0; i < 20000; i++) {
		uint32_t where[] = {(uint32_t)FIX_MMIO32, (uint32_t)FIX_MMIO32 + 0x8000,
				    0xffffffff};

		seed = seed * 1103515245u + 12345u;
		pcifix_config_write(fix, 1 + (seed >> 16) % 2, 0x18, 4, where[(seed >> 20) % 3]);
		pcifix_config_write(fix, 1 + (seed >> 16) % 2, 4, 2, (seed >> 22) & 2);
		(void)pcifix_in(fix, 0xcfc, 4);
		pcifix_out(fix, 0xcf8, 4, seed);
		(void)pcifix_config_read(fix, (seed >> 24) % 3, (seed >> 8) & 0xfc, 4);
	}
	return NULL;
}

START_TEST(config_many_vcpus_at_once_leave_it_consistent)
{
	pthread_t threads[3];
	struct pcifix fix;
	struct probe *p;

	pcifix_init(&fix, true);
	p = add_probe(&fix);
	(void)add_probe(&fix);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, vcpu, &fix), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		(void)pthread_join(threads[i], NULL);
	}
	/* Every mapping was undone once before the next. */
	ck_assert_uint_eq(p->maps - p->unmaps, p->fn.bars[0].mapped + p->fn.bars[2].mapped);
	ck_assert_uint_gt(p->maps, 2);
	pcifix_finish(&fix);
}
END_TEST

SUITE_MAIN("pci", host_create_bad_ranges_are_refused, host_bridge_is_found_by_ecam_and_by_ports,
	   host_ports_decode_address_and_widths, host_place_full_bus_or_window_changes_nothing,
	   host_place_takes_the_lower_window_when_there_is_no_other,
	   function_add_bar_bad_places_and_sizes_are_refused,
	   config_every_byte_only_writable_bits_change,
	   config_malformed_access_reads_ones_and_writes_nothing,
	   bar_sizing_gives_the_size_and_disturbs_nothing,
	   bar_access_all_widths_inside_and_at_the_end, bar_moves_at_run_time,
	   bar_overlap_one_answers_and_the_other_comes_back, host_reset_puts_everything_back,
	   config_many_vcpus_at_once_leave_it_consistent)
