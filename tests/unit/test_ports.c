/* SPDX-License-Identifier: MIT */
/*
 * Every I/O port of a VM, in every width: the devices that others could not keep safe (floppy, ISA
 * DMA, a firmware's mailbox) are not there, and what is there takes any access.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/serial.h>
#include <vmm/vm.h>

#include "suite.h"
#include "vm/internal.h"

static struct vmm_vm *vm;
static struct vmm_loop *loop;

/* All there is: docs/architecture.md and the ACPI tables name the same. */
static const struct {
	unsigned first;
	unsigned last;
} ports[] = {
	{0x64, 0x64},   /* keyboard controller: reset */
	{0x3f8, 0x3ff}, /* COM1 */
	{0x600, 0x607}, /* power management */
	{0xcf8, 0xcff}, /* PCI configuration */
};

static bool is_there(unsigned port, unsigned len)
{
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		if (port >= ports[i].first && port + len - 1 <= ports[i].last) {
			return true;
		}
	}
	return false;
}

static void setup(void)
{
	struct vmm_vm_config config = {.memory_size = 16 << 20};
	struct vmm_serial_config serial = {0};
	struct vmm_platform_device *uart;
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	config.loop = loop;
	serial.loop = loop;
	ck_assert_msg(vmm_vm_create(&vm, &config, &err) == 0, "%s", err.message);
	ck_assert_int_eq(vmm_serial_create(&uart, &serial, &err), 0);
	ck_assert_int_eq(vmm_vm_add_platform(vm, uart, &err), 0);
}

static void teardown(void)
{
	vmm_vm_destroy(vm);
	vmm_loop_destroy(loop);
}

static uint64_t ones(unsigned len)
{
	return (UINT64_C(1) << (8 * len)) - 1;
}

START_TEST(ports_without_a_device_read_ones_and_take_nothing)
{
	unsigned there = 0;

	for (unsigned len = 1; len <= 4; len *= 2) {
		for (unsigned port = 0; port + len <= 0x10000; port++) {
			uint64_t value = 0;
			bool answered = vmm_bus_read(vm->pio, port, len, &value);

			if (answered != is_there(port, len)) {
				ck_abort_msg("port 0x%x, %u bytes", port, len);
			}
			if (!answered) {
				SUITE_REQUIRE(value == ones(len));
				SUITE_REQUIRE(!vmm_bus_write(vm->pio, port, len, ones(len)));
			}
			there += answered;
		}
	}
	ck_assert_uint_eq(there, 25 + 21 + 15);
}
END_TEST

/* Whatever is written: the device goes on, and reads tell nothing but what belongs to the port. */
START_TEST(ports_with_a_device_take_any_access)
{
	static const uint64_t values[] = {0, 1, 0x20, 0x80, 0xfe, 0xff, 0x80000000, 0xffffffff};

	for (unsigned round = 0; round < 4096; round++) {
		for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
			unsigned len = 1u << round % 3;
			unsigned port =
				ports[i].first + round * 7 % (ports[i].last - ports[i].first + 1);
			uint64_t value = values[(round / 8 + i) % 8];

			(void)vmm_bus_write(vm->pio, port, len, value);
			(void)vmm_bus_read(vm->pio, port, len, &value);
			SUITE_REQUIRE(value <= ones(len));
		}
		(void)vmm_loop_dispatch(loop, 0);
	}
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_CONFIGURING);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ports");
	struct vmm_error err = {0};

	if (vmm_host_check(-1, &err) < 0) {
		(void)printf("skipped: %s\n", err.message);
		return 77;
	}
	suite_add(suite, ports_without_a_device_read_ones_and_take_nothing, 1, setup, teardown);
	suite_add(suite, ports_with_a_device_take_any_access, 1, setup, teardown);
	return suite_finish(suite);
}
