/* SPDX-License-Identifier: MIT */
/*
 * A VM's life after configuration. Everything happens on the loop's thread; vCPU threads only leave
 * word of what the guest did, and close the gate behind themselves first, so that nothing overtakes
 * it.
 *
 * While the loop waits for vCPUs to park it runs posted work (see vmm_loop_dispatch_posted). `busy`
 * keeps such work from starting a second operation inside the first; an event that arrives
 * meanwhile is taken up when the first is done.
 */
#include "vm/internal.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

/* A kernel that faults this often, each time so soon, would only do it again. */
#define EARLY_FAULTS_MAX 5u
#define EARLY_NS         UINT64_C(1000000000)
#define LOG_NS           UINT64_C(1000000000)

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static bool alive(const struct vmm_vm *vm)
{
	return vm->state == VMM_VM_RUNNING || vm->state == VMM_VM_PAUSED;
}

/* ---- events ---- */

static bool event_pending(struct vmm_vm *vm)
{
	bool pending;

	(void)pthread_mutex_lock(&vm->event_lock);
	pending = vm->event_pending;
	(void)pthread_mutex_unlock(&vm->event_lock);
	return pending;
}

static bool take_event(struct vmm_vm *vm, struct vmm_kvm_event *out)
{
	bool pending;

	(void)pthread_mutex_lock(&vm->event_lock);
	pending = vm->event_pending;
	*out = vm->event;
	vm->event_pending = false;
	(void)pthread_mutex_unlock(&vm->event_lock);
	return pending;
}

void vmm_vm_on_kvm_event(void *ctx, const struct vmm_kvm_event *event)
{
	struct vmm_vm *vm = ctx;

	(void)pthread_mutex_lock(&vm->event_lock);
	if (!vm->event_pending) {
		vm->event_pending = true;
		vm->event = *event;
	}
	(void)pthread_mutex_unlock(&vm->event_lock);
	vmm_loop_post(vm->loop, &vm->event_work);
}

void vmm_vm_on_machine_event(void *ctx, enum vmm_machine_event event)
{
	struct vmm_vm *vm = ctx;
	const struct vmm_kvm_event e = {
		.kind = event == VMM_MACHINE_RESET ? VMM_KVM_RESET : VMM_KVM_POWEROFF,
	};

	vmm_kvm_request_park(vm->kvm);
	vmm_vm_on_kvm_event(vm, &e);
}

/* ---- stopping ---- */

void vmm_vm_halt(struct vmm_vm *vm, const struct vmm_exit *why)
{
	struct vmm_kvm_event dropped;

	if (vm->kvm) {
		vm->busy = true;
		if (vm->config.threads_stay) {
			vmm_kvm_park(vm->kvm);
		} else {
			vmm_kvm_stop_threads(vm->kvm);
		}
		vm->busy = false;
	}
	(void)take_event(vm, &dropped);
	vm->state = VMM_VM_STOPPED;
	vm->exit = *why;
}

static void finish(struct vmm_vm *vm, enum vmm_exit_reason reason, int code, const char *detail)
{
	const struct vmm_exit why = {.reason = reason, .code = code, .detail = detail};

	vmm_vm_halt(vm, &why);
	vmm_log(vm->config.log, VMM_LOG_INFO, "stopped%s%s", detail ? ": " : "",
		detail ? detail : "");
	if (vm->config.on_exit) {
		vm->config.on_exit(vm->config.ctx, &vm->exit);
	}
}

int vmm_vm_stop(struct vmm_vm *vm)
{
	const struct vmm_exit why = {.reason = VMM_EXIT_STOPPED};

	if (vm->busy) {
		return -EBUSY;
	}
	if (vm->state != VMM_VM_STOPPED) {
		vmm_vm_halt(vm, &why);
	}
	return 0;
}

void vmm_vm_request_stop(struct vmm_vm *vm)
{
	uint64_t one = 1;

	/* Nothing but write: this may be a signal handler. EAGAIN: asked 2^64 - 1 times before. */
	(void)!write(vm->stop_fd, &one, sizeof(one));
}

