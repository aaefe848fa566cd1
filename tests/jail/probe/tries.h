/* SPDX-License-Identifier: MIT */
/*
 * One system call under one filter, in a child that may die of it; and what the table says should
 * happen, read from the table itself and not from the compiled program. Used by the unit test of
 * the filter and, linked as the release is, by jailprobe.
 */
#ifndef TESTS_JAIL_TRIES_H
#define TESTS_JAIL_TRIES_H

#include <stdbool.h>
#include <stdint.h>
#include <vmm/jail.h>

enum try_result {
	TRY_LIVES, /* the call was made */
	TRY_DIES,  /* SIGSYS */
	TRY_ODD,   /* anything else: a deviation whatever was expected */
};

enum try_entry {
	ENTRY_SYSCALL,
	ENTRY_FOREIGN, /* another architecture to seccomp, where there is a way in (entry.h) */
};

struct try_call {
	enum try_entry entry;
	uint64_t nr; /* all bits reach the kernel */
	uint64_t args[6];
};

struct try_tally {
	unsigned rules; /* rules with checks */
	unsigned probes;
	unsigned deviations;
};

/* What the table says: the slow reference. The call's entry must be ENTRY_SYSCALL. */
bool try_listed(const struct vmm_jail_profile *profile, const struct try_call *call);

/* A call that a rule allows, with arguments that otherwise do nothing: -1 each. */
void try_fill(struct try_call *call, const struct vmm_jail_rule *rule);

/* Makes the call in a forked child that has sealed itself. The caller must have no_new_privs. */
enum try_result try_call(const struct vmm_jail_profile *profile, const struct try_call *call);

/*
 * Every rule with checks: its own value, and its neighbours (each bit of the checked half turned,
 * one more, one less). Deviations are printed to the descriptor out. step: every how many-th
 * neighbour is tried.
 */
void try_rules(const struct vmm_jail_profile *profile, unsigned step, int out,
	       struct try_tally *tally);

#endif
