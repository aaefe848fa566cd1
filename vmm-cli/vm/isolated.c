/* SPDX-License-Identifier: MIT */
/*
 * The guest in one process, each device in another, all of them in jails (docs/decisions/0010).
 * This process is their supervisor: it opens everything they need, hands it over, sees them end. It
 * never maps guest memory, and the vm process (vm/process.c) never sees a configuration's text.
 */
#include "vm/isolated.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/backend.h"
#include "vm/files.h"
#include "vm/screen.h"

/* For the vm process to write the last of its output. */
#define STOP_MS  2000
#define END_MS   2000
#define DEATH_MS 200 /* between the end of its connection and its own */

static int isolated_power_button(struct vm_body *body, struct vmm_error *err);

static struct isolated *from_base(struct vm_body *body)
{
	return (struct isolated *)body;
}

/* ---- the end of a run ---- */

/* All that a run has, in the order that lets each process end by itself. */
static void end_run(struct isolated *b)
{
	int status;

	vmm_source_remove(b->channel_source);
	b->channel_source = NULL;
	vm_channel_close(&b->channel);
	if (b->vm_known) {
		(void)vm_child_wait(&b->vm, END_MS, &status);
		vm_child_end(&b->vm);
		b->vm_known = false;
	}
	vm_devices_close(&b->devices);
	vm_streams_stop(&b->streams);
	vmm_loop_cancel(b->config.loop, &b->news_work);
}

static const char *death_words(int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
		return "the vm process made a system call that it may not make";
	}
	return WIFSIGNALED(status) ? "the vm process was killed" : "the vm process ended";
}

/* It has ended by itself; the words live as long as the body. */
static void ended(struct isolated *b, const struct vmm_exit *why)
{
	b->state = VM_BODY_ENDED;
	end_run(b);
	b->config.on_exit(b->config.ctx, why);
}

static void guest_ended(struct isolated *b, const struct wire_exited *exited)
{
	const struct vmm_exit why = {
		.reason = (enum vmm_exit_reason)exited->reason,
		.code = exited->code,
		.detail = exited->detail[0] ? b->detail : NULL,
	};

	memcpy(b->detail, exited->detail, sizeof(b->detail));
	ended(b, &why);
}

/* The process has ended without a word, or has to, as nothing can be said to it any more. */
static void process_ended(struct isolated *b, int error)
{
	struct vmm_exit why = {.reason = VMM_EXIT_ERROR, .code = error};
	int status = 0;
	bool gone = vm_child_wait(&b->vm, DEATH_MS, &status) == 1;

	why.detail = gone ? death_words(status) : "the vm process did not keep to the protocol";
	ended(b, &why);
}

/* ---- what the vm process says ---- */

static void handle_news(struct isolated *b)
{
	struct vm_news news;

	vm_channel_take(&b->channel, &news);
	if (news.rebooted) {
		b->config.on_reboot(b->config.ctx);
	}
	if (news.exited) {
		guest_ended(b, &news.exit);
	} else if (news.error < 0) {
		process_ended(b, news.error);
	} else {
		for (uint32_t i = 0; i < WIRE_DEVICES_MAX; i++) {
			if (news.lost & UINT64_C(1) << i) {
				vm_devices_lost(&b->devices, i, news.generation[i], news.why[i]);
			}
		}
	}
	if (vm_channel_has_news(&b->channel)) {
		vmm_loop_post(b->config.loop, &b->news_work);
	}
}

static void on_news(void *ctx)
{
	struct isolated *b = ctx;

	if (vm_channel_has_news(&b->channel)) {
		handle_news(b);
	}
}

static void on_channel(void *ctx, int fd, uint32_t events)
{
	struct isolated *b = ctx;

	(void)fd;
	(void)events;
	vm_channel_look(&b->channel);
	on_news(b);
}

static void on_vm_end(void *ctx)
{
	struct isolated *b = ctx;

	/* Its last words, and the end of the connection behind them. */
	vm_channel_look(&b->channel);
	if (!vm_channel_has_news(&b->channel)) {
		b->channel.news.error = -ECONNRESET;
	}
	on_news(b);
}

/* ---- what devices do ---- */

static bool is_alive(void *ctx)
{
	struct isolated *b = ctx;

	vm_channel_look(&b->channel);
	if (!b->channel.news.exited && b->channel.news.error == 0) {
		return true;
	}
	vmm_loop_post(b->config.loop, &b->news_work);
	return false;
}