void vmm_vm_on_stop_fd(void *ctx, int fd, uint32_t events)
{
	struct vmm_vm *vm = ctx;
	uint64_t count;

	(void)events;
	(void)!read(fd, &count, sizeof(count));
	if (vm->state != VMM_VM_STOPPED) {
		finish(vm, VMM_EXIT_STOPPED, 0, NULL);
	}
}

/* ---- booting ---- */

static int boot(struct vmm_vm *vm, struct vmm_error *err)
{
	const struct vmm_machine_image image = {
		.kernel_fd = vm->kernel_fd,
		.initrd_fd = vm->initrd_fd,
		.cmdline = vm->cmdline ? vm->cmdline : "",
	};
	int ret = vmm_machine_boot(vm->machine, &image, err);

	vm->booted_ns = now_ns();
	return ret;
}

int vmm_vm_start(struct vmm_vm *vm, struct vmm_error *err)
{
	struct vmm_exit failed = {.reason = VMM_EXIT_ERROR, .detail = "it could not be started"};
	int ret;

	if (vm->state != VMM_VM_CONFIGURING) {
		return vmm_error_set(err, -EBUSY, "the VM was started already");
	}
	if (vm->kernel_fd < 0) {
		ret = vmm_error_set(err, -EINVAL, "the VM has no kernel");
	} else {
		ret = boot(vm, err);
	}
	if (ret == 0) {
		ret = vmm_kvm_start_threads(vm->kvm, err);
	}
	if (ret == 0 && vm->config.before_run) {
		ret = vm->config.before_run(vm->config.ctx);
		if (ret < 0) {
			(void)vmm_error_wrap(err, ret, "before the first instruction");
		}
	}
	if (ret < 0) {
		failed.code = ret;
		vmm_vm_halt(vm, &failed);
		return ret;
	}
	vm->state = VMM_VM_RUNNING;
	vmm_kvm_run(vm->kvm);
	vmm_log(vm->config.log, VMM_LOG_INFO, "started");
	return 0;
}

/* Devices first: after this none of them reaches guest memory. All vCPUs are parked. */
static void reset_devices(struct vmm_vm *vm)
{
	if (vm->pci) {
		vmm_pci_host_reset(vm->pci);
	}
	for (unsigned i = 0; i < VIRTIO_MAX; i++) {
		if (vm->virtio[i].mmio) {
			vmm_virtio_mmio_reset(vm->virtio[i].mmio);
		}
	}
	for (unsigned i = 0; i < PLATFORMS_MAX; i++) {
		struct vmm_platform_device *dev = vm->platforms[i].dev;

		if (dev && dev->ops->reset) {
			dev->ops->reset(dev);
		}
	}
}

/* A guest may reboot a thousand times a second; the log hears of one. */
static void log_reboot(struct vmm_vm *vm)
{
	if (vm->reboot_logged_ns == 0 || vm->booted_ns - vm->reboot_logged_ns >= LOG_NS) {
		vm->reboot_logged_ns = vm->booted_ns;
		vmm_log(vm->config.log, VMM_LOG_INFO, "rebooted");
	}
}

/* Power off and on again, with the same devices. A paused VM stays paused at its first instruction.
 */
static int reboot(struct vmm_vm *vm)
{
	struct vmm_kvm_event dropped;
	struct vmm_error err = {0};
	int ret;

	vm->busy = true;
	vmm_kvm_park(vm->kvm);
	vm->busy = false;
	(void)take_event(vm, &dropped);
	reset_devices(vm);
	ret = vmm_mem_clear(vm->mem);
	if (ret < 0) {
		(void)vmm_error_wrap(&err, ret, "guest memory");
	} else {
		ret = boot(vm, &err);
	}
	if (ret < 0) {
		vmm_log(vm->config.log, VMM_LOG_ERROR, "reboot: %s", err.message);
		finish(vm, VMM_EXIT_ERROR, ret, "the reboot could not be carried out");
		return ret;
	}
	log_reboot(vm);
	if (vm->state == VMM_VM_RUNNING) {
		vmm_kvm_run(vm->kvm);
	}
	if (vm->config.on_reboot) {
		vm->config.on_reboot(vm->config.ctx);
	}
	return 0;
}

