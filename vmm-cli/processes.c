/* SPDX-License-Identifier: MIT */
#include "processes.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmm/jail.h>

#define PROC_PATH_MAX 64
#define TEXT_MAX      256
#define LINK_MAX      256
#define FILTERED      2 /* "Seccomp:" in /proc/PID/status */

static const char *const namespaces[] = {"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"};
#define NAMESPACES (sizeof(namespaces) / sizeof(namespaces[0]))

static void put(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value);
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

/* ---- files of /proc ---- */

/* "Name:  1 2 3" as the first number behind the colon, in any of the usual bases. */
struct wanted {
	const char *line; /* with the colon */
	const char *key;
	int base;
};

static const struct wanted status_lines[] = {
	{"Uid:", "uid", 10},
	{"Threads:", "threads", 10},
	{"VmRSS:", "rss_kib", 10},
	{"NoNewPrivs:", "no_new_privs", 10},
	{"Seccomp:", "seccomp", 10},
	{"Seccomp_filters:", "seccomp_filters", 10},
	{"CapInh:", "cap_inheritable", 16},
	{"CapPrm:", "cap_permitted", 16},
	{"CapEff:", "cap_effective", 16},
	{"CapBnd:", "cap_bounding", 16},
	{"CapAmb:", "cap_ambient", 16},
	{NULL, NULL, 0},
};

static const struct wanted smaps_lines[] = {{"Pss:", "pss_kib", 10}, {NULL, NULL, 0}};

static void read_numbers(json_t *process, int pid, const char *file, const struct wanted *lines)
{
	char path[PROC_PATH_MAX];
	char line[TEXT_MAX];
	FILE *in;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in)) {
		for (const struct wanted *w = lines; w->line; w++) {
			size_t len = strlen(w->line);

			if (strncmp(line, w->line, len) == 0) {
				put(process, w->key,
				    json_integer(strtoll(line + len, NULL, w->base)));
			}
		}
	}
	if (in) {
		(void)fclose(in);
	}
}

static bool read_link(const char *path, char out[LINK_MAX])
{
	ssize_t len = readlink(path, out, LINK_MAX - 1);

	out[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* Those that are not this program's, which is the host as far as it can see. */
static void read_namespaces(json_t *process, int pid)
{
	json_t *own = json_array();

	for (size_t i = 0; i < NAMESPACES; i++) {
		char path[PROC_PATH_MAX];
		char here[LINK_MAX];
		char there[LINK_MAX];

		(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, namespaces[i]);
		if (!read_link(path, there)) {
			json_decref(own);
			return;
		}
		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i]);
		if (read_link(path, here) && strcmp(here, there) != 0) {
			(void)json_array_append_new(own, json_string(namespaces[i]));
		}
	}
	put(process, "namespaces", own);
}

/* ---- descriptors ---- */

/* "socket:[123]" is a socket, "anon_inode:[eventfd]" an eventfd, a path is itself. */
static const char *kind_of(char *link)
{
	static const char anonymous[] = "anon_inode:";
	size_t skip =
		strncmp(link, anonymous, sizeof(anonymous) - 1) == 0 ? sizeof(anonymous) - 1 : 0;
	char *name = link + skip + (link[skip] == '[');

	if (strncmp(link, "/memfd:", 7) == 0) {
		name = link + 1;
		name[strcspn(name, " ")] = '\0';
	} else if (link[0] != '/') {
		/* vCPUs are numbered, sockets and pipes as well. */
		name[strcspn(name, skip ? "]0123456789" : ":")] = '\0';
		if (name[0] && name[strlen(name) - 1] == ':') {
			name[strlen(name) - 1] = '\0';
		}
	}
	return name;
}

static void count_kind(json_t *kinds, const char *kind)
{
	json_int_t before = json_integer_value(json_object_get(kinds, kind));

	put(kinds, kind, json_integer(before + 1));
}

static void read_descriptors(json_t *process, int pid)
{
	char path[PROC_PATH_MAX + NAME_MAX];
	const struct dirent *entry;
	json_t *kinds;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir) {
		return;
	}
	kinds = json_object();
	while ((entry = readdir(dir)) != NULL) {
		char link[LINK_MAX];

		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		if (read_link(path, link)) {
			count_kind(kinds, kind_of(link));
		}
	}
	(void)closedir(dir);
	put(process, "descriptors", kinds);
}

/* ---- system calls ---- */

/*
 * The profile in force: until the guest's driver has started a device its process has one filter,
 * of what it takes to get there, and then a second, narrower one.
 */
