/* SPDX-License-Identifier: MIT */
/*
 * Bare-metal guests on this machine's /dev/kvm: what KVM and the library together do. Each scenario
 * is one of the test payload's (payload.c).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fdcount.h"
#include "fixture.h"
#include "shmdev.h"
#include "suite.h"

static struct guest guest;

static void assert_powered_off(struct vmm_exit how)
{
	ck_assert_int_eq(how.reason, VMM_EXIT_POWEROFF);
	ck_assert_uint_eq(guest.exits, 1);
	ck_assert_int_eq(guest.exit.reason, VMM_EXIT_POWEROFF);
	ck_assert_int_eq(vmm_vm_state(guest.vm), VMM_VM_STOPPED);
	guest_assert_line(&guest, "done");
}

/* ---- memory ---- */

START_TEST(guest_memory_small_is_one_range)
{
	const struct guest_config config = {.scenario = "memory", .mib = 64};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "ram 0 9fc00");
	guest_assert_line(&guest, "ram 100000 3f00000");
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_memory_of_one_gib_stays_below_the_hole)
{
	const struct guest_config config = {.scenario = "memory", .mib = 1024};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "ram 100000 3ff00000");
	guest_destroy(&guest);
}
END_TEST

static uint64_t cpu_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

START_TEST(guest_memory_large_continues_above_4_gib_and_costs_nothing)
{
	const struct guest_config config = {.scenario = "memory", .mib = 5120};
	uint64_t before = cpu_ms();

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "ram 100000 bff00000");
	guest_assert_line(&guest, "ram 100000000 80000000");
	/* Touching 5 GiB would take a second and more. */
	ck_assert_uint_lt(cpu_ms() - before, 500);
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_initrd_is_loaded_as_it_is)
{
	const struct guest_config config = {.scenario = "memory"};
	struct vmm_error err = {0};
	FILE *file = tmpfile();

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fputc(0x5a, file), 0x5a);
	ck_assert_int_eq(fseek(file, 12345, SEEK_SET), 0);
	ck_assert_int_eq(fputc(0xa5, file), 0xa5);
	ck_assert_int_eq(fflush(file), 0);
	guest_create(&guest, &config);
	ck_assert_int_eq(vmm_vm_set_initrd(guest.vm, dup(fileno(file)), &err), 0);
	(void)fclose(file);
	guest_start(&guest);
	assert_powered_off(guest_wait(&guest));
	guest_assert_line(&guest, "initrd 303a 5a a5");
	guest_destroy(&guest);
}
END_TEST

/* ---- PCI and virtio ---- */

START_TEST(guest_pci_ports_and_ecam_agree)
{
	const struct guest_config config = {.scenario = "pci", .rng = true};
	char bdf[16];

	assert_powered_off(guest_run(&guest, &config));
	ck_assert(guest_said(&guest, "pci 0 "));
	guest_assert_line(&guest, "pci 1 10441af4 1080");
	ck_assert(!guest_said(&guest, "pci 2"));
	ck_assert_int_eq(vmm_vm_virtio_bdf(guest.vm, "rng0", bdf, sizeof(bdf)), 0);
	ck_assert_str_eq(bdf, "0000:00:01.0");
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_virtio_polled_works)
{
	const struct guest_config config = {.scenario = "rng", .rng = true};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "rng 40 random 0");
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_virtio_interrupt_by_msix_wakes)
{
	const struct guest_config config = {.scenario = "msix", .rng = true};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "rng 40 random 1");
	guest_destroy(&guest);
}
END_TEST

/* With the BARs above 5 GiB of RAM. */
START_TEST(guest_virtio_works_above_large_memory)
{
	const struct guest_config config = {.scenario = "msix", .rng = true, .mib = 5120};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "rng 40 random 1");
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_virtio_mmio_polled_works)
{
	const struct guest_config config = {.scenario = "mmio", .rng = true, .mmio = true};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "rng 40 random 0");
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_virtio_mmio_interrupt_by_an_edge_wakes)
{
	const struct guest_config config = {.scenario = "mmio-edge", .rng = true, .mmio = true};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "rng 40 random 1");
	guest_destroy(&guest);
}
END_TEST

