/* SPDX-License-Identifier: MIT */
/*
 * What a hostile program in a guest can tell the device through the stock driver: streams of
 * commands that are wrong in one way each, objects that cannot be, and more of everything than is
 * sensible. After each the device has to have answered (no fence may be lost) and has to serve a
 * well-behaved program. A hostile driver is another test's subject.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "probe.h"
#include "virtgpu.h"

/* The first word of a command: what it is, and its size. */
#define HEAD(cmd, size) ((uint32_t)(cmd) | (uint32_t)(size) << 16), 0

/* In streams: stands for the resource of the context's own pages, or of a page of another context.
 */
enum { QUERY = 0x0ffffff0, RING, FOREIGN };

enum { SEND_HEAD = 352 };

static const struct stream {
	const char *name;
	bool channel;  /* of a context that has its channel already */
	uint16_t size; /* in bytes, zeroes behind the words */
	uint32_t words[10];
} streams[] = {
	{"a command of no bytes", true, 64, {HEAD(CMD_POLL, 0)}},
	{"a command of 4 bytes", true, 64, {HEAD(CMD_POLL, 4)}},
	{"a command longer than what there is", true, 16, {HEAD(CMD_SEND, 4000)}},
	{"half a header", true, 4, {HEAD(CMD_POLL, 16)}},
	{"a good command and a bad one behind it",
	 true,
	 32,
	 {HEAD(CMD_READ, 16), 0, 0, HEAD(CMD_SEND, 0)}},
	{"an unknown command", true, 16, {HEAD(200, 16)}},
	{"a message that only hosts send", true, 400, {HEAD(CMD_RECEIVE, 400)}},
	{"READ from a guest", true, 64, {HEAD(CMD_READ, 64), 1, 0, 8}},
	{"INIT twice", true, 20, {HEAD(CMD_INIT, 20), QUERY, RING, 1}},
	{"INIT too short", false, 12, {HEAD(CMD_INIT, 12), 1}},
	{"INIT with rings that are none", false, 20, {HEAD(CMD_INIT, 20), 0x7fffffff, 0, 1}},
	{"INIT with another's pages", false, 20, {HEAD(CMD_INIT, 20), FOREIGN, FOREIGN, 1}},
	{"INIT of an unknown channel", false, 20, {HEAD(CMD_INIT, 20), 0, 0, 99}},
	{"an image before INIT", false, 24, {HEAD(CMD_IMAGE, 24), 16, 16, FORMAT_XRGB8888, 16}},
	{"POLL before INIT", false, 16, {HEAD(CMD_POLL, 16)}},
	{"SEND before INIT", false, SEND_HEAD + 16, {HEAD(CMD_SEND, SEND_HEAD + 16), 0, 16}},
	{"an image too short", true, 16, {HEAD(CMD_IMAGE, 16), 16, 16}},
	{"an image of no width", true, 24, {HEAD(CMD_IMAGE, 24), 0, 16, FORMAT_XRGB8888, 16}},
	{"an image of 2^32-1 squared",
	 true,
	 24,
	 {HEAD(CMD_IMAGE, 24), 0xffffffff, 0xffffffff, FORMAT_XRGB8888, 16}},
	{"an image whose size is 2^32",
	 true,
	 24,
	 {HEAD(CMD_IMAGE, 24), 0x8000, 0x8000, FORMAT_XRGB8888, 16}},
	{"an image of no known format", true, 24, {HEAD(CMD_IMAGE, 24), 16, 16, 0xdeadbeef, 16}},
	{"SEND of more than there is",
	 true,
	 SEND_HEAD + 8,
	 {HEAD(CMD_SEND, SEND_HEAD + 8), 0, 4096}},
	{"SEND of 2^32-1 bytes",
	 true,
	 SEND_HEAD + 8,
	 {HEAD(CMD_SEND, SEND_HEAD + 8), 0, 0xffffffff}},
	{"SEND of 29 descriptors", true, SEND_HEAD + 8, {HEAD(CMD_SEND, SEND_HEAD + 8), 29, 8}},
	{"SEND of 2^32-1 descriptors",
	 true,
	 SEND_HEAD + 8,
	 {HEAD(CMD_SEND, SEND_HEAD + 8), 0xffffffff, 8}},
	{"SEND of an object that is none",
	 true,
	 SEND_HEAD + 8,
	 {HEAD(CMD_SEND, SEND_HEAD + 8), 1, 8, 0x7fffffff}},
	{"SEND of guest pages", true, SEND_HEAD + 8, {HEAD(CMD_SEND, SEND_HEAD + 8), 1, 8, RING}},
	{"SEND without its arrays", true, 16, {HEAD(CMD_SEND, 16), 1, 0}},
	{"SEND of nothing", true, SEND_HEAD, {HEAD(CMD_SEND, SEND_HEAD)}},
	{"SEND of what is not Wayland", true, SEND_HEAD + 8, {HEAD(CMD_SEND, SEND_HEAD + 8), 0, 8}},
	{"WRITE to a pipe that is none", true, 32, {HEAD(CMD_WRITE, 32), 5, 0, 8}},
	{"WRITE of more than there is", true, 32, {HEAD(CMD_WRITE, 32), 5, 1, 0xfffffff0}},
};

