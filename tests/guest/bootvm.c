/* SPDX-License-Identifier: MIT */
/*
 * Boots one VM with the library alone, its serial port on stdout: what tests of stock kernels run.
 *
 *	bootvm -k KERNEL [-i INITRD] [-a CMDLINE] [-c VCPUS] [-m MIB] [-r] [-B N] [-p SECONDS] [-R]
 *
 * -r: a guest reset ends it; -B N: the power button is pressed once the guest has written its N-th
 * line; -p S: pause for a moment every S seconds; -R: with a random number generator.
 * Prints how the VM ended on stderr. Exit status: 0 power-off, 3 reset, 4 crash, 5 error, 1 it did
 * not start.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/rng.h>
#include <vmm/vm.h>

#include "uart.h"

struct options {
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	unsigned vcpus;
	unsigned long mib;
	bool reset_stops;
	unsigned long button_line;
	unsigned long pause_seconds;
	bool rng;
};

struct boot {
	struct options options;
	struct vmm_vm *vm;
	struct uart uart;
	unsigned long lines;
	struct vmm_work press;
	struct vmm_source *timer;
	unsigned reboots;
};

static void put(void *ctx, char c)
{
	struct boot *boot = ctx;

	(void)putchar(c);
	if (c == '\n') {
		(void)fflush(stdout);
		if (++boot->lines == boot->options.button_line) {
			vmm_loop_post(vmm_vm_loop(boot->vm), &boot->press);
		}
	}
}

static void press(void *ctx)
{
	struct boot *boot = ctx;
	int ret = vmm_vm_power_button(boot->vm);

	(void)fprintf(stderr, "bootvm: power button: %d\n", ret);
}

static void pause_now(void *ctx)
{
	struct boot *boot = ctx;
	int paused = vmm_vm_pause(boot->vm);

	(void)usleep(200000);
	(void)fprintf(stderr, "bootvm: pause %d resume %d\n", paused, vmm_vm_resume(boot->vm));
	(void)vmm_source_arm(boot->timer, boot->options.pause_seconds * UINT64_C(1000000000));
}

static void on_reboot(void *ctx)
{
	struct boot *boot = ctx;

	boot->reboots++;
	(void)fprintf(stderr, "bootvm: reboot %u\n", boot->reboots);
}

static void log_line(void *user, enum vmm_log_level level, const char *message)
{
	(void)user;
	(void)fprintf(stderr, "bootvm: <%d> %s\n", (int)level, message);
}

static int parse(struct options *o, int argc, char **argv)
{
	int c;

	o->cmdline = "console=ttyS0";
	o->vcpus = 1;
	o->mib = 512;
	while ((c = getopt(argc, argv, "k:i:a:c:m:rB:p:R")) != -1) {
		switch (c) {
		case 'k':
			o->kernel = optarg;
			break;
		case 'i':
			o->initrd = optarg;
			break;
		case 'a':
			o->cmdline = optarg;
			break;
		case 'c':
			o->vcpus = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			o->mib = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			o->reset_stops = true;
			break;
		case 'B':
			o->button_line = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			o->pause_seconds = strtoul(optarg, NULL, 10);
			break;
		case 'R':
			o->rng = true;
			break;
		default:
			return -1;
		}
	}
	return o->kernel && optind == argc ? 0 : -1;
}

static int open_image(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		perror(path);
	}
	return fd;
}

/* Descriptors and devices that were not taken on failure go with the process. */
static int build(struct boot *boot, struct vmm_error *err)
{
	const struct options *o = &boot->options;
	struct vmm_virtio_device *rng;
	int ret = vmm_vm_set_kernel(boot->vm, open_image(o->kernel), err);

	if (ret == 0 && o->initrd) {
		ret = vmm_vm_set_initrd(boot->vm, open_image(o->initrd), err);
	}
	if (ret == 0) {
		ret = vmm_vm_set_cmdline(boot->vm, o->cmdline, err);
	}
	if (ret == 0) {
		uart_init(&boot->uart, put, boot);
		ret = vmm_vm_add_platform(boot->vm, &boot->uart.base, err);
	}
	if (ret == 0 && o->rng) {
		ret = vmm_rng_create(&rng, err);
		if (ret == 0) {
			ret = vmm_vm_add_virtio(boot->vm, "rng0", rng, err);
		}
	}
	if (ret == 0 && o->pause_seconds) {
		ret = vmm_loop_add_timer(vmm_vm_loop(boot->vm), pause_now, boot, &boot->timer);
	}
	return ret;
}

static int run(struct boot *boot, struct vmm_error *err)
{
	static const char *const reasons[] = {"none",    "poweroff", "reset",
					      "stopped", "crash",    "error"};
	static const int status[] = {1, 0, 3, 0, 4, 5};
	struct vmm_exit how;
	int ret = vmm_vm_start(boot->vm, err);

	if (ret < 0) {
		return ret;
	}
	if (boot->timer) {
		(void)vmm_source_arm(boot->timer,
				     boot->options.pause_seconds * UINT64_C(1000000000));
	}
	ret = vmm_vm_wait(boot->vm, &how);
	if (ret < 0) {
		return ret;
	}
	(void)fflush(stdout);
	(void)fprintf(stderr, "bootvm: ended: %s%s%s, %u reboots\n", reasons[how.reason],
		      how.detail ? ": " : "", how.detail ? how.detail : "", boot->reboots);
	return status[how.reason];
}

int main(int argc, char **argv)
{
	const struct vmm_log log = {.level = VMM_LOG_INFO, .sink = log_line};
	struct vmm_vm_config config = {.log = &log, .on_reboot = on_reboot};
	struct vmm_error err = {0};
	struct boot boot = {.press = {.fn = press, .ctx = &boot}};
	int ret;

	if (parse(&boot.options, argc, argv) < 0) {
		(void)fprintf(stderr, "usage: see the first lines of bootvm.c\n");
		return 2;
	}
	config.ctx = &boot;
	config.memory_size = (uint64_t)boot.options.mib << 20;
	config.vcpus = boot.options.vcpus;
	config.reset_stops = boot.options.reset_stops;
	ret = vmm_vm_create(&boot.vm, &config, &err);
	if (ret == 0) {
		ret = build(&boot, &err);
	}
	if (ret == 0) {
		ret = run(&boot, &err);
	}
	if (ret < 0) {
		(void)fprintf(stderr, "bootvm: %s\n", err.message);
		ret = 1;
	}
	vmm_source_remove(boot.timer);
	vmm_vm_destroy(boot.vm);
	return ret;
}
