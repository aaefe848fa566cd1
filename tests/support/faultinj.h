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
 * does.
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

/*
 * Watching instead of failing: what a piece of code allocates, maps, frees and opens, to prove that
 * it does none of it:
 *
 *	struct faultinj_watch w;
 *	faultinj_watch(&w);
 *	device->ops->reset(device);
 *	faultinj_unwatch();
 *	ck_assert_msg(w.calls == 0, "%s", w.first);
 *
 * Sees what faultinj sees, and free and munmap besides. ck_assert allocates: between the two calls
 * SUITE_REQUIRE has to do.
 */
struct faultinj_watch {
	unsigned calls;
	const char *first; /* the function called first, NULL: none */
};

/* Zeroes w and counts into it the calls of this thread until unwatch. */
void faultinj_watch(struct faultinj_watch *w);
void faultinj_unwatch(void);

#endif
