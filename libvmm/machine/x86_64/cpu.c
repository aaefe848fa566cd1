/* SPDX-License-Identifier: MIT */
/*
 * CPU state. What KVM gives a new vCPU is the state after power-on: it is remembered before the
 * first instruction and put back at every reset, then vCPU 0 is pointed at the kernel as its boot
 * protocol demands.
 */
#include "machine/x86_64/x86.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "machine/x86_64/layout.h"

#define CPUID_ENTRIES 256u /* KVM's own limit */
#define MSRS_MAX      1024u
#define MSR_BATCH     128u /* KVM takes 255 at once */

#define MSR_TSC          0x10u
#define MSR_MISC_ENABLE  0x1a0u
#define MSR_MTRR_DEFTYPE 0x2ffu

#define MTRR_WRITE_BACK   6u
#define MTRR_ENABLE       (1u << 11)
#define MISC_FAST_STRINGS 1u

#define CR0_PE   0x1u
#define CR0_ET   0x10u
#define CR0_PG   0x80000000u
#define CR4_PAE  0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u

/* KVM does not list these as to be saved, but guests change them: MTRRs and PAT. */
static const uint32_t more_msrs[] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e,
	0x26f, 0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208,
	0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f, 0x277, 0x2ff,
};

struct cpu {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	struct kvm_xcrs xcrs;
	struct kvm_mp_state mp;
	void *xsave; /* cpus->xsave_size bytes */
	struct kvm_msr_entry *msrs;
	size_t msr_count;
};

struct x86_cpus {
	unsigned count;
	bool tsc_deadline;
	bool used; /* they may have run since they were made */
	size_t xsave_size;
	struct kvm_cpuid2 *supported;
	struct kvm_msr_list *msr_list;
	struct kvm_msrs *batch; /* with room for MSR_BATCH */
	struct cpu *cpu;        /* count entries */
};

static int read_msr_list(int kvm_fd, struct kvm_msr_list **out)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MSRS_MAX * sizeof(list->indices[0]));
	int ret;

	*out = NULL;
	if (!list) {
		return -ENOMEM;
	}
	list->nmsrs = MSRS_MAX;
	if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list) != 0) {
		ret = -errno;
		free(list);
		return ret;
	}
	*out = list;
	return 0;
}

int vmm_x86_cpus_create(struct x86_cpus **out, int kvm_fd, unsigned count, struct vmm_error *err)
{
	struct x86_cpus *cpus = calloc(1, sizeof(*cpus));
	int size = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
	int ret = -ENOMEM;

	*out = NULL;
	if (cpus) {
		cpus->cpu = calloc(count, sizeof(*cpus->cpu));
		cpus->batch = calloc(1, sizeof(*cpus->batch) +
						MSR_BATCH * sizeof(cpus->batch->entries[0]));
	}
	if (!cpus || !cpus->cpu || !cpus->batch) {
		goto error;
	}
	cpus->count = count;
	cpus->xsave_size = sizeof(struct kvm_xsave);
	if (size > (int)cpus->xsave_size) {
		cpus->xsave_size = (size_t)size;
	}
	cpus->tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	ret = vmm_x86_cpuid_supported(kvm_fd, &cpus->supported);
	if (ret == 0) {
		ret = read_msr_list(kvm_fd, &cpus->msr_list);
	}
	if (ret == 0) {
		*out = cpus;
		return 0;
	}
error:
	vmm_x86_cpus_destroy(cpus);
	return vmm_error_wrap(err, ret, "vCPU state");
}

unsigned vmm_x86_cpus_phys_bits(const struct x86_cpus *cpus)
{
	return vmm_x86_cpuid_phys_bits(cpus->supported);
}

void vmm_x86_cpus_destroy(struct x86_cpus *cpus)
{
	if (!cpus) {
		return;
	}
	for (unsigned i = 0; cpus->cpu && i < cpus->count; i++) {
		free(cpus->cpu[i].xsave);
		free(cpus->cpu[i].msrs);
	}
	free(cpus->cpu);
	free(cpus->batch);
	free(cpus->supported);
	free(cpus->msr_list);
	free(cpus);
}

/* ---- remember ---- */

