/* SPDX-License-Identifier: MIT */
#include "shadow_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

/* Rows with no more than this between them are read at once: a system call costs as much. */
#define GAP_MAX 4096u

struct shadow_pool {
	struct shadow *shadow;
	struct shadow_file *file;
	struct shadow_blob *blob;
	int32_t size;
};

static void file_put(struct shadow_file *file)
{
	if (--file->refs == 0) {
		(void)close(file->fd);
		free(file);
	}
}

/*
 * Sizes come in four steps for each power of two, at least a page: a window that is being resized
 * uses memory again that it has, and asks the host for few different sizes. Untouched pages cost
 * nothing.
 */
static uint64_t round_size(uint64_t size)
{
	uint64_t step = PAGE;

	while (step * 8 < size) {
		step *= 2;
	}
	return (size + step - 1) / step * step;
}

static struct shadow_blob *blob_create(struct shadow *shadow, uint64_t size)
{
	struct shadow_blob *blob = calloc(1, sizeof(*blob));
	int ret;

	if (!blob) {
		errno = ENOMEM;
		return NULL;
	}
	ret = host_blob_create(shadow->host, round_size(size), &blob->blob);
	if (ret < 0) {
		free(blob);
		errno = -ret;
		return NULL;
	}
	blob->refs = 1;
	return blob;
}

static void blob_put(struct shadow *shadow, struct shadow_blob *blob)
{
	if (--blob->refs == 0) {
		host_blob_destroy(shadow->host, &blob->blob);
		free(blob);
	}
}

void shadow_finish(struct shadow *shadow)
{
	if (shadow->placeholder) {
		blob_put(shadow, shadow->placeholder);
		shadow->placeholder = NULL;
	}
}

/* Only a file can be read at an offset, and cannot make the reader wait. */
static struct shadow_file *file_create(int fd)
{
	struct shadow_file *file = NULL;
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		errno = EBADF;
	} else {
		file = calloc(1, sizeof(*file));
	}
	if (!file) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
		return NULL;
	}
	file->refs = 1;
	file->fd = fd;
	return file;
}

struct shadow_pool *shadow_pool_create(struct shadow *shadow, int fd, int32_t size)
{
	struct shadow_file *file = file_create(fd);
	struct shadow_pool *pool;

	if (!file) {
		return NULL;
	}
	if (!shadow->placeholder) {
		shadow->placeholder = blob_create(shadow, PAGE);
	}
	pool = shadow->placeholder ? calloc(1, sizeof(*pool)) : NULL;
	if (!pool) {
		int saved = errno;

		file_put(file);
		errno = saved;
		return NULL;
	}
	pool->shadow = shadow;
	pool->file = file;
	pool->blob = shadow->placeholder;
	pool->blob->refs++;
	pool->size = size;
	return pool;
}

void shadow_pool_destroy(struct shadow_pool *pool)
{
	file_put(pool->file);
	blob_put(pool->shadow, pool->blob);
	free(pool);
}

void shadow_pool_resize(struct shadow_pool *pool, int32_t size)
{
	pool->size = size;
}

const struct host_blob *shadow_pool_blob(const struct shadow_pool *pool)
{
	return &pool->blob->blob;
}

/* Bytes of a pixel, 0 where a row is more than a row of pixels, or for a format not known. */
static uint32_t pixel_size(uint32_t format)
{
	/* By fourcc, as in wl_shm.format; 0 and 1 are the two that have no fourcc there. */
	static const struct {
		char size;
		char names[61];
	} formats[] = {
		{1, "R8  C8  RGB8BGR8"},
		{2, "RG16BG16R16 GR88RG88XR12AR12XB12AB12XR15AR15XB15AB15"},
		{3, "RG24BG24"},
		{4, "XB24AB24RX24RA24BX24BA24XR30AR30XB30AB30RX30RA30BX30BA30"},
		{8, "XR4HAR4HXB4HAB4HXR48AR48XB48AB48"},
	};

	if (format <= 1) {
		return 4;
	}
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		for (const char *name = formats[i].names; *name; name += 4) {
			if (memcmp(name, &format, 4) == 0) {
				return (uint32_t)formats[i].size;
			}
		}
	}
	return 0;
}

/* What libwayland asks of it, and that rows hold their pixels. */
static bool shape_is_good(const struct shadow_shape *shape, int32_t pool_size)
{
	int64_t pixel = pixel_size(shape->format);

	if (shape->offset < 0 || shape->width <= 0 || shape->height <= 0 ||
	    shape->stride < shape->width || shape->stride < pixel * shape->width) {
		return false;
	}
	return (int64_t)shape->stride * shape->height <= (int64_t)pool_size - shape->offset;
}

