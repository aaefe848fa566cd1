/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/gpu.h>

#define MIB (UINT64_C(1) << 20)
/* Pictures of a window and a file, what the guest's resources take, blobs. */
#define MEMORY      (1024 * MIB)
#define FILE_LIMIT  (1024 * MIB) /* of a memfd */
#define FD_LIMIT    1024u
#define VM_NAME_MAX 63u

static const char help[] =
	"gpu: screens that the guest draws, and its programs' way to a Wayland compositor\n"
	"  --display KIND       null: nobody looks (the default); file: a picture in a file;\n"
	"                       window: in a window of another program (vmm-window)\n"
	"  --image PATH         the file, made when there is none\n"
	"  --image-fd N         the same, or a memfd: see vmm/dev/display.h for what is in it\n"
	"  --window-fd N        a packet socket to the program that shows the window\n"
	"  --scanouts N         screens, 0 to 16 (1)\n"
	"  --size WxH           of each screen at first (1280x800)\n"
	"  --contexts           contexts for Wayland\n"
	"  --connector-fd N     a packet socket to whoever connects to the compositor\n"
	"  --clipboard WAY      what may cross: none (the default), to-guest, from-guest, both\n"
	"  --name NAME          of the VM, in the titles of its windows\n";

static const struct option_spec options[] = {
	{"display", OPTION_VALUE, false},   {"image", OPTION_VALUE, true},
	{"image-fd", OPTION_FD, false},     {"window-fd", OPTION_FD, false},
	{"scanouts", OPTION_VALUE, false},  {"size", OPTION_VALUE, false},
	{"contexts", OPTION_FLAG, false},   {"connector-fd", OPTION_FD, false},
	{"clipboard", OPTION_VALUE, false}, {"name", OPTION_VALUE, false},
	{NULL, OPTION_FLAG, false},
};

/* What the device works with. */
struct host {
	struct vmm_display *display;
	struct vmm_gpu_broker *broker;
};

/* ---- options ---- */

static int parse_side(const char **text, char end, uint32_t *out)
{
	unsigned long value;
	char *rest;

	if (**text < '1' || **text > '9') {
		return -EINVAL;
	}
	value = strtoul(*text, &rest, 10);
	if (*rest != end || value < VMM_GPU_SIDE_MIN || value > VMM_GPU_SIDE_MAX) {
		return -EINVAL;
	}
	*text = end ? rest + 1 : rest;
	*out = (uint32_t)value;
	return 0;
}

static int parse_size(const struct program *p, struct vmm_gpu_config *config, struct vmm_error *err)
{
	const char *size = program_value(p, "size");
	const char *text = size;

	if (size && (parse_side(&text, 'x', &config->width) < 0 ||
		     parse_side(&text, '\0', &config->height) < 0)) {
		return vmm_error_set(err, -EINVAL, "--size '%.40s': WxH, each from %u to %u", size,
				     VMM_GPU_SIDE_MIN, VMM_GPU_SIDE_MAX);
	}
	return 0;
}

static int parse_clipboard(const struct program *p, unsigned *out, struct vmm_error *err)
{
	static const char *const ways[] = {"none", "to-guest", "from-guest", "both"};
	const char *way = program_value(p, "clipboard");

	_Static_assert(VMM_GPU_CLIPBOARD_TO_GUEST == 1 && VMM_GPU_CLIPBOARD_FROM_GUEST == 2,
		       "an index into ways");
	for (*out = 0; way && *out < 4; (*out)++) {
		if (strcmp(way, ways[*out]) == 0) {
			return 0;
		}
	}
	return way ? vmm_error_set(err, -EINVAL,
				   "--clipboard '%.40s': none, to-guest, from-guest or both", way)
		   : 0;
}

