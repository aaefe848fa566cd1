/* SPDX-License-Identifier: MIT */
#include "tries.h"

#include "entry.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOTHING       UINT64_MAX
#define CHILD_SECONDS 10

/* ---- the reference ---- */

static bool holds(const struct vmm_jail_check *check, const uint64_t args[6])
{
	return (args[check->arg] & check->mask) == check->value;
}

bool try_listed(const struct vmm_jail_profile *profile, const struct try_call *call)
{
	for (size_t i = 0; i < profile->rule_count; i++) {
		const struct vmm_jail_rule *rule = &profile->rules[i];
		bool all = rule->nr == call->nr;

		for (size_t j = 0; all && j < VMM_JAIL_CHECKS_MAX; j++) {
			all = holds(&rule->checks[j], call->args);
		}
		if (all) {
			return true;
		}
	}
	return false;
}

void try_fill(struct try_call *call, const struct vmm_jail_rule *rule)
{
	call->entry = ENTRY_SYSCALL;
	call->nr = rule->nr;
	for (size_t i = 0; i < 6; i++) {
		call->args[i] = NOTHING;
	}
	for (size_t j = 0; j < VMM_JAIL_CHECKS_MAX; j++) {
		const struct vmm_jail_check *check = &rule->checks[j];

		call->args[check->arg] &= ~check->mask;
		call->args[check->arg] |= check->value;
	}
}

/* ---- the child ---- */

static volatile sig_atomic_t rang;

static void ring(int signo)
{
	(void)signo;
	rang = 1;
}

/* The one call that is not made by asking for it: coming back from a handler. */
static void arm_signal(void)
{
	struct sigaction action = {.sa_handler = ring};
	/* Not before the filter is there, on an emulated processor neither. */
	struct itimerval soon = {.it_value = {.tv_usec = 50000}};

	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &soon, NULL);
}

static void make(const struct try_call *c)
{
	if (c->entry == ENTRY_FOREIGN) {
		probe_foreign_call(c->nr, c->args);
	} else if (c->nr == SYS_rt_sigreturn) {
		while (!rang) {
		}
	} else {
		(void)syscall((long)c->nr, c->args[0], c->args[1], c->args[2], c->args[3],
			      c->args[4], c->args[5]);
	}
}

/* Before each step one byte: what the parent finds in the pipe says how far it came. */
_Noreturn static void child(const struct vmm_jail_profile *profile, const struct try_call *call,
			    int out)
{
	(void)signal(SIGALRM, SIG_DFL);
	(void)signal(SIGSEGV, SIG_DFL);
	(void)alarm(CHILD_SECONDS);
	if (call->nr == SYS_rt_sigreturn) {
		arm_signal();
	}
	if (vmm_jail_seal_thread(profile->name) != 0) {
		_exit(1);
	}
	(void)!write(out, "A", 1);
	make(call);
	(void)!write(out, "B", 1);
	_exit(0);
}

static enum try_result judge(const struct try_call *call, ssize_t bytes, int status)
{
	bool ends = call->nr == SYS_exit_group || call->nr == SYS_exit;

	if (bytes == 2 || (bytes == 1 && ends && WIFEXITED(status))) {
		return TRY_LIVES;
	}
	if (bytes == 1 && WIFSIGNALED(status) &&
	    (WTERMSIG(status) == SIGSYS ||
	     /* A kernel without the 32-bit entry. */
	     (call->entry == ENTRY_FOREIGN && WTERMSIG(status) == SIGSEGV))) {
		return TRY_DIES;
	}
	return TRY_ODD;
}

enum try_result try_call(const struct vmm_jail_profile *profile, const struct try_call *call)
{
	char bytes[4];
	int status = -1;
	int ends[2];
	ssize_t got;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		return TRY_ODD;
	}
	pid = fork();
	if (pid == 0) {
		child(profile, call, ends[1]);
	}
	(void)waitpid(pid, &status, 0);
	got = read(ends[0], bytes, sizeof(bytes));
	(void)close(ends[0]);
	(void)close(ends[1]);
	return pid < 0 ? TRY_ODD : judge(call, got, status);
}

/* ---- rules ---- */

struct prober {
	const struct vmm_jail_profile *profile;
	const struct vmm_jail_rule *rule;
	int out;
	struct try_tally *tally;
};

static void probe(const struct prober *p, const struct try_call *call, size_t arg)
{
	enum try_result want = try_listed(p->profile, call) ? TRY_LIVES : TRY_DIES;
	enum try_result got = try_call(p->profile, call);

	p->tally->probes++;
	if (got != want) {
		p->tally->deviations++;
		(void)dprintf(p->out, "deviation: %s: %s with argument %zu 0x%llx %s\n",
			      p->profile->name, p->rule->name, arg,
			      (unsigned long long)call->args[arg],
			      got == TRY_LIVES ? "lives" : "does not live");
	}
}

static void probe_check(const struct prober *p, const struct vmm_jail_check *check, unsigned step)
{
	struct try_call call;
	uint64_t value;

	try_fill(&call, p->rule);
	value = call.args[check->arg];
	for (unsigned bit = 0; bit < 64; bit += step) {
		call.args[check->arg] = value ^ (UINT64_C(1) << bit);
		probe(p, &call, check->arg);
	}
	call.args[check->arg] = value + 1;
	probe(p, &call, check->arg);
	call.args[check->arg] = value - 1;
	probe(p, &call, check->arg);
}

void try_rules(const struct vmm_jail_profile *profile, unsigned step, int out,
	       struct try_tally *tally)
{
	struct prober p = {.profile = profile, .out = out, .tally = tally};

	for (size_t i = 0; i < profile->rule_count; i++) {
		const struct vmm_jail_rule *rule = &profile->rules[i];
		struct try_call call;

		if (rule->checks[0].mask == 0) {
			continue;
		}
		p.rule = rule;
		tally->rules++;
		try_fill(&call, rule);
		probe(&p, &call, rule->checks[0].arg);
		for (size_t j = 0; j < VMM_JAIL_CHECKS_MAX && rule->checks[j].mask != 0; j++) {
			probe_check(&p, &rule->checks[j], step);
		}
	}
}
