/* SPDX-License-Identifier: MIT */
/*
 * A guest that does anything to a virtio-pci device: configuration space by ECAM and by ports, the
 * BAR wherever it is, MSI-X, guest resets, with the loop run in between. Beyond the sanitizers'
 * finds, these must hold at all times:
 *   - what the driver may not change keeps its value,
 *   - a vector reads back as one that exists or as NO_VECTOR,
 *   - shared memory is seen where its BAR decodes, inside of a window and apart from all other
 * BARs,
 *   - the hypervisor is never asked for nonsense (counted by the fixture), and in the end
 *     everything taken from it has been given back.
 *
 * An input is a list of steps of 12 bytes: operation, length, offset (2), value (8).
 */
#include <string.h>

#include "../unit/test_virtio_pci_fix.h"

#define STEP_SIZE 12u
#define STEPS_MAX 400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
	uint8_t op;
	unsigned len;
	uint16_t offset;
	uint64_t value;
};

static struct step parse(const uint8_t *bytes)
{
	struct step s = {.op = bytes[0], .len = 1u << (bytes[1] % 4)};

	memcpy(&s.offset, bytes + 2, sizeof(s.offset));
	memcpy(&s.value, bytes + 4, sizeof(s.value));
	return s;
}

static uint64_t ecam_address(const struct step *s)
{
	/* Mostly the device; the bridge and an empty slot too. */
	static const unsigned slots[] = {1, 1, 1, 0, 1, 2, 1, 31};

	return FIX_ECAM + slots[s->op >> 5] * UINT64_C(0x8000) + s->offset % 0x1000;
}

static bool is_inside(uint64_t gpa, uint64_t len, uint64_t base)
{
	return gpa >= base && gpa - base < FIX_WINDOW && len <= FIX_WINDOW - (gpa - base);
}

static bool overlap(const struct vmm_pci_bar *a, const struct vmm_pci_bar *b)
{
	return a->mapped && b->mapped && a->gpa < b->gpa + b->size && b->gpa < a->gpa + a->size;
}

static void check_shm(struct vpcifix *fix, const struct vmm_pci_function *fn)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct vmm_window *w = &fix->pci.events.windows[i];
		const struct vmm_pci_bar *bar = &fn->bars[2 + 2 * i];

		/* Where it was seen before something was mapped does not matter. */
		bool seen = w->visible && w->used;

		FIX_REQUIRE(!seen || (bar->mapped && bar->gpa == w->gpa));
		FIX_REQUIRE(!seen || is_inside(w->gpa, w->len, FIX_MMIO32) ||
			    is_inside(w->gpa, w->len, FIX_MMIO64));
		FIX_REQUIRE(!overlap(bar, &fn->bars[0]));
	}
	FIX_REQUIRE(!overlap(&fn->bars[2], &fn->bars[4]));
}

static void check_invariants(struct vpcifix *fix)
{
	struct vmm_pci_function *fn = vmm_pci_host_function(fix->pci.host, fix->slot);
	unsigned vector;

	FIX_REQUIRE(vmm_pci_function_get32(fn, VMM_PCI_REG_VENDOR) == 0x10431af4);
	FIX_REQUIRE(vmm_pci_function_get16(fn, VMM_PCI_REG_STATUS) == VMM_PCI_STATUS_CAPABILITIES);
	FIX_REQUIRE((vmm_pci_function_get16(fn, VMM_PCI_REG_COMMAND) & ~0x0406) == 0);
	FIX_REQUIRE(fix->pci.events.misuse == 0);
	FIX_REQUIRE(pcifix_allocated(&fix->pci) <= TOY_QUEUES + 1);
	FIX_REQUIRE(eventfix_connected(&fix->pci.events) <= TOY_QUEUES + 1);
	FIX_REQUIRE(eventfix_ioeventfds(&fix->pci.events) <= TOY_QUEUES);
	check_shm(fix, fn);
	if (fn->bars[0].mapped) {
		fix->common = fn->bars[0].gpa;
		vector = (unsigned)common_read(fix, C_QUEUE_MSIX, 2);
		FIX_REQUIRE(vector <= TOY_QUEUES || vector == 0xffff);
		FIX_REQUIRE(common_read(fix, C_NUM_QUEUES, 2) == TOY_QUEUES);
	}
}

static void run_step(struct vpcifix *fix, const struct step *s)
{
	/* Where the BAR is now; where it was first when it is nowhere. */
	uint64_t bar = fix->common + s->offset % 0x8000;

	switch (s->op % 8) {
	case 0:
		pcifix_write(&fix->pci, ecam_address(s), s->len, s->value);
		break;
	case 1:
		(void)pcifix_read(&fix->pci, ecam_address(s), s->len);
		break;
	case 2:
		pcifix_out(&fix->pci, 0xcf8 + s->offset % 8, s->len, (uint32_t)s->value);
		break;
	case 3:
		(void)pcifix_in(&fix->pci, 0xcf8 + s->offset % 8, s->len);
		break;
	case 4:
		pcifix_write(&fix->pci, bar, s->len, s->value);
		break;
	case 5:
		(void)pcifix_read(&fix->pci, bar, s->len);
		break;
	case 6:
		vpcifix_run(fix);
		if (s->value & 1) {
			(void)toy_map(&fix->toy, TOY_SHM_ID, s->offset % 8 * VMM_VIRTIO_SHM_PAGE);
			(void)toy_map(&fix->toy, TOY_SHM_ID_2, 0);
		} else if (s->value & 2) {
			(void)toy_unmap(&fix->toy, TOY_SHM_ID, s->offset % 8 * VMM_VIRTIO_SHM_PAGE);
		}
		(void)pcifix_messages(&fix->pci, 0);
		break;
	default:
		if (s->offset == 0xffff) {
			vmm_pci_host_reset(fix->pci.host);
		} else {
			/* Most of the time the registers that lead somewhere. */
			common_write(fix, s->offset % 0x38, s->len, s->value);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vpcifix fix;

	vpcifix_init_shm(&fix);
	for (size_t i = 0; i < size / STEP_SIZE && i < STEPS_MAX; i++) {
		struct step s = parse(data + i * STEP_SIZE);

		run_step(&fix, &s);
		check_invariants(&fix);
	}
	vpcifix_run(&fix);
	vpcifix_finish(&fix);
	return 0;
}
