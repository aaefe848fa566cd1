/* SPDX-License-Identifier: MIT */
/*
 * How a VM comes to be: its runtime directory, the VM in its VMM, its network.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "api/client.h"
#include "config/config.h"
#include "instance_private.h"

/* Longer than a watcher needs to clean up behind a VMM that has just died. */
#define LOCK_WAIT_MS 5000
/* VMMs that are started to find one whose address is free. */
#define LAUNCHES_MAX 4

static int create_vm(const struct instance_roots *roots, const char *name, const char *socket,
		     struct vmm_error *err)
{
	char directory[PATH_MAX + NAME_MAX];
	char serial_log[PATH_MAX];
	struct vm_config config;
	json_t *json;
	int ret = instance_path(roots, name, "serial.log", serial_log, err);

	if (ret < 0) {
		return ret;
	}
	(void)snprintf(directory, sizeof(directory), "%s/%s", roots->vms, name);
	vm_config_init(&config);
	ret = vm_config_from_directory(&config, directory, serial_log, err);
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "VM '%s'", name);
	}
	json = vm_config_to_json(&config);
	vm_config_finish(&config);
	if (!json) {
		return vmm_error_set(err, -ENOMEM, "VM '%s': out of memory", name);
	}
	ret = api_call(socket, "PUT", "vm.create", json, NULL, 0, NULL, err);
	json_decref(json);
	return ret < 0 ? vmm_error_wrap(err, ret, "VM '%s'", name) : 0;
}

int instance_give_tap(const char *socket, const char *bridge, const char *tap, const char *mac,
		      struct vmm_error *err)
{
	json_t *body = json_pack("{s:s, s:s}", "id", tap, "mac", mac);
	int fd;
	int ret;

	if (!body) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	fd = network_tap_on_bridge(bridge, tap, err);
	ret = fd < 0 ? fd : api_call(socket, "PUT", "vm.add-net", body, &fd, 1, NULL, err);
	if (fd >= 0) {
		(void)close(fd);
	}
	json_decref(body);
	return ret;
}

/* ---- the link to the provider ---- */

/* From now on the bridge and taps named after the VMM are its own, to be removed with it. */
static int claim_network(const struct instance_roots *roots, const char *name,
			 struct vmm_error *err)
{
	char path[PATH_MAX];
	int fd;
	int ret = instance_path(roots, name, "network", path, err);

	if (ret < 0) {
		return ret;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return vmm_error_wrap(err, -errno, "'%s'", path);
	}
	(void)close(fd);
	return 0;
}

static int make_bridge(const struct instance_roots *roots, const char *name, const char *bridge,
		       struct vmm_error *err)
{
	char path[PATH_MAX];
	int ret = claim_network(roots, name, err);

	if (ret == 0) {
		ret = network_bridge_add(bridge, err);
	}
	if (ret == -EEXIST && instance_path(roots, name, "network", path, NULL) == 0) {
		(void)unlink(path); /* somebody else's */
	}
	return ret;
}

static int provider_unable(const char *name, const char *provider, enum instance_state state,
			   struct vmm_error *err)
{
	if (state == INSTANCE_ABSENT || state == INSTANCE_UNFINISHED) {
		return vmm_error_set(err, -ESRCH,
				     "VM '%s' gets its network from '%s', which has no VMM", name,
				     provider);
	}
	if (state == INSTANCE_SILENT) {
		return vmm_error_set(err, -ETIMEDOUT,
				     "VM '%s' gets its network from '%s', whose VMM does not "
				     "answer (vmm-cli stop %s ends it)",
				     name, provider, provider);
	}
	return vmm_error_set(err, -EBUSY,
			     "VM '%s' gets its network from '%s', which runs and cannot take "
			     "another interface until it is stopped (vmm-cli stop %s)",
			     name, provider, provider);
}

/* What is missing of bridge, client's tap and router's tap. */
static int make_link(const struct instance_roots *roots, const char *name, const char *socket,
		     const char *provider_socket, struct vmm_error *err)
{
	struct network_names names;
	int ret = 0;

	network_names(instance_pid(roots, name), &names);
	if (if_nametoindex(names.client_tap) == 0) {
		ret = make_bridge(roots, name, names.bridge, err);
		if (ret == 0) {
			ret = instance_give_tap(socket, names.bridge, names.client_tap,
						names.client_mac, err);
		}
	}
	if (ret == 0) {
		ret = instance_give_tap(provider_socket, names.bridge, names.router_tap,
					names.router_mac, err);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "network of VM '%s'", name) : 0;
}

