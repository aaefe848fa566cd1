/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: one memfd, sealed at its size, mapped once with inaccessible
 * guard areas around each region. The map never changes after creation, so
 * lookups take no lock and a translated address stays valid until destroy.
 *
 * A guest physical address is a number (vmm_gpa), never a pointer, and no call
 * returns a pointer without a length that was checked. Every check has the form
 * `off < size && len <= size - off`: no sum that could wrap.
 *
 * The bytes belong to the guest, which may change them at any moment: copy them
 * once into private memory, check the copy, use the copy.
 */
#ifndef VMM_MEM_H
#define VMM_MEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vmm/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t vmm_gpa;

#define VMM_MEM_REGIONS_MAX 8

struct vmm_mem;

/* One region of guest RAM. gpa and size are multiples of 4096, size > 0. */
struct vmm_mem_region {
	vmm_gpa gpa;
	uint64_t size;
};

/* A region as it is mapped here; host stays valid until vmm_mem_destroy. */
struct vmm_mem_mapping {
	vmm_gpa gpa;
	uint64_t size;
	void *host;         /* owned by the vmm_mem */
	uint64_t fd_offset; /* where the region starts in vmm_mem_fd() */
};

/*
 * Creates guest RAM of count regions (at most VMM_MEM_REGIONS_MAX), in ascending
 * order of gpa and not overlapping. The memory reads as zero and takes no room until
 * touched. On failure *out is NULL.
 * Errors: -EINVAL (regions), -ENOMEM, -EMFILE, other errno of memfd_create/mmap.
 */
int vmm_mem_create(struct vmm_mem **out, const struct vmm_mem_region *regions, size_t count,
		   struct vmm_error *err);

/*
 * The same in huge pages of 2 MiB, of which gpa and size are multiples. They come out of the host's
 * pool (vm.nr_hugepages) and are set apart for this memory at once. -ENOMEM when there are not
 * enough.
 */
int vmm_mem_create_huge(struct vmm_mem **out, const struct vmm_mem_region *regions, size_t count,
			struct vmm_error *err);

/*
 * A part of guest memory that somebody else made, as vhost-user's memory table has it. All numbers
 * are multiples of 4096.
 */
struct vmm_mem_shared {
	vmm_gpa gpa;
	uint64_t size;
	int fd; /* borrowed: once mapped it is no longer needed */
	uint64_t offset;
};

/*
 * Maps guest memory of somebody else's, with the same guards: at most VMM_MEM_REGIONS_MAX regions
 * in any order, not overlapping. Whoever holds a descriptor that is not sealed can still shrink its
 * file, which the user of the mapping does not survive: look at the seals (F_GET_SEALS) where that
 * matters. vmm_mem_fd of it is -1 and vmm_mem_clear is not possible. On failure *out is NULL.
 * Errors: -EINVAL (a region, its offset, a file that is too short), -ENOMEM, errno of mmap.
 */
int vmm_mem_create_shared(struct vmm_mem **out, const struct vmm_mem_shared *regions, size_t count,
			  struct vmm_error *err);

/*
 * For processes that are about to be jailed. Keeps the memory from children, and makes mappings and
 * guards unchangeable for the rest of the process's life (mseal, Linux 6.10): not even code that
 * calls munmap, mmap or mprotect at will puts something else there. vmm_mem_destroy then leaves
 * them in place. 0, -ENOSYS: the kernel cannot.
 */
int vmm_mem_seal(struct vmm_mem *mem);

/* Unmaps and closes. NULL is a no-op. No iovec or pointer got from it may be used afterwards. */
void vmm_mem_destroy(struct vmm_mem *mem);

/* The memfd behind all regions; owned by mem, for sharing with device processes. -1 for memory of
 * somebody else's. */
int vmm_mem_fd(const struct vmm_mem *mem);

/* Number of regions, and the index-th of them (0, or -EINVAL past the end). */
size_t vmm_mem_region_count(const struct vmm_mem *mem);
int vmm_mem_get_mapping(const struct vmm_mem *mem, size_t index, struct vmm_mem_mapping *out);

/* Bytes of RAM in all regions. */
uint64_t vmm_mem_size(const struct vmm_mem *mem);

/*
 * A hint: [gpa, gpa + len) is about to be written as a whole. What of it is whole huge pages takes
 * such from the host, if it has some to give, instead of a page fault for each 4 KiB. The contents
 * do not change; a range that is not in RAM is ignored. Nothing is done for memory that has been
 * cleared: by then the process may have sealed itself against such requests.
 */
void vmm_mem_expect(const struct vmm_mem *mem, vmm_gpa gpa, uint64_t len);

/* Makes all of RAM read as zero again and gives the pages back to the host. 0, errno, or
 * -EOPNOTSUPP for memory of somebody else's. */
int vmm_mem_clear(struct vmm_mem *mem);

/* The remaining calls may be made from any thread. */

/*
 * 0 when [gpa, gpa + len) lies within one region. -EINVAL for len 0, else -EFAULT.
 */
int vmm_mem_check(const struct vmm_mem *mem, vmm_gpa gpa, uint64_t len);

/*
 * Copies len bytes out of / into / zeroes guest memory, all or nothing: the range is
 * checked before a byte is touched. len 0 succeeds. -EFAULT outside RAM.
 */
int vmm_mem_read(const struct vmm_mem *mem, vmm_gpa gpa, void *dst, size_t len);
int vmm_mem_write(const struct vmm_mem *mem, vmm_gpa gpa, const void *src, size_t len);
int vmm_mem_zero(const struct vmm_mem *mem, vmm_gpa gpa, size_t len);

/*
 * Translates a range within one region to an iovec. -EINVAL for len 0, -EFAULT outside RAM.
 */
int vmm_mem_iov(const struct vmm_mem *mem, vmm_gpa gpa, size_t len, struct iovec *out);

/*
 * Host pointer to exactly len bytes at gpa, aligned to align (a power of two) in the guest;
 * NULL otherwise. For ring structures, which are then read with atomics only.
 */
void *vmm_mem_ptr(const struct vmm_mem *mem, vmm_gpa gpa, size_t len, size_t align);

#ifdef __cplusplus
}
#endif

#endif
