/* SPDX-License-Identifier: MIT */
/*
 * The KVM layer: what it refuses before the kernel sees it, interrupt routes, eventfds, the gate.
 * Guests that run are in tests/guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faultinj.h"
#include "fdcount.h"
#include "kvm/kvm.h"
#include "machine_fix.h"
#include "suite.h"

static struct vmm_loop *loop;
static struct vmm_bus *mmio;
static struct vmm_kvm *kvm;
static struct vmm_error err;
static int kvm_fd;

static void on_event(void *ctx, const struct vmm_kvm_event *event)
{
	(void)ctx;
	ck_abort_msg("event %d: %s", (int)event->kind, event->detail ? event->detail : "");
}

static int create(void)
{
	const struct vmm_kvm_config config = {
		.kvm_fd = kvm_fd,
		.loop = loop,
		.mmio = mmio,
		.kick_signal = SIGRTMIN,
		.event = on_event,
	};

	err = (struct vmm_error){0};
	return vmm_kvm_create(&kvm, &config, &err);
}

static int route(struct vmm_kvm *of, unsigned gsi, uint64_t address, uint32_t data)
{
	const struct vmm_pci_msi msi = {.address = address, .data = data};

	return vmm_kvm_msi_route(of, gsi, &msi);
}

static void setup(void)
{
	kvm_fd = vmm_kvm_open(&err);
	ck_assert_int_ge(kvm_fd, 0);
	ck_assert_int_eq(vmm_loop_create(&loop), 0);
	ck_assert_int_eq(vmm_bus_create(&mmio), 0);
	ck_assert_msg(create() == 0, "%s", err.message);
}

/* With an interrupt controller and a vCPU. */
static void setup_machine(void)
{
	setup();
	machine_start(kvm, 1);
}

static void teardown(void)
{
	machine_stop();
	vmm_kvm_destroy(kvm);
	vmm_bus_destroy(mmio);
	vmm_loop_destroy(loop);
	(void)close(kvm_fd);
}

START_TEST(kvm_check_of_another_file_is_refused)
{
	int fd = open("/dev/null", O_RDWR);

	ck_assert_int_eq(vmm_kvm_check(fd, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "/dev/kvm"));
	(void)close(fd);
	err = (struct vmm_error){0};
	ck_assert_int_eq(vmm_kvm_check(kvm_fd, &err), 0);
}
END_TEST

START_TEST(kvm_check_names_what_is_missing)
{
	static const struct vmm_kvm_cap caps[] = {
		{KVM_CAP_IRQCHIP, "what every KVM has"},
		{0x7fffffff, "a thing of the future"},
	};

	ck_assert_int_eq(vmm_kvm_check_caps(kvm_fd, caps, 2, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.message, "a thing of the future"));
}
END_TEST

/* ---- routes: a hostile guest chooses address and data ---- */

START_TEST(kvm_msi_address_outside_the_window_is_refused)
{
	const uint64_t base = machine_msi_base;
	const uint64_t end = base + machine_msi_size;
	const uint64_t hostile[] = {
		0,
		base - 1,
		end,
		0xffffffff,
		UINT64_MAX,
		base | UINT64_C(1) << 32,
		UINT64_C(1) << 63,
		0xe0000000,
	};
	unsigned gsi;

	ck_assert_int_eq(vmm_kvm_msi_alloc(kvm, &gsi), 0);
	for (unsigned i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		ck_assert_int_eq(route(kvm, gsi, hostile[i], 0x40), -EINVAL);
	}
	ck_assert_int_eq(route(kvm, gsi, base, 0x40), 0);
	ck_assert_int_eq(route(kvm, gsi, end - 1, UINT32_MAX), 0);
	vmm_kvm_msi_free(kvm, gsi);
}
END_TEST