static const struct vmm_jail_profile *find_profile(const json_t *process)
{
	const char *name = json_string_value(json_object_get(process, "profile"));
	const struct vmm_jail_profile *profile = NULL;
	char setup[TEXT_MAX];

	if (!name || json_integer_value(json_object_get(process, "seccomp")) != FILTERED) {
		return NULL;
	}
	if (json_integer_value(json_object_get(process, "seccomp_filters")) == 1) {
		(void)snprintf(setup, sizeof(setup), "%s-setup", name);
		profile = vmm_jail_profile_find(setup);
	}
	return profile ? profile : vmm_jail_profile_find(name);
}

static void look_up_calls(json_t *process)
{
	const struct vmm_jail_profile *profile = find_profile(process);

	if (!profile) {
		return;
	}
	put(process, "profile", json_string(profile->name));
	put(process, "calls", json_integer((json_int_t)vmm_jail_profile_calls(profile)));
	if (strncmp(profile->name, "vm", 2) == 0) {
		profile = vmm_jail_profile_find("vcpu");
		put(process, "vcpu_calls",
		    json_integer(profile ? (json_int_t)vmm_jail_profile_calls(profile) : 0));
	}
}

void processes_inspect(json_t *list)
{
	json_t *process;
	size_t i;

	json_array_foreach(list, i, process)
	{
		int pid = (int)json_integer_value(json_object_get(process, "pid"));

		read_numbers(process, pid, "status", status_lines);
		read_numbers(process, pid, "smaps_rollup", smaps_lines);
		read_namespaces(process, pid);
		read_descriptors(process, pid);
		look_up_calls(process);
	}
}

/* ---- for people ---- */

/* A number, or "-" where it could not be had. */
static const char *number(const json_t *process, const char *key, char buf[24])
{
	const json_t *value = json_object_get(process, key);

	(void)snprintf(buf, 24, value ? "%" JSON_INTEGER_FORMAT : "-", json_integer_value(value));
	return buf;
}

static const char *calls(const json_t *process, char buf[48])
{
	const json_t *count = json_object_get(process, "calls");
	const json_t *vcpu = json_object_get(process, "vcpu_calls");

	if (!count) {
		return "any";
	}
	if (vcpu) {
		(void)snprintf(buf, 48, "%" JSON_INTEGER_FORMAT ", vCPU %" JSON_INTEGER_FORMAT,
			       json_integer_value(count), json_integer_value(vcpu));
	} else {
		(void)snprintf(buf, 48, "%" JSON_INTEGER_FORMAT, json_integer_value(count));
	}
	return buf;
}

static const char *capabilities(const json_t *process)
{
	static const char *const sets[] = {"cap_inheritable", "cap_permitted", "cap_effective",
					   "cap_bounding", "cap_ambient"};
	bool any = false;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		const json_t *set = json_object_get(process, sets[i]);

		if (!set) {
			return "-";
		}
		any = any || json_integer_value(set) != 0;
	}
	return any ? "some" : "none";
}

static void print_namespaces(const json_t *process)
{
	const json_t *own = json_object_get(process, "namespaces");
	const json_t *name;
	size_t i;

	printf("    namespaces of its own: ");
	json_array_foreach(own, i, name)
	{
		printf("%s%s", i > 0 ? " " : "", json_string_value(name));
	}
	printf("%s\n", !own ? "-" : json_array_size(own) == 0 ? "none" : "");
}

static void print_descriptors(const json_t *process)
{
	json_t *kinds = json_object_get(process, "descriptors");
	const char *separator = "";
	const char *kind;
	json_t *count;

	printf("    descriptors: ");
	json_object_foreach(kinds, kind, count)
	{
		printf("%s%s", separator, kind);
		if (json_integer_value(count) > 1) {
			printf(" (%" JSON_INTEGER_FORMAT ")", json_integer_value(count));
		}
		separator = ", ";
	}
	printf("%s\n", kinds ? "" : "-");
}

void processes_print(const json_t *list)
{
	const json_t *process;
	size_t i;

	printf("%-16s %-10s %7s %10s %7s %8s %8s %-9s %-12s %s\n", "NAME", "KIND", "PID", "USER",
	       "THREADS", "PSS KiB", "RSS KiB", "NEW PRIVS", "CAPABILITIES", "CALLS");
	json_array_foreach(list, i, process)
	{
		char buf[5][24];
		char words[48];

		printf("%-16s %-10s %7s %10s %7s %8s %8s %-9s %-12s %s\n", text(process, "name"),
		       text(process, "kind"), number(process, "pid", buf[0]),
		       number(process, "uid", buf[1]), number(process, "threads", buf[2]),
		       number(process, "pss_kib", buf[3]), number(process, "rss_kib", buf[4]),
		       json_integer_value(json_object_get(process, "no_new_privs")) ? "none"
										    : "possible",
		       capabilities(process), calls(process, words));
		print_namespaces(process);
		print_descriptors(process);
	}
}
