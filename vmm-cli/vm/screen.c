/* SPDX-License-Identifier: MIT */
#include "vm/screen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmm/dev/display.h>

#define HEADER_MAX 32
#define RGB        3

int vm_screen_create(struct vmm_error *err)
{
	int fd = memfd_create("screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0) {
		return vmm_error_wrap(err, -errno, "screen");
	}
	/* Whoever maps it, here or in the device's process, must not be hit by its end. */
	if (ftruncate(fd, VMM_DISPLAY_FILE_SIZE) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
		int ret = vmm_error_wrap(err, -errno, "screen");

		(void)close(fd);
		return ret;
	}
	return fd;
}

/* Where red, green and blue are among a pixel's four bytes. */
static const uint8_t *places(uint32_t format)
{
	static const uint8_t bgrx[RGB] = {2, 1, 0};
	static const uint8_t xrgb[RGB] = {1, 2, 3};
	static const uint8_t rgbx[RGB] = {0, 1, 2};
	static const uint8_t xbgr[RGB] = {3, 2, 1};

	switch (format) {
	case VMM_DISPLAY_A8R8G8B8:
	case VMM_DISPLAY_X8R8G8B8:
		return xrgb;
	case VMM_DISPLAY_R8G8B8A8:
	case VMM_DISPLAY_R8G8B8X8:
		return rgbx;
	case VMM_DISPLAY_X8B8G8R8:
	case VMM_DISPLAY_A8B8G8R8:
		return xbgr;
	default:
		return bgrx;
	}
}

/* In place: three bytes for each four. */
static void to_rgb(struct vmm_display_image *image)
{
	const uint8_t *place = places(image->format);
	size_t pixels = (size_t)image->width * image->height;

	for (size_t i = 0; i < pixels; i++) {
		const uint8_t *from = image->pixels + i * 4;
		const uint8_t rgb[RGB] = {from[place[0]], from[place[1]], from[place[2]]};

		for (size_t c = 0; c < RGB; c++) {
			image->pixels[i * RGB + c] = rgb[c];
		}
	}
}

static int write_all(int fd, const void *bytes, size_t len, off_t at)
{
	const char *from = bytes;

	while (len > 0) {
		ssize_t put = pwrite(fd, from, len, at);

		if (put < 0 && errno != EINTR) {
			return -errno;
		}
		if (put > 0) {
			from += put;
			at += put;
			len -= (size_t)put;
		}
	}
	return 0;
}

static int write_ppm(const struct vmm_display_image *image, int out)
{
	char header[HEADER_MAX];
	int len = snprintf(header, sizeof(header), "P6\n%u %u\n255\n", (unsigned)image->width,
			   (unsigned)image->height);
	int ret = write_all(out, header, (size_t)len, 0);

	return ret < 0 ? ret
		       : write_all(out, image->pixels, (size_t)image->width * image->height * RGB,
				   len);
}

int vm_screen_write(int screen, int out, struct vmm_error *err)
{
	struct vmm_display_image image;
	struct stat st;
	int ret;

	/* Anything else could keep this process waiting. */
	if (fstat(out, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != 0) {
		return vmm_error_set(err, -EINVAL, "the descriptor is not that of an empty file");
	}
	ret = vmm_display_file_read(screen, &image, err);
	if (ret < 0) {
		return ret == -ENODATA ? -EAGAIN : ret;
	}
	to_rgb(&image);
	ret = write_ppm(&image, out);
	free(image.pixels);
	return ret < 0 ? vmm_error_wrap(err, ret, "image") : 0;
}
