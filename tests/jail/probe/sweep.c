/* SPDX-License-Identifier: MIT */
/* Which system calls live in each jail, and how many there may be. */
#include "probe.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "entry.h"
#include "tries.h"

/* Calls after start-up, from the comparison with other VMMs that the project set out with. */
struct budget {
	const char *profile;
	size_t calls;
};

static const struct budget budgets[] = {
	{"vcpu", 7},
	{"vm", PROBE_VM_BUDGET},
	{"vm-shm", PROBE_VM_BUDGET + 1},
	{"rng", 8},
	{"input", 8},
	{"console", 10},
	{"net", 11},
	{"net-socket", 11},
	{"blk", 14},
	{"blk-uring", 17},
	{"gpu", 30},
	{"window", 20},
};

static bool within_budgets(void)
{
	bool within = true;

	for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
		const struct vmm_jail_profile *p = vmm_jail_profile_find(budgets[i].profile);
		size_t calls = p ? vmm_jail_profile_calls(p) : SIZE_MAX;

		printf("figure: calls of %s: %zu, budget %zu\n", budgets[i].profile, calls,
		       budgets[i].calls);
		within = within && calls <= budgets[i].calls;
	}
	return within;
}

static bool sweep_profile(const char *profile, struct try_tally *numbers, struct try_tally *rules)
{
	char name[32];
	char *argv[] = {(char[]){"jailprobe"}, (char[]){"inside"}, (char[]){"sweep"}, name, NULL};
	struct try_tally one = {0};
	struct jailed j;
	bool complete;

	(void)snprintf(name, sizeof(name), "%s", profile);
	if (!probe_start(&j, argv, NULL, 0)) {
		return false;
	}
	complete = recv(j.result, &one, sizeof(one), 0) == (ssize_t)sizeof(one);
	numbers->rules += one.rules;
	numbers->probes += one.probes;
	numbers->deviations += one.deviations;
	complete = complete && recv(j.result, &one, sizeof(one), 0) == (ssize_t)sizeof(one);
	rules->rules += one.rules;
	rules->probes += one.probes;
	rules->deviations += one.deviations;
	if (probe_finish(&j) != 0 || !complete) {
		printf("deviation: %s: the probe did not come to its end\n", profile);
		return false;
	}
	return true;
}

int sweep(void)
{
	struct try_tally numbers = {0};
	struct try_tally rules = {0};
	bool good = true;

	for (size_t i = 0; i < vmm_jail_profile_count(); i++) {
		good = sweep_profile(vmm_jail_profile_at(i)->name, &numbers, &rules) && good;
	}
	good = within_budgets() && good;
	printf("figure: syscall sweep: profiles %zu, calls tried %u, allowed as listed %u, "
	       "deviations %u; argument rules %u, probes %u, deviations %u\n",
	       vmm_jail_profile_count(), numbers.probes, numbers.rules, numbers.deviations,
	       rules.rules, rules.probes, rules.deviations);
	return good && numbers.deviations + rules.deviations == 0 ? PROBE_OK : PROBE_FAILED;
}