int instance_join(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	char provider_socket[PATH_MAX];
	char socket[PATH_MAX];
	char provider[NAME_MAX + 1];
	struct network_names names;
	enum instance_state state;
	int ret = instance_provider(roots, name, provider);

	if (ret < 0 || provider[0] == '\0') {
		return ret;
	}
	if ((ret = instance_path(roots, name, "vmm", socket, err)) < 0 ||
	    (ret = instance_path(roots, provider, "vmm", provider_socket, err)) < 0) {
		return ret;
	}
	network_names(instance_pid(roots, name), &names);
	if (if_nametoindex(names.router_tap) != 0) {
		return 0;
	}
	state = instance_state(roots, provider);
	if (state != INSTANCE_OFF) {
		return provider_unable(name, provider, state, err);
	}
	return make_link(roots, name, socket, provider_socket, err);
}

/* ---- the runtime directory ---- */

/* The lock in a runtime directory freed of what an earlier VMM may have left. */
static int prepare_directory(const struct instance_roots *roots, const char *name,
			     struct vmm_error *err)
{
	char path[PATH_MAX];
	int lock;
	int ret = instance_path(roots, name, "", path, err);

	if (ret < 0) {
		return ret;
	}
	for (;;) {
		if (mkdir(path, 0700) != 0 && errno != EEXIST) {
			return vmm_error_wrap(err, -errno, "'%s'", path);
		}
		lock = instance_lock(roots, name, LOCK_WAIT_MS, NULL);
		if (lock != -ENOENT) {
			break; /* else the watcher of the VMM before has just removed it */
		}
	}
	if (lock < 0) {
		return vmm_error_set(err, lock, "VM '%s': its runtime directory '%s' is in use",
				     name, path);
	}
	instance_clean_up(roots, name, true);
	(void)close(lock);
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		return vmm_error_wrap(err, -errno, "'%s'", path);
	}
	return instance_lock(roots, name, 0, err);
}

/* The mark of a VM that is complete, and of use to people as well. */
static int link_config(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	char directory[PATH_MAX + NAME_MAX];
	char path[PATH_MAX];
	int ret = instance_path(roots, name, "config", path, err);

	if (ret < 0) {
		return ret;
	}
	(void)snprintf(directory, sizeof(directory), "%s/%s", roots->vms, name);
	return symlink(directory, path) == 0 ? 0 : vmm_error_wrap(err, -errno, "'%s'", path);
}

/* ---- all of it ---- */

struct pid_search {
	const struct instance_roots *roots;
	const char *name;
	bool found;
};

static int compare_pid(void *ctx, const char *name)
{
	struct pid_search *search = ctx;
	unsigned own = (unsigned)instance_pid(search->roots, search->name);

	if (strcmp(name, search->name) != 0 &&
	    (((unsigned)instance_pid(search->roots, name) ^ own) & 0xffffu) == 0) {
		search->found = true;
	}
	return 0;
}

/* Guests' addresses are made of 16 bits of the VMM's pid, and pids may have 22. */
static bool is_address_taken(const struct instance_roots *roots, const char *name)
{
	struct pid_search search = {.roots = roots, .name = name};

	(void)instance_each_live(roots, compare_pid, &search);
	return search.found;
}

static int launch(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	for (int i = 1;; i++) {
		int lock = prepare_directory(roots, name, err);
		int ret;

		if (lock < 0) {
			return lock;
		}
		ret = instance_launch(roots, name, lock, err);
		/* From here on the watcher alone holds the lock. */
		(void)close(lock);
		if (ret < 0 || !is_address_taken(roots, name)) {
			return ret;
		}
		ret = instance_end(roots, name, err);
		if (ret < 0) {
			return ret;
		}
		if (i == LAUNCHES_MAX) {
			return vmm_error_set(err, -EADDRINUSE,
					     "VM '%s': other VMs have the addresses of %d "
					     "processes in a row",
					     name, LAUNCHES_MAX);
		}
	}
}

static int check(const struct instance_roots *roots, const char *name, char socket[PATH_MAX],
		 struct vmm_error *err)
{
	int ret = vm_name_check(name, err);

	if (ret < 0 || (ret = instance_check_known(roots, name, err)) < 0) {
		return ret;
	}
	ret = instance_path(roots, name, "vmm", socket, err);
	if (ret == 0 && strlen(socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		return vmm_error_set(err, -ENAMETOOLONG,
				     "VM '%s': '%s' is longer than a socket's path may be (%zu "
				     "bytes); choose a shorter --run-dir",
				     name, socket,
				     sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	}
	return ret;
}

int instance_create(const struct instance_roots *roots, const char *name, struct vmm_error *err)
{
	char socket[PATH_MAX];
	int ret = check(roots, name, socket, err);

	if (ret < 0) {
		return ret;
	}
	ret = launch(roots, name, err);
	if (ret == 0) {
		ret = create_vm(roots, name, socket, err);
	}
	if (ret == 0) {
		ret = instance_join(roots, name, err);
	}
	if (ret == 0) {
		ret = instance_join_bridges(roots, name, socket, err);
	}
	if (ret == 0) {
		ret = link_config(roots, name, err);
	}
	if (ret < 0) {
		(void)instance_end(roots, name, NULL);
	}
	return ret;
}