static struct context foreign;

/* The device serves a program that behaves. */
static void healthy(const char *after)
{
	struct context context;
	struct image image;
	struct blob blob;
	uint32_t stride;

	channel_open(&context);
	if (!channel_image(&context, 64, 64, FORMAT_XRGB8888, &image)) {
		fail("after %s: no answer to a good request", after);
	}
	host_blob(&context, 64, 64, &blob, &stride);
	blob.map[100] = 1;
	blob_close(context.fd, &blob);
	context_close(&context);
}

static void try_stream(const struct stream *stream)
{
	uint32_t words[1024] = {0};
	struct context context;
	struct blob fence;

	if (stream->channel) {
		channel_open(&context);
	} else {
		context_open(&context);
	}
	if (!blob_try(context.fd, &fence, BLOB_GUEST, BLOB_MAPPABLE, PAGE, 0)) {
		fail("no page for a fence: %s", strerror(errno));
	}
	memcpy(words, stream->words, sizeof(stream->words));
	for (size_t i = 2; i < sizeof(stream->words) / 4; i++) {
		switch (words[i]) {
		case QUERY:
			words[i] = context.query.resource;
			break;
		case RING:
			words[i] = context.ring.resource;
			break;
		case FOREIGN:
			words[i] = foreign.ring.resource;
			break;
		default:
			break;
		}
	}
	/* The kernel may refuse it; what it takes has to be answered. */
	if (!submit(context.fd, words, stream->size, &fence, 0) && errno == EBUSY) {
		fail("%s: the fence is lost", stream->name);
	}
	context_close(&context);
	healthy(stream->name);
	printf("survived %s\n", stream->name);
}

/* An object of the host that must not come into being: its mapping has to fail. */
static void no_blob(const char *name, uint64_t size, uint64_t id)
{
	struct context context;
	struct blob blob;

	channel_open(&context);
	if (blob_try(context.fd, &blob, BLOB_HOST3D, BLOB_MAPPABLE | BLOB_SHAREABLE, size, id)) {
		if (blob_map(context.fd, &blob)) {
			fail("%s could be mapped", name);
		}
		blob_close(context.fd, &blob);
	}
	context_close(&context);
	healthy(name);
	printf("survived %s\n", name);
}

/* larger: an image's object, but larger than the image. */
static void larger_blob(void)
{
	struct context context;
	struct image image;
	struct blob blob;

	channel_open(&context);
	if (!channel_image(&context, 64, 64, FORMAT_XRGB8888, &image)) {
		fail("no image");
	}
	if (blob_try(context.fd, &blob, BLOB_HOST3D, BLOB_MAPPABLE, image.size + PAGE,
		     image.blob_id)) {
		if (blob_map(context.fd, &blob)) {
			fail("an object larger than its image could be mapped");
		}
		blob_close(context.fd, &blob);
	}
	context_close(&context);
	healthy("an object larger than its image");
	printf("survived an object larger than its image\n");
}

