/* SPDX-License-Identifier: MIT */
/* What the payload does with a device that has shared memory (VIRTIO 1.2 section 2.10). */
#include "shm.h"

#include "virtio.h"

#define MMIO_GPA  0xfeb00000u
#define SHM_SEL   0xacu
#define SHM_LEN   0xb0u
#define SHM_BASE  0xb8u
#define COMMAND   4u
#define DECODE    2u
#define STATUS_NR 0x40u

static uint64_t get64_by_halves(uint64_t gpa)
{
	return get32(gpa) | (uint64_t)get32(gpa + 4) << 32;
}

static bool start(struct virtio *v)
{
	return virtio_begin(v, 0) && virtio_ready(v);
}

/* Reads what the host has put there and answers. */
static void use(uint64_t at)
{
	say("shm");
	say_hex(get64(at + SHM_FIRST));
	say_hex(get64(at + SHM_LAST + SHM_PAGE - 8));
	say_end();
	put64(at + SHM_FIRST + 8, SHM_ANSWER);
}

static void move(const struct virtio *v, uint64_t gpa)
{
	put32(v->shm_bar, (uint32_t)gpa);
	put32(v->shm_bar + 4, (uint32_t)(gpa >> 32));
}

/* The memory follows its BAR, and is not there while that decodes nowhere. */
static void use_moved(const struct virtio *v)
{
	uint64_t command = (v->shm_bar & ~UINT64_C(0xff)) + COMMAND;

	put16(command, 0);
	if (get64(v->shm + SHM_FIRST) != UINT64_MAX) {
		bad("memory without decoding");
	}
	put16(command, DECODE);
	use(v->shm);
	move(v, SHM_RAM);
	if (get64(SHM_RAM) != 0 || get64(v->shm + SHM_FIRST) != UINT64_MAX) {
		bad("a BAR in RAM");
	}
	move(v, v->shm);
	use(v->shm);
}

void shm_pci(const struct acpi *acpi, const char *what)
{
	struct virtio v;

	if (!virtio_find_pci(acpi, 1, &v) || v.shm_len == 0) {
		bad("no device with shared memory");
		return;
	}
	say("region");
	say_hex(v.shm_len);
	say_hex(v.shm % v.shm_len);
	say_end();
	if (get64(v.shm + SHM_FIRST) != UINT64_MAX) {
		bad("memory before anybody mapped any");
	}
	if (!start(&v)) {
		bad("the device does not start");
	}
	switch (what[0]) {
	case 'u':
		use(v.shm);
		break;
	case 'm':
		use_moved(&v);
		break;
	case 'h':
		say("hole");
		say_hex(get64(v.shm + SHM_HOLE));
		say_end();
		break;
	case 'w':
		put64(v.shm + SHM_READ_ONLY, 1);
		break;
	case 'r':
		use(v.shm);
		virtio_put(&v, VIRTIO_STATUS, 0);
		if (get64(v.shm + SHM_FIRST) != UINT64_MAX) {
			bad("memory after a reset");
		}
		break;
	default:
		bad("no such test");
	}
}

/* A ring where no RAM is. */
void shm_ring(const struct acpi *acpi)
{
	static struct queue q;
	struct virtio v;

	if (!virtio_find_pci(acpi, 1, &v) || !virtio_begin(&v, 0) || !queue_start(&q, &v, 0, 8)) {
		bad("no device");
		return;
	}
	(void)virtio_ready(&v);
	virtio_put(&v, VIRTIO_STATUS, 0);
	if (!virtio_begin(&v, 0)) {
		bad("the device does not begin again");
	}
	virtio_put(&v, VIRTIO_QUEUE_SELECT, 0);
	virtio_put_address(&v, VIRTIO_QUEUE_DESC, (void *)(v.shm + SHM_FIRST));
	virtio_put_address(&v, VIRTIO_QUEUE_DRIVER, q.avail);
	virtio_put_address(&v, VIRTIO_QUEUE_DEVICE, q.used);
	virtio_put(&v, VIRTIO_QUEUE_ENABLE, 1);
	(void)virtio_ready(&v);
	say("ring");
	say_hex(virtio_get(&v, VIRTIO_STATUS) & STATUS_NR);
	say_end();
}

void shm_mmio(void)
{
	struct virtio v;
	uint64_t base;

	if (!virtio_find_mmio(MMIO_GPA, &v)) {
		bad("no device");
		return;
	}
	put32(v.registers + SHM_SEL, SHM_ID + 1);
	if (get64_by_halves(v.registers + SHM_LEN) != UINT64_MAX) {
		bad("a region that there is not");
	}
	put32(v.registers + SHM_SEL, SHM_ID);
	base = get64_by_halves(v.registers + SHM_BASE);
	say("region");
	say_hex(get64_by_halves(v.registers + SHM_LEN));
	say_hex(base % get64_by_halves(v.registers + SHM_LEN));
	say_end();
	if (!start(&v)) {
		bad("the device does not start");
	}
	use(base);
}