static int parse(const struct program *p, struct vmm_gpu_config *config, struct vmm_error *err)
{
	const char *name = program_value(p, "name");
	uint64_t scanouts;
	int ret = program_number(p, "scanouts", 0, VMM_DISPLAY_SCANOUTS_MAX, 1, &scanouts, err);

	config->scanouts = (unsigned)scanouts;
	config->contexts = program_flag(p, "contexts");
	config->vm_name = name;
	if (ret == 0 && scanouts == 0 && !config->contexts) {
		ret = vmm_error_set(err, -EINVAL, "--scanouts 0 goes with --contexts only");
	}
	if (ret == 0 && name && strlen(name) > VM_NAME_MAX) {
		ret = vmm_error_set(err, -EINVAL, "--name: at most %u bytes", VM_NAME_MAX);
	}
	if (ret == 0) {
		ret = parse_size(p, config, err);
	}
	return ret == 0 ? parse_clipboard(p, &config->clipboard, err) : ret;
}

static const char *display_kind(const struct program *p)
{
	const char *kind = program_value(p, "display");

	return kind ? kind : "null";
}

static int gpu_check(const struct program *p, struct vmm_error *err)
{
	struct vmm_gpu_config config = {0};
	const char *kind = display_kind(p);
	bool file = strcmp(kind, "file") == 0;
	bool window = strcmp(kind, "window") == 0;
	int images = (program_fd(p, "image-fd") >= 0) + (program_value(p, "image") != NULL);

	if (!file && !window && strcmp(kind, "null") != 0) {
		return vmm_error_set(err, -EINVAL, "--display '%.40s': null, file or window", kind);
	}
	if (images != file) {
		return vmm_error_set(err, -EINVAL,
				     "one of --image and --image-fd goes with --display file");
	}
	if ((program_fd(p, "window-fd") >= 0) != window) {
		return vmm_error_set(err, -EINVAL, "--window-fd goes with --display window");
	}
	if (program_fd(p, "connector-fd") >= 0 && !program_flag(p, "contexts")) {
		return vmm_error_set(err, -EINVAL, "--connector-fd goes with --contexts");
	}
	return parse(p, &config, err);
}

/* ---- life ---- */

static int gpu_open(struct program *p, struct vmm_error *err)
{
	const char *path = program_value(p, "image");
	int fd;

	if (!path) {
		return 0;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0) {
		return vmm_error_set(err, -errno, "'%.200s': %s", path, strerror(errno));
	}
	return program_add_fd(p, "image-fd", fd, err);
}

static int open_display(const struct program *p, struct vmm_display **out, struct vmm_error *err)
{
	if (program_fd(p, "image-fd") >= 0) {
		return vmm_display_file(out, program_fd(p, "image-fd"), err);
	}
	if (program_fd(p, "window-fd") >= 0) {
		return vmm_display_window(out, program_fd(p, "window-fd"), &p->log, err);
	}
	*out = NULL;
	return 0;
}

static int gpu_create(struct program *p, struct vmm_virtio_device **out, struct vmm_error *err)
{
	struct host *host = calloc(1, sizeof(*host));
	struct vmm_gpu_config config = {0};
	int ret;

	p->host = host;
	if (!host) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	ret = parse(p, &config, err);
	if (ret == 0) {
		ret = open_display(p, &host->display, err);
	}
	if (ret == 0 && program_fd(p, "connector-fd") >= 0) {
		ret = vmm_gpu_broker_create(&host->broker, program_fd(p, "connector-fd"), err);
	}
	if (ret < 0) {
		return ret;
	}
	config.display = host->display;
	config.connector = host->broker ? vmm_gpu_broker_connector(host->broker) : NULL;
	return vmm_gpu_create(out, &config, err);
}

static void gpu_finish(struct program *p)
{
	struct host *host = p->host;

	if (host) {
		vmm_display_destroy(host->display);
		vmm_gpu_broker_destroy(host->broker);
		free(host);
	}
}

static uint64_t gpu_file_limit(const struct program *p)
{
	(void)p;
	return FILE_LIMIT;
}

const struct kind gpu_kind = {
	.name = "gpu",
	.help = help,
	.options = options,
	.check = gpu_check,
	.open = gpu_open,
	.create = gpu_create,
	.finish = gpu_finish,
	.file_limit = gpu_file_limit,
	.memory = MEMORY,
	.fd_limit = FD_LIMIT,
};
