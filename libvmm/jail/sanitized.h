/* SPDX-License-Identifier: MIT */
/*
 * The development build carries AddressSanitizer, which maps memory as it goes, terabytes of it at
 * its start, and reads files to report. It could not live in the jail of the release. This is the
 * one place that says so: table.c adds rules by it, enter.c leaves out RLIMIT_AS.
 */
#ifndef JAIL_SANITIZED_H
#define JAIL_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define JAIL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JAIL_SANITIZED 1
#endif
#endif

#ifndef JAIL_SANITIZED
#define JAIL_SANITIZED 0
#endif

#endif