static int set_cpuid(const struct x86_cpus *cpus, unsigned index, int fd)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPUID_ENTRIES * sizeof(c->entries[0]));
	int ret;

	if (!c) {
		return -ENOMEM;
	}
	ret = vmm_x86_cpuid_for(cpus->supported, index, cpus->count, cpus->tsc_deadline, c,
				CPUID_ENTRIES);
	if (ret == 0 && ioctl(fd, KVM_SET_CPUID2, c) != 0) {
		ret = -errno;
	}
	free(c);
	return ret;
}

/*
 * Reads or writes count registers, as few calls at a time as can be, and keeps those that were:
 * KVM stops at the first that this host or this guest's CPUID does not have. *kept: how many, in
 * front.
 */
static int move_msrs(struct kvm_msrs *batch, int fd, bool write, struct kvm_msr_entry *msrs,
		     size_t count, size_t *kept)
{
	size_t at = 0;

	*kept = 0;
	while (at < count) {
		size_t n = count - at < MSR_BATCH ? count - at : MSR_BATCH;
		int done;

		batch->nmsrs = (uint32_t)n;
		memcpy(batch->entries, msrs + at, n * sizeof(*msrs));
		done = write ? ioctl(fd, KVM_SET_MSRS, batch) : ioctl(fd, KVM_GET_MSRS, batch);
		if (done < 0) {
			return -errno;
		}
		memcpy(msrs + *kept, batch->entries, (size_t)done * sizeof(*msrs));
		*kept += (size_t)done;
		/* And over the one that it stopped at. */
		at += (size_t)done < n ? (size_t)done + 1 : n;
	}
	return 0;
}

static int save_msrs(const struct x86_cpus *cpus, struct cpu *cpu, int fd)
{
	size_t more = sizeof(more_msrs) / sizeof(more_msrs[0]);
	size_t count = 0;
	int ret;

	cpu->msrs = calloc(cpus->msr_list->nmsrs + more, sizeof(*cpu->msrs));
	if (!cpu->msrs) {
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < cpus->msr_list->nmsrs; i++) {
		/* The clock runs on: setting it back one vCPU after the other would unsynchronise
		 * them. */
		if (cpus->msr_list->indices[i] != MSR_TSC) {
			cpu->msrs[count++].index = cpus->msr_list->indices[i];
		}
	}
	for (size_t i = 0; i < more; i++) {
		cpu->msrs[count++].index = more_msrs[i];
	}
	ret = move_msrs(cpus->batch, fd, false, cpu->msrs, count, &cpu->msr_count);
	if (ret < 0) {
		return ret;
	}
	/* There is no firmware to do it: memory is write-back, string instructions are fast. */
	for (size_t i = 0; i < cpu->msr_count; i++) {
		if (cpu->msrs[i].index == MSR_MTRR_DEFTYPE) {
			cpu->msrs[i].data = MTRR_ENABLE | MTRR_WRITE_BACK;
		} else if (cpu->msrs[i].index == MSR_MISC_ENABLE) {
			cpu->msrs[i].data |= MISC_FAST_STRINGS;
		}
	}
	return 0;
}

static int save(const struct x86_cpus *cpus, struct cpu *cpu, int fd)
{
	cpu->xsave = calloc(1, cpus->xsave_size);
	if (!cpu->xsave) {
		return -ENOMEM;
	}
	if (ioctl(fd, KVM_GET_REGS, &cpu->regs) != 0 ||
	    ioctl(fd, KVM_GET_SREGS, &cpu->sregs) != 0 ||
	    ioctl(fd, KVM_GET_LAPIC, &cpu->lapic) != 0 ||
	    ioctl(fd, KVM_GET_VCPU_EVENTS, &cpu->events) != 0 ||
	    ioctl(fd, KVM_GET_DEBUGREGS, &cpu->debug) != 0 ||
	    ioctl(fd, KVM_GET_XCRS, &cpu->xcrs) != 0 || ioctl(fd, KVM_GET_XSAVE, cpu->xsave) != 0 ||
	    ioctl(fd, KVM_GET_MP_STATE, &cpu->mp) != 0) {
		return -errno;
	}
	return save_msrs(cpus, cpu, fd);
}

