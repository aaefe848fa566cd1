/* SPDX-License-Identifier: MIT */
/*
 * The guest of the rows that count instructions (../icount): a mark with its first instruction, one
 * byte on the serial port, then n=N accesses of each kind, each series between two marks. Ends as
 * hello.c does. It stays in ring 0: the lab it is counted in has hardware virtualization, if
 * emulated.
 */
#include "../icount/mark.h"
#include "hw.h"

#define COM1      0x3f8u
#define PM_SLEEP  0x601u
#define SLEEP_S5  0x34u
#define NO_PORT   0x5f0u
#define NO_DEVICE UINT64_C(0xd8000000)

#define VIRTIO_RNG 4u
#define SETTLE     20000000u

/* virtio-mmio (VIRTIO 1.2 section 4.2.2), at one of the places where QEMU's microvm has them. */
#define MMIO_GPA            UINT64_C(0xfeb00000)
#define MMIO_STEP           0x200u
#define MMIO_SLOTS          24u
#define MMIO_MAGIC          0x74726976u
#define MMIO_DEVICE         0x08u
#define DRIVER_FEATURES     0x20u
#define DRIVER_FEATURES_SEL 0x24u
#define QUEUE_NUM           0x38u
#define QUEUE_READY         0x44u
#define QUEUE_NOTIFY        0x50u
#define STATUS              0x70u
#define QUEUE_DESC          0x80u
#define QUEUE_DRIVER        0x90u
#define QUEUE_DEVICE        0xa0u
#define STATUS_FEATURES_OK  0x0bu
#define STATUS_DRIVER_OK    0x0fu

#define QUEUE_SIZE 8u

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

static struct virtio_desc descs[QUEUE_SIZE] __attribute__((aligned(16)));
static volatile uint16_t avail[3 + QUEUE_SIZE] __attribute__((aligned(2)));
static volatile uint32_t used[2 + 2 * QUEUE_SIZE] __attribute__((aligned(4)));

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

/* Where a device is notified, and by a write of how many bytes. */
struct notify {
	uint64_t gpa; /* 0: there is no device */
	bool wide;    /* four, else two */
};

static struct notify start_mmio(uint64_t gpa)
{
	put32(gpa + STATUS, 0);
	put32(gpa + STATUS, 1);
	put32(gpa + STATUS, 3);
	put32(gpa + DRIVER_FEATURES_SEL, 1);
	put32(gpa + DRIVER_FEATURES, 1); /* VERSION_1 is bit 32 */
	put32(gpa + STATUS, STATUS_FEATURES_OK);
	put32(gpa + QUEUE_NUM, QUEUE_SIZE);
	/* Everything here is below 4 GiB: the high halves stay zero. */
	put32(gpa + QUEUE_DESC, (uint32_t)(uint64_t)descs);
	put32(gpa + QUEUE_DRIVER, (uint32_t)(uint64_t)avail);
	put32(gpa + QUEUE_DEVICE, (uint32_t)(uint64_t)used);
	put32(gpa + QUEUE_READY, 1);
	put32(gpa + STATUS, STATUS_DRIVER_OK);
	return (struct notify){gpa + QUEUE_NOTIFY, true};
}

static struct notify start_pci(uint64_t rsdp)
{
	const struct virtio_ring ring = {QUEUE_SIZE, descs, avail, used};
	struct virtio_blocks blocks;
	struct notify none = {0};
	struct acpi acpi;

	if (!rsdp || !acpi_read(rsdp, &acpi)) {
		return none;
	}
	for (unsigned slot = 0; slot < 32; slot++) {
		if (get32(pci_ecam(&acpi, slot, 0)) == (0x10401af4u + (VIRTIO_RNG << 16)) &&
		    virtio_find(&acpi, slot, &blocks) && virtio_start(&blocks, &ring)) {
			return (struct notify){virtio_notify_address(&blocks), false};
		}
	}
	return none;
}

/* Starts the entropy device, which will find its queue empty each time. */
static struct notify start_device(const struct start_info *info)
{
	for (unsigned i = 0; i < MMIO_SLOTS; i++) {
		uint64_t gpa = MMIO_GPA + i * MMIO_STEP;

		if (get32(gpa) == MMIO_MAGIC && get32(gpa + MMIO_DEVICE) == VIRTIO_RNG) {
			return start_mmio(gpa);
		}
	}
	return start_pci(info->rsdp);
}

static void all_series(const struct start_info *info, unsigned n)
{
	struct notify notify;

	/* One processor runs all there is in that lab: until other processes of the VMM have
	 * started, too. */
	for (unsigned i = 0; i < SETTLE; i++) {
		__asm__ volatile("pause");
	}
	SERIES(1, n, out8(NO_PORT, 1));
	SERIES(2, n, (void)in8(NO_PORT));
	SERIES(3, n, put32(NO_DEVICE, 1));
	SERIES(4, n, (void)get32(NO_DEVICE));
	notify = start_device(info);
	if (notify.wide) {
		SERIES(5, n, put32(notify.gpa, 0));
	} else if (notify.gpa) {
		SERIES(5, n, put16(notify.gpa, 0));
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
