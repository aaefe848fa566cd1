/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

/* Text that is cut, but counted in full. */
struct text {
	char *buf;
	size_t len;
	size_t used;
	const char *separator;
};

static void VMM_PRINTF(2, 3) add(struct text *t, const char *fmt, ...)
{
	size_t room = t->used < t->len ? t->len - t->used : 0;
	va_list args;
	int wrote;

	va_start(args, fmt);
	wrote = vsnprintf(room > 0 ? t->buf + t->used : NULL, room, fmt, args);
	va_end(args);
	t->used += wrote > 0 ? (size_t)wrote : 0;
}

static void add_item(struct text *t, const char *name)
{
	add(t, "%s%s", t->separator, name);
	t->separator = ", ";
}

struct item {
	bool has;
	const char *name;
};

#define NAMESPACES 7

static bool add_namespaces(struct text *t, const struct item *items, bool having)
{
	bool any = false;

	for (size_t i = 0; i < NAMESPACES; i++) {
		if (items[i].has == having) {
			add(t, "%s%s", any ? " " : t->separator, items[i].name);
			any = true;
		}
	}
	if (any) {
		add(t, " namespaces");
		t->separator = ", ";
	}
	return any;
}

static void add_list(struct text *t, const struct item *items, size_t count, bool having)
{
	(void)add_namespaces(t, items, having);
	for (size_t i = NAMESPACES; i < count; i++) {
		if (items[i].has == having) {
			add_item(t, items[i].name);
		}
	}
}

static size_t missing(const struct item *items, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		n += !items[i].has;
	}
	return n;
}

int vmm_jail_describe(const struct vmm_jail_level *level, char *buf, size_t len)
{
	char landlock[32];
	char filter[64];
	const struct item items[] = {
		{level->user_ns, "user"},
		{level->pid_ns, "pid"},
		{level->mount_ns, "mount"},
		{level->net_ns, "net"},
		{level->ipc_ns, "ipc"},
		{level->uts_ns, "uts"},
		{level->cgroup_ns, "cgroup"},
		{level->empty_root, "empty root"},
		{level->uid_changed, "not root"},
		{level->no_caps, "no capabilities"},
		{level->no_bounding, "no bounding set"},
		{level->landlock_abi > 0, landlock},
		{level->mdwe, "no executable memory"},
		{level->seccomp, filter},
	};
	size_t count = sizeof(items) / sizeof(items[0]);
	struct text t = {.buf = buf, .len = len, .separator = ""};

	(void)snprintf(landlock, sizeof(landlock),
		       level->landlock_abi > 0 ? "Landlock %d" : "Landlock", level->landlock_abi);
	if (level->profile) {
		(void)snprintf(filter, sizeof(filter), "seccomp %s (%zu calls)",
			       level->profile->name, vmm_jail_profile_calls(level->profile));
	} else {
		(void)snprintf(filter, sizeof(filter), "seccomp");
	}
	if (len > 0) {
		buf[0] = '\0';
	}
	add_list(&t, items, count, true);
	if (missing(items, count) > 0) {
		add(&t, "%swithout ", t.used > 0 ? "; " : "");
		t.separator = "";
		add_list(&t, items, count, false);
	}
	return (int)t.used;
}