/* ---- shared memory of devices ---- */

static struct shmdev shmdev;

static struct vmm_exit run_shm(const char *scenario, bool mmio)
{
	const struct guest_config config = {
		.scenario = scenario,
		.device = &shmdev.base,
		.mmio = mmio,
	};
	struct vmm_exit how;

	shmdev_init(&shmdev);
	how = guest_run(&guest, &config);
	ck_assert_int_eq(shmdev.maps, 0);
	guest_assert_line(&guest, "region 200000000 0");
	return how;
}

static void end_shm(void)
{
	guest_destroy(&guest);
	shmdev_finish(&shmdev);
	ck_assert_uint_eq(shmdev.resets, 1);
}

START_TEST(guest_shm_is_the_files_memory)
{
	assert_powered_off(run_shm("shm-use", false));
	guest_assert_line(&guest, "shm 1111 2222");
	ck_assert_uint_eq(shmdev_get(&shmdev, 8), 0x616e73776572);
	end_shm();
}
END_TEST

START_TEST(guest_shm_without_pci)
{
	assert_powered_off(run_shm("shm-mmio", true));
	guest_assert_line(&guest, "shm 1111 2222");
	ck_assert_uint_eq(shmdev_get(&shmdev, 8), 0x616e73776572);
	end_shm();
}
END_TEST

START_TEST(guest_shm_follows_its_bar)
{
	assert_powered_off(run_shm("shm-moved", false));
	ck_assert_uint_eq(shmdev_get(&shmdev, 8), 0x616e73776572);
	end_shm();
}
END_TEST

START_TEST(guest_shm_is_gone_after_a_reset)
{
	assert_powered_off(run_shm("shm-reset", false));
	guest_assert_line(&guest, "shm 1111 2222");
	end_shm();
}
END_TEST

/*
 * What KVM runs on the processor faults, and the guest stands where it cannot go on. An instruction
 * that KVM interprets, as it may have to, is an access to a device that is not there.
 */
static void assert_stopped(struct vmm_exit how, const char *otherwise)
{
	printf("figure: shared memory where nothing is mapped: %s\n",
	       how.reason == VMM_EXIT_CRASH ? how.detail : "KVM interprets the access");
	if (how.reason != VMM_EXIT_CRASH) {
		assert_powered_off(how);
		guest_assert_line(&guest, otherwise);
		return;
	}
	ck_assert_ptr_nonnull(strstr(how.detail, "where nothing is mapped"));
	ck_assert_uint_eq(guest.exits, 1);
	ck_assert(!guest_said(&guest, "done"));
}

START_TEST(guest_shm_hole_stops_the_guest)
{
	assert_stopped(run_shm("shm-hole", false), "hole ffffffffffffffff");
	end_shm();
}
END_TEST

START_TEST(guest_shm_write_to_what_is_read_only_stops_the_guest)
{
	assert_stopped(run_shm("shm-write", false), "done");
	ck_assert_uint_eq(shmdev_get(&shmdev, 2 * 4096), 0);
	end_shm();
}
END_TEST

START_TEST(guest_shm_is_no_memory_for_devices)
{
	const struct guest_config config = {.scenario = "shm-ring", .device = &shmdev.base};

	shmdev_init(&shmdev);
	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "ring 40");
	end_shm();
}
END_TEST

START_TEST(guest_access_to_nothing_reads_ones)
{
	const struct guest_config config = {.scenario = "nothing"};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "a string at once");
	guest_destroy(&guest);
}
END_TEST

/* ---- processors ---- */

