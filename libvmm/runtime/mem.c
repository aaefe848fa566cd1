/* SPDX-License-Identifier: MIT */
/*
 * Guest memory. The memfd is sealed at its size, so that no holder of the descriptor can shrink it
 * under a mapping (SIGBUS), and lies in one reservation of inaccessible address space with a guard
 * before, between and behind the regions: an offset that escapes a check faults instead of reaching
 * other memory.
 */
#include <vmm/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE      UINT64_C(4096)
#define HUGE_PAGE (UINT64_C(2) << 20)
/* Any base plus a 32-bit offset stays inside the guard. */
#define GUARD       (UINT64_C(4) << 30)
#define TOTAL_LIMIT (UINT64_C(1) << 46)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

struct vmm_mem {
	int fd;
	size_t count;
	uint64_t total;
	void *reservation;
	size_t reservation_len;
	struct vmm_mem_mapping regions[VMM_MEM_REGIONS_MAX];
};

static int check_regions(const struct vmm_mem_region *regions, size_t count, uint64_t *total,
			 struct vmm_error *err)
{
	uint64_t next = 0;

	if (count == 0 || count > VMM_MEM_REGIONS_MAX) {
		return vmm_error_set(err, -EINVAL, "guest memory: %zu regions, must be 1 to %d",
				     count, VMM_MEM_REGIONS_MAX);
	}
	*total = 0;
	for (size_t i = 0; i < count; i++) {
		const struct vmm_mem_region *r = &regions[i];

		if (r->size == 0 || r->size % PAGE != 0 || r->gpa % PAGE != 0) {
			return vmm_error_set(err, -EINVAL,
					     "guest memory: region %zu is not a multiple of 4 KiB",
					     i);
		}
		if (r->gpa < next || r->size > TOTAL_LIMIT - *total ||
		    r->gpa > UINT64_MAX - r->size) {
			return vmm_error_set(err, -EINVAL,
					     "guest memory: region %zu overlaps or is too large",
					     i);
		}
		next = r->gpa + r->size;
		*total += r->size;
	}
	return 0;
}

/* memfd_create learnt MFD_NOEXEC_SEAL in Linux 6.3; older kernels refuse unknown flags. */
static int create_memfd(void)
{
	int fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) {
		fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	return fd < 0 ? -errno : fd;
}

static int size_and_seal(int fd, uint64_t total)
{
	if (ftruncate(fd, (off_t)total) != 0) {
		return -errno;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		return -errno;
	}
	return 0;
}

/* Address space for every region, 2 MiB aligned so that huge pages can be used, with guards. */
static int reserve(struct vmm_mem *mem, const struct vmm_mem_region *regions, size_t count)
{
	uint64_t len = GUARD;

	for (size_t i = 0; i < count; i++) {
		len += regions[i].size + GUARD + HUGE_PAGE;
	}
	mem->reservation =
		mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem->reservation == MAP_FAILED) {
		mem->reservation = NULL;
		return -errno;
	}
	mem->reservation_len = len;
	return 0;
}

static int map_regions(struct vmm_mem *mem, const struct vmm_mem_region *regions, size_t count)
{
	uint8_t *at = (uint8_t *)mem->reservation + GUARD;
	uint64_t offset = 0;

	for (size_t i = 0; i < count; i++) {
		void *host;

		at += (HUGE_PAGE - (uintptr_t)at % HUGE_PAGE) % HUGE_PAGE;
		host = mmap(at, regions[i].size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			    mem->fd, (off_t)offset);
		if (host == MAP_FAILED) {
			return -errno;
		}
		/* Guest RAM has no place in a core dump; failing to say so harms nothing. */
		(void)madvise(host, regions[i].size, MADV_DONTDUMP);
		mem->regions[i] = (struct vmm_mem_mapping){
			.gpa = regions[i].gpa,
			.size = regions[i].size,
			.host = host,
			.fd_offset = offset,
		};
		mem->count = i + 1;
		offset += regions[i].size;
		at += regions[i].size + GUARD;
	}
	return 0;
}

int vmm_mem_create(struct vmm_mem **out, const struct vmm_mem_region *regions, size_t count,
		   struct vmm_error *err)
{
	struct vmm_mem *mem;
	uint64_t total = 0;
	int ret;