START_TEST(kvm_msi_gsi_that_is_not_allocated_is_refused)
{
	unsigned gsi;

	ck_assert_int_eq(vmm_kvm_msi_alloc(kvm, &gsi), 0);
	ck_assert_uint_ge(gsi, VMM_KVM_GSI_LINES);
	ck_assert_int_eq(route(kvm, gsi + 1, machine_msi_base, 0x40), -EINVAL);
	ck_assert_int_eq(route(kvm, 0, machine_msi_base, 0x40), -EINVAL);
	ck_assert_int_eq(route(kvm, VMM_KVM_GSI_LINES - 1, machine_msi_base, 0x40), -EINVAL);
	ck_assert_int_eq(route(kvm, 4096, machine_msi_base, 0x40), -EINVAL);
	ck_assert_int_eq(route(kvm, UINT32_MAX, machine_msi_base, 0x40), -EINVAL);
	vmm_kvm_msi_free(kvm, gsi);
	ck_assert_int_eq(route(kvm, gsi, machine_msi_base, 0x40), -EINVAL);
	vmm_kvm_msi_free(kvm, gsi);
	vmm_kvm_msi_free(kvm, UINT32_MAX);
	vmm_kvm_msi_free(kvm, 3);
}
END_TEST

START_TEST(kvm_msi_all_taken_is_no_space_and_freed_ones_come_back)
{
	unsigned count = 0;
	unsigned gsi;
	unsigned last = 0;

	while (vmm_kvm_msi_alloc(kvm, &gsi) == 0) {
		last = gsi;
		ck_assert_uint_le(++count, 4096);
	}
	ck_assert_uint_gt(count, 1000);
	vmm_kvm_msi_free(kvm, last - 5);
	ck_assert_int_eq(vmm_kvm_msi_alloc(kvm, &gsi), 0);
	ck_assert_uint_eq(gsi, last - 5);
	ck_assert_int_eq(vmm_kvm_msi_alloc(kvm, &gsi), -ENOSPC);
}
END_TEST

START_TEST(kvm_pins_beyond_the_lines_are_refused)
{
	ck_assert_int_eq(vmm_kvm_route_pin(kvm, VMM_KVM_GSI_LINES, 2, 0), -EINVAL);
	ck_assert_int_eq(vmm_kvm_route_pin(kvm, UINT32_MAX, 2, 0), -EINVAL);
	/* As many as every machine's controller has. */
	for (unsigned pin = 0; pin < 24; pin++) {
		ck_assert_int_eq(vmm_kvm_route_pin(kvm, pin, machine_irqchip, pin), 0);
	}
	ck_assert_int_eq(vmm_kvm_route_commit(kvm), 0);
}
END_TEST

START_TEST(kvm_line_raised_reaches_the_processor)
{
	struct vmm_irq *irq;

	machine_wire_pin(kvm, 9);
	ck_assert_int_eq(vmm_kvm_route_pin(kvm, 7, machine_irqchip, 9), 0);
	ck_assert_int_eq(vmm_kvm_route_commit(kvm), 0);
	ck_assert_int_eq(vmm_kvm_line_create(kvm, 7, &irq), 0);
	ck_assert(!machine_pin_waits(kvm, 9));
	vmm_irq_raise(irq);
	for (int i = 0; i < 2000 && !machine_pin_waits(kvm, 9); i++) {
		(void)usleep(1000);
	}
	ck_assert(machine_pin_waits(kvm, 9));
	vmm_kvm_line_destroy(kvm, irq);
	vmm_kvm_line_destroy(kvm, NULL);
}
END_TEST

START_TEST(kvm_msi_reaches_the_processor_only_while_routed)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;
	unsigned gsi;

	if (!machine_has_messages) {
		/* Shown by guests: tests/lab/boots. */
		(void)close(fd);
		return;
	}
	machine_wire_pin(kvm, 0);
	ck_assert_int_eq(vmm_kvm_msi_alloc(kvm, &gsi), 0);
	ck_assert_int_eq(vmm_kvm_irqfd(kvm, gsi, fd, true), 0);
	ck_assert_int_eq(route(kvm, gsi, machine_msi_base, 0x61), 0);
	/* A hostile address takes the route away. */
	ck_assert_int_eq(route(kvm, gsi, 0, 0x61), -EINVAL);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	(void)usleep(20000);
	ck_assert(!machine_message_waits(kvm, 0x61));
	ck_assert_int_eq(route(kvm, gsi, machine_msi_base, 0x62), 0);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	for (int i = 0; i < 2000 && !machine_message_waits(kvm, 0x62); i++) {
		(void)usleep(1000);
	}
	ck_assert(machine_message_waits(kvm, 0x62));
	ck_assert(!machine_message_waits(kvm, 0x61));
	ck_assert_int_eq(vmm_kvm_irqfd(kvm, gsi, fd, false), 0);
	vmm_kvm_msi_free(kvm, gsi);
	(void)close(fd);
}
END_TEST

