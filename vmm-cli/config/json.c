/* SPDX-License-Identifier: MIT */
/*
 * VmConfig in JSON, as cloud-hypervisor writes it, in both directions.
 *
 * Every object is a table of its fields. A field that exists there but is not carried out here
 * stands in the table as REFUSED: silence would make a caller believe that, say, its rate limit
 * holds. Values that ask for nothing pass: null, and what the table accepts, or without an entry
 * there false, [] and {}.
 */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATH_LEN_MAX    4095
#define CMDLINE_LEN_MAX 65535
#define NAME_LEN_MAX    255
#define FDS_MAX         64

enum field_kind {
	STRING,
	BOOL,
	NUMBER, /* whole, from min to max */
	MODE,   /* of a console */
	REFUSED,
};

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
	uint64_t min;
	uint64_t max;         /* STRING: bytes */
	const char *accepted; /* REFUSED: values in compact JSON, separated by spaces */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct field payload_fields[] = {
	{"kernel", STRING, offsetof(struct vm_payload, kernel.path), 0, PATH_LEN_MAX, NULL},
	{"initramfs", STRING, offsetof(struct vm_payload, initramfs.path), 0, PATH_LEN_MAX, NULL},
	{"cmdline", STRING, offsetof(struct vm_payload, cmdline), 0, CMDLINE_LEN_MAX, NULL},
	{"firmware", REFUSED, 0, 0, 0, NULL},
	{"igvm", REFUSED, 0, 0, 0, NULL},
	{"host_data", REFUSED, 0, 0, 0, NULL},
	{"fw_cfg_config", REFUSED, 0, 0, 0, NULL},
};

static const struct field cpus_fields[] = {
	{"boot_vcpus", NUMBER, offsetof(struct vm_cpus, boot_vcpus), 1, 64, NULL},
	{"max_vcpus", NUMBER, offsetof(struct vm_cpus, max_vcpus), 1, 64, NULL},
	{"topology", REFUSED, 0, 0, 0, NULL},
	{"kvm_hyperv", REFUSED, 0, 0, 0, NULL},
	{"max_phys_bits", REFUSED, 0, 0, 0, "46"},
	{"affinity", REFUSED, 0, 0, 0, NULL},
	{"features", REFUSED, 0, 0, 0, "{} {\"amx\":false}"},
	{"nested", REFUSED, 0, 0, 0, "true"},
	{"core_scheduling", REFUSED, 0, 0, 0, "\"Off\""},
	{"profile", REFUSED, 0, 0, 0, "\"host\" \"Host\""},
};

static const struct field memory_fields[] = {
	{"size", NUMBER, offsetof(struct vm_memory, size), UINT64_C(2) << 20, UINT64_C(1) << 42,
	 NULL},
	{"shared", BOOL, offsetof(struct vm_memory, shared), 0, 0, NULL},
	{"mergeable", REFUSED, 0, 0, 0, NULL},
	{"hugepages", REFUSED, 0, 0, 0, NULL},
	{"hugepage_size", REFUSED, 0, 0, 0, NULL},
	{"prefault", REFUSED, 0, 0, 0, NULL},
	{"reserve", REFUSED, 0, 0, 0, NULL},
	{"thp", REFUSED, 0, 0, 0, "true"},
	{"hotplug_method", REFUSED, 0, 0, 0, "\"Acpi\" \"VirtioMem\""},
	{"hotplug_size", REFUSED, 0, 0, 0, "0"},
	{"hotplugged_size", REFUSED, 0, 0, 0, "0"},
	{"zones", REFUSED, 0, 0, 0, NULL},
};

