/* SPDX-License-Identifier: MIT */
/*
 * Shared memory regions of a back end: which there are, and what it wants mapped there.
 *
 * A file that the back end hands over is mapped into the guest, not into this process: nobody here
 * ever reads it, and when it shrinks it is a guest that stands still. What is no file of memory is
 * refused all the same: pages of a device are not for the hypervisor to map.
 */
#include "vhost/frontend_priv.h"

#include <errno.h>
#include <sys/stat.h>

#define PRIVATE VHOST_USER_PROTOCOL_F_SHMEM_PRIVATE
#define ALL                                                                         \
	(VHOST_USER_PROTOCOL_F_SHMEM | PRIVATE | VHOST_USER_PROTOCOL_F_SHMEM_2026 | \
	 VHOST_USER_PROTOCOL_F_SHMEM_2025)

uint64_t vmm_vhost_shm_dialect(const struct frontend *fe, uint64_t theirs)
{
	static const uint64_t dialects[] = {
		VHOST_USER_PROTOCOL_F_SHMEM,
		PRIVATE,
		VHOST_USER_PROTOCOL_F_SHMEM_2026,
		VHOST_USER_PROTOCOL_F_SHMEM_2025,
	};

	if ((fe->shm_known && fe->base.shm_count == 0) ||
	    !(theirs & VHOST_USER_PROTOCOL_F_BACKEND_REQ)) {
		return 0;
	}
	for (unsigned i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
		if (theirs & dialects[i]) {
			return dialects[i];
		}
	}
	return 0;
}

/* ---- which there are ---- */

struct regions {
	struct vmm_virtio_shm shm[VMM_VIRTIO_SHM_MAX];
	unsigned count;
};

/* In order of their ids, as the carrier wants them. */
static int add_region(struct regions *r, uint8_t id, uint64_t len)
{
	unsigned at = r->count;

	if (len == 0) {
		return 0;
	}
	if (r->count == VMM_VIRTIO_SHM_MAX) {
		return -EPROTO;
	}
	for (; at > 0 && r->shm[at - 1].id > id; at--) {
		r->shm[at] = r->shm[at - 1];
	}
	r->shm[at] = (struct vmm_virtio_shm){.id = id, .len = len};
	r->count++;
	return 0;
}

static int ask_standard(struct frontend *fe, struct regions *r)
{
	struct vhost_msg msg;
	unsigned ids;
	int ret;

	vmm_vhost_msg_init(&msg, VHOST_USER_GET_SHMEM_CONFIG, 0);
	ret = vmm_vhost_link_ask(fe, &msg);
	if (ret < 0) {
		return ret;
	}
	ids = (unsigned)((msg.header.size - offsetof(struct vhost_user_shmem_config, sizes)) /
			 sizeof(msg.payload.shmem.sizes[0]));
	for (unsigned id = 0; ret == 0 && id < ids; id++) {
		ret = add_region(r, (uint8_t)id, msg.payload.shmem.sizes[id]);
	}
	return ret;
}

static int ask_private(struct frontend *fe, struct regions *r)
{
	const struct vhost_user_shmem_private *theirs;
	struct vhost_msg msg;
	unsigned count;
	int ret;

	vmm_vhost_msg_init(&msg, VHOST_USER_GET_SHMEM_PRIVATE, 0);
	ret = vmm_vhost_link_ask(fe, &msg);
	if (ret < 0) {
		return ret;
	}
	theirs = &msg.payload.shmem_private;
	count = (unsigned)((msg.header.size - offsetof(struct vhost_user_shmem_private, regions)) /
			   sizeof(theirs->regions[0]));
	if (theirs->count != count) {
		return -EPROTO;
	}
	for (unsigned i = 0; ret == 0 && i < count; i++) {
		ret = add_region(r, theirs->regions[i].id, theirs->regions[i].len);
	}
	return ret;
}

static bool same(const struct frontend *fe, const struct regions *r)
{
	bool is = fe->base.shm_count == r->count;

	for (unsigned i = 0; is && i < r->count; i++) {
		is = fe->shm[i].id == r->shm[i].id && fe->shm[i].len == r->shm[i].len;
	}
	return is;
}