int vmm_x86_cpus_setup(struct x86_cpus *cpus, struct vmm_kvm *kvm, struct vmm_error *err)
{
	for (unsigned i = 0; i < cpus->count; i++) {
		int fd = vmm_kvm_vcpu_fd(kvm, i);
		int ret = set_cpuid(cpus, i, fd);

		if (ret < 0) {
			return vmm_error_wrap(err, ret, "vCPU %u: CPUID", i);
		}
		ret = save(cpus, &cpus->cpu[i], fd);
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "vCPU %u: state", i);
		}
	}
	return 0;
}

/* ---- put back ---- */

/*
 * Some can be read and not written; a guest cannot have changed those, and they are not tried
 * again.
 */
static int restore_msrs(const struct x86_cpus *cpus, struct cpu *cpu, int fd)
{
	return move_msrs(cpus->batch, fd, true, cpu->msrs, cpu->msr_count, &cpu->msr_count);
}

static int restore(const struct x86_cpus *cpus, struct cpu *cpu, int fd)
{
	int ret;

	if (!cpus->used) {
		/* All is as it was read, but for what a firmware would have done. */
		return restore_msrs(cpus, cpu, fd);
	}
	if (ioctl(fd, KVM_SET_SREGS, &cpu->sregs) != 0 ||
	    ioctl(fd, KVM_SET_REGS, &cpu->regs) != 0 || ioctl(fd, KVM_SET_XCRS, &cpu->xcrs) != 0 ||
	    ioctl(fd, KVM_SET_XSAVE, cpu->xsave) != 0 ||
	    ioctl(fd, KVM_SET_DEBUGREGS, &cpu->debug) != 0 ||
	    ioctl(fd, KVM_SET_LAPIC, &cpu->lapic) != 0) {
		return -errno;
	}
	/* After the local APIC: its timer's deadline is one of them. */
	ret = restore_msrs(cpus, cpu, fd);
	if (ret < 0) {
		return ret;
	}
	if (ioctl(fd, KVM_SET_VCPU_EVENTS, &cpu->events) != 0 ||
	    ioctl(fd, KVM_SET_MP_STATE, &cpu->mp) != 0) {
		return -errno;
	}
	return 0;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool code, bool long_mode)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.db = long_mode && code ? 0 : 1,
		.l = long_mode && code ? 1 : 0,
	};
}

static void set_segments(struct kvm_sregs *s, bool long_mode)
{
	const uint8_t code_type = 0xb;
	const uint8_t data_type = 0x3;
	struct kvm_segment data = flat(0x18, data_type, false, long_mode);

	s->cs = flat(0x10, code_type, true, long_mode);
	s->ds = data;
	s->es = data;
	s->fs = data;
	s->gs = data;
	s->ss = data;
	s->tr = (struct kvm_segment){.limit = 0x67, .selector = 0x20, .type = 0xb, .present = 1};
	s->ldt = (struct kvm_segment){.unusable = 1};
	s->gdt = (struct kvm_dtable){.base = GDT_GPA, .limit = 4 * 8 - 1};
	s->idt = (struct kvm_dtable){0};
}

static int enter_kernel(const struct cpu *cpu, int fd, enum x86_boot boot, uint64_t entry)
{
	bool long_mode = boot == X86_BOOT_LINUX64;
	struct kvm_sregs sregs = cpu->sregs;
	struct kvm_regs regs = {.rflags = 0x2, .rip = entry};

	set_segments(&sregs, long_mode);
	sregs.cr0 = CR0_PE | CR0_ET;
	if (long_mode) {
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = PAGE_TABLE_GPA;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
		regs.rsi = ZERO_PAGE_GPA;
	} else {
		regs.rbx = START_INFO_GPA;
	}
	if (ioctl(fd, KVM_SET_SREGS, &sregs) != 0 || ioctl(fd, KVM_SET_REGS, &regs) != 0) {
		return -errno;
	}
	return 0;
}

int vmm_x86_cpus_reset(struct x86_cpus *cpus, struct vmm_kvm *kvm, enum x86_boot boot,
		       uint64_t entry, struct vmm_error *err)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < cpus->count; i++) {
		int fd = vmm_kvm_vcpu_fd(kvm, i);

		ret = restore(cpus, &cpus->cpu[i], fd);
		if (ret == 0 && i == 0) {
			ret = enter_kernel(&cpus->cpu[0], fd, boot, entry);
		}
		if (ret < 0) {
			return vmm_error_wrap(err, ret, "vCPU %u: reset", i);
		}
	}
	cpus->used = true;
	return ret;
}
