/* SPDX-License-Identifier: MIT */
/*
 * Fault injection: makes the n-th allocation or system call of a piece of code fail, for each n,
 * so that every error path runs:
 *
 *	struct faultinj f = {0};
 *	while (faultinj_next(&f)) {
 *		int ret = thing_create(&thing);
 *		faultinj_stop(&f);
 *		if (f.failed) {
 *			... ret < 0 and thing == NULL, fdcount() as before ...
 *		} else {
 *			... ret == 0; thing_destroy(thing) ...
 *		}
 *	}
 *
 * Works by the linker's --wrap, so it sees calls made by our own objects (library, devices and the
 * test itself), not those inside libc, and counts only those of the calling thread between
 * faultinj_next and faultinj_stop. Which functions can fail is listed in faultinj.c; close never
 *does.
 */
#ifndef TESTS_FAULTINJ_H
#define TESTS_FAULTINJ_H

#include <stdbool.h>

/* Zero-initialise; only, if set before the first next, restricts it to one function by name. */
struct faultinj {
	const char *only;
	const char *failed; /* the function that was made to fail in this round, NULL: none */
	unsigned n;         /* which call fails; private */
	unsigned seen;      /* private */
	bool started;       /* private */
};

/*
 * Arms the next round. False when the round before ended without a fault: the code makes fewer than
 * n calls, so every one has failed once. Aborts after 10000 rounds.
 */
bool faultinj_next(struct faultinj *f);
/* Disarms; f->failed says what happened. */
void faultinj_stop(struct faultinj *f);

#endif
