/* SPDX-License-Identifier: MIT */
/*
 * The config's life, and the rules that hold however it was written down.
 */
#include "config/devices.h"
#include "config/foreign.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MEMORY_DEFAULT  (UINT64_C(512) << 20)
#define QUEUE_SIZE_DISK 128

static void file_init(struct vm_file *file)
{
	file->path = NULL;
	file->fd = -1;
}

static void file_finish(struct vm_file *file)
{
	free(file->path);
	if (file->fd >= 0) {
		close(file->fd);
	}
	file_init(file);
}

void vm_disk_init(struct vm_disk *disk)
{
	memset(disk, 0, sizeof(*disk));
	file_init(&disk->file);
	disk->sparse = true;
	disk->queue_size = QUEUE_SIZE_DISK;
}

void vm_disk_finish(struct vm_disk *disk)
{
	free(disk->id);
	free(disk->serial);
	free(disk->restart);
	free(disk->vhost_socket);
	file_finish(&disk->file);
	vm_disk_init(disk);
}

void vm_net_init(struct vm_net *net)
{
	memset(net, 0, sizeof(*net));
	net->fd = -1;
	net->offload_tso = true;
	net->offload_ufo = true;
	net->offload_csum = true;
}

void vm_net_finish(struct vm_net *net)
{
	free(net->id);
	free(net->tap);
	free(net->ip);
	free(net->mask);
	free(net->mac_text);
	free(net->restart);
	free(net->vhost_socket);
	if (net->fd >= 0) {
		close(net->fd);
	}
	vmm_tap_destroy(net->handle);
	vm_net_init(net);
}

uint64_t vm_config_poll_us(const struct vm_config *config)
{
	cpu_set_t cpus;

	if (config->poll_us != VM_POLL_US_AUTO) {
		return config->poll_us;
	}
	return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) < 2
		       ? 0
		       : VM_POLL_US_DEFAULT;
}

void vm_config_init(struct vm_config *config)
{
	memset(config, 0, sizeof(*config));
	file_init(&config->payload.kernel);
	file_init(&config->payload.initramfs);
	config->cpus.boot_vcpus = 1;
	config->cpus.max_vcpus = 1;
	config->memory.size = MEMORY_DEFAULT;
	config->console.mode = VM_CONSOLE_TTY;
	config->serial.mode = VM_CONSOLE_NULL;
	file_init(&config->console.file);
	file_init(&config->serial.file);
	config->console.size_limit = VM_SERIAL_LIMIT_DEFAULT;
	config->serial.size_limit = VM_SERIAL_LIMIT_DEFAULT;
	config->poll_us = VM_POLL_US_AUTO;
}

void vm_config_finish(struct vm_config *config)
{
	vm_config_finish_lists(config);
	free(config->name);
	file_finish(&config->payload.kernel);
	file_finish(&config->payload.initramfs);
	free(config->payload.cmdline);
	file_finish(&config->console.file);
	file_finish(&config->serial.file);
	free(config->rng_src);
	free(config->net_provider);
	vm_config_init(config);
}

/* ---- disks ---- */

static int check_disk(const struct vm_config *config, const struct vm_disk *disk,
		      struct vmm_error *err)
{
	size_t i;

	if (vm_config_check_restart(disk->restart, err) < 0 ||
	    vm_config_check_queue_size(disk->queue_size, err) < 0) {
		return -EINVAL;
	}
	if (disk->vhost_user || disk->vhost_socket) {
		return vm_disk_check_foreign(disk, err);
	}
	if (disk->file.fd < 0 && (!disk->file.path || !disk->file.path[0])) {
		return vmm_error_set(err, -EINVAL, "path is missing");
	}
	if (disk->serial && strlen(disk->serial) > 20) {
		return vmm_error_set(err, -EINVAL, "serial '%.40s': at most 20 bytes",
				     disk->serial);
	}
	/* Two devices on one file are safe as long as neither writes. */
	for (i = 0; i < config->disk_count; i++) {
		const struct vm_disk *other = &config->disks[i];

		if (disk->file.path && other->file.path &&
		    strcmp(disk->file.path, other->file.path) == 0 &&
		    !(disk->readonly && other->readonly)) {
			return vmm_error_set(err, -EEXIST, "path '%.200s' is used twice, by %s too",
					     disk->file.path, other->id);
		}
	}
	return 0;
}

