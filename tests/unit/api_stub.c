/* SPDX-License-Identifier: MIT */
#include "api_stub.h"

#include <errno.h>
#include <string.h>

#include "vm/machine.h"

struct vmm_vm {
	enum vmm_vm_state state;
};

struct stub stub;
static struct vmm_vm the_vm;

static void emit_counters(struct vmm_virtio_device *dev,
			  void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	(void)dev;
	emit(ctx, "read_bytes", 512);
	emit(ctx, "read_ops", 1);
}

static const struct vmm_virtio_ops disk_ops = {.counters = emit_counters};
static struct vmm_virtio_device disk = {.ops = &disk_ops};

int vmm_vm_create(struct vmm_vm **out, const struct vmm_vm_config *config, struct vmm_error *err)
{
	(void)err;
	stub.config = *config;
	stub.created++;
	the_vm.state = VMM_VM_CONFIGURING;
	*out = &the_vm;
	return 0;
}

void vmm_vm_destroy(struct vmm_vm *vm)
{
	if (vm) {
		stub.destroyed++;
	}
}

int vm_machine_build(struct vmm_vm *vm, struct vm_config *config,
		     const struct vm_backends *backends, struct vmm_error *err)
{
	(void)vm;
	(void)config;
	(void)backends;
	return stub.build_result < 0
		       ? vmm_error_set(err, stub.build_result, "kernel '/k': no such file")
		       : 0;
}

int vmm_vm_start(struct vmm_vm *vm, struct vmm_error *err)
{
	(void)err;
	vm->state = VMM_VM_RUNNING;
	return 0;
}

enum vmm_vm_state vmm_vm_state(const struct vmm_vm *vm)
{
	return vm->state;
}

static int step(struct vmm_vm *vm, enum vmm_vm_state from, enum vmm_vm_state to)
{
	if (stub.op_result < 0) {
		return stub.op_result;
	}
	if (vm->state != from) {
		return -EBUSY;
	}
	vm->state = to;
	return 0;
}

int vmm_vm_pause(struct vmm_vm *vm)
{
	return step(vm, VMM_VM_RUNNING, VMM_VM_PAUSED);
}

int vmm_vm_resume(struct vmm_vm *vm)
{
	return step(vm, VMM_VM_PAUSED, VMM_VM_RUNNING);
}

int vmm_vm_power_button(struct vmm_vm *vm)
{
	stub.buttons++;
	return step(vm, VMM_VM_RUNNING, VMM_VM_RUNNING);
}

int vmm_vm_reboot(struct vmm_vm *vm)
{
	if (stub.op_result < 0) {
		return stub.op_result;
	}
	stub.reboots++;
	vm->state = VMM_VM_RUNNING;
	stub.config.on_reboot(stub.config.ctx);
	return 0;
}

struct vmm_virtio_device *vmm_vm_find_virtio(struct vmm_vm *vm, const char *id)
{
	(void)vm;
	return strcmp(id, "_disk0") == 0 ? &disk : NULL;
}

void stub_exit(enum vmm_exit_reason reason)
{
	const struct vmm_exit why = {.reason = reason};

	the_vm.state = VMM_VM_STOPPED;
	stub.config.on_exit(stub.config.ctx, &why);
}
