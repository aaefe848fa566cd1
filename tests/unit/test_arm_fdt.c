/* SPDX-License-Identifier: MIT */
/*
 * The device tree of the aarch64 machine: structure and every value that a guest depends on are
 * read back through libfdt; what dtc, which knows the bindings, has to say about it, is looked at,
 * too.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmm/vm.h>

#include "machine/aarch64/arm.h"
#include "machine/aarch64/layout.h"
#include "machine/machine.h"
#include "suite.h"

#define VCPUS_MAX    64u
#define RANGES_MAX   40u
#define INTERRUPTS   40u
#define PAGE         65536u /* the largest there is */
#define GUARDED_ROOM (FDT_SIZE + PAGE)

static uint64_t mpidrs[VCPUS_MAX];
static struct arm_layout layout;
static char cmdline[VMM_MACHINE_CMDLINE_MAX + 1];
static struct arm_fdt config;
static uint64_t words[FDT_SIZE / 8]; /* aligned as the guest's memory is */
static const void *const tree = words;

/* Affinities as KVM gives them: 16 in a cluster, the bit that is always one. */
static void setup(void)
{
	for (unsigned i = 0; i < VCPUS_MAX; i++) {
		mpidrs[i] = UINT64_C(1) << 31 | (i / 16) << 8 | i % 16;
	}
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(4), 40, NULL), 0);
	(void)strcpy(cmdline, "console=ttyAMA0 root=/dev/vda");
	config = (struct arm_fdt){
		.vcpus = 3,
		.mpidr = mpidrs,
		.layout = &layout,
		.cmdline = cmdline,
		.initrd = RAM_GPA + MIB(256),
		.initrd_size = 123456,
		.uart = true,
		.kaslr_seed = UINT64_C(0x1122334455667788),
	};
	for (unsigned i = 0; i < ARM_RNG_SEED; i++) {
		config.rng_seed[i] = (uint8_t)(0xf0 - i);
	}
}

static int build(void)
{
	int len;

	memset(words, 0xee, sizeof(words));
	len = vmm_arm_fdt(&config, words, sizeof(words));
	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(fdt_check_full(tree, (size_t)len), 0);
	ck_assert_uint_eq(fdt_totalsize(tree), (uint64_t)len);
	return len;
}

/* ---- reading ---- */

static int node(const char *path)
{
	int at = fdt_path_offset(tree, path);

	ck_assert_msg(at >= 0, "no node %s", path);
	return at;
}

static const void *property(int at, const char *name, size_t len)
{
	int got = 0;
	const void *value = fdt_getprop(tree, at, name, &got);

	ck_assert_msg(value != NULL, "no %s in %s", name, fdt_get_name(tree, at, NULL));
	ck_assert_uint_eq((size_t)got, len);
	return value;
}

static uint32_t cell(int at, const char *name, unsigned index)
{
	int len = 0;
	const fdt32_t *value = fdt_getprop(tree, at, name, &len);

	ck_assert_msg(value != NULL, "no %s in %s", name, fdt_get_name(tree, at, NULL));
	ck_assert_uint_lt(index, (unsigned)len / 4);
	return fdt32_ld(value + index);
}

static uint64_t pair(int at, const char *name, unsigned index)
{
	return (uint64_t)cell(at, name, index) << 32 | cell(at, name, index + 1);
}

static unsigned cells(int at, const char *name)
{
	int len = 0;

	ck_assert_msg(fdt_getprop(tree, at, name, &len) != NULL, "no %s in %s", name,
		      fdt_get_name(tree, at, NULL));
	ck_assert_int_eq(len % 4, 0);
	return (unsigned)len / 4;
}

static void assert_string(int at, const char *name, const char *expected)
{
	ck_assert_str_eq(property(at, name, strlen(expected) + 1), expected);
}

static void assert_compatible(int at, const char *with)
{
	ck_assert_msg(fdt_node_check_compatible(tree, at, with) == 0, "%s is not %s",
		      fdt_get_name(tree, at, NULL), with);
}

/* What a phandle stands for. */
static int referred(int at, const char *name, unsigned index)
{
	int other = fdt_node_offset_by_phandle(tree, cell(at, name, index));

	ck_assert_msg(other >= 0, "%s of %s leads nowhere", name, fdt_get_name(tree, at, NULL));
	return other;
}