START_TEST(guest_smp_all_processors_start)
{
	static const unsigned counts[] = {2, 8, 64};
	struct guest_config config = {.scenario = "smp", .vcpus = counts[_i]};
	char line[32];

	assert_powered_off(guest_run(&guest, &config));
	(void)snprintf(line, sizeof(line), "cpus %x", counts[_i]);
	guest_assert_line(&guest, line);
	guest_destroy(&guest);
}
END_TEST

/* ---- reset ---- */

static void run_resets(const char *scenario, unsigned vcpus, bool rng)
{
	struct guest_config config = {
		.scenario = scenario,
		.vcpus = vcpus,
		.rng = rng,
		.mmio = strncmp(scenario, "mmio", 4) == 0,
	};

	assert_powered_off(guest_run(&guest, &config));
	guest_assert_line(&guest, "boot 0");
	guest_assert_line(&guest, "boot 1");
	guest_assert_line(&guest, "boot 2");
	guest_assert_line(&guest, "boot 3");
	ck_assert_uint_eq(guest.reboots, 3);
	ck_assert_int_eq(guest_said(&guest, "rng 40 random 1"), rng);
	guest_destroy(&guest);
}

START_TEST(guest_reset_register_reboots_in_place)
{
	run_resets("reset", 1, false);
}
END_TEST

START_TEST(guest_reset_by_keyboard_controller_reboots_too)
{
	run_resets("keyboard", 1, false);
}
END_TEST

START_TEST(guest_reset_with_active_mmio_device_leaves_it_usable)
{
	run_resets("mmio-reset", 1, true);
}
END_TEST

START_TEST(guest_reset_with_active_device_leaves_it_usable)
{
	run_resets("msix-reset", 1, true);
}
END_TEST

START_TEST(guest_reset_parks_all_processors)
{
	run_resets("smp-reset", 4, false);
}
END_TEST

START_TEST(guest_reset_stops_when_told_to)
{
	const struct guest_config config = {.scenario = "reset", .reset_stops = true};
	struct vmm_exit how = guest_run(&guest, &config);

	ck_assert_int_eq(how.reason, VMM_EXIT_RESET);
	ck_assert_uint_eq(guest.exits, 1);
	ck_assert_uint_eq(guest.reboots, 0);
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_triple_fault_resets_then_counts_as_crash)
{
	const struct guest_config config = {.scenario = "fault"};
	struct vmm_exit how = guest_run(&guest, &config);

	ck_assert_int_eq(how.reason, VMM_EXIT_CRASH);
	ck_assert_str_eq(how.detail, "triple fault");
	ck_assert_uint_eq(guest.reboots, 4);
	guest_destroy(&guest);
}
END_TEST

static void reboot_once(struct guest *g)
{
	if (g->reboots == 0) {
		ck_assert_int_eq(vmm_vm_reboot(g->vm), 0);
	} else {
		(void)vmm_vm_stop(g->vm);
	}
}

START_TEST(guest_reboot_call_restarts_a_running_guest)
{
	const struct guest_config config = {.scenario = "idle", .vcpus = 2, .reset_stops = true};

	guest_create(&guest, &config);
	guest.on_line = reboot_once;
	guest_start(&guest);
	ck_assert_int_eq(guest_wait(&guest).reason, VMM_EXIT_STOPPED);
	ck_assert_uint_eq(guest.reboots, 1);
	ck_assert_str_eq(guest.output, "idle\nidle\n");
	guest_destroy(&guest);
}
END_TEST

/* A reboot reads the kernel again: it is gone by then. */
static void shrink_and_reboot(struct guest *g)
{
	ck_assert_int_lt(vmm_vm_reboot(g->vm), 0);
}