static void on_device(void *ctx, const char *id, enum vm_device_event event)
{
	struct isolated *b = ctx;

	b->config.on_device(b->config.ctx, id, event);
}

/* As closing a window asks a program to end, so it asks the guest. */
static void on_window_close(void *ctx)
{
	struct isolated *b = ctx;
	struct vmm_error err = {0};

	if (b->state == VM_BODY_RUNNING && isolated_power_button(&b->base, &err) < 0) {
		vmm_log(b->config.log, VMM_LOG_WARN, "window closed: %s", err.message);
	}
}

static const struct vm_devices_events device_events = {
	.is_alive = is_alive, .on_device = on_device, .on_window_close = on_window_close};

/* ---- boot ---- */

static int open_kvm(struct vmm_error *err)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	switch (fd < 0 ? errno : 0) {
	case 0:
		return fd;
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return vmm_error_set(err, -ENOENT,
				     "/dev/kvm is missing: load the kernel's KVM module, and see "
				     "that virtualization is enabled in the firmware");
	case EACCES:
	case EPERM:
		return vmm_error_set(err, -EACCES,
				     "/dev/kvm: permission denied: add this user to the group "
				     "'kvm'");
	default:
		return vmm_error_wrap(err, -errno, "/dev/kvm");
	}
}

static int start_vm(struct isolated *b, struct vmm_error *err)
{
	static char *const argv[] = {"vmm-cli", "vm-process", "--fd", "3", NULL};
	const struct vm_child_config config = {
		.name = "vm",
		.program = "/proc/self/exe",
		.argv = argv,
		.socket_type = SOCK_SEQPACKET,
		.on_end = on_vm_end,
		.ctx = b,
	};
	int ret = vm_child_start(&b->vm, &b->nursery, &config, err);

	if (ret < 0) {
		return ret;
	}
	b->vm_known = true;
	b->channel.fd = b->vm.socket;
	b->vm.socket = -1;
	return vmm_loop_add_fd(b->config.loop, b->channel.fd, VMM_LOOP_READABLE, on_channel, b,
			       &b->channel_source);
}

static int ask_config(struct isolated *b, int kvm, struct vmm_error *err)
{
	const struct vm_config *vm = b->config.vm;
	const int fds[] = {kvm, b->streams.serial_out};
	const char *cmdline = vm->payload.cmdline ? vm->payload.cmdline : "";
	struct wire_message m;

	if (strlen(cmdline) >= WIRE_CMDLINE_MAX) {
		return vmm_error_set(err, -E2BIG, "the command line has %zu bytes, at most %u fit",
				     strlen(cmdline), WIRE_CMDLINE_MAX - 1);
	}
	vm_channel_begin(&b->channel, &m, WIRE_CONFIG);
	m.u.config.memory_size = vm->memory.size;
	m.u.config.shm_size = vm_devices_shm_size(&b->devices);
	m.u.config.huge_pages = vm->memory.huge_pages;
	m.u.config.vcpus = (uint32_t)vm->cpus.boot_vcpus;
	m.u.config.devices = (uint32_t)b->devices.count;
	m.u.config.log_level = b->config.log ? b->config.log->level : VMM_LOG_ERROR;
	m.u.config.has_serial = fds[1] >= 0;
	m.u.config.transport = vm->transport;
	wire_set_text(m.u.config.cmdline, WIRE_CMDLINE_MAX, cmdline);
	vm_channel_ask(&b->channel, &m, fds, CHANNEL_CALL_MS);
	return 0;
}

static int send_file(struct isolated *b, enum wire_type type, const struct vm_file *file,
		     const char *what, struct vmm_error *err)
{
	struct wire_message m;
	int fd = vm_file_open(file, what, err);
	int ret;

	if (fd < 0) {
		return fd;
	}
	vm_channel_begin(&b->channel, &m, type);
	ret = vm_channel_call(&b->channel, &m, &fd, CHANNEL_CALL_MS, err);
	(void)close(fd);
	return ret < 0 ? vmm_error_wrap(err, ret, "%s '%.250s'", what, vm_file_name(file)) : 0;
}