/* ---- what is in it ---- */

START_TEST(fdt_root_and_memory)
{
	static const uint64_t sizes[] = {MIB(2), MIB(512), GIB(3), GIB(4), GIB(1000)};
	int root;
	int memory;

	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(vmm_arm_layout(&layout, sizes[i], 40, NULL), 0);
		(void)build();
		root = node("/");
		ck_assert_uint_eq(cell(root, "#address-cells", 0), 2);
		ck_assert_uint_eq(cell(root, "#size-cells", 0), 2);
		ck_assert_int_eq(referred(root, "interrupt-parent", 0),
				 node("/interrupt-controller@8000000"));
		assert_compatible(root, "linux,dummy-virt");
		memory = node("/memory@40000000");
		assert_string(memory, "device_type", "memory");
		ck_assert_uint_eq(cells(memory, "reg"), 4);
		ck_assert_uint_eq(pair(memory, "reg", 0), RAM_GPA);
		ck_assert_uint_eq(pair(memory, "reg", 2), sizes[i]);
		ck_assert_int_eq(fdt_num_mem_rsv(tree), 0);
	}
}
END_TEST

START_TEST(fdt_cpus_are_named_after_their_affinity)
{
	static const unsigned counts[] = {1, 3, 4, 16, 17, 64};

	mpidrs[2] |= UINT64_C(0x55) << 16 | UINT64_C(1) << 30 | UINT64_C(1) << 24;
	for (unsigned c = 0; c < 6; c++) {
		unsigned index = 0;
		int cpus;
		int at;

		config.vcpus = counts[c];
		(void)build();
		cpus = node("/cpus");
		ck_assert_uint_eq(cell(cpus, "#address-cells", 0), 1);
		ck_assert_uint_eq(cell(cpus, "#size-cells", 0), 0);
		fdt_for_each_subnode(at, tree, cpus)
		{
			char name[32];

			ck_assert_uint_lt(index, counts[c]);
			(void)snprintf(name, sizeof(name), "cpu@%llx",
				       (unsigned long long)(mpidrs[index] & 0xffffff));
			ck_assert_str_eq(fdt_get_name(tree, at, NULL), name);
			ck_assert_uint_eq(cells(at, "reg"), 1);
			ck_assert_uint_eq(cell(at, "reg", 0), mpidrs[index] & 0xffffff);
			assert_string(at, "device_type", "cpu");
			assert_string(at, "enable-method", "psci");
			assert_compatible(at, "arm,armv8");
			index++;
		}
		ck_assert_uint_eq(index, counts[c]);
	}
}
END_TEST

START_TEST(fdt_psci_and_timer)
{
	static const uint32_t ppis[] = {13, 14, 11, 10};
	int at;

	(void)build();
	at = node("/psci");
	assert_compatible(at, "arm,psci-1.0");
	assert_compatible(at, "arm,psci-0.2");
	assert_string(at, "method", "hvc");
	at = node("/timer");
	assert_compatible(at, "arm,armv8-timer");
	(void)property(at, "always-on", 0);
	ck_assert_uint_eq(cells(at, "interrupts"), 12);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(cell(at, "interrupts", 3 * i), 1);
		ck_assert_uint_eq(cell(at, "interrupts", 3 * i + 1), ppis[i]);
		ck_assert_uint_eq(cell(at, "interrupts", 3 * i + 2), 4);
	}
}
END_TEST

START_TEST(fdt_gic_has_a_redistributor_for_each_cpu)
{
	static const unsigned counts[] = {1, 4, 64};

	for (unsigned c = 0; c < 3; c++) {
		int gic;
		int its;

		config.vcpus = counts[c];
		(void)build();
		gic = node("/interrupt-controller@8000000");
		assert_compatible(gic, "arm,gic-v3");
		(void)property(gic, "interrupt-controller", 0);
		(void)property(gic, "ranges", 0);
		ck_assert_uint_eq(cell(gic, "#interrupt-cells", 0), 3);
		ck_assert_uint_eq(cell(gic, "#address-cells", 0), 2);
		ck_assert_uint_eq(cell(gic, "#size-cells", 0), 2);
		ck_assert_uint_eq(cells(gic, "reg"), 8);
		ck_assert_uint_eq(pair(gic, "reg", 0), GICD_GPA);
		ck_assert_uint_eq(pair(gic, "reg", 2), 0x10000);
		ck_assert_uint_eq(pair(gic, "reg", 4), GICR_GPA);
		ck_assert_uint_eq(pair(gic, "reg", 6), counts[c] * UINT64_C(0x20000));
		its = node("/interrupt-controller@8000000/msi-controller@8010000");
		assert_compatible(its, "arm,gic-v3-its");
		(void)property(its, "msi-controller", 0);
		ck_assert_uint_eq(cell(its, "#msi-cells", 0), 1);
		ck_assert_uint_eq(cells(its, "reg"), 4);
		ck_assert_uint_eq(pair(its, "reg", 0), ITS_GPA);
		ck_assert_uint_eq(pair(its, "reg", 2), 0x20000);
	}
}
END_TEST

