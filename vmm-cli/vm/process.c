/* SPDX-License-Identifier: MIT */
/*
 * vmm-cli vm-process: KVM, vCPU threads, PCI, the serial port and the guest's memory; started by
 * the supervisor (vm/isolated.c) and led by it over one socket (vm/wire.h).
 *
 *	started     by vmm_process_spawn: namespaces of its own, the socket and a log
 *	CONFIG      brings the descriptors; then the jail (vmm_jail_enter)
 *	KERNEL, INITRD, DEVICE ...
 *	BOOT        memory, vCPUs and threads are made; then the filters (vmm_jail_seal), and only
 *	            then the guest's first instruction
 *
 * From there on nothing is allocated, opened or mapped, and the end is exit_group: at the
 * supervisor's request, when the guest has ended, or when the supervisor has gone.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmm/dev/serial.h>
#include <vmm/jail.h>
#include <vmm/vhost_frontend.h>
#include <vmm/vm.h>

#include "cli.h"
#include "vm/text.h"
#include "vm/wire.h"

#define SEND_MS   10000
#define CONFIG_MS 30000

/* Address space besides guest memory, whose guards are 4 GiB each around one or two regions. */
#define GUARDS_BYTES (UINT64_C(3) * ((UINT64_C(4) << 30) + (UINT64_C(2) << 20)))
#define HEAP_BYTES   (UINT64_C(64) << 20)
#if defined(__GLIBC__)
/* A stack of 8 MiB and an arena of the allocator, which is reserved in one piece. */
#define THREAD_BYTES (UINT64_C(144) << 20)
#else
#define THREAD_BYTES (UINT64_C(1) << 20)
#endif

/* Descriptors: of the process, of a vCPU, of a device (socket, channel, record, kicks, calls). */
#define FDS_BASE   64u
#define FDS_VCPU   2u
#define FDS_DEVICE 24u

struct frontend {
	struct vm_process *process;
	struct vmm_virtio_device *dev;
	uint32_t index;
	uint32_t generation; /* of the connection */
	char id[WIRE_ID_MAX];
};

struct vm_process {
	int control;
	struct vmm_log log;
	struct vmm_loop *loop;
	struct vmm_source *source;
	struct vmm_jail_level level;
	struct vmm_vm *vm;
	struct vmm_platform_device *serial;
	struct vmm_chardev *output; /* of the serial port */
	struct wire_config config;
	struct frontend frontends[WIRE_DEVICES_MAX];
	uint32_t frontend_count;
	bool started;
};

/* ---- log: one write for each line, the supervisor adds the rest ---- */

static void sink(void *user, enum vmm_log_level level, const char *message)
{
	char line[VMM_ERROR_MESSAGE_MAX + 64];

	(void)user;
	/* A reader that is slow or gone costs the line. */
	(void)!write(STDERR_FILENO, line, vmm_log_line(line, sizeof(line), "", level, message));
}

/* ---- the end ---- */

_Noreturn static void leave(int status)
{
	/* Not exit: the threads and handlers of this process have no right to end by themselves. */
	_exit(status);
}

/* ---- to the supervisor ---- */

static void tell(const struct vm_process *p, const struct wire_message *m, int timeout_ms)
{
	int ret = wire_send(p->control, m, NULL, timeout_ms);

	/* One that does not listen may miss a reboot, but nothing that it waits for. */
	if (ret < 0 && timeout_ms > 0) {
		leave(EXIT_FAILED);
	}
}

static void reply(const struct vm_process *p, uint32_t seq, int result, const struct vmm_error *err)
{
	struct wire_message m;

	wire_begin(&m, WIRE_REPLY, seq);
	if (result < 0) {
		m.u.reply.result = result;
		wire_set_text(m.u.reply.text, WIRE_TEXT_MAX,
			      err->message[0] ? err->message : strerror(-result));
	}
	tell(p, &m, SEND_MS);
}

static void on_exit_of_vm(void *ctx, const struct vmm_exit *why)
{
	struct vm_process *p = ctx;
	struct wire_message m;

	vmm_serial_flush(p->serial);
	wire_begin(&m, WIRE_EXITED, 0);
	m.u.exited.reason = (uint32_t)why->reason;
	m.u.exited.code = why->code < 0 ? why->code : 0;
	wire_set_text(m.u.exited.detail, WIRE_TEXT_MAX, why->detail ? why->detail : "");
	tell(p, &m, SEND_MS);
	leave(EXIT_OK);
}

