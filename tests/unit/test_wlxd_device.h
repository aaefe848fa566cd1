/* SPDX-License-Identifier: MIT */
/*
 * A virtio-gpu render node that is a FIFO, with the kernel's requests and a device behind it in the
 * place of ioctl and mmap. One descriptor of it at a time is a context.
 */
#ifndef TESTS_WLXD_DEVICE_H
#define TESTS_WLXD_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "cross_domain.h"
#include "virtgpu_uapi.h"

#define DEVICE_OBJECTS 256u

/* Of a GEM object; its handle is its place, and its resource that and 100. */
struct device_object {
	int memfd; /* -1: there is none */
	uint64_t size, blob_id;
	uint32_t kind;
};

struct device {
	char dir[64], path[80];
	int fifo;
	/* What it is to lack: a name, a parameter, a channel type, memory. */
	const char *name;
	uint64_t lacks_param;
	uint32_t channels;
	bool full;
	/* What it has been told. */
	uint64_t capset, rings, mask;
	bool context, parked;
	unsigned polls;
	uint32_t query, channel; /* handles */
	unsigned live;
	struct device_object objects[DEVICE_OBJECTS];
	/* Images asked for: their number is the blob_id less 1000. */
	unsigned images;
	uint64_t image_sizes[64];
	/* SENDs, one behind the other. */
	uint8_t sent[1 << 16];
	size_t sent_len;
	unsigned sends, ids;
	uint32_t id[64], type[64];
	/* WRITEs. */
	uint8_t written[1 << 20];
	size_t written_len;
	uint32_t written_id;
	unsigned hang_ups;
	/* Pages of files it has ready, by blob_id. */
	const char *file;
	uint64_t file_id;
};

extern struct device device;

void device_begin(void);
void device_end(void);
/* Ends the POLL that is parked, with or without a message. */
void device_signal(void);
/* Says it, at most a page; there has to be a POLL. */
void device_say(const void *message, size_t size);
/* The object that a resource is. */
struct device_object *device_resource(uint32_t resource);

#endif
