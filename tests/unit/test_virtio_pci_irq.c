/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "suite.h"
#include "test_virtio_pci_fix.h"

#define MSI_ADDRESS UINT64_C(0xfee01000)
#define ONES(len)   ((uint64_t)-1 >> (64 - 8 * (len)))

static uint64_t pending(struct vpcifix *fix)
{
	return pcifix_read(&fix->pci, fix->pba, 8);
}

/* ---- delivery ---- */

START_TEST(irq_queue_raises_its_own_vector)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	vpcifix_request(&fix, 0);
	/* On its way, so not pending. */
	ck_assert_uint_eq(pending(&fix), 0);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 1);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(2)), 0);
	vpcifix_request(&fix, 1);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 1);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(2)), 1);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(0)), 0);
	vpcifix_finish(&fix);
}
END_TEST

/* Something that the driver has not done itself. */
static void change_config(struct vpcifix *fix)
{
	ck_assert_int_eq(vmm_virtio_config_update(&fix->toy.base, 0, "wxyz", 4), 0);
}

START_TEST(irq_configuration_change_sets_isr_and_raises)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	change_config(&fix);
	/* T11: the bit is there before the message is, with MSI-X too; reading clears it. */
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.isr, 1), 2);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.isr, 1), 0);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(0)), 1);
	/* A queue sets no bit while there is MSI-X. */
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.isr, 1), 0);
	pcifix_write(&fix.pci, fix.isr, 1, 3);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.isr, 1), 0);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.isr + 1, 1), 0);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(irq_without_msix_sets_the_isr_bit_and_nothing_else)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_prepare(&fix, 3);
	common_write(&fix, C_STATUS, 1, STATUS_OK);
	vpcifix_request(&fix, 0);
	change_config(&fix);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.isr, 1), 3);
	ck_assert_uint_eq(fix.pci.events.irqfd_calls, 0);
	/* Nothing of it is pending when MSI-X comes on. */
	vpcifix_start_msix(&fix);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(0)), 0);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 0);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(irq_vector_that_does_not_exist_is_no_vector)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	common_write(&fix, C_QUEUE_SELECT, 2, 0);
	for (uint32_t v = TOY_QUEUES + 1; v <= 0xffff; v++) {
		common_write(&fix, C_QUEUE_MSIX, 2, v);
		ck_assert_uint_eq(common_read(&fix, C_QUEUE_MSIX, 2), 0xffff);
		common_write(&fix, C_MSIX_CONFIG, 2, v);
		ck_assert_uint_eq(common_read(&fix, C_MSIX_CONFIG, 2), 0xffff);
	}
	vpcifix_request(&fix, 0);
	change_config(&fix);
	for (unsigned i = 0; i <= TOY_QUEUES; i++) {
		ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(i)), 0);
	}
	/* Any event to any vector, also all to one. */
	common_write(&fix, C_QUEUE_SELECT, 2, 0);
	common_write(&fix, C_QUEUE_MSIX, 2, 2);
	common_write(&fix, C_MSIX_CONFIG, 2, 2);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(2)), 1);
	change_config(&fix);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(2)), 2);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(irq_none_after_reset_of_the_device)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	/* Pending at the reset, and unmasked after it. */
	vpcifix_msix_control(&fix, true, true);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(pending(&fix), 2);
	change_config(&fix);
	common_write(&fix, C_STATUS, 1, 0);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.isr, 1), 0);
	ck_assert_uint_eq(pending(&fix), 0);
	vpcifix_msix_control(&fix, true, false);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 0);
	vpcifix_finish(&fix);
}
END_TEST

/* ---- masks ---- */