int vmm_vhost_shm_ask(struct frontend *fe, struct vmm_error *err)
{
	struct regions r = {.count = 0};
	int ret = 0;

	if (fe->protocol & PRIVATE) {
		ret = ask_private(fe, &r);
	} else if (fe->protocol & ALL) {
		ret = ask_standard(fe, &r);
	}
	if (ret == 0 && fe->shm_known && !same(fe, &r)) {
		return vmm_error_set(err, -EPROTO,
				     "%s: the back end's shared memory is not what it must be",
				     fe->base.name);
	}
	if (ret == 0 && !fe->shm_known) {
		for (unsigned i = 0; i < r.count; i++) {
			fe->shm[i] = r.shm[i];
		}
		fe->base.shm_count = r.count;
		fe->shm_known = true;
	}
	return ret;
}

/* ---- what is mapped ---- */

bool vmm_vhost_shm_is_request(const struct frontend *fe, uint32_t request)
{
	if (fe->fd < 0) {
		return false; /* from one that is lost */
	}
	switch (request) {
	case VHOST_USER_BACKEND_SHMEM_MAP:
	case VHOST_USER_BACKEND_SHMEM_UNMAP:
		return (fe->protocol & ALL & ~PRIVATE) != 0;
	case VHOST_USER_BACKEND_MAP_PRIVATE:
	case VHOST_USER_BACKEND_UNMAP_PRIVATE:
		return (fe->protocol & PRIVATE) != 0;
	default:
		return false;
	}
}

/* A file of memory, and no further than its last page. */
static int check_file(int fd, uint64_t offset, uint64_t len)
{
	const uint64_t page = VMM_VIRTIO_SHM_PAGE;
	struct stat st;
	uint64_t size;

	if (fstat(fd, &st) != 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < 0) {
		return -EINVAL;
	}
	size = ((uint64_t)st.st_size + page - 1) & ~(page - 1);
	return offset <= size && len <= size - offset ? 0 : -EINVAL;
}

static int map(struct frontend *fe, const struct vhost_user_mmap *m, bool writable)
{
	int fd = fe->requests.msg.fds[0];
	int ret = check_file(fd, m->fd_offset, m->len);

	return ret < 0 ? ret
		       : vmm_virtio_shm_map(&fe->base, m->id, m->shm_offset, fd, m->fd_offset,
					    m->len, writable);
}

static int map_standard(struct frontend *fe)
{
	const struct vhost_user_mmap *m = &fe->requests.msg.payload.mmap;

	return (m->flags & ~VHOST_USER_SHMEM_RW) != 0 ? -EINVAL : map(fe, m, m->flags != 0);
}

static int map_private(struct frontend *fe)
{
	const struct vhost_user_map_private *theirs = &fe->requests.msg.payload.map_private;
	const struct vhost_user_mmap m = {
		.id = theirs->id,
		.fd_offset = theirs->fd_offset,
		.shm_offset = theirs->shm_offset,
		.len = theirs->len,
	};
	const unsigned both = VHOST_USER_PRIVATE_READ | VHOST_USER_PRIVATE_WRITE;

	/* What can be written can be read. */
	return theirs->flags == 0 || (theirs->flags & ~both) != 0
		       ? -EINVAL
		       : map(fe, &m, (theirs->flags & VHOST_USER_PRIVATE_WRITE) != 0);
}

int vmm_vhost_shm_serve(struct frontend *fe)
{
	const union vhost_user_payload *p = &fe->requests.msg.payload;

	switch (fe->requests.msg.header.request) {
	case VHOST_USER_BACKEND_SHMEM_MAP:
		return map_standard(fe);
	case VHOST_USER_BACKEND_MAP_PRIVATE:
		return map_private(fe);
	case VHOST_USER_BACKEND_SHMEM_UNMAP:
		return vmm_virtio_shm_unmap(&fe->base, p->mmap.id, p->mmap.shm_offset, p->mmap.len);
	default:
		return vmm_virtio_shm_unmap(&fe->base, p->unmap_private.id,
					    p->unmap_private.shm_offset, p->unmap_private.len);
	}
}
