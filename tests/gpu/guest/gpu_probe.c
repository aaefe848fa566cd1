/* SPDX-License-Identifier: MIT */
/*
 * gpu_probe COMMAND ARGUMENT...: uses the graphics device of a guest without any library, as the
 * tests tell it to. What it finds goes to stdout, what fails to stderr, with status 1.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"
#include "virtgpu.h"

void fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("gpu_probe: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

uint32_t number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (end == text || *end != '\0' || value > UINT32_MAX) {
		fail("'%s' is not a number", text);
	}
	return (uint32_t)value;
}

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* params: what the driver says that the device can do. */
static int run_params(int argc, char **argv)
{
	static const struct {
		uint64_t param;
		const char *name;
	} params[] = {
		{PARAM_3D_FEATURES, "3d"},
		{PARAM_CAPSET_FIX, "capset-fix"},
		{PARAM_BLOB, "blob"},
		{PARAM_HOST_VISIBLE, "host-visible"},
		{PARAM_CROSS_DEVICE, "cross-device"},
		{PARAM_CONTEXT_INIT, "context-init"},
		{PARAM_CAPSETS, "capsets"},
	};
	int fd = device_open();

	(void)argc, (void)argv;
	for (size_t i = 0; i < sizeof(params) / sizeof(*params); i++) {
		printf("param %s %d\n", params[i].name, device_param(fd, params[i].param));
	}
	close(fd);
	return 0;
}

/* caps: what the cross-domain capability set says. */
static int run_caps(int argc, char **argv)
{
	uint32_t caps[16];
	struct virtgpu_get_caps get = {
		.cap_set_id = CAPSET_CROSS_DOMAIN,
		.addr = (uintptr_t)caps,
		.size = 16,
	};
	int fd = device_open();

	(void)argc, (void)argv;
	memset(caps, 0xee, sizeof(caps));
	if (ioctl(fd, VIRTGPU_GET_CAPS, &get) != 0) {
		fail("no capability set %u: %s", CAPSET_CROSS_DOMAIN, strerror(errno));
	}
	printf("caps version %u channels %#x dmabuf %u external %u\n", caps[0], caps[1], caps[2],
	       caps[3]);
	close(fd);
	return 0;
}

static void fill(struct blob *blob, uint32_t seed)
{
	uint32_t *words = (uint32_t *)(void *)blob->map;

	for (size_t i = 0; i < blob->size / 4; i++) {
		words[i] = seed + (uint32_t)i * 2654435761U;
	}
}

static void verify(const struct blob *blob, uint32_t seed)
{
	const uint32_t *words = (const uint32_t *)(const void *)blob->map;

	for (size_t i = 0; i < blob->size / 4; i++) {
		if (words[i] != seed + (uint32_t)i * 2654435761U) {
			fail("word %zu of an object is %#x", i, words[i]);
		}
	}
}

static void all_zero(const struct blob *blob)
{
	for (size_t i = 0; i < blob->size; i++) {
		if (blob->map[i] != 0) {
			fail("a new object is not empty: byte %zu is %#x", i, blob->map[i]);
		}
	}
}

/* blobs COUNT [WIDTH HEIGHT]: memory of the host, made, written, unmapped, read back and closed, so
 * many times. */
static int run_blobs(int argc, char **argv)
{
	uint32_t count = argc > 1 ? number(argv[1]) : 1000, stride;
	uint32_t width = argc > 3 ? number(argv[2]) : 100, height = argc > 3 ? number(argv[3]) : 50;
	struct context context;
	struct blob blob;

	channel_open(&context);
	for (uint32_t i = 0; i < count; i++) {
		host_blob(&context, width, height, &blob, &stride);
		all_zero(&blob);
		fill(&blob, i);
		blob_unmap(&blob);
		if (!blob_map(context.fd, &blob)) {
			fail("object %u cannot be mapped again: %s", i, strerror(errno));
		}
		verify(&blob, i);
		blob_close(context.fd, &blob);
	}
	context_close(&context);
	printf("blobs %u\n", count);
	return 0;
}

static double copy_rate(uint8_t *to, const uint8_t *from, size_t size)
{
	double start = now(), took;
	unsigned rounds = 0;

	do {
		memcpy(to, from, size);
		rounds++;
		took = now() - start;
	} while (took < 1);
	return (double)size * rounds / took / 1e6;
}

/* speed [MIB]: how fast the device's window is written and read, and plain memory for comparison.
 */
static int run_speed(int argc, char **argv)
{
	uint32_t mib = argc > 1 ? number(argv[1]) : 16, stride;
	size_t size = (size_t)mib << 20;
	uint8_t *memory = malloc(2 * size);
	struct context context;
	struct blob blob;

	if (memory == NULL) {
		fail("no memory");
	}
	memset(memory, 1, 2 * size);
	channel_open(&context);
	host_blob(&context, 1024, mib * 256, &blob, &stride);
	memset(blob.map, 2, size);
	printf("speed write %.0f read %.0f memory %.0f MB/s\n", copy_rate(blob.map, memory, size),
	       copy_rate(memory, blob.map, size), copy_rate(memory, memory + size, size));
	blob_close(context.fd, &blob);
	context_close(&context);
	free(memory);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"params", run_params},   {"caps", run_caps},       {"blobs", run_blobs},
		{"speed", run_speed},     {"globals", run_globals}, {"red", run_red},
		{"eof", run_eof},         {"bind", run_bind},       {"hold", run_hold},
		{"hostile", run_hostile}, {"fb", run_fb},           {"pattern", run_pattern},
		{"kms", run_kms},
	};

	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0) {
			return commands[i].run(argc - 1, argv + 1);
		}
	}
	fprintf(stderr, "usage: gpu_probe COMMAND ARGUMENT...\n");
	return 2;
}
