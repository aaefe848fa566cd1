/* SPDX-License-Identifier: MIT */
/*
 * The composition root: stages, what it refuses and in which words, and every step of making a VM
 * failing. Guests that run are in tests/guest; the kernel here is one instruction that is never
 * reached or a halt.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmm/dev/rng.h>
#include <vmm/vm.h>

#include "faultinj.h"
#include "fdcount.h"
#include "machine_fix.h"
#include "suite.h"

static struct vmm_vm *vm;
static struct vmm_error err;
static unsigned exits;
static unsigned fds_before;

static void on_exit_count(void *ctx, const struct vmm_exit *how)
{
	(void)ctx;
	(void)how;
	exits++;
}

static int create_with(const struct vmm_vm_config *config)
{
	err = (struct vmm_error){0};
	return vmm_vm_create(&vm, config, &err);
}

static void create(void)
{
	const struct vmm_vm_config config = {.memory_size = 16 << 20, .on_exit = on_exit_count};

	ck_assert_msg(create_with(&config) == 0, "%s", err.message);
}

static void setup(void)
{
	vm = NULL;
	exits = 0;
	err = (struct vmm_error){0};
	fds_before = fdcount();
}

/* Whatever the test did, nothing stays open. */
static void teardown(void)
{
	vmm_vm_destroy(vm);
	ck_assert_uint_eq(fdcount(), fds_before);
}

static void assert_error(int ret, int expected, const char *words)
{
	ck_assert_int_eq(ret, expected);
	ck_assert_int_eq(err.code, expected);
	ck_assert_msg(strstr(err.message, words), "'%s' does not say '%s'", err.message, words);
	err = (struct vmm_error){0};
}

/* ---- create ---- */

START_TEST(vm_host_check_succeeds_here)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_msg(vmm_host_check(-1, &err) == 0, "%s", err.message);
	assert_error(vmm_host_check(fd, &err), -EINVAL, "/dev/kvm");
	(void)close(fd);
}
END_TEST

START_TEST(vm_create_bad_fields_are_refused_by_name)
{
	struct vmm_vm_config config = {.memory_size = (16 << 20) + 4096};

	assert_error(create_with(&config), -EINVAL, "multiple of 2 MiB");
	ck_assert_ptr_null(vm);
	config.memory_size = UINT64_C(1) << 60;
	assert_error(create_with(&config), -EINVAL, "MiB at most");
	ck_assert_ptr_null(vm);
	config.memory_size = 0;
	config.vcpus = VMM_VCPUS_MAX + 1;
	assert_error(create_with(&config), -EINVAL, "vCPUs");
	config.vcpus = 1;
	config.transport = VMM_TRANSPORT_MMIO + 1;
	assert_error(create_with(&config), -EINVAL, "transport number 2");
	config.transport = VMM_TRANSPORT_PCI;
	config.kick_signal = 9999;
	assert_error(create_with(&config), -EINVAL, "9999");
	ck_assert_ptr_null(vm);
}
END_TEST

START_TEST(vm_create_takes_an_open_kvm)
{
	struct vmm_vm_config config = {.memory_size = 2 << 20};

	config.kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(create_with(&config), 0);
	/* It was borrowed for the call. */
	ck_assert_int_ne(fcntl(config.kvm_fd, F_GETFD), -1);
	(void)close(config.kvm_fd);
}
END_TEST

START_TEST(vm_create_defaults_are_those_of_the_header)
{
	const struct vmm_vm_config config = {0};

	ck_assert_int_eq(create_with(&config), 0);
	ck_assert_uint_eq(vmm_mem_size(vmm_vm_mem(vm)), UINT64_C(512) << 20);
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_CONFIGURING);
	ck_assert_ptr_nonnull(vmm_vm_loop(vm));
}
END_TEST