static const struct field disk_fields[] = {
	{"path", STRING, offsetof(struct vm_disk, file.path), 0, PATH_LEN_MAX, NULL},
	{"id", STRING, offsetof(struct vm_disk, id), 0, NAME_LEN_MAX, NULL},
	{"serial", STRING, offsetof(struct vm_disk, serial), 0, NAME_LEN_MAX, NULL},
	{"readonly", BOOL, offsetof(struct vm_disk, readonly), 0, 0, NULL},
	{"sparse", BOOL, offsetof(struct vm_disk, sparse), 0, 0, NULL},
	{"queue_size", NUMBER, offsetof(struct vm_disk, queue_size), 4, 1024, NULL},
	{"restart", STRING, offsetof(struct vm_disk, restart), 0, NAME_LEN_MAX, NULL},
	{"num_queues", REFUSED, 0, 0, 0, "1"},
	{"direct", REFUSED, 0, 0, 0, NULL},
	{"iommu", REFUSED, 0, 0, 0, NULL},
	{"pci_segment", REFUSED, 0, 0, 0, "0"},
	{"pci_device_id", REFUSED, 0, 0, 0, NULL},
	{"vhost_user", REFUSED, 0, 0, 0, NULL},
	{"vhost_socket", REFUSED, 0, 0, 0, NULL},
	{"rate_limiter_config", REFUSED, 0, 0, 0, NULL},
	{"rate_limit_group", REFUSED, 0, 0, 0, NULL},
	{"queue_affinity", REFUSED, 0, 0, 0, NULL},
	{"backing_files", REFUSED, 0, 0, 0, NULL},
	/* Never guessed from the image's bytes: the guest writes those. */
	{"image_type", REFUSED, 0, 0, 0, "\"Raw\" \"Unknown\""},
	{"lock_granularity", REFUSED, 0, 0, 0, "\"ByteRange\" \"Full\""},
};

static const struct field net_fields[] = {
	{"tap", STRING, offsetof(struct vm_net, tap), 0, NAME_LEN_MAX, NULL},
	{"id", STRING, offsetof(struct vm_net, id), 0, NAME_LEN_MAX, NULL},
	{"mac", STRING, offsetof(struct vm_net, mac_text), 0, NAME_LEN_MAX, NULL},
	{"ip", STRING, offsetof(struct vm_net, ip), 0, NAME_LEN_MAX, NULL},
	{"mask", STRING, offsetof(struct vm_net, mask), 0, NAME_LEN_MAX, NULL},
	{"mtu", NUMBER, offsetof(struct vm_net, mtu), 68, 65535, NULL},
	{"offload_tso", BOOL, offsetof(struct vm_net, offload_tso), 0, 0, NULL},
	{"offload_ufo", BOOL, offsetof(struct vm_net, offload_ufo), 0, 0, NULL},
	{"offload_csum", BOOL, offsetof(struct vm_net, offload_csum), 0, 0, NULL},
	{"drop_foreign_source", BOOL, offsetof(struct vm_net, drop_foreign_source), 0, 0, NULL},
	{"restart", STRING, offsetof(struct vm_net, restart), 0, NAME_LEN_MAX, NULL},
	{"num_queues", REFUSED, 0, 0, 0, "2"},
	{"queue_size", REFUSED, 0, 0, 0, "256"},
	{"host_mac", REFUSED, 0, 0, 0, NULL},
	{"iommu", REFUSED, 0, 0, 0, NULL},
	{"pci_segment", REFUSED, 0, 0, 0, "0"},
	{"pci_device_id", REFUSED, 0, 0, 0, NULL},
	{"vhost_user", REFUSED, 0, 0, 0, NULL},
	{"vhost_socket", REFUSED, 0, 0, 0, NULL},
	{"vhost_mode", REFUSED, 0, 0, 0, "\"Client\""},
	{"rate_limiter_config", REFUSED, 0, 0, 0, NULL},
};

static const struct field fs_fields[] = {
	{"tag", STRING, offsetof(struct vm_fs, tag), 0, NAME_LEN_MAX, NULL},
	{"socket", STRING, offsetof(struct vm_fs, socket), 0, PATH_LEN_MAX, NULL},
	{"id", STRING, offsetof(struct vm_fs, id), 0, NAME_LEN_MAX, NULL},
	{"num_queues", NUMBER, offsetof(struct vm_fs, num_queues), 1, VM_FS_QUEUES_MAX, NULL},
	{"queue_size", NUMBER, offsetof(struct vm_fs, queue_size), 4, 1024, NULL},
	{"pci_segment", REFUSED, 0, 0, 0, "0"},
	{"pci_device_id", REFUSED, 0, 0, 0, NULL},
};

