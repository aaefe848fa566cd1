/* SPDX-License-Identifier: MIT */
#include <vmm/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int vmm_error_set(struct vmm_error *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err) {
		return code;
	}
	err->code = code;
	va_start(args, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	return code;
}

int vmm_error_wrap(struct vmm_error *err, int code, const char *fmt, ...)
{
	char inner[VMM_ERROR_MESSAGE_MAX];
	va_list args;
	size_t used;

	if (!err) {
		return code;
	}
	if (err->message[0] != '\0') {
		memcpy(inner, err->message, sizeof(inner));
	} else {
		/* Thread-safe in the C libraries this builds with: constant or per-thread strings.
		 */
		(void)snprintf(inner, sizeof(inner), "%s", strerror(-code));
	}
	err->code = code;
	va_start(args, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, args);
	va_end(args);
	used = strlen(err->message);
	(void)snprintf(err->message + used, sizeof(err->message) - used, ": %s", inner);
	return code;
}

bool vmm_is_guest_error(int code)
{
	return code == -EFAULT || code == -EPROTO;
}
