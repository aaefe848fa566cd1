/* SPDX-License-Identifier: MIT */
/*
 * A plugin of QEMU's software emulation: counts what the emulated machine executes, by who executes
 * it, and writes the counters to a file (out=FILE) at each mark (mark.h): "NUMBER KERNEL VMM OTHER
 * SYSCALLS".
 *
 * Who it is, the address says. The upper half is the kernels', of the lab and of its guests. The
 * lab's processes have their places without randomness (norandmaps), so that position-independent
 * programs lie high: those are the VMMs that are measured, with the libraries they use. Below 4 GiB
 * are programs linked to an address: the lab's shell, counted.c, bare-metal guests, the first
 * program of Linux guests.
 *
 * An instruction that faults and is tried again counts again. With one thread and -icount that is
 * the same in each run.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "mark.h"

/* ---- of qemu-plugin.h (version 1, up to QEMU 8.2), which Debian does not ship ---- */

#define EXPORT __attribute__((visibility("default")))

struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS };
enum { INLINE_ADD_U64 };

typedef void (*tb_translated)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*insn_executed)(unsigned vcpu, void *opaque);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_translated cb);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, insn_executed cb,
					    int flags, void *opaque);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op,
						void *counter, uint64_t by);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT extern int qemu_plugin_version;
EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv);

int qemu_plugin_version = 1;

/* ---- the plugin ---- */

#define KERNEL_FROM UINT64_C(0x8000000000000000)
#define VMM_FROM    UINT64_C(0x100000000)

enum { KERNEL, VMM, OTHER, SYSCALLS, COUNTERS };

static uint64_t counters[COUNTERS];
static FILE *out;

static void at_mark(unsigned vcpu, void *number)
{
	(void)vcpu;
	(void)fprintf(out, "%u", (unsigned)(uintptr_t)number);
	for (int i = 0; i < COUNTERS; i++) {
		(void)fprintf(out, " %llu", (unsigned long long)counters[i]);
	}
	(void)fputc('\n', out);
	(void)fflush(out);
}

static void look_at(struct qemu_plugin_insn *insn)
{
	static const uint8_t mark[] = {MARK_BYTES}, magic[] = {MARK_MAGIC & 0xff, MARK_MAGIC >> 8};
	static const uint8_t system_call[] = {0x0f, 0x05};
	const uint8_t *bytes = qemu_plugin_insn_data(insn);
	size_t size = qemu_plugin_insn_size(insn);
	uint64_t address = qemu_plugin_insn_vaddr(insn);
	int who = address >= KERNEL_FROM ? KERNEL : address >= VMM_FROM ? VMM : OTHER;

	qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &counters[who], 1);
	if (who == VMM && size == sizeof(system_call) && memcmp(bytes, system_call, size) == 0) {
		qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64,
							   &counters[SYSCALLS], 1);
	}
	if (size == 7 && memcmp(bytes, mark, sizeof(mark)) == 0 &&
	    memcmp(bytes + 5, magic, sizeof(magic)) == 0) {
		uintptr_t number = (uintptr_t)(bytes[3] | bytes[4] << 8);

		qemu_plugin_register_vcpu_insn_exec_cb(insn, at_mark, CB_NO_REGS, (void *)number);
	}
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		look_at(qemu_plugin_tb_get_insn(tb, i));
	}
}

int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "out=", 4) == 0) {
			out = fopen(argv[i] + 4, "we");
		}
	}
	if (!out) {
		(void)fputs(
			"icount plugin: out=FILE is wanted, and cannot be written or is not there\n",
			stderr);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
