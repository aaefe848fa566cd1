/* SPDX-License-Identifier: MIT */
/* virtio-gpu (VIRTIO 1.3 section 5.7): features, configuration space, life, sizes of the screens.
 */
#include "gpu/gpu_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shapes.h"

static const uint16_t queue_sizes[QUEUES] = {
	[QUEUE_CONTROL] = CONTROL_SIZE,
	[QUEUE_CURSOR] = CURSOR_SIZE,
};

const struct vmm_dev_shape vmm_gpu_shape = {
	.kind = "gpu",
	.device_id = VMM_VIRTIO_ID_GPU,
	.queue_count = QUEUES,
	.queue_sizes = queue_sizes,
	.config_len = CONFIG_LEN,
	.shares_memory = true,
};

static struct gpu *from_base(struct vmm_virtio_device *dev)
{
	return (struct gpu *)dev;
}

/* ---- sizes ---- */

static uint32_t in_range(uint32_t side)
{
	if (side < VMM_GPU_SIDE_MIN) {
		return VMM_GPU_SIDE_MIN;
	}
	return side < VMM_GPU_SIDE_MAX ? side : VMM_GPU_SIDE_MAX;
}

static void set_events(struct gpu *gpu, uint32_t events)
{
	if (events != gpu->events) {
		gpu->events = events;
		(void)vmm_virtio_config_update(&gpu->base, CONFIG_EVENTS_READ_AT, &events,
					       sizeof(events));
	}
}

void vmm_gpu_resize(struct vmm_virtio_device *dev, unsigned scanout, uint32_t width,
		    uint32_t height)
{
	struct gpu *gpu = from_base(dev);
	struct gpu_scanout *s;

	if (scanout >= gpu->scanout_count) {
		return;
	}
	s = &gpu->scanouts[scanout];
	width = in_range(width);
	height = in_range(height);
	if (width == s->width && height == s->height) {
		return;
	}
	s->width = width;
	s->height = height;
	/* Told again, even if the driver has not looked at an earlier change yet. */
	gpu->events = 0;
	set_events(gpu, EVENT_DISPLAY);
}

static void on_resize(void *ctx, unsigned scanout, uint32_t width, uint32_t height)
{
	struct gpu *gpu = ctx;

	vmm_gpu_resize(&gpu->base, scanout, width, height);
}

static void on_frame(void *ctx, unsigned scanout)
{
	struct gpu *gpu = ctx;

	if (scanout < gpu->scanout_count) {
		vmm_gpu_scanout_frame(gpu, scanout);
	}
}

static const struct vmm_display_events display_events = {
	.resize = on_resize,
	.frame = on_frame,
};

/* ---- life ---- */

static void control_again(void *ctx)
{
	vmm_gpu_drain(ctx, QUEUE_CONTROL);
}

static void cursor_again(void *ctx)
{
	vmm_gpu_drain(ctx, QUEUE_CURSOR);
}

static int gpu_activate(struct vmm_virtio_device *dev, const struct vmm_virtio_active *active)
{
	struct gpu *gpu = from_base(dev);
	int ret;

	if (!active->queues[QUEUE_CONTROL]) {
		return -EPROTO;
	}
	gpu->active = *active;
	ret = vmm_display_start(gpu->display, active->loop, &display_events, gpu);
	if (ret == 0 && gpu->contexts) {
		ret = vmm_gpu_contexts_activate(gpu);
		if (ret < 0) {
			vmm_display_stop(gpu->display);
		}
	}
	if (ret < 0) {
		memset(&gpu->active, 0, sizeof(gpu->active));
	}
	return ret;
}

static void gpu_notify(struct vmm_virtio_device *dev, unsigned queue)
{
	vmm_gpu_drain(from_base(dev), queue);
}

static void gpu_reset(struct vmm_virtio_device *dev)
{
	struct gpu *gpu = from_base(dev);

	for (unsigned i = 0; i < QUEUES; i++) {
		vmm_loop_cancel(gpu->active.loop, &gpu->again[i]);
	}
	vmm_display_stop(gpu->display);
	if (gpu->contexts) {
		vmm_gpu_contexts_reset(gpu);
	}
	for (unsigned i = 0; i < gpu->scanout_count; i++) {
		gpu->scanouts[i].res = NULL;
		gpu->scanouts[i].parked_count = 0;
	}
	vmm_gpu_resource_remove_all(gpu);
	set_events(gpu, 0);
	memset(&gpu->active, 0, sizeof(gpu->active));
}

/* Writing 1 to a bit of events_clear clears it in events_read (section 5.7.4). */
static void gpu_set_config(struct vmm_virtio_device *dev, size_t offset, const void *bytes,
			   size_t len)
{
	struct gpu *gpu = from_base(dev);
	uint8_t clear[CONFIG_LEN] = {0};
	uint32_t bits;

	memcpy(clear + offset, bytes, len);
	memcpy(&bits, clear + CONFIG_EVENTS_CLEAR_AT, sizeof(bits));
	set_events(gpu, gpu->events & ~bits);
}

