/* SPDX-License-Identifier: MIT */
#ifndef TESTS_BENCH_STATS_H
#define TESTS_BENCH_STATS_H

#include <stddef.h>

/* Sorts values, and returns the one with a share of q (0 to 1) below it. count > 0. */
double quantile(double *values, size_t count, double q);

#endif