static void assert_spi(int at, uint32_t gsi)
{
	ck_assert_uint_eq(cells(at, "interrupts"), 3);
	ck_assert_uint_eq(cell(at, "interrupts", 0), 0);
	ck_assert_uint_eq(cell(at, "interrupts", 1), gsi);
	ck_assert_uint_eq(cell(at, "interrupts", 2), 1);
}

static void assert_clock(int at, unsigned index)
{
	int clock = referred(at, "clocks", index);

	assert_compatible(clock, "fixed-clock");
	ck_assert_uint_eq(cell(clock, "#clock-cells", 0), 0);
	ck_assert_uint_gt(cell(clock, "clock-frequency", 0), 0);
}

START_TEST(fdt_uart_is_where_the_console_is)
{
	static const char names[] = "uartclk\0apb_pclk";
	int uart;

	(void)build();
	uart = node("/serial@9000000");
	assert_compatible(uart, "arm,pl011");
	assert_compatible(uart, "arm,primecell");
	ck_assert_uint_eq(cells(uart, "reg"), 4);
	ck_assert_uint_eq(pair(uart, "reg", 0), UART_GPA);
	ck_assert_uint_eq(pair(uart, "reg", 2), UART_SIZE);
	assert_spi(uart, UART_GSI);
	ck_assert_uint_eq(cells(uart, "clocks"), 2);
	assert_clock(uart, 0);
	assert_clock(uart, 1);
	ck_assert_mem_eq(property(uart, "clock-names", sizeof(names)), names, sizeof(names));
	ck_assert_int_eq(node(fdt_getprop(tree, node("/chosen"), "stdout-path", NULL)), uart);
	/* The alias makes it ttyAMA0. */
	ck_assert_int_eq(node("serial0"), uart);
}
END_TEST

START_TEST(fdt_without_uart_speaks_of_none)
{
	config.uart = false;
	(void)build();
	ck_assert_int_lt(fdt_path_offset(tree, "/serial@9000000"), 0);
	ck_assert_int_lt(fdt_path_offset(tree, "/aliases"), 0);
	ck_assert_int_lt(fdt_node_offset_by_compatible(tree, -1, "arm,pl011"), 0);
	ck_assert_ptr_null(fdt_getprop(tree, node("/chosen"), "stdout-path", NULL));
}
END_TEST

START_TEST(fdt_clock_and_power_button)
{
	int at;

	(void)build();
	at = node("/rtc@9010000");
	assert_compatible(at, "arm,pl031");
	assert_compatible(at, "arm,primecell");
	ck_assert_uint_eq(pair(at, "reg", 0), RTC_GPA);
	ck_assert_uint_eq(pair(at, "reg", 2), RTC_SIZE);
	ck_assert_uint_eq(cells(at, "clocks"), 1);
	assert_clock(at, 0);
	assert_string(at, "clock-names", "apb_pclk");
	at = node("/gpio-keys");
	assert_compatible(at, "gpio-keys");
	at = node("/gpio-keys/power");
	assert_spi(at, BUTTON_GSI);
	ck_assert_uint_eq(cell(at, "linux,code", 0), 116);
}
END_TEST