static void on_reboot(void *ctx)
{
	struct wire_message m;

	wire_begin(&m, WIRE_REBOOTED, 0);
	tell(ctx, &m, 0);
}

static void on_lost(void *ctx, int why)
{
	const struct frontend *fe = ctx;
	struct wire_message m;

	wire_begin(&m, WIRE_DEVICE_LOST, 0);
	m.u.lost = (struct wire_device_lost){
		.index = fe->index, .generation = fe->generation, .why = why};
	tell(fe->process, &m, SEND_MS);
}

/* ---- the jail ---- */

static int enter_jail(struct vm_process *p, const int *fds, struct vmm_error *err)
{
	const struct wire_config *config = &p->config;
	const int keep[] = {STDERR_FILENO, p->control, fds[0], fds[1]};
	const struct vmm_jail_config jail = {
		.keep_fds = keep,
		.keep_count = fds[1] >= 0 ? 4 : 3,
		.memory_limit = config->memory_size + config->shm_size + GUARDS_BYTES + HEAP_BYTES +
				(config->vcpus + 1) * THREAD_BYTES,
		.file_limit = config->memory_size, /* that file is the guest's memory */
		.fd_limit = FDS_BASE + config->vcpus * FDS_VCPU + config->devices * FDS_DEVICE,
	};

	return vmm_jail_enter(&jail, &p->level, err);
}

/* On each vCPU's thread. What it may not do is said here: there may be nobody left to say it. */
static int seal_vcpu(void *ctx, unsigned index)
{
	const struct vm_process *p = ctx;
	int ret = vmm_jail_seal_thread("vcpu");

	if (ret < 0) {
		vmm_log(&p->log, VMM_LOG_ERROR, "vCPU %u: no system call filter: %s", index,
			strerror(-ret));
	}
	return ret;
}

static int seal(void *ctx)
{
	struct vm_process *p = ctx;
	struct vmm_error err = {0};
	char words[400];
	int ret;

	/* As far as the kernel knows how to. */
	(void)vmm_mem_seal(vmm_vm_mem(p->vm));
	ret = vmm_jail_seal(p->config.shm_size > 0 ? "vm-shm" : "vm", &p->level, &err);
	if (ret < 0) {
		vmm_log(&p->log, VMM_LOG_ERROR, "%s", err.message);
		return ret;
	}
	(void)vmm_jail_describe(&p->level, words, sizeof(words));
	vmm_log(&p->log, strstr(words, "without") ? VMM_LOG_WARN : VMM_LOG_INFO, "jail: %s", words);
	return 0;
}

/* ---- requests before boot ---- */

static int make_serial(struct vm_process *p, int fd, struct vmm_error *err)
{
	const struct vmm_fdchar_config pipe_config = {.in_fd = -1, .out_fd = fd};
	struct vmm_serial_config config = {.loop = p->loop};
	int ret = vmm_fdchar_create(&p->output, &pipe_config, err);

	(void)close(fd); /* it has one of its own */
	if (ret == 0) {
		config.output = p->output;
		ret = vmm_serial_create(&p->serial, &config, err);
	}
	if (ret == 0) {
		ret = vmm_vm_add_platform(p->vm, p->serial, err);
	}
	return ret < 0 ? vmm_error_wrap(err, ret, "serial") : 0;
}

static int make_vm(struct vm_process *p, const int *fds, struct vmm_error *err)
{
	const struct vmm_vm_config config = {
		.memory_size = p->config.memory_size,
		.huge_pages = p->config.huge_pages,
		.vcpus = p->config.vcpus,
		.transport = (enum vmm_transport_type)p->config.transport,
		.kvm_fd = fds[0],
		.loop = p->loop,
		.log = &p->log,
		.on_exit = on_exit_of_vm,
		.on_reboot = on_reboot,
		.on_vcpu_thread = seal_vcpu,
		.before_run = seal,
		.threads_stay = true,
		.ctx = p,
	};
	int ret = vmm_vm_create(&p->vm, &config, err);

	(void)close(fds[0]); /* KVM itself is of no more use */
	if (ret == 0 && p->config.cmdline[0]) {
		ret = vmm_vm_set_cmdline(p->vm, p->config.cmdline, err);
	}
	return ret == 0 && fds[1] >= 0 ? make_serial(p, fds[1], err) : ret;
}

