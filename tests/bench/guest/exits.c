/* SPDX-License-Identifier: MIT */
/*
 * The guest of the rows that count instructions (../icount): a mark with its first instruction, one
 * byte on the serial port, then n=N accesses of each kind, each series between two marks. Ends as
 * hello.c does. It stays in ring 0: the lab it is counted in has hardware virtualization, if
 * emulated.
 */
#include "../icount/mark.h"
#include "virtio.h"

#define COM1      0x3f8u
#define PM_SLEEP  0x601u
#define SLEEP_S5  0x34u
#define NO_PORT   0x5f0u
#define NO_DEVICE UINT64_C(0xd8000000)

#define VIRTIO_RNG 4u
#define SETTLE     20000000u

/* Where QEMU's microvm has its devices. */
#define MMIO_GPA   UINT64_C(0xfeb00000)
#define MMIO_STEP  0x200u
#define MMIO_SLOTS 24u

/* An access a few times before it is counted, so that nothing is done for the first time; then
 * between two marks. */
#define SERIES(number, n, access)                       \
	do {                                            \
		for (unsigned i_ = 0; i_ < 8; i_++) {   \
			access;                         \
		}                                       \
		MARK(MARK_GUEST + 2 * (number));        \
		for (unsigned i_ = 0; i_ < (n); i_++) { \
			access;                         \
		}                                       \
		MARK(MARK_GUEST + 2 * (number) + 1);    \
	} while (0)

static struct queue queue;

void payload_main(const struct start_info *info);

/* The number behind "n=", which is all that the command line has to begin with; VMMs may add to it.
 */
static unsigned times(const char *word)
{
	unsigned n = 0;

	if (!word || word[0] != 'n' || word[1] != '=') {
		return 0;
	}
	for (word += 2; *word >= '0' && *word <= '9'; word++) {
		n = n * 10 + (unsigned)(*word - '0');
	}
	return n;
}

static bool find_mmio(struct virtio *v)
{
	for (unsigned i = 0; i < MMIO_SLOTS; i++) {
		if (virtio_find_mmio(MMIO_GPA + i * MMIO_STEP, v) && v->type == VIRTIO_RNG) {
			return true;
		}
	}
	return false;
}

static bool find_pci(uint64_t rsdp, struct virtio *v)
{
	struct acpi acpi;

	if (!rsdp || !acpi_read(rsdp, &acpi)) {
		return false;
	}
	for (unsigned slot = 0; slot < 32; slot++) {
		if (virtio_find_pci(&acpi, slot, v) && v->type == VIRTIO_RNG) {
			return true;
		}
	}
	return false;
}

/* Starts the entropy device, which will find its queue empty each time. */
static bool start_device(const struct start_info *info)
{
	struct virtio v;

	return (find_mmio(&v) || find_pci(info->rsdp, &v)) && virtio_begin(&v, 0) &&
	       queue_start(&queue, &v, 0, 8) && virtio_ready(&v);
}

static void all_series(const struct start_info *info, unsigned n)
{
	/* One processor runs all there is in that lab: until other processes of the VMM have
	 * started, too. */
	for (unsigned i = 0; i < SETTLE; i++) {
		__asm__ volatile("pause");
	}
	SERIES(1, n, out8(NO_PORT, 1));
	SERIES(2, n, (void)in8(NO_PORT));
	SERIES(3, n, put32(NO_DEVICE, 1));
	SERIES(4, n, (void)get32(NO_DEVICE));
	if (!start_device(info)) {
		return;
	}
	if (queue.notify_bytes == 4) {
		SERIES(5, n, put32(queue.notify, 0));
	} else {
		SERIES(5, n, put16(queue.notify, 0));
	}
}

void payload_main(const struct start_info *info)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) no_idt = {0, 0};
	unsigned n;

	MARK(MARK_GUEST);
	out8(COM1, '!');
	n = times((const char *)(uintptr_t)info->cmdline);
	if (n > 0) {
		all_series(info, n);
	}
	out8(PM_SLEEP, SLEEP_S5);
	__asm__ volatile("lidt %0; ud2" : : "m"(no_idt));
}