START_TEST(fdt_pci_windows_are_the_layouts)
{
	static const struct {
		uint64_t memory;
		unsigned bits;
		unsigned windows;
	} cases[] = {{MIB(512), 40, 2}, {GIB(5), 40, 2}, {GIB(62), 36, 2},
		     {GIB(63), 36, 1},  {GIB(2), 32, 1}, {GIB(3), 33, 2}};

	for (unsigned c = 0; c < 6; c++) {
		int pci;

		ck_assert_int_eq(vmm_arm_layout(&layout, cases[c].memory, cases[c].bits, NULL), 0);
		(void)build();
		pci = node("/pcie@3f000000");
		assert_compatible(pci, "pci-host-ecam-generic");
		assert_string(pci, "device_type", "pci");
		ck_assert_uint_eq(cell(pci, "#address-cells", 0), 3);
		ck_assert_uint_eq(cell(pci, "#size-cells", 0), 2);
		ck_assert_uint_eq(pair(pci, "reg", 0), ECAM_GPA);
		ck_assert_uint_eq(pair(pci, "reg", 2), VMM_PCI_ECAM_SIZE);
		/* One bus, of 1 MiB. */
		ck_assert_uint_eq(pair(pci, "bus-range", 0), 0);
		ck_assert_uint_eq(cells(pci, "ranges"), 7 * cases[c].windows);
		ck_assert_uint_eq(cell(pci, "ranges", 0), 0x02000000);
		ck_assert_uint_eq(pair(pci, "ranges", 1), MMIO32_GPA);
		ck_assert_uint_eq(pair(pci, "ranges", 3), MMIO32_GPA);
		ck_assert_uint_eq(pair(pci, "ranges", 5), MMIO32_SIZE);
		if (cases[c].windows == 2) {
			ck_assert_uint_eq(cell(pci, "ranges", 7), 0x43000000);
			ck_assert_uint_eq(pair(pci, "ranges", 8), layout.mmio64.base);
			ck_assert_uint_eq(pair(pci, "ranges", 10), layout.mmio64.base);
			ck_assert_uint_eq(pair(pci, "ranges", 12), layout.mmio64.size);
		}
		/* Each requester's MSIs go to the ITS under its own number. */
		ck_assert_uint_eq(cells(pci, "msi-map"), 4);
		ck_assert_uint_eq(cell(pci, "msi-map", 0), 0);
		assert_compatible(referred(pci, "msi-map", 1), "arm,gic-v3-its");
		ck_assert_uint_eq(cell(pci, "msi-map", 2), 0);
		ck_assert_uint_eq(cell(pci, "msi-map", 3), 0x10000);
		(void)property(pci, "dma-coherent", 0);
	}
}
END_TEST

START_TEST(fdt_virtio_devices_stand_in_place_of_pci)
{
	static const unsigned counts[] = {0, 1, VIRTIO_PLACES};

	config.no_pci = true;
	for (unsigned c = 0; c < 3; c++) {
		unsigned count = 0;
		int at;

		config.virtio = counts[c];
		(void)build();
		ck_assert_int_lt(fdt_path_offset(tree, "/pcie@3f000000"), 0);
		ck_assert_int_lt(fdt_node_offset_by_compatible(tree, -1, "arm,gic-v3-its"), 0);
		for (at = fdt_node_offset_by_compatible(tree, -1, "virtio,mmio"); at >= 0;
		     at = fdt_node_offset_by_compatible(tree, at, "virtio,mmio")) {
			ck_assert_int_eq(fdt_parent_offset(tree, at), 0);
			ck_assert_uint_eq(cells(at, "reg"), 4);
			ck_assert_uint_eq(pair(at, "reg", 0), MIB(160) + count * KIB(64));
			ck_assert_uint_eq(pair(at, "reg", 2), 0x1000);
			assert_spi(at, 2 + count);
			(void)property(at, "dma-coherent", 0);
			count++;
		}
		ck_assert_uint_eq(count, counts[c]);
	}
}
END_TEST

/* ---- chosen ---- */

START_TEST(fdt_chosen_has_seeds_and_initrd)
{
	int chosen;

	(void)build();
	chosen = node("/chosen");
	assert_string(chosen, "bootargs", cmdline);
	ck_assert_uint_eq(cells(chosen, "kaslr-seed"), 2);
	ck_assert_uint_eq(pair(chosen, "kaslr-seed", 0), config.kaslr_seed);
	ck_assert_mem_eq(property(chosen, "rng-seed", ARM_RNG_SEED), config.rng_seed, ARM_RNG_SEED);
	ck_assert_uint_eq(cells(chosen, "linux,initrd-start"), 2);
	ck_assert_uint_eq(pair(chosen, "linux,initrd-start", 0), config.initrd);
	ck_assert_uint_eq(pair(chosen, "linux,initrd-end", 0), config.initrd + 123456);
	/* Far up, and across 4 GiB. */
	config.initrd = GIB(4) - 1;
	config.initrd_size = GIB(2) + 5;
	(void)build();
	chosen = node("/chosen");
	ck_assert_uint_eq(pair(chosen, "linux,initrd-start", 0), GIB(4) - 1);
	ck_assert_uint_eq(pair(chosen, "linux,initrd-end", 0), GIB(6) + 4);
}
END_TEST

