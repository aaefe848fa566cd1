/* SPDX-License-Identifier: MIT */
/*
 * A profile as a classic BPF program:
 *
 *	another architecture? kill
 *	a number of x32? kill
 *	for each system call listed:
 *		is it this one? no: on to the next
 *		for each of its rules: do all checks hold? allow
 *		kill
 *	kill
 *
 * BPF has 32-bit words, so a check of 64 bits is two; and jumps of 8 bits, so a system call may
 * have as many rules as 255 instructions hold.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "arch.h"
#include "internal.h"

#define JUMP_MAX 255

struct program {
	struct sock_filter *code;
	size_t max;
	size_t len; /* goes on counting beyond max */
	bool too_far;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
	if (p->len < p->max) {
		p->code[p->len] = (struct sock_filter){code, if_true, if_false, k};
	}
	p->len++;
}

static void emit_load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(struct program *p, uint32_t action)
{
	emit(p, BPF_RET | BPF_K, action, 0, 0);
}

/* The comparison at `at`, when it is false, goes on behind what was emitted last. */
static void skip_to_here(struct program *p, size_t at)
{
	size_t distance = p->len - at - 1;

	if (distance > JUMP_MAX) {
		p->too_far = true;
	} else if (at < p->max) {
		p->code[at].jf = (uint8_t)distance;
	}
}

struct half {
	size_t offset;
	uint32_t mask;
	uint32_t value;
};

/* Both architectures that this is for are little-endian. Returns where the comparison is. */
static size_t emit_half(struct program *p, const struct half *half)
{
	emit_load(p, half->offset);
	if (half->mask != UINT32_MAX) {
		emit(p, BPF_ALU | BPF_AND | BPF_K, half->mask, 0, 0);
	}
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, half->value, 0, 0);
	return p->len - 1;
}

static void emit_rule(struct program *p, const struct vmm_jail_rule *rule)
{
	size_t comparisons[2 * VMM_JAIL_CHECKS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < VMM_JAIL_CHECKS_MAX; i++) {
		const struct vmm_jail_check *c = &rule->checks[i];
		size_t offset = offsetof(struct seccomp_data, args) + c->arg * sizeof(uint64_t);
		struct half low = {offset, (uint32_t)c->mask, (uint32_t)c->value};
		struct half high = {offset + sizeof(uint32_t), (uint32_t)(c->mask >> 32),
				    (uint32_t)(c->value >> 32)};

		if (low.mask != 0) {
			comparisons[count++] = emit_half(p, &low);
		}
		if (high.mask != 0) {
			comparisons[count++] = emit_half(p, &high);
		}
	}
	emit_return(p, SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < count; i++) {
		skip_to_here(p, comparisons[i]);
	}
}

static bool listed_before(const struct vmm_jail_profile *profile, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (profile->rules[i].nr == profile->rules[index].nr) {
			return true;
		}
	}
	return false;
}

/* All rules of the system call of rule `first`. The accumulator holds the number, until one
 * matches. */
static void emit_call(struct program *p, const struct vmm_jail_profile *profile, size_t first)
{
	uint32_t nr = profile->rules[first].nr;
	size_t is_it = p->len;

	emit(p, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 0);
	for (size_t i = first; i < profile->rule_count; i++) {
		if (profile->rules[i].nr == nr) {
			emit_rule(p, &profile->rules[i]);
		}
	}
	emit_return(p, SECCOMP_RET_KILL_PROCESS);
	skip_to_here(p, is_it);
}

int vmm_jail_compile(const struct vmm_jail_profile *profile, struct sock_filter *out, size_t max)
{
	struct program p = {.code = out, .max = max};

	emit_load(&p, offsetof(struct seccomp_data, arch));
	emit(&p, BPF_JMP | BPF_JEQ | BPF_K, JAIL_AUDIT_ARCH, 1, 0);
	emit_return(&p, SECCOMP_RET_KILL_PROCESS);
	emit_load(&p, offsetof(struct seccomp_data, nr));
	emit(&p, BPF_JMP | BPF_JGE | BPF_K, JAIL_NR_LIMIT, 0, 1);
	emit_return(&p, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < profile->rule_count; i++) {
		if (!listed_before(profile, i)) {
			emit_call(&p, profile, i);
		}
	}
	emit_return(&p, SECCOMP_RET_KILL_PROCESS);
	return p.len > max || p.too_far ? -E2BIG : (int)p.len;
}
