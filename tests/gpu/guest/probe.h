/* SPDX-License-Identifier: MIT */
#ifndef TESTS_GPU_GUEST_PROBE_H
#define TESTS_GPU_GUEST_PROBE_H

/*
 * The parts of gpu_probe, a program for guests that uses the graphics device by system calls alone.
 * A part that fails says on stderr what failed and ends the program with status 1: it is a test.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PAGE = 4096,
	FORMAT_XRGB8888 = 0x34325258, /* DRM's name of it: "XR24" */
};

/* An object of the device: guest pages, or memory of the host mapped through the device's window.
 */
struct blob {
	uint32_t handle;
	uint32_t resource;
	size_t size;
	uint8_t *map;
};

/* A context of its own, which is an open device file; with rings once channel_open has been called.
 */
struct context {
	int fd;
	struct blob query;
	struct blob ring;
};

/* What GET_IMAGE_REQUIREMENTS answers. */
struct image {
	uint32_t stride;
	uint32_t offset;
	uint64_t size;
	uint32_t blob_id;
	uint32_t map_info;
};

/* A message of the channel, as it lies in the ring. */
struct message {
	uint8_t cmd;
	uint8_t ring;
	uint16_t size;
	uint32_t pad;
	union {
		struct {
			uint32_t num_ids;
			uint32_t data_size;
			uint32_t ids[28];
			uint32_t id_types[28];
			uint32_t id_sizes[28];
			uint8_t data[PAGE - 352];
		};
		struct {
			uint32_t id;
			uint32_t hang_up;
			uint32_t size;
			uint32_t pad;
			uint8_t data[PAGE - 24];
		} stream;
	};
};

enum {
	CMD_INIT = 1,
	CMD_IMAGE = 2,
	CMD_POLL = 3,
	CMD_SEND = 4,
	CMD_RECEIVE = 5,
	CMD_READ = 6,
	CMD_WRITE = 7
};

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* number: the text as a number, or fails. */
uint32_t number(const char *text);
/* now: seconds of the monotonic clock. */
double now(void);

/* The device (context.c). The calls with a bool answer whether the kernel took it; the others fail.
 */
int device_open(void);
int device_param(int fd, uint64_t param);
void context_open(struct context *context);
void context_close(struct context *context);
bool blob_try(int fd, struct blob *blob, uint32_t mem, uint32_t flags, uint64_t size, uint64_t id);
bool blob_map(int fd, struct blob *blob);
void blob_unmap(struct blob *blob);
void blob_close(int fd, struct blob *blob);
/* submit: commands for the context; with `wait`, an object whose fence is waited for. */
bool submit(int fd, const void *commands, size_t size, const struct blob *wait, int ring);

/* The channel (channel.c). */
void channel_open(struct context *context);
bool channel_image(struct context *context, uint32_t width, uint32_t height, uint32_t format,
		   struct image *image);
/* host_blob: memory of the host for an image of that size, mapped here. */
void host_blob(struct context *context, uint32_t width, uint32_t height, struct blob *blob,
	       uint32_t *stride);
bool channel_send(struct context *context, const void *data, size_t size, uint32_t id, bool has_id);
/* channel_poll: asks for the next message. channel_wait: until it is there, at most `seconds`
 * (negative: for ever). */
void channel_poll(struct context *context);
bool channel_wait(struct context *context, struct message *message, int seconds);

/* Commands: each gets its arguments behind its name. */
int run_globals(int argc, char **argv);
int run_red(int argc, char **argv);
int run_eof(int argc, char **argv);
int run_bind(int argc, char **argv);
int run_hold(int argc, char **argv);
int run_hostile(int argc, char **argv);
int run_fb(int argc, char **argv);
int run_kms(int argc, char **argv);
int run_pattern(int argc, char **argv);

#endif
