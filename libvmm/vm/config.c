/* SPDX-License-Identifier: MIT */
/* What a VM is given before it starts: kernel, devices. */
#include "vm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int check_stage(const struct vmm_vm *vm, struct vmm_error *err)
{
	if (vm->state != VMM_VM_CONFIGURING) {
		return vmm_error_set(err, -EBUSY, "the VM was started already");
	}
	return 0;
}

static void replace_fd(int *slot, int fd)
{
	if (*slot >= 0) {
		(void)close(*slot);
	}
	*slot = fd;
}

int vmm_vm_set_kernel(struct vmm_vm *vm, int fd, struct vmm_error *err)
{
	int ret = check_stage(vm, err);

	if (ret == 0) {
		ret = vmm_machine_check_kernel(fd, err);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "kernel");
		}
		replace_fd(&vm->kernel_fd, fd);
	}
	return ret;
}

int vmm_vm_set_initrd(struct vmm_vm *vm, int fd, struct vmm_error *err)
{
	int ret = check_stage(vm, err);

	if (ret == 0) {
		if (fcntl(fd, F_GETFD) < 0) {
			return vmm_error_wrap(err, -errno, "initrd");
		}
		replace_fd(&vm->initrd_fd, fd);
	}
	return ret;
}

int vmm_vm_set_cmdline(struct vmm_vm *vm, const char *cmdline, struct vmm_error *err)
{
	int ret = check_stage(vm, err);
	char *copy;

	if (ret == 0) {
		ret = vmm_machine_check_cmdline(cmdline, err);
	}
	if (ret < 0) {
		return ret;
	}
	copy = strdup(cmdline);
	if (!copy) {
		return vmm_error_set(err, -ENOMEM, "command line: out of memory");
	}
	free(vm->cmdline);
	vm->cmdline = copy;
	return 0;
}

/* ---- devices ---- */

static const struct virtio_slot *find(const struct vmm_vm *vm, const char *id)
{
	for (unsigned i = 0; i < VIRTIO_MAX; i++) {
		if (vm->virtio[i].id[0] != '\0' && strcmp(vm->virtio[i].id, id) == 0) {
			return &vm->virtio[i];
		}
	}
	return NULL;
}

static struct virtio_slot *free_slot(struct vmm_vm *vm)
{
	for (unsigned i = 0; i < VIRTIO_MAX; i++) {
		if (vm->virtio[i].id[0] == '\0') {
			return &vm->virtio[i];
		}
	}
	return NULL;
}

/* Where a device's shared memory is: where PCI's BARs of 64 bits would be. */
static int place_shm(struct vmm_vm *vm, const struct vmm_virtio_device *dev, uint64_t *gpas,
		     uint64_t *next, struct vmm_error *err)
{
	struct vmm_pci_host_config addresses = {0};

	vmm_machine_pci(vm->machine, &addresses);
	*next = vm->shm_next != 0 ? vm->shm_next : addresses.mmio64.base;
	for (unsigned i = 0; i < dev->shm_count && i < VMM_VIRTIO_SHM_MAX; i++) {
		gpas[i] = vmm_pci_window_take(&addresses.mmio64, next, dev->shm[i].len);
		if (gpas[i] == 0) {
			return vmm_error_set(err, -ENOSPC,
					     "no addresses are left for %llu MiB of shared memory",
					     (unsigned long long)(dev->shm[i].len >> 20));
		}
	}
	return 0;
}

/* At the machine's next place for one. */
static int add_mmio(struct vmm_vm *vm, struct virtio_slot *entry, struct vmm_virtio_device *dev,
		    const struct vmm_transport_device *device, struct vmm_error *err)
{
	struct vmm_virtio_mmio_config config = {
		.events = &vmm_vm_platform_ops.events,
		.events_ctx = vm->kvm,
	};
	struct vmm_machine_place place = {0};
	uint64_t next = 0;
	int ret = place_shm(vm, dev, config.shm, &next, err);

	if (ret == 0) {
		ret = vmm_machine_place_virtio(vm->machine, &place, err);
	}
	if (ret < 0) {
		return ret;
	}
	config.bus = place.bus;
	config.base = place.base;
	config.gsi = place.gsi;
	ret = vmm_virtio_mmio_create(&entry->mmio, dev, device, &config, err);
	if (ret < 0) {
		vmm_machine_unplace_virtio(vm->machine);
	} else {
		vm->shm_next = next;
	}
	return ret;
}