START_TEST(kvm_irqfd_out_of_range_is_refused)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(vmm_kvm_irqfd(kvm, 4096, fd, true), -EINVAL);
	ck_assert_int_eq(vmm_kvm_irqfd(kvm, 4, -1, true), -EINVAL);
	ck_assert_int_eq(vmm_kvm_irqfd(kvm, 4, fd, true), 0);
	ck_assert_int_eq(vmm_kvm_irqfd(kvm, 4, fd, true), -EBUSY);
	ck_assert_int_eq(vmm_kvm_irqfd(kvm, 4, fd, false), 0);
	(void)close(fd);
}
END_TEST

START_TEST(kvm_ioeventfd_connects_once)
{
	const struct vmm_doorbell bell = {.gpa = 0xd0000000};
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd, true), 0);
	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd, true), -EEXIST);
	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd, false), 0);
	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd, false), -ENOENT);
	(void)close(fd);
}
END_TEST

/* Several at one address, told apart by the value that is written. */
START_TEST(kvm_ioeventfd_of_a_value_leaves_room_for_others)
{
	struct vmm_doorbell bell = {.gpa = 0xd0000050, .len = 4};
	int fd[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};

	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd[0], true), 0);
	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd[1], true), -EEXIST);
	bell.value = 1;
	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd[1], true), 0);
	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd[0], false), -ENOENT);
	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd[1], false), 0);
	bell.value = 0;
	ck_assert_int_eq(vmm_kvm_ioeventfd(kvm, &bell, fd[0], false), 0);
	(void)close(fd[0]);
	(void)close(fd[1]);
}
END_TEST

/* ---- vCPUs ---- */

/* ---- windows ---- */

#define WINDOW_LEN UINT64_C(0x200000)
#define RAM_SIZE   UINT64_C(0x4000000)
#define OUTSIDE    UINT64_C(0x200000000)

static int window_map(struct vmm_window *w, uint64_t offset)
{
	int fd = memfd_create("window", MFD_CLOEXEC);
	int ret;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ret = vmm_kvm_window_ops.map(w, offset, fd, 0, 4096, true);
	(void)close(fd);
	return ret;
}

START_TEST(kvm_window_lies_where_nothing_else_is)
{
	const struct vmm_mem_region ram = {.gpa = 0, .size = RAM_SIZE};
	const struct vmm_window_ops *ops = &vmm_kvm_window_ops;
	struct vmm_window *a;
	struct vmm_window *b;
	struct vmm_mem *mem;

	ck_assert_int_eq(vmm_mem_create(&mem, &ram, 1, &err), 0);
	ck_assert_int_eq(vmm_kvm_set_memory(kvm, mem, &err), 0);
	ck_assert_int_eq(ops->create(kvm, WINDOW_LEN, &a), 0);
	ck_assert_int_eq(ops->create(kvm, WINDOW_LEN, &b), 0);
	/* KVM hears of it when there is something to see. */
	ck_assert_int_eq(ops->place(a, true, RAM_SIZE - WINDOW_LEN), 0);
	ck_assert_int_eq(window_map(a, 0), -EEXIST);
	ck_assert_int_eq(ops->place(a, true, OUTSIDE), 0);
	ck_assert_int_eq(window_map(a, 0), 0);
	ck_assert_int_eq(ops->place(b, true, OUTSIDE), 0);
	ck_assert_int_eq(window_map(b, 4096), -EEXIST);
	/* When the other one moves, or is not there any more, there is room. */
	ck_assert_int_eq(ops->place(a, true, OUTSIDE + WINDOW_LEN), 0);
	ck_assert_int_eq(window_map(b, 4096), 0);
	ck_assert_int_eq(ops->place(a, true, OUTSIDE), -EEXIST);
	ck_assert_int_eq(ops->unmap(b, 4096, 4096), 0);
	ops->clear(b);
	ck_assert_int_eq(ops->place(a, true, OUTSIDE), 0);
	ck_assert_int_eq(ops->place(a, false, 0), 0);
	ck_assert_int_eq(ops->place(b, true, OUTSIDE), 0);
	ck_assert_int_eq(window_map(b, 0), 0);
	ops->destroy(b);
	ops->destroy(a);
	ops->destroy(NULL);
	vmm_kvm_destroy(kvm);
	kvm = NULL;
	vmm_mem_destroy(mem);
}
END_TEST

