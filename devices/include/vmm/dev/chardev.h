/* SPDX-License-Identifier: MIT */
/*
 * Character back ends: where a console's or a serial port's bytes go to and come from. A back end
 * lives longer than the device that uses it: the device borrows it, so that a pty keeps its path
 * and a log its place when a VM is shut down and booted again.
 *
 * No back end ever makes the guest wait. Output that nobody takes is kept up to a bound, after
 * which the oldest bytes go (fd, pty) or the newest (logfile, when the disk is full); both are
 * counted.
 *
 * A NULL back end is allowed wherever a device takes one: output vanishes, input never comes.
 *
 * All calls on one back end are made on one thread, the loop's, unless they say otherwise.
 */
#ifndef VMM_DEV_CHARDEV_H
#define VMM_DEV_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vmm_chardev;

/* What a back end tells its user. Any of them may be NULL. Loop thread. */
struct vmm_chardev_events {
	/* vmm_chardev_read has something to give. Told again as long as that holds. */
	void (*readable)(void *ctx);
	/* The terminal behind it has a new size (never 0 x 0). */
	void (*resized)(void *ctx, uint16_t columns, uint16_t rows);
};

/* ---- for users of a back end; cd may be NULL in each ---- */

/*
 * Connects the back end to a loop. events and ctx are borrowed until stop; events may be NULL for
 * users that only write. Input is not wanted until vmm_chardev_want_input. Errors: -EBUSY (somebody
 * else uses it), -ENOMEM, -EMFILE and other errors of vmm_loop_add_fd; the back end is then as
 * before.
 */
int vmm_chardev_start(struct vmm_chardev *cd, struct vmm_loop *loop,
		      const struct vmm_chardev_events *events, void *ctx);

/* Disconnects it: no event comes any more. Output not taken yet stays for the next start. */
void vmm_chardev_stop(struct vmm_chardev *cd);

/*
 * Takes all of bytes; never blocks on a reader. What cannot go out at once waits for the loop, so
 * outside start and stop it waits for the next start.
 */
void vmm_chardev_write(struct vmm_chardev *cd, const void *bytes, size_t len);

/* Takes up to len bytes of input; returns how many, 0 when there are none now. Never blocks. */
size_t vmm_chardev_read(struct vmm_chardev *cd, void *buf, size_t len);

/*
 * Turns the readable event on or off. Off while the guest has no room: input then stays with the
 * sender.
 */
void vmm_chardev_want_input(struct vmm_chardev *cd, bool want);

/* Size of the terminal behind it; false when it has none or nobody said. */
bool vmm_chardev_size(const struct vmm_chardev *cd, uint16_t *columns, uint16_t *rows);

/* Bytes of output lost so far. Any thread. */
uint64_t vmm_chardev_dropped(const struct vmm_chardev *cd);

/* Closes and frees a back end that is not in use. NULL is a no-op. */
void vmm_chardev_destroy(struct vmm_chardev *cd);

/* ---- the back ends of this library ---- */

#define VMM_LOGFILE_MAX_SIZE_DEFAULT (UINT64_C(1) << 20)
#define VMM_LOGFILE_MAX_SIZE_MIN     UINT64_C(4096)

/* A bounded log. Set path or fd. */
struct vmm_logfile_config {
	const char *path; /* appended to, created with mode 0600; NULL: use fd */
	int fd;           /* open for writing; taken on success */
	/*
	 * Bytes one file may have; 0 means VMM_LOGFILE_MAX_SIZE_DEFAULT. Given a path, a full file
	 * is renamed to PATH.1 (replacing an older one) and a new one begun, so two files of this
	 * size are the most that is ever on disk. A full file given by fd, or one that cannot be
	 * renamed, is cut to nothing and begun again, so that the newest lines are there.
	 */
	uint64_t max_size;
};

/*
 * Opens the log. What is not a regular file (a pipe, a terminal, /dev/null) gets the bytes as it
 * can take them, without a bound. A log takes no input. When a write fails (the disk is full), the
 * bytes are dropped and counted and the next ones tried afresh.
 * Errors: -EINVAL (max_size below VMM_LOGFILE_MAX_SIZE_MIN), -ENOMEM, those of open(2).
 */
int vmm_logfile_create(struct vmm_chardev **out, const struct vmm_logfile_config *config,
		       struct vmm_error *err);

