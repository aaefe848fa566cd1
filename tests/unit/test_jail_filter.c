/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch.h"
#include "entry.h"
#include "jail/internal.h"
#include "jail/probe/tries.h"
#include "suite.h"

#define INPUTS 1100000u

/* ---- an interpreter of what the compiler emits ---- */

/* Anything that it does not know ends the test: a verifier in passing. */
static uint32_t interpret(const struct sock_filter *code, size_t len, const void *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < len; pc++) {
		const struct sock_filter *f = &code[pc];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			SUITE_REQUIRE(f->k + 4 <= sizeof(struct seccomp_data) && f->k % 4 == 0);
			memcpy(&a, (const char *)data + f->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			SUITE_REQUIRE(false);
		}
	}
	ck_abort_msg("ran off the end");
	return 0;
}

/* ---- inputs ---- */

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint32_t any_arch(void)
{
	static const uint32_t others[] = {AUDIT_ARCH_I386, AUDIT_ARCH_RISCV64, AUDIT_ARCH_ARM, 0};

	return draw() % 16 == 0 ? others[draw() % 4] : JAIL_AUDIT_ARCH;
}

/* Mostly a call of the table with arguments near what a rule wants; else anything. */
static void any_input(const struct vmm_jail_profile *p, struct try_call *call)
{
	const struct vmm_jail_rule *rule = &p->rules[draw() % p->rule_count];

	try_fill(call, rule);
	for (size_t i = 0; i < 6; i++) {
		if (draw() % 2) {
			call->args[i] ^= UINT64_C(1) << (draw() % 64);
		}
		if (draw() % 8 == 0) {
			call->args[i] = draw();
		}
	}
	switch (draw() % 8) {
	case 0:
		call->nr = draw() % 601;
		break;
	case 1:
		call->nr = (call->nr | 0x40000000) & UINT32_MAX;
		break;
	case 2:
		call->nr = (uint32_t)draw();
		break;
	default:
		break;
	}
}

START_TEST(filter_equals_the_table_on_random_inputs)
{
	struct sock_filter code[JAIL_FILTER_MAX];
	unsigned inputs = 0;
	unsigned allowed = 0;
	unsigned differences = 0;

	for (size_t i = 0; i < vmm_jail_profile_count(); i++) {
		const struct vmm_jail_profile *p = vmm_jail_profile_at(i);
		int len = vmm_jail_compile(p, code, JAIL_FILTER_MAX);

		SUITE_REQUIRE(len > 0);
		for (size_t n = 0; n < INPUTS / vmm_jail_profile_count(); n++, inputs++) {
			struct seccomp_data data = {.arch = any_arch()};
			struct try_call call;
			bool want;
			bool got;

			any_input(p, &call);
			data.nr = (int)call.nr;
			memcpy(data.args, call.args, sizeof(data.args));
			want = data.arch == JAIL_AUDIT_ARCH && try_listed(p, &call);
			got = interpret(code, (size_t)len, &data) == SECCOMP_RET_ALLOW;
			allowed += want;
			differences += want != got;
		}
	}
	printf("figure: seccomp filter: inputs %u, of them allowed %u, differences %u\n", inputs,
	       allowed, differences);
	ck_assert_uint_ge(inputs, 1000000);
	ck_assert_uint_ge(allowed, inputs / 10);
	ck_assert_uint_eq(differences, 0);
}
END_TEST

/* ---- the compiler's limits ---- */

START_TEST(filter_that_does_not_fit_is_refused)
{
	struct sock_filter code[JAIL_FILTER_MAX];
	const struct vmm_jail_profile *vm = vmm_jail_profile_find("vm");
	int len = vmm_jail_compile(vm, code, JAIL_FILTER_MAX);

	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(vmm_jail_compile(vm, code, (size_t)len), len);
	ck_assert_int_eq(vmm_jail_compile(vm, code, (size_t)len - 1), -E2BIG);
	ck_assert_int_eq(vmm_jail_compile(vm, code, 0), -E2BIG);
}
END_TEST

START_TEST(filter_with_too_many_rules_of_one_call_is_refused)
{
	static struct vmm_jail_rule rules[100];
	struct vmm_jail_profile p = {"many", rules, 100};
	struct sock_filter code[JAIL_FILTER_MAX];

	for (size_t i = 0; i < 100; i++) {
		rules[i] = (struct vmm_jail_rule){
			.nr = SYS_ioctl, .name = "ioctl", .checks = {{1, UINT32_MAX, i}}};
	}
	ck_assert_int_eq(vmm_jail_compile(&p, code, JAIL_FILTER_MAX), -E2BIG);
	p.rule_count = 84;
	ck_assert_int_gt(vmm_jail_compile(&p, code, JAIL_FILTER_MAX), 0);
}
END_TEST

