/* SPDX-License-Identifier: MIT */
/*
 * cycle KERNEL ROUNDS: makes a VM, runs the fewest instructions that end one, and destroys it, in
 * one process, with the library and with the least that is possible (limit_vm.h), in turns.
 * KERNEL is to power itself off.
 *
 * Output: NAME cycle MEDIAN QUARTILE QUARTILE (milliseconds), a line each.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <vmm/vm.h>

#include "clock.h"
#include "limit_vm.h"
#include "stats.h"

#define MEMORY     ((size_t)16 << 20)
#define CYCLES_MAX 10000

static _Noreturn void end(const char *why)
{
	(void)fprintf(stderr, "cycle: %s\n", why);
	exit(1);
}

static void cycle_library(int kvm, int kernel)
{
	const struct vmm_vm_config config = {.memory_size = MEMORY, .kvm_fd = kvm};
	struct vmm_error err = {0};
	struct vmm_exit why;
	struct vmm_vm *vm;
	int fd = dup(kernel);

	if (vmm_vm_create(&vm, &config, &err) < 0 || vmm_vm_set_kernel(vm, fd, &err) < 0 ||
	    vmm_vm_start(vm, &err) < 0) {
		end(err.message);
	}
	if (vmm_vm_wait(vm, &why) < 0 || why.reason != VMM_EXIT_POWEROFF) {
		end("the guest did not power itself off");
	}
	vmm_vm_destroy(vm);
}

static void cycle_limit(int kvm, int kernel)
{
	struct limit_vm vm;

	if (limit_vm_create(&vm, kvm, kernel, MEMORY) != 0 || limit_vm_run(&vm) != 0) {
		end("the least cannot be done");
	}
	limit_vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(int kvm, int kernel);
	} peers[] = {{"library", cycle_library}, {"limit", cycle_limit}};
	static double times[2][CYCLES_MAX];
	int rounds = argc == 3 ? atoi(argv[2]) : 0;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int kernel = argc == 3 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

	if (rounds <= 0 || rounds > CYCLES_MAX || kvm < 0 || kernel < 0) {
		end("usage: cycle KERNEL ROUNDS, with /dev/kvm");
	}
	/* The first of each is for the caches. */
	for (int i = -1; i < rounds; i++) {
		for (unsigned peer = 0; peer < 2; peer++) {
			unsigned which = (peer + (unsigned)(i + 1)) % 2;
			double began = now_ms();

			peers[which].run(kvm, kernel);
			times[which][i < 0 ? 0 : i] = now_ms() - began;
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		size_t count = (size_t)rounds;

		(void)printf("%s cycle %.4f %.4f %.4f\n", peers[i].name,
			     quantile(times[i], count, 0.5), quantile(times[i], count, 0.25),
			     quantile(times[i], count, 0.75));
	}
	return 0;
}
