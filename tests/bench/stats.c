/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

double quantile(double *values, size_t count, double q)
{
	double at = q * (double)(count - 1);
	size_t below = (size_t)at;
	size_t above = below + 1 < count ? below + 1 : below;

	qsort(values, count, sizeof(*values), compare);
	return values[below] + (at - (double)below) * (values[above] - values[below]);
}
