/* SPDX-License-Identifier: MIT */
/*
 * Cards on bridges of the host: a VM that leads to the network, such as netvm on a machine whose
 * network card is not passed through to it, has an empty file bridges/NAME in its directory for
 * each bridge it joins.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "instance_private.h"

#define BRIDGES_MAX 8

/*
 * Unlike the addresses of links between VMs (network_names), these say nothing to a guest but that
 * the card is not such a link.
 */
static int join_bridge(const char *socket, const char *bridge, pid_t pid, unsigned index,
		       struct vmm_error *err)
{
	unsigned low = (unsigned)pid & 0xffffu;
	char mac[NETWORK_MAC_LEN];
	char tap[IFNAMSIZ];

	(void)snprintf(tap, sizeof(tap), "up%d.%u", (int)pid, index);
	(void)snprintf(mac, sizeof(mac), "0E:B3:EC:%02X:%02X:%02X", index & 0xffu, low >> 8,
		       low & 0xffu);
	return instance_give_tap(socket, bridge, tap, mac, err);
}

static int is_bridge_name(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int instance_join_bridges(const struct instance_roots *roots, const char *name, const char *socket,
			  struct vmm_error *err)
{
	char path[PATH_MAX + NAME_MAX];
	struct dirent **entries;
	int count;
	int ret = 0;

	(void)snprintf(path, sizeof(path), "%s/%s/bridges", roots->vms, name);
	count = scandir(path, &entries, is_bridge_name, alphasort);
	if (count < 0) {
		return errno == ENOENT ? 0 : vmm_error_wrap(err, -errno, "'%s'", path);
	}
	if (count > BRIDGES_MAX) {
		ret = vmm_error_set(err, -E2BIG, "'%s': more than %d bridges", path, BRIDGES_MAX);
	}
	for (int i = 0; i < count; i++) {
		if (ret == 0) {
			ret = join_bridge(socket, entries[i]->d_name, instance_pid(roots, name),
					  (unsigned)i, err);
		}
		free(entries[i]);
	}
	free(entries);
	return ret < 0 ? vmm_error_wrap(err, ret, "network of VM '%s'", name) : 0;
}
