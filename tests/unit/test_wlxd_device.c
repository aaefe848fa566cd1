/* SPDX-License-Identifier: MIT */
#include "test_wlxd_device.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "suite.h"

#define RESOURCE 100u
#define IMAGE    1000u

struct device device;

void device_begin(void)
{
	memset(&device, 0, sizeof(device));
	(void)snprintf(device.dir, sizeof(device.dir), "/tmp/wlxd.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(device.dir));
	(void)snprintf(device.path, sizeof(device.path), "%s/node", device.dir);
	ck_assert_int_eq(mkfifo(device.path, 0600), 0);
	device.fifo = open(device.path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	device.name = "virtio_gpu";
	device.channels = 1u << CROSS_DOMAIN_WAYLAND;
	for (unsigned i = 0; i < DEVICE_OBJECTS; i++) {
		device.objects[i].memfd = -1;
	}
}

void device_end(void)
{
	(void)close(device.fifo);
	(void)unlink(device.path);
	(void)rmdir(device.dir);
}

/* Only what is about the node is the device's. */
static bool is_node(int fd)
{
	struct stat node, st;

	return device.path[0] && stat(device.path, &node) == 0 && fstat(fd, &st) == 0 &&
	       st.st_dev == node.st_dev && st.st_ino == node.st_ino;
}

struct device_object *device_resource(uint32_t resource)
{
	ck_assert_uint_lt(resource - RESOURCE, DEVICE_OBJECTS);
	return &device.objects[resource - RESOURCE];
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int get_param(const struct drm_virtgpu_getparam *arg)
{
	int value = arg->param == VIRTGPU_PARAM_SUPPORTED_CAPSET_IDS ? 1 << 5 : 1;
	void *to;

	if (arg->param == device.lacks_param) {
		return refuse(EINVAL);
	}
	memcpy(&to, &arg->value, sizeof(to));
	memcpy(to, &value, sizeof(value));
	return 0;
}

static int get_caps(const struct drm_virtgpu_get_caps *arg)
{
	const uint32_t caps[4] = {1, device.channels, 0, 0};
	void *to;

	SUITE_REQUIRE(arg->cap_set_id == 5 && arg->size == sizeof(caps));
	memcpy(&to, &arg->addr, sizeof(to));
	memcpy(to, caps, sizeof(caps));
	return 0;
}

static int context_init(const struct drm_virtgpu_context_init *arg)
{
	struct drm_virtgpu_context_set_param *params;

	memcpy(&params, &arg->ctx_set_params, sizeof(params));
	for (uint32_t i = 0; i < arg->num_params; i++) {
		switch (params[i].param) {
		case VIRTGPU_CONTEXT_PARAM_CAPSET_ID:
			device.capset = params[i].value;
			break;
		case VIRTGPU_CONTEXT_PARAM_NUM_RINGS:
			device.rings = params[i].value;
			break;
		case VIRTGPU_CONTEXT_PARAM_POLL_RINGS_MASK:
			device.mask = params[i].value;
			break;
		default:
			return refuse(EINVAL);
		}
	}
	return 0;
}

static int create_blob(struct drm_virtgpu_resource_create_blob *arg)
{
	uint32_t handle = 1;

	while (device.objects[handle].memfd >= 0) {
		handle++;
		SUITE_REQUIRE(handle < DEVICE_OBJECTS);
	}
	if (device.full && arg->blob_mem == VIRTGPU_BLOB_MEM_HOST3D) {
		return refuse(ENOSPC);
	}
	SUITE_REQUIRE(arg->size > 0 && arg->size % 4096 == 0 && arg->pad == 0);
	SUITE_REQUIRE(arg->blob_flags & VIRTGPU_BLOB_FLAG_MAPPABLE);
	device.objects[handle] = (struct device_object){
		.memfd = memfd_create("object", MFD_CLOEXEC),
		.size = arg->size,
		.blob_id = arg->blob_id,
		.kind = arg->blob_mem,
	};
	SUITE_REQUIRE(ftruncate(device.objects[handle].memfd, (off_t)arg->size) == 0);
	if (arg->blob_id >= IMAGE) {
		SUITE_REQUIRE(arg->blob_id - IMAGE < device.images);
		SUITE_REQUIRE(device.image_sizes[arg->blob_id - IMAGE] == arg->size);
	} else if (arg->blob_id != 0) {
		SUITE_REQUIRE(device.file && arg->blob_id == device.file_id);
		SUITE_REQUIRE(pwrite(device.objects[handle].memfd, device.file, strlen(device.file),
				     0) == (ssize_t)strlen(device.file));
	}
	arg->bo_handle = handle;
	arg->res_handle = handle + RESOURCE;
	device.live++;
	return 0;
}

static int gem_close(const struct drm_gem_close *arg)
{
	struct device_object *object = &device.objects[arg->handle];

	SUITE_REQUIRE(object->memfd >= 0);
	(void)close(object->memfd);
	object->memfd = -1;
	device.live--;
	return 0;
}

/* ---- commands ---- */

static void take_init(const struct cross_domain_init *init)
{
	SUITE_REQUIRE(init->header.cmd_size == 20 && init->channel_type == CROSS_DOMAIN_WAYLAND);
	SUITE_REQUIRE(!device.context);
	device.context = true;
	device.query = init->query_ring - RESOURCE;
	device.channel = init->channel_ring - RESOURCE;
	SUITE_REQUIRE(device.objects[device.query].kind == VIRTGPU_BLOB_MEM_GUEST);
	SUITE_REQUIRE(device.objects[device.channel].kind == VIRTGPU_BLOB_MEM_GUEST);
}

static void take_image(const struct cross_domain_get_image *question)
{
	struct cross_domain_image answer = {.strides = {question->width}, .map_info = 1};

	SUITE_REQUIRE(question->header.cmd_size == 24);
	answer.size = ((uint64_t)question->width * question->height + 4095) / 4096 * 4096;
	device.image_sizes[device.images] = answer.size;
	answer.blob_id = IMAGE + device.images++;
	SUITE_REQUIRE(pwrite(device.objects[device.query].memfd, &answer, sizeof(answer), 0) ==
		      sizeof(answer));
}

static void take_send(const struct cross_domain_message *m)
{
	SUITE_REQUIRE(m->header.cmd_size == 352 + m->size && m->size <= CROSS_DOMAIN_DATA_MAX);
	SUITE_REQUIRE(m->count <= CROSS_DOMAIN_IDS);
	for (uint32_t i = 0; i < m->count; i++) {
		device.id[device.ids] = m->ids[i];
		device.type[device.ids++] = m->types[i];
		if (m->types[i] == CROSS_DOMAIN_ID_BLOB) {
			SUITE_REQUIRE(device_resource(m->ids[i])->memfd >= 0);
		}
	}
	memcpy(device.sent + device.sent_len, m->data, m->size);
	device.sent_len += m->size;
	device.sends++;
}

static void take_write(const struct cross_domain_pipe *p)
{
	SUITE_REQUIRE(p->header.cmd_size == 24 + p->size);
	memcpy(device.written + device.written_len, p->data, p->size);
	device.written_len += p->size;
	device.written_id = p->id;
	device.hang_ups += p->hang_up;
}

static int exec_buffer(const struct drm_virtgpu_execbuffer *arg)
{
	union cross_domain_any command;
	bool ring = arg->flags & VIRTGPU_EXECBUF_RING_IDX;
	const void *from;

	memcpy(&from, &arg->command, sizeof(from));
	SUITE_REQUIRE(arg->size >= sizeof(command.header) && arg->size <= sizeof(command));
	memcpy(&command, from, arg->size);
	SUITE_REQUIRE(command.header.cmd_size == arg->size);
	switch (command.header.cmd) {
	case CROSS_DOMAIN_INIT:
		SUITE_REQUIRE(!ring);
		take_init((const struct cross_domain_init *)&command);
		return 0;
	case CROSS_DOMAIN_GET_IMAGE:
		SUITE_REQUIRE(ring && arg->ring_idx == 0 && arg->num_bo_handles == 1);
		take_image((const struct cross_domain_get_image *)&command);
		return 0;
	case CROSS_DOMAIN_POLL:
		SUITE_REQUIRE(ring && arg->ring_idx == 1 && arg->size == 16 && !device.parked);
		device.parked = true;
		device.polls++;
		return 0;
	case CROSS_DOMAIN_SEND:
		SUITE_REQUIRE(!ring);
		take_send(&command.message);
		return 0;
	case CROSS_DOMAIN_WRITE:
		SUITE_REQUIRE(!ring);
		take_write(&command.pipe);
		return 0;
	default:
		return refuse(EINVAL);
	}
}

static int node_request(unsigned long request, void *arg)
{
	struct drm_virtgpu_map *map = arg;
	struct drm_version *version = arg;

	switch ((unsigned int)request) {
	case DRM_IOCTL_VERSION:
		(void)snprintf(version->name, version->name_len, "%s", device.name);
		return 0;
	case DRM_IOCTL_GEM_CLOSE:
		return gem_close(arg);
	case DRM_IOCTL_VIRTGPU_MAP:
		map->offset = (uint64_t)map->handle << 32;
		return 0;
	case DRM_IOCTL_VIRTGPU_EXECBUFFER:
		return exec_buffer(arg);
	case DRM_IOCTL_VIRTGPU_GETPARAM:
		return get_param(arg);
	case DRM_IOCTL_VIRTGPU_WAIT:
		return ((struct drm_virtgpu_3d_wait *)arg)->handle == device.query ? 0
										   : refuse(ENOENT);
	case DRM_IOCTL_VIRTGPU_GET_CAPS:
		return get_caps(arg);
	case DRM_IOCTL_VIRTGPU_CREATE_BLOB:
		return create_blob(arg);
	case DRM_IOCTL_VIRTGPU_CONTEXT_INIT:
		return context_init(arg);
	default:
		return refuse(ENOTTY);
	}
}

/* In the place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return is_node(fd) ? node_request(request, arg) : (int)syscall(SYS_ioctl, fd, request, arg);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (fd >= 0 && is_node(fd)) {
		struct device_object *object = &device.objects[offset >> 32];

		/* All of it or nothing. */
		if (object->memfd < 0 || len != object->size) {
			errno = EINVAL;
			return MAP_FAILED;
		}
		fd = object->memfd;
		offset = 0;
	}
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

void device_signal(void)
{
	const struct drm_event event = {VIRTGPU_EVENT_FENCE_SIGNALED, sizeof(event)};

	ck_assert(device.parked);
	device.parked = false;
	ck_assert_int_eq(write(device.fifo, &event, sizeof(event)), sizeof(event));
}

void device_say(const void *message, size_t size)
{
	ck_assert_int_eq(pwrite(device.objects[device.channel].memfd, message, size, 0),
			 (ssize_t)size);
	device_signal();
}
