/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/rng.h>

#define DEADLINE_NS (UINT64_C(40) * 1000000000)

static void put(void *ctx, char c)
{
	struct guest *guest = ctx;

	(void)pthread_mutex_lock(&guest->lock);
	if (guest->len < sizeof(guest->output) - 1) {
		guest->output[guest->len++] = c;
	}
	(void)pthread_mutex_unlock(&guest->lock);
	if (c == '\n') {
		vmm_loop_post(vmm_vm_loop(guest->vm), &guest->line_work);
	}
}

static void line_ended(void *ctx)
{
	struct guest *guest = ctx;

	if (guest->on_line) {
		guest->on_line(guest);
	}
}

static void rebooted(void *ctx)
{
	struct guest *guest = ctx;

	guest->reboots++;
	if (guest->on_reboot) {
		guest->on_reboot(guest);
	}
}

static void ended(void *ctx, const struct vmm_exit *how)
{
	struct guest *guest = ctx;

	guest->exit = *how;
	guest->exits++;
}

static void bark(void *ctx)
{
	struct guest *guest = ctx;

	guest->hung = true;
	vmm_vm_request_stop(guest->vm);
}

int guest_payload(void)
{
	int fd = open(PAYLOAD, O_RDONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "%s is missing", PAYLOAD);
	return fd;
}

static void add_devices(struct guest *guest, const struct guest_config *config)
{
	struct vmm_virtio_device *rng;
	struct vmm_error err = {0};

	uart_init(&guest->uart, put, guest);
	ck_assert_msg(vmm_vm_add_platform(guest->vm, &guest->uart.base, &err) == 0, "%s",
		      err.message);
	if (config->device) {
		ck_assert_msg(vmm_vm_add_virtio(guest->vm, "test0", config->device, &err) == 0,
			      "%s", err.message);
	}
	if (config->rng) {
		ck_assert_int_eq(vmm_rng_create(&rng, NULL, &err), 0);
		ck_assert_msg(vmm_vm_add_virtio(guest->vm, "rng0", rng, &err) == 0, "%s",
			      err.message);
	}
}

void guest_create(struct guest *guest, const struct guest_config *config)
{
	const struct vmm_vm_config vm = {
		.memory_size = (uint64_t)(config->mib ? config->mib : 64) << 20,
		.vcpus = config->vcpus,
		.transport = config->mmio ? VMM_TRANSPORT_MMIO : VMM_TRANSPORT_PCI,
		.reset_stops = config->reset_stops,
		.on_exit = ended,
		.on_reboot = rebooted,
		.ctx = guest,
	};
	struct vmm_error err = {0};

	memset(guest, 0, sizeof(*guest));
	(void)pthread_mutex_init(&guest->lock, NULL);
	guest->line_work.fn = line_ended;
	guest->line_work.ctx = guest;
	ck_assert_msg(vmm_vm_create(&guest->vm, &vm, &err) == 0, "%s", err.message);
	ck_assert_msg(vmm_vm_set_kernel(guest->vm, guest_payload(), &err) == 0, "%s", err.message);
	ck_assert_int_eq(vmm_vm_set_cmdline(guest->vm, config->scenario, &err), 0);
	add_devices(guest, config);
	ck_assert_int_eq(vmm_loop_add_timer(vmm_vm_loop(guest->vm), bark, guest, &guest->watchdog),
			 0);
}

void guest_destroy(struct guest *guest)
{
	vmm_source_remove(guest->watchdog);
	(void)vmm_vm_stop(guest->vm);
	vmm_loop_cancel(vmm_vm_loop(guest->vm), &guest->line_work);
	vmm_vm_destroy(guest->vm);
	(void)pthread_mutex_destroy(&guest->lock);
}

void guest_start(struct guest *guest)
{
	struct vmm_error err = {0};

	ck_assert_int_eq(vmm_source_arm(guest->watchdog, DEADLINE_NS), 0);
	ck_assert_msg(vmm_vm_start(guest->vm, &err) == 0, "%s", err.message);
}

struct vmm_exit guest_wait(struct guest *guest)
{
	struct vmm_exit how;

	ck_assert_int_eq(vmm_vm_wait(guest->vm, &how), 0);
	ck_assert_msg(!guest->hung, "the guest hangs; it said: %s", guest->output);
	return how;
}

struct vmm_exit guest_run(struct guest *guest, const struct guest_config *config)
{
	struct vmm_exit how;

	guest_create(guest, config);
	guest_start(guest);
	how = guest_wait(guest);
	ck_assert_msg(!guest_said(guest, "BAD"), "%s", guest->output);
	return how;
}

size_t guest_output_len(struct guest *guest)
{
	size_t len;

	(void)pthread_mutex_lock(&guest->lock);
	len = guest->len;
	(void)pthread_mutex_unlock(&guest->lock);
	return len;
}

bool guest_said(struct guest *guest, const char *text)
{
	bool said;

	(void)pthread_mutex_lock(&guest->lock);
	said = strstr(guest->output, text) != NULL;
	(void)pthread_mutex_unlock(&guest->lock);
	return said;
}

void guest_assert_line(struct guest *guest, const char *line)
{
	size_t len = strlen(line);
	unsigned found = 0;

	(void)pthread_mutex_lock(&guest->lock);
	for (const char *at = guest->output; (at = strstr(at, line)); at += len) {
		found += (at == guest->output || at[-1] == '\n') && at[len] == '\n';
	}
	(void)pthread_mutex_unlock(&guest->lock);
	ck_assert_msg(found == 1, "%u lines '%s' in: %s", found, line, guest->output);
}
