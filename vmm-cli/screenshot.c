/* SPDX-License-Identifier: MIT */
/* vmm-cli screenshot: what a VM's screen shows, as an image. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/client.h"
#include "cli.h"
#include "png.h"

#define BYTES_MAX (INT64_C(1) << 30)

static const char help[] =
	"usage: vmm-cli screenshot [--vms DIR] [--run-dir DIR] NAME FILE\n"
	"\n"
	"Writes what the screen of the VM called NAME shows into FILE: as PNG, or as PPM\n"
	"if its name ends in .ppm. The VM's display has to be of kind 'file'.\n"
	"\n"
	"  --vms DIR, --run-dir DIR  as for vmm-cli start\n";

/* A PPM image in memory. */
struct image {
	uint8_t *bytes; /* mapped */
	size_t len;
	uint32_t width;
	uint32_t height;
	const uint8_t *rgb;
};

/* The VMM writes into a file that nobody else has. */
static int ask(const struct instance_roots *roots, const char *name, int fd, struct vmm_error *err)
{
	char socket[PATH_MAX];
	int ret = cli_api_socket(roots, name, socket, err);

	return ret < 0 ? ret : api_call(socket, "PUT", "vm.screenshot", NULL, &fd, 1, NULL, err);
}

/* One number of the header and the white space behind it. */
static uint32_t number(const struct image *image, size_t *at)
{
	uint32_t value = 0;

	while (*at < image->len && isdigit(image->bytes[*at]) && value < 100000) {
		value = value * 10 + (uint32_t)(image->bytes[(*at)++] - '0');
	}
	(*at)++;
	return value;
}

/* "P6 WIDTH HEIGHT 255 " and the pixels, as our own VMM writes it. */
static int parse(struct image *image)
{
	size_t at = 3;
	uint32_t depth;

	if (image->len < 3 || memcmp(image->bytes, "P6", 2) != 0) {
		return -EPROTO;
	}
	image->width = number(image, &at);
	image->height = number(image, &at);
	depth = number(image, &at);
	if (depth != 255 || at > image->len ||
	    image->len - at != (uint64_t)image->width * image->height * 3) {
		return -EPROTO;
	}
	image->rgb = image->bytes + at;
	return 0;
}

static int load(struct image *image, int fd, struct vmm_error *err)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > BYTES_MAX) {
		return vmm_error_set(err, -EPROTO, "the VMM's image makes no sense");
	}
	image->len = (size_t)st.st_size;
	image->bytes = mmap(NULL, image->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image->bytes == MAP_FAILED) {
		return vmm_error_wrap(err, -errno, "image");
	}
	ret = parse(image);
	if (ret < 0) {
		(void)munmap(image->bytes, image->len);
		return vmm_error_set(err, ret, "the VMM's image makes no sense");
	}
	return 0;
}

static bool is_ppm(const char *path)
{
	size_t len = strlen(path);

	return len > 4 && strcmp(path + len - 4, ".ppm") == 0;
}

static int save(const struct image *image, const char *path, struct vmm_error *err)
{
	FILE *out = fopen(path, "we");
	int ret;

	if (!out) {
		return vmm_error_wrap(err, -errno, "'%s'", path);
	}
	if (is_ppm(path)) {
		ret = fwrite(image->bytes, 1, image->len, out) == image->len ? 0 : -EIO;
	} else {
		ret = png_write(out, image->rgb, image->width, image->height);
	}
	if (fclose(out) != 0 && ret == 0) {
		ret = -errno;
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "'%s'", path) : 0;
}

static int take(const struct instance_roots *roots, const char *name, const char *path,
		struct vmm_error *err)
{
	struct image image = {0};
	int fd = memfd_create("screenshot", MFD_CLOEXEC);
	int ret = fd < 0 ? vmm_error_wrap(err, -errno, "image") : ask(roots, name, fd, err);

	if (ret == 0) {
		ret = load(&image, fd, err);
	}
	if (fd >= 0) {
		(void)close(fd);
	}
	if (ret == 0) {
		ret = save(&image, path, err);
		(void)munmap(image.bytes, image.len);
	}
	return ret;
}

int cmd_screenshot(int argc, char **argv)
{
	struct instance_roots roots;
	struct vmm_error err = {0};
	int status = cli_options_with_roots(argc, argv, help, NULL, &roots);

	if (status != CLI_GO_ON) {
		return status;
	}
	if (argc - optind != 2) {
		return cli_usage("screenshot", "the name of a VM and a file");
	}
	return take(&roots, argv[optind], argv[optind + 1], &err) < 0 ? cli_fail("screenshot", &err)
								      : EXIT_OK;
}