/* What happened while an operation was waiting is due now. */
static void catch_up(struct vmm_vm *vm)
{
	if (event_pending(vm)) {
		vmm_loop_post(vm->loop, &vm->event_work);
	}
}

int vmm_vm_reboot(struct vmm_vm *vm)
{
	int ret;

	if (vm->busy || !alive(vm)) {
		return -EBUSY;
	}
	vm->early_faults = 0;
	ret = reboot(vm);
	catch_up(vm);
	return ret;
}

static void guest_reset(struct vmm_vm *vm)
{
	if (vm->config.reset_stops) {
		finish(vm, VMM_EXIT_RESET, 0, "the guest reset itself");
		return;
	}
	(void)reboot(vm);
}

static void triple_fault(struct vmm_vm *vm, const char *detail)
{
	bool early = now_ns() - vm->booted_ns < EARLY_NS;

	vm->early_faults = early ? vm->early_faults + 1 : 0;
	if (vm->early_faults >= EARLY_FAULTS_MAX) {
		finish(vm, VMM_EXIT_CRASH, 0, detail);
		return;
	}
	guest_reset(vm);
}

void vmm_vm_on_event_work(void *ctx)
{
	struct vmm_vm *vm = ctx;
	struct vmm_kvm_event event;

	if (vm->busy || !alive(vm) || !take_event(vm, &event)) {
		return;
	}
	switch (event.kind) {
	case VMM_KVM_POWEROFF:
		finish(vm, VMM_EXIT_POWEROFF, 0, NULL);
		break;
	case VMM_KVM_RESET:
		vm->early_faults = 0;
		guest_reset(vm);
		break;
	case VMM_KVM_TRIPLE_FAULT:
		triple_fault(vm, event.detail);
		break;
	case VMM_KVM_CRASH:
		finish(vm, VMM_EXIT_CRASH, 0, event.detail);
		break;
	case VMM_KVM_ERROR:
		finish(vm, VMM_EXIT_ERROR, event.code, event.detail);
		break;
	}
}

/* ---- running ---- */

int vmm_vm_pause(struct vmm_vm *vm)
{
	if (vm->busy || vm->state != VMM_VM_RUNNING) {
		return -EBUSY;
	}
	vm->busy = true;
	vmm_kvm_park(vm->kvm);
	vm->busy = false;
	vm->state = VMM_VM_PAUSED;
	catch_up(vm);
	return 0;
}

int vmm_vm_resume(struct vmm_vm *vm)
{
	if (vm->busy || vm->state != VMM_VM_PAUSED) {
		return -EBUSY;
	}
	vm->state = VMM_VM_RUNNING;
	vmm_machine_resuming(vm->machine);
	/* A guest that has powered off or faulted must not go on: the posted event will see to it.
	 */
	if (!event_pending(vm)) {
		vmm_kvm_run(vm->kvm);
	}
	return 0;
}

int vmm_vm_power_button(struct vmm_vm *vm)
{
	if (vm->state != VMM_VM_RUNNING) {
		return -EBUSY;
	}
	vmm_machine_power_button(vm->machine);
	return 0;
}

int vmm_vm_wait(struct vmm_vm *vm, struct vmm_exit *exit)
{
	if (vm->busy || vm->state == VMM_VM_CONFIGURING) {
		return -EBUSY;
	}
	while (vm->state != VMM_VM_STOPPED) {
		int ret = vmm_loop_dispatch(vm->loop, -1);

		if (ret < 0) {
			return ret;
		}
	}
	if (exit) {
		*exit = vm->exit;
	}
	return 0;
}