START_TEST(vm_create_with_foreign_loop_leaves_it_alive)
{
	struct vmm_vm_config config = {.memory_size = 2 << 20};
	struct vmm_loop *loop;

	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	config.loop = loop;
	ck_assert_int_eq(create_with(&config), 0);
	ck_assert_ptr_eq(vmm_vm_loop(vm), loop);
	vmm_vm_destroy(vm);
	vm = NULL;
	ck_assert_int_eq(vmm_loop_dispatch(loop, 0), 0);
	vmm_loop_destroy(loop);
}
END_TEST

/* ---- configuring ---- */

START_TEST(vm_set_kernel_refuses_what_is_none)
{
	int dir = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	int text = memfd_create("text", MFD_CLOEXEC);

	create();
	ck_assert_int_eq(write(text, "#!/bin/sh\n", 10), 10);
	assert_error(vmm_vm_set_kernel(vm, text, &err), -ENOEXEC, machine_no_kernel);
	assert_error(vmm_vm_set_kernel(vm, dir, &err), -EINVAL, "kernel: it is a directory");
	assert_error(vmm_vm_set_kernel(vm, -1, &err), -EBADF, "kernel");
	/* Not taken. */
	ck_assert_int_eq(close(dir), 0);
	ck_assert_int_eq(close(text), 0);
}
END_TEST

START_TEST(vm_set_kernel_again_replaces)
{
	create();
	ck_assert_int_eq(vmm_vm_set_kernel(vm, machine_kernel(), &err), 0);
	ck_assert_int_eq(vmm_vm_set_kernel(vm, machine_kernel(), &err), 0);
	ck_assert_int_eq(vmm_vm_set_initrd(vm, machine_kernel(), &err), 0);
	ck_assert_int_eq(vmm_vm_set_initrd(vm, machine_kernel(), &err), 0);
	assert_error(vmm_vm_set_initrd(vm, -1, &err), -EBADF, "initrd");
}
END_TEST

START_TEST(vm_set_cmdline_too_long_is_refused)
{
	char line[4096];

	create();
	memset(line, 'x', sizeof(line));
	line[2048] = '\0';
	assert_error(vmm_vm_set_cmdline(vm, line, &err), -E2BIG, "2048 bytes");
	line[2047] = '\0';
	ck_assert_int_eq(vmm_vm_set_cmdline(vm, line, &err), 0);
	ck_assert_int_eq(vmm_vm_set_cmdline(vm, "", &err), 0);
}
END_TEST

static struct vmm_virtio_device *rng(void)
{
	struct vmm_virtio_device *dev;

	ck_assert_int_eq(vmm_rng_create(&dev, NULL, &err), 0);
	return dev;
}

START_TEST(vm_add_virtio_ids_are_checked)
{
	static const char long_id[] = "a123456789b123456789c123456789d1";
	struct vmm_virtio_device *dev = rng();
	char bdf[16];

	create();
	assert_error(vmm_vm_add_virtio(vm, "", dev, &err), -EINVAL, "1 to 31");
	assert_error(vmm_vm_add_virtio(vm, long_id, dev, &err), -EINVAL, "1 to 31");
	ck_assert_int_eq(vmm_vm_add_virtio(vm, long_id + 1, dev, &err), 0);
	ck_assert_ptr_eq(vmm_vm_find_virtio(vm, long_id + 1), dev);
	ck_assert_ptr_null(vmm_vm_find_virtio(vm, long_id));
	ck_assert_ptr_null(vmm_vm_find_virtio(vm, ""));
	dev = rng();
	assert_error(vmm_vm_add_virtio(vm, long_id + 1, dev, &err), -EEXIST, "used twice");
	ck_assert_int_eq(vmm_vm_add_virtio(vm, "b", dev, &err), 0);
	ck_assert_int_eq(vmm_vm_virtio_bdf(vm, "b", bdf, sizeof(bdf)), 0);
	ck_assert_str_eq(bdf, "0000:00:02.0");
	ck_assert_int_eq(vmm_vm_virtio_bdf(vm, "c", bdf, sizeof(bdf)), -ENOENT);
}
END_TEST