START_TEST(filter_checks_all_64_bits_of_two_arguments)
{
	static const struct vmm_jail_rule rule = {
		.nr = SYS_fallocate,
		.name = "fallocate",
		.checks = {{2, UINT64_MAX, 0x123456789}, {3, UINT64_C(0xff00000000), 0}}};
	const struct vmm_jail_profile p = {"wide", &rule, 1};
	struct seccomp_data data = {.arch = JAIL_AUDIT_ARCH, .nr = SYS_fallocate};
	struct sock_filter code[JAIL_FILTER_MAX];
	int len = vmm_jail_compile(&p, code, JAIL_FILTER_MAX);

	data.args[2] = 0x123456789;
	data.args[3] = 0xffffffff;
	ck_assert_uint_eq(interpret(code, (size_t)len, &data), SECCOMP_RET_ALLOW);
	data.args[2] = 0x23456789;
	ck_assert_uint_eq(interpret(code, (size_t)len, &data), SECCOMP_RET_KILL_PROCESS);
	data.args[2] = 0x123456788;
	ck_assert_uint_eq(interpret(code, (size_t)len, &data), SECCOMP_RET_KILL_PROCESS);
	data.args[2] = 0x123456789;
	data.args[3] = UINT64_C(0x100000000);
	ck_assert_uint_eq(interpret(code, (size_t)len, &data), SECCOMP_RET_KILL_PROCESS);
}
END_TEST

/* ---- the table ---- */

START_TEST(table_is_well_formed)
{
	for (size_t i = 0; i < vmm_jail_profile_count(); i++) {
		const struct vmm_jail_profile *p = vmm_jail_profile_at(i);

		ck_assert_ptr_eq(vmm_jail_profile_find(p->name), p);
		for (size_t r = 0; r < p->rule_count; r++) {
			for (size_t j = 0; j < VMM_JAIL_CHECKS_MAX; j++) {
				const struct vmm_jail_check *check = &p->rules[r].checks[j];

				ck_assert_uint_lt(check->arg, 6);
				ck_assert_uint_eq(check->value & ~check->mask, 0);
			}
		}
	}
	ck_assert_ptr_null(vmm_jail_profile_find(""));
}
END_TEST

/* ---- the kernel ---- */

/* A sample, with the sanitizers' additions; tests/jail tries all, on the table of the release. */
START_TEST(filter_rules_let_live_what_they_say)
{
	static const char *const names[] = {"vcpu", "console", "net", "blk", "gpu"};
	struct try_tally tally = {0};

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		try_rules(vmm_jail_profile_find(names[i]), 9, STDOUT_FILENO, &tally);
	}
	ck_assert_uint_gt(tally.rules, 0);
	ck_assert_uint_eq(tally.deviations, 0);
	printf("figure: seccomp rules under sanitizers: rules %u, probes %u, deviations 0\n",
	       tally.rules, tally.probes);
}
END_TEST

START_TEST(filter_kills_what_is_not_listed)
{
	static const uint64_t unlisted[] = {SYS_openat2,
					    SYS_socket,
					    SYS_clone3,
					    SYS_execve,
					    SYS_ptrace,
					    SYS_kill,
					    SYS_io_uring_setup,
					    0x40000000,
					    0x40000000 | SYS_read,
					    100000};
	const struct vmm_jail_profile *rng = vmm_jail_profile_find("rng");

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (size_t i = 0; i < sizeof(unlisted) / sizeof(unlisted[0]); i++) {
		struct try_call call = {.nr = unlisted[i]};

		ck_assert_int_eq(try_call(rng, &call), TRY_DIES);
	}
	if (probe_has_foreign_entry()) {
		ck_assert_int_eq(try_call(rng, &(struct try_call){ENTRY_FOREIGN, 20, {0}}),
				 TRY_DIES);
	}
}
END_TEST

SUITE_MAIN("jail_filter", filter_equals_the_table_on_random_inputs,
	   filter_that_does_not_fit_is_refused, filter_with_too_many_rules_of_one_call_is_refused,
	   filter_checks_all_64_bits_of_two_arguments, table_is_well_formed,
	   filter_rules_let_live_what_they_say, filter_kills_what_is_not_listed)