START_TEST(msix_masked_vector_is_pending_until_unmasked)
{
	struct vpcifix fix;
	unsigned routes;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	routes = fix.pci.routes;
	pcifix_write(&fix.pci, fix.table + 16 + 12, 4, 1);
	ck_assert_uint_eq(pending(&fix), 0);
	vpcifix_request(&fix, 0);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 0);
	ck_assert_uint_eq(pending(&fix), 2);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.pba, 4), 2);
	ck_assert_uint_eq(pcifix_read(&fix.pci, fix.pba + 4, 4), 0);
	/* Once, however many there were; the route has not changed, so it is not set again. */
	pcifix_write(&fix.pci, fix.table + 16 + 12, 4, 0);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 1);
	ck_assert_uint_eq(pending(&fix), 0);
	ck_assert_uint_eq(fix.pci.routes, routes);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(msix_function_mask_holds_all_vectors)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	vpcifix_msix_control(&fix, true, true);
	ck_assert_uint_eq(eventfix_connected(&fix.pci.events), 0);
	vpcifix_request(&fix, 0);
	vpcifix_request(&fix, 1);
	ck_assert_uint_eq(pending(&fix), 6);
	vpcifix_msix_control(&fix, true, false);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 1);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(2)), 1);
	/* Off: what is pending and what comes now is lost, not saved up. */
	vpcifix_msix_control(&fix, true, true);
	vpcifix_request(&fix, 0);
	vpcifix_msix_control(&fix, false, false);
	ck_assert_uint_eq(eventfix_connected(&fix.pci.events), 0);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(pending(&fix), 0);
	vpcifix_msix_control(&fix, true, false);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 1);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(msix_interrupts_are_taken_lazily_and_routed_on_change)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_msix_control(&fix, true, false);
	ck_assert_uint_eq(pcifix_allocated(&fix.pci), 0);
	vpcifix_set_vector(&fix, 1, MSI_ADDRESS, 0x51, true);
	ck_assert_uint_eq(pcifix_allocated(&fix.pci), 0);
	pcifix_write(&fix.pci, fix.table + 16 + 12, 4, 0);
	ck_assert_uint_eq(pcifix_allocated(&fix.pci), 1);
	ck_assert_uint_eq(fix.pci.routes, 1);
	/* As a change of affinity: masked, other address, unmasked. */
	vpcifix_set_vector(&fix, 1, MSI_ADDRESS + 0x1000, 0x52, false);
	ck_assert_uint_eq(fix.pci.routes, 2);
	ck_assert_uint_eq(fix.pci.gsis[0].address, MSI_ADDRESS + 0x1000);
	ck_assert_uint_eq(fix.pci.gsis[0].data, 0x52);
	/* Bus 0, slot 1, function 0. */
	ck_assert_uint_eq(fix.pci.gsis[0].requester, 1u << 3);
	/* While unmasked, in one access of 8 bytes with the mask. */
	pcifix_write(&fix.pci, fix.table + 16 + 8, 8, 0x53);
	ck_assert_uint_eq(fix.pci.gsis[0].data, 0x53);
	ck_assert_uint_eq(pcifix_allocated(&fix.pci), 1);
	ck_assert_uint_eq(eventfix_connected(&fix.pci.events), 1);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(msix_bad_address_or_failing_host_leaves_the_vector_off)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	vpcifix_set_vector(&fix, 1, MEMFIX_LOW_BASE, 0, false);
	ck_assert_uint_eq(eventfix_connected(&fix.pci.events), TOY_QUEUES);
	ck_assert_uint_eq(fix.pci.events.logged, 1);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(pending(&fix), 2);
	vpcifix_set_vector(&fix, 1, MSI_ADDRESS, 0x60, false);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, 0x60), 1);
	/* An address that turns bad while connected. */
	pcifix_write(&fix.pci, fix.table + 16 + 4, 4, 0xffffffff);
	ck_assert_uint_eq(eventfix_connected(&fix.pci.events), TOY_QUEUES);
	pcifix_write(&fix.pci, fix.table + 16 + 4, 4, 0);
	ck_assert_uint_eq(eventfix_connected(&fix.pci.events), TOY_QUEUES + 1);
	fix.pci.events.fail_irqfd = -EBUSY;
	vpcifix_msix_control(&fix, true, true);
	vpcifix_msix_control(&fix, true, false);
	ck_assert_uint_eq(eventfix_connected(&fix.pci.events), 0);
	fix.pci.events.fail_irqfd = 0;
	vpcifix_request(&fix, 1);
	vpcifix_msix_control(&fix, true, true);
	vpcifix_msix_control(&fix, true, false);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(2)), 1);
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(msix_without_interrupts_left_works_on)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	fix.pci.fail_alloc = -ENOSPC;
	vpcifix_start(&fix);
	ck_assert_uint_eq(pcifix_allocated(&fix.pci), 0);
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
	fix.pci.fail_alloc = 0;
	vpcifix_set_vector(&fix, 1, MSI_ADDRESS, MESSAGE(1), false);
	ck_assert_uint_eq(pcifix_messages(&fix.pci, MESSAGE(1)), 1);
	vpcifix_finish(&fix);
}
END_TEST

/* ---- the table's and the pending bits' registers ---- */

