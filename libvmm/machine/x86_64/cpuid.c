/* SPDX-License-Identifier: MIT */
/*
 * CPUID: what KVM supports on this host, without what the library does not give to guests (nested
 * virtualization, performance counters, memory encryption), and with the topology of one socket of
 * `count` cores with one thread each, whose APIC id is the index of the vCPU.
 */
#include "machine/x86_64/x86.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define LEAF_VERSION      0x1u
#define LEAF_CACHE        0x4u
#define LEAF_PERF         0xau
#define LEAF_TOPOLOGY     0xbu
#define LEAF_TOPOLOGY_V2  0x1fu
#define LEAF_EXT_VERSION  0x80000001u
#define LEAF_EXT_SIZES    0x80000008u
#define LEAF_SVM          0x8000000au
#define LEAF_AMD_CACHE    0x8000001du
#define LEAF_AMD_TOPOLOGY 0x8000001eu
#define LEAF_SEV          0x8000001fu
#define LEAF_AMD_PERF     0x80000022u
#define LEAF_AMD_TOPO_V2  0x80000026u

#define BIT(n) (UINT32_C(1) << (n))

#define ECX1_VMX          BIT(5)
#define ECX1_PDCM         BIT(15)
#define ECX1_TSC_DEADLINE BIT(24)
#define ECX1_HYPERVISOR   BIT(31)
#define EDX1_HTT          BIT(28)
#define ECX81_CMP_LEGACY  BIT(1)
#define ECX81_SVM         BIT(2)
#define ECX81_PERF        (BIT(23) | BIT(24) | BIT(28)) /* core, northbridge, L2 counters */

#define ENTRIES_MAX 1024u

int vmm_x86_cpuid_supported(int kvm_fd, struct kvm_cpuid2 **out)
{
	*out = NULL;
	for (unsigned count = 128; count <= ENTRIES_MAX; count *= 2) {
		struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + count * sizeof(c->entries[0]));
		int ret;

		if (!c) {
			return -ENOMEM;
		}
		c->nent = count;
		if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, c) == 0) {
			*out = c;
			return 0;
		}
		ret = -errno;
		free(c);
		if (ret != -E2BIG) {
			return ret;
		}
	}
	return -E2BIG;
}

/* Bits that number count things. */
static uint32_t width(unsigned count)
{
	uint32_t bits = 0;

	while ((1u << bits) < count) {
		bits++;
	}
	return bits;
}

/* EAX bits 25:14 of a cache leaf say how many share the cache: all from level 3 on. */
static void share_cache(struct kvm_cpuid_entry2 *e, unsigned count)
{
	unsigned level = e->eax >> 5 & 7u;
	uint32_t sharing = level >= 3 ? count - 1 : 0;

	e->eax = (e->eax & ~UINT32_C(0x03ffc000)) | sharing << 14;
}

/* False when the guest does not get the leaf. */
static bool adapt(struct kvm_cpuid_entry2 *e, unsigned index, unsigned count, bool tsc_deadline)
{
	switch (e->function) {
	case LEAF_VERSION:
		e->ebx = (e->ebx & 0xffffu) | index << 24 | count << 16;
		e->ecx &= ~(ECX1_VMX | ECX1_PDCM | ECX1_TSC_DEADLINE);
		e->ecx |= ECX1_HYPERVISOR | (tsc_deadline ? ECX1_TSC_DEADLINE : 0);
		e->edx = (e->edx & ~EDX1_HTT) | (count > 1 ? EDX1_HTT : 0);
		return true;
	case LEAF_CACHE:
		if ((e->eax & 0x1f) != 0) {
			share_cache(e, count);
			e->eax = (e->eax & 0x03ffffffu) | (count - 1) << 26;
		}
		return true;
	case LEAF_EXT_VERSION:
		e->ecx &= ~(ECX81_SVM | ECX81_PERF | ECX81_CMP_LEGACY);
		e->ecx |= count > 1 ? ECX81_CMP_LEGACY : 0;
		return true;
	case LEAF_EXT_SIZES:
		e->ecx = width(count) << 12 | (count - 1);
		return true;
	case LEAF_AMD_CACHE:
		if ((e->eax & 0x1f) != 0) {
			share_cache(e, count);
		}
		return true;
	case LEAF_AMD_TOPOLOGY:
		e->eax = index;
		e->ebx = index;
		e->ecx = 0;
		e->edx = 0;
		return true;
	case LEAF_PERF:
	case LEAF_TOPOLOGY:
	case LEAF_TOPOLOGY_V2:
	case LEAF_SVM:
	case LEAF_SEV:
	case LEAF_AMD_PERF:
	case LEAF_AMD_TOPO_V2:
		return false;
	default:
		return true;
	}
}

static bool is_zero(const struct kvm_cpuid_entry2 *e)
{
	return (e->eax | e->ebx | e->ecx | e->edx) == 0;
}

static int append(struct kvm_cpuid2 *out, unsigned cap, const struct kvm_cpuid_entry2 *e)
{
	if (out->nent >= cap) {
		return -E2BIG;
	}
	out->entries[out->nent++] = *e;
	return 0;
}

/* Leaf 0xb: one thread a core, then all cores. */
static int append_topology(struct kvm_cpuid2 *out, unsigned cap, unsigned index, unsigned count)
{
	struct kvm_cpuid_entry2 e = {
		.function = LEAF_TOPOLOGY,
		.index = 0,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = 0,
		.ebx = 1,
		.ecx = 1u << 8, /* level type: thread */
		.edx = index,
	};
	int ret = append(out, cap, &e);

	e.index = 1;
	e.eax = width(count);
	e.ebx = count;
	e.ecx = 2u << 8 | 1; /* level type: core */
	return ret < 0 ? ret : append(out, cap, &e);
}

int vmm_x86_cpuid_for(const struct kvm_cpuid2 *supported, unsigned index, unsigned count,
		      bool tsc_deadline, struct kvm_cpuid2 *out, unsigned cap)
{
	bool topology = false;
	int ret = 0;

	out->nent = 0;
	for (unsigned i = 0; ret == 0 && i < supported->nent; i++) {
		struct kvm_cpuid_entry2 e = supported->entries[i];

		if (e.function == 0 && e.eax >= LEAF_TOPOLOGY) {
			topology = true;
		}
		/* A leaf that is not there reads as zero just the same. */
		if (adapt(&e, index, count, tsc_deadline) && !is_zero(&e)) {
			ret = append(out, cap, &e);
		}
	}
	return ret == 0 && topology ? append_topology(out, cap, index, count) : ret;
}

unsigned vmm_x86_cpuid_phys_bits(const struct kvm_cpuid2 *supported)
{
	unsigned bits = 36;

	for (unsigned i = 0; i < supported->nent; i++) {
		unsigned value = supported->entries[i].eax & 0xff;

		if (supported->entries[i].function == LEAF_EXT_SIZES && value >= 36 &&
		    value <= 52) {
			bits = value;
		}
	}
	return bits;
}
