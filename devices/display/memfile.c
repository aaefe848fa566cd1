/* SPDX-License-Identifier: MIT */
#include "display/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int vmm_memfile_make(struct memfile *f, size_t size)
{
	void *map;
	int ret;

	*f = (struct memfile){.fd = memfd_create("vmm-display", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
	if (f->fd < 0) {
		return -errno;
	}
	if (ftruncate(f->fd, (off_t)size) == 0 &&
	    fcntl(f->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
		if (map != MAP_FAILED) {
			f->map = map;
			f->size = size;
			return 0;
		}
	}
	ret = -errno;
	vmm_memfile_close(f);
	return ret;
}

void vmm_memfile_close(struct memfile *f)
{
	if (f->fd >= 0) {
		(void)close(f->fd);
		f->fd = -1;
	}
}

void vmm_memfile_free(struct memfile *f)
{
	vmm_memfile_close(f);
	if (f->map) {
		(void)munmap(f->map, f->size);
		f->map = NULL;
	}
}