int vm_config_add_disk(struct vm_config *config, struct vm_disk *disk, struct vmm_error *err)
{
	const char *name = disk->id ? disk->id : "disk";
	int ret;

	ret = vm_config_check_room(config, 1, err);
	if (ret == 0) {
		ret = check_disk(config, disk, err);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "%.40s", name);
	}
	ret = vm_config_give_id(config, &disk->id, "disk", err);
	if (ret == 0) {
		ret = vm_config_append(config, VM_LIST_DISKS, disk, err);
	}
	if (ret == 0) {
		vm_disk_init(disk);
	}
	return ret;
}

/* ---- network cards ---- */

static int hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int vm_mac_parse(uint8_t mac[6], const char *text)
{
	uint8_t all = 0;
	size_t i;

	if (strlen(text) != 17) {
		return -EINVAL;
	}
	for (i = 0; i < 6; i++) {
		int high = hex(text[3 * i]);
		int low = hex(text[3 * i + 1]);

		if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) {
			return -EINVAL;
		}
		mac[i] = (uint8_t)(high << 4 | low);
		all |= mac[i];
	}
	return all == 0 || (mac[0] & 1) != 0 ? -EINVAL : 0;
}

/* An address nobody chose: locally administered, not a group's. */
static int random_mac(struct vm_net *net)
{
	char text[18];

	if (getrandom(net->mac, sizeof(net->mac), 0) != (ssize_t)sizeof(net->mac)) {
		return -EIO;
	}
	net->mac[0] = (uint8_t)((net->mac[0] & 0xfc) | 0x02);
	(void)snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", net->mac[0],
		       net->mac[1], net->mac[2], net->mac[3], net->mac[4], net->mac[5]);
	net->mac_text = strdup(text);
	return net->mac_text ? 0 : -ENOMEM;
}

static int check_net_fields(const struct vm_net *net, struct vmm_error *err)
{
	bool open = net->fd >= 0 || net->handle;

	if (vm_config_check_restart(net->restart, err) < 0) {
		return -EINVAL;
	}
	if (net->vhost_user || net->vhost_socket) {
		return vm_net_check_foreign(net, err);
	}
	if (!open && net->wants_fd) {
		return vmm_error_set(
			err, -EINVAL,
			"fds: descriptors must be sent with SCM_RIGHTS, to vm.add-net");
	}
	if (!open && !net->tap) {
		return vmm_error_set(err, -EINVAL,
				     "tap is missing: name a tap of the host or send a descriptor");
	}
	if (!open && (net->ip || net->mask)) {
		return vmm_error_set(err, -EINVAL,
				     "ip: addresses of the host are not set here; give the tap "
				     "one with 'ip address add'");
	}
	/* IFNAMSIZ less its NUL. */
	if (net->tap && (strlen(net->tap) > 15 || !net->tap[0] || strpbrk(net->tap, "/: \t\n%"))) {
		return vmm_error_set(err, -EINVAL, "tap '%.40s': not a name of an interface",
				     net->tap);
	}
	if (net->mtu != 0 && (net->mtu < 68 || net->mtu > 65535)) {
		return vmm_error_set(err, -EINVAL, "mtu: 68 to 65535");
	}
	return 0;
}

static int check_net(const struct vm_config *config, struct vm_net *net, struct vmm_error *err)
{
	size_t i;

	if (net->mac_text && vm_mac_parse(net->mac, net->mac_text) < 0) {
		return vmm_error_set(err, -EINVAL,
				     "mac '%.40s': not an address of one network card",
				     net->mac_text);
	}
	for (i = 0; i < config->net_count; i++) {
		const struct vm_net *other = &config->nets[i];

		if (net->tap && other->tap && strcmp(net->tap, other->tap) == 0) {
			return vmm_error_set(err, -EEXIST, "tap '%s' is used twice, by %s too",
					     net->tap, other->id);
		}
		if (net->mac_text && memcmp(net->mac, other->mac, sizeof(net->mac)) == 0) {
			return vmm_error_set(err, -EEXIST, "mac '%s' is used twice, by %s too",
					     net->mac_text, other->id);
		}
	}
	return check_net_fields(net, err);
}

/* The client side of a link between two VMs: an application VM's card. */
static bool is_client_mac(const uint8_t mac[6])
{
	static const uint8_t prefix[] = {0x0a, 0xb3, 0xec, 0x00};

	return memcmp(mac, prefix, sizeof(prefix)) == 0;
}

