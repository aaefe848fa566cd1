/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: the routing table, irqfd and ioeventfd. The table is kept here and checked before the
 * kernel sees it: an entry out of range has made host kernels panic.
 */
#include "kvm/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROUTES_MAX 4096

struct line {
	struct vmm_irq base;
	unsigned gsi;
	int fd;
};

int vmm_kvm_routes_init(struct vmm_kvm *kvm, long limit)
{
	if (limit > ROUTES_MAX) {
		limit = ROUTES_MAX;
	}
	if (limit <= (long)VMM_KVM_GSI_LINES) {
		return -ENOTSUP;
	}
	kvm->routes = calloc((size_t)limit, sizeof(*kvm->routes));
	if (!kvm->routes) {
		return -ENOMEM;
	}
	/* Made once, since routes change on vCPUs' threads. What is never used is never touched. */
	kvm->table =
		calloc(1, sizeof(*kvm->table) + (size_t)limit * sizeof(kvm->table->entries[0]));
	if (!kvm->table) {
		return -ENOMEM;
	}
	kvm->route_count = (unsigned)limit;
	return 0;
}

/* False for a gsi that goes nowhere. */
static bool fill_entry(const struct vmm_kvm *kvm, struct kvm_irq_routing_entry *e, unsigned gsi)
{
	const struct route *r = &kvm->routes[gsi];

	memset(e, 0, sizeof(*e));
	e->gsi = gsi;
	if (r->kind == ROUTE_PIN) {
		e->type = KVM_IRQ_ROUTING_IRQCHIP;
		e->u.irqchip.irqchip = (uint32_t)r->address;
		e->u.irqchip.pin = r->data;
	} else if (r->kind == ROUTE_MSI) {
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)r->address;
		e->u.msi.address_hi = (uint32_t)(r->address >> 32);
		e->u.msi.data = r->data;
		if (kvm->msi_by_requester) {
			e->flags = KVM_MSI_VALID_DEVID;
			e->u.msi.devid = r->requester;
		}
	} else {
		return false;
	}
	return true;
}

/* Called with the lock held. */
static int commit(struct vmm_kvm *kvm)
{
	kvm->table->nr = 0;
	for (unsigned gsi = 0; gsi < kvm->route_count; gsi++) {
		if (fill_entry(kvm, &kvm->table->entries[kvm->table->nr], gsi)) {
			kvm->table->nr++;
		}
	}
	return ioctl(kvm->fd, KVM_SET_GSI_ROUTING, kvm->table) == 0 ? 0 : -errno;
}

int vmm_kvm_route_pin(struct vmm_kvm *kvm, unsigned gsi, unsigned irqchip, unsigned pin)
{
	if (gsi >= VMM_KVM_GSI_LINES) {
		return -EINVAL;
	}
	kvm->routes[gsi] = (struct route){.kind = ROUTE_PIN, .address = irqchip, .data = pin};
	return 0;
}

int vmm_kvm_route_commit(struct vmm_kvm *kvm)
{
	int ret;

	(void)pthread_mutex_lock(&kvm->route_lock);
	ret = commit(kvm);
	(void)pthread_mutex_unlock(&kvm->route_lock);
	return ret;
}

void vmm_kvm_set_msi_window(struct vmm_kvm *kvm, uint64_t base, uint64_t size, bool by_requester)
{
	kvm->msi_base = base;
	kvm->msi_size = size;
	kvm->msi_by_requester = by_requester;
}

int vmm_kvm_msi_alloc(struct vmm_kvm *kvm, unsigned *gsi)
{
	int ret = -ENOSPC;

	(void)pthread_mutex_lock(&kvm->route_lock);
	for (unsigned i = VMM_KVM_GSI_LINES; i < kvm->route_count; i++) {
		if (kvm->routes[i].kind == ROUTE_FREE) {
			kvm->routes[i].kind = ROUTE_EMPTY;
			*gsi = i;
			ret = 0;
			break;
		}
	}
	(void)pthread_mutex_unlock(&kvm->route_lock);
	return ret;
}

static bool is_msi(const struct vmm_kvm *kvm, unsigned gsi)
{
	return gsi >= VMM_KVM_GSI_LINES && gsi < kvm->route_count &&
	       kvm->routes[gsi].kind != ROUTE_FREE;
}