START_TEST(vm_add_virtio_beyond_the_bus_is_no_space)
{
	struct vmm_virtio_device *dev;
	char id[8];

	create();
	for (unsigned i = 1; i < 32; i++) {
		(void)snprintf(id, sizeof(id), "d%u", i);
		ck_assert_int_eq(vmm_vm_add_virtio(vm, id, rng(), &err), 0);
	}
	dev = rng();
	assert_error(vmm_vm_add_virtio(vm, "last", dev, &err), -ENOSPC, "last");
	ck_assert_ptr_null(vmm_vm_find_virtio(vm, "last"));
	vmm_virtio_device_destroy(dev);
}
END_TEST

/* ---- without PCI ---- */

static void create_mmio(void)
{
	const struct vmm_vm_config config = {.memory_size = 16 << 20,
					     .transport = VMM_TRANSPORT_MMIO};

	ck_assert_msg(create_with(&config) == 0, "%s", err.message);
}

/* One for each place that the machine has, and no more. */
START_TEST(vm_add_virtio_by_mmio_takes_all_places)
{
	struct vmm_virtio_device *dev;
	unsigned count = 0;
	char id[8];
	char bdf[16];
	int ret;

	create_mmio();
	for (;;) {
		dev = rng();
		(void)snprintf(id, sizeof(id), "d%u", count);
		ret = vmm_vm_add_virtio(vm, id, dev, &err);
		if (ret < 0) {
			break;
		}
		ck_assert_ptr_eq(vmm_vm_find_virtio(vm, id), dev);
		ck_assert_int_eq(vmm_vm_virtio_bdf(vm, id, bdf, sizeof(bdf)), -EOPNOTSUPP);
		count++;
	}
	ck_assert_uint_eq(count, machine_virtio_places);
	assert_error(ret, -ENOSPC, "places for virtio-mmio devices are taken");
	ck_assert_ptr_null(vmm_vm_find_virtio(vm, id));
	ck_assert_int_eq(vmm_vm_virtio_bdf(vm, id, bdf, sizeof(bdf)), -ENOENT);
	vmm_virtio_device_destroy(dev);
}
END_TEST

/* A device that is refused leaves its place to the next. */
START_TEST(vm_add_virtio_by_mmio_refused_takes_no_place)
{
	struct vmm_virtio_device *dev = rng();
	char id[16];

	create_mmio();
	for (unsigned i = 0; i < 100; i++) {
		dev->queue_count = VMM_VIRTIO_QUEUES_MAX + 1;
		assert_error(vmm_vm_add_virtio(vm, "bad", dev, &err), -EINVAL, "bad");
		dev->queue_count = 1;
	}
	ck_assert_int_eq(vmm_vm_add_virtio(vm, "good", dev, &err), 0);
	for (unsigned i = 1; i < machine_virtio_places; i++) {
		(void)snprintf(id, sizeof(id), "d%u", i);
		ck_assert_int_eq(vmm_vm_add_virtio(vm, id, rng(), &err), 0);
	}
}
END_TEST

struct platform {
	struct vmm_platform_device base;
	unsigned destroyed;
};

static uint64_t read_none(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	return 0;
}

static void write_none(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	(void)ctx;
	(void)offset;
	(void)len;
	(void)value;
}

static void platform_destroy(struct vmm_platform_device *dev)
{
	((struct platform *)dev)->destroyed++;
}

static const struct vmm_platform_ops platform_ops = {
	.bus = {.read = read_none, .write = write_none},
	.destroy = platform_destroy,
};

START_TEST(vm_add_platform_has_one_place_for_each)
{
	enum vmm_platform_type other =
		vmm_uart_type() == VMM_PLATFORM_PL011 ? VMM_PLATFORM_UART_8250 : VMM_PLATFORM_PL011;
	struct platform a = {.base = {.ops = &platform_ops, .type = vmm_uart_type()}};
	struct platform b = a;
	struct platform foreign = {.base = {.ops = &platform_ops, .type = other}};

	create();
	assert_error(vmm_vm_add_platform(vm, &foreign.base, &err), -EOPNOTSUPP, "no place");
	ck_assert_int_eq(vmm_vm_add_platform(vm, &a.base, &err), 0);
	ck_assert_ptr_nonnull(a.base.irq);
	assert_error(vmm_vm_add_platform(vm, &b.base, &err), -EEXIST, "already");
	ck_assert_ptr_null(b.base.irq);
	vmm_vm_destroy(vm);
	vm = NULL;
	ck_assert_uint_eq(a.destroyed, 1);
	ck_assert_uint_eq(b.destroyed, 0);
	ck_assert_uint_eq(foreign.destroyed, 0);
}
END_TEST