	*out = NULL;
	ret = check_regions(regions, count, &total, err);
	if (ret < 0) {
		return ret;
	}
	mem = calloc(1, sizeof(*mem));
	if (!mem) {
		return vmm_error_set(err, -ENOMEM, "guest memory: out of memory");
	}
	mem->total = total;
	mem->fd = create_memfd();
	ret = mem->fd < 0 ? mem->fd : size_and_seal(mem->fd, total);
	if (ret == 0) {
		ret = reserve(mem, regions, count);
	}
	if (ret == 0) {
		ret = map_regions(mem, regions, count);
	}
	if (ret < 0) {
		vmm_mem_destroy(mem);
		return vmm_error_wrap(err, ret, "guest memory of %llu MiB",
				      (unsigned long long)(total >> 20));
	}
	*out = mem;
	return 0;
}

void vmm_mem_destroy(struct vmm_mem *mem)
{
	if (!mem) {
		return;
	}
	if (mem->reservation) {
		(void)munmap(mem->reservation, mem->reservation_len);
	}
	if (mem->fd >= 0) {
		(void)close(mem->fd);
	}
	free(mem);
}

int vmm_mem_fd(const struct vmm_mem *mem)
{
	return mem->fd;
}

size_t vmm_mem_region_count(const struct vmm_mem *mem)
{
	return mem->count;
}

int vmm_mem_get_mapping(const struct vmm_mem *mem, size_t index, struct vmm_mem_mapping *out)
{
	if (index >= mem->count) {
		return -EINVAL;
	}
	*out = mem->regions[index];
	return 0;
}

uint64_t vmm_mem_size(const struct vmm_mem *mem)
{
	return mem->total;
}

int vmm_mem_clear(struct vmm_mem *mem)
{
	if (fallocate(mem->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)mem->total) !=
	    0) {
		return -errno;
	}
	return 0;
}

/*
 * The one place where a guest address becomes a host address: NULL unless all of [gpa, gpa + len)
 * lies in one region. No sum here can wrap.
 */
static void *translate(const struct vmm_mem *mem, vmm_gpa gpa, uint64_t len)
{
	for (size_t i = 0; i < mem->count; i++) {
		const struct vmm_mem_mapping *r = &mem->regions[i];
		uint64_t offset;

		if (gpa < r->gpa || gpa - r->gpa >= r->size) {
			continue;
		}
		offset = gpa - r->gpa;
		return len <= r->size - offset ? (uint8_t *)r->host + offset : NULL;
	}
	return NULL;
}

int vmm_mem_check(const struct vmm_mem *mem, vmm_gpa gpa, uint64_t len)
{
	if (len == 0) {
		return -EINVAL;
	}
	return translate(mem, gpa, len) ? 0 : -EFAULT;
}

int vmm_mem_read(const struct vmm_mem *mem, vmm_gpa gpa, void *dst, size_t len)
{
	const void *host;

	if (len == 0) {
		return 0;
	}
	host = translate(mem, gpa, len);
	if (!host) {
		return -EFAULT;
	}
	memcpy(dst, host, len);
	return 0;
}

int vmm_mem_write(const struct vmm_mem *mem, vmm_gpa gpa, const void *src, size_t len)
{
	void *host;

	if (len == 0) {
		return 0;
	}
	host = translate(mem, gpa, len);
	if (!host) {
		return -EFAULT;
	}
	memcpy(host, src, len);
	return 0;
}

int vmm_mem_zero(const struct vmm_mem *mem, vmm_gpa gpa, size_t len)
{
	void *host;

	if (len == 0) {
		return 0;
	}
	host = translate(mem, gpa, len);
	if (!host) {
		return -EFAULT;
	}
	memset(host, 0, len);
	return 0;
}

int vmm_mem_iov(const struct vmm_mem *mem, vmm_gpa gpa, size_t len, struct iovec *out)
{
	void *host;

	if (len == 0) {
		return -EINVAL;
	}
	host = translate(mem, gpa, len);
	if (!host) {
		return -EFAULT;
	}
	out->iov_base = host;
	out->iov_len = len;
	return 0;
}

void *vmm_mem_ptr(const struct vmm_mem *mem, vmm_gpa gpa, size_t len, size_t align)
{
	if (len == 0 || (gpa & (align - 1)) != 0) {
		return NULL;
	}
	return translate(mem, gpa, len);
}
