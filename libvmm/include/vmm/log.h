/* SPDX-License-Identifier: MIT */
/*
 * Logging. The library prints nothing: it hands finished lines (no newline, no
 * prefix) to a sink that the caller supplies per VM. A NULL log is silent.
 */
#ifndef VMM_LOG_H
#define VMM_LOG_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vmm_log_level {
	VMM_LOG_ERROR = 1, /* something the user asked for does not work */
	VMM_LOG_WARN,      /* it works, but not as the user may expect */
	VMM_LOG_INFO,      /* milestones: started, paused, guest reset */
	VMM_LOG_DEBUG,
};

/*
 * Where lines go. The sink may be called from any thread of the VM, at the same
 * time from several; it must not call back into the library.
 */
struct vmm_log {
	enum vmm_log_level level; /* lines above it are dropped */
	void (*sink)(void *user, enum vmm_log_level level, const char *message);
	void *user;
};

/*
 * For sinks: makes "PREFIXwarning: MESSAGE" and a newline out of what they get, at most size bytes
 * (of 2 or more) without a NUL, cut if need be. Returns its length. Control characters become '?',
 * as messages quote names and paths, none of which may steer a terminal. To be written by one
 * write(2), so that lines of several threads stay whole. Any thread.
 */
size_t vmm_log_line(char *line, size_t size, const char *prefix, enum vmm_log_level level,
		    const char *message);

/* Formats and hands over one line. log may be NULL. Any thread. */
void vmm_log(const struct vmm_log *log, enum vmm_log_level level, const char *fmt, ...)
	VMM_PRINTF(3, 4);

/*
 * State of one rate limit, zero-initialised, one for each kind of message a
 * guest can provoke. Owned by whoever logs. Not locked: a lost update costs at
 * most one extra line.
 */
struct vmm_log_limit {
	uint64_t next_ns;    /* CLOCK_MONOTONIC time before which lines are counted, not logged */
	uint32_t suppressed; /* lines counted since the last one */
};

/*
 * Logs (at VMM_LOG_WARN) something that a guest can cause as often as it likes:
 * at most one line a second for each limit; the next line says how many were
 * left out.
 */
void vmm_log_guest(const struct vmm_log *log, struct vmm_log_limit *limit, const char *fmt, ...)
	VMM_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif
