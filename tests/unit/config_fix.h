/* SPDX-License-Identifier: MIT */
/* A configuration as text or as a VM directory, for tests of what is made of it. */
#ifndef TESTS_CONFIG_FIX_H
#define TESTS_CONFIG_FIX_H

#include "suite.h"

#include <vmm/error.h>

#include "config/config.h"

/* What was read last. */
extern struct vm_config config;
extern struct vmm_error err;

#define KERNEL "\"payload\":{\"kernel\":\"/k\"}"

int cfg_read(const char *text);
/* Reads text, which must be refused with code and a sentence that holds words. */
void cfg_refused(const char *text, int code, const char *words);

/* A VM directory, empty; the path is that of the process's one. */
extern char cfg_dir[64];
void cfg_make_dir(void);
void cfg_drop_dir(void);
/* A file of it, and a directory in it. */
void cfg_put(const char *name, const char *text);
void cfg_put_dir(const char *name);
int cfg_read_dir(void);

#endif
