/* SPDX-License-Identifier: MIT */
/*
 * A screen as a file that others read while it is written. The header counts changes, odd while one
 * is under way: a reader that finds the same even number before and after has read one picture.
 * The file is mapped once, as long as it may ever be, since whoever writes it may soon be unable to
 * map anything.
 */
#include <vmm/dev/display.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIXEL 4u
/* For a reader: tries, and how long to wait in between. */
#define TRIES   50
#define WAIT_NS 1000000L

struct file {
	struct vmm_display base;
	struct vmm_display_file_header *header;
	uint8_t *rows;
};

static struct file *from_base(struct vmm_display *d)
{
	return (struct file *)d;
}

/* The pair to read_once: what is written in between is seen as a whole or not at all. */
static void begin_change(struct file *f)
{
	__atomic_store_n(&f->header->sequence, f->header->sequence | 1u, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void end_change(struct file *f)
{
	__atomic_store_n(&f->header->sequence, (f->header->sequence | 1u) + 1, __ATOMIC_RELEASE);
}

static void file_set(struct vmm_display *d, unsigned scanout)
{
	const struct vmm_display_picture *picture = &d->pictures[scanout];
	struct file *f = from_base(d);

	if (scanout != 0) {
		return;
	}
	begin_change(f);
	f->header->width = picture->width;
	f->header->height = picture->height;
	f->header->stride = picture->width * PIXEL;
	f->header->format = picture->format;
	memset(f->rows, 0, (size_t)picture->width * picture->height * PIXEL);
	end_change(f);
}

static bool file_present(struct vmm_display *d, unsigned scanout,
			 const struct vmm_display_rect *rects, unsigned count)
{
	struct file *f = from_base(d);
	size_t stride = (size_t)d->pictures[0].width * PIXEL;

	if (scanout != 0) {
		return true;
	}
	begin_change(f);
	for (unsigned i = 0; i < count; i++) {
		uint8_t *dst = f->rows + rects[i].y * stride + (size_t)rects[i].x * PIXEL;

		vmm_display_fetch(d, scanout, &rects[i], dst, stride);
	}
	end_change(f);
	return true;
}

static void file_destroy(struct vmm_display *d)
{
	struct file *f = from_base(d);

	(void)munmap(f->header, VMM_DISPLAY_FILE_SIZE);
	free(f);
}

static const struct vmm_display_ops file_ops = {
	.set = file_set,
	.present = file_present,
	.destroy = file_destroy,
};

static void *map_file(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		return MAP_FAILED;
	}
	if ((uint64_t)st.st_size != VMM_DISPLAY_FILE_SIZE &&
	    ftruncate(fd, VMM_DISPLAY_FILE_SIZE) != 0) {
		return MAP_FAILED;
	}
	return mmap(NULL, VMM_DISPLAY_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

int vmm_display_file(struct vmm_display **out, int fd, struct vmm_error *err)
{
	struct file *f = calloc(1, sizeof(*f));
	void *map;

	*out = NULL;
	if (!f) {
		return vmm_error_set(err, -ENOMEM, "display: out of memory");
	}
	map = map_file(fd);
	if (map == MAP_FAILED) {
		int ret = -errno;

		free(f);
		return vmm_error_set(err, ret, "display: descriptor %d: %s", fd, strerror(-ret));
	}
	f->base.ops = &file_ops;
	f->header = map;
	f->rows = (uint8_t *)map + VMM_DISPLAY_FILE_DATA;
	/* Whatever stood there: the screen is off. */
	begin_change(f);
	f->header->magic = VMM_DISPLAY_FILE_MAGIC;
	f->header->width = 0;
	end_change(f);
	*out = &f->base;
	return 0;
}

/* ---- reading ---- */

/* All or nothing: a file that ends early is none of ours. */
static int read_all(int fd, void *buf, size_t len, off_t at)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t got = pread(fd, p, len, at);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return got < 0 ? -errno : -EINVAL;
		}
		p += got;
		at += got;
		len -= (size_t)got;
	}
	return 0;
}

static int check_header(const struct vmm_display_file_header *h)
{
	const struct vmm_display_picture picture = {
		.width = h->width, .height = h->height, .format = h->format};

	if (h->magic != VMM_DISPLAY_FILE_MAGIC) {
		return -EINVAL;
	}
	if ((h->sequence & 1u) != 0) {
		return -EAGAIN;
	}
	if (h->width == 0) {
		return -ENODATA;
	}
	return vmm_display_picture_valid(&picture) && h->stride == h->width * PIXEL ? 0 : -EINVAL;
}

/* The pair to begin_change and end_change. */
static int read_once(int fd, struct vmm_display_image *image)
{
	struct vmm_display_file_header h;
	struct vmm_display_file_header after;
	size_t len;
	int ret = read_all(fd, &h, sizeof(h), 0);

	if (ret == 0) {
		ret = check_header(&h);
	}
	if (ret < 0) {
		return ret;
	}
	len = (size_t)h.stride * h.height;
	image->pixels = malloc(len);
	if (!image->pixels) {
		return -ENOMEM;
	}
	image->width = h.width;
	image->height = h.height;
	image->format = h.format;
	ret = read_all(fd, image->pixels, len, VMM_DISPLAY_FILE_DATA);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ret == 0) {
		ret = read_all(fd, &after, sizeof(after), 0);
	}
	if (ret == 0 && after.sequence != h.sequence) {
		ret = -EAGAIN;
	}
	if (ret < 0) {
		free(image->pixels);
		image->pixels = NULL;
	}
	return ret;
}

int vmm_display_file_read(int fd, struct vmm_display_image *out, struct vmm_error *err)
{
	const struct timespec wait = {.tv_nsec = WAIT_NS};
	int ret = -EAGAIN;

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < TRIES && ret == -EAGAIN; i++) {
		if (i > 0) {
			(void)nanosleep(&wait, NULL);
		}
		ret = read_once(fd, out);
	}
	switch (ret) {
	case 0:
		return 0;
	case -ENODATA:
		return vmm_error_set(err, ret, "the screen is off");
	case -EAGAIN:
		return vmm_error_set(err, ret, "the picture changes all the time");
	default:
		return vmm_error_set(err, ret, "no picture: %s", strerror(-ret));
	}
}
