/* SPDX-License-Identifier: MIT */
/* A VM that runs the test payload, and what it says. */
#ifndef TESTS_GUEST_FIXTURE_H
#define TESTS_GUEST_FIXTURE_H

#include <check.h>
#include <pthread.h>

#include <vmm/vm.h>

#include "uart.h"

#define OUTPUT_MAX 16384

struct guest {
	struct vmm_vm *vm;
	struct uart uart;
	struct vmm_source *watchdog;
	bool hung;
	unsigned reboots;
	struct vmm_exit exit; /* as on_exit said */
	unsigned exits;
	/* Called on the loop's thread when the guest has ended a line, and after each reboot. */
	void (*on_line)(struct guest *guest);
	void (*on_reboot)(struct guest *guest);
	struct vmm_work line_work;

	pthread_mutex_t lock; /* the rest is written on vCPU threads */
	char output[OUTPUT_MAX];
	size_t len;
};

struct guest_config {
	const char *scenario;
	unsigned mib; /* 64 */
	unsigned vcpus;
	bool rng;
	struct vmm_virtio_device *device; /* added, and taken; may be NULL */
	bool mmio;                        /* no PCI */
	bool reset_stops;
};

/* Configured, not started. */
void guest_create(struct guest *guest, const struct guest_config *config);
void guest_destroy(struct guest *guest);
void guest_start(struct guest *guest);
/* Until it has ended; fails the test when that takes unreasonably long. */
struct vmm_exit guest_wait(struct guest *guest);
/* create, start, wait; the output has no line that starts with BAD. */
struct vmm_exit guest_run(struct guest *guest, const struct guest_config *config);

size_t guest_output_len(struct guest *guest);
/* Exactly one line of the output is this. */
void guest_assert_line(struct guest *guest, const char *line);
bool guest_said(struct guest *guest, const char *text);
int guest_payload(void);

#endif
