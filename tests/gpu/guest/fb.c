/* SPDX-License-Identifier: MIT */
/* The framebuffer device: a known pattern, a change to a part of it, and the same as a picture, for
 * comparison. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pattern.h"
#include "probe.h"

uint32_t pattern_colour(uint32_t x, uint32_t y, bool changed)
{
	uint32_t red = (x * 3 + y * 5) & 0xff, green = (x ^ (y * 7)) & 0xff,
		 blue = ((x >> 3) + y * 11) & 0xff;
	uint32_t value = red << 16 | green << 8 | blue;

	return changed ? value ^ 0xffffff : value;
}

static bool inside(const struct rect *rect, uint32_t x, uint32_t y)
{
	return rect != NULL && x >= rect->x && x - rect->x < rect->width && y >= rect->y &&
	       y - rect->y < rect->height;
}

struct rect pattern_rect(char **argv)
{
	return (struct rect){number(argv[0]), number(argv[1]), number(argv[2]), number(argv[3])};
}

/* pattern WIDTH HEIGHT [X Y W H]: the picture as PPM, with the part inverted. For the host, too. */
int run_pattern(int argc, char **argv)
{
	struct rect part = {0};
	uint32_t width, height;

	if (argc != 3 && argc != 7) {
		fail("pattern WIDTH HEIGHT [X Y W H]");
	}
	width = number(argv[1]);
	height = number(argv[2]);
	if (argc == 7) {
		part = pattern_rect(argv + 3);
	}
	printf("P6\n%u %u\n255\n", width, height);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++) {
			uint32_t value = pattern_colour(x, y, inside(&part, x, y));

			putchar((int)(value >> 16 & 0xff));
			putchar((int)(value >> 8 & 0xff));
			putchar((int)(value & 0xff));
		}
	}
	return 0;
}

/* The text console must not draw (a cursor that blinks) where the test does. Graphics mode
 * (KDSETMODE) would blank the screen first. */
static void quiet_console(void)
{
	int fd = open("/sys/class/vtconsole/vtcon1/bind", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "0", 1) != 1) {
			fail("the text console cannot be silenced: %s", strerror(errno));
		}
		close(fd);
	}
}

/* Whole lines in one piece: of a write that is one whole line, Linux 6.12 computes an empty part to
 * redraw. */
static void write_part(int fd, const struct fb_var_screeninfo *variable, uint32_t pitch,
		       const struct rect *part, bool changed)
{
	bool whole = part->x == 0 && part->width == variable->xres;
	uint32_t together = whole ? part->height : 1;
	size_t size = whole ? (size_t)pitch * together : part->width * 4UL;
	uint8_t *rows = calloc(1, size);

	if (rows == NULL) {
		fail("no memory for %u rows", together);
	}
	for (uint32_t y = part->y; y < part->y + part->height; y += together) {
		for (uint32_t i = 0; i < together; i++) {
			uint32_t *row = (uint32_t *)(void *)(rows + (size_t)i * pitch);

			for (uint32_t x = 0; x < part->width; x++) {
				row[x] = pattern_colour(part->x + x, y + i, changed);
			}
		}
		if (pwrite(fd, rows, size, (off_t)y * pitch + (off_t)part->x * 4) !=
		    (ssize_t)size) {
			fail("row %u: %s", y, strerror(errno));
		}
	}
	free(rows);
}

/* fb: says the size. fb fill: the pattern on all of it. fb change X Y W H: that part inverted. */
int run_fb(int argc, char **argv)
{
	int fd = open("/dev/fb0", O_RDWR | O_CLOEXEC);
	struct fb_var_screeninfo variable;
	struct fb_fix_screeninfo fixed;
	struct rect part;

	if (fd < 0 || ioctl(fd, FBIOGET_VSCREENINFO, &variable) != 0 ||
	    ioctl(fd, FBIOGET_FSCREENINFO, &fixed) != 0) {
		fail("/dev/fb0: %s", strerror(errno));
	}
	if (variable.bits_per_pixel != 32 || variable.red.offset != 16 ||
	    variable.blue.offset != 0) {
		fail("%u bits for each pixel, red at %u", variable.bits_per_pixel,
		     variable.red.offset);
	}
	part = (struct rect){0, 0, variable.xres, variable.yres};
	if (argc > 1) {
		quiet_console();
		if (argc == 6 && strcmp(argv[1], "change") == 0) {
			part = pattern_rect(argv + 2);
			if (part.x > variable.xres || part.width > variable.xres - part.x ||
			    part.y > variable.yres || part.height > variable.yres - part.y) {
				fail("that part is not on a screen of %ux%u", variable.xres,
				     variable.yres);
			}
			write_part(fd, &variable, fixed.line_length, &part, true);
		} else if (argc == 2 && strcmp(argv[1], "fill") == 0) {
			/* Where no text has been shown yet, the screen is still off. */
			variable.activate = FB_ACTIVATE_NOW | FB_ACTIVATE_FORCE;
			if (ioctl(fd, FBIOPUT_VSCREENINFO, &variable) != 0) {
				fail("the screen cannot be switched on: %s", strerror(errno));
			}
			write_part(fd, &variable, fixed.line_length, &part, false);
		} else {
			fail("fb [fill | change X Y W H]");
		}
	}
	close(fd);
	printf("fb %ux%u\n", variable.xres, variable.yres);
	return 0;
}