START_TEST(fdt_without_initrd_speaks_of_none)
{
	config.initrd = 0;
	(void)build();
	ck_assert_ptr_null(fdt_getprop(tree, node("/chosen"), "linux,initrd-start", NULL));
	ck_assert_ptr_null(fdt_getprop(tree, node("/chosen"), "linux,initrd-end", NULL));
}
END_TEST

START_TEST(fdt_command_line_of_any_bytes_arrives)
{
	/* None, one of every byte there is, the longest. */
	cmdline[0] = '\0';
	(void)build();
	assert_string(node("/chosen"), "bootargs", "");
	for (unsigned i = 0; i < 255; i++) {
		cmdline[i] = (char)(i + 1);
	}
	cmdline[255] = '\0';
	(void)build();
	assert_string(node("/chosen"), "bootargs", cmdline);
	memset(cmdline, 'x', VMM_MACHINE_CMDLINE_MAX);
	cmdline[VMM_MACHINE_CMDLINE_MAX] = '\0';
	config.vcpus = VMM_VCPUS_MAX;
	/* Nothing is longer than this tree: there is room for twice as much. */
	ck_assert_int_lt(build(), FDT_SIZE / 2);
	assert_string(node("/chosen"), "bootargs", cmdline);
}
END_TEST

/* ---- all of it ---- */

/* Each configuration that differs in what is there. */
static void configure(unsigned n)
{
	static const unsigned vcpus[] = {1, 4, 64};

	setup();
	config.vcpus = vcpus[n % 3];
	config.uart = (n / 3) % 2 != 0;
	config.initrd = (n / 6) % 2 != 0 ? RAM_GPA + MIB(256) : 0;
	ck_assert_int_eq(vmm_arm_layout(&layout, GIB(1), (n / 12) % 2 != 0 ? 40 : 32, NULL), 0);
	config.no_pci = n / 24 != 0;
	config.virtio = config.no_pci ? VIRTIO_PLACES - n % 3 : 0;
}

#define CONFIGURATIONS 48u

struct range {
	uint64_t base;
	uint64_t size;
	const char *name;
};

static struct range ranges[RANGES_MAX];
static unsigned range_count;

static void add_range(uint64_t base, uint64_t size, const char *name)
{
	ck_assert_uint_lt(range_count, RANGES_MAX);
	ck_assert_uint_gt(size, 0);
	ck_assert_uint_le(base, UINT64_MAX - size);
	ranges[range_count++] = (struct range){.base = base, .size = size, .name = name};
}

static void add_ranges(int at)
{
	const char *name = fdt_get_name(tree, at, NULL);
	int parent = fdt_parent_offset(tree, at);

	if (!fdt_getprop(tree, at, "reg", NULL) || fdt_size_cells(tree, parent) == 0) {
		return;
	}
	/* Nothing is translated on the way up. */
	ck_assert_int_eq(fdt_address_cells(tree, parent), 2);
	ck_assert_int_eq(fdt_size_cells(tree, parent), 2);
	for (unsigned i = 0; i < cells(at, "reg"); i += 4) {
		add_range(pair(at, "reg", i), pair(at, "reg", i + 2), name);
	}
}

static void add_windows(void)
{
	int pci = node("/pcie@3f000000");

	for (unsigned i = 0; i < cells(pci, "ranges"); i += 7) {
		add_range(pair(pci, "ranges", i + 3), pair(pci, "ranges", i + 5), "window");
	}
}