static const struct field console_fields[] = {
	{"mode", MODE, offsetof(struct vm_console, mode), 0, 0, NULL},
	{"file", STRING, offsetof(struct vm_console, file.path), 0, PATH_LEN_MAX, NULL},
	{"size_limit", NUMBER, offsetof(struct vm_console, size_limit), 4096, UINT64_C(1) << 40,
	 NULL},
	{"socket", REFUSED, 0, 0, 0, NULL},
	{"iommu", REFUSED, 0, 0, 0, NULL},
};

static const struct field rng_fields[] = {
	{"src", STRING, offsetof(struct vm_config, rng_src), 0, PATH_LEN_MAX, NULL},
	{"iommu", REFUSED, 0, 0, 0, NULL},
};

/* The objects of VmConfig that have no table of their own. */
static const struct field config_fields[] = {
	{"devices", REFUSED, 0, 0, 0, NULL},
	{"user_devices", REFUSED, 0, 0, 0, NULL},
	{"generic_vhost_user", REFUSED, 0, 0, 0, NULL},
	{"gpu", REFUSED, 0, 0, 0, NULL},
	{"vsock", REFUSED, 0, 0, 0, NULL},
	{"pmem", REFUSED, 0, 0, 0, NULL},
	{"vdpa", REFUSED, 0, 0, 0, NULL},
	{"balloon", REFUSED, 0, 0, 0, NULL},
	{"tpm", REFUSED, 0, 0, 0, NULL},
	{"ivshmem", REFUSED, 0, 0, 0, NULL},
	{"numa", REFUSED, 0, 0, 0, NULL},
	{"sgx_epc", REFUSED, 0, 0, 0, NULL},
	{"pci_segments", REFUSED, 0, 0, 0, NULL},
	{"rate_limit_groups", REFUSED, 0, 0, 0, NULL},
	{"platform", REFUSED, 0, 0, 0,
	 "{} {\"num_pci_segments\":1} {\"iommufd\":false,\"num_pci_segments\":1}"},
	{"debug_console", REFUSED, 0, 0, 0,
	 "{} {\"mode\":\"Off\"} {\"iobase\":233,\"mode\":\"Off\"}"},
	{"watchdog", REFUSED, 0, 0, 0, NULL},
	{"pvpanic", REFUSED, 0, 0, 0, NULL},
	{"pvmemcontrol", REFUSED, 0, 0, 0, NULL},
	{"rtc", REFUSED, 0, 0, 0, NULL},
	{"iommu", REFUSED, 0, 0, 0, NULL},
	{"landlock_enable", REFUSED, 0, 0, 0, NULL},
	{"landlock_rules", REFUSED, 0, 0, 0, NULL},
};

static const struct mode_name {
	const char *name;
	enum vm_console_mode mode;
} mode_names[] = {
	{"Off", VM_CONSOLE_OFF}, {"Null", VM_CONSOLE_NULL}, {"Pty", VM_CONSOLE_PTY},
	{"Tty", VM_CONSOLE_TTY}, {"File", VM_CONSOLE_FILE},
};

/* ---- reading ---- */

/* Does value stand in the space-separated list? */
static bool listed(const char *list, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	size_t len = text ? strlen(text) : 0;
	bool found = false;

	while (len > 0 && *list && !found) {
		size_t word = strcspn(list, " ");

		found = word == len && memcmp(list, text, len) == 0;
		list += word + strspn(list + word, " ");
	}
	free(text);
	return found;
}

static int refuse(const struct field *field, const json_t *value, struct vmm_error *err)
{
	/* A field with a list of its own may be one where false asks for something. */
	if (field->accepted ? listed(field->accepted, value)
			    : json_is_false(value) ||
				      (json_is_array(value) && json_array_size(value) == 0) ||
				      (json_is_object(value) && json_object_size(value) == 0)) {
		return 0;
	}
	return vmm_error_set(err, -EINVAL, "%s: this VMM does not support it%s", field->name,
			     field->accepted ? " with this value" : "");
}