static int configure(struct isolated *b, struct vmm_error *err)
{
	const struct vm_payload *payload = &b->config.vm->payload;
	int ret = vm_channel_await(&b->channel, CHANNEL_CALL_MS, err);

	if (ret == 0) {
		ret = send_file(b, WIRE_KERNEL, &payload->kernel, "kernel", err);
	}
	if (ret == 0 && (payload->initramfs.fd >= 0 || payload->initramfs.path)) {
		ret = send_file(b, WIRE_INITRD, &payload->initramfs, "initramfs", err);
	}
	return ret < 0 ? ret : vm_devices_hand_over(&b->devices, err);
}

static int ask(struct isolated *b, enum wire_type type, int timeout_ms, struct vmm_error *err)
{
	struct wire_message m;
	int ret;

	vm_channel_begin(&b->channel, &m, type);
	ret = vm_channel_call(&b->channel, &m, NULL, timeout_ms, err);
	if (vm_channel_has_news(&b->channel)) {
		vmm_loop_post(b->config.loop, &b->news_work);
	}
	return ret;
}

/* What a vm process that ended during boot said last is why. */
static int boot_failed(struct isolated *b, int ret, struct vmm_error *err)
{
	int status;

	if (b->vm_known && b->channel.news.error < 0 &&
	    vm_child_wait(&b->vm, END_MS, &status) == 1) {
		if (b->vm.log.last_error[0]) {
			(void)vmm_error_set(err, ret, "%s", b->vm.log.last_error);
		} else {
			(void)vmm_error_set(err, ret, "%s", death_words(status));
		}
	}
	end_run(b);
	return ret;
}

static int start_all(struct isolated *b, int kvm, struct vmm_error *err)
{
	const bool restart = !b->config.isolation.restart_never;
	struct vm_console_fds console;
	int ret = vm_streams_start(&b->streams, &b->config, &console, err);

	if (ret == 0) {
		ret = vm_devices_open(&b->devices, b->config.vm, restart, &console, err);
	}
	if (ret == 0) {
		ret = start_vm(b, err);
	}
	if (ret == 0) {
		ret = ask_config(b, kvm, err);
	}
	/* While the vm process makes its jail and its VM. */
	if (ret == 0) {
		ret = vm_devices_start(&b->devices, err);
	}
	if (ret == 0) {
		ret = configure(b, err);
	}
	return ret < 0 ? ret : ask(b, WIRE_BOOT, CHANNEL_BOOT_MS, err);
}

static int isolated_boot(struct vm_body *body, struct vmm_error *err)
{
	struct isolated *b = from_base(body);
	int kvm;
	int ret = vm_nursery_init(&b->nursery, &b->config, err);

	if (ret < 0) {
		return ret;
	}
	kvm = open_kvm(err);
	if (kvm < 0) {
		return kvm;
	}
	ret = start_all(b, kvm, err);
	(void)close(kvm);
	if (ret < 0) {
		return boot_failed(b, ret, err);
	}
	b->state = VM_BODY_RUNNING;
	return 0;
}

static void isolated_off(struct vm_body *body)
{
	struct isolated *b = from_base(body);

	if (b->state == VM_BODY_RUNNING || b->state == VM_BODY_PAUSED) {
		(void)ask(b, WIRE_STOP, STOP_MS, NULL);
		end_run(b);
	}
	b->state = VM_BODY_OFF;
}

/* ---- running ---- */

static enum vm_body_state isolated_state(const struct vm_body *body)
{
	return ((const struct isolated *)body)->state;
}

static int isolated_pause(struct vm_body *body, struct vmm_error *err)
{
	struct isolated *b = from_base(body);
	int ret = ask(b, WIRE_PAUSE, CHANNEL_CALL_MS, err);

	if (ret == 0) {
		b->state = VM_BODY_PAUSED;
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "pause") : 0;
}

static int isolated_resume(struct vm_body *body, struct vmm_error *err)
{
	struct isolated *b = from_base(body);
	int ret = ask(b, WIRE_RESUME, CHANNEL_CALL_MS, err);

	if (ret == 0) {
		b->state = VM_BODY_RUNNING;
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "resume") : 0;
}

static int isolated_reboot(struct vm_body *body, struct vmm_error *err)
{
	int ret = ask(from_base(body), WIRE_REBOOT, CHANNEL_BOOT_MS, err);

	return ret < 0 ? vmm_error_wrap(err, ret, "reboot") : 0;
}

static int isolated_power_button(struct vm_body *body, struct vmm_error *err)
{
	int ret = ask(from_base(body), WIRE_BUTTON, CHANNEL_CALL_MS, err);

	return ret < 0 ? vmm_error_wrap(err, ret, "power button") : 0;
}

