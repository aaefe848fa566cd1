/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors this process has open, to prove that none leaks:
 *
 *	unsigned before = fdcount();
 *	...
 *	ck_assert_uint_eq(fdcount(), before);
 */
#ifndef TESTS_FDCOUNT_H
#define TESTS_FDCOUNT_H

/* The number of open descriptors; what it opens itself to find out is not counted. */
unsigned fdcount(void);

#endif
