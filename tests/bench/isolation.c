/* SPDX-License-Identifier: MIT */
/* One VM with two disks of one file: a device on this process's loop, and one in a process. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <x86intrin.h>

#include <vmm/dev/blk.h>
#include <vmm/vm.h>

#include "uart.h"

#define MEMORY    (UINT64_C(64) << 20)
#define DISK_SIZE (64u << 20)

struct guest {
	const struct options *options;
	struct vmm_vm *vm;
	struct uart uart;
	struct device device;
	struct result *result;
	struct quiet quiet;
	double run_before[DISKS];
	unsigned ended; /* rounds, the first one in vain too */
	unsigned quiet_rounds;
	double started;
	bool spoke;
};

static void fill_disk(int fd)
{
	static char bytes[1 << 20];

	for (unsigned done = 0; done < DISK_SIZE; done += sizeof(bytes)) {
		for (size_t at = 0; at < sizeof(bytes); at += 256) {
			(void)!getrandom(bytes + at, 256, 0);
		}
		if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes)) {
			die("a disk to read from: %s", strerror(errno));
		}
	}
}

static int temporary_disk(void)
{
	const char *dir = getenv("TMPDIR");
	char path[256];
	char again[32];
	int fd;
	int ret;

	(void)snprintf(path, sizeof(path), "%s/bench-XXXXXX", dir ? dir : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		die("%s: %s", path, strerror(errno));
	}
	(void)unlink(path);
	fill_disk(fd);
	/* Both readers get an open file of their own. */
	(void)snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	ret = open(again, O_RDONLY | O_CLOEXEC);
	(void)close(fd);
	return ret;
}

int open_disk(const struct options *options)
{
	int fd = options->disk ? open(options->disk, O_RDONLY | O_CLOEXEC) : temporary_disk();
	static char bytes[1 << 20];

	if (fd < 0) {
		die("%s: %s", options->disk ? options->disk : "a temporary disk", strerror(errno));
	}
	/* Into the page cache. */
	while (read(fd, bytes, sizeof(bytes)) > 0) {
	}
	return fd;
}

static int reopen(int fd)
{
	char path[32];
	int ret;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = open(path, O_RDONLY | O_CLOEXEC);
	if (ret < 0) {
		die("%s: %s", path, strerror(errno));
	}
	return ret;
}

/* ---- the guest's machine ---- */

/* On the vCPU's thread, while no request is under way. */
static void end_round(struct guest *guest)
{
	struct plan *plan = vmm_mem_ptr(vmm_vm_mem(guest->vm), PLAN_GPA, sizeof(*plan), 8);
	double share = quiet_foreign_share(&guest->quiet);

	for (unsigned i = 0; i < DISKS; i++) {
		guest->result->cpu_us[i] = guest->quiet.run[i] - guest->run_before[i];
	}
	if (guest->ended > 0) {
		guest->result->foreign[guest->ended - 1] = share;
		guest->quiet_rounds += share <= QUIET_SHARE;
	} else {
		memcpy(guest->run_before, guest->quiet.run, sizeof(guest->run_before));
	}
	guest->ended++;
	if (guest->quiet_rounds >= guest->options->rounds ||
	    (now_us() - guest->started > guest->options->seconds * 1e6 && guest->ended > 1)) {
		__atomic_store_n(&plan->enough, 1, __ATOMIC_RELAXED);
	}
}

static void put(void *ctx, char c)
{
	struct guest *guest = ctx;

	if (c == ROUND_ENDS) {
		end_round(guest);
		return;
	}
	guest->spoke = true;
	(void)fputc(c, stderr);
}

/* Not a timer of the loop: the wait of a loop that has one takes longer, as the kernel sets a
 * clock. */
