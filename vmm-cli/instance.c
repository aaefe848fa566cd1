/* SPDX-License-Identifier: MIT */
/* What can be seen and done of a VM through its runtime directory. */
#include "instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "api/client.h"
#include "config/config.h"
#include "instance_private.h"

#define END_WAIT_MS     5000
#define POLL_STEP_MS    50
#define INFO_TIMEOUT_MS 2000

static int absolute(char out[PATH_MAX], const char *path, struct vmm_error *err)
{
	char cwd[PATH_MAX];
	int len;

	if (path[0] == '/') {
		len = snprintf(out, PATH_MAX, "%s", path);
	} else {
		if (!getcwd(cwd, sizeof(cwd))) {
			return vmm_error_wrap(err, -errno, "working directory");
		}
		len = snprintf(out, PATH_MAX, "%s/%s", cwd, path);
	}
	if (len >= PATH_MAX) {
		return vmm_error_set(err, -ENAMETOOLONG, "'%s': path too long", path);
	}
	return 0;
}

static int default_run(char out[PATH_MAX], struct vmm_error *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (geteuid() == 0) {
		return absolute(out, "/run/vm", err);
	}
	if (!runtime || runtime[0] != '/') {
		return vmm_error_set(err, -ENOENT,
				     "no place for runtime files: XDG_RUNTIME_DIR is not set; use "
				     "--run-dir or VMM_RUN");
	}
	if (snprintf(out, PATH_MAX, "%s/vm", runtime) >= PATH_MAX) {
		return vmm_error_set(err, -ENAMETOOLONG, "XDG_RUNTIME_DIR: path too long");
	}
	return 0;
}

int instance_roots_init(struct instance_roots *roots, const char *vms, const char *run,
			struct vmm_error *err)
{
	int ret;

	vms = vms ? vms : getenv("VMM_VMS");
	run = run ? run : getenv("VMM_RUN");
	ret = absolute(roots->vms, vms ? vms : "/var/lib/vm", err);
	if (ret < 0) {
		return ret;
	}
	return run ? absolute(roots->run, run, err) : default_run(roots->run, err);
}

int instance_path(const struct instance_roots *roots, const char *name, const char *file,
		  char out[PATH_MAX], struct vmm_error *err)
{
	int len = snprintf(out, PATH_MAX, "%s/%s%s%s", roots->run, name, file[0] ? "/" : "", file);

	if (len < 0 || len >= PATH_MAX) {
		return vmm_error_set(err, -ENAMETOOLONG, "runtime directory of '%s': path too long",
				     name);
	}
	return 0;
}

static enum instance_state state_from_words(const char *words)
{
	if (strcmp(words, "Running") == 0) {
		return INSTANCE_RUNNING;
	}
	return strcmp(words, "Paused") == 0 ? INSTANCE_PAUSED : INSTANCE_OFF;
}

static bool is_complete(const struct instance_roots *roots, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	return instance_path(roots, name, "config", path, NULL) == 0 && lstat(path, &st) == 0;
}

enum instance_state instance_state(const struct instance_roots *roots, const char *name)
{
	enum instance_state state = INSTANCE_SILENT;
	struct api_response response = {0};
	char socket[PATH_MAX];
	json_t *info;
	int ret;

	if (instance_path(roots, name, "vmm", socket, NULL) < 0 || access(socket, F_OK) != 0) {
		return INSTANCE_ABSENT;
	}
	ret = api_request(socket, "GET", "vm.info", NULL, NULL, 0, INFO_TIMEOUT_MS, &response,
			  NULL);
	/* Reset: it died with the request in its hands. */
	if (ret == -ECONNREFUSED || ret == -ECONNRESET || ret == -ENOENT) {
		return INSTANCE_ABSENT;
	}
	if (ret < 0) {
		return INSTANCE_SILENT;
	}
	info = response.code == 200 ? json_loads(response.body, 0, NULL) : NULL;
	if (json_is_string(json_object_get(info, "state"))) {
		state = state_from_words(json_string_value(json_object_get(info, "state")));
	} else if (response.code == 404) {
		state = INSTANCE_UNFINISHED;
	}
	if (state == INSTANCE_OFF && !is_complete(roots, name)) {
		state = INSTANCE_UNFINISHED;
	}
	json_decref(info);
	api_response_finish(&response);
	return state;
}

int instance_check_known(const struct instance_roots *roots, const char *name,
			 struct vmm_error *err)
{
	char path[PATH_MAX + NAME_MAX + 1];

	(void)snprintf(path, sizeof(path), "%s/%s", roots->vms, name);
	return access(path, F_OK) == 0
		       ? 0
		       : vmm_error_wrap(err, -errno, "no VM '%s': '%s'", name, path);
}

pid_t instance_pid(const struct instance_roots *roots, const char *name)
{
	char path[PATH_MAX];
	char text[32] = "";
	long pid;
	int fd;

	if (instance_path(roots, name, "pid", path, NULL) < 0) {
		return -ESRCH;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		return -ESRCH;
	}
	if (read(fd, text, sizeof(text) - 1) < 0) {
		text[0] = '\0';
	}
	(void)close(fd);
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : -ESRCH;
}

int instance_provider(const struct instance_roots *roots, const char *name, char out[NAME_MAX + 1])
{
	char path[PATH_MAX + NAME_MAX];
	const struct dirent *entry;
	DIR *dir;

	out[0] = '\0';
	(void)snprintf(path, sizeof(path), "%s/%s/providers/net", roots->vms, name);
	dir = opendir(path);
	if (!dir) {
		return errno == ENOENT ? 0 : -errno;
	}
	while ((entry = readdir(dir)) != NULL) {
		/* The first by name, as where the configuration is read. */
		if (vm_name_check(entry->d_name, NULL) == 0 &&
		    (out[0] == '\0' || strcmp(entry->d_name, out) < 0)) {
			(void)snprintf(out, NAME_MAX + 1, "%s", entry->d_name);
		}
	}
	(void)closedir(dir);
	return 0;
}

/* ---- all of them ---- */

/* A VM directory has a kernel under one of two names; a runtime directory may lack its socket. */
static bool has_any(const char *root, const char *name, const char *const *files)
{
	char path[PATH_MAX + NAME_MAX];

	for (; *files; files++) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", root, name, *files);
		if (access(path, F_OK) == 0) {
			return true;
		}
	}
	return false;
}

static int is_vm_name(const struct dirent *entry)
{
	return vm_name_check(entry->d_name, NULL) == 0;
}

static int each(const char *root, const char *const *files, instance_name_fn fn, void *ctx)
{
	struct dirent **entries;
	int count = scandir(root, &entries, is_vm_name, alphasort);
	int ret = 0;

	if (count < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	for (int i = 0; i < count; i++) {
		if (ret == 0 && has_any(root, entries[i]->d_name, files)) {
			ret = fn(ctx, entries[i]->d_name);
		}
		free(entries[i]);
	}
	free(entries);
	return ret;
}

int instance_each_configured(const struct instance_roots *roots, instance_name_fn fn, void *ctx)
{
	static const char *const kernels[] = {"vmlinux", "vmlinuz", NULL};

	return each(roots->vms, kernels, fn, ctx);
}

int instance_each_live(const struct instance_roots *roots, instance_name_fn fn, void *ctx)
{
	static const char *const sockets[] = {"vmm", NULL};

	return each(roots->run, sockets, fn, ctx);
}

int instance_each_left(const struct instance_roots *roots, instance_name_fn fn, void *ctx)
{
	static const char *const all[] = {"", NULL};

	return each(roots->run, all, fn, ctx);
}
