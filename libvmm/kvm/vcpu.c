/* SPDX-License-Identifier: MIT */
/*
 * vCPU threads.
 *
 *	           gate open                  signal + immediate_exit
 *	parked ----------------> in KVM_RUN ---------------------------> parked ...
 *	   |                       |    ^
 *	   | quit                  v    | access done
 *	   v                    dispatch on the buses
 *	 ended
 *
 * A kick sets immediate_exit before it sends the signal, and the flag is only cleared at the open
 * gate: a kick between two KVM_RUNs is not lost. KVM_RUN with the flag set also completes the
 * access that was dispatched last, so a parked vCPU's registers are whole.
 */
#include "kvm/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Device register handlers run on these stacks; musl's default would be half of it. */
#define STACK_SIZE (UINT64_C(256) << 10)

static void kicked(int signo)
{
	(void)signo;
}

int vmm_kvm_install_kick(int signo)
{
	struct sigaction action = {.sa_handler = kicked};

	/* No SA_RESTART: the one purpose is to interrupt. */
	return sigaction(signo, &action, NULL) == 0 ? 0 : -errno;
}

int vmm_kvm_add_vcpu(struct vmm_kvm *kvm, struct vmm_error *err)
{
	unsigned index = kvm->vcpu_count;
	struct vcpu *v;
	int ret;

	if (index >= VMM_KVM_VCPUS_MAX) {
		return vmm_error_set(err, -ENOSPC, "more than %u vCPUs", VMM_KVM_VCPUS_MAX);
	}
	v = calloc(1, sizeof(*v));
	if (!v) {
		return vmm_error_set(err, -ENOMEM, "vCPU %u: out of memory", index);
	}
	v->kvm = kvm;
	v->index = index;
	v->run = MAP_FAILED;
	v->fd = ioctl(kvm->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (v->fd >= 0) {
		v->run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	}
	if (v->run == MAP_FAILED) {
		ret = vmm_error_wrap(err, -errno, "vCPU %u", index);
		vmm_kvm_free_vcpu(v);
		return ret;
	}
	kvm->vcpus[index] = v;
	kvm->vcpu_count = index + 1;
	return 0;
}

void vmm_kvm_free_vcpu(struct vcpu *v)
{
	if (v->run != MAP_FAILED) {
		(void)munmap(v->run, v->kvm->run_size);
	}
	if (v->fd >= 0) {
		(void)close(v->fd);
	}
	free(v);
}

/* ---- what the guest did ---- */

static void report(struct vcpu *v, enum vmm_kvm_event_kind kind, int code, const char *detail)
{
	struct vmm_kvm_event event = {.kind = kind, .code = code, .detail = detail};

	/* First the gate: this vCPU must not go on before the event was acted upon. */
	vmm_kvm_request_park(v->kvm);
	v->kvm->config.event(v->kvm->config.ctx, &event);
}

static void do_mmio(struct vcpu *v)
{
	struct vmm_kvm *kvm = v->kvm;
	uint64_t addr = v->run->mmio.phys_addr;
	unsigned len = v->run->mmio.len;
	uint64_t value = 0;
	bool mapped;

	if (len > sizeof(v->run->mmio.data)) {
		return;
	}
	if (v->run->mmio.is_write) {
		memcpy(&value, v->run->mmio.data, len);
		mapped = vmm_bus_write(kvm->config.mmio, addr, len, value);
	} else {
		mapped = vmm_bus_read(kvm->config.mmio, addr, len, &value);
		memcpy(v->run->mmio.data, &value, len);
	}
	if (!mapped) {
		vmm_log_guest(kvm->config.log, &v->unmapped,
			      "guest %s of %u bytes at 0x%llx, where nothing is",
			      v->run->mmio.is_write ? "write" : "read", len,
			      (unsigned long long)addr);
	}
}

/* Unknown ports are not worth a word: systems probe for hardware of forty years there. */
static void do_pio(struct vcpu *v)
{
	struct vmm_bus *bus = v->kvm->config.pio;
	uint16_t port = v->run->io.port;
	unsigned size = v->run->io.size;
	uint8_t *data = (uint8_t *)v->run + v->run->io.data_offset;

	/* count > 1: a string instruction. */
	for (uint32_t i = 0; i < v->run->io.count; i++, data += size) {
		uint64_t value = 0;

		if (v->run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, size);
			if (bus) {
				(void)vmm_bus_write(bus, port, size, value);
			}
			continue;
		}
		value = UINT64_MAX;
		if (bus) {
			(void)vmm_bus_read(bus, port, size, &value);
		}
		memcpy(data, &value, size);
	}
}