static int read_string(const struct field *field, const json_t *value, char **out,
		       struct vmm_error *err)
{
	if (!json_is_string(value)) {
		return vmm_error_set(err, -EINVAL, "%s: a string is expected", field->name);
	}
	if (json_string_length(value) > field->max) {
		return vmm_error_set(err, -EINVAL, "%s: longer than %llu bytes", field->name,
				     (unsigned long long)field->max);
	}
	*out = strdup(json_string_value(value));
	return *out ? 0 : vmm_error_set(err, -ENOMEM, "out of memory");
}

static int read_number(const struct field *field, const json_t *value, uint64_t *out,
		       struct vmm_error *err)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || (uint64_t)number < field->min ||
	    (uint64_t)number > field->max) {
		return vmm_error_set(err, -EINVAL,
				     "%s: a whole number from %llu to %llu is expected",
				     field->name, (unsigned long long)field->min,
				     (unsigned long long)field->max);
	}
	*out = (uint64_t)number;
	return 0;
}

static int read_mode(const json_t *value, enum vm_console_mode *out, struct vmm_error *err)
{
	const char *text = json_string_value(value);
	size_t i;

	for (i = 0; text && i < COUNT(mode_names); i++) {
		if (strcmp(text, mode_names[i].name) == 0) {
			*out = mode_names[i].mode;
			return 0;
		}
	}
	return vmm_error_set(err, -EINVAL, "mode: one of Off, Null, Pty, Tty or File is expected%s",
			     text && strcmp(text, "Socket") == 0 ? "; Socket is not supported"
								 : "");
}

static int read_field(const struct field *field, const json_t *value, void *base,
		      struct vmm_error *err)
{
	char *at = (char *)base + field->offset;

	switch (field->kind) {
	case STRING:
		return read_string(field, value, (char **)(void *)at, err);
	case BOOL:
		if (!json_is_boolean(value)) {
			return vmm_error_set(err, -EINVAL, "%s: true or false is expected",
					     field->name);
		}
		*(bool *)(void *)at = json_is_true(value);
		return 0;
	case NUMBER:
		return read_number(field, value, (uint64_t *)(void *)at, err);
	case MODE:
		return read_mode(value, (enum vm_console_mode *)(void *)at, err);
	case REFUSED:
		break;
	}
	return refuse(field, value, err);
}

static int read_fields(const json_t *json, const struct field *fields, size_t count, void *base,
		       struct vmm_error *err)
{
	size_t i;

	if (!json_is_object(json)) {
		return vmm_error_set(err, -EINVAL, "an object is expected");
	}
	for (i = 0; i < count; i++) {
		const json_t *value = json_object_get(json, fields[i].name);
		int ret;

		if (!value || json_is_null(value)) {
			continue;
		}
		ret = read_field(&fields[i], value, base, err);
		if (ret < 0) {
			return ret;
		}
	}
	return 0;
}

/* The member `name` of json, read by its table; no such member is fine. */
static int read_part(const json_t *json, const char *name, const struct field *fields, size_t count,
		     void *base, struct vmm_error *err)
{
	const json_t *part = json_object_get(json, name);
	int ret;

	if (!part || json_is_null(part)) {
		return 0;
	}
	ret = read_fields(part, fields, count, base, err);
	return ret < 0 ? vmm_error_wrap(err, ret, "%s", name) : 0;
}

int vm_disk_from_json(struct vm_disk *disk, const json_t *json, struct vmm_error *err)
{
	return read_fields(json, disk_fields, COUNT(disk_fields), disk, err);
}

int vm_net_from_json(struct vm_net *net, const json_t *json, struct vmm_error *err)
{
	const json_t *fds = json_object_get(json, "fds");
	const json_t *given = json_object_get(json, "drop_foreign_source");
	int ret = read_fields(json, net_fields, COUNT(net_fields), net, err);

	if (ret < 0) {
		return ret;
	}
	net->drop_foreign_source_given = json_is_boolean(given);
	if (!fds || json_is_null(fds)) {
		return 0;
	}
	if (!json_is_array(fds) || json_array_size(fds) > FDS_MAX) {
		return vmm_error_set(err, -EINVAL, "fds: an array of descriptors is expected");
	}
	/* The numbers are the sender's and mean nothing here. */
	net->wants_fd = json_array_size(fds) > 0;
	return 0;
}

