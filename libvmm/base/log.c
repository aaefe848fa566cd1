/* SPDX-License-Identifier: MIT */
#include <vmm/log.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 512
#define NS_PER_SECOND  UINT64_C(1000000000)

static const char *level_name(enum vmm_log_level level)
{
	switch (level) {
	case VMM_LOG_ERROR:
		return "error: ";
	case VMM_LOG_WARN:
		return "warning: ";
	case VMM_LOG_DEBUG:
		return "debug: ";
	case VMM_LOG_INFO:
		break;
	}
	return "";
}

size_t vmm_log_line(char *line, size_t size, const char *prefix, enum vmm_log_level level,
		    const char *message)
{
	int n = snprintf(line, size, "%s%s%s", prefix, level_name(level), message);
	size_t len = n < 0 ? 0 : (size_t)n;

	if (len > size - 2) {
		len = size - 2;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) {
			line[i] = '?';
		}
	}
	line[len] = '\n';
	return len + 1;
}

static bool wanted(const struct vmm_log *log, enum vmm_log_level level)
{
	return log && log->sink && level <= log->level;
}

void vmm_log(const struct vmm_log *log, enum vmm_log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;

	if (!wanted(log, level)) {
		return;
	}
	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	log->sink(log->user, level, line);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

/*
 * Two threads may share a limit; relaxed atomics keep that defined, and losing a count
 * between them does no harm.
 */
static bool limit_allows(struct vmm_log_limit *limit, uint32_t *suppressed)
{
	uint64_t now = now_ns();

	if (now < __atomic_load_n(&limit->next_ns, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(&limit->suppressed, 1, __ATOMIC_RELAXED);
		return false;
	}
	__atomic_store_n(&limit->next_ns, now + NS_PER_SECOND, __ATOMIC_RELAXED);
	*suppressed = __atomic_exchange_n(&limit->suppressed, 0, __ATOMIC_RELAXED);
	return true;
}

void vmm_log_guest(const struct vmm_log *log, struct vmm_log_limit *limit, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	uint32_t suppressed;
	va_list args;
	size_t used;

	if (!wanted(log, VMM_LOG_WARN) || !limit_allows(limit, &suppressed)) {
		return;
	}
	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (suppressed > 0) {
		used = strlen(line);
		(void)snprintf(line + used, sizeof(line) - used, " (%u more like it left out)",
			       suppressed);
	}
	log->sink(log->user, VMM_LOG_WARN, line);
}