static int take_kernel(struct vm_process *p, int fd, struct vmm_error *err)
{
	int ret = vmm_vm_set_kernel(p->vm, fd, err);

	if (ret < 0) {
		(void)close(fd);
	}
	return ret;
}

static int take_initrd(struct vm_process *p, int fd, struct vmm_error *err)
{
	int ret = vmm_vm_set_initrd(p->vm, fd, err);

	if (ret < 0) {
		(void)close(fd);
	}
	return ret;
}

static int connect_device(struct frontend *fe, const struct wire_device *device, int fd,
			  struct vmm_error *err)
{
	struct vmm_virtio_shm shm[WIRE_SHM_MAX];
	const struct vmm_vhost_frontend_config config = {
		.loop = fe->process->loop,
		.log = &fe->process->log,
		.fd = fd,
		.name = fe->id,
		.device_id = device->device_id,
		.queue_count = device->queue_count,
		.queue_sizes = device->queue_sizes,
		.config_len = device->config_len,
		.config = device->space,
		.features = device->features,
		.own_features = device->own_features,
		.shm = shm,
		.shm_count = device->shm_count != WIRE_SHM_ANY ? device->shm_count : 0,
		.shm_any = device->shm_count == WIRE_SHM_ANY,
		.waits = device->waits,
		.on_lost = on_lost,
		.ctx = fe,
	};
	int ret;

	for (unsigned i = 0; i < WIRE_SHM_MAX; i++) {
		shm[i] = (struct vmm_virtio_shm){
			.id = (uint8_t)device->shm[i].id,
			.len = device->shm[i].len,
		};
	}
	ret = vmm_vhost_frontend_create(&fe->dev, &config, err);

	if (ret < 0) {
		(void)close(fd);
		return ret;
	}
	ret = vmm_vm_add_virtio(fe->process->vm, fe->id, fe->dev, err);
	if (ret < 0) {
		vmm_virtio_device_destroy(fe->dev);
		fe->dev = NULL;
	}
	return ret;
}

static int add_device(struct vm_process *p, const struct wire_device *device, int fd,
		      struct vmm_error *err)
{
	struct frontend *fe = &p->frontends[p->frontend_count];
	int ret;

	if (device->index != p->frontend_count || device->index >= p->config.devices) {
		(void)close(fd);
		return vmm_error_set(err, -EINVAL, "device number %u is not the next one",
				     device->index);
	}
	fe->process = p;
	fe->index = device->index;
	memcpy(fe->id, device->id, sizeof(fe->id));
	ret = connect_device(fe, device, fd, err);
	if (ret == 0) {
		p->frontend_count++;
	}
	return ret;
}

static int boot(struct vm_process *p, struct vmm_error *err)
{
	int ret = vmm_vm_start(p->vm, err);

	p->started = ret == 0;
	return ret;
}

/* ---- requests afterwards ---- */

static int reconnect(struct vm_process *p, const struct wire_connection *c, int fd,
		     struct vmm_error *err)
{
	struct frontend *fe = &p->frontends[c->index];
	int ret;

	if (c->index >= p->frontend_count) {
		(void)close(fd);
		return vmm_error_set(err, -EINVAL, "there is no device number %u", c->index);
	}
	fe->generation = c->generation;
	ret = vmm_vhost_frontend_connect(fe->dev, fd, err);
	if (ret < 0) {
		(void)close(fd);
	}
	return ret;
}

static int give_up(struct vm_process *p, const struct wire_connection *c, struct vmm_error *err)
{
	if (c->index >= p->frontend_count) {
		return vmm_error_set(err, -EINVAL, "there is no device number %u", c->index);
	}
	vmm_vhost_frontend_give_up(p->frontends[c->index].dev);
	return 0;
}

static int before_boot(struct vm_process *p, const struct wire_message *m, const int *fds,
		       struct vmm_error *err)
{
	switch (m->header.type) {
	case WIRE_KERNEL:
		return take_kernel(p, fds[0], err);
	case WIRE_INITRD:
		return take_initrd(p, fds[0], err);
	case WIRE_DEVICE:
		return add_device(p, &m->u.device, fds[0], err);
	case WIRE_BOOT:
		return boot(p, err);
	default:
		return -EPROTO;
	}
}