/* Far more requests to wait than a program needs; the host must not keep them all, nor lose one at
 * the end. */
static void many_polls(void)
{
	struct context context;

	channel_open(&context);
	for (int i = 0; i < 300; i++) {
		channel_poll(&context);
	}
	healthy("300 POLLs");
	context_close(&context);
	healthy("300 POLLs and their end");
	printf("survived 300 POLLs\n");
}

static void many_images(void)
{
	struct context context;
	struct image image;
	uint32_t answered = 0;

	channel_open(&context);
	for (uint32_t i = 0; i < 10000; i++) {
		if (!channel_image(&context, 1 + i % 2000, 1 + i / 2000, FORMAT_XRGB8888, &image)) {
			break;
		}
		answered++;
	}
	context_close(&context);
	healthy("10000 images");
	printf("survived 10000 images, %u of them answered\n", answered);
}

/* As much of the host's memory as it gives, 64 MiB at a time: it has to say no, and give again what
 * is closed. */
static void much_memory(void)
{
	enum { EACH = 64 << 20, MOST = 256 };
	static struct blob blobs[MOST];
	struct context context;
	struct image image;
	int count;

	channel_open(&context);
	for (count = 0; count < MOST; count++) {
		if (!channel_image(&context, 4096, EACH / 4096 / 4, FORMAT_XRGB8888, &image) ||
		    !blob_try(context.fd, &blobs[count], BLOB_HOST3D, BLOB_MAPPABLE, image.size,
			      image.blob_id)) {
			break;
		}
		if (!blob_map(context.fd, &blobs[count])) {
			blob_close(context.fd, &blobs[count]);
			break;
		}
	}
	if (count == MOST) {
		fail("the host gives %d MiB to one program", MOST * (EACH >> 20));
	}
	for (int i = 0; i < count; i++) {
		blob_close(context.fd, &blobs[i]);
	}
	context_close(&context);
	healthy("much memory");
	printf("survived much memory: %d MiB were given\n", count * (EACH >> 20));
}

/* The old way to make objects, for drivers of a real GPU. */
static void resources_3d(void)
{
	static const uint32_t sizes[][3] = {
		{1, 1, 1}, {0, 0, 0}, {0xffffffff, 0xffffffff, 0xffffffff}, {16384, 16384, 0xffff}};
	int fd = device_open();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct virtgpu_resource_create create = {
			.target = 2,
			.format = i % 2 == 0 ? 1 : 0xffffffff,
			.width = sizes[i][0],
			.height = sizes[i][1],
			.depth = sizes[i][2],
			.array_size = 0xffffffff,
			.last_level = 0xffffffff,
			.size = PAGE,
			.stride = 0xffffffff,
		};

		if (ioctl(fd, VIRTGPU_RESOURCE_CREATE, &create) == 0) {
			struct drm_gem_close gone = {.handle = create.bo_handle};

			ioctl(fd, DRM_IOCTL_GEM_CLOSE, &gone);
		}
	}
	close(fd);
	healthy("3D resources");
	printf("survived 3D resources\n");
}

/* hostile: all of it. */
int run_hostile(int argc, char **argv)
{
	(void)argc, (void)argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	channel_open(&foreign);
	healthy("nothing");
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		try_stream(&streams[i]);
	}
	no_blob("an object of no known id", PAGE, 12345);
	no_blob("an object of id 0", PAGE, 0);
	no_blob("an object of id 2^64-1", PAGE, UINT64_MAX);
	no_blob("an object of 1 TiB", 1ULL << 40, 2);
	larger_blob();
	resources_3d();
	many_polls();
	many_images();
	much_memory();
	context_close(&foreign);
	printf("hostile: all survived\n");
	return 0;
}