static void gpu_destroy(struct vmm_virtio_device *dev)
{
	struct gpu *gpu = from_base(dev);

	if (gpu->contexts) {
		vmm_gpu_contexts_destroy(gpu);
	}
	free(gpu);
}

static void gpu_counters(struct vmm_virtio_device *dev,
			 void (*emit)(void *ctx, const char *name, uint64_t value), void *ctx)
{
	struct gpu *gpu = from_base(dev);
	const struct {
		const char *name;
		const uint64_t *value;
	} all[] = {
		{"commands", &gpu->commands},         {"errors", &gpu->errors},
		{"copied_bytes", &gpu->copied_bytes}, {"frames", &gpu->frames},
		{"resources", &gpu->resource_count},  {"memory_bytes", &gpu->memory},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		emit(ctx, all[i].name, __atomic_load_n(all[i].value, __ATOMIC_RELAXED));
	}
	if (gpu->contexts) {
		vmm_gpu_contexts_counters(gpu, emit, ctx);
	}
}

static const struct vmm_virtio_ops gpu_ops = {
	.activate = gpu_activate,
	.notify = gpu_notify,
	.reset = gpu_reset,
	.set_config = gpu_set_config,
	.destroy = gpu_destroy,
	.counters = gpu_counters,
};

/* ---- creation ---- */

static bool bad_side(uint32_t side)
{
	return side != 0 && side != in_range(side);
}

static int check(const struct vmm_gpu_config *config, struct vmm_error *err)
{
	if (config->scanouts > VMM_DISPLAY_SCANOUTS_MAX) {
		return vmm_error_set(err, -EINVAL, "gpu: %u screens, but at most %u are possible",
				     config->scanouts, VMM_DISPLAY_SCANOUTS_MAX);
	}
	if (config->scanouts == 0 && !config->contexts) {
		return vmm_error_set(err, -EINVAL, "gpu: neither screens nor contexts");
	}
	if (bad_side(config->width) || bad_side(config->height)) {
		return vmm_error_set(
			err, -EINVAL, "gpu: a screen of %u x %u, but each side has %u to %u pixels",
			config->width, config->height, VMM_GPU_SIDE_MIN, VMM_GPU_SIDE_MAX);
	}
	return 0;
}

static void init_base(struct gpu *gpu, const struct vmm_gpu_config *config)
{
	struct vmm_virtio_device *base = &gpu->base;

	base->ops = &gpu_ops;
	vmm_dev_shape_apply(&vmm_gpu_shape, base);
	base->features = config->scanouts > 0 ? F_EDID : 0;
	base->config[CONFIG_SCANOUTS_AT] = (uint8_t)config->scanouts;
	if (config->contexts) {
		/* VIRGL: without it, Linux makes no use of the others. */
		base->features |= F_VIRGL | F_RESOURCE_BLOB | F_CONTEXT_INIT;
		base->config[CONFIG_CAPSETS_AT] = 1;
		gpu->shm.id = VMM_GPU_SHM_ID;
		gpu->shm.len = config->shm_len > 0 ? config->shm_len : VMM_GPU_SHM_DEFAULT;
		base->shm = &gpu->shm;
		base->shm_count = 1;
	}
}

static void init(struct gpu *gpu, const struct vmm_gpu_config *config)
{
	gpu->display = config->display;
	gpu->memory_max = config->memory_max > 0 ? config->memory_max : VMM_GPU_MEMORY_DEFAULT;
	gpu->scanout_count = config->scanouts;
	for (unsigned i = 0; i < config->scanouts; i++) {
		struct gpu_scanout *s = &gpu->scanouts[i];

		s->gpu = gpu;
		s->width = config->width > 0 ? config->width : VMM_GPU_WIDTH_DEFAULT;
		s->height = config->height > 0 ? config->height : VMM_GPU_HEIGHT_DEFAULT;
	}
	gpu->again[QUEUE_CONTROL] = (struct vmm_work){.fn = control_again, .ctx = gpu};
	gpu->again[QUEUE_CURSOR] = (struct vmm_work){.fn = cursor_again, .ctx = gpu};
	gpu->chain.iov = gpu->iov;
	gpu->chain.iov_cap = CONTROL_SIZE;
	init_base(gpu, config);
}

int vmm_gpu_create(struct vmm_virtio_device **out, const struct vmm_gpu_config *config,
		   struct vmm_error *err)
{
	struct gpu *gpu;
	int ret;

	*out = NULL;
	ret = check(config, err);
	if (ret < 0) {
		return ret;
	}
	gpu = calloc(1, sizeof(*gpu));
	if (!gpu) {
		return vmm_error_set(err, -ENOMEM, "gpu: out of memory");
	}
	init(gpu, config);
	ret = config->contexts ? vmm_gpu_contexts_create(gpu, config, err) : 0;
	if (ret < 0) {
		free(gpu);
		return ret;
	}
	*out = &gpu->base;
	return 0;
}