START_TEST(msix_table_every_offset_and_width)
{
	const unsigned end = 16 * (TOY_QUEUES + 1);
	struct vpcifix fix;

	vpcifix_init(&fix);
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (unsigned at = 0; at + len <= 0x1000; at += len) {
			bool legal = len >= 4;
			uint64_t want = 0;

			/* Bits 1:0 of the address and all of the control but the mask stay 0. */
			pcifix_write(&fix.pci, fix.table + at, len, UINT64_MAX);
			if (!legal) {
				want = ONES(len);
			} else if (at < end && len == 8) {
				want = at % 16 == 0 ? ~UINT64_C(3) : UINT64_C(0x1ffffffff);
			} else if (at < end) {
				const uint32_t entry[] = {0xfffffffc, 0xffffffff, 0xffffffff, 1};

				want = entry[at % 16 / 4];
			}
			ck_assert_uint_eq(pcifix_read(&fix.pci, fix.table + at, len), want);
		}
		ck_assert_uint_eq(pcifix_read(&fix.pci, fix.table + 12, 4), 1);
	}
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(msix_pending_bits_are_read_only_and_end)
{
	struct vpcifix fix;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	vpcifix_msix_control(&fix, true, true);
	vpcifix_request(&fix, 1);
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (unsigned at = 0; at + len <= 0x1000; at += len) {
			uint64_t want = len < 4 ? ONES(len) : at == 0 ? 4 : 0;

			pcifix_write(&fix.pci, fix.pba + at, len, UINT64_MAX);
			pcifix_write(&fix.pci, fix.pba + at, len, 0);
			ck_assert_uint_eq(pcifix_read(&fix.pci, fix.pba + at, len), want);
		}
	}
	vpcifix_finish(&fix);
}
END_TEST

START_TEST(msix_more_vectors_than_one_word)
{
	struct vmm_pci_msix *m;
	struct pcifix pci;

	pcifix_init(&pci, true);
	ck_assert_int_eq(vmm_pci_msix_create(&m, 0, vmm_pci_host_platform(pci.host), NULL),
			 -EINVAL);
	ck_assert_int_eq(vmm_pci_msix_create(&m, VMM_PCI_MSIX_MAX + 1,
					     vmm_pci_host_platform(pci.host), NULL),
			 -EINVAL);
	ck_assert_int_eq(vmm_pci_msix_create(&m, 67, vmm_pci_host_platform(pci.host), NULL), 0);
	vmm_pci_msix_raise(m, 66); /* off: ignored */
	vmm_pci_msix_set_control(m, true, false);
	vmm_pci_msix_raise(m, 63);
	vmm_pci_msix_raise(m, 64);
	vmm_pci_msix_raise(m, 66);
	vmm_pci_msix_raise(m, 67);
	vmm_pci_msix_raise(m, 0xffff);
	ck_assert_uint_eq(vmm_pci_msix_pba_read(m, 0, 8), UINT64_C(1) << 63);
	ck_assert_uint_eq(vmm_pci_msix_pba_read(m, 4, 4), UINT64_C(1) << 31);
	ck_assert_uint_eq(vmm_pci_msix_pba_read(m, 8, 8), 5);
	ck_assert_uint_eq(vmm_pci_msix_pba_read(m, 16, 8), 0);
	ck_assert_uint_eq(vmm_pci_msix_pba_read(m, UINT64_MAX - 7, 8), 0);
	ck_assert_uint_eq(vmm_pci_msix_pba_read(m, 4, 8), UINT64_MAX);
	ck_assert_uint_eq(vmm_pci_msix_table_read(m, UINT64_MAX - 7, 8), 0);
	ck_assert_uint_eq(vmm_pci_msix_table_read(m, UINT64_C(67) * 16, 8), 0);
	vmm_pci_msix_destroy(m);
	vmm_pci_msix_destroy(NULL);
	pcifix_finish(&pci);
}
END_TEST

/* ---- several threads ---- */

/* A vCPU that moves the queue's vector, masks, changes the table and reads the ISR. */
static void *remap(void *ctx)
{
	struct vpcifix *fix = ctx;

	for (unsigned i = 0; i < 5000; i++) {
		common_write(fix, C_QUEUE_SELECT, 2, 0);
		common_write(fix, C_QUEUE_MSIX, 2, i % 5);
		pcifix_write(&fix->pci, fix->table + 16 + 12, 4, i & 1);
		pcifix_write(&fix->pci, fix->table + 16 + 8, 4, i);
		(void)pending(fix);
		(void)pcifix_read(&fix->pci, fix->isr, 1);
		vpcifix_msix_control(fix, (i & 64) != 0, (i & 32) != 0);
	}
	return NULL;
}

