/* SPDX-License-Identifier: MIT */
/* A command that is measured: its standard output is a pipe, all else is nothing. */
#ifndef TESTS_BENCH_COMMAND_H
#define TESTS_BENCH_COMMAND_H

#include <sys/types.h>

/*
 * Starts it, in a process group of its own; words: NULL-terminated, the first is a path. *out is
 * the reading end, the caller's to close. -1: errno. A child of the caller's, to be waited for.
 */
pid_t command_start(char *const *words, int *out);

#endif