START_TEST(fdt_nothing_overlaps)
{
	for (unsigned n = 0; n < CONFIGURATIONS; n++) {
		configure(n);
		(void)build();
		range_count = 0;
		for (int at = 0; at >= 0; at = fdt_next_node(tree, at, NULL)) {
			add_ranges(at);
		}
		if (!config.no_pci) {
			add_windows();
		}
		/* Memory, distributor, redistributors, clock; with PCI ITS, ECAM, one or two
		 * windows. */
		ck_assert_uint_eq(range_count,
				  4u + config.uart + config.virtio +
					  (config.no_pci ? 0u : 3u + (layout.mmio64.size > 0)));
		for (unsigned i = 0; i < range_count; i++) {
			for (unsigned k = 0; k < i; k++) {
				ck_assert_msg(ranges[i].base >= ranges[k].base + ranges[k].size ||
						      ranges[k].base >=
							      ranges[i].base + ranges[i].size,
					      "%s and %s overlap", ranges[i].name, ranges[k].name);
			}
		}
	}
}
END_TEST

START_TEST(fdt_interrupts_are_those_of_one_device)
{
	for (unsigned n = 0; n < CONFIGURATIONS; n++) {
		uint64_t seen[INTERRUPTS];
		unsigned count = 0;

		configure(n);
		(void)build();
		for (int at = 0; at >= 0; at = fdt_next_node(tree, at, NULL)) {
			if (!fdt_getprop(tree, at, "interrupts", NULL)) {
				continue;
			}
			ck_assert_uint_eq(cells(at, "interrupts") % 3, 0);
			for (unsigned i = 0; i < cells(at, "interrupts"); i += 3) {
				uint64_t irq = pair(at, "interrupts", i);

				for (unsigned k = 0; k < count; k++) {
					ck_assert_uint_ne(irq, seen[k]);
				}
				ck_assert_uint_lt(irq & UINT32_MAX, irq >> 32 == 1 ? 16 : GIC_SPIS);
				ck_assert_uint_lt(count, INTERRUPTS);
				seen[count++] = irq;
			}
		}
		ck_assert_uint_eq(count, (config.uart ? 6 : 5) + config.virtio);
	}
}
END_TEST

/* A node's unit address is where its first registers are, names and phandles are there once. */
START_TEST(fdt_names_and_phandles_are_unique)
{
	for (unsigned n = 0; n < CONFIGURATIONS; n++) {
		configure(n);
		(void)build();
		for (int at = 0; at >= 0; at = fdt_next_node(tree, at, NULL)) {
			const char *name = fdt_get_name(tree, at, NULL);
			const char *unit = strchr(name, '@');
			uint32_t phandle = fdt_get_phandle(tree, at);
			char path[256];

			ck_assert_int_eq(fdt_get_path(tree, at, path, sizeof(path)), 0);
			ck_assert_int_eq(node(path), at);
			ck_assert((unit != NULL) == (fdt_getprop(tree, at, "reg", NULL) != NULL));
			if (unit) {
				bool one = cells(at, "reg") == 1;

				ck_assert_uint_eq(strtoull(unit + 1, NULL, 16),
						  one ? cell(at, "reg", 0) : pair(at, "reg", 0));
			}
			if (phandle != 0) {
				ck_assert_int_eq(fdt_node_offset_by_phandle(tree, phandle), at);
			}
		}
	}
}
END_TEST

/* ---- room ---- */

