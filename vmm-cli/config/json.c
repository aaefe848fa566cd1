/* SPDX-License-Identifier: MIT */
/*
 * VmConfig in JSON, as cloud-hypervisor writes it, in both directions.
 * Every object is a table of its fields (config/fields.h).
 */
#include "config/fields.h"
#include "config/foreign.h"
#include "config/gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CMDLINE_LEN_MAX 65535
#define FDS_MAX         64

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
	{"hugepages", BOOL, offsetof(struct vm_memory, huge_pages), 0, 0, NULL},
	{"hugepage_size", REFUSED, 0, 0, 0, "2097152"},
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
	{"vhost_user", BOOL, offsetof(struct vm_disk, vhost_user), 0, 0, NULL},
	{"vhost_socket", STRING, offsetof(struct vm_disk, vhost_socket), 0, PATH_LEN_MAX, NULL},
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
	{"vhost_user", BOOL, offsetof(struct vm_net, vhost_user), 0, 0, NULL},
	{"vhost_socket", STRING, offsetof(struct vm_net, vhost_socket), 0, PATH_LEN_MAX, NULL},
	{"vhost_mode", REFUSED, 0, 0, 0, "\"Client\""},
	{"rate_limiter_config", REFUSED, 0, 0, 0, NULL},
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
	{"name", STRING, offsetof(struct vm_config, name), 0, NAME_LEN_MAX, NULL},
	{"poll_us", NUMBER, offsetof(struct vm_config, poll_us), 0, VM_POLL_US_MAX, NULL},
	{"transport", TRANSPORT, offsetof(struct vm_config, transport), 0, 0, NULL},
	{"devices", REFUSED, 0, 0, 0, NULL},
	{"user_devices", REFUSED, 0, 0, 0, NULL},
	{"generic_vhost_user", REFUSED, 0, 0, 0, NULL},
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

/* ---- reading ---- */

int vm_disk_from_json(struct vm_disk *disk, const json_t *json, struct vmm_error *err)
{
	return vm_read_fields(json, disk_fields, FIELD_COUNT(disk_fields), disk, err);
}

int vm_net_from_json(struct vm_net *net, const json_t *json, struct vmm_error *err)
{
	const json_t *fds = json_object_get(json, "fds");
	const json_t *given = json_object_get(json, "drop_foreign_source");
	int ret = vm_read_fields(json, net_fields, FIELD_COUNT(net_fields), net, err);

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

static int read_parts(struct vm_config *config, const json_t *json, struct vmm_error *err)
{
	const json_t *cpus = json_object_get(json, "cpus");
	int ret = vm_read_fields(json, config_fields, FIELD_COUNT(config_fields), config, err);

	if (ret == 0) {
		ret = vm_read_part(json, "payload", payload_fields, FIELD_COUNT(payload_fields),
				   &config->payload, err);
	}
	if (ret == 0) {
		ret = vm_read_part(json, "cpus", cpus_fields, FIELD_COUNT(cpus_fields),
				   &config->cpus, err);
	}
	if (cpus && !json_object_get(cpus, "max_vcpus")) {
		config->cpus.max_vcpus = config->cpus.boot_vcpus;
	}
	if (ret == 0) {
		ret = vm_read_part(json, "memory", memory_fields, FIELD_COUNT(memory_fields),
				   &config->memory, err);
	}
	if (ret == 0) {
		ret = vm_read_part(json, "console", console_fields, FIELD_COUNT(console_fields),
				   &config->console, err);
	}
	if (ret == 0) {
		ret = vm_read_part(json, "serial", console_fields, FIELD_COUNT(console_fields),
				   &config->serial, err);
	}
	return ret < 0 ? ret
		       : vm_read_part(json, "rng", rng_fields, FIELD_COUNT(rng_fields), config,
				      err);
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
		ret = vm_fs_read_all(config, json_object_get(json, "fs"), err);
	}
	if (ret == 0) {
		ret = vm_gpu_read_all(config, json_object_get(json, "gpu"), err);
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

/* The limit is of a file and would only puzzle in any other mode. */
static json_t *write_console(const struct vm_console *console)
{
	json_t *json = vm_write_fields(console_fields, FIELD_COUNT(console_fields), console);

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
		json_t *disk =
			vm_write_fields(disk_fields, FIELD_COUNT(disk_fields), &config->disks[i]);

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
		json_t *net =
			vm_write_fields(net_fields, FIELD_COUNT(net_fields), &config->nets[i]);

		(void)json_object_set_new(net, "num_queues", json_integer(2));
		(void)json_object_set_new(net, "queue_size", json_integer(256));
		if (!config->nets[i].tap && !config->nets[i].vhost_user) {
			(void)json_object_set_new(net, "fds", json_pack("[i]", -1));
		}
		(void)json_array_append_new(list, net);
	}
	return list;
}

/* json_object_set_new and its like take NULL for a failure, so one check at the end will do. */
json_t *vm_config_to_json(const struct vm_config *config)
{
	json_t *json = json_object();
	int bad = 0;

	if (config->name) {
		bad |= json_object_set_new(json, "name", json_string(config->name));
	}
	bad |= json_object_set_new(
		json, "payload",
		vm_write_fields(payload_fields, FIELD_COUNT(payload_fields), &config->payload));
	bad |= json_object_set_new(
		json, "cpus",
		vm_write_fields(cpus_fields, FIELD_COUNT(cpus_fields), &config->cpus));
	bad |= json_object_set_new(
		json, "memory",
		vm_write_fields(memory_fields, FIELD_COUNT(memory_fields), &config->memory));
	if (config->disk_count > 0) {
		bad |= json_object_set_new(json, "disks", write_disks(config));
	}
	if (config->net_count > 0) {
		bad |= json_object_set_new(json, "net", write_nets(config));
	}
	if (config->fs_count > 0) {
		bad |= json_object_set_new(json, "fs", vm_fs_write_all(config));
	}
	if (config->gpu_count > 0) {
		bad |= json_object_set_new(json, "gpu", vm_gpu_write_all(config));
	}
	bad |= json_object_set_new(
		json, "rng",
		json_pack("{s:s}", "src", config->rng_src ? config->rng_src : "/dev/urandom"));
	bad |= json_object_set_new(json, "poll_us", json_integer((json_int_t)config->poll_us));
	bad |= json_object_set_new(json, "transport",
				   json_string(vm_transport_name(config->transport)));
	bad |= json_object_set_new(json, "console", write_console(&config->console));
	bad |= json_object_set_new(json, "serial", write_console(&config->serial));
	if (bad) {
		json_decref(json);
		return NULL;
	}
	return json;
}