START_TEST(guest_reboot_without_kernel_ends_in_error)
{
	struct vmm_error err = {0};
	struct vmm_exit how;
	char buf[65536];
	FILE *copy = tmpfile();
	ssize_t got;
	int from = guest_payload();

	ck_assert_ptr_nonnull(copy);
	while ((got = read(from, buf, sizeof(buf))) > 0) {
		ck_assert_uint_eq(fwrite(buf, 1, (size_t)got, copy), (size_t)got);
	}
	(void)fflush(copy);
	(void)close(from);
	guest_create(&guest, &(struct guest_config){.scenario = "idle"});
	ck_assert_int_eq(vmm_vm_set_kernel(guest.vm, dup(fileno(copy)), &err), 0);
	guest.on_line = shrink_and_reboot;
	guest_start(&guest);
	ck_assert_int_eq(ftruncate(fileno(copy), 100), 0);
	how = guest_wait(&guest);
	ck_assert_int_eq(how.reason, VMM_EXIT_ERROR);
	ck_assert_int_eq(how.code, -ENOEXEC);
	ck_assert_uint_eq(guest.exits, 1);
	(void)fclose(copy);
	guest_destroy(&guest);
}
END_TEST

/* ---- power button, pause, stop ---- */

static void press(struct guest *g)
{
	if (guest_said(g, "waiting") && !guest_said(g, "button")) {
		ck_assert_int_eq(vmm_vm_power_button(g->vm), 0);
	}
}

START_TEST(guest_power_button_interrupts)
{
	const struct guest_config config = {.scenario = "button"};

	guest_create(&guest, &config);
	guest.on_line = press;
	guest_start(&guest);
	assert_powered_off(guest_wait(&guest));
	guest_assert_line(&guest, "button 1 0");
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_pause_stands_still_and_resume_goes_on)
{
	const struct guest_config config = {.scenario = "spin", .vcpus = 2};
	unsigned pauses = 0;

	guest_create(&guest, &config);
	guest_start(&guest);
	while (vmm_vm_state(guest.vm) == VMM_VM_RUNNING) {
		size_t before;

		(void)vmm_loop_dispatch(vmm_vm_loop(guest.vm), 1);
		if (vmm_vm_pause(guest.vm) != 0) {
			continue;
		}
		pauses++;
		before = guest_output_len(&guest);
		(void)usleep(500);
		ck_assert_uint_eq(guest_output_len(&guest), before);
		ck_assert_int_eq(vmm_vm_pause(guest.vm), -EBUSY);
		ck_assert_int_eq(vmm_vm_power_button(guest.vm), -EBUSY);
		ck_assert_int_eq(vmm_vm_resume(guest.vm), 0);
	}
	assert_powered_off(guest_wait(&guest));
	ck_assert_uint_gt(pauses, 5);
	/* Not a byte lost or doubled: 2000 dots, a newline, "done". */
	ck_assert_uint_eq(guest.len, 2000 + 1 + 5);
	guest_destroy(&guest);
}
END_TEST

/*
 * While the loop waits for a vCPU, that vCPU may be inside a device register that waits for the
 * loop: at whatever moment, both get through.
 */
START_TEST(guest_pause_at_any_moment_of_device_set_up_gets_through)
{
	const struct guest_config config = {.scenario = "msix", .rng = true};

	for (unsigned i = 0; i < 60; i++) {
		guest_create(&guest, &config);
		guest_start(&guest);
		(void)usleep(i * 100);
		while (vmm_vm_pause(guest.vm) == 0) {
			ck_assert_int_eq(vmm_vm_resume(guest.vm), 0);
			(void)vmm_loop_dispatch(vmm_vm_loop(guest.vm), 0);
			(void)usleep(50);
		}
		assert_powered_off(guest_wait(&guest));
		guest_assert_line(&guest, "rng 40 random 1");
		guest_destroy(&guest);
	}
}
END_TEST