static int isolated_counters(struct vm_body *body, const char *id, vm_counter_fn emit, void *ctx)
{
	const struct vm_device *dev = vm_devices_find(&from_base(body)->devices, id);

	if (!dev) {
		return -ENOENT;
	}
	if (dev->now) {
		vm_counters_each(&dev->now->counters, emit, ctx);
	}
	return 0;
}

static int isolated_restart_device(struct vm_body *body, const char *id, struct vmm_error *err)
{
	struct isolated *b = from_base(body);
	struct vm_device *dev = vm_devices_find(&b->devices, id);
	int ret = dev ? vm_device_replace(dev, err) : -ENODEV;

	if (vm_channel_has_news(&b->channel)) {
		vmm_loop_post(b->config.loop, &b->news_work);
	}
	return ret;
}

static int isolated_screenshot(struct vm_body *body, int fd, struct vmm_error *err)
{
	struct isolated *b = from_base(body);

	for (size_t i = 0; i < b->devices.count; i++) {
		const struct vm_device *dev = &b->devices.list[i];

		if (dev->gpu && dev->gpu->display == VM_DISPLAY_FILE) {
			return vm_screen_write(dev->fds[0], fd, err);
		}
	}
	return -ENOENT;
}

static void isolated_processes(struct vm_body *body, vm_process_fn emit, void *ctx)
{
	struct isolated *b = from_base(body);
	const struct vm_process_info own = {.name = "vmm", .kind = "supervisor", .pid = getpid()};
	const struct vm_process_info vm = {
		.name = "vm",
		.kind = "vm",
		.profile = vm_devices_shm_size(&b->devices) > 0 ? "vm-shm" : "vm",
		.pid = b->vm.process.pid,
	};

	emit(ctx, &own);
	if (b->vm_known && vm.pid > 0) {
		emit(ctx, &vm);
	}
	if (b->devices.window.known) {
		const struct vm_process_info window = {.name = "window",
						       .kind = "window",
						       .pid = b->devices.window.child.process.pid};

		emit(ctx, &window);
	}
	for (size_t i = 0; i < b->devices.count; i++) {
		const struct vm_device *dev = &b->devices.list[i];

		if (dev->now && dev->now->child.process.pid > 0) {
			const struct vm_process_info info = {
				.name = dev->id,
				.kind = dev->shape->kind,
				.profile = dev->shape->kind,
				.pid = dev->now->child.process.pid,
				.restarts = dev->restarts,
			};

			emit(ctx, &info);
		}
	}
}

static void isolated_tty_resized(struct vm_body *body)
{
	struct isolated *b = from_base(body);

	vm_streams_resized(&b->streams, &b->config);
}

/* ---- life ---- */

static void isolated_destroy(struct vm_body *body)
{
	struct isolated *b = from_base(body);

	isolated_off(body);
	vm_streams_finish(&b->streams);
	free(b);
}

static int isolated_create(struct vm_body **out, const struct vm_body_config *config,
			   struct vmm_error *err)
{
	struct isolated *b = calloc(1, sizeof(*b));
	int ret;

	if (!b) {
		return vmm_error_set(err, -ENOMEM, "out of memory");
	}
	b->base.ops = &vm_body_isolated;
	b->config = *config;
	b->channel.fd = -1;
	vm_child_init(&b->vm);
	b->news_work = (struct vmm_work){.fn = on_news, .ctx = b};
	b->devices = (struct vm_devices){
		.nursery = &b->nursery,
		.channel = &b->channel,
		.program = config->isolation.device_program,
		.events = &device_events,
		.ctx = b,
	};
	vm_window_init(&b->devices.window);
	ret = vm_streams_init(&b->streams, config, err);
	if (ret < 0) {
		isolated_destroy(&b->base);
		return ret;
	}
	*out = &b->base;
	return 0;
}

const struct vm_body_ops vm_body_isolated = {
	.isolation = "process",
	.create = isolated_create,
	.destroy = isolated_destroy,
	.boot = isolated_boot,
	.off = isolated_off,
	.state = isolated_state,
	.pause = isolated_pause,
	.resume = isolated_resume,
	.reboot = isolated_reboot,
	.power_button = isolated_power_button,
	.counters = isolated_counters,
	.restart_device = isolated_restart_device,
	.processes = isolated_processes,
	.screenshot = isolated_screenshot,
	.tty_resized = isolated_tty_resized,
};
