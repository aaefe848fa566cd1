/* SPDX-License-Identifier: MIT */
/*
 * The test payload: an operating system of a few scenarios. The command line names one; what it
 * finds is said on the serial port, and the runner (test_guest.c) compares. Any line that starts
 * with BAD is a failure.
 */
#include "shm.h"
#include "virtio.h"

#define SCRATCH      0x3ffu /* of the test's serial port: how often the machine was reset */
#define MARK_GPA     0x30000u
#define MARK         0x6b72616dul
#define RESETS       3u
#define POLLS_MAX    2000000u
#define MMIO_GPA     0xfeb00000u /* the first place for a virtio-mmio device, and its line */
#define MMIO_LINE    16u
#define MMIO_CAUSE   0x60u
#define MMIO_ACK     0x64u
#define PM_EVENTS    0x604u
#define PM_GSI       5u
#define KBD_COMMAND  0x64u
#define KBD_RESET    0xfeu
#define SLEEP_S5     0x34u /* enable, type 5 */
#define LAPIC_ICR    0xfee00300u
#define ICR_HIGH     0xfee00310u
#define ICR_INIT_ALL 0x000c4500u /* all but this one */
#define ICR_SIPI_ALL 0x000c4600u
#define AP_PAGE      0x8000u
#define AP_COUNT     0x900u
#define NOTHING_GPA  0xd8000000ul /* in the 32-bit window, where no BAR is */
#define RANDOM_LEN   64u
#define SPINS        2000u

static struct acpi acpi;

static bool is(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void power_off(void)
{
	out8(acpi.sleep_port, SLEEP_S5);
	bad("still running after power-off");
}

static void reset(void)
{
	out8(acpi.reset_port, acpi.reset_value);
	bad("still running after reset");
}

/* Every RAM range of the map: its last page holds what is written there. */
static void memory(const struct start_info *info)
{
	for (uint32_t i = 0; i < info->map_count; i++) {
		const struct map_entry *e = (const struct map_entry *)info->map + i;
		uint64_t last = e->gpa + e->size - 8;

		if (e->type != MAP_RAM) {
			continue;
		}
		if (get64(last) != 0) {
			bad("RAM is not zero");
		}
		put64(last, 0x1122334455667788ul + i);
		if (get64(last) != 0x1122334455667788ul + i) {
			bad("RAM does not hold");
		}
		say("ram");
		say_hex(e->gpa);
		say_hex(e->size);
		say_end();
	}
	if (info->module_count == 1) {
		const struct module *m = (const struct module *)info->modules;

		say("initrd");
		say_hex(m->size);
		say_hex(get8(m->gpa));
		say_hex(get8(m->gpa + m->size - 1));
		say_end();
	}
}

/* Both ways into configuration space see the same. */
static void pci(void)
{
	for (unsigned slot = 0; slot < 32; slot++) {
		uint32_t id = get32(pci_ecam(&acpi, slot, 0));

		if (pci_read_ports(slot, 0) != id) {
			bad("ports and ECAM differ");
		}
		if (id != 0xffffffffu) {
			say("pci");
			say_hex(slot);
			say_hex(id);
			say_hex(get32(pci_ecam(&acpi, slot, 8)) >> 16);
			say_end();
		}
	}
}

/* The first device that the machine has. */
static bool find(bool mmio, struct virtio *v)
{
	if (mmio) {
		ioapic_route(MMIO_LINE);
		return virtio_find_mmio(MMIO_GPA, v);
	}
	if (!virtio_find_pci(&acpi, 1, v)) {
		return false;
	}
	virtio_use_interrupts(v);
	return true;
}

/* What a virtio-mmio device says its interrupt was about, and that it takes the answer. */
static void acknowledge(const struct virtio *v, bool interrupt)
{
	if (get32(v->registers + MMIO_CAUSE) != interrupt) {
		bad("the interrupt's cause");
	}
	put32(v->registers + MMIO_ACK, 1);
	if (get32(v->registers + MMIO_CAUSE) != 0) {
		bad("the interrupt is not acknowledged");
	}
}

/* One buffer through queue 0: how much of it the device has filled, or -1. */
static int fill(bool mmio, void *buf, uint32_t len, bool interrupt)
{
	static struct queue q;
	uint32_t before = interrupts;
	struct virtio v;
	uint32_t got;

	if (!find(mmio, &v) || !virtio_begin(&v, 0) || !queue_start(&q, &v, 0, 8) ||
	    !virtio_ready(&v)) {
		return -1;
	}
	q.desc[0] =
		(struct virtio_desc){.addr = (uint64_t)buf, .len = len, .flags = VIRTIO_DESC_WRITE};
	queue_want_interrupts(&q, interrupt);
	queue_offer(&q, 0);
	queue_kick(&q);
	if (interrupt) {
		while (interrupts == before) {
			wait_interrupt();
		}
	}
	for (unsigned i = 0; !queue_has_done(&q) && i < POLLS_MAX; i++) {
		__asm__ volatile("pause");
	}
	if (mmio) {
		acknowledge(&v, interrupt);
	}
	return queue_has_done(&q) && queue_take(&q, &got) == 0 ? (int)got : -1;
}

static void rng(bool mmio, bool interrupt)
{
	static uint8_t bytes[RANDOM_LEN];
	int got;
	unsigned other = 0;

	interrupts_init();
	got = fill(mmio, bytes, sizeof(bytes), interrupt);
	for (unsigned i = 1; i < sizeof(bytes); i++) {
		other += bytes[i] != bytes[0];
	}
	say("rng");
	say_hex((uint32_t)got);
	say(other > 16 ? " random" : " constant");
	say_hex(interrupts);
	say_end();
}

/* The others start in real mode and count themselves. */
static void smp(void)
{
	for (unsigned i = 0; ap_code + i < ap_code_end; i++) {
		put8(AP_PAGE + i, ap_code[i]);
	}
	put32(ICR_HIGH, 0);
	put32(LAPIC_ICR, ICR_INIT_ALL);
	put32(LAPIC_ICR, ICR_SIPI_ALL | AP_PAGE >> 12);
	while (get16(AP_COUNT) != acpi.cpus - 1) {
		__asm__ volatile("pause");
	}
	say("cpus");
	say_hex(get16(AP_COUNT) + 1u);
	say_end();
}

/* Resets itself until it happened often enough; nothing in RAM survives. */
static void resets(bool keyboard)
{
	unsigned count = in8(SCRATCH);

	say("boot");
	say_hex(count);
	say_end();
	if (get32(MARK_GPA) != 0) {
		bad("RAM survived the reset");
	}
	put32(MARK_GPA, (uint32_t)MARK);
	if (count < RESETS) {
		if (keyboard) {
			out8(KBD_COMMAND, KBD_RESET);
		} else {
			reset();
		}
	}
}

static void button(void)
{
	interrupts_init();
	ioapic_route(PM_GSI);
	say("waiting\n");
	while (interrupts == 0) {
		wait_interrupt();
	}
	say("button");
	say_hex(in8(PM_EVENTS));
	say_hex(in8(PM_EVENTS)); /* acknowledged by the first read */
	say_end();
}

static void spin(void)
{
	for (unsigned i = 0; i < SPINS; i++) {
		say(".");
	}
	say_end();
}

/* Nothing answers: all ones, and writes vanish. A string instruction does as many accesses as it
 * says. */
static void nothing(void)
{
	static const char text[] = "a string at once\n";
	const char *from = text;
	uint64_t count = sizeof(text) - 1;

	put32(NOTHING_GPA, 1);
	if (get32(NOTHING_GPA) != 0xffffffffu || get64(NOTHING_GPA) != UINT64_MAX ||
	    get8(NOTHING_GPA) != 0xff || in8(0x5000) != 0xff || in32(0x5000) != 0xffffffffu) {
		bad("something is where nothing should be");
	}
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0x3f8) : "memory");
}