START_TEST(irq_vector_moves_while_the_device_raises)
{
	struct vpcifix fix;
	pthread_t thread;

	vpcifix_init(&fix);
	vpcifix_start(&fix);
	ck_assert_int_eq(pthread_create(&thread, NULL, remap, &fix), 0);
	for (unsigned i = 0; i < 5000; i++) {
		vmm_virtio_config_update(&fix.toy.base, 0, "x", 1);
		pcifix_write(&fix.pci, fix.notify, 2, 0);
		(void)vmm_loop_dispatch(fix.loop, 0);
	}
	(void)pthread_join(thread, NULL);
	vpcifix_start_msix(&fix);
	common_write(&fix, C_QUEUE_SELECT, 2, 0);
	common_write(&fix, C_QUEUE_MSIX, 2, 1);
	(void)pcifix_messages(&fix.pci, MESSAGE(1));
	vpcifix_request(&fix, 0);
	ck_assert_uint_eq(vpcifix_used(&fix, 0), 1);
	ck_assert_uint_ge(pcifix_messages(&fix.pci, MESSAGE(1)), 1);
	vpcifix_finish(&fix);
}
END_TEST

struct boots {
	struct vpcifix *fix;
	unsigned count;
	bool done; /* atomic */
};

/* A vCPU: resets and starts the device again and again; every status write waits for the loop. */
static void *boot(void *ctx)
{
	struct boots *b = ctx;

	for (; b->count < 50; b->count++) {
		vpcifix_start(b->fix);
		vmm_bus_write(b->fix->pci.mmio, b->fix->notify, 2, 0);
		common_write(b->fix, C_STATUS, 1, 0);
	}
	__atomic_store_n(&b->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Another, which moves the BAR's decoding and uses the window into it meanwhile. */
static void *disturb(void *ctx)
{
	struct boots *b = ctx;
	struct vpcifix *fix = b->fix;

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE)) {
		pcifix_config_write(&fix->pci, fix->slot, fix->window + 8, 4, 0x2000);
		pcifix_config_write(&fix->pci, fix->slot, fix->window + 12, 4, 4);
		pcifix_config_write(&fix->pci, fix->slot, fix->window + 16, 4, 0);
		(void)pcifix_config_read(&fix->pci, fix->slot, fix->window + 16, 4);
		pcifix_config_write(&fix->pci, fix->slot, 4, 2, 6);
	}
	return NULL;
}

START_TEST(device_driven_by_two_vcpus_beside_the_loop)
{
	struct vpcifix fix;
	struct boots boots = {.fix = &fix};
	pthread_t threads[2];

	vpcifix_init(&fix);
	ck_assert_int_eq(pthread_create(&threads[0], NULL, boot, &boots), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, disturb, &boots), 0);
	while (!__atomic_load_n(&boots.done, __ATOMIC_ACQUIRE)) {
		(void)vmm_loop_dispatch(fix.loop, 10);
	}
	/* The second may be waiting for the loop once more. */
	for (unsigned i = 0; i < 10; i++) {
		(void)vmm_loop_dispatch(fix.loop, 10);
	}
	(void)pthread_join(threads[0], NULL);
	(void)pthread_join(threads[1], NULL);
	ck_assert_uint_eq(fix.toy.activations, 50);
	ck_assert_uint_eq(fix.toy.resets, 50);
	ck_assert_uint_gt(fix.toy.configs, 0);
	vpcifix_finish(&fix);
}
END_TEST

SUITE_MAIN("virtio-pci-irq", irq_queue_raises_its_own_vector,
	   irq_configuration_change_sets_isr_and_raises,
	   irq_without_msix_sets_the_isr_bit_and_nothing_else,
	   irq_vector_that_does_not_exist_is_no_vector, irq_none_after_reset_of_the_device,
	   msix_masked_vector_is_pending_until_unmasked, msix_function_mask_holds_all_vectors,
	   msix_interrupts_are_taken_lazily_and_routed_on_change,
	   msix_bad_address_or_failing_host_leaves_the_vector_off,
	   msix_without_interrupts_left_works_on, msix_table_every_offset_and_width,
	   msix_pending_bits_are_read_only_and_end, msix_more_vectors_than_one_word,
	   irq_vector_moves_while_the_device_raises, device_driven_by_two_vcpus_beside_the_loop)