static int after_boot(struct vm_process *p, const struct wire_message *m, const int *fds,
		      struct vmm_error *err)
{
	switch (m->header.type) {
	case WIRE_PAUSE:
		return vmm_vm_pause(p->vm);
	case WIRE_RESUME:
		return vmm_vm_resume(p->vm);
	case WIRE_REBOOT:
		return vmm_vm_reboot(p->vm);
	case WIRE_BUTTON:
		return vmm_vm_power_button(p->vm);
	case WIRE_CONNECT:
		return reconnect(p, &m->u.connection, fds[0], err);
	case WIRE_GIVE_UP:
		return give_up(p, &m->u.connection, err);
	default:
		return -EPROTO;
	}
}

static void handle(struct vm_process *p, const struct wire_message *m, const int *fds)
{
	struct vmm_error err = {0};
	int ret;

	if (m->header.type == WIRE_STOP) {
		vmm_serial_flush(p->serial);
		reply(p, m->header.seq, 0, &err);
		leave(EXIT_OK);
	}
	ret = p->started ? after_boot(p, m, fds, &err) : before_boot(p, m, fds, &err);
	if (ret == -EPROTO && !err.message[0]) {
		leave(EXIT_FAILED); /* not the supervisor's way of asking */
	}
	reply(p, m->header.seq, ret, &err);
	if (ret < 0 && !p->started) {
		leave(EXIT_FAILED); /* half a VM is of no use */
	}
}

static void on_control(void *ctx, int fd, uint32_t events)
{
	struct vm_process *p = ctx;
	struct wire_message m;
	int fds[WIRE_FDS_MAX];
	int ret = wire_receive(fd, WIRE_SUPERVISOR, &m, fds, 0);

	(void)events;
	if (ret == 0) {
		handle(p, &m, fds);
	} else if (ret != -ETIMEDOUT) {
		/* The supervisor has gone, or is no such. */
		leave(EXIT_FAILED);
	}
}

/* ---- start ---- */

/* CONFIG is read before there is a loop: the jail closes all descriptors that are not to be kept.
 */
static int configure(struct vm_process *p, uint32_t *seq, struct vmm_error *err)
{
	struct wire_message m;
	int fds[WIRE_FDS_MAX];
	int ret = wire_receive(p->control, WIRE_SUPERVISOR, &m, fds, CONFIG_MS);

	if (ret < 0) {
		return vmm_error_wrap(err, ret, "no configuration");
	}
	if (m.header.type != WIRE_CONFIG) {
		return vmm_error_set(err, -EPROTO, "the configuration has to come first");
	}
	*seq = m.header.seq;
	p->config = m.u.config;
	p->log.level = (enum vmm_log_level)m.u.config.log_level;
	ret = enter_jail(p, fds, err);
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "jail");
	}
	ret = vmm_loop_create(&p->loop);
	if (ret < 0) {
		return vmm_error_wrap(err, ret, "event loop");
	}
	return make_vm(p, fds, err);
}

static int serve(struct vm_process *p)
{
	struct vmm_error err = {0};
	uint32_t seq = 0;
	int ret = configure(p, &seq, &err);

	if (seq != 0) {
		reply(p, seq, ret, &err);
	} else {
		vmm_log(&p->log, VMM_LOG_ERROR, "%s", err.message);
	}
	if (ret == 0) {
		ret = vmm_loop_add_fd(p->loop, p->control, VMM_LOOP_READABLE, on_control, p,
				      &p->source);
	}
	return ret < 0 ? ret : vmm_loop_run(p->loop);
}

int cmd_vm_process(int argc, char **argv)
{
	struct vm_process *p;
	char *end = NULL;
	long fd = argc == 3 && strcmp(argv[1], "--fd") == 0 ? strtol(argv[2], &end, 10) : -1;

	if (!end || *end || fd <= STDERR_FILENO || fd >= FDS_BASE) {
		return cli_usage("vm-process", "it is started by vmm-cli itself");
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		return EXIT_FAILED;
	}
	p->control = (int)fd;
	p->log = (struct vmm_log){.level = VMM_LOG_ERROR, .sink = sink, .user = p};
	(void)serve(p);
	leave(EXIT_FAILED);
}
