/* SPDX-License-Identifier: MIT */
#include "pci/msix.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONTROL_MASKED   1u
#define PBA_BITS         64u
#define ADDRESS_LOW_MASK 0xfffffffcu /* messages are 4 bytes: bits 1:0 are not implemented */

struct vector {
	int eventfd;
	/* The table entry as the driver wrote it. */
	uint64_t address;
	uint32_t data;
	uint32_t control;
	/* What the hypervisor knows. */
	unsigned gsi;
	bool has_gsi;
	bool routed;
	bool connected;
	uint64_t routed_address;
	uint32_t routed_data;
};

struct vmm_pci_msix {
	const struct vmm_pci_platform *platform;
	const struct vmm_log *log;
	struct vmm_log_limit limit;
	unsigned count;
	uint32_t requester;
	bool enabled; /* atomic: the raising side reads it without the lock */
	pthread_mutex_t lock;
	bool masked;
	struct vector vectors[];
};

int vmm_pci_msix_create(struct vmm_pci_msix **out, unsigned count,
			const struct vmm_pci_platform *platform, const struct vmm_log *log)
{
	struct vmm_pci_msix *m;

	*out = NULL;
	if (count == 0 || count > VMM_PCI_MSIX_MAX) {
		return -EINVAL;
	}
	m = calloc(1, sizeof(*m) + count * sizeof(m->vectors[0]));
	if (!m) {
		return -ENOMEM;
	}
	m->platform = platform;
	m->log = log;
	(void)pthread_mutex_init(&m->lock, NULL);
	for (; m->count < count; m->count++) {
		struct vector *v = &m->vectors[m->count];

		v->control = CONTROL_MASKED;
		v->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->eventfd < 0) {
			int ret = -errno;

			vmm_pci_msix_destroy(m);
			return ret;
		}
	}
	*out = m;
	return 0;
}

static void disconnect(struct vmm_pci_msix *m, struct vector *v)
{
	if (v->connected) {
		(void)m->platform->ops->events.irqfd(m->platform->ctx, v->gsi, v->eventfd, false);
		v->connected = false;
	}
}

void vmm_pci_msix_destroy(struct vmm_pci_msix *m)
{
	if (!m) {
		return;
	}
	for (unsigned i = 0; i < m->count; i++) {
		struct vector *v = &m->vectors[i];

		disconnect(m, v);
		if (v->has_gsi) {
			m->platform->ops->msi_free(m->platform->ctx, v->gsi);
		}
		(void)close(v->eventfd);
	}
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

unsigned vmm_pci_msix_count(const struct vmm_pci_msix *m)
{
	return m->count;
}

void vmm_pci_msix_set_requester(struct vmm_pci_msix *m, uint32_t requester)
{
	m->requester = requester;
}

/*
 * Makes sure that v has an interrupt of the hypervisor's and that it goes where the table says. The
 * number is taken when first needed, since drivers leave most vectors of a device unused, and the
 * route is changed only when it must be: that stops the hypervisor for a moment.
 */
static int route(struct vmm_pci_msix *m, struct vector *v)
{
	const struct vmm_pci_platform *p = m->platform;
	const struct vmm_pci_msi msi = {
		.address = v->address,
		.data = v->data,
		.requester = m->requester,
	};
	int ret;

	if (!v->has_gsi) {
		ret = p->ops->msi_alloc(p->ctx, &v->gsi);
		if (ret < 0) {
			return ret;
		}
		v->has_gsi = true;
	}
	if (v->routed && v->routed_address == v->address && v->routed_data == v->data) {
		return 0;
	}
	ret = p->ops->msi_route(p->ctx, v->gsi, &msi);
	v->routed = ret == 0;
	v->routed_address = v->address;
	v->routed_data = v->data;
	return ret;
}

static int connect_vector(struct vmm_pci_msix *m, struct vector *v)
{
	int ret = route(m, v);

	if (ret < 0) {
		disconnect(m, v);
		return ret;
	}
	if (v->connected) {
		return 0;
	}
	ret = m->platform->ops->events.irqfd(m->platform->ctx, v->gsi, v->eventfd, true);
	v->connected = ret == 0;
	return ret;
}

/* Brings one vector in line with the table and the control bits. Lock held. */
static void update(struct vmm_pci_msix *m, struct vector *v)
{
	int ret;

	if (!vmm_pci_msix_enabled(m) || m->masked || (v->control & CONTROL_MASKED)) {
		disconnect(m, v);
		return;
	}
	ret = connect_vector(m, v);
	if (ret < 0) {
		vmm_log_guest(m->log, &m->limit,
			      "pci: the driver unmasked MSI-X vector %u at address 0x%llx, which "
			      "cannot be used (error %d)",
			      (unsigned)(v - m->vectors), (unsigned long long)v->address, -ret);
	}
}

static void drain(struct vmm_pci_msix *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		uint64_t value;

		(void)!read(m->vectors[i].eventfd, &value, sizeof(value));
	}
}

static void set_control(struct vmm_pci_msix *m, bool enabled, bool masked)
{
	bool was = vmm_pci_msix_enabled(m);

	if (was == enabled && m->masked == masked) {
		return;
	}
	m->masked = masked;
	__atomic_store_n(&m->enabled, enabled, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < m->count; i++) {
		update(m, &m->vectors[i]);
	}
	if (was && !enabled) {
		drain(m);
	}
}

void vmm_pci_msix_set_control(struct vmm_pci_msix *m, bool enabled, bool masked)
{
	(void)pthread_mutex_lock(&m->lock);
	set_control(m, enabled, masked);
	(void)pthread_mutex_unlock(&m->lock);
}

