/* SPDX-License-Identifier: MIT */
/*
 * Memory that a front end shares with the back end: the guest's, and the record of what is in
 * flight.
 *
 * A file that its owner can shrink takes the pages away under whoever has it mapped. For the record
 * that is refused, as it can always be a file that this code made and sealed; for guest memory only
 * where the process is to be jailed, as other VMMs do not seal theirs, and what they lose is their
 * own device.
 */
#include "backend_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE  4096u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

static bool may_shrink(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals < 0 || !(seals & F_SEAL_SHRINK);
}

/* ---- guest memory ---- */

static void close_regions(struct vhost_region *regions, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (regions[i].fd >= 0) {
			(void)close(regions[i].fd);
			regions[i].fd = -1;
		}
	}
}

static void unmap(struct vmm_vhost_backend *b)
{
	(void)vmm_carrier_set_mem(b->carrier, NULL);
	vmm_mem_destroy(b->mem);
	b->mem = NULL;
}

static int map(struct vmm_vhost_backend *b)
{
	struct vmm_mem_shared shared[VHOST_USER_MEM_REGIONS];
	struct vmm_error err = {0};
	int ret;

	for (unsigned i = 0; i < b->region_count; i++) {
		const struct vhost_region *r = &b->regions[i];

		if (b->config.sealed_after_start && may_shrink(r->fd)) {
			return -EPERM;
		}
		shared[i] = (struct vmm_mem_shared){
			.gpa = r->wire.guest_addr,
			.size = r->wire.size,
			.fd = r->fd,
			.offset = r->wire.mmap_offset,
		};
	}
	if (b->region_count == 0) {
		return 0;
	}
	ret = vmm_mem_create_shared(&b->mem, shared, b->region_count, &err);
	if (ret < 0) {
		vmm_log_guest(b->config.log, &b->limit, "%s: %s", vmm_carrier_id(b->carrier),
			      err.message);
		return ret;
	}
	return vmm_carrier_set_mem(b->carrier, b->mem);
}

/*
 * Takes regions and their descriptors in place of the present ones. The old memory goes first: two
 * at a time need not fit into the address space that a limit leaves. So after a failure there is
 * none.
 */
static int replace(struct vmm_vhost_backend *b, const struct vhost_region *regions, unsigned count)
{
	int ret;

	vmm_vhost_stop(b);
	unmap(b);
	memcpy(b->regions, regions, count * sizeof(regions[0]));
	b->region_count = count;
	ret = map(b);
	if (ret < 0) {
		unmap(b);
		close_regions(b->regions, b->region_count);
		b->region_count = 0;
	}
	vmm_vhost_update(b);
	return ret;
}

/* What vmm_mem_create_shared does not look at. */
static bool is_valid(const struct vhost_user_region *r)
{
	return r->size > 0 && r->user_addr <= UINT64_MAX - r->size;
}

int vmm_vhost_set_mem_table(struct vmm_vhost_backend *b, struct vhost_msg *msg)
{
	const struct vhost_user_mem_table *table = &msg->payload.mem;
	struct vhost_region regions[VHOST_USER_MEM_REGIONS];
	unsigned count = msg->fd_count;

	/* Each region has a descriptor, and the size of the message says how many there are. */
	if (table->count != count ||
	    msg->header.size != offsetof(struct vhost_user_mem_table, regions) +
					count * sizeof(table->regions[0])) {
		return -EPROTO;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!is_valid(&table->regions[i])) {
			return -EINVAL;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		regions[i].wire = table->regions[i];
		regions[i].fd = vmm_vhost_msg_take_fd(msg);
	}
	close_regions(b->regions, b->region_count);
	return replace(b, regions, count);
}

int vmm_vhost_add_region(struct vmm_vhost_backend *b, struct vhost_msg *msg)
{
	struct vhost_region regions[VHOST_USER_MEM_REGIONS];
	unsigned count = b->region_count;

	if (count == VHOST_USER_MEM_REGIONS || !is_valid(&msg->payload.reg.region)) {
		return -EINVAL;
	}
	memcpy(regions, b->regions, count * sizeof(regions[0]));
	regions[count].wire = msg->payload.reg.region;
	regions[count].fd = vmm_vhost_msg_take_fd(msg);
	return replace(b, regions, count + 1);
}

int vmm_vhost_remove_region(struct vmm_vhost_backend *b, const struct vhost_msg *msg)
{
	const struct vhost_user_region *gone = &msg->payload.reg.region;
	struct vhost_region regions[VHOST_USER_MEM_REGIONS];
	unsigned count = 0;

	for (unsigned i = 0; i < b->region_count; i++) {
		const struct vhost_user_region *r = &b->regions[i].wire;

		if (r->guest_addr != gone->guest_addr || r->user_addr != gone->user_addr ||
		    r->size != gone->size) {
			regions[count++] = b->regions[i];
		} else {
			close_regions(&b->regions[i], 1);
		}
	}
	return count < b->region_count ? replace(b, regions, count) : -EINVAL;
}

