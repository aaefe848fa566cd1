/* SPDX-License-Identifier: MIT */
/*
 * Built for musl only: the three entry points of glibc's _FORTIFY_SOURCE that Debian's libjansson.a
 * calls and musl does not have. Each does what glibc's does: checks the size the compiler knew,
 * then goes to the plain function. See docs/decisions/0003-jansson.md.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/error.h>

int __snprintf_chk(char *s, size_t max, int flag, size_t size, const char *fmt, ...)
	VMM_PRINTF(5, 6);
int __vsnprintf_chk(char *s, size_t max, int flag, size_t size, const char *fmt, va_list args)
	VMM_PRINTF(5, 0);
char *__strncpy_chk(char *dest, const char *src, size_t len, size_t size);

int __vsnprintf_chk(char *s, size_t max, int flag, size_t size, const char *fmt, va_list args)
{
	(void)flag;
	if (size < max) {
		abort();
	}
	return vsnprintf(s, max, fmt, args);
}

int __snprintf_chk(char *s, size_t max, int flag, size_t size, const char *fmt, ...)
{
	va_list args;
	int ret;

	va_start(args, fmt);
	ret = __vsnprintf_chk(s, max, flag, size, fmt, args);
	va_end(args);
	return ret;
}

char *__strncpy_chk(char *dest, const char *src, size_t len, size_t size)
{
	if (size < len) {
		abort();
	}
	return strncpy(dest, src, len);
}