void vmm_pci_msix_reset(struct vmm_pci_msix *m)
{
	(void)pthread_mutex_lock(&m->lock);
	set_control(m, false, false);
	for (unsigned i = 0; i < m->count; i++) {
		m->vectors[i].address = 0;
		m->vectors[i].data = 0;
		m->vectors[i].control = CONTROL_MASKED;
	}
	drain(m);
	(void)pthread_mutex_unlock(&m->lock);
}

/* ---- table ---- */

static bool access_is_legal(uint64_t offset, unsigned len)
{
	return (len == 4 || len == 8) && offset % len == 0;
}

static uint32_t entry_read(const struct vector *v, unsigned offset)
{
	switch (offset) {
	case 0:
		return (uint32_t)v->address;
	case 4:
		return (uint32_t)(v->address >> 32);
	case 8:
		return v->data;
	default:
		return v->control;
	}
}

static void entry_write(struct vector *v, unsigned offset, uint32_t value)
{
	switch (offset) {
	case 0:
		v->address = (v->address & ~UINT64_C(0xffffffff)) | (value & ADDRESS_LOW_MASK);
		break;
	case 4:
		v->address = (v->address & 0xffffffff) | ((uint64_t)value << 32);
		break;
	case 8:
		v->data = value;
		break;
	default:
		v->control = value & CONTROL_MASKED;
		break;
	}
}

/* An access of 8 bytes stays inside one entry, since it is aligned. */
static struct vector *find_vector(struct vmm_pci_msix *m, uint64_t offset)
{
	uint64_t index = offset / VMM_PCI_MSIX_ENTRY_SIZE;

	return index < m->count ? &m->vectors[index] : NULL;
}

uint64_t vmm_pci_msix_table_read(struct vmm_pci_msix *m, uint64_t offset, unsigned len)
{
	const struct vector *v = find_vector(m, offset);
	unsigned field = (unsigned)(offset % VMM_PCI_MSIX_ENTRY_SIZE);
	uint64_t value;

	if (!access_is_legal(offset, len)) {
		return UINT64_MAX;
	}
	if (!v) {
		return 0;
	}
	(void)pthread_mutex_lock(&m->lock);
	value = entry_read(v, field);
	if (len == 8) {
		value |= (uint64_t)entry_read(v, field + 4) << 32;
	}
	(void)pthread_mutex_unlock(&m->lock);
	return value;
}

void vmm_pci_msix_table_write(struct vmm_pci_msix *m, uint64_t offset, unsigned len, uint64_t value)
{
	struct vector *v = find_vector(m, offset);
	unsigned field = (unsigned)(offset % VMM_PCI_MSIX_ENTRY_SIZE);

	if (!access_is_legal(offset, len) || !v) {
		return;
	}
	(void)pthread_mutex_lock(&m->lock);
	entry_write(v, field, (uint32_t)value);
	if (len == 8) {
		entry_write(v, field + 4, (uint32_t)(value >> 32));
	}
	update(m, v);
	(void)pthread_mutex_unlock(&m->lock);
}

/* ---- pending bits ---- */

/*
 * A disconnected eventfd is pending when its counter is not 0. It is read and put back, since a
 * vCPU's thread has few system calls; what a device adds in between is added to 0 and is not lost.
 */
static bool is_pending(const struct vector *v)
{
	uint64_t count = 0;

	/* A connected one is being delivered: it is not pending. */
	if (v->connected || read(v->eventfd, &count, sizeof(count)) != (ssize_t)sizeof(count)) {
		return false;
	}
	/* Whatever the count was, one is as good: it means "at least once". */
	count = 1;
	(void)!write(v->eventfd, &count, sizeof(count));
	return true;
}

static uint64_t pending_bits(struct vmm_pci_msix *m, unsigned first)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < PBA_BITS && first + i < m->count; i++) {
		if (is_pending(&m->vectors[first + i])) {
			bits |= UINT64_C(1) << i;
		}
	}
	return bits;
}

uint64_t vmm_pci_msix_pba_read(struct vmm_pci_msix *m, uint64_t offset, unsigned len)
{
	uint64_t word = offset / 8;
	uint64_t bits;

	if (!access_is_legal(offset, len)) {
		return UINT64_MAX;
	}
	if (word > (m->count - 1) / PBA_BITS) {
		return 0;
	}
	(void)pthread_mutex_lock(&m->lock);
	bits = pending_bits(m, (unsigned)word * PBA_BITS);
	(void)pthread_mutex_unlock(&m->lock);
	return offset % 8 == 4 ? bits >> 32 : bits;
}

/* ---- raising ---- */

bool vmm_pci_msix_enabled(const struct vmm_pci_msix *m)
{
	return __atomic_load_n(&m->enabled, __ATOMIC_ACQUIRE);
}

void vmm_pci_msix_raise(struct vmm_pci_msix *m, unsigned vector)
{
	uint64_t one = 1;

	if (vector >= m->count || !vmm_pci_msix_enabled(m)) {
		return;
	}
	/* EAGAIN: the counter is at its maximum, so the interrupt is pending already. */
	(void)!write(m->vectors[vector].eventfd, &one, sizeof(one));
}

int vmm_pci_msix_eventfd(const struct vmm_pci_msix *m, unsigned vector)
{
	return vector < m->count ? m->vectors[vector].eventfd : -1;
}

void vmm_pci_msix_clear_pending(struct vmm_pci_msix *m)
{
	(void)pthread_mutex_lock(&m->lock);
	drain(m);
	(void)pthread_mutex_unlock(&m->lock);
}
