/* SPDX-License-Identifier: MIT */
/*
 * Any machine's device tree in a buffer of any size: either it does not fit and nothing behind the
 * buffer is touched, or it is a sound tree that says what it was told.
 *
 * An input is vCPUs, what there is (2), bits of an address, size of the memory (8), of the buffer
 * (4), initrd and its size (16), seed (8), affinities where they are to be odd (8 for each vCPU),
 * command line.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "input.h"
#include "machine/aarch64/arm.h"
#include "machine/aarch64/layout.h"

#define VCPUS   64u
#define MARGIN  64u
#define PAGE    65536u /* the largest there is */
#define CMDLINE 4096u

enum {
	HAS_UART = 1,
	HAS_INITRD = 2,
	HAS_AFFINITIES = 4,
	HAS_LITTLE_ROOM = 8,
	HAS_NO_PCI = 16,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct machine {
	struct arm_fdt fdt;
	struct arm_layout layout;
	uint64_t mpidr[VCPUS];
	char cmdline[CMDLINE];
	size_t cap;
};

static void require(bool condition, const char *what)
{
	if (!condition) {
		(void)fprintf(stderr, "not true: %s\n", what);
		abort();
	}
}

static uint64_t take_u64(struct fuzz_input *in)
{
	uint64_t low = fuzz_u32(in);

	return low | (uint64_t)fuzz_u32(in) << 32;
}

/* False where the machine itself is refused. */
static bool read_machine(struct machine *m, struct fuzz_input *in)
{
	struct vmm_error err = {0};
	unsigned has;
	unsigned bits;

	m->fdt.vcpus = 1 + fuzz_u8(in) % VCPUS;
	has = fuzz_u16(in);
	bits = 32 + fuzz_u8(in) % 21;
	if (vmm_arm_layout(&m->layout, take_u64(in), bits, &err) != 0) {
		require(err.message[0] != '\0', "a refusal has words");
		return false;
	}
	m->cap = fuzz_u32(in) % (FDT_SIZE + 1);
	if ((has & HAS_LITTLE_ROOM) == 0) {
		m->cap = FDT_SIZE;
	}
	m->fdt.initrd = take_u64(in);
	m->fdt.initrd_size = take_u64(in);
	if ((has & HAS_INITRD) == 0) {
		m->fdt.initrd = 0;
	}
	m->fdt.kaslr_seed = take_u64(in);
	memset(m->fdt.rng_seed, (int)(m->fdt.kaslr_seed & 0xff), ARM_RNG_SEED);
	for (unsigned i = 0; i < m->fdt.vcpus; i++) {
		m->mpidr[i] = (has & HAS_AFFINITIES) != 0 ? take_u64(in) : (i / 16) << 8 | i % 16;
	}
	m->fdt.mpidr = m->mpidr;
	m->fdt.layout = &m->layout;
	m->fdt.uart = (has & HAS_UART) != 0;
	m->fdt.no_pci = (has & HAS_NO_PCI) != 0;
	m->fdt.virtio = m->fdt.no_pci ? (has >> 8) % (VIRTIO_PLACES + 1) : 0;
	fuzz_bytes(in, (uint8_t *)m->cmdline, CMDLINE - 1);
	m->fdt.cmdline = m->cmdline;
	return true;
}

/* ---- what it says ---- */

static const fdt32_t *cells(const void *tree, const char *path, const char *name, int count)
{
	int len = 0;
	const fdt32_t *value = fdt_getprop(tree, fdt_path_offset(tree, path), name, &len);

	require(value && len == count * (int)sizeof(*value), "a property is there, and as long");
	return value;
}

static uint64_t pair(const fdt32_t *value)
{
	return (uint64_t)fdt32_ld(value) << 32 | fdt32_ld(value + 1);
}

static bool has(const void *tree, const char *path, const char *name)
{
	return fdt_getprop(tree, fdt_path_offset(tree, path), name, NULL) != NULL;
}

static void check_chosen(const void *tree, const struct arm_fdt *fdt)
{
	const void *seed = cells(tree, "/chosen", "rng-seed", ARM_RNG_SEED / 4);
	int len = 0;
	const char *args = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), "bootargs", &len);

	require(args && (size_t)len == strlen(fdt->cmdline) + 1 && strcmp(args, fdt->cmdline) == 0,
		"the command line is what it was");
	require(memcmp(seed, fdt->rng_seed, ARM_RNG_SEED) == 0, "a seed is what it was");
	require(pair(cells(tree, "/chosen", "kaslr-seed", 2)) == fdt->kaslr_seed,
		"the other seed is what it was");
	require(has(tree, "/chosen", "linux,initrd-start") == (fdt->initrd != 0) &&
			has(tree, "/chosen", "linux,initrd-end") == (fdt->initrd != 0),
		"an initrd is named where there is one");
	if (fdt->initrd != 0) {
		uint64_t start = pair(cells(tree, "/chosen", "linux,initrd-start", 2));
		uint64_t end = pair(cells(tree, "/chosen", "linux,initrd-end", 2));

		require(start == fdt->initrd && end - start == fdt->initrd_size,
			"the initrd is where it was put");
	}
	require(has(tree, "/chosen", "stdout-path") == fdt->uart &&
			has(tree, "serial0", "compatible") == fdt->uart,
		"a serial port is named where there is one");
}