int vmm_vhost_translate(const struct vmm_vhost_backend *b, uint64_t user_addr, vmm_gpa *gpa)
{
	for (unsigned i = 0; i < b->region_count; i++) {
		const struct vhost_user_region *r = &b->regions[i].wire;

		if (user_addr >= r->user_addr && user_addr - r->user_addr < r->size) {
			*gpa = r->guest_addr + (user_addr - r->user_addr);
			return 0;
		}
	}
	return -EFAULT;
}

void vmm_vhost_seal_memory(struct vmm_vhost_backend *b)
{
	close_regions(b->regions, b->region_count);
	/* Kernels that cannot do it leave it to the filter for system calls. */
	(void)vmm_mem_seal(b->mem);
}

/* ---- the record of what is in flight ---- */

static void drop_record(struct vmm_vhost_backend *b)
{
	if (b->record) {
		(void)munmap(b->record, b->record_len);
	}
	b->record = NULL;
	b->record_len = 0;
	b->record_queues = 0;
	b->record_size = 0;
}

void vmm_vhost_drop_memory(struct vmm_vhost_backend *b)
{
	unmap(b);
	close_regions(b->regions, b->region_count);
	b->region_count = 0;
	drop_record(b);
}

/* Bytes that the queues of d need; 0 when their number or size makes no sense. */
static uint64_t record_len(const struct vhost_user_inflight *d)
{
	uint16_t size = d->queue_size;

	if (d->queue_count == 0 || d->queue_count > VMM_VIRTIO_QUEUES_MAX || size == 0 ||
	    (size & (size - 1u)) != 0 || size > VMM_VIRTQ_SIZE_MAX) {
		return 0;
	}
	return d->queue_count * (uint64_t)vmm_inflight_size(size);
}

/* Maps the record that d describes in place of the present one. */
static int map_record(struct vmm_vhost_backend *b, int fd, const struct vhost_user_inflight *d)
{
	size_t len = (size_t)record_len(d);
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)d->mmap_offset);

	if (p == MAP_FAILED) {
		return -errno;
	}
	drop_record(b);
	b->record = p;
	b->record_len = len;
	b->record_queues = d->queue_count;
	b->record_size = d->queue_size;
	return 0;
}

static int create_file(uint64_t len)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("inflight", flags | MFD_NOEXEC_SEAL);
	int ret;

	if (fd < 0 && errno == EINVAL) {
		/* Linux before 6.3. */
		fd = memfd_create("inflight", flags);
	}
	if (fd < 0) {
		return -errno;
	}
	if (ftruncate(fd, (off_t)len) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
		ret = -errno;
		(void)close(fd);
		return ret;
	}
	return fd;
}

int vmm_vhost_get_inflight(struct vmm_vhost_backend *b, const struct vhost_msg *msg,
			   struct vhost_msg *reply)
{
	struct vhost_user_inflight d = msg->payload.inflight;
	int fd;
	int ret;

	d.mmap_size = record_len(&d);
	d.mmap_offset = 0;
	if (d.mmap_size == 0 || b->active) {
		return -EPROTO;
	}
	fd = create_file(d.mmap_size);
	if (fd < 0) {
		return fd;
	}
	/* Front ends may send it back with SET_INFLIGHT_FD, or take it for agreed upon. */
	ret = map_record(b, fd, &d);
	if (ret < 0) {
		(void)close(fd);
		return ret;
	}
	reply->header.size = msg->header.size;
	reply->payload.inflight = d;
	reply->fds[0] = fd;
	reply->fd_count = 1;
	return 0;
}

int vmm_vhost_set_inflight(struct vmm_vhost_backend *b, const struct vhost_msg *msg)
{
	const struct vhost_user_inflight *d = &msg->payload.inflight;
	uint64_t len = record_len(d);
	int fd = msg->fds[0];
	struct stat st;

	if (len == 0 || d->mmap_size < len || d->mmap_offset % PAGE != 0 || b->active) {
		return -EINVAL;
	}
	if (fstat(fd, &st) != 0) {
		return -errno;
	}
	if (st.st_size < 0 || d->mmap_offset > (uint64_t)st.st_size ||
	    len > (uint64_t)st.st_size - d->mmap_offset || may_shrink(fd)) {
		return -EINVAL;
	}
	return map_record(b, fd, d);
}

int vmm_vhost_ring_record(const struct vmm_vhost_backend *b, const struct vhost_ring *ring,
			  struct vmm_inflight **out)
{
	*out = NULL;
	if (ring->index >= b->record_queues) {
		return 0;
	}
	if (ring->size > b->record_size) {
		return -EPROTO;
	}
	*out = (void *)(b->record + ring->index * vmm_inflight_size(b->record_size));
	return 0;
}

void vmm_vhost_clear_record(struct vmm_vhost_backend *b)
{
	if (b->record) {
		memset(b->record, 0, b->record_len);
	}
}
