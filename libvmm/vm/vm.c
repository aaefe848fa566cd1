/* SPDX-License-Identifier: MIT */
/* The composition root: makes the parts of a VM in the order in which they need each other. */
#include "vm/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEFAULT_MEMORY (UINT64_C(512) << 20)
#define MEMORY_UNIT    (UINT64_C(2) << 20)

int vmm_host_check(int kvm_fd, struct vmm_error *err)
{
	int fd = kvm_fd > 0 ? kvm_fd : vmm_kvm_open(err);
	int ret = fd < 0 ? fd : vmm_kvm_check(fd, err);

	if (ret == 0) {
		ret = vmm_machine_host_check(fd, err);
	}
	if (fd >= 0 && fd != kvm_fd) {
		(void)close(fd);
	}
	return ret;
}

/* ---- transports over KVM ---- */

static int msi_alloc(void *ctx, unsigned *gsi)
{
	return vmm_kvm_msi_alloc(ctx, gsi);
}

static void msi_free(void *ctx, unsigned gsi)
{
	vmm_kvm_msi_free(ctx, gsi);
}

static int msi_route(void *ctx, unsigned gsi, const struct vmm_pci_msi *msi)
{
	return vmm_kvm_msi_route(ctx, gsi, msi);
}

static int irqfd(void *ctx, unsigned gsi, int eventfd, bool connect)
{
	return vmm_kvm_irqfd(ctx, gsi, eventfd, connect);
}

static int ioeventfd(void *ctx, const struct vmm_doorbell *bell, int eventfd, bool connect)
{
	return vmm_kvm_ioeventfd(ctx, bell, eventfd, connect);
}

const struct vmm_pci_platform_ops vmm_vm_platform_ops = {
	.events = {.windows = &vmm_kvm_window_ops, .irqfd = irqfd, .ioeventfd = ioeventfd},
	.msi_alloc = msi_alloc,
	.msi_free = msi_free,
	.msi_route = msi_route,
};

static int create_pci(struct vmm_vm *vm, struct vmm_error *err)
{
	struct vmm_pci_host_config config = {
		.platform = {.ops = &vmm_vm_platform_ops, .ctx = vm->kvm},
		.mmio = vm->mmio,
		.pio = vm->pio,
		.log = vm->config.log,
	};

	vmm_machine_pci(vm->machine, &config);
	return vmm_pci_host_create(&vm->pci, &config, err);
}

/* ---- create ---- */

static int apply_defaults(struct vmm_vm *vm, struct vmm_error *err)
{
	struct vmm_vm_config *c = &vm->config;

	c->memory_size = c->memory_size ? c->memory_size : DEFAULT_MEMORY;
	c->vcpus = c->vcpus ? c->vcpus : 1;
	c->kick_signal = c->kick_signal ? c->kick_signal : SIGRTMIN;
	if (c->memory_size % MEMORY_UNIT != 0) {
		return vmm_error_set(err, -EINVAL,
				     "memory of %llu bytes: must be a multiple of 2 MiB",
				     (unsigned long long)c->memory_size);
	}
	if (c->transport != VMM_TRANSPORT_PCI && c->transport != VMM_TRANSPORT_MMIO) {
		return vmm_error_set(err, -EINVAL, "there is no transport number %d",
				     (int)c->transport);
	}
	if (c->vcpus > VMM_VCPUS_MAX) {
		return vmm_error_set(err, -EINVAL, "%u vCPUs: at most %d are possible", c->vcpus,
				     VMM_VCPUS_MAX);
	}
	return 0;
}

static int create_loop(struct vmm_vm *vm, struct vmm_error *err)
{
	int ret = 0;

	vm->loop = vm->config.loop;
	if (!vm->loop) {
		vm->own_loop = true;
		ret = vmm_loop_create(&vm->loop);
	}
	if (ret == 0) {
		vm->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ret = vm->stop_fd < 0 ? -errno : 0;
	}
	if (ret == 0) {
		ret = vmm_loop_add_fd(vm->loop, vm->stop_fd, VMM_LOOP_READABLE, vmm_vm_on_stop_fd,
				      vm, &vm->stop_source);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "event loop") : 0;
}

static int create_buses(struct vmm_vm *vm, struct vmm_error *err)
{
	int ret = vmm_bus_create(&vm->mmio);

	if (ret == 0 && vmm_machine_has_ports()) {
		ret = vmm_bus_create(&vm->pio);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "bus") : 0;
}

static int create_memory(struct vmm_vm *vm, struct vmm_error *err)
{
	struct vmm_mem_region regions[VMM_MEM_REGIONS_MAX];
	size_t count = vmm_machine_ram(vm->machine, regions);
	int ret = vm->config.huge_pages ? vmm_mem_create_huge(&vm->mem, regions, count, err)
					: vmm_mem_create(&vm->mem, regions, count, err);

	return ret < 0 ? ret : vmm_kvm_set_memory(vm->kvm, vm->mem, err);
}

static int on_thread(void *ctx, unsigned index)
{
	const struct vmm_vm_config *config = &((struct vmm_vm *)ctx)->config;

	return config->on_vcpu_thread ? config->on_vcpu_thread(config->ctx, index) : 0;
}