START_TEST(guest_stop_at_any_moment_of_device_set_up_gets_through)
{
	const struct guest_config config = {.scenario = "msix-reset", .rng = true};

	for (unsigned i = 0; i < 60; i++) {
		guest_create(&guest, &config);
		guest_start(&guest);
		(void)usleep(i * 100);
		(void)vmm_loop_dispatch(vmm_vm_loop(guest.vm), 0);
		ck_assert_int_eq(vmm_vm_stop(guest.vm), 0);
		guest_destroy(&guest);
	}
}
END_TEST

START_TEST(guest_reboot_while_paused_stays_paused)
{
	const struct guest_config config = {.scenario = "rng", .rng = true};

	guest_create(&guest, &config);
	guest_start(&guest);
	ck_assert_int_eq(vmm_vm_pause(guest.vm), 0);
	ck_assert_int_eq(vmm_vm_reboot(guest.vm), 0);
	ck_assert_int_eq(vmm_vm_state(guest.vm), VMM_VM_PAUSED);
	memset(guest.output, 0, sizeof(guest.output));
	guest.len = 0;
	(void)usleep(20000);
	ck_assert_uint_eq(guest_output_len(&guest), 0);
	ck_assert_int_eq(vmm_vm_resume(guest.vm), 0);
	assert_powered_off(guest_wait(&guest));
	guest_destroy(&guest);
}
END_TEST

static void request_stop(struct guest *g)
{
	vmm_vm_request_stop(g->vm);
}

START_TEST(guest_request_stop_ends_a_busy_guest)
{
	const struct guest_config config = {.scenario = "idle", .vcpus = 4};

	guest_create(&guest, &config);
	guest.on_line = request_stop;
	guest_start(&guest);
	ck_assert_int_eq(guest_wait(&guest).reason, VMM_EXIT_STOPPED);
	ck_assert_uint_eq(guest.exits, 1);
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_stop_paused_is_silent)
{
	const struct guest_config config = {.scenario = "idle"};

	guest_create(&guest, &config);
	guest_start(&guest);
	ck_assert_int_eq(vmm_vm_pause(guest.vm), 0);
	ck_assert_int_eq(vmm_vm_stop(guest.vm), 0);
	ck_assert_int_eq(vmm_vm_stop(guest.vm), 0);
	ck_assert_int_eq(vmm_vm_state(guest.vm), VMM_VM_STOPPED);
	ck_assert_uint_eq(guest.exits, 0);
	ck_assert_int_eq(vmm_vm_resume(guest.vm), -EBUSY);
	ck_assert_int_eq(vmm_vm_reboot(guest.vm), -EBUSY);
	guest_destroy(&guest);
}
END_TEST

/* A second operation inside the first: work posted to the loop runs while it waits. */
struct nested {
	struct vmm_work work;
	int pause;
	int stop;
	bool ran;
};

static void operate(void *ctx)
{
	struct nested *nested = ctx;

	nested->pause = vmm_vm_pause(guest.vm);
	nested->stop = vmm_vm_stop(guest.vm);
	nested->ran = true;
}

START_TEST(guest_operation_inside_another_is_refused)
{
	const struct guest_config config = {.scenario = "idle", .vcpus = 2};
	struct nested nested = {.work = {.fn = operate, .ctx = &nested}};

	guest_create(&guest, &config);
	guest_start(&guest);
	/* Where the vCPUs park before the loop has looked, there is no wait to be inside of. */
	for (int i = 0; i < 1000 && !nested.ran; i++) {
		(void)usleep(500);
		vmm_loop_post(vmm_vm_loop(guest.vm), &nested.work);
		ck_assert_int_eq(vmm_vm_pause(guest.vm), 0);
		vmm_loop_cancel(vmm_vm_loop(guest.vm), &nested.work);
		ck_assert_int_eq(vmm_vm_resume(guest.vm), 0);
	}
	ck_assert(nested.ran);
	ck_assert_int_eq(nested.pause, -EBUSY);
	ck_assert_int_eq(nested.stop, -EBUSY);
	guest_destroy(&guest);
}
END_TEST