/* No descriptor table, then an invalid instruction. */
static void fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0};

	say("fault\n");
	load_idt(&none);
	__asm__ volatile("ud2");
}

static void idle(void)
{
	for (;;) {
		__asm__ volatile("pause");
	}
}

static void scenario(const struct start_info *info, const char *name)
{
	if (is(name, "memory")) {
		memory(info);
	} else if (is(name, "pci")) {
		pci();
	} else if (is(name, "rng")) {
		rng(false, false);
	} else if (is(name, "msix")) {
		rng(false, true);
	} else if (is(name, "mmio")) {
		rng(true, false);
	} else if (is(name, "mmio-edge")) {
		rng(true, true);
	} else if (is(name, "smp")) {
		smp();
	} else if (is(name, "reset")) {
		resets(false);
	} else if (is(name, "keyboard")) {
		resets(true);
	} else if (is(name, "msix-reset")) {
		rng(false, true);
		resets(false);
	} else if (is(name, "mmio-reset")) {
		rng(true, true);
		resets(false);
	} else if (is(name, "smp-reset")) {
		smp();
		resets(false);
	} else if (is(name, "button")) {
		button();
	} else if (is(name, "spin")) {
		spin();
	} else if (is(name, "nothing")) {
		nothing();
	} else if (is(name, "fault")) {
		fault();
	} else if (is(name, "shm-mmio")) {
		shm_mmio();
	} else if (is(name, "shm-ring")) {
		shm_ring(&acpi);
	} else if (name[0] == 's' && name[1] == 'h' && name[3] == '-') {
		shm_pci(&acpi, name + 4);
	} else if (is(name, "idle")) {
		say("idle\n");
		idle();
	} else {
		bad("no such scenario");
	}
}

void payload_main(const struct start_info *info);

void payload_main(const struct start_info *info)
{
	if (!acpi_read(info->rsdp, &acpi)) {
		bad("ACPI tables");
	}
	scenario(info, (const char *)info->cmdline);
	say("done\n");
	power_off();
}