static void bark(int signo)
{
	static const char text[] = "bench: the guest hangs\n";

	(void)signo;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

static int on_vcpu_thread(void *ctx, unsigned index)
{
	struct guest *guest = ctx;

	(void)index;
	guest->quiet.tids[QUIET_VCPU] = gettid();
	place_vcpu(guest->options);
	return 0;
}

/* Slot 1. */
static void add_here(struct guest *guest, int fd)
{
	const struct vmm_disk_config disk_config = {.read_only = true, .engine = VMM_DISK_SYNC};
	struct vmm_blk_config config = {0};
	struct vmm_virtio_device *dev;
	struct vmm_error err = {0};

	must(vmm_disk_open_fd(&config.disk, reopen(fd), &disk_config, &err), &err);
	must(vmm_blk_create(&dev, &config, &err), &err);
	must(vmm_vm_add_virtio(guest->vm, "here", dev, &err), &err);
}

/* Slot 2. */
static void add_elsewhere(struct guest *guest, int fd)
{
	static const char *const args[] = {"--disk-fd", "4", "--readonly", NULL};
	const struct device_kind kind = {"blk", args, {reopen(fd), -1}};
	struct vmm_error err = {0};

	device_start(&guest->device, guest->options, &kind, vmm_vm_loop(guest->vm));
	guest->quiet.tids[1] = guest->device.process.pid;
	(void)close(kind.fds[0]);
	must(vmm_vm_add_virtio(guest->vm, "elsewhere", guest->device.front, &err), &err);
}

static void build(struct guest *guest)
{
	const struct vmm_vm_config config = {
		.memory_size = MEMORY,
		.on_vcpu_thread = on_vcpu_thread,
		.ctx = guest,
	};
	int disk = open_disk(guest->options);
	int kernel = open(guest->options->payload, O_RDONLY | O_CLOEXEC);
	struct vmm_error err = {0};

	if (kernel < 0) {
		die("%s: %s", guest->options->payload, strerror(errno));
	}
	must(vmm_vm_create(&guest->vm, &config, &err), &err);
	must(vmm_vm_set_kernel(guest->vm, kernel, &err), &err);
	uart_init(&guest->uart, put, guest);
	must(vmm_vm_add_platform(guest->vm, &guest->uart.base, &err), &err);
	add_here(guest, disk);
	add_elsewhere(guest, disk);
	(void)close(disk);
}

static double run(struct guest *guest)
{
	struct vmm_error err = {0};
	struct vmm_exit how;
	uint64_t ticks;
	double us;

	us = now_us();
	guest->started = us;
	(void)signal(SIGALRM, bark);
	(void)alarm(2 * guest->options->seconds + 10);
	must(vmm_vm_start(guest->vm, &err), &err);
	ticks = __rdtsc();
	must(vmm_vm_wait(guest->vm, &how), NULL);
	ticks = __rdtsc() - ticks;
	us = now_us() - us;
	(void)alarm(0);
	if (how.reason != VMM_EXIT_POWEROFF || guest->spoke) {
		die("the guest ended (%d): %s", (int)how.reason, how.detail ? how.detail : "");
	}
	return (double)ticks / us;
}

static double tsc_rate(void)
{
	double us = now_us();
	uint64_t ticks = __rdtsc();

	while (now_us() - us < 20000) {
	}
	return (double)(__rdtsc() - ticks) / (now_us() - us);
}

void measure(struct result *result, struct options *options)
{
	struct guest guest = {.options = options, .result = result, .quiet.tids[0] = getpid()};
	const struct plan plan = {
		.samples = options->samples,
		.requests = options->requests,
		.gap = (uint32_t)(options->gap_us * tsc_rate()),
		.sectors = DISK_SIZE / 512,
	};
	struct vmm_mem *mem;

	place_devices(options);
	build(&guest);
	mem = vmm_vm_mem(guest.vm);
	must(vmm_mem_write(mem, PLAN_GPA, &plan, sizeof(plan)), NULL);
	result->ticks_per_us = run(&guest);
	must(vmm_mem_read(mem, PLAN_GPA, &result->board, sizeof(result->board)), NULL);
	vmm_vm_destroy(guest.vm);
	device_end(&guest.device);
	if (result->board.plan.errors != 0) {
		die("%u errors", result->board.plan.errors);
	}
}
