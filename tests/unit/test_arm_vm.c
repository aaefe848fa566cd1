/* SPDX-License-Identifier: MIT */
/*
 * Guests of a few instructions on the aarch64 machine: power states by PSCI, secondary vCPUs,
 * accesses that KVM cannot decode. Built on aarch64 only, needs /dev/kvm with a GICv3.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmm/dev/chardev.h>
#include <vmm/dev/serial.h>
#include <vmm/vm.h>

#include "suite.h"

/*
 * An Image whose header is followed by the code. x0: the device tree. The serial port is at
 * 0x09000000. PSCI (DEN 0022): 0x84000008 SYSTEM_OFF, 0x84000009 SYSTEM_RESET, 0xc4000003 CPU_ON.
 */
#define GUEST(name, code)                                                                             \
	__asm__(".pushsection .rodata\n.balign 8\n.global guest_" #name "\nguest_" #name              \
		":\nb 1f\nnop\n.quad 0, 0x10000, 0, 0, 0, 0\n.ascii \"ARM\\x64\"\n.long 0\n1:\n" code \
		"\n9: wfi\nb 9b\n.global guest_" #name "_end\nguest_" #name                           \
		"_end:\n.popsection\n");                                                              \
	extern const uint8_t guest_##name[], guest_##name##_end[]

#define HVC(number) \
	"movz w0, #((" number ") & 0xffff)\nmovk w0, #((" number ") >> 16), lsl #16\nhvc #0\n"
#define PUT(byte) "mov x9, #0x09000000\nmov w10, #" byte "\nstrb w10, [x9]\n"

GUEST(off, PUT("'o'") HVC("0x84000008"));
GUEST(reset, PUT("'r'") HVC("0x84000009"));
GUEST(pair, PUT("'p'") "mov x9, #0x09000000\nldp x2, x3, [x9]\n" HVC("0x84000008"));
GUEST(hole, PUT("'h'") "mov x9, #0x0a000000\nldr w2, [x9]\ncmn w2, #1\nb.ne 9f\nstr w2, [x9]\n" HVC(
		    "0x84000008"));
/* vCPU 1 says 2 and switches off; vCPU 0 has turned it on at 2:, with context 0. */
GUEST(second, PUT("'1'") "movz x1, #1\nadr x2, 2f\nmov x3, #0\n"
			 "movz x0, #0x0003\nmovk x0, #0xc400, lsl #16\nhvc #0\ncbnz x0, 9f\nb 9f\n"
			 "2:\n" PUT("'2'") HVC("0x84000008"));
/* What a register of the interrupt controller was, is what a reset has to undo: 'c' when clean. */
GUEST(gic,
      "mov x9, #0x08000000\nldr w2, [x9, #0x104]\nmov w4, #'c'\nmov w5, #'d'\ncmp w2, #0\n"
      "csel w10, w4, w5, eq\nmov x11, #0x09000000\nstrb w10, [x11]\n"
      "mov w2, #0x37\nstr w2, [x9]\nmov w2, #0xff\nstr w2, [x9, #0x104]\nstr w2, [x9, #0x204]\n" HVC(
	      "0x84000009"));

static struct vmm_vm *vm;
static struct vmm_loop *loop;
static struct vmm_chardev *output;
static struct vmm_error err;
static unsigned reboots;
static unsigned stop_after;
static int pipe_fds[2];

static void on_reboot(void *ctx)
{
	(void)ctx;
	reboots++;
	if (reboots == stop_after) {
		vmm_vm_request_stop(vm);
	}
}

static int image(const uint8_t *start, const uint8_t *end)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, start, (size_t)(end - start)), end - start);
	return fd;
}