static int read_disks(struct vm_config *config, const json_t *list, struct vmm_error *err)
{
	size_t i;

	if (!list || json_is_null(list)) {
		return 0;
	}
	if (!json_is_array(list)) {
		return vmm_error_set(err, -EINVAL, "disks: an array is expected");
	}
	for (i = 0; i < json_array_size(list); i++) {
		struct vm_disk disk;
		int ret;

		vm_disk_init(&disk);
		ret = vm_disk_from_json(&disk, json_array_get(list, i), err);
		if (ret == 0) {
			ret = vm_config_add_disk(config, &disk, err);
		}
		vm_disk_finish(&disk);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "disks[%zu]", i);
		}
	}
	return 0;
}

static int read_nets(struct vm_config *config, const json_t *list, struct vmm_error *err)
{
	size_t i;

	if (!list || json_is_null(list)) {
		return 0;
	}
	if (!json_is_array(list)) {
		return vmm_error_set(err, -EINVAL, "net: an array is expected");
	}
	for (i = 0; i < json_array_size(list); i++) {
		struct vm_net net;
		int ret;

		vm_net_init(&net);
		ret = vm_net_from_json(&net, json_array_get(list, i), err);
		if (ret == 0) {
			ret = vm_config_add_net(config, &net, err);
		}
		vm_net_finish(&net);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "net[%zu]", i);
		}
	}
	return 0;
}

int vm_fs_from_json(struct vm_fs *fs, const json_t *json, struct vmm_error *err)
{
	return read_fields(json, fs_fields, COUNT(fs_fields), fs, err);
}

static int read_fs(struct vm_config *config, const json_t *list, struct vmm_error *err)
{
	size_t i;

	if (!list || json_is_null(list)) {
		return 0;
	}
	if (!json_is_array(list)) {
		return vmm_error_set(err, -EINVAL, "fs: an array is expected");
	}
	for (i = 0; i < json_array_size(list); i++) {
		struct vm_fs fs;
		int ret;

		vm_fs_init(&fs);
		ret = vm_fs_from_json(&fs, json_array_get(list, i), err);
		if (ret == 0) {
			ret = vm_config_add_fs(config, &fs, err);
		}
		vm_fs_finish(&fs);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "fs[%zu]", i);
		}
	}
	return 0;
}

static int read_parts(struct vm_config *config, const json_t *json, struct vmm_error *err)
{
	const json_t *cpus = json_object_get(json, "cpus");
	int ret = read_fields(json, config_fields, COUNT(config_fields), config, err);

	if (ret == 0) {
		ret = read_part(json, "payload", payload_fields, COUNT(payload_fields),
				&config->payload, err);
	}
	if (ret == 0) {
		ret = read_part(json, "cpus", cpus_fields, COUNT(cpus_fields), &config->cpus, err);
	}
	if (cpus && !json_object_get(cpus, "max_vcpus")) {
		config->cpus.max_vcpus = config->cpus.boot_vcpus;
	}
	if (ret == 0) {
		ret = read_part(json, "memory", memory_fields, COUNT(memory_fields),
				&config->memory, err);
	}
	if (ret == 0) {
		ret = read_part(json, "console", console_fields, COUNT(console_fields),
				&config->console, err);
	}
	if (ret == 0) {
		ret = read_part(json, "serial", console_fields, COUNT(console_fields),
				&config->serial, err);
	}
	return ret < 0 ? ret : read_part(json, "rng", rng_fields, COUNT(rng_fields), config, err);
}

int vm_config_from_json(struct vm_config *config, const json_t *json, struct vmm_error *err)
{
	int ret = read_parts(config, json, err);

	if (ret == 0) {
		ret = read_disks(config, json_object_get(json, "disks"), err);
	}
	if (ret == 0) {
		ret = read_nets(config, json_object_get(json, "net"), err);
	}
	if (ret == 0) {
		ret = read_fs(config, json_object_get(json, "fs"), err);
	}
	if (ret == 0) {
		ret = vm_config_check(config, err);
	}
	if (ret < 0) {
		vm_config_finish(config);
	}
	return ret;
}

