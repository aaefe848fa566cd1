/* SPDX-License-Identifier: MIT */
/* What the files of kvm/ share. */
#ifndef VMM_KVM_INTERNAL_H
#define VMM_KVM_INTERNAL_H

#include "kvm/kvm.h"

#include <linux/kvm.h>
#include <pthread.h>

struct vcpu {
	struct vmm_kvm *kvm;
	unsigned index;
	int fd;
	struct kvm_run *run; /* kvm->run_size bytes shared with the kernel */
	pthread_t thread;
	bool started; /* thread is valid; under the gate's lock */
	struct vmm_log_limit unmapped;
};

enum route_kind {
	ROUTE_FREE,
	ROUTE_EMPTY, /* allocated for MSI, goes nowhere yet */
	ROUTE_PIN,
	ROUTE_MSI,
};

struct route {
	enum route_kind kind;
	uint32_t data;    /* MSI data, or the pin */
	uint64_t address; /* MSI address, or the interrupt controller */
	uint32_t requester;
};

struct vmm_kvm {
	struct vmm_kvm_config config;
	int fd;
	size_t run_size;
	unsigned windows; /* made so far */

	struct vcpu *vcpus[VMM_KVM_VCPUS_MAX];
	unsigned vcpu_count;

	/* The gate at which vCPU threads stand while they are not to run. */
	pthread_mutex_t gate_lock;
	pthread_cond_t gate_opened;
	bool closed;
	bool quit;
	unsigned threads;
	unsigned parked;
	struct vmm_work parked_work; /* wakes the loop when one more stands there */
	struct vmm_work kick_work;   /* a vCPU closed the gate: the loop has to kick the others */
	pthread_cond_t thread_ready;
	unsigned ready;   /* threads that are through with config.on_thread */
	int thread_error; /* its first failure */

	/* Interrupt routes by gsi; the kernel always has the whole table. */
	pthread_mutex_t route_lock;
	struct route *routes;
	unsigned route_count;
	struct kvm_irq_routing *table; /* room for all of them, as the kernel wants them */
	uint64_t msi_base;
	uint64_t msi_size;
	bool msi_by_requester; /* a message says who sent it */
};

/* vcpu.c */
void vmm_kvm_free_vcpu(struct vcpu *v);
int vmm_kvm_install_kick(int signo);
/* The loop's part of vmm_kvm_request_park; ctx is the struct vmm_kvm. */
void vmm_kvm_kick_work(void *ctx);

/* irq.c */
int vmm_kvm_routes_init(struct vmm_kvm *kvm, long limit);

#endif
