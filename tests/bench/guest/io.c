/* SPDX-License-Identifier: MIT */
#include "io.h"

#include <stddef.h>

#define COM1     0x3f8u
#define PM_SLEEP 0x601u
#define SLEEP_S5 0x34u
#define SLOTS    32u

void payload_main(const struct start_info *info);

uint8_t arena[ARENA_SIZE] __attribute__((aligned(4096)));

static const char *cmdline;
static uint64_t rsdp;

static const struct job {
	const char *name;
	void (*run)(void);
} jobs[] = {
	{"blk", job_blk},         {"transmit", job_transmit}, {"echo", job_echo},
	{"receive", job_receive}, {"console", job_console},   {"serial", job_serial},
	{"exit", job_exit},
};

/* ---- the command line ---- */

/* What follows text in p, or NULL. */
static const char *behind(const char *p, const char *text)
{
	while (*text && *p == *text) {
		p++;
		text++;
	}
	return *text ? NULL : p;
}

static bool ends(char c)
{
	return c == '\0' || c == ' ';
}

static const char *find(const char *key)
{
	bool begins = true;

	for (const char *p = cmdline; *p; p++) {
		const char *value = begins ? behind(p, key) : NULL;

		if (value && *value == '=') {
			return value + 1;
		}
		begins = *p == ' ';
	}
	return NULL;
}

static unsigned digit(char c)
{
	if (c >= '0' && c <= '9') {
		return (unsigned)(c - '0');
	}
	return (unsigned)((c | 0x20) - 'a' + 10);
}

/* Decimal, or hexadecimal behind 0x; *p is where it ends. */
static uint64_t number(const char **p)
{
	unsigned base = 10;
	uint64_t value = 0;

	if ((*p)[0] == '0' && (*p)[1] == 'x') {
		base = 16;
		*p += 2;
	}
	for (; !ends(**p) && digit(**p) < base; (*p)++) {
		value = value * base + digit(**p);
	}
	return value;
}

uint64_t option(const char *key, uint64_t otherwise)
{
	const char *value = find(key);

	return value ? number(&value) : otherwise;
}

bool option_is(const char *key, const char *value)
{
	const char *given = find(key);

	given = given ? behind(given, value) : NULL;
	return given && ends(*given);
}

/* ---- output ---- */

void print(const char *key, uint64_t value)
{
	char digits[21];
	unsigned at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	say(key);
	say(" ");
	say(digits + at);
	say_end();
}

/* Power-off as libvmm has it, and where that is nothing, a triple fault. */
static void __attribute__((noreturn)) end_machine(void)
{
	out8(PM_SLEEP, SLEEP_S5);
	for (;;) {
		__asm__ volatile("ud2");
	}
}

void give_up(const char *why)
{
	bad(why);
	end_machine();
}

uint64_t rate(uint64_t n, uint64_t ticks)
{
	/* khz ticks a millisecond; n is far below 2^40. */
	return ticks == 0 ? 0 : n * 1000 * option("khz", 1) / ticks;
}

uint64_t nanoseconds(uint64_t ticks)
{
	return ticks * 1000000 / option("khz", 1);
}

void fill_bytes(void *p, uint8_t byte, uint64_t len)
{
	volatile uint8_t *bytes = p;

	for (uint64_t i = 0; i < len; i++) {
		bytes[i] = byte;
	}
}

/* ---- devices ---- */

static bool find_by_mmio(const char *where, uint32_t type, struct virtio *v)
{
	uint64_t part[3] = {0}; /* base, stride, count */

	for (unsigned i = 0; i < 3; i++) {
		part[i] = number(&where);
		where += *where == ',';
	}
	for (uint64_t i = 0; i < part[2]; i++) {
		if (virtio_find_mmio(part[0] + i * part[1], v) && v->type == type) {
			return true;
		}
	}
	return false;
}

static bool find_by_pci(uint32_t type, struct virtio *v)
{
	struct acpi acpi;

	if (!acpi_read(rsdp, &acpi) || acpi.ecam == 0) {
		return false;
	}
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (virtio_find_pci(&acpi, slot, v) && v->type == type) {
			return true;
		}
	}
	return false;
}

void find_device(uint32_t type, struct virtio *v)
{
	const char *where = find("mmio");

	if (!(where ? find_by_mmio(where, type, v) : find_by_pci(type, v))) {
		give_up("no such device");
	}
}

/* ---- */

static void run(const struct start_info *info)
{
	cmdline = (const char *)info->cmdline;
	rsdp = info->rsdp;
	if (!cmdline || option("khz", 0) == 0) {
		give_up("no khz=");
	}
	for (unsigned i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		const char *rest = behind(cmdline, jobs[i].name);

		if (rest && ends(*rest)) {
			jobs[i].run();
			end_machine();
		}
	}
	give_up("no such job");
}

void payload_main(const struct start_info *info)
{
	enter_user(run, info);
}