int vm_json_parse(json_t **out, const char *text, size_t len, struct vmm_error *err)
{
	json_error_t why;

	*out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!*out) {
		return vmm_error_set(err, -EINVAL, "JSON, line %d, column %d: %s", why.line,
				     why.column, why.text);
	}
	return 0;
}

/* ---- writing ---- */

/* What the field is when nobody set it: strings NULL, an MTU of 0. */
static json_t *field_value(const struct field *field, const void *base)
{
	const char *at = (const char *)base + field->offset;
	const char *text;
	uint64_t number;
	size_t i;

	switch (field->kind) {
	case STRING:
		text = *(const char *const *)(const void *)at;
		return text ? json_string(text) : NULL;
	case BOOL:
		return json_boolean(*(const bool *)(const void *)at);
	case NUMBER:
		number = *(const uint64_t *)(const void *)at;
		return number < field->min ? NULL : json_integer((json_int_t)number);
	case MODE:
		for (i = 0; i < COUNT(mode_names); i++) {
			if (mode_names[i].mode == *(const enum vm_console_mode *)(const void *)at) {
				return json_string(mode_names[i].name);
			}
		}
		return NULL;
	case REFUSED:
		break;
	}
	return NULL;
}

static json_t *write_fields(const struct field *fields, size_t count, const void *base)
{
	json_t *json = json_object();
	size_t i;

	for (i = 0; i < count; i++) {
		json_t *value = field_value(&fields[i], base);

		if (value) {
			(void)json_object_set_new(json, fields[i].name, value);
		}
	}
	return json;
}

/* The limit is of a file and would only puzzle in any other mode. */
static json_t *write_console(const struct vm_console *console)
{
	json_t *json = write_fields(console_fields, COUNT(console_fields), console);

	if (console->mode != VM_CONSOLE_FILE) {
		(void)json_object_del(json, "size_limit");
	}
	return json;
}

static json_t *write_disks(const struct vm_config *config)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < config->disk_count; i++) {
		json_t *disk = write_fields(disk_fields, COUNT(disk_fields), &config->disks[i]);

		(void)json_object_set_new(disk, "num_queues", json_integer(1));
		(void)json_array_append_new(list, disk);
	}
	return list;
}

static json_t *write_nets(const struct vm_config *config)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < config->net_count; i++) {
		json_t *net = write_fields(net_fields, COUNT(net_fields), &config->nets[i]);

		(void)json_object_set_new(net, "num_queues", json_integer(2));
		(void)json_object_set_new(net, "queue_size", json_integer(256));
		if (!config->nets[i].tap) {
			(void)json_object_set_new(net, "fds", json_pack("[i]", -1));
		}
		(void)json_array_append_new(list, net);
	}
	return list;
}

static json_t *write_fs(const struct vm_config *config)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < config->fs_count; i++) {
		(void)json_array_append_new(
			list, write_fields(fs_fields, COUNT(fs_fields), &config->fs[i]));
	}
	return list;
}

/* json_object_set_new and its like take NULL for a failure, so one check at the end will do. */
json_t *vm_config_to_json(const struct vm_config *config)
{
	json_t *json = json_object();
	int bad = 0;

	bad |= json_object_set_new(
		json, "payload",
		write_fields(payload_fields, COUNT(payload_fields), &config->payload));
	bad |= json_object_set_new(json, "cpus",
				   write_fields(cpus_fields, COUNT(cpus_fields), &config->cpus));
	bad |= json_object_set_new(
		json, "memory", write_fields(memory_fields, COUNT(memory_fields), &config->memory));
	if (config->disk_count > 0) {
		bad |= json_object_set_new(json, "disks", write_disks(config));
	}
	if (config->net_count > 0) {
		bad |= json_object_set_new(json, "net", write_nets(config));
	}
	if (config->fs_count > 0) {
		bad |= json_object_set_new(json, "fs", write_fs(config));
	}
	bad |= json_object_set_new(
		json, "rng",
		json_pack("{s:s}", "src", config->rng_src ? config->rng_src : "/dev/urandom"));
	bad |= json_object_set_new(json, "console", write_console(&config->console));
	bad |= json_object_set_new(json, "serial", write_console(&config->serial));
	if (bad) {
		json_decref(json);
		return NULL;
	}
	return json;
}