static void do_system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		report(v, VMM_KVM_POWEROFF, 0, NULL);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		report(v, VMM_KVM_RESET, 0, NULL);
		break;
	default:
		report(v, VMM_KVM_CRASH, 0, "the guest reported a crash");
		break;
	}
}

/* False when the vCPU must not go on. */
static bool handle_exit(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		do_pio(v);
		return true;
	case KVM_EXIT_MMIO:
		do_mmio(v);
		return true;
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT: /* only without an in-kernel interrupt controller */
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_SHUTDOWN:
		report(v, VMM_KVM_TRIPLE_FAULT, 0, "triple fault");
		return false;
	case KVM_EXIT_SYSTEM_EVENT:
		do_system_event(v);
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		report(v, VMM_KVM_CRASH, 0, "the processor refused the state of a vCPU");
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		report(v, VMM_KVM_CRASH, 0, "an instruction that KVM cannot emulate");
		return false;
	case KVM_EXIT_ARM_NISV:
		report(v, VMM_KVM_CRASH, 0, "an access to a device that KVM cannot decode");
		return false;
	default:
		report(v, VMM_KVM_CRASH, 0, "an exit of a kind that the library does not know");
		return false;
	}
}

/* ---- the gate ---- */

/* Waits until the vCPU may run; false: the thread has to end. */
static bool pass_gate(struct vcpu *v)
{
	struct vmm_kvm *kvm = v->kvm;
	bool go;

	(void)pthread_mutex_lock(&kvm->gate_lock);
	if (kvm->closed) {
		kvm->parked++;
		vmm_loop_post(kvm->config.loop, &kvm->parked_work);
		while (kvm->closed && !kvm->quit) {
			(void)pthread_cond_wait(&kvm->gate_opened, &kvm->gate_lock);
		}
		kvm->parked--;
	}
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_RELAXED);
	go = !kvm->quit;
	(void)pthread_mutex_unlock(&kvm->gate_lock);
	return go;
}

static void run_guest(struct vcpu *v)
{
	for (;;) {
		if (ioctl(v->fd, KVM_RUN, 0) == 0) {
			if (!handle_exit(v)) {
				return;
			}
		} else if (errno == EINTR) {
			return;
		} else if (errno == EFAULT) {
			/* RAM is there as long as the VM is, so it can only be a window (window.c).
			 */
			report(v, VMM_KVM_CRASH, 0,
			       "the guest used device memory where nothing is mapped");
			return;
		} else if (errno != EAGAIN) {
			/* EAGAIN: a vCPU that waited for its start-up signal got it. */
			report(v, VMM_KVM_ERROR, -errno, "KVM_RUN failed");
			return;
		}
	}
}

/*
 * The first KVM_RUN of a VM makes a thread of the kernel's (x86: the one that recovers huge pages),
 * which the limits of a jail would refuse, with EAGAIN for ever. It comes before immediate_exit is
 * looked at, so no instruction is carried out.
 */
static void first_run(struct vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_RELAXED);
	(void)ioctl(v->fd, KVM_RUN, 0);
}

/* A thread that cannot get ready stands at the gate all the same, until start_threads has seen it.
 */
static void get_ready(struct vcpu *v)
{
	struct vmm_kvm *kvm = v->kvm;
	char name[16];
	int ret = 0;

	(void)snprintf(name, sizeof(name), "vcpu%u", v->index);
	(void)pthread_setname_np(pthread_self(), name);
	first_run(v);
	if (kvm->config.on_thread) {
		ret = kvm->config.on_thread(kvm->config.ctx, v->index);
	}
	(void)pthread_mutex_lock(&kvm->gate_lock);
	kvm->ready++;
	kvm->thread_error = kvm->thread_error ? kvm->thread_error : ret;
	(void)pthread_cond_signal(&kvm->thread_ready);
	(void)pthread_mutex_unlock(&kvm->gate_lock);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	get_ready(v);
	while (pass_gate(v)) {
		run_guest(v);
	}
	return NULL;
}

/* Called with the gate's lock held. */
static void forbid_entry(struct vmm_kvm *kvm)
{
	for (unsigned i = 0; i < kvm->vcpu_count; i++) {
		__atomic_store_n(&kvm->vcpus[i]->run->immediate_exit, 1, __ATOMIC_RELAXED);
	}
}

/* Called with the gate's lock held. */
static void kick_all(struct vmm_kvm *kvm)
{
	forbid_entry(kvm);
	for (unsigned i = 0; i < kvm->vcpu_count; i++) {
		if (kvm->vcpus[i]->started) {
			(void)pthread_kill(kvm->vcpus[i]->thread, kvm->config.kick_signal);
		}
	}
}