static void check_cpus(const void *tree, const struct arm_fdt *fdt)
{
	const fdt32_t *gic = cells(tree, "/interrupt-controller@8000000", "reg", 8);
	unsigned index = 0;
	int at;

	fdt_for_each_subnode(at, tree, fdt_path_offset(tree, "/cpus"))
	{
		int len = 0;
		const fdt32_t *reg = fdt_getprop(tree, at, "reg", &len);

		require(index < fdt->vcpus && reg && len == sizeof(*reg) &&
				fdt32_ld(reg) == (fdt->mpidr[index] & 0xffffff),
			"a CPU has its affinity");
		index++;
	}
	require(index == fdt->vcpus, "each CPU is there");
	require(pair(gic + 4) == GICR_GPA && pair(gic + 6) == fdt->vcpus * GICR_CPU_SIZE,
		"each CPU has a redistributor");
}

static void check_virtio(const void *tree, unsigned devices)
{
	unsigned count = 0;
	int at = -1;

	while ((at = fdt_node_offset_by_compatible(tree, at, "virtio,mmio")) >= 0) {
		count++;
	}
	require(count == devices, "each virtio device is there");
}

static void check_memory(const void *tree, const struct arm_layout *layout)
{
	const fdt32_t *memory = cells(tree, "/memory@40000000", "reg", 4);

	require(pair(memory) == RAM_GPA && pair(memory + 2) == layout->ram,
		"the memory is what it was");
}

static void check_windows(const void *tree, const struct arm_layout *layout)
{
	bool high = layout->mmio64.size > 0;
	const fdt32_t *ranges = cells(tree, "/pcie@3f000000", "ranges", high ? 14 : 7);

	require(pair(ranges + 3) == MMIO32_GPA && pair(ranges + 5) == MMIO32_SIZE,
		"the low window is there");
	if (high) {
		require(pair(ranges + 8) == layout->mmio64.base &&
				pair(ranges + 10) == layout->mmio64.base &&
				pair(ranges + 12) == layout->mmio64.size,
			"the high window is the layout's");
		require(layout->mmio64.base >= RAM_GPA + layout->ram, "windows are above RAM");
	}
}

/* ---- where it is ---- */

static uint8_t *room_end(void)
{
	static uint8_t *room;
	size_t len = FDT_SIZE + PAGE;

	if (!room) {
		room = mmap(NULL, len + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		require(room != MAP_FAILED && mprotect(room + len, PAGE, PROT_NONE) == 0, "memory");
	}
	return room + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t whole[FDT_SIZE / 8];
	struct fuzz_input in = {.data = data, .size = size};
	struct machine m = {0};
	uint8_t *end = room_end();
	uint8_t *buf;
	int needed;
	int ret;

	if (!read_machine(&m, &in)) {
		return 0;
	}
	needed = vmm_arm_fdt(&m.fdt, whole, sizeof(whole));
	require(needed > 0, "there is room for all that machines may have");
	require(fdt_check_full(whole, (size_t)needed) == 0, "it is a tree");
	check_chosen(whole, &m.fdt);
	check_cpus(whole, &m.fdt);
	check_memory(whole, &m.layout);
	check_virtio(whole, m.fdt.virtio);
	if (m.fdt.no_pci) {
		require(fdt_path_offset(whole, "/pcie@3f000000") < 0, "there is no PCI");
	} else {
		check_windows(whole, &m.layout);
	}

	buf = end - ((m.cap + 7) & ~(size_t)7);
	memset(buf - MARGIN, 0xee, (size_t)(end - buf) + MARGIN);
	ret = vmm_arm_fdt(&m.fdt, buf, m.cap);
	if (m.cap < (size_t)needed) {
		require(ret == -ENOSPC, "what does not fit is refused");
	} else {
		require(ret == needed && memcmp(buf, whole, (size_t)needed) == 0,
			"what fits is the same tree");
	}
	for (size_t i = 1; i <= MARGIN; i++) {
		require(buf[-(ptrdiff_t)i] == 0xee, "nothing is written before the buffer");
	}
	for (const uint8_t *p = buf + m.cap; p < end; p++) {
		require(*p == 0xee, "nothing is written behind the buffer");
	}
	return 0;
}
