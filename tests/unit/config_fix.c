/* SPDX-License-Identifier: MIT */
#include "config_fix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct vm_config config;
struct vmm_error err;

int cfg_read(const char *text)
{
	json_t *json = NULL;
	int ret;

	memset(&err, 0, sizeof(err));
	vm_config_init(&config);
	ret = vm_json_parse(&json, text, strlen(text), &err);
	if (ret == 0) {
		ret = vm_config_from_json(&config, json, &err);
	}
	json_decref(json);
	return ret;
}

void cfg_refused(const char *text, int code, const char *words)
{
	int ret = cfg_read(text);

	ck_assert_msg(ret == code, "%s: got %d (%s)", text, ret, err.message);
	ck_assert_msg(strstr(err.message, words) != NULL, "%s: said '%s'", text, err.message);
	/* Nothing is left behind. */
	ck_assert_ptr_null(config.payload.kernel.path);
	ck_assert_uint_eq(config.disk_count, 0);
	ck_assert_uint_eq(config.net_count, 0);
}

/* ---- VM directories ---- */

char cfg_dir[64];

void cfg_put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", cfg_dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

void cfg_put_dir(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", cfg_dir, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

void cfg_make_dir(void)
{
	(void)snprintf(cfg_dir, sizeof(cfg_dir), "/tmp/test-config-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(cfg_dir));
}

void cfg_drop_dir(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", cfg_dir);
	ck_assert_int_eq(system(command), 0);
}

int cfg_read_dir(void)
{
	memset(&err, 0, sizeof(err));
	vm_config_init(&config);
	return vm_config_from_directory(&config, cfg_dir, "/run/x.log", &err);
}