static int create_parts(struct vmm_vm *vm, int kvm_fd, struct vmm_error *err)
{
	const struct vmm_machine_config machine = {
		.kvm_fd = kvm_fd,
		.memory_size = vm->config.memory_size,
		.vcpus = vm->config.vcpus,
		.transport = vm->config.transport,
		.event = vmm_vm_on_machine_event,
		.ctx = vm,
	};
	struct vmm_kvm_config kvm = {
		.kvm_fd = kvm_fd,
		.loop = vm->loop,
		.log = vm->config.log,
		.mmio = vm->mmio,
		.pio = vm->pio,
		.kick_signal = vm->config.kick_signal,
		.event = vmm_vm_on_kvm_event,
		.on_thread = on_thread,
		.ctx = vm,
	};
	struct vmm_machine_parts parts = {.mmio = vm->mmio, .pio = vm->pio};
	int ret = vmm_machine_create(&vm->machine, &machine, err);

	if (ret == 0) {
		kvm.vm_type = vmm_machine_vm_type(vm->machine);
		ret = vmm_kvm_create(&vm->kvm, &kvm, err);
	}
	/* Memory first: after the interrupt controller a slot costs a grace period. */
	if (ret == 0) {
		ret = create_memory(vm, err);
	}
	if (ret == 0) {
		parts.kvm = vm->kvm;
		parts.mem = vm->mem;
		ret = vmm_machine_setup(vm->machine, &parts, err);
	}
	if (ret == 0 && vm->config.transport == VMM_TRANSPORT_PCI) {
		ret = create_pci(vm, err);
	}
	return ret;
}

int vmm_vm_create(struct vmm_vm **out, const struct vmm_vm_config *config, struct vmm_error *err)
{
	struct vmm_vm *vm = calloc(1, sizeof(*vm));
	int kvm_fd = -1;
	int ret;

	*out = NULL;
	if (!vm) {
		return vmm_error_set(err, -ENOMEM, "VM: out of memory");
	}
	vm->config = *config;
	vm->config.kvm_fd = -1;
	vm->stop_fd = -1;
	vm->kernel_fd = -1;
	vm->initrd_fd = -1;
	vm->event_work.fn = vmm_vm_on_event_work;
	vm->event_work.ctx = vm;
	(void)pthread_mutex_init(&vm->event_lock, NULL);

	ret = apply_defaults(vm, err);
	if (ret == 0) {
		kvm_fd = config->kvm_fd > 0 ? config->kvm_fd : vmm_kvm_open(err);
		ret = kvm_fd < 0 ? kvm_fd : vmm_host_check(kvm_fd, err);
	}
	if (ret == 0) {
		ret = create_loop(vm, err);
	}
	if (ret == 0) {
		ret = create_buses(vm, err);
	}
	if (ret == 0) {
		ret = create_parts(vm, kvm_fd, err);
	}
	if (kvm_fd >= 0 && kvm_fd != config->kvm_fd) {
		(void)close(kvm_fd);
	}
	if (ret < 0) {
		vmm_vm_destroy(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

/* ---- destroy ---- */

static void destroy_mmio(struct vmm_vm *vm)
{
	for (unsigned i = VIRTIO_MAX; i-- > 0;) {
		vmm_virtio_mmio_destroy(vm->virtio[i].mmio);
	}
}

static void destroy_platforms(struct vmm_vm *vm)
{
	for (unsigned i = 0; i < PLATFORMS_MAX; i++) {
		struct platform *p = &vm->platforms[i];

		if (!p->dev) {
			continue;
		}
		p->dev->irq = NULL;
		if (p->dev->ops->destroy) {
			p->dev->ops->destroy(p->dev);
		}
		vmm_kvm_line_destroy(vm->kvm, p->irq);
	}
}

static void close_fd(int fd)
{
	if (fd >= 0) {
		(void)close(fd);
	}
}

void vmm_vm_destroy(struct vmm_vm *vm)
{
	if (!vm) {
		return;
	}
	(void)vmm_vm_stop(vm);
	vmm_pci_host_destroy(vm->pci);
	destroy_mmio(vm);
	destroy_platforms(vm);
	vmm_machine_destroy(vm->machine);
	vmm_kvm_destroy(vm->kvm);
	vmm_bus_destroy(vm->pio);
	vmm_bus_destroy(vm->mmio);
	vmm_mem_destroy(vm->mem);
	close_fd(vm->kernel_fd);
	close_fd(vm->initrd_fd);
	free(vm->cmdline);
	if (vm->loop) {
		vmm_loop_cancel(vm->loop, &vm->event_work);
	}
	vmm_source_remove(vm->stop_source);
	close_fd(vm->stop_fd);
	if (vm->own_loop) {
		vmm_loop_destroy(vm->loop);
	}
	(void)pthread_mutex_destroy(&vm->event_lock);
	free(vm);
}

/* ---- looking ---- */

struct vmm_loop *vmm_vm_loop(struct vmm_vm *vm)
{
	return vm->loop;
}

struct vmm_mem *vmm_vm_mem(struct vmm_vm *vm)
{
	return vm->mem;
}

enum vmm_vm_state vmm_vm_state(const struct vmm_vm *vm)
{
	return vm->state;
}
