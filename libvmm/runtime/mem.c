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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE      UINT64_C(4096)
#define HUGE_PAGE (UINT64_C(2) << 20)
/* Any base plus a 32-bit offset stays inside the guard. */
#define GUARD       (UINT64_C(4) << 30)
#define TOTAL_LIMIT (UINT64_C(1) << 46)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 0x0004u
#endif
#define MFD_HUGE_PAGES (MFD_HUGETLB | 21u << 26) /* of 2^21 bytes */

/* Linux 6.1 */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Linux 6.10; the number is the same on every architecture. */
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

struct vmm_mem {
	int fd; /* -1 where the memory is somebody else's */
	bool sealed;
	bool cleared; /* once, at least */
	size_t count;
	uint64_t total;
	void *reservation;
	size_t reservation_len;
	struct vmm_mem_mapping regions[VMM_MEM_REGIONS_MAX];
};

static int check_regions(const struct vmm_mem_region *regions, size_t count, uint64_t page,
			 uint64_t *total, struct vmm_error *err)
{
	uint64_t next = 0;

	if (count == 0 || count > VMM_MEM_REGIONS_MAX) {
		return vmm_error_set(err, -EINVAL, "guest memory: %zu regions, must be 1 to %d",
				     count, VMM_MEM_REGIONS_MAX);
	}
	*total = 0;
	for (size_t i = 0; i < count; i++) {
		const struct vmm_mem_region *r = &regions[i];

		if (r->size == 0 || r->size % page != 0 || r->gpa % page != 0) {
			return vmm_error_set(err, -EINVAL,
					     "guest memory: region %zu is not a multiple of %u KiB",
					     i, (unsigned)(page >> 10));
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
static int create_memfd(unsigned pages)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | pages;
	int fd = memfd_create("guest-ram", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) {
		fd = memfd_create("guest-ram", flags);
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

/* Address space for count regions, 2 MiB aligned so that huge pages can be used, with guards. */
static int reserve(struct vmm_mem *mem, size_t count)
{
	uint64_t len = mem->total + GUARD + count * (GUARD + HUGE_PAGE);

	mem->reservation =
		mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem->reservation == MAP_FAILED) {
		mem->reservation = NULL;
		return -errno;
	}
	mem->reservation_len = len;
	return 0;
}

/* Maps the next region at the first place after *at that suits it and moves *at behind its guard.
 */
static int map_region(struct vmm_mem *mem, uint8_t **at, const struct vmm_mem_shared *r)
{
	uint8_t *place = *at + (HUGE_PAGE - (uintptr_t)*at % HUGE_PAGE) % HUGE_PAGE;
	void *host = mmap(place, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd,
			  (off_t)r->offset);

	if (host == MAP_FAILED) {
		return -errno;
	}
	/* Guest RAM has no place in a core dump, and likes huge pages where the host gives those
	 * who ask; failing to say so harms nothing. */
	(void)madvise(host, r->size, MADV_DONTDUMP);
	(void)madvise(host, r->size, MADV_HUGEPAGE);
	mem->regions[mem->count++] = (struct vmm_mem_mapping){
		.gpa = r->gpa,
		.size = r->size,
		.host = host,
		.fd_offset = r->offset,
	};
	*at = place + r->size + GUARD;
	return 0;
}

static int map_regions(struct vmm_mem *mem, const struct vmm_mem_shared *regions, size_t count)
{
	uint8_t *at;
	int ret = reserve(mem, count);

	if (ret < 0) {
		return ret;
	}
	at = (uint8_t *)mem->reservation + GUARD;
	for (size_t i = 0; ret == 0 && i < count; i++) {
		ret = map_region(mem, &at, &regions[i]);
	}
	return ret;
}

static int create(struct vmm_mem **out, const struct vmm_mem_region *regions, size_t count,
		  bool huge, struct vmm_error *err)
{
	struct vmm_mem_shared parts[VMM_MEM_REGIONS_MAX];
	struct vmm_mem *mem;
	uint64_t total = 0;
	int ret;

	*out = NULL;
	ret = check_regions(regions, count, huge ? HUGE_PAGE : PAGE, &total, err);
	if (ret < 0) {
		return ret;
	}
	mem = calloc(1, sizeof(*mem));
	if (!mem) {
		return vmm_error_set(err, -ENOMEM, "guest memory: out of memory");
	}
	mem->total = total;
	mem->fd = create_memfd(huge ? MFD_HUGE_PAGES : 0);
	ret = mem->fd < 0 ? mem->fd : size_and_seal(mem->fd, total);
	total = 0;
	for (size_t i = 0; i < count; i++) {
		parts[i] = (struct vmm_mem_shared){
			.gpa = regions[i].gpa,
			.size = regions[i].size,
			.fd = mem->fd,
			.offset = total,
		};
		total += regions[i].size;
	}
	if (ret == 0) {
		ret = map_regions(mem, parts, count);
	}
	if (ret < 0) {
		vmm_mem_destroy(mem);
		return vmm_error_wrap(
			err, ret, "guest memory of %llu MiB%s", (unsigned long long)(total >> 20),
			huge ? " in huge pages (vm.nr_hugepages has to hold them)" : "");
	}
	*out = mem;
	return 0;
}

int vmm_mem_create(struct vmm_mem **out, const struct vmm_mem_region *regions, size_t count,
		   struct vmm_error *err)
{
	return create(out, regions, count, false, err);
}

int vmm_mem_create_huge(struct vmm_mem **out, const struct vmm_mem_region *regions, size_t count,
			struct vmm_error *err)
{
	return create(out, regions, count, true, err);
}

/* In ascending order of gpa, as lookups and checks want them. */
static int sort_regions(struct vmm_mem_shared *sorted, const struct vmm_mem_shared *regions,
			size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t at = i;

		if (regions[i].fd < 0 || regions[i].offset % PAGE != 0 ||
		    regions[i].offset > INT64_MAX - TOTAL_LIMIT) {
			return -EINVAL;
		}
		for (; at > 0 && sorted[at - 1].gpa > regions[i].gpa; at--) {
			sorted[at] = sorted[at - 1];
		}
		sorted[at] = regions[i];
	}
	return 0;
}

/* A mapping behind the end of its file would be SIGBUS for whoever touches it. */
static int check_file(const struct vmm_mem_shared *r)
{
	struct stat st;

	if (fstat(r->fd, &st) != 0) {
		return -errno;
	}
	return st.st_size >= 0 && r->offset <= (uint64_t)st.st_size &&
			       r->size <= (uint64_t)st.st_size - r->offset
		       ? 0
		       : -EINVAL;
}

int vmm_mem_create_shared(struct vmm_mem **out, const struct vmm_mem_shared *regions, size_t count,
			  struct vmm_error *err)
{
	struct vmm_mem_shared sorted[VMM_MEM_REGIONS_MAX];
	struct vmm_mem_region plain[VMM_MEM_REGIONS_MAX] = {{0}};
	struct vmm_mem *mem;
	uint64_t total = 0;
	int ret;

	*out = NULL;
	if (count > VMM_MEM_REGIONS_MAX || sort_regions(sorted, regions, count) < 0) {
		return vmm_error_set(err, -EINVAL,
				     "shared guest memory: a region's file or offset, or more than "
				     "%d regions",
				     VMM_MEM_REGIONS_MAX);
	}
	for (size_t i = 0; i < count; i++) {
		plain[i] = (struct vmm_mem_region){.gpa = sorted[i].gpa, .size = sorted[i].size};
	}
	ret = check_regions(plain, count, PAGE, &total, err);
	for (size_t i = 0; ret == 0 && i < count; i++) {
		ret = check_file(&sorted[i]);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "shared");
	}
	mem = calloc(1, sizeof(*mem));
	if (!mem) {
		return vmm_error_set(err, -ENOMEM, "guest memory: out of memory");
	}
	mem->fd = -1;
	mem->total = total;
	ret = map_regions(mem, sorted, count);
	if (ret < 0) {
		vmm_mem_destroy(mem);
		return vmm_error_wrap(err, ret, "shared guest memory of %llu MiB",
				      (unsigned long long)(total >> 20));
	}
	*out = mem;
	return 0;
}

int vmm_mem_seal(struct vmm_mem *mem)
{
	for (size_t i = 0; i < mem->count; i++) {
		(void)madvise(mem->regions[i].host, mem->regions[i].size, MADV_DONTFORK);
	}
	if (syscall(SYS_mseal, mem->reservation, mem->reservation_len, 0UL) != 0) {
		return -errno;
	}
	mem->sealed = true;
	return 0;
}

void vmm_mem_destroy(struct vmm_mem *mem)
{
	if (!mem) {
		return;
	}
	/* What is sealed stays until the process ends. */
	if (mem->reservation && !mem->sealed) {
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

void vmm_mem_expect(const struct vmm_mem *mem, vmm_gpa gpa, uint64_t len)
{
	uint8_t *host = len > 0 ? vmm_mem_ptr(mem, gpa, len, 1) : NULL;
	uint64_t skip = (HUGE_PAGE - (uintptr_t)host % HUGE_PAGE) % HUGE_PAGE;

	if (!host || mem->cleared || len < skip + HUGE_PAGE) {
		return;
	}
	host += skip;
	len = (len - skip) / HUGE_PAGE * HUGE_PAGE;
	/* Where there is nothing yet, the kernel sees nothing to make larger. */
	for (uint64_t at = 0; at < len; at += HUGE_PAGE) {
		(void)*(volatile uint8_t *)(host + at);
	}
	(void)madvise(host, len, MADV_COLLAPSE);
}

int vmm_mem_clear(struct vmm_mem *mem)
{
	if (mem->fd < 0) {
		return -EOPNOTSUPP;
	}
	if (fallocate(mem->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)mem->total) !=
	    0) {
		return -errno;
	}
	mem->cleared = true;
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
