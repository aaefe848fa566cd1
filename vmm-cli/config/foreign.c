/* SPDX-License-Identifier: MIT */
#include "config/foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/devices.h"
#include "config/fields.h"

#define QUEUE_SIZE_FS 1024

/* ---- disks and network cards ---- */

static int check_pair(bool vhost_user, const char *path, struct vmm_error *err)
{
	if (!vhost_user) {
		return vmm_error_set(err, -EINVAL, "vhost_socket: only with vhost_user");
	}
	return vm_config_check_socket("vhost_socket", path, err);
}

static int not_here(const char *field, struct vmm_error *err)
{
	return vmm_error_set(err, -EINVAL, "%s: not with vhost_user, whose back end decides that",
			     field);
}

int vm_disk_check_foreign(const struct vm_disk *disk, struct vmm_error *err)
{
	if (disk->file.fd >= 0 || disk->file.path) {
		return not_here("path", err);
	}
	if (disk->serial || disk->readonly || disk->restart) {
		return not_here(disk->serial     ? "serial"
				: disk->readonly ? "readonly"
						 : "restart",
				err);
	}
	return check_pair(disk->vhost_user, disk->vhost_socket, err);
}

int vm_net_check_foreign(const struct vm_net *net, struct vmm_error *err)
{
	if (net->fd >= 0 || net->wants_fd || net->tap || net->ip || net->mask) {
		return not_here(net->tap ? "tap" : net->ip || net->mask ? "ip" : "fds", err);
	}
	if (net->drop_foreign_source || net->restart) {
		return not_here(net->restart ? "restart" : "drop_foreign_source", err);
	}
	return check_pair(net->vhost_user, net->vhost_socket, err);
}

/* ---- file systems ---- */

static const struct field fs_fields[] = {
	{"tag", STRING, offsetof(struct vm_fs, tag), 0, NAME_LEN_MAX, NULL},
	{"socket", STRING, offsetof(struct vm_fs, socket), 0, PATH_LEN_MAX, NULL},
	{"id", STRING, offsetof(struct vm_fs, id), 0, NAME_LEN_MAX, NULL},
	{"num_queues", NUMBER, offsetof(struct vm_fs, num_queues), 1, VM_FS_QUEUES_MAX, NULL},
	{"queue_size", NUMBER, offsetof(struct vm_fs, queue_size), 4, 1024, NULL},
	{"pci_segment", REFUSED, 0, 0, 0, "0"},
	{"pci_device_id", REFUSED, 0, 0, 0, NULL},
};

void vm_fs_init(struct vm_fs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->num_queues = 1;
	fs->queue_size = QUEUE_SIZE_FS;
}

void vm_fs_finish(struct vm_fs *fs)
{
	free(fs->id);
	free(fs->tag);
	free(fs->socket);
	vm_fs_init(fs);
}

static int check_fs(const struct vm_config *config, const struct vm_fs *fs, struct vmm_error *err)
{
	size_t len = fs->tag ? strlen(fs->tag) : 0;

	if (len == 0 || len > VM_FS_TAG_MAX) {
		return vmm_error_set(err, -EINVAL, "tag: 1 to %d bytes are expected",
				     VM_FS_TAG_MAX);
	}
	if (vm_config_check_socket("socket", fs->socket, err) < 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < config->fs_count; i++) {
		if (strcmp(fs->tag, config->fs[i].tag) == 0) {
			return vmm_error_set(err, -EEXIST, "tag '%s' is used twice, by %s too",
					     fs->tag, config->fs[i].id);
		}
		if (strcmp(fs->socket, config->fs[i].socket) == 0) {
			return vmm_error_set(err, -EEXIST, "socket '%s' is used twice, by %s too",
					     fs->socket, config->fs[i].id);
		}
	}
	return vm_config_check_queue_size(fs->queue_size, err);
}

int vm_config_add_fs(struct vm_config *config, struct vm_fs *fs, struct vmm_error *err)
{
	const char *name = fs->id ? fs->id : "fs";
	int ret = vm_config_check_room(config, 1, err);

	if (ret == 0) {
		ret = check_fs(config, fs, err);
	}
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "%.40s", name);
	}
	ret = vm_config_give_id(config, &fs->id, "fs", err);
	if (ret == 0) {
		ret = vm_config_append(config, VM_LIST_FS, fs, err);
	}
	if (ret == 0) {
		vm_fs_init(fs);
	}
	return ret;
}

int vm_fs_from_json(struct vm_fs *fs, const json_t *json, struct vmm_error *err)
{
	return vm_read_fields(json, fs_fields, FIELD_COUNT(fs_fields), fs, err);
}

int vm_fs_read_all(struct vm_config *config, const json_t *list, struct vmm_error *err)
{
	if (!list || json_is_null(list)) {
		return 0;
	}
	if (!json_is_array(list)) {
		return vmm_error_set(err, -EINVAL, "fs: an array is expected");
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
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

json_t *vm_fs_write_all(const struct vm_config *config)
{
	json_t *list = json_array();

	for (size_t i = 0; i < config->fs_count; i++) {
		(void)json_array_append_new(
			list, vm_write_fields(fs_fields, FIELD_COUNT(fs_fields), &config->fs[i]));
	}
	return list;
}