START_TEST(guest_lives_and_leaves_nothing_behind)
{
	const struct guest_config config = {.scenario = "msix", .rng = true, .vcpus = 2};
	unsigned before = fdcount();

	for (int i = 0; i < 20; i++) {
		assert_powered_off(guest_run(&guest, &config));
		guest_destroy(&guest);
	}
	ck_assert_uint_eq(fdcount(), before);
}
END_TEST

static bool can_run(void)
{
	struct vmm_error err = {0};

	if (vmm_host_check(-1, &err) == 0) {
		return true;
	}
	(void)printf("skipped: no bare-metal guests: %s\n", err.message);
	return false;
}

static void add_all(TCase *t)
{
	tcase_add_test(t, guest_memory_small_is_one_range);
	tcase_add_test(t, guest_memory_of_one_gib_stays_below_the_hole);
	tcase_add_test(t, guest_memory_large_continues_above_4_gib_and_costs_nothing);
	tcase_add_test(t, guest_initrd_is_loaded_as_it_is);
	tcase_add_test(t, guest_pci_ports_and_ecam_agree);
	tcase_add_test(t, guest_virtio_polled_works);
	tcase_add_test(t, guest_virtio_interrupt_by_msix_wakes);
	tcase_add_test(t, guest_virtio_works_above_large_memory);
	tcase_add_test(t, guest_virtio_mmio_polled_works);
	tcase_add_test(t, guest_virtio_mmio_interrupt_by_an_edge_wakes);
	tcase_add_test(t, guest_shm_is_the_files_memory);
	tcase_add_test(t, guest_shm_without_pci);
	tcase_add_test(t, guest_shm_follows_its_bar);
	tcase_add_test(t, guest_shm_is_gone_after_a_reset);
	tcase_add_test(t, guest_shm_hole_stops_the_guest);
	tcase_add_test(t, guest_shm_write_to_what_is_read_only_stops_the_guest);
	tcase_add_test(t, guest_shm_is_no_memory_for_devices);
	tcase_add_test(t, guest_access_to_nothing_reads_ones);
	tcase_add_loop_test(t, guest_smp_all_processors_start, 0, 3);
	tcase_add_test(t, guest_reset_register_reboots_in_place);
	tcase_add_test(t, guest_reset_by_keyboard_controller_reboots_too);
	tcase_add_test(t, guest_reset_with_active_device_leaves_it_usable);
	tcase_add_test(t, guest_reset_with_active_mmio_device_leaves_it_usable);
	tcase_add_test(t, guest_reset_parks_all_processors);
	tcase_add_test(t, guest_reset_stops_when_told_to);
	tcase_add_test(t, guest_triple_fault_resets_then_counts_as_crash);
	tcase_add_test(t, guest_reboot_call_restarts_a_running_guest);
	tcase_add_test(t, guest_reboot_without_kernel_ends_in_error);
	tcase_add_test(t, guest_power_button_interrupts);
	tcase_add_test(t, guest_pause_stands_still_and_resume_goes_on);
	tcase_add_test(t, guest_pause_at_any_moment_of_device_set_up_gets_through);
	tcase_add_test(t, guest_stop_at_any_moment_of_device_set_up_gets_through);
	tcase_add_test(t, guest_reboot_while_paused_stays_paused);
	tcase_add_test(t, guest_request_stop_ends_a_busy_guest);
	tcase_add_test(t, guest_stop_paused_is_silent);
	tcase_add_test(t, guest_operation_inside_another_is_refused);
	tcase_add_test(t, guest_lives_and_leaves_nothing_behind);
}

int main(void)
{
	Suite *suite = suite_create("guest");
	TCase *tcase = tcase_create("guest");
	SRunner *runner;
	int failed;

	if (!can_run()) {
		return 77;
	}
	tcase_set_timeout(tcase, SUITE_TEST_TIMEOUT);
	add_all(tcase);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