int vm_config_add_net(struct vm_config *config, struct vm_net *net, struct vmm_error *err)
{
	const char *name = net->id ? net->id : "net";
	int ret;

	ret = vm_config_check_room(config, 1, err);
	if (ret == 0) {
		ret = check_net(config, net, err);
	}
	if (ret == 0 && !net->mac_text) {
		ret = random_mac(net);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "%.40s", name);
	}
	ret = vm_config_give_id(config, &net->id, "net", err);
	if (ret < 0) {
		return ret;
	}
	if (!net->drop_foreign_source_given && !net->vhost_user) {
		net->drop_foreign_source = is_client_mac(net->mac);
	}
	ret = vm_config_append(config, VM_LIST_NETS, net, err);
	if (ret == 0) {
		vm_net_init(net);
	}
	return ret;
}

/* ---- the whole ---- */

static int check_console(const struct vm_console *console, const char *name, struct vmm_error *err)
{
	if (console->mode == VM_CONSOLE_FILE && console->file.fd < 0 &&
	    (!console->file.path || !console->file.path[0])) {
		return vmm_error_set(err, -EINVAL, "%s.file is missing: mode File needs it", name);
	}
	return 0;
}

int vm_config_check(const struct vm_config *config, struct vmm_error *err)
{
	int ret;

	if (config->payload.kernel.fd < 0 &&
	    (!config->payload.kernel.path || !config->payload.kernel.path[0])) {
		return vmm_error_set(err, -EINVAL, "payload.kernel is missing");
	}
	if (config->name && vm_name_check(config->name, err) < 0) {
		return vmm_error_wrap(err, -EINVAL, "name");
	}
	if (config->cpus.max_vcpus != config->cpus.boot_vcpus) {
		return vmm_error_set(err, -EINVAL,
				     "cpus.max_vcpus: vCPUs cannot be added to a running VM, so it "
				     "must equal boot_vcpus");
	}
	if (config->memory.size % (UINT64_C(2) << 20) != 0) {
		return vmm_error_set(err, -EINVAL, "memory.size: must be a multiple of 2 MiB");
	}
	if (config->rng_src && strcmp(config->rng_src, "/dev/urandom") != 0 &&
	    strcmp(config->rng_src, "/dev/random") != 0) {
		return vmm_error_set(err, -EINVAL,
				     "rng.src: random bytes come from the kernel's pool, so only "
				     "'/dev/urandom' can be named");
	}
	ret = check_console(&config->console, "console", err);
	return ret < 0 ? ret : check_console(&config->serial, "serial", err);
}

/* A JSON string is made of UTF-8 only. */
static bool is_utf8(const char *name)
{
	json_t *text = json_string(name);

	json_decref(text);
	return text != NULL;
}

int vm_name_check(const char *name, struct vmm_error *err)
{
	const char *why = NULL;
	size_t len = strlen(name);
	bool ascii = true;
	size_t i;

	if (len == 0 || len > VM_NAME_MAX) {
		return vmm_error_set(err, -EINVAL, "a VM's name is 1 to %d bytes long",
				     VM_NAME_MAX);
	}
	for (i = 0; i < len; i++) {
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f) {
			return vmm_error_set(err, -EINVAL,
					     "a VM's name has no spaces or control characters");
		}
		ascii = ascii && (unsigned char)name[i] < 0x80;
	}
	if (strpbrk(name, ":/,=")) {
		why = "must not contain any of : / , =";
	} else if (name[0] == '.' || name[0] == '-') {
		why = "must not begin with '.' or '-'";
	}
	if (!ascii && !is_utf8(name)) {
		return vmm_error_set(err, -EINVAL, "a VM's name must be UTF-8");
	}
	return why ? vmm_error_set(err, -EINVAL, "VM name '%s': it %s", name, why) : 0;
}

int vm_size_parse(uint64_t *out, const char *text)
{
	uint64_t value;
	unsigned shift = 0;
	char *end;

	if (text[0] < '0' || text[0] > '9') {
		return -EINVAL;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0) {
		return -ERANGE;
	}
	switch (*end) {
	case 'K':
	case 'k':
		shift = 10;
		break;
	case 'M':
	case 'm':
		shift = 20;
		break;
	case 'G':
	case 'g':
		shift = 30;
		break;
	case '\0':
		break;
	default:
		return -EINVAL;
	}
	if (shift != 0 && end[1] != '\0') {
		return -EINVAL;
	}
	if (value > UINT64_MAX >> shift) {
		return -ERANGE;
	}
	*out = value << shift;
	return 0;
}
