/* SPDX-License-Identifier: MIT */
#include "config/gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/dev/gpu.h>

#include "config/devices.h"
#include "config/fields.h"

/* What a screen's EDID can say, see <vmm/dev/gpu.h>. */
#define SIDE_MIN ((int)VMM_GPU_SIDE_MIN)
#define SIDE_MAX ((int)VMM_GPU_SIDE_MAX)

static const struct field gpu_fields[] = {
	{"id", STRING, offsetof(struct vm_gpu, id), 0, NAME_LEN_MAX, NULL},
	{"socket", STRING, offsetof(struct vm_gpu, socket), 0, PATH_LEN_MAX, NULL},
	{"display", STRING, offsetof(struct vm_gpu, display_text), 0, NAME_LEN_MAX, NULL},
	{"size", STRING, offsetof(struct vm_gpu, size), 0, NAME_LEN_MAX, NULL},
	{"contexts", BOOL, offsetof(struct vm_gpu, contexts), 0, 0, NULL},
	{"wayland_socket", STRING, offsetof(struct vm_gpu, wayland_socket), 0, PATH_LEN_MAX, NULL},
	{"clipboard", STRING, offsetof(struct vm_gpu, clipboard), 0, NAME_LEN_MAX, NULL},
	{"restart", STRING, offsetof(struct vm_gpu, restart), 0, NAME_LEN_MAX, NULL},
	{"pci_segment", REFUSED, 0, 0, 0, "0"},
};

void vm_gpu_init(struct vm_gpu *gpu)
{
	memset(gpu, 0, sizeof(*gpu));
}

void vm_gpu_finish(struct vm_gpu *gpu)
{
	free(gpu->id);
	free(gpu->socket);
	free(gpu->display_text);
	free(gpu->size);
	free(gpu->wayland_socket);
	free(gpu->clipboard);
	free(gpu->restart);
	vm_gpu_init(gpu);
}

bool vm_gpu_has_window(const struct vm_gpu *gpu)
{
	return gpu->display == VM_DISPLAY_WAYLAND;
}

static int display_parse(enum vm_display *out, const char *text)
{
	static const char *const names[] = {
		[VM_DISPLAY_NONE] = "none",
		[VM_DISPLAY_FILE] = "file",
		[VM_DISPLAY_WAYLAND] = "wayland",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text ? text : "none", names[i]) == 0) {
			*out = (enum vm_display)i;
			return 0;
		}
	}
	return -EINVAL;
}

static bool is_one_of(const char *word, const char *const *words)
{
	while (*words && strcmp(word, *words) != 0) {
		words++;
	}
	return *words != NULL;
}

/* One side's pixels; NULL when it is none. */
static const char *skip_side(const char *text)
{
	char *end = NULL;
	unsigned long pixels = *text >= '1' && *text <= '9' ? strtoul(text, &end, 10) : 0;

	return pixels >= VMM_GPU_SIDE_MIN && pixels <= VMM_GPU_SIDE_MAX ? end : NULL;
}

static int check_size(const char *text, struct vmm_error *err)
{
	const char *end = skip_side(text);

	end = end && *end == 'x' ? skip_side(end + 1) : NULL;
	if (!end || *end != '\0') {
		return vmm_error_set(err, -EINVAL, "size '%.20s': like 1280x800, %d to %d each",
				     text, SIDE_MIN, SIDE_MAX);
	}
	return 0;
}

/* Served by a program of others, which alone decides what it shows and where. */
static int check_foreign(const struct vm_gpu *gpu, struct vmm_error *err)
{
	if (gpu->display_text || gpu->size || gpu->contexts || gpu->wayland_socket ||
	    gpu->clipboard || gpu->restart) {
		return vmm_error_set(err, -EINVAL,
				     "socket: nothing else can be asked of a GPU that another "
				     "program serves");
	}
	return vm_config_check_socket("socket", gpu->socket, err);
}

static int check_gpu(struct vm_gpu *gpu, struct vmm_error *err)
{
	static const char *const clipboards[] = {"none", "in", "out", "both", NULL};

	if (gpu->socket) {
		return check_foreign(gpu, err);
	}
	if (display_parse(&gpu->display, gpu->display_text) < 0) {
		return vmm_error_set(err, -EINVAL, "display '%.20s': none, file or wayland",
				     gpu->display_text);
	}
	if (gpu->display == VM_DISPLAY_NONE && !gpu->contexts) {
		return vmm_error_set(err, -EINVAL,
				     "neither a display nor contexts: it does nothing");
	}
	if (gpu->size && gpu->display == VM_DISPLAY_NONE) {
		return vmm_error_set(err, -EINVAL, "size: only of a display");
	}
	if (gpu->clipboard && (!gpu->contexts || !is_one_of(gpu->clipboard, clipboards))) {
		return vmm_error_set(err, -EINVAL,
				     "clipboard '%.20s': none, in, out or both, with contexts",
				     gpu->clipboard);
	}
	if (gpu->wayland_socket && !gpu->contexts && !vm_gpu_has_window(gpu)) {
		return vmm_error_set(err, -EINVAL,
				     "wayland_socket: only with contexts or display wayland");
	}
	if ((gpu->wayland_socket &&
	     vm_config_check_socket("wayland_socket", gpu->wayland_socket, err) < 0) ||
	    (gpu->size && check_size(gpu->size, err) < 0)) {
		return -EINVAL;
	}
	return vm_config_check_restart(gpu->restart, err);
}

