/* SPDX-License-Identifier: MIT */
/* The lists of devices in struct vm_config, and their ids, whatever the devices are. */
#include "config/devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* ---- lists ---- */

static void finish_disk(void *disk)
{
	vm_disk_finish(disk);
}

static void finish_net(void *net)
{
	vm_net_finish(net);
}

static void finish_fs(void *fs)
{
	vm_fs_finish(fs);
}

static void finish_gpu(void *gpu)
{
	vm_gpu_finish(gpu);
}

/* Each list's items begin with their id. */
static const struct list {
	size_t items; /* offsets in struct vm_config */
	size_t count;
	size_t size; /* of an item */
	void (*finish)(void *item);
} lists[] = {
	[VM_LIST_DISKS] = {offsetof(struct vm_config, disks),
			   offsetof(struct vm_config, disk_count), sizeof(struct vm_disk),
			   finish_disk},
	[VM_LIST_NETS] = {offsetof(struct vm_config, nets), offsetof(struct vm_config, net_count),
			  sizeof(struct vm_net), finish_net},
	[VM_LIST_FS] = {offsetof(struct vm_config, fs), offsetof(struct vm_config, fs_count),
			sizeof(struct vm_fs), finish_fs},
	[VM_LIST_GPUS] = {offsetof(struct vm_config, gpus), offsetof(struct vm_config, gpu_count),
			  sizeof(struct vm_gpu), finish_gpu},
};

#define LISTS (sizeof(lists) / sizeof(lists[0]))

static size_t list_count(const struct vm_config *config, const struct list *list)
{
	size_t count;

	memcpy(&count, (const char *)config + list->count, sizeof(count));
	return count;
}

static void *list_items(const struct vm_config *config, const struct list *list)
{
	void *items;

	memcpy(&items, (const char *)config + list->items, sizeof(items));
	return items;
}

static void list_set(struct vm_config *config, const struct list *list, void *items, size_t count)
{
	memcpy((char *)config + list->items, &items, sizeof(items));
	memcpy((char *)config + list->count, &count, sizeof(count));
}

struct place {
	const struct list *list;
	size_t index;
};

static bool find(const struct vm_config *config, const char *id, struct place *out)
{
	for (size_t l = 0; l < LISTS; l++) {
		const char *items = list_items(config, &lists[l]);

		for (size_t i = 0; i < list_count(config, &lists[l]); i++) {
			const char *own;

			memcpy(&own, items + i * lists[l].size, sizeof(own));
			if (strcmp(own, id) == 0) {
				*out = (struct place){&lists[l], i};
				return true;
			}
		}
	}
	return false;
}

int vm_config_append(struct vm_config *config, enum vm_list which, const void *item,
		     struct vmm_error *err)
{
	const struct list *list = &lists[which];
	size_t count = list_count(config, list);
	char *grown = realloc(list_items(config, list), (count + 1) * list->size);

	if (!grown) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	memcpy(grown + count * list->size, item, list->size);
	list_set(config, list, grown, count + 1);
	return 0;
}

int vm_config_remove(struct vm_config *config, const char *id)
{
	struct place place;
	size_t count;
	char *item;

	if (!find(config, id, &place)) {
		return -ENOENT;
	}
	count = list_count(config, place.list) - 1;
	item = (char *)list_items(config, place.list) + place.index * place.list->size;
	place.list->finish(item);
	memmove(item, item + place.list->size, (count - place.index) * place.list->size);
	list_set(config, place.list, list_items(config, place.list), count);
	return 0;
}

void vm_config_finish_lists(struct vm_config *config)
{
	for (size_t l = 0; l < LISTS; l++) {
		char *items = list_items(config, &lists[l]);

		for (size_t i = 0; i < list_count(config, &lists[l]); i++) {
			lists[l].finish(items + i * lists[l].size);
		}
		free(items);
		list_set(config, &lists[l], NULL, 0);
	}
}

/* ---- ids ---- */

static bool id_taken(const struct vm_config *config, const char *id)
{
	struct place place;

	return find(config, id, &place);
}

/* Ids go into logs, replies and thread names: a plain alphabet keeps all of them unambiguous. */
static int id_check(const struct vm_config *config, const char *id, struct vmm_error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t len = strlen(id);

	if (len == 0 || len > VM_ID_MAX || strspn(id, allowed) != len) {
		return vmm_error_set(
			err, -EINVAL,
			"id '%.40s': an id is 1 to %d letters, digits, '.', '_' or '-'", id,
			VM_ID_MAX);
	}
	if (id[0] == '_' && id[1] == '_') {
		return vmm_error_set(err, -EINVAL, "id '%s': '__' is for the VMM's own devices",
				     id);
	}
	if (id_taken(config, id)) {
		return vmm_error_set(err, -EEXIST, "id '%s' is used twice", id);
	}
	return 0;
}

int vm_config_give_id(struct vm_config *config, char **id, const char *kind, struct vmm_error *err)
{
	char buf[VM_ID_MAX + 1];

	if (*id) {
		return id_check(config, *id, err);
	}
	do {
		(void)snprintf(buf, sizeof(buf), "_%s%u", kind, config->next_id++);
	} while (id_taken(config, buf));
	*id = strdup(buf);
	return *id ? 0 : vmm_error_set(err, -ENOMEM, "out of memory");
}

int vm_config_check_room(const struct vm_config *config, size_t more, struct vmm_error *err)
{
	size_t count = 0;

	for (size_t l = 0; l < LISTS; l++) {
		count += list_count(config, &lists[l]);
	}
	/* A window brings a keyboard and a pointer. */
	for (size_t i = 0; i < config->gpu_count; i++) {
		count += vm_gpu_has_window(&config->gpus[i]) ? 2 : 0;
	}
	if (count + more > VM_DEVICES_MAX) {
		return vmm_error_set(err, -ENOSPC,
				     "a VM has room for %d disks, network devices, file systems "
				     "and GPUs",
				     VM_DEVICES_MAX);
	}
	return 0;
}

/* ---- fields that several have ---- */

int vm_config_check_restart(const char *word, struct vmm_error *err)
{
	if (word && strcmp(word, "always") != 0 && strcmp(word, "never") != 0) {
		return vmm_error_set(err, -EINVAL, "restart '%.40s': 'always' or 'never'", word);
	}
	return 0;
}

int vm_config_check_queue_size(uint64_t size, struct vmm_error *err)
{
	if (size < 4 || size > 1024 || (size & (size - 1)) != 0) {
		return vmm_error_set(err, -EINVAL, "queue_size: a power of two from 4 to 1024");
	}
	return 0;
}

int vm_config_check_socket(const char *field, const char *path, struct vmm_error *err)
{
	if (!path || !path[0]) {
		return vmm_error_set(err, -EINVAL, "%s is missing", field);
	}
	if (strlen(path) > SOCKET_PATH_MAX) {
		return vmm_error_set(err, -EINVAL, "%s '%.40s...': longer than %zu bytes", field,
				     path, SOCKET_PATH_MAX);
	}
	return 0;
}