/* ---- stages ---- */

START_TEST(vm_start_without_kernel_stops)
{
	create();
	assert_error(vmm_vm_start(vm, &err), -EINVAL, "no kernel");
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_STOPPED);
	assert_error(vmm_vm_start(vm, &err), -EBUSY, "started already");
	ck_assert_uint_eq(exits, 0);
}
END_TEST

START_TEST(vm_start_with_too_large_initrd_says_so)
{
	int fd = memfd_create("initrd", MFD_CLOEXEC);
	struct vmm_exit how;

	create();
	ck_assert_int_eq(ftruncate(fd, 64 << 20), 0);
	ck_assert_int_eq(vmm_vm_set_kernel(vm, machine_kernel(), &err), 0);
	ck_assert_int_eq(vmm_vm_set_initrd(vm, fd, &err), 0);
	assert_error(vmm_vm_start(vm, &err), -EINVAL, "initrd: it has 64 MiB");
	ck_assert_int_eq(vmm_vm_wait(vm, &how), 0);
	ck_assert_int_eq(how.reason, VMM_EXIT_ERROR);
	ck_assert_int_eq(how.code, -EINVAL);
}
END_TEST

START_TEST(vm_calls_in_the_wrong_stage_are_busy)
{
	struct platform uart = {.base = {.ops = &platform_ops, .type = VMM_PLATFORM_UART_8250}};
	struct vmm_virtio_device *dev = rng();
	struct vmm_exit how;
	int fd = machine_kernel();

	create();
	ck_assert_int_eq(vmm_vm_pause(vm), -EBUSY);
	ck_assert_int_eq(vmm_vm_resume(vm), -EBUSY);
	ck_assert_int_eq(vmm_vm_reboot(vm), -EBUSY);
	ck_assert_int_eq(vmm_vm_power_button(vm), -EBUSY);
	ck_assert_int_eq(vmm_vm_wait(vm, &how), -EBUSY);
	ck_assert_int_eq(vmm_vm_set_kernel(vm, machine_kernel(), &err), 0);
	ck_assert_int_eq(vmm_vm_start(vm, &err), 0);
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_RUNNING);
	assert_error(vmm_vm_set_kernel(vm, fd, &err), -EBUSY, "started already");
	assert_error(vmm_vm_set_initrd(vm, fd, &err), -EBUSY, "started already");
	assert_error(vmm_vm_set_cmdline(vm, "x", &err), -EBUSY, "started already");
	assert_error(vmm_vm_add_virtio(vm, "x", dev, &err), -EBUSY, "started already");
	assert_error(vmm_vm_add_platform(vm, &uart.base, &err), -EBUSY, "started already");
	assert_error(vmm_vm_start(vm, &err), -EBUSY, "started already");
	ck_assert_int_eq(vmm_vm_resume(vm), -EBUSY);
	ck_assert_int_eq(vmm_vm_pause(vm), 0);
	ck_assert_int_eq(vmm_vm_power_button(vm), -EBUSY);
	ck_assert_int_eq(vmm_vm_resume(vm), 0);
	ck_assert_int_eq(vmm_vm_stop(vm), 0);
	ck_assert_int_eq(vmm_vm_wait(vm, &how), 0);
	ck_assert_int_eq(how.reason, VMM_EXIT_STOPPED);
	ck_assert_uint_eq(exits, 0);
	vmm_virtio_device_destroy(dev);
	(void)close(fd);
}
END_TEST

