/* SPDX-License-Identifier: MIT */
/* The VM descriptor and its memory slots. */
#include "kvm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define KVM_PATH "/dev/kvm"

int vmm_kvm_open(struct vmm_error *err)
{
	int fd = open(KVM_PATH, O_RDWR | O_CLOEXEC);
	int code = -errno;

	if (fd >= 0) {
		return fd;
	}
	switch (code) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return vmm_error_set(err, -ENOENT,
				     "%s is missing: load the kernel's KVM module, and see that "
				     "virtualization is enabled in the firmware",
				     KVM_PATH);
	case -EACCES:
	case -EPERM:
		return vmm_error_set(err, -EACCES,
				     "%s: permission denied: add this user to the group 'kvm'",
				     KVM_PATH);
	default:
		return vmm_error_wrap(err, code, "%s", KVM_PATH);
	}
}

int vmm_kvm_check_caps(int kvm_fd, const struct vmm_kvm_cap *caps, size_t count,
		       struct vmm_error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, caps[i].cap) <= 0) {
			return vmm_error_set(err, -ENOTSUP, "%s: this kernel's KVM has no %s",
					     KVM_PATH, caps[i].name);
		}
	}
	return 0;
}

int vmm_kvm_check(int kvm_fd, struct vmm_error *err)
{
	/*
	 * Not asked for is what every KVM has had for longer than this, which came with Linux 4.11:
	 * user memory, irqfd, ioeventfd of any length, states of vCPUs. vmm_kvm_create needs the
	 * number of interrupt routes, and asks for it.
	 */
	static const struct vmm_kvm_cap needed[] = {
		{KVM_CAP_IMMEDIATE_EXIT, "immediate exit (KVM_CAP_IMMEDIATE_EXIT)"},
	};
	int version = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);

	if (version < 0) {
		return vmm_error_wrap(err, errno == ENOTTY ? -EINVAL : -errno,
				      "the descriptor given as /dev/kvm is something else");
	}
	if (version != KVM_API_VERSION) {
		return vmm_error_set(err, -ENOTSUP, "%s: API version %d, must be %d", KVM_PATH,
				     version, KVM_API_VERSION);
	}
	return vmm_kvm_check_caps(kvm_fd, needed, sizeof(needed) / sizeof(needed[0]), err);
}

/* KVM_CREATE_VM can be interrupted by a signal that is none of its business. */
static int create_vm_fd(int kvm_fd, unsigned type)
{
	int fd;

	do {
		fd = ioctl(kvm_fd, KVM_CREATE_VM, (unsigned long)type);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static void parked(void *ctx)
{
	/* Whoever waits in vmm_kvm_park counts again. */
	(void)ctx;
}

int vmm_kvm_create(struct vmm_kvm **out, const struct vmm_kvm_config *config, struct vmm_error *err)
{
	struct vmm_kvm *kvm = calloc(1, sizeof(*kvm));
	int ret;

	*out = NULL;
	if (!kvm) {
		return vmm_error_set(err, -ENOMEM, "KVM: out of memory");
	}
	kvm->config = *config;
	kvm->config.kvm_fd = -1;
	kvm->closed = true;
	kvm->parked_work.fn = parked;
	kvm->kick_work = (struct vmm_work){.fn = vmm_kvm_kick_work, .ctx = kvm};
	(void)pthread_cond_init(&kvm->thread_ready, NULL);
	(void)pthread_mutex_init(&kvm->gate_lock, NULL);
	(void)pthread_cond_init(&kvm->gate_opened, NULL);
	(void)pthread_mutex_init(&kvm->route_lock, NULL);

	kvm->fd = create_vm_fd(config->kvm_fd, config->vm_type);
	if (kvm->fd < 0) {
		ret = vmm_error_wrap(err, kvm->fd, "KVM: cannot create a virtual machine");
		goto error;
	}
	ret = ioctl(config->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (ret < (int)sizeof(struct kvm_run)) {
		ret = vmm_error_set(err, -ENOTSUP, "KVM: no size of a vCPU's shared page");
		goto error;
	}
	kvm->run_size = (size_t)ret;
	ret = vmm_kvm_routes_init(kvm, ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING));
	if (ret < 0) {
		ret = vmm_error_wrap(err, ret, "KVM: interrupt routes");
		goto error;
	}
	ret = vmm_kvm_install_kick(config->kick_signal);
	if (ret < 0) {
		ret = vmm_error_wrap(err, ret, "kick signal %d", config->kick_signal);
		goto error;
	}
	*out = kvm;
	return 0;
error:
	vmm_kvm_destroy(kvm);
	return ret;
}

void vmm_kvm_destroy(struct vmm_kvm *kvm)
{
	if (!kvm) {
		return;
	}
	vmm_kvm_stop_threads(kvm);
	for (unsigned i = 0; i < kvm->vcpu_count; i++) {
		vmm_kvm_free_vcpu(kvm->vcpus[i]);
	}
	if (kvm->fd >= 0) {
		(void)close(kvm->fd);
	}
	free(kvm->table);
	free(kvm->routes);
	(void)pthread_mutex_destroy(&kvm->route_lock);
	(void)pthread_cond_destroy(&kvm->thread_ready);
	(void)pthread_cond_destroy(&kvm->gate_opened);
	(void)pthread_mutex_destroy(&kvm->gate_lock);
	free(kvm);
}

int vmm_kvm_vm_fd(const struct vmm_kvm *kvm)
{
	return kvm->fd;
}

int vmm_kvm_set_memory(struct vmm_kvm *kvm, const struct vmm_mem *mem, struct vmm_error *err)
{
	struct vmm_mem_mapping map;

	for (size_t i = 0; vmm_mem_get_mapping(mem, i, &map) == 0; i++) {
		struct kvm_userspace_memory_region slot = {
			.slot = (uint32_t)i,
			.guest_phys_addr = map.gpa,
			.memory_size = map.size,
			.userspace_addr = (uint64_t)(uintptr_t)map.host,
		};

		if (ioctl(kvm->fd, KVM_SET_USER_MEMORY_REGION, &slot) != 0) {
			return vmm_error_wrap(
				err, -errno, "KVM: guest memory of %llu MiB at 0x%llx",
				(unsigned long long)(map.size >> 20), (unsigned long long)map.gpa);
		}
	}
	return 0;
}

unsigned vmm_kvm_vcpu_count(const struct vmm_kvm *kvm)
{
	return kvm->vcpu_count;
}

int vmm_kvm_vcpu_fd(const struct vmm_kvm *kvm, unsigned index)
{
	return index < kvm->vcpu_count ? kvm->vcpus[index]->fd : -EINVAL;
}