/* A VM has one screen at most: pictures of it, and its window, are the VM's. */
static int check_others(const struct vm_config *config, const struct vm_gpu *gpu,
			struct vmm_error *err)
{
	for (size_t i = 0; i < config->gpu_count; i++) {
		const struct vm_gpu *other = &config->gpus[i];

		if (gpu->display != VM_DISPLAY_NONE && other->display != VM_DISPLAY_NONE) {
			return vmm_error_set(err, -EEXIST, "display: %s has one too", other->id);
		}
		if (gpu->socket && other->socket && strcmp(gpu->socket, other->socket) == 0) {
			return vmm_error_set(err, -EEXIST, "socket '%s' is used twice, by %s too",
					     gpu->socket, other->id);
		}
	}
	return 0;
}

int vm_config_add_gpu(struct vm_config *config, struct vm_gpu *gpu, struct vmm_error *err)
{
	const char *name = gpu->id ? gpu->id : "gpu";
	int ret = check_gpu(gpu, err);

	if (ret == 0) {
		ret = check_others(config, gpu, err);
	}

	if (ret == 0) {
		ret = vm_config_check_room(config, vm_gpu_has_window(gpu) ? 3 : 1, err);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "%.40s", name);
	}
	ret = vm_config_give_id(config, &gpu->id, "gpu", err);
	if (ret == 0) {
		ret = vm_config_append(config, VM_LIST_GPUS, gpu, err);
	}
	if (ret == 0) {
		vm_gpu_init(gpu);
	}
	return ret;
}

/* Takes the screen away from who has it; a GPU that has nothing else goes. */
static void drop_display(struct vm_config *config)
{
	for (size_t i = 0; i < config->gpu_count; i++) {
		struct vm_gpu *gpu = &config->gpus[i];

		if (gpu->display != VM_DISPLAY_NONE) {
			free(gpu->display_text);
			free(gpu->size);
			gpu->display_text = NULL;
			gpu->size = NULL;
			gpu->display = VM_DISPLAY_NONE;
			if (!gpu->contexts) {
				(void)vm_config_remove(config, gpu->id);
			}
			return;
		}
	}
}

int vm_config_set_display(struct vm_config *config, const char *text, struct vmm_error *err)
{
	enum vm_display display = VM_DISPLAY_NONE;
	struct vm_gpu gpu;
	int ret = 0;

	if (display_parse(&display, text) < 0) {
		return vmm_error_set(err, -EINVAL, "display '%.20s': none, file or wayland", text);
	}
	drop_display(config);
	if (display == VM_DISPLAY_NONE) {
		return 0;
	}
	vm_gpu_init(&gpu);
	gpu.display_text = strdup(text);
	ret = gpu.display_text ? vm_config_add_gpu(config, &gpu, err)
			       : vmm_error_set(err, -ENOMEM, "out of memory");
	vm_gpu_finish(&gpu);
	return ret;
}

int vm_gpu_from_json(struct vm_gpu *gpu, const json_t *json, struct vmm_error *err)
{
	int ret = vm_read_fields(json, gpu_fields, FIELD_COUNT(gpu_fields), gpu, err);

	/* What a GPU is for when nothing is said. */
	if (ret == 0 && !json_is_boolean(json_object_get(json, "contexts"))) {
		gpu->contexts = !gpu->socket && !gpu->display_text;
	}
	return ret;
}

int vm_gpu_read_all(struct vm_config *config, const json_t *list, struct vmm_error *err)
{
	if (!list || json_is_null(list)) {
		return 0;
	}
	if (!json_is_array(list)) {
		return vmm_error_set(err, -EINVAL, "gpu: an array is expected");
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct vm_gpu gpu;
		int ret;

		vm_gpu_init(&gpu);
		ret = vm_gpu_from_json(&gpu, json_array_get(list, i), err);
		if (ret == 0) {
			ret = vm_config_add_gpu(config, &gpu, err);
		}
		vm_gpu_finish(&gpu);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "gpu[%zu]", i);
		}
	}
	return 0;
}

json_t *vm_gpu_write_all(const struct vm_config *config)
{
	json_t *list = json_array();

	for (size_t i = 0; i < config->gpu_count; i++) {
		(void)json_array_append_new(
			list,
			vm_write_fields(gpu_fields, FIELD_COUNT(gpu_fields), &config->gpus[i]));
	}
	return list;
}
