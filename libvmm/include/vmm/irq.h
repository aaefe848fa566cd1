/* SPDX-License-Identifier: MIT */
/*
 * An interrupt line as a device sees it: something to raise. The device knows no
 * GSI, vector or eventfd; whoever carries it embeds struct vmm_irq first in its own
 * struct and fills raise. KVM's irqfd and a test's counter are two implementations.
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#ifdef __cplusplus
extern "C" {
#endif

struct vmm_irq {
	/* One edge. Must be callable from any thread, must not block. */
	void (*raise)(struct vmm_irq *irq);
	/*
	 * An eventfd, borrowed, that raises the line when it is written to, so that another process
	 * can do it; -1: there is none. May be NULL. Loop's thread.
	 */
	int (*eventfd)(struct vmm_irq *irq);
};

/* Raises irq; NULL is a no-op. Any thread. */
static inline void vmm_irq_raise(struct vmm_irq *irq)
{
	if (irq && irq->raise) {
		irq->raise(irq);
	}
}

#ifdef __cplusplus
}
#endif

#endif