/* A terminal, pipe, socket or file that is open already. */
struct vmm_fdchar_config {
	int in_fd;  /* -1: no input. Borrowed until destroy. */
	int out_fd; /* -1: output vanishes. May be the same as in_fd. Borrowed until destroy. */
	/*
	 * Looks at input before the guest does and may shorten or change it in place; returns the
	 * bytes that are left (at most len). For a terminal's escape key. May be NULL. Loop thread;
	 * must not stop or destroy the back end.
	 */
	size_t (*filter)(void *ctx, uint8_t *bytes, size_t len);
	void *ctx;
};

/*
 * Descriptors as a back end. The device behind each is opened once more through /proc when that is
 * possible, so that non-blocking mode does not spread to other users of a terminal; sockets and
 * ptmx are put into non-blocking mode themselves. Terminal modes are the caller's business. Up to
 * 64 KiB of output are kept for a slow reader. End of file on in_fd ends input and nothing else.
 * Errors: -EBADF, -ENOMEM, -EMFILE.
 */
int vmm_fdchar_create(struct vmm_chardev **out, const struct vmm_fdchar_config *config,
		      struct vmm_error *err);

/*
 * Tells the users of a back end that the terminal has a new size, as its owner learns it from
 * SIGWINCH: reads the size of in_fd or out_fd. Only for vmm_fdchar_create's.
 */
void vmm_fdchar_update_size(struct vmm_chardev *cd);

/*
 * A pseudo-terminal in raw mode. Its path is known at once and stays the same until destroy,
 * however often clients open and close it. Without a client, the last 64 KiB of output are kept for
 * the next one. The size set on it (TIOCSWINSZ) is noticed when a client opens it, with the next
 * input, and otherwise within half a second. Errors: -ENOENT (no devpts), -ENOSPC (out of ptys),
 * -ENOMEM, -EMFILE.
 */
int vmm_pty_create(struct vmm_chardev **out, struct vmm_error *err);

/*
 * The two halves of vmm_pty_create, for a process that opens and one that may not.
 *
 * vmm_pty_open makes the pseudo-terminal: master, path ("/dev/pts/N", in len bytes), and an inotify
 * instance that tells when somebody opens it, or -1 where there is none. Both are the caller's and
 * may go on to another process; path stays as long as master is open anywhere. Errors: as
 * vmm_pty_create, -ERANGE (path).
 */
int vmm_pty_open(int *master, int *inotify_fd, char *path, size_t len, struct vmm_error *err);
/*
 * vmm_pty_from_fds makes the back end of what the other one opened, and opens nothing by name. It
 * takes both on success; they are put into non-blocking mode. With inotify_fd -1 a timer looks for
 * clients four times a second. Errors: -EBADF, -ENOTTY (master is none), -EINVAL (inotify_fd is
 * something else), -ENOMEM, -EMFILE.
 */
int vmm_pty_from_fds(struct vmm_chardev **out, int master, int inotify_fd, struct vmm_error *err);

/* "/dev/pts/N" of a pty's back end; owned by it. */
const char *vmm_pty_path(const struct vmm_chardev *cd);

/* ---- for those who write a back end of their own ---- */

/* wrappers check for NULL ops and for double starts, so an op need not. */
struct vmm_chardev_ops {
	int (*start)(struct vmm_chardev *cd, struct vmm_loop *loop); /* may be NULL */
	void (*stop)(struct vmm_chardev *cd);                        /* may be NULL */
	void (*write)(struct vmm_chardev *cd, const void *bytes, size_t len);
	size_t (*read)(struct vmm_chardev *cd, void *buf, size_t len); /* NULL: no input */
	void (*want_input)(struct vmm_chardev *cd, bool want);         /* NULL: no input */
	void (*destroy)(struct vmm_chardev *cd);                       /* may be NULL */
};

/* Embedded first in the back end's own struct; zero-initialised but for ops. */
struct vmm_chardev {
	const struct vmm_chardev_ops *ops;
	/* Set by vmm_chardev_start, NULL otherwise. */
	struct vmm_loop *loop;
	const struct vmm_chardev_events *events;
	void *ctx;
	/* Set by vmm_chardev_set_size. */
	uint16_t columns;
	uint16_t rows;
	uint64_t dropped; /* relaxed atomic */
};

/* Records a size and tells the user when it is a new one. 0 x 0 is ignored. */
void vmm_chardev_set_size(struct vmm_chardev *cd, uint16_t columns, uint16_t rows);
/* Tells the user that there is input. */
void vmm_chardev_readable(struct vmm_chardev *cd);
/* Counts lost bytes. */
void vmm_chardev_count_dropped(struct vmm_chardev *cd, size_t len);

#ifdef __cplusplus
}
#endif

#endif
