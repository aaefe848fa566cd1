/* SPDX-License-Identifier: MIT */
/*
 * Power management: the registers of ACPI's hardware-reduced model (sleep control and status,
 * reset) and the events behind the Generic Event Device. Beside it the keyboard controller's reset
 * command, the oldest way to reboot and still the second that systems try.
 */
#include "machine/x86_64/x86.h"

#include <errno.h>
#include <stdlib.h>

#include "machine/x86_64/layout.h"

#define KBD_RESET 0xfeu

struct x86_pm {
	struct vmm_kvm *kvm;
	struct vmm_irq *irq;
	uint8_t events; /* atomic */
	void (*event)(void *ctx, bool reset);
	void *ctx;
};

static uint64_t pm_read(void *ctx, uint64_t offset, unsigned len)
{
	struct x86_pm *pm = ctx;

	(void)len;
	if (offset == PM_EVENTS) {
		/* Reading acknowledges; pairs with the exchange in vmm_x86_pm_button. */
		return __atomic_exchange_n(&pm->events, 0, __ATOMIC_ACQ_REL);
	}
	return 0;
}

static void pm_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct x86_pm *pm = ctx;

	(void)len;
	if (offset == PM_RESET && (value & 0xff) == PM_RESET_VALUE) {
		pm->event(pm->ctx, true);
	} else if (offset == PM_SLEEP && (value & PM_SLEEP_ENABLE) != 0 &&
		   PM_SLEEP_TYPE(value) == PM_SLEEP_S5) {
		pm->event(pm->ctx, false);
	}
}

static const struct vmm_bus_ops pm_ops = {.read = pm_read, .write = pm_write};

/* Status 0 says "ready for a command", so that nobody waits for it. */
static uint64_t kbd_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	return 0;
}

static void kbd_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct x86_pm *pm = ctx;

	(void)offset;
	(void)len;
	if ((value & 0xff) == KBD_RESET) {
		pm->event(pm->ctx, true);
	}
}

static const struct vmm_bus_ops kbd_ops = {.read = kbd_read, .write = kbd_write};

int vmm_x86_pm_create(struct x86_pm **out, struct vmm_kvm *kvm, struct vmm_bus *pio,
		      void (*event)(void *ctx, bool reset), void *ctx, struct vmm_error *err)
{
	struct x86_pm *pm = calloc(1, sizeof(*pm));
	int ret;

	*out = NULL;
	if (!pm) {
		return vmm_error_set(err, -ENOMEM, "power management: out of memory");
	}
	pm->kvm = kvm;
	pm->event = event;
	pm->ctx = ctx;
	ret = vmm_kvm_line_create(kvm, PM_GSI, &pm->irq);
	if (ret < 0) {
		(void)vmm_error_wrap(err, ret, "power management: interrupt line");
		goto error;
	}
	ret = vmm_bus_add(pio, "power management", PM_PORT, PM_SIZE, &pm_ops, pm, err);
	if (ret == 0) {
		ret = vmm_bus_add(pio, "keyboard controller", KBD_PORT, 1, &kbd_ops, pm, err);
	}
	if (ret < 0) {
		goto error;
	}
	*out = pm;
	return 0;
error:
	vmm_x86_pm_destroy(pm);
	return ret;
}

void vmm_x86_pm_destroy(struct x86_pm *pm)
{
	if (!pm) {
		return;
	}
	vmm_kvm_line_destroy(pm->kvm, pm->irq);
	free(pm);
}

void vmm_x86_pm_reset(struct x86_pm *pm)
{
	__atomic_store_n(&pm->events, 0, __ATOMIC_RELAXED);
}

void vmm_x86_pm_button(struct x86_pm *pm)
{
	(void)__atomic_fetch_or(&pm->events, PM_EVENT_BUTTON, __ATOMIC_ACQ_REL);
	vmm_irq_raise(pm->irq);
}