int vmm_vm_add_virtio(struct vmm_vm *vm, const char *id, struct vmm_virtio_device *dev,
		      struct vmm_error *err)
{
	struct virtio_slot *entry = free_slot(vm);
	const struct vmm_transport_device device = {
		.mem = vm->mem,
		.loop = vm->loop,
		.log = vm->config.log,
		.id = id,
	};
	size_t len = strlen(id);
	int ret = check_stage(vm, err);

	if (ret < 0) {
		return ret;
	}
	if (len == 0 || len > ID_MAX) {
		return vmm_error_set(err, -EINVAL,
				     "device id '%.40s': must have 1 to %u characters", id, ID_MAX);
	}
	if (find(vm, id)) {
		return vmm_error_set(err, -EEXIST, "device id '%s' is used twice", id);
	}
	if (!entry) {
		return vmm_error_set(err, -ENOSPC, "device '%s': no free slot", id);
	}
	if (vm->pci) {
		ret = vmm_virtio_pci_add(vm->pci, dev, &device, &entry->slot, err);
	} else {
		ret = add_mmio(vm, entry, dev, &device, err);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "device '%s'", id);
	}
	entry->dev = dev;
	memcpy(entry->id, id, len + 1);
	return 0;
}

struct vmm_virtio_device *vmm_vm_find_virtio(struct vmm_vm *vm, const char *id)
{
	const struct virtio_slot *entry = find(vm, id);

	return entry ? entry->dev : NULL;
}

int vmm_vm_virtio_bdf(struct vmm_vm *vm, const char *id, char *buf, size_t len)
{
	const struct virtio_slot *entry = find(vm, id);

	if (!entry) {
		return -ENOENT;
	}
	if (!vm->pci) {
		return -EOPNOTSUPP;
	}
	(void)snprintf(buf, len, "0000:00:%02x.0", entry->slot);
	return 0;
}

enum vmm_platform_type vmm_uart_type(void)
{
	return vmm_machine_uart;
}

const char *vmm_uart_tty(void)
{
	return vmm_machine_tty;
}

static int connect_platform(struct vmm_vm *vm, struct platform *p, struct vmm_platform_device *dev,
			    struct vmm_error *err)
{
	struct vmm_machine_place place;
	int ret = vmm_machine_place(vm->machine, dev->type, &place, err);

	if (ret < 0) {
		return ret;
	}
	ret = vmm_kvm_line_create(vm->kvm, place.gsi, &p->irq);
	if (ret < 0) {
		(void)vmm_error_wrap(err, ret, "%s: interrupt line", place.name);
		goto unplace;
	}
	ret = vmm_bus_add(place.bus, place.name, place.base, place.size, &dev->ops->bus, dev, err);
	if (ret < 0) {
		goto destroy_line;
	}
	return 0;
destroy_line:
	vmm_kvm_line_destroy(vm->kvm, p->irq);
	p->irq = NULL;
unplace:
	vmm_machine_unplace(vm->machine, dev->type);
	return ret;
}

int vmm_vm_add_platform(struct vmm_vm *vm, struct vmm_platform_device *dev, struct vmm_error *err)
{
	struct platform *p = vm->platforms;
	int ret = check_stage(vm, err);

	while (ret == 0 && p->dev) {
		p++;
		if (p == vm->platforms + PLATFORMS_MAX) {
			ret = vmm_error_set(err, -ENOSPC, "no room for another platform device");
		}
	}
	if (ret == 0) {
		ret = connect_platform(vm, p, dev, err);
	}
	if (ret == 0) {
		p->dev = dev;
		dev->irq = p->irq;
	}
	return ret;
}