static void create(unsigned vcpus)
{
	struct vmm_vm_config config = {
		.memory_size = 16 << 20, .vcpus = vcpus, .on_reboot = on_reboot};
	struct vmm_fdchar_config file = {.in_fd = -1};
	struct vmm_serial_config serial = {0};
	struct vmm_platform_device *dev;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	file.out_fd = pipe_fds[1];
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	config.loop = loop;
	serial.loop = loop;
	ck_assert_msg(vmm_vm_create(&vm, &config, &err) == 0, "%s", err.message);
	ck_assert_int_eq(vmm_fdchar_create(&output, &file, &err), 0);
	serial.output = output;
	ck_assert_int_eq(vmm_serial_create(&dev, &serial, &err), 0);
	ck_assert_int_eq(vmm_vm_add_platform(vm, dev, &err), 0);
	reboots = 0;
	stop_after = 0;
}

/* Runs the guest to its end; text: what it wrote, len bytes at most. */
static struct vmm_exit run(const uint8_t *start, const uint8_t *end, char *text, size_t len)
{
	struct vmm_exit how;
	ssize_t got;

	ck_assert_msg(vmm_vm_set_kernel(vm, image(start, end), &err) == 0, "%s", err.message);
	ck_assert_msg(vmm_vm_start(vm, &err) == 0, "%s", err.message);
	ck_assert_int_eq(vmm_vm_wait(vm, &how), 0);
	vmm_vm_destroy(vm);
	vmm_chardev_destroy(output);
	vmm_loop_destroy(loop);
	(void)close(pipe_fds[1]);
	got = read(pipe_fds[0], text, len - 1);
	ck_assert_int_ge(got, 0);
	text[got] = '\0';
	(void)close(pipe_fds[0]);
	return how;
}

#define RUN(name) run(guest_##name, guest_##name##_end, text, sizeof(text))

START_TEST(arm_guest_switches_off)
{
	char text[16];
	struct vmm_exit how;

	create(1);
	how = RUN(off);
	ck_assert_int_eq(how.reason, VMM_EXIT_POWEROFF);
	ck_assert_str_eq(text, "o");
}
END_TEST

START_TEST(arm_guest_reboots_in_place)
{
	char text[32];
	struct vmm_exit how;

	create(2);
	stop_after = 10;
	how = RUN(reset);
	ck_assert_int_eq(how.reason, VMM_EXIT_STOPPED);
	ck_assert_uint_ge(reboots, 10);
	ck_assert_uint_ge(strspn(text, "r"), 10);
}
END_TEST

START_TEST(arm_guest_wakes_its_second_processor)
{
	char text[16];
	struct vmm_exit how;

	create(2);
	how = RUN(second);
	ck_assert_int_eq(how.reason, VMM_EXIT_POWEROFF);
	ck_assert_str_eq(text, "12");
}
END_TEST

START_TEST(arm_access_that_kvm_cannot_decode_is_a_crash)
{
	char text[16];
	struct vmm_exit how;

	create(1);
	how = RUN(pair);
	ck_assert_int_eq(how.reason, VMM_EXIT_CRASH);
	ck_assert_ptr_nonnull(strstr(how.detail, "decode"));
	ck_assert_str_eq(text, "p");
}
END_TEST

START_TEST(arm_access_where_nothing_is_reads_ones)
{
	char text[16];
	struct vmm_exit how;

	create(1);
	how = RUN(hole);
	ck_assert_int_eq(how.reason, VMM_EXIT_POWEROFF);
	ck_assert_str_eq(text, "h");
}
END_TEST

START_TEST(arm_reset_undoes_the_interrupt_controller)
{
	char text[32];
	struct vmm_exit how;

	create(1);
	stop_after = 5;
	how = RUN(gic);
	ck_assert_int_eq(how.reason, VMM_EXIT_STOPPED);
	ck_assert_uint_ge(strlen(text), 5);
	ck_assert_msg(strspn(text, "c") == strlen(text), "%s", text);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		arm_guest_switches_off,
		arm_guest_reboots_in_place,
		arm_guest_wakes_its_second_processor,
		arm_access_that_kvm_cannot_decode_is_a_crash,
		arm_access_where_nothing_is_reads_ones,
		arm_reset_undoes_the_interrupt_controller,
	};
	Suite *suite = suite_create("arm_vm");

	if (vmm_host_check(-1, &err) < 0) {
		(void)printf("skipped: %s\n", err.message);
		return 77;
	}
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, NULL, NULL);
	}
	return suite_finish(suite);
}