START_TEST(vm_request_stop_before_start_is_carried_out)
{
	create();
	vmm_vm_request_stop(vm);
	ck_assert_int_ge(vmm_loop_dispatch(vmm_vm_loop(vm), 1000), 1);
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_STOPPED);
	ck_assert_uint_eq(exits, 1);
	/* Once is enough. */
	vmm_vm_request_stop(vm);
	(void)vmm_loop_dispatch(vmm_vm_loop(vm), 0);
	ck_assert_uint_eq(exits, 1);
}
END_TEST

START_TEST(vm_destroy_of_nothing_is_nothing)
{
	vmm_vm_destroy(NULL);
	create();
	vmm_vm_destroy(vm);
	vm = NULL;
}
END_TEST

START_TEST(vm_reboots_itself_on_call_and_counts_no_exit)
{
	create();
	ck_assert_int_eq(vmm_vm_add_virtio(vm, "rng0", rng(), &err), 0);
	ck_assert_int_eq(vmm_vm_set_kernel(vm, machine_kernel(), &err), 0);
	ck_assert_int_eq(vmm_vm_start(vm, &err), 0);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(vmm_vm_reboot(vm), 0);
	}
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_RUNNING);
	ck_assert_uint_eq(exits, 0);
}
END_TEST

/* ---- every step fails once ---- */

/* From nothing to a running VM; whoever still owns what is put right by the caller. */
static int make(int *fd, struct vmm_virtio_device **dev)
{
	const struct vmm_vm_config config = {.memory_size = 4 << 20, .vcpus = 2};
	int ret = create_with(&config);

	if (ret == 0) {
		ret = vmm_vm_set_kernel(vm, *fd, &err);
		*fd = ret == 0 ? -1 : *fd;
	}
	if (ret == 0) {
		ret = vmm_vm_add_virtio(vm, "rng0", *dev, &err);
		*dev = ret == 0 ? NULL : *dev;
	}
	if (ret == 0) {
		ret = vmm_vm_set_cmdline(vm, "console=ttyS0", &err);
	}
	return ret < 0 ? ret : vmm_vm_start(vm, &err);
}

START_TEST(vm_every_step_failing_leaves_nothing)
{
	struct faultinj f = {0};
	unsigned refused = 0;
	unsigned rounds = 0;

	for (;;) {
		struct vmm_virtio_device *dev = rng();
		int fd = machine_kernel();
		bool last = !faultinj_next(&f);
		int ret;

		if (last) {
			vmm_virtio_device_destroy(dev);
			(void)close(fd);
			break;
		}
		ret = make(&fd, &dev);
		faultinj_stop(&f);
		rounds++;
		if (ret < 0) {
			ck_assert_ptr_nonnull(f.failed);
			ck_assert_msg(strlen(err.message) > 0, "%s failed without words", f.failed);
			refused++;
		}
		vmm_virtio_device_destroy(dev);
		if (fd >= 0) {
			(void)close(fd);
		}
		vmm_vm_destroy(vm);
		vm = NULL;
		ck_assert_uint_eq(fdcount(), fds_before);
	}
	/* What the host may lack (a register, an option) is allowed to fail. */
	ck_assert_uint_gt(refused, rounds / 4);
}
END_TEST

/* ---- giving up rights before the first instruction ---- */

struct hooks {
	unsigned vcpus; /* atomic: bit i when vCPU i's thread has been through */
	unsigned runs;
	unsigned vcpus_at_run;
	int vcpu_result; /* of vCPU 1 */
	int run_result;
	bool threads_stay;
};

static int on_vcpu_thread(void *ctx, unsigned index)
{
	struct hooks *h = ctx;

	(void)__atomic_fetch_or(&h->vcpus, 1u << index, __ATOMIC_ACQ_REL);
	return index == 1 ? h->vcpu_result : 0;
}

static int before_run(void *ctx)
{
	struct hooks *h = ctx;

	h->runs++;
	h->vcpus_at_run = __atomic_load_n(&h->vcpus, __ATOMIC_ACQUIRE);
	return h->run_result;
}