/* Whether the pool's blob holds no buffer, and the compositor reads none there any more. */
static bool blob_is_free(const struct shadow_pool *pool, uint64_t len)
{
	return pool->blob != pool->shadow->placeholder && pool->blob->refs == 1 &&
	       !pool->blob->tainted && pool->blob->blob.size >= len;
}

static bool place(struct shadow_pool *pool, uint64_t len, bool *moved)
{
	struct shadow_blob *blob;

	*moved = !blob_is_free(pool, len);
	if (*moved) {
		blob = blob_create(pool->shadow, len);
		if (!blob) {
			return false;
		}
		blob_put(pool->shadow, pool->blob);
		pool->blob = blob;
	}
	return true;
}

struct shadow_buffer *shadow_buffer_create(struct shadow_pool *pool,
					   const struct shadow_shape *shape, bool *moved)
{
	struct shadow_buffer *buffer;

	*moved = false;
	if (!shape_is_good(shape, pool->size)) {
		errno = EINVAL;
		return NULL;
	}
	buffer = calloc(1, sizeof(*buffer));
	if (!buffer) {
		return NULL;
	}
	buffer->shadow = pool->shadow;
	buffer->offset = (uint64_t)shape->offset;
	buffer->width = shape->width;
	buffer->height = shape->height;
	buffer->stride = shape->stride;
	buffer->pixel = pixel_size(shape->format);
	/* Other planes may lie behind the first. */
	buffer->len = buffer->pixel ? (uint64_t)shape->stride * (uint64_t)shape->height
				    : (uint64_t)pool->size - buffer->offset;
	if (!place(pool, buffer->len, moved)) {
		free(buffer);
		return NULL;
	}
	buffer->file = pool->file;
	buffer->file->refs++;
	buffer->blob = pool->blob;
	buffer->blob->refs++;
	shadow_buffer_spoil(buffer);
	return buffer;
}

void shadow_buffer_destroy(struct shadow_buffer *buffer)
{
	shadow_surfaces_forget(buffer);
	if (buffer->busy) {
		buffer->blob->tainted = true;
	}
	file_put(buffer->file);
	blob_put(buffer->shadow, buffer->blob);
	free(buffer);
}

void shadow_buffer_release(struct shadow_buffer *buffer)
{
	buffer->busy = false;
}

void shadow_buffer_spoil(struct shadow_buffer *buffer)
{
	const struct vmm_display_rect all = shadow_buffer_bounds(buffer);

	vmm_region_add(&buffer->stale, &all);
}

struct vmm_display_rect shadow_buffer_bounds(const struct shadow_buffer *buffer)
{
	return (struct vmm_display_rect){
		.width = (uint32_t)buffer->width,
		.height = (uint32_t)buffer->height,
	};
}

/* Of what the pool does not have any more, the shadow has zeroes. */
static void copy_bytes(struct shadow_buffer *buffer, uint64_t at, uint64_t len)
{
	uint8_t *to = buffer->blob->blob.map + at;

	buffer->shadow->copied += len;
	while (len > 0) {
		ssize_t got = pread(buffer->file->fd, to, len, (off_t)(buffer->offset + at));

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			memset(to, 0, len);
			return;
		}
		to += got;
		at += (uint64_t)got;
		len -= (uint64_t)got;
	}
}

static void copy_rect(struct shadow_buffer *buffer, const struct vmm_display_rect *rect)
{
	uint64_t stride = (uint64_t)buffer->stride;
	uint64_t row = (uint64_t)rect->width * buffer->pixel;
	uint64_t at = rect->y * stride + (uint64_t)rect->x * buffer->pixel;
	uint64_t rows = rect->height;

	if (stride - row <= GAP_MAX) {
		copy_bytes(buffer, at, (rows - 1) * stride + row);
		return;
	}
	for (; rows > 0; rows--) {
		copy_bytes(buffer, at, row);
		at += stride;
	}
}

void shadow_buffer_copy(struct shadow_buffer *buffer, const struct region *region)
{
	if (!buffer->pixel && region->count > 0) {
		copy_bytes(buffer, 0, buffer->len);
		return;
	}
	for (unsigned i = 0; i < region->count; i++) {
		copy_rect(buffer, &region->rects[i]);
	}
}