void vmm_kvm_kick_work(void *ctx)
{
	struct vmm_kvm *kvm = ctx;

	(void)pthread_mutex_lock(&kvm->gate_lock);
	if (kvm->closed) {
		kick_all(kvm);
	}
	(void)pthread_mutex_unlock(&kvm->gate_lock);
}

void vmm_kvm_request_park(struct vmm_kvm *kvm)
{
	bool first;

	(void)pthread_mutex_lock(&kvm->gate_lock);
	first = !kvm->closed;
	kvm->closed = true;
	forbid_entry(kvm);
	(void)pthread_mutex_unlock(&kvm->gate_lock);
	if (first) {
		vmm_loop_post(kvm->config.loop, &kvm->kick_work);
	}
}

static bool all_parked(struct vmm_kvm *kvm)
{
	bool all;

	(void)pthread_mutex_lock(&kvm->gate_lock);
	all = kvm->parked == kvm->threads;
	(void)pthread_mutex_unlock(&kvm->gate_lock);
	return all;
}

void vmm_kvm_park(struct vmm_kvm *kvm)
{
	(void)pthread_mutex_lock(&kvm->gate_lock);
	kvm->closed = true;
	kick_all(kvm);
	(void)pthread_mutex_unlock(&kvm->gate_lock);
	while (!all_parked(kvm)) {
		(void)vmm_loop_dispatch_posted(kvm->config.loop, -1);
	}
}

void vmm_kvm_run(struct vmm_kvm *kvm)
{
	(void)pthread_mutex_lock(&kvm->gate_lock);
	kvm->closed = false;
	(void)pthread_cond_broadcast(&kvm->gate_opened);
	(void)pthread_mutex_unlock(&kvm->gate_lock);
}

/* ---- threads ---- */

/* Only the kick may interrupt a vCPU: the process's other signals belong to other threads. */
static int spawn(struct vcpu *v, const pthread_attr_t *attr)
{
	sigset_t all;
	sigset_t before;
	int ret;

	(void)sigfillset(&all);
	(void)sigdelset(&all, v->kvm->config.kick_signal);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	(void)pthread_mutex_lock(&v->kvm->gate_lock);
	ret = pthread_create(&v->thread, attr, vcpu_main, v);
	if (ret == 0) {
		v->started = true;
		v->kvm->threads++;
	}
	(void)pthread_mutex_unlock(&v->kvm->gate_lock);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -ret;
}

/* What config.on_thread said on all of them. */
static int wait_ready(struct vmm_kvm *kvm)
{
	int ret;

	(void)pthread_mutex_lock(&kvm->gate_lock);
	while (kvm->ready < kvm->threads) {
		(void)pthread_cond_wait(&kvm->thread_ready, &kvm->gate_lock);
	}
	ret = kvm->thread_error;
	(void)pthread_mutex_unlock(&kvm->gate_lock);
	return ret;
}

int vmm_kvm_start_threads(struct vmm_kvm *kvm, struct vmm_error *err)
{
	pthread_attr_t attr;
	int ret = 0;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (unsigned i = 0; ret == 0 && i < kvm->vcpu_count; i++) {
		ret = spawn(kvm->vcpus[i], &attr);
		if (ret < 0) {
			(void)vmm_error_wrap(err, ret, "thread of vCPU %u", i);
		}
	}
	(void)pthread_attr_destroy(&attr);
	if (ret == 0) {
		ret = wait_ready(kvm);
		if (ret < 0) {
			(void)vmm_error_wrap(err, ret, "thread of a vCPU");
		}
	}
	if (ret < 0) {
		vmm_kvm_stop_threads(kvm);
	}
	return ret;
}

void vmm_kvm_stop_threads(struct vmm_kvm *kvm)
{
	/* A vCPU may be waiting for the loop: only parked threads can be joined. */
	vmm_kvm_park(kvm);
	(void)pthread_mutex_lock(&kvm->gate_lock);
	kvm->quit = true;
	(void)pthread_cond_broadcast(&kvm->gate_opened);
	(void)pthread_mutex_unlock(&kvm->gate_lock);
	for (unsigned i = 0; i < kvm->vcpu_count; i++) {
		struct vcpu *v = kvm->vcpus[i];

		if (v->started) {
			(void)pthread_join(v->thread, NULL);
			v->started = false;
		}
	}
	kvm->threads = 0;
	kvm->parked = 0;
	kvm->ready = 0;
	kvm->thread_error = 0;
	kvm->quit = false;
	vmm_loop_cancel(kvm->config.loop, &kvm->parked_work);
	vmm_loop_cancel(kvm->config.loop, &kvm->kick_work);
}