START_TEST(kvm_windows_are_limited)
{
	const struct vmm_window_ops *ops = &vmm_kvm_window_ops;
	struct vmm_window *w;

	for (unsigned i = 0; i < VMM_KVM_WINDOWS_MAX; i++) {
		ck_assert_int_eq(ops->create(kvm, WINDOW_LEN, &w), 0);
		ops->destroy(w);
	}
	ck_assert_int_eq(ops->create(kvm, WINDOW_LEN, &w), -ENOSPC);
	ck_assert_ptr_null(w);
}
END_TEST

/* What can be written is not to be had of a descriptor that can only be read; what is read can. */
START_TEST(kvm_window_maps_what_the_file_allows)
{
	const struct vmm_window_ops *ops = &vmm_kvm_window_ops;
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct vmm_window *w;

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
	ck_assert_int_eq(ops->create(kvm, WINDOW_LEN, &w), 0);
	ck_assert_int_eq(ops->map(w, 0, fd, 0, 4096, true), -EPERM);
	ck_assert_int_eq(ops->map(w, 0, fd, 0, 4096, false), 0);
	ck_assert_int_eq(ops->unmap(w, 0, 4096), 0);
	ops->destroy(w);
	(void)close(fd);
}
END_TEST

START_TEST(kvm_vcpus_beyond_the_limit_are_refused)
{
	for (unsigned i = 0; i < VMM_KVM_VCPUS_MAX; i++) {
		ck_assert_msg(vmm_kvm_add_vcpu(kvm, &err) == 0, "%s", err.message);
	}
	ck_assert_int_eq(vmm_kvm_add_vcpu(kvm, &err), -ENOSPC);
	ck_assert_uint_eq(vmm_kvm_vcpu_count(kvm), VMM_KVM_VCPUS_MAX);
	ck_assert_int_ge(vmm_kvm_vcpu_fd(kvm, VMM_KVM_VCPUS_MAX - 1), 0);
	ck_assert_int_eq(vmm_kvm_vcpu_fd(kvm, VMM_KVM_VCPUS_MAX), -EINVAL);
}
END_TEST

START_TEST(kvm_gate_parks_and_runs_any_number_of_times)
{
	machine_start(kvm, 4);
	ck_assert_int_eq(vmm_kvm_start_threads(kvm, &err), 0);
	for (int i = 0; i < 500; i++) {
		vmm_kvm_run(kvm);
		if (i % 3 == 0) {
			(void)usleep(200);
		}
		if (i % 5 == 0) {
			vmm_kvm_request_park(kvm);
		}
		vmm_kvm_park(kvm);
	}
	vmm_kvm_run(kvm);
	vmm_kvm_stop_threads(kvm);
	/* And once more from the beginning. */
	ck_assert_int_eq(vmm_kvm_start_threads(kvm, &err), 0);
	vmm_kvm_run(kvm);
}
END_TEST

