/* SPDX-License-Identifier: MIT */
/*
 * Memory outside of RAM: one slot over a reservation of inaccessible address space, into which
 * files are mapped. A change of mappings then costs KVM no change of slots, for which all vCPUs
 * have to stop. A guest that touches the reservation where nothing is mapped makes KVM_RUN fail
 * with EFAULT, see vcpu.c.
 */
#include "kvm/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define NOTHING_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

struct vmm_window {
	struct vmm_kvm *kvm;
	uint8_t *host;
	uint64_t len;
	uint32_t slot;
	bool used;   /* something was mapped */
	bool broken; /* something could not be taken away: KVM does not see it any more */
	bool visible;
	vmm_gpa gpa;
	bool connected; /* KVM has the slot, at connected_gpa */
	vmm_gpa connected_gpa;
};

static int window_create(void *ctx, uint64_t len, struct vmm_window **out)
{
	struct vmm_kvm *kvm = ctx;
	struct vmm_window *w;

	*out = NULL;
	if (kvm->windows == VMM_KVM_WINDOWS_MAX) {
		return -ENOSPC;
	}
	w = calloc(1, sizeof(*w));
	if (!w) {
		return -ENOMEM;
	}
	w->host = mmap(NULL, len, PROT_NONE, NOTHING_FLAGS, -1, 0);
	if (w->host == MAP_FAILED) {
		free(w);
		return -errno;
	}
	(void)madvise(w->host, len, MADV_DONTDUMP);
	w->kvm = kvm;
	w->len = len;
	/* Those of RAM come before. A number is not given out again: few are ever needed. */
	w->slot = VMM_MEM_REGIONS_MAX + kvm->windows++;
	*out = w;
	return 0;
}

static int set_slot(struct vmm_window *w, bool connect)
{
	struct kvm_userspace_memory_region slot = {
		.slot = w->slot,
		.guest_phys_addr = connect ? w->gpa : w->connected_gpa,
		.memory_size = connect ? w->len : 0,
		.userspace_addr = (uint64_t)(uintptr_t)w->host,
	};

	if (ioctl(w->kvm->fd, KVM_SET_USER_MEMORY_REGION, &slot) != 0) {
		return -errno;
	}
	w->connected = connect;
	w->connected_gpa = w->gpa;
	return 0;
}

/* Brings the slot in line with the rest. */
static int update(struct vmm_window *w)
{
	bool want = w->visible && w->used && !w->broken;
	int ret = 0;

	if (w->connected && (!want || w->gpa != w->connected_gpa)) {
		ret = set_slot(w, false);
	}
	if (ret == 0 && want && !w->connected) {
		ret = set_slot(w, true);
	}
	return ret;
}

static int window_place(struct vmm_window *w, bool visible, vmm_gpa gpa)
{
	w->visible = visible;
	w->gpa = gpa;
	return update(w);
}

static int window_unmap(struct vmm_window *w, uint64_t offset, uint64_t len)
{
	if (mmap(w->host + offset, len, PROT_NONE, NOTHING_FLAGS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED) {
		int ret = -errno;

		w->broken = true;
		(void)update(w);
		return ret;
	}
	return 0;
}

/*
 * A file that may only be read and is sealed against writing cannot be mapped shared before Linux
 * 6.7. Its contents then stay the same for good, but for one that was truncated.
 */
static void *map_file(void *at, uint64_t len, int fd, uint64_t fd_offset, bool writable)
{
	int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	void *p = mmap(at, len, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)fd_offset);

	if (p == MAP_FAILED && !writable && (errno == EPERM || errno == EACCES)) {
		p = mmap(at, len, prot, MAP_PRIVATE | MAP_FIXED, fd, (off_t)fd_offset);
	}
	return p;
}

static int window_map(struct vmm_window *w, uint64_t offset, int fd, uint64_t fd_offset,
		      uint64_t len, bool writable)
{
	int ret;

	if (w->broken) {
		return -EIO;
	}
	if (map_file(w->host + offset, len, fd, fd_offset, writable) == MAP_FAILED) {
		ret = -errno;
		/* The kernel may have taken away what was there before it failed. */
		(void)window_unmap(w, offset, len);
		return ret;
	}
	w->used = true;
	ret = update(w);
	if (ret < 0) {
		(void)window_unmap(w, offset, len);
	}
	return ret;
}

static void window_clear(struct vmm_window *w)
{
	w->used = false;
	(void)update(w);
}

static void window_destroy(struct vmm_window *w)
{
	if (!w) {
		return;
	}
	window_clear(w);
	(void)munmap(w->host, w->len);
	free(w);
}

const struct vmm_window_ops vmm_kvm_window_ops = {
	.create = window_create,
	.destroy = window_destroy,
	.place = window_place,
	.map = window_map,
	.unmap = window_unmap,
	.clear = window_clear,
};
