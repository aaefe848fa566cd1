/* SPDX-License-Identifier: MIT */
/* What the tests of disks share: a place with an image in it, and requests waited for. */
#ifndef TESTS_DISK_FIX_H
#define TESTS_DISK_FIX_H

#include <vmm/dev/disk.h>

#include "suite.h"

#define SIZE (UINT64_C(1) << 20)

/* A directory of the test's own, with an image of SIZE bytes of 0x11 in it. */
struct place {
	char dir[64];
	char image[96];
	char other[96];
	struct vmm_loop *loop;
};

void make_image(const char *path, uint64_t size);
void set_up(struct place *p);
void tear_down(struct place *p);

/* Opens, and fails the test in err's words. */
struct vmm_disk *must_open(const char *path, enum vmm_disk_engine engine, bool read_only);
/* The same, attached to the place's loop. */
struct vmm_disk *attached(struct place *p, const char *path, enum vmm_disk_engine engine,
			  bool read_only);
/* Detaches and destroys. */
void let_go(struct vmm_disk *disk);

/* What done calls leave behind: the ctx of requests whose done is on_done. */
struct waiter {
	unsigned done;
	int result;
	unsigned again; /* submit this many times more */
	struct vmm_disk *disk;
};

void on_done(struct vmm_disk_request *req, int result);
void wait_for(struct place *p, const struct waiter *w, unsigned done);
/* One request, waited for; returns its result. */
int io(struct place *p, struct vmm_disk *disk, enum vmm_disk_op op, unsigned flags, uint64_t offset,
       void *buffer, uint64_t len);

#endif