START_TEST(kvm_threads_are_named_and_block_other_signals)
{
	char path[64];
	char line[128];
	unsigned named = 0;
	FILE *file;

	machine_start(kvm, 1);
	ck_assert_int_eq(vmm_kvm_start_threads(kvm, &err), 0);
	vmm_kvm_run(kvm);
	(void)usleep(5000);
	for (int tid = getpid(); tid < getpid() + 64; tid++) {
		(void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
		file = fopen(path, "r");
		while (file && fgets(line, sizeof(line), file)) {
			unsigned long long blocked;

			if (strncmp(line, "Name:\tvcpu0\n", 12) == 0) {
				named++;
			} else if (named == 1 && sscanf(line, "SigBlk: %llx", &blocked) == 1) {
				ck_assert(blocked >> (SIGTERM - 1) & 1);
				ck_assert(!(blocked >> (SIGRTMIN - 1) & 1));
				named++;
			}
		}
		if (file) {
			(void)fclose(file);
		}
	}
	ck_assert_uint_eq(named, 2);
}
END_TEST

START_TEST(kvm_set_up_fails_cleanly_at_every_step)
{
	struct faultinj f = {0};
	unsigned failures = 0;
	unsigned before;

	vmm_kvm_destroy(kvm);
	before = fdcount();
	while (faultinj_next(&f)) {
		int ret = create();

		if (ret == 0) {
			ret = vmm_kvm_add_vcpu(kvm, &err);
		}
		if (ret == 0) {
			ret = vmm_kvm_start_threads(kvm, &err);
		}
		faultinj_stop(&f);
		if (f.failed) {
			ck_assert_msg(ret < 0, "%s", f.failed);
			ck_assert_uint_gt(strlen(err.message), 0);
			failures++;
		} else {
			ck_assert_int_eq(ret, 0);
		}
		vmm_kvm_destroy(kvm);
		ck_assert_uint_eq(fdcount(), before);
	}
	ck_assert_uint_gt(failures, 5);
	kvm = NULL;
}
END_TEST

START_TEST(kvm_line_fails_cleanly_at_every_step)
{
	struct faultinj f = {0};
	unsigned before = fdcount();

	while (faultinj_next(&f)) {
		struct vmm_irq *irq;
		int ret = vmm_kvm_line_create(kvm, 4, &irq);

		faultinj_stop(&f);
		ck_assert_int_eq(ret < 0, f.failed != NULL);
		ck_assert_int_eq(irq == NULL, f.failed != NULL);
		vmm_kvm_line_destroy(kvm, irq);
		ck_assert_uint_eq(fdcount(), before);
	}
}
END_TEST

int main(void)
{
	const TTest *const plain[] = {
		kvm_check_of_another_file_is_refused,
		kvm_check_names_what_is_missing,
		kvm_window_lies_where_nothing_else_is,
		kvm_windows_are_limited,
		kvm_window_maps_what_the_file_allows,
		kvm_vcpus_beyond_the_limit_are_refused,
		kvm_gate_parks_and_runs_any_number_of_times,
		kvm_threads_are_named_and_block_other_signals,
		kvm_set_up_fails_cleanly_at_every_step,
	};
	const TTest *const wired[] = {
		kvm_msi_address_outside_the_window_is_refused,
		kvm_msi_gsi_that_is_not_allocated_is_refused,
		kvm_msi_all_taken_is_no_space_and_freed_ones_come_back,
		kvm_pins_beyond_the_lines_are_refused,
		kvm_line_raised_reaches_the_processor,
		kvm_msi_reaches_the_processor_only_while_routed,
		kvm_irqfd_out_of_range_is_refused,
		kvm_ioeventfd_connects_once,
		kvm_ioeventfd_of_a_value_leaves_room_for_others,
		kvm_line_fails_cleanly_at_every_step,
	};
	int fd = vmm_kvm_open(&err);
	Suite *suite = suite_create("kvm");

	if (fd < 0) {
		(void)printf("skipped: %s\n", err.message);
		return 77;
	}
	(void)close(fd);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		suite_add(suite, plain[i], 1, setup, teardown);
	}
	for (size_t i = 0; i < sizeof(wired) / sizeof(wired[0]); i++) {
		suite_add(suite, wired[i], 1, setup_machine, teardown);
	}
	return suite_finish(suite);
}
