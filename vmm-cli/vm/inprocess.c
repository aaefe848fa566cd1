/* SPDX-License-Identifier: MIT */
/* Guest and devices in this process (--isolation=none): one address space, one set of rights. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vm/backend.h"
#include "vm/body.h"
#include "vm/machine.h"

struct inprocess {
	struct vm_body base;
	struct vm_body_config config;
	struct vm_backends backends;
	struct vmm_vm *vm; /* NULL: off */
};

static struct inprocess *from_base(struct vm_body *body)
{
	return (struct inprocess *)body;
}

static void inprocess_off(struct vm_body *body)
{
	struct inprocess *p = from_base(body);

	vmm_vm_destroy(p->vm);
	p->vm = NULL;
}

static void inprocess_destroy(struct vm_body *body)
{
	struct inprocess *p = from_base(body);

	inprocess_off(body);
	vmm_chardev_destroy(p->backends.console);
	vmm_chardev_destroy(p->backends.serial);
	free(p);
}

static int inprocess_create(struct vm_body **out, const struct vm_body_config *config,
			    struct vmm_error *err)
{
	struct inprocess *p = calloc(1, sizeof(*p));
	int ret;

	if (!p) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	p->base.ops = &vm_body_inprocess;
	p->config = *config;
	p->backends.log = config->log;
	ret = vm_backend_open(&p->backends.console, &config->vm->console, config, true, err);
	if (ret < 0) {
		(void)vmm_error_wrap(err, ret, "console");
	} else {
		ret = vm_backend_open(&p->backends.serial, &config->vm->serial, config, false, err);
		if (ret < 0) {
			(void)vmm_error_wrap(err, ret, "serial");
		}
	}
	if (ret < 0) {
		inprocess_destroy(&p->base);
		return ret;
	}
	*out = &p->base;
	return 0;
}

static int inprocess_boot(struct vm_body *body, struct vmm_error *err)
{
	struct inprocess *p = from_base(body);
	const struct vmm_vm_config config = {
		.memory_size = p->config.vm->memory.size,
		.huge_pages = p->config.vm->memory.huge_pages,
		.vcpus = (unsigned)p->config.vm->cpus.boot_vcpus,
		.transport = p->config.vm->transport,
		.loop = p->config.loop,
		.log = p->config.log,
		.on_exit = p->config.on_exit,
		.on_reboot = p->config.on_reboot,
		.ctx = p->config.ctx,
	};
	int ret = vmm_vm_create(&p->vm, &config, err);

	if (ret == 0) {
		ret = vm_machine_build(p->vm, p->config.vm, &p->backends, err);
	}
	if (ret == 0) {
		ret = vmm_vm_start(p->vm, err);
	}
	if (ret < 0) {
		inprocess_off(body);
		return ret;
	}
	vmm_log(p->config.log, VMM_LOG_WARN,
		"isolation none: guest and devices run in this process, without a jail");
	return 0;
}

static enum vm_body_state inprocess_state(const struct vm_body *body)
{
	const struct vmm_vm *vm = ((const struct inprocess *)body)->vm;

	switch (vm ? vmm_vm_state(vm) : VMM_VM_CONFIGURING) {
	case VMM_VM_CONFIGURING:
		return VM_BODY_OFF;
	case VMM_VM_RUNNING:
		return VM_BODY_RUNNING;
	case VMM_VM_PAUSED:
		return VM_BODY_PAUSED;
	case VMM_VM_STOPPED:
		break;
	}
	return VM_BODY_ENDED;
}

static int inprocess_pause(struct vm_body *body, struct vmm_error *err)
{
	int ret = vmm_vm_pause(from_base(body)->vm);

	return ret < 0 ? vmm_error_wrap(err, ret, "pause") : 0;
}

static int inprocess_resume(struct vm_body *body, struct vmm_error *err)
{
	int ret = vmm_vm_resume(from_base(body)->vm);

	return ret < 0 ? vmm_error_wrap(err, ret, "resume") : 0;
}

static int inprocess_reboot(struct vm_body *body, struct vmm_error *err)
{
	int ret = vmm_vm_reboot(from_base(body)->vm);

	return ret < 0 ? vmm_error_wrap(err, ret, "reboot") : 0;
}

static int inprocess_power_button(struct vm_body *body, struct vmm_error *err)
{
	int ret = vmm_vm_power_button(from_base(body)->vm);

	return ret < 0 ? vmm_error_wrap(err, ret, "power button") : 0;
}

static int inprocess_counters(struct vm_body *body, const char *id, vm_counter_fn emit, void *ctx)
{
	struct inprocess *p = from_base(body);
	struct vmm_virtio_device *dev = p->vm ? vmm_vm_find_virtio(p->vm, id) : NULL;

	if (!dev) {
		return -ENOENT;
	}
	if (dev->ops->counters) {
		dev->ops->counters(dev, emit, ctx);
	}
	return 0;
}

static int inprocess_restart_device(struct vm_body *body, const char *id, struct vmm_error *err)
{
	(void)body;
	return vmm_error_set(err, -ENOTSUP,
			     "'%.40s' has no process of its own: this VM runs with isolation none",
			     id);
}

static int inprocess_screenshot(struct vm_body *body, int fd, struct vmm_error *err)
{
	(void)body;
	(void)fd;
	(void)err;
	return -ENOENT;
}

static void inprocess_processes(struct vm_body *body, vm_process_fn emit, void *ctx)
{
	const struct vm_process_info own = {.name = "vmm", .kind = "everything", .pid = getpid()};

	(void)body;
	emit(ctx, &own);
}

static void inprocess_tty_resized(struct vm_body *body)
{
	const struct inprocess *p = from_base(body);

	if (p->config.vm->console.mode == VM_CONSOLE_TTY) {
		vmm_fdchar_update_size(p->backends.console);
	}
}

const struct vm_body_ops vm_body_inprocess = {
	.isolation = "none",
	.create = inprocess_create,
	.destroy = inprocess_destroy,
	.boot = inprocess_boot,
	.off = inprocess_off,
	.state = inprocess_state,
	.pause = inprocess_pause,
	.resume = inprocess_resume,
	.reboot = inprocess_reboot,
	.power_button = inprocess_power_button,
	.counters = inprocess_counters,
	.restart_device = inprocess_restart_device,
	.processes = inprocess_processes,
	.screenshot = inprocess_screenshot,
	.tty_resized = inprocess_tty_resized,
};