static int start_with_hooks(struct hooks *h)
{
	const struct vmm_vm_config config = {
		.memory_size = 16 << 20,
		.vcpus = 3,
		.on_vcpu_thread = on_vcpu_thread,
		.before_run = before_run,
		.threads_stay = h->threads_stay,
		.ctx = h,
	};

	ck_assert_msg(create_with(&config) == 0, "%s", err.message);
	ck_assert_int_eq(vmm_vm_set_kernel(vm, machine_kernel(), &err), 0);
	return vmm_vm_start(vm, &err);
}

START_TEST(vm_hooks_come_before_the_first_instruction)
{
	struct hooks h = {0};

	ck_assert_int_eq(start_with_hooks(&h), 0);
	ck_assert_uint_eq(h.runs, 1);
	ck_assert_uint_eq(h.vcpus_at_run, 7);
	ck_assert_int_eq(vmm_vm_reboot(vm), 0);
	ck_assert_uint_eq(h.runs, 1);
}
END_TEST

/* Entries of /proc/self/task. */
static unsigned threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned count = 0;

	while (readdir(dir)) {
		count++;
	}
	(void)closedir(dir);
	return count - 2;
}

START_TEST(vm_threads_that_may_not_end_stay_until_destroy)
{
	struct hooks h = {.threads_stay = true};
	unsigned running;

	ck_assert_int_eq(start_with_hooks(&h), 0);
	running = threads();
	ck_assert_int_eq(vmm_vm_stop(vm), 0);
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_STOPPED);
	ck_assert_uint_eq(threads(), running);
	ck_assert_int_eq(vmm_vm_stop(vm), 0);
	vmm_vm_destroy(vm);
	vm = NULL;
	/* The kernel's own thread for a VM has gone as well, where it has one. */
	ck_assert_uint_le(threads(), running - 3);
}
END_TEST

START_TEST(vm_hook_of_a_vcpu_that_fails_starts_nothing)
{
	struct hooks h = {.vcpu_result = -EACCES};

	assert_error(start_with_hooks(&h), -EACCES, "vCPU");
	ck_assert_uint_eq(h.runs, 0);
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_STOPPED);
}
END_TEST

START_TEST(vm_hook_before_run_that_fails_starts_nothing)
{
	struct hooks h = {.run_result = -EPERM};

	assert_error(start_with_hooks(&h), -EPERM, "before the first instruction");
	ck_assert_int_eq(vmm_vm_state(vm), VMM_VM_STOPPED);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		vm_host_check_succeeds_here,
		vm_create_bad_fields_are_refused_by_name,
		vm_create_takes_an_open_kvm,
		vm_create_defaults_are_those_of_the_header,
		vm_create_with_foreign_loop_leaves_it_alive,
		vm_set_kernel_refuses_what_is_none,
		vm_set_kernel_again_replaces,
		vm_set_cmdline_too_long_is_refused,
		vm_add_virtio_ids_are_checked,
		vm_add_virtio_beyond_the_bus_is_no_space,
		vm_add_virtio_by_mmio_takes_all_places,
		vm_add_virtio_by_mmio_refused_takes_no_place,
		vm_add_platform_has_one_place_for_each,
		vm_start_without_kernel_stops,
		vm_start_with_too_large_initrd_says_so,
		vm_calls_in_the_wrong_stage_are_busy,
		vm_request_stop_before_start_is_carried_out,
		vm_destroy_of_nothing_is_nothing,
		vm_reboots_itself_on_call_and_counts_no_exit,
		vm_every_step_failing_leaves_nothing,
		vm_hooks_come_before_the_first_instruction,
		vm_threads_that_may_not_end_stay_until_destroy,
		vm_hook_of_a_vcpu_that_fails_starts_nothing,
		vm_hook_before_run_that_fails_starts_nothing,
	};
	Suite *suite = suite_create("vm");

	if (vmm_host_check(-1, &err) < 0) {
		(void)printf("skipped: %s\n", err.message);
		return 77;
	}
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		suite_add(suite, tests[i], 1, setup, teardown);
	}
	return suite_finish(suite);
}
