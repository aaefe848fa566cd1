/* SPDX-License-Identifier: MIT */
/*
 * Loading: the header of an Image becomes a plan in which every number has been checked, then the
 * plan is carried out. The file is as trustworthy as the guest it belongs to.
 */
#include "machine/aarch64/arm.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "machine/aarch64/layout.h"

#define PAGE UINT64_C(65536) /* the largest there is */

/* Linux 3.17 was the first to say how large it is; before, this was where it wanted to be. */
#define OLD_TEXT_OFFSET UINT64_C(0x80000)

#define FLAG_BIG_ENDIAN    UINT64_C(1)
#define FLAG_PAGE_SIZE(v)  ((unsigned)((v) >> 1) & 3u)
#define IMAGE_UNPACKED_MAX MIB(512)

struct header {
	uint32_t code[2];
	uint64_t text_offset;
	uint64_t image_size;
	uint64_t flags;
	uint64_t reserved[3];
	uint8_t magic[4];
	uint32_t pe_offset;
};

static bool has_magic(const struct header *h)
{
	return memcmp(h->magic, "ARM\x64", sizeof(h->magic)) == 0;
}

static int check_header(const struct header *h, uint64_t file_size, struct arm_plan *plan,
			struct vmm_error *err)
{
	uint64_t text_offset = le64toh(h->text_offset);
	uint64_t image_size = le64toh(h->image_size);
	uint64_t flags = le64toh(h->flags);

	if (!has_magic(h)) {
		return vmm_error_set(err, -ENOEXEC,
				     "it is no arm64 Image: no ARM\\x64 at byte 56%s",
				     plan->gzip ? " of what it unpacks to" : "");
	}
	if (flags & FLAG_BIG_ENDIAN) {
		return vmm_error_set(err, -ENOEXEC, "its kernel is big-endian");
	}
	if (image_size == 0 && plan->gzip) {
		return vmm_error_set(err, -ENOEXEC,
				     "it is compressed and does not say how large it is");
	}
	if (image_size == 0) {
		text_offset = OLD_TEXT_OFFSET;
		image_size = file_size;
	}
	if (text_offset >= MIB(2) || image_size > IMAGE_UNPACKED_MAX) {
		return vmm_error_set(err, -ENOEXEC,
				     "its header asks for %llu MiB at %llu KiB behind 2 MiB of its "
				     "own: that is no kernel",
				     (unsigned long long)(image_size >> 20),
				     (unsigned long long)(text_offset >> 10));
	}
	plan->page_size = FLAG_PAGE_SIZE(flags);
	plan->gpa = RAM_GPA + text_offset;
	plan->size = image_size > file_size ? image_size : file_size;
	return 0;
}

/* The first bytes, unpacked if need be. *len: how many there are of those that were wanted. */
static int read_start(const struct vmm_image *image, struct arm_gunzip *gunzip,
		      struct header *start, struct arm_plan *plan)
{
	static const uint8_t gzip_magic[] = {0x1f, 0x8b};
	size_t len = sizeof(*start);
	int ret;

	if (image->size < sizeof(*start)) {
		return -ENOEXEC;
	}
	ret = image->read(image->ctx, 0, start, sizeof(*start));
	if (ret < 0) {
		return ret;
	}
	/* An Image begins with an instruction, which may be any. */
	plan->gzip = !has_magic(start) && memcmp(start, gzip_magic, sizeof(gzip_magic)) == 0;
	if (plan->gzip) {
		ret = vmm_arm_gunzip(gunzip, image, start, sizeof(*start), false, &len);
	}
	return ret == 0 && len < sizeof(*start) ? -ENOEXEC : ret;
}

int vmm_arm_plan(const struct vmm_image *image, struct arm_gunzip *gunzip, struct arm_plan *plan,
		 struct vmm_error *err)
{
	struct header start;
	int ret;

	memset(plan, 0, sizeof(*plan));
	ret = read_start(image, gunzip, &start, plan);
	switch (ret) {
	case 0:
		break;
	case -ENOEXEC:
		return vmm_error_set(err, ret, "it is empty or cut off after %llu bytes",
				     (unsigned long long)image->size);
	case -EBADMSG:
		return vmm_error_set(err, -ENOEXEC, "it is damaged: gzip cannot unpack it");
	default:
		return vmm_error_wrap(err, ret, "cannot be read");
	}
	return check_header(&start, plan->gzip ? 0 : image->size, plan, err);
}

static int unpack(const struct vmm_image *image, struct arm_gunzip *gunzip, const struct iovec *iov,
		  struct vmm_error *err)
{
	size_t len;
	int ret = vmm_arm_gunzip(gunzip, image, iov->iov_base, iov->iov_len, true, &len);

	switch (ret) {
	case -EBADMSG:
		return vmm_error_set(err, -ENOEXEC, "it is damaged: gzip cannot unpack it");
	case -ENOSPC:
		return vmm_error_set(err, -ENOEXEC, "it unpacks to more than its header says");
	default:
		return ret < 0 ? vmm_error_wrap(err, ret, "cannot be loaded") : 0;
	}
}

/* The memory in which it would fit: a multiple of 2 MiB, as memories are. */
static uint64_t enough(const struct arm_plan *plan)
{
	uint64_t end = plan->gpa - RAM_GPA + plan->size;

	return ((end + MIB(2) - 1) & ~(MIB(2) - 1)) + FDT_ROOM;
}

int vmm_arm_load(const struct vmm_image *image, struct arm_gunzip *gunzip,
		 const struct arm_plan *plan, struct vmm_mem *mem, const struct arm_layout *layout,
		 struct vmm_error *err)
{
	uint64_t top = vmm_arm_fdt_gpa(layout);
	struct iovec iov;
	int ret;

	if (plan->gpa > top || plan->size > top - plan->gpa) {
		return vmm_error_set(err, -EINVAL,
				     "it needs %llu MiB of memory, and the machine has %llu MiB",
				     (unsigned long long)(enough(plan) >> 20),
				     (unsigned long long)(layout->ram >> 20));
	}
	vmm_mem_expect(mem, plan->gpa, plan->size);
	ret = vmm_mem_iov(mem, plan->gpa, plan->gzip ? plan->size : image->size, &iov);
	if (ret == 0 && plan->gzip) {
		return unpack(image, gunzip, &iov, err);
	}
	if (ret == 0) {
		ret = image->read(image->ctx, 0, iov.iov_base, iov.iov_len);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "cannot be loaded") : 0;
}

int vmm_arm_load_initrd(const struct vmm_image *image, const struct arm_plan *plan,
			struct vmm_mem *mem, const struct arm_layout *layout, uint64_t *gpa,
			struct vmm_error *err)
{
	const struct vmm_initrd_room room = {
		.bottom = plan->gpa + plan->size,
		.top = vmm_arm_fdt_gpa(layout),
		.align = PAGE,
		.ram = layout->ram,
	};

	return vmm_image_load_initrd(image, &room, mem, gpa, err);
}
