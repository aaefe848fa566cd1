/* SPDX-License-Identifier: MIT */
/*
 * Errors. Every function that can fail returns 0 (or a count) on success and a
 * negative errno on failure. Functions of the configuration time also fill a
 * caller-owned struct vmm_error with one sentence that a user can act on.
 *
 * Two codes always mean that the guest broke a rule, never the host:
 *   -EFAULT  an address outside guest RAM
 *   -EPROTO  a rule of a ring, a descriptor chain or a device protocol
 */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VMM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define VMM_PRINTF(fmt, args)
#endif

#define VMM_ERROR_MESSAGE_MAX 384

/*
 * A failure in words. Lives in the caller's memory; nothing in it needs to be
 * freed. Zero-initialise it before the call: a function that succeeds leaves it
 * alone.
 */
struct vmm_error {
	int code; /* negative errno, 0 when unset */
	char message[VMM_ERROR_MESSAGE_MAX];
};

/*
 * Sets code and message (cut at VMM_ERROR_MESSAGE_MAX - 1 bytes) and returns
 * code, so that `return vmm_error_set(err, -EINVAL, ...)` reads well. err may be
 * NULL. Any thread; err itself is not locked.
 */
int vmm_error_set(struct vmm_error *err, int code, const char *fmt, ...) VMM_PRINTF(3, 4);

/*
 * Puts context in front of what err says already ("disk0: " + message) and
 * returns code. When err holds no message yet, strerror(-code) follows the
 * context. err may be NULL.
 */
int vmm_error_wrap(struct vmm_error *err, int code, const char *fmt, ...) VMM_PRINTF(3, 4);

/* True for the two codes that mean a guest's mistake: -EFAULT and -EPROTO. */
bool vmm_is_guest_error(int code);

#ifdef __cplusplus
}
#endif

#endif
