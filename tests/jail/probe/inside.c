/* SPDX-License-Identifier: MIT */
/* The half of jailprobe that is in the jail. */
#include "probe.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "entry.h"
#include "tries.h"

#define NUMBERS 601
#define SECONDS 10

void probe_enter(size_t keep, struct vmm_jail_level *level)
{
	static const int fds[FDS_INSIDE] = {FD_TEXT, FD_RESULT,  FD_EVENT,   FD_DISK,
					    FD_RAM,  FD_SIBLING, FD_PROGRAM, FD_PTY};
	struct vmm_jail_config config = {.keep_fds = fds,
					 .keep_count = keep,
					 .memory_limit = MEMORY_LIMIT,
					 .file_limit = DISK_SIZE};
	struct vmm_error err = {0};

	if (vmm_jail_enter(&config, level, &err) < 0) {
		(void)dprintf(FD_TEXT, "jail: %s\n", err.message);
		_exit(PROBE_FAILED);
	}
}

static void tell(const void *bytes, size_t len)
{
	if (write(FD_RESULT, bytes, len) != (ssize_t)len) {
		_exit(PROBE_FAILED);
	}
}

static const struct vmm_jail_profile *find(const char *name)
{
	const struct vmm_jail_profile *profile = vmm_jail_profile_find(name);

	if (!profile) {
		(void)dprintf(FD_TEXT, "no profile %s\n", name);
		_exit(PROBE_USAGE);
	}
	return profile;
}

/* ---- sweep ---- */

/* The first rule of a system call, NULL: it is not listed. */
static const struct vmm_jail_rule *rule_of(const struct vmm_jail_profile *p, unsigned nr)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		if (p->rules[i].nr == nr) {
			return &p->rules[i];
		}
	}
	return NULL;
}

static void expect(const struct vmm_jail_profile *p, const struct try_call *call,
		   enum try_result want, struct try_tally *t)
{
	enum try_result got = try_call(p, call);

	t->probes++;
	t->rules += want == TRY_LIVES;
	if (got != want) {
		t->deviations++;
		(void)dprintf(FD_TEXT, "deviation: %s: call %llu %s\n", p->name,
			      (unsigned long long)call->nr,
			      got == TRY_LIVES ? "lives" : "does not live");
	}
}

/* Each number three times: as it is, as x32 would have it, and through another
 * architecture's way in. */
static void sweep_numbers(const struct vmm_jail_profile *p, struct try_tally *t)
{
	for (unsigned nr = 0; nr < NUMBERS; nr++) {
		const struct vmm_jail_rule *rule = rule_of(p, nr);
		struct try_call call = {.nr = nr};

		if (rule) {
			try_fill(&call, rule);
		}
		if (!probe_exempt(nr)) {
			expect(p, &call, rule ? TRY_LIVES : TRY_DIES, t);
		}
		call.nr = nr | 0x40000000u;
		expect(p, &call, TRY_DIES, t);
		if (probe_has_foreign_entry()) {
			call.nr = nr;
			call.entry = ENTRY_FOREIGN;
			expect(p, &call, TRY_DIES, t);
		}
	}
}

void inside_sweep(const char *name)
{
	const struct vmm_jail_profile *p = find(name);
	struct try_tally numbers = {0};
	struct try_tally rules = {0};
	struct vmm_jail_level level = {0};

	probe_enter(2, &level);
	sweep_numbers(p, &numbers);
	try_rules(p, 1, FD_TEXT, &rules);
	tell(&numbers, sizeof(numbers));
	tell(&rules, sizeof(rules));
	_exit(PROBE_OK);
}

/* ---- escape ---- */

/* The limit that comes with the filter, without the filter. */
static void no_processes(void)
{
	struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_NPROC, &none) != 0) {
		_exit(PROBE_USAGE);
	}
}

#define SUCCEEDED 42

_Noreturn static void attempt_it(const struct attempt *a, const char *profile,
				 const struct outside *outside, bool sealed)
{
	(void)alarm(SECONDS);
	if (!sealed) {
		no_processes();
	} else if (vmm_jail_seal(profile, NULL, NULL) != 0) {
		_exit(PROBE_USAGE);
	}
	_exit(a->succeeds(outside) ? SUCCEEDED : PROBE_OK);
}

static void run_attempt(const struct attempt *a, const char *profile, const struct outside *outside,
			bool sealed)
{
	struct attempted done = {.sealed = sealed};
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		attempt_it(a, profile, outside, sealed);
	}
	(void)waitpid(pid, &status, 0);
	(void)snprintf(done.name, sizeof(done.name), "%s", a->name);
	done.succeeded = WIFEXITED(status) && WEXITSTATUS(status) == SUCCEEDED;
	done.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
	done.odd = pid < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == PROBE_USAGE) ||
		   (WIFSIGNALED(status) && !done.killed);
	tell(&done, sizeof(done));
}

void inside_escape(const char *name, const struct outside *outside)
{
	struct vmm_jail_level level = {0};

	(void)find(name);
	probe_enter(FDS_INSIDE, &level);
	tell(&level, sizeof(level));
	for (size_t i = 0; i < attempt_count; i++) {
		run_attempt(&attempts[i], name, outside, true);
		if (attempts[i].layer) {
			run_attempt(&attempts[i], name, outside, false);
		}
	}
	_exit(PROBE_OK);
}

/* ---- hang ---- */

void inside_hang(const char *name)
{
	struct vmm_jail_level level = {0};
	struct vmm_error err = {0};
	char byte;

	probe_enter(3, &level);
	if (vmm_jail_seal(name, &level, &err) < 0) {
		(void)dprintf(FD_TEXT, "seal: %s\n", err.message);
		_exit(PROBE_FAILED);
	}
	tell("", 1);
	(void)!read(FD_RESULT, &byte, 1);
	_exit(PROBE_OK);
}