/* Replaces an MSI route; the kernel's table follows only if there is a difference to it. */
static int set_route(struct vmm_kvm *kvm, unsigned gsi, struct route next)
{
	struct route *r = &kvm->routes[gsi];
	bool same = r->kind == next.kind && r->address == next.address && r->data == next.data &&
		    r->requester == next.requester;
	bool visible = r->kind == ROUTE_MSI || next.kind == ROUTE_MSI;

	*r = next;
	return visible && !same ? commit(kvm) : 0;
}

void vmm_kvm_msi_free(struct vmm_kvm *kvm, unsigned gsi)
{
	(void)pthread_mutex_lock(&kvm->route_lock);
	if (is_msi(kvm, gsi)) {
		(void)set_route(kvm, gsi, (struct route){.kind = ROUTE_FREE});
	}
	(void)pthread_mutex_unlock(&kvm->route_lock);
}

/* With the lock held; empty where msi leads nowhere, and then -EINVAL. */
static int set_message(struct vmm_kvm *kvm, unsigned gsi, const struct vmm_pci_msi *msi)
{
	struct route next = {
		.kind = ROUTE_MSI,
		.address = msi->address,
		.data = msi->data,
		.requester = msi->requester,
	};
	bool inside = msi->address >= kvm->msi_base && msi->address - kvm->msi_base < kvm->msi_size;
	int ret;

	if (!inside) {
		next = (struct route){.kind = ROUTE_EMPTY};
	}
	ret = set_route(kvm, gsi, next);
	return ret == 0 && !inside ? -EINVAL : ret;
}

int vmm_kvm_msi_route(struct vmm_kvm *kvm, unsigned gsi, const struct vmm_pci_msi *msi)
{
	int ret = -EINVAL;

	(void)pthread_mutex_lock(&kvm->route_lock);
	if (is_msi(kvm, gsi)) {
		ret = set_message(kvm, gsi, msi);
	}
	(void)pthread_mutex_unlock(&kvm->route_lock);
	return ret;
}

int vmm_kvm_line_route(struct vmm_kvm *kvm, unsigned gsi, const struct vmm_pci_msi *msi)
{
	int ret;

	if (gsi >= VMM_KVM_GSI_LINES) {
		return -EINVAL;
	}
	(void)pthread_mutex_lock(&kvm->route_lock);
	ret = msi ? set_message(kvm, gsi, msi)
		  : set_route(kvm, gsi, (struct route){.kind = ROUTE_EMPTY});
	(void)pthread_mutex_unlock(&kvm->route_lock);
	return ret;
}

int vmm_kvm_irqfd(struct vmm_kvm *kvm, unsigned gsi, int eventfd, bool connect)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)eventfd,
		.gsi = gsi,
		.flags = connect ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	if (gsi >= kvm->route_count || eventfd < 0) {
		return -EINVAL;
	}
	return ioctl(kvm->fd, KVM_IRQFD, &irqfd) == 0 ? 0 : -errno;
}

int vmm_kvm_ioeventfd(struct vmm_kvm *kvm, const struct vmm_doorbell *bell, int eventfd,
		      bool connect)
{
	struct kvm_ioeventfd io = {
		.addr = bell->gpa,
		.len = bell->len,
		.datamatch = bell->value,
		.fd = eventfd,
		.flags = (bell->len ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
			 (connect ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(kvm->fd, KVM_IOEVENTFD, &io) == 0 ? 0 : -errno;
}

static void line_raise(struct vmm_irq *irq)
{
	const struct line *line = (const struct line *)irq;
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so the kernel has edges to deliver already. */
	(void)!write(line->fd, &one, sizeof(one));
}

int vmm_kvm_line_create(struct vmm_kvm *kvm, unsigned gsi, struct vmm_irq **out)
{
	struct line *line = calloc(1, sizeof(*line));
	int ret;

	*out = NULL;
	if (!line) {
		return -ENOMEM;
	}
	line->base.raise = line_raise;
	line->gsi = gsi;
	line->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (line->fd < 0) {
		ret = -errno;
		free(line);
		return ret;
	}
	ret = vmm_kvm_irqfd(kvm, gsi, line->fd, true);
	if (ret < 0) {
		(void)close(line->fd);
		free(line);
		return ret;
	}
	*out = &line->base;
	return 0;
}

void vmm_kvm_line_destroy(struct vmm_kvm *kvm, struct vmm_irq *irq)
{
	struct line *line = (struct line *)irq;

	if (!line) {
		return;
	}
	(void)vmm_kvm_irqfd(kvm, line->gsi, line->fd, false);
	(void)close(line->fd);
	free(line);
}