/* The end of a buffer, behind which no memory is. */
static uint8_t *guarded(void)
{
	static uint8_t *room;

	if (!room) {
		room = mmap(NULL, GUARDED_ROOM + PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ck_assert_ptr_ne(room, MAP_FAILED);
		ck_assert_int_eq(mprotect(room + GUARDED_ROOM, PAGE, PROT_NONE), 0);
	}
	return room + GUARDED_ROOM;
}

/* A tree into cap bytes: behind them is nothing, or at most what makes the tree's place aligned. */
static int build_into(size_t cap)
{
	uint8_t *end = guarded();
	uint8_t *buf = end - ((cap + 7) & ~(size_t)7);
	int ret;

	memset(buf - 64, 0xee, 64 + (size_t)(end - buf));
	ret = vmm_arm_fdt(&config, buf, cap);
	for (const uint8_t *p = buf - 64; p < end; p = p + 1 == buf ? buf + cap : p + 1) {
		SUITE_REQUIRE(*p == 0xee);
	}
	if (ret > 0) {
		SUITE_REQUIRE((size_t)ret <= cap);
		SUITE_REQUIRE(fdt_check_full(buf, cap) == 0);
	}
	return ret;
}

START_TEST(fdt_without_room_is_refused)
{
	for (unsigned n = 0; n < CONFIGURATIONS; n += 11) {
		size_t len;

		configure(n);
		len = (size_t)build();
		/* Each size, but for the largest trees, which take seconds. */
		for (size_t cap = 0; cap<len; cap += len> 4096 ? 13 : 1) {
			SUITE_REQUIRE(build_into(cap) == -ENOSPC);
		}
		SUITE_REQUIRE(build_into(len - 1) == -ENOSPC);
		for (size_t cap = len; cap < len + 20; cap++) {
			SUITE_REQUIRE(build_into(cap) == (int)len);
		}
	}
}
END_TEST

/* What a tree that did not fit has left behind does not lead the next one astray. */
START_TEST(fdt_without_room_is_refused_again)
{
	uint8_t *bytes = (uint8_t *)words;
	size_t len = (size_t)build();

	for (size_t first = 0; first < len; first += 97) {
		for (size_t cap = 0; cap < 200; cap++) {
			memset(words, 0xee, sizeof(words));
			SUITE_REQUIRE(vmm_arm_fdt(&config, words, first) == -ENOSPC);
			memset(bytes + cap, 0xdd, len - cap);
			SUITE_REQUIRE(vmm_arm_fdt(&config, words, cap) == -ENOSPC);
			for (size_t i = cap; i < len; i++) {
				SUITE_REQUIRE(bytes[i] == 0xdd);
			}
		}
	}
}
END_TEST

START_TEST(fdt_is_the_same_at_each_boot)
{
	static uint64_t before[FDT_SIZE / 8];
	size_t len = (size_t)build();

	memcpy(before, words, len);
	/* Over the last one. */
	ck_assert_int_eq(vmm_arm_fdt(&config, words, sizeof(words)), (int)len);
	ck_assert_mem_eq(before, words, len);
}
END_TEST

/* ---- read back by dtc ---- */

/* dtc reads each configuration and has nothing to complain about. */
START_TEST(fdt_dtc_reads_it_without_a_warning)
{
	for (unsigned n = 0; n < CONFIGURATIONS; n++) {
		char path[] = "/tmp/test_arm_fdt.XXXXXX";
		char command[128];
		char said[4096];
		FILE *pipe;
		size_t len;
		int fd = mkstemp(path);

		ck_assert_int_ge(fd, 0);
		configure(n);
		len = (size_t)build();
		ck_assert_int_eq(write(fd, tree, len), (ssize_t)len);
		(void)close(fd);
		(void)snprintf(command, sizeof(command), "dtc -I dtb -O dts -o /dev/null %s 2>&1",
			       path);
		pipe = popen(command, "r");
		ck_assert_ptr_nonnull(pipe);
		len = fread(said, 1, sizeof(said) - 1, pipe);
		said[len] = '\0';
		ck_assert_int_eq(pclose(pipe), 0);
		(void)unlink(path);
		ck_assert_str_eq(said, "");
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		fdt_root_and_memory,
		fdt_cpus_are_named_after_their_affinity,
		fdt_psci_and_timer,
		fdt_gic_has_a_redistributor_for_each_cpu,
		fdt_uart_is_where_the_console_is,
		fdt_without_uart_speaks_of_none,
		fdt_clock_and_power_button,
		fdt_pci_windows_are_the_layouts,
		fdt_virtio_devices_stand_in_place_of_pci,
		fdt_chosen_has_seeds_and_initrd,
		fdt_without_initrd_speaks_of_none,
		fdt_command_line_of_any_bytes_arrives,
		fdt_nothing_overlaps,
		fdt_interrupts_are_those_of_one_device,
		fdt_names_and_phandles_are_unique,
		fdt_without_room_is_refused,
		fdt_without_room_is_refused_again,
		fdt_is_the_same_at_each_boot,
	};
	bool dtc = system("dtc --version >/dev/null 2>&1") == 0;
	Suite *suite = suite_create("arm_fdt");
	int ret;

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, setup, NULL);
	}
	if (dtc) {
		suite_add(suite, fdt_dtc_reads_it_without_a_warning, 1, setup, NULL);
	}
	ret = suite_finish(suite);
	if (ret == EXIT_SUCCESS && !dtc) {
		(void)printf("skipped: no dtc (Debian: device-tree-compiler) to read the tree "
			     "back\n");
		return 77;
	}
	return ret;
}
