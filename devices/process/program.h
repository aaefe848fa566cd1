/* SPDX-License-Identifier: MIT */
/*
 * vmm-device: one device in one process.
 *
 *	main.c      which kind, which way to run
 *	options.c   the command line: every option is a name with a value, a descriptor, or neither
 *	blk.c ...   a kind each: its options, what it opens, the device it makes
 *	run.c       the device on its connection or listening socket
 *	outer.c     for a socket by path: everything is opened here, and the rest done by a child
 *	jail.c      what is given up, and when
 *
 * A kind opens what it was given by path, so that from then on all it has is descriptors: the same
 * that somebody else could have handed over.
 */
#ifndef VMM_DEVICE_PROGRAM_H
#define VMM_DEVICE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/jail.h>
#include <vmm/log.h>
#include <vmm/virtio.h>

#define STATUS_OK     0
#define STATUS_FAILED 1
#define STATUS_USAGE  2

#define GIVEN_MAX 32

enum option_type {
	OPTION_FLAG,
	OPTION_VALUE,
	OPTION_FD,
};

struct option_spec {
	const char *name;
	enum option_type type;
	bool outer; /* not for the child that a socket by path makes: a path, and the like */
};

/* One option as it was given. */
struct given {
	const struct option_spec *spec;
	const char *value; /* OPTION_VALUE */
	int fd;            /* OPTION_FD */
};

struct program;

struct kind {
	const char *name;
	const char *help;                  /* its part of the help */
	const struct option_spec *options; /* ends with an empty name */
	/* Whether the options make sense. -EINVAL with words. */
	int (*check)(const struct program *p, struct vmm_error *err);
	/* Opens what was given by path: program_add_fd. */
	int (*open)(struct program *p, struct vmm_error *err);
	/* Makes, of the descriptors, what cannot be made in the jail any more. May be NULL. */
	int (*prepare)(struct program *p, struct vmm_error *err);
	/* Makes the device of the descriptors. */
	int (*create)(struct program *p, struct vmm_virtio_device **out, struct vmm_error *err);
	/* Frees host. May be NULL. */
	void (*finish)(struct program *p);
	/* The profile of the jail when it is not the name. May be NULL. */
	const char *(*profile)(const struct program *p);
	/* Bytes that its file may grow to; NULL: it writes no file. */
	uint64_t (*file_limit)(const struct program *p);
	uint64_t memory;   /* bytes that it takes besides the guest's; 0: little */
	unsigned fd_limit; /* descriptors that it may have; 0: few */
};

struct program {
	const struct kind *kind;
	struct given given[GIVEN_MAX];
	unsigned given_count;

	struct vmm_log log;
	int log_fd;
	bool isolated;
	uint64_t file_limit; /* bytes that its files may have, set by program_enter_jail */
	struct vmm_jail_level level;

	void *host;   /* the kind's: disk, tap, terminal; NULL where the device has it */
	int extra_fd; /* to be kept as well; -1: none */
};

extern const struct kind blk_kind;
extern const struct kind console_kind;
extern const struct kind gpu_kind;
extern const struct kind input_kind;
extern const struct kind net_kind;
extern const struct kind rng_kind;

/* NULL: there is none of that name. */
const struct kind *kind_find(const char *name);

/* ---- options.c ---- */

#define OPTIONS_HELP 1
/* 0, OPTIONS_HELP, or -EINVAL with words. */
int program_parse(struct program *p, int argc, char **argv, struct vmm_error *err);
/* What was given; false, NULL or -1 when it was not. */
bool program_flag(const struct program *p, const char *name);
const char *program_value(const struct program *p, const char *name);
int program_fd(const struct program *p, const char *name);
/* Adds a descriptor as if it had been given by name, a descriptor option of the kind or of all. */
int program_add_fd(struct program *p, const char *name, int fd, struct vmm_error *err);
/* The number given by name, or fallback; -EINVAL with words when it is not one from min to max. */
int program_number(const struct program *p, const char *name, uint64_t min, uint64_t max,
		   uint64_t fallback, uint64_t *out, struct vmm_error *err);

/* ---- help.c ---- */

void help_print(const struct kind *kind);
/* "blk, console, ..." */
const char *help_kinds(void);

/* ---- log.c ---- */

/* Lines go to fd, which is the caller's, each in one write; -1: nowhere. */
void program_log_init(struct program *p, int fd);
/* Says err and returns STATUS_FAILED. */
int program_fail(const struct program *p, const struct vmm_error *err);

/* ---- counters.c ---- */

/* The page behind a descriptor; NULL with words in err. */
void *counters_map(int fd, struct vmm_error *err);
void counters_write(void *page, struct vmm_virtio_device *dev);

/* ---- jail.c ---- */

/* Everything but the filter; from then on there is nothing to be opened. */
int program_enter_jail(struct program *p, bool served, struct vmm_error *err);
/* The first of two filters: before a front end is listened to. */
int program_seal_setup(struct program *p, struct vmm_error *err);
/* The filter. served: for one connection after the other. */
int program_seal(struct program *p, bool served, struct vmm_error *err);

/* ---- run.c, outer.c ---- */

/* Serves the device until the end; what to exit with. */
int program_run(struct program *p);
/* Listens at a path and has a child do the rest. */
int program_run_outer(struct program *p, char *self);

#endif
