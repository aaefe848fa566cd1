/* SPDX-License-Identifier: MIT */
#include "api/manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct vm_manager {
	struct vm_manager_config config;
	struct vm_config vm_config;
	struct vm_body *body; /* NULL: there is no VM */
};

static enum vm_result absent(struct vmm_error *err)
{
	(void)vmm_error_set(err, -ENODEV, "there is no VM: create one first");
	return VM_NOT_FOUND;
}

static enum vm_result wrong_state(const struct vm_manager *m, const char *needed,
				  struct vmm_error *err)
{
	(void)vmm_error_set(err, -EBUSY, "the VM is in state %s, not %s",
			    vm_state_name(vm_manager_state(m)), needed);
	return VM_FAILED;
}

static enum vm_result failed(int ret, const char *what, struct vmm_error *err)
{
	(void)vmm_error_wrap(err, ret, "%s", what);
	return VM_FAILED;
}

/* What the caller's input deserves. */
static enum vm_result input_error(int ret)
{
	switch (ret) {
	case 0:
		return VM_OK;
	case -EEXIST:
		return VM_CONFLICT;
	case -EINVAL:
	case -ENOSPC:
		return VM_INVALID;
	default:
		return VM_FAILED;
	}
}

int vm_manager_create(struct vm_manager **out, const struct vm_manager_config *config)
{
	struct vm_manager *m = calloc(1, sizeof(*m));

	*out = m;
	if (!m) {
		return -ENOMEM;
	}
	m->config = *config;
	vm_config_init(&m->vm_config);
	return 0;
}

static void forget(struct vm_manager *m)
{
	if (m->body) {
		m->body->ops->destroy(m->body);
		m->body = NULL;
	}
	vm_config_finish(&m->vm_config);
}

void vm_manager_destroy(struct vm_manager *m)
{
	if (m) {
		forget(m);
		free(m);
	}
}

enum vm_state vm_manager_state(const struct vm_manager *m)
{
	if (!m->body) {
		return VM_ABSENT;
	}
	switch (m->body->ops->state(m->body)) {
	case VM_BODY_OFF:
		return VM_CREATED;
	case VM_BODY_RUNNING:
		return VM_RUNNING;
	case VM_BODY_PAUSED:
		return VM_PAUSED;
	case VM_BODY_ENDED:
		break;
	}
	return VM_SHUTDOWN;
}

const char *vm_state_name(enum vm_state state)
{
	switch (state) {
	case VM_CREATED:
		return "Created";
	case VM_RUNNING:
		return "Running";
	case VM_PAUSED:
		return "Paused";
	case VM_SHUTDOWN:
		return "Shutdown";
	case VM_ABSENT:
		break;
	}
	return "Absent";
}

const struct vm_config *vm_manager_config_of(const struct vm_manager *m)
{
	return m->body ? &m->vm_config : NULL;
}

/* What came as a descriptor is looked at now: its sender is still there to hear what is wrong. */
static int open_net_fd(struct vm_net *net, struct vmm_error *err)
{
	struct stat st;
	int ret;

	if (fstat(net->fd, &st) < 0) {
		return vmm_error_set(err, -errno, "descriptor: %s", strerror(errno));
	}
	if (S_ISSOCK(st.st_mode)) {
		ret = vmm_tap_from_socket(&net->handle, net->fd, err);
	} else {
		ret = vmm_tap_from_fd(&net->handle, net->fd, err);
	}
	if (ret == 0) {
		net->fd = -1;
	}
	return ret;
}

static int open_net_fds(struct vm_config *config, struct vmm_error *err)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < config->net_count; i++) {
		if (config->nets[i].fd >= 0) {
			ret = open_net_fd(&config->nets[i], err);
		}
	}
	return ret;
}

/* ---- what the body says ---- */

static const char *exit_words(const struct vmm_exit *why)
{
	switch (why->reason) {
	case VMM_EXIT_POWEROFF:
		return "the guest powered itself off";
	case VMM_EXIT_RESET:
		return "the guest asked for a reset";
	case VMM_EXIT_STOPPED:
		return "stopped";
	case VMM_EXIT_CRASH:
		return "the guest crashed";
	case VMM_EXIT_ERROR:
	case VMM_EXIT_NONE:
		break;
	}
	return "the host failed";
}

static void on_vm_exit(void *ctx, const struct vmm_exit *why)
{
	struct vm_manager *m = ctx;
	bool good = why->reason == VMM_EXIT_POWEROFF || why->reason == VMM_EXIT_STOPPED;

	vmm_log(m->config.log, good ? VMM_LOG_INFO : VMM_LOG_ERROR, "VM ended: %s%s%s%s%s",
		exit_words(why), why->detail ? ": " : "", why->detail ? why->detail : "",
		why->reason == VMM_EXIT_ERROR ? ": " : "",
		why->reason == VMM_EXIT_ERROR ? strerror(-why->code) : "");
	vm_events_emit(m->config.events, "vm", "shutdown");
	if (m->config.on_exit) {
		m->config.on_exit(m->config.ctx, why);
	}
}

static void on_vm_reboot(void *ctx)
{
	struct vm_manager *m = ctx;

	vmm_log(m->config.log, VMM_LOG_INFO, "VM rebooted");
	vm_events_emit(m->config.events, "vm", "rebooted");
}

static void on_device(void *ctx, const char *id, enum vm_device_event event)
{
	static const char *const names[] = {
		[VM_DEVICE_LOST] = "device-lost",
		[VM_DEVICE_RESTARTED] = "device-restarted",
		[VM_DEVICE_FAILED] = "device-failed",
	};
	struct vm_manager *m = ctx;

	vm_events_emit_device(m->config.events, names[event], id);
}

/* ---- life ---- */

enum vm_result vm_manager_define(struct vm_manager *m, struct vm_config *config,
				 struct vmm_error *err)
{
	const struct vm_body_config body = {
		.loop = m->config.loop,
		.log = m->config.log,
		.vm = &m->vm_config,
		.isolation = m->config.isolation,
		.tty_in = m->config.tty_in,
		.tty_out = m->config.tty_out,
		.tty_filter = m->config.tty_filter,
		.tty_ctx = m->config.ctx,
		.on_exit = on_vm_exit,
		.on_reboot = on_vm_reboot,
		.on_device = on_device,
		.ctx = m,
	};
	int ret;

	if (m->body) {
		vm_config_finish(config);
		(void)vmm_error_set(err, -EEXIST, "there is a VM already: delete it first");
		return VM_FAILED;
	}
	m->vm_config = *config;
	vm_config_init(config);
	ret = open_net_fds(&m->vm_config, err);
	if (ret == 0) {
		ret = m->config.body->create(&m->body, &body, err);
	}
	if (ret < 0) {
		forget(m);
		return ret == -EINVAL ? VM_INVALID : VM_FAILED;
	}
	return VM_OK;
}

enum vm_result vm_manager_delete(struct vm_manager *m, struct vmm_error *err)
{
	(void)err;
	if (m->body && m->body->ops->state(m->body) != VM_BODY_OFF) {
		vm_events_emit(m->config.events, "vm", "shutdown");
	}
	if (m->body) {
		forget(m);
		vm_events_emit(m->config.events, "vm", "deleted");
	}
	return VM_OK;
}

enum vm_result vm_manager_boot(struct vm_manager *m, struct vmm_error *err)
{
	enum vm_state state = vm_manager_state(m);
	int ret;

	if (state == VM_ABSENT) {
		return absent(err);
	}
	if (state != VM_CREATED && state != VM_SHUTDOWN) {
		return wrong_state(m, "Created", err);
	}
	m->body->ops->off(m->body);
	vm_events_emit(m->config.events, "vm", "booting");
	ret = m->body->ops->boot(m->body, err);
	if (ret < 0) {
		if (err && !err->message[0]) {
			(void)vmm_error_set(err, ret, "%s", strerror(-ret));
		}
		return VM_FAILED;
	}
	vmm_log(m->config.log, VMM_LOG_INFO, "VM booted");
	vm_events_emit(m->config.events, "vm", "booted");
	return VM_OK;
}

/* VM_OK when the VM runs or is paused. */
static enum vm_result need_live(const struct vm_manager *m, struct vmm_error *err)
{
	enum vm_state state = vm_manager_state(m);

	if (state == VM_ABSENT) {
		return absent(err);
	}
	if (state != VM_RUNNING && state != VM_PAUSED) {
		return wrong_state(m, "Running", err);
	}
	return VM_OK;
}

static enum vm_result need(const struct vm_manager *m, enum vm_state wanted, struct vmm_error *err)
{
	enum vm_state state = vm_manager_state(m);

	if (state == VM_ABSENT) {
		return absent(err);
	}
	return state == wanted ? VM_OK : wrong_state(m, vm_state_name(wanted), err);
}

void vm_manager_release(struct vm_manager *m)
{
	if (vm_manager_state(m) == VM_SHUTDOWN) {
		m->body->ops->off(m->body);
	}
}

enum vm_result vm_manager_shutdown(struct vm_manager *m, struct vmm_error *err)
{
	enum vm_result result = need_live(m, err);

	if (result == VM_OK) {
		m->body->ops->off(m->body);
		vmm_log(m->config.log, VMM_LOG_INFO, "VM shut down");
		vm_events_emit(m->config.events, "vm", "shutdown");
	}
	return result;
}

enum vm_result vm_manager_reboot(struct vm_manager *m, struct vmm_error *err)
{
	enum vm_result result = need_live(m, err);
	int ret;

	if (result != VM_OK) {
		return result;
	}
	vm_events_emit(m->config.events, "vm", "rebooting");
	ret = m->body->ops->reboot(m->body, err);
	return ret < 0 ? VM_FAILED : VM_OK;
}

enum vm_result vm_manager_pause(struct vm_manager *m, struct vmm_error *err)
{
	enum vm_result result = need(m, VM_RUNNING, err);
	int ret;

	if (result != VM_OK) {
		return result;
	}
	vm_events_emit(m->config.events, "vm", "pausing");
	ret = m->body->ops->pause(m->body, err);
	if (ret < 0) {
		return VM_FAILED;
	}
	vm_events_emit(m->config.events, "vm", "paused");
	return VM_OK;
}

enum vm_result vm_manager_resume(struct vm_manager *m, struct vmm_error *err)
{
	enum vm_result result = need(m, VM_PAUSED, err);
	int ret;

	if (result != VM_OK) {
		return result;
	}
	vm_events_emit(m->config.events, "vm", "resuming");
	ret = m->body->ops->resume(m->body, err);
	if (ret < 0) {
		return VM_FAILED;
	}
	vm_events_emit(m->config.events, "vm", "resumed");
	return VM_OK;
}

enum vm_result vm_manager_power_button(struct vm_manager *m, struct vmm_error *err)
{
	enum vm_result result = need(m, VM_RUNNING, err);
	int ret;

	if (result != VM_OK) {
		return result;
	}
	ret = m->body->ops->power_button(m->body, err);
	return ret < 0 ? VM_FAILED : VM_OK;
}

/* ---- devices ---- */

static enum vm_result need_cold(const struct vm_manager *m, struct vmm_error *err)
{
	enum vm_state state = vm_manager_state(m);

	if (state == VM_ABSENT) {
		return absent(err);
	}
	if (state != VM_CREATED) {
		(void)vmm_error_set(
			err, -EBUSY,
			"the VM is in state %s: devices come and go only before vm.boot",
			vm_state_name(state));
		return VM_FAILED;
	}
	return VM_OK;
}

enum vm_result vm_manager_add_disk(struct vm_manager *m, struct vm_disk *disk,
				   struct vmm_error *err)
{
	enum vm_result result = need_cold(m, err);

	return result == VM_OK ? input_error(vm_config_add_disk(&m->vm_config, disk, err)) : result;
}

enum vm_result vm_manager_add_net(struct vm_manager *m, struct vm_net *net, struct vmm_error *err)
{
	enum vm_result result = need_cold(m, err);

	if (result != VM_OK) {
		return result;
	}
	if (net->fd >= 0 && open_net_fd(net, err) < 0) {
		return VM_INVALID;
	}
	return input_error(vm_config_add_net(&m->vm_config, net, err));
}

enum vm_result vm_manager_add_gpu(struct vm_manager *m, struct vm_gpu *gpu, struct vmm_error *err)
{
	enum vm_result result = need_cold(m, err);

	return result != VM_OK ? result : input_error(vm_config_add_gpu(&m->vm_config, gpu, err));
}

enum vm_result vm_manager_remove(struct vm_manager *m, const char *id, struct vmm_error *err)
{
	enum vm_result result = need_cold(m, err);

	if (result != VM_OK) {
		return result;
	}
	if (vm_config_remove(&m->vm_config, id) < 0) {
		(void)vmm_error_set(err, -ENOENT, "there is no device '%.40s' that comes and goes",
				    id);
		return VM_NOT_FOUND;
	}
	return VM_OK;
}

enum vm_result vm_manager_screenshot(struct vm_manager *m, int fd, struct vmm_error *err)
{
	enum vm_result result = need_live(m, err);
	int ret;

	if (result != VM_OK) {
		return result;
	}
	ret = m->body->ops->screenshot(m->body, fd, err);
	if (ret == -ENOENT || ret == -EAGAIN) {
		(void)vmm_error_set(err, ret, "%s",
				    ret == -ENOENT ? "the VM has no display of kind 'file'"
						   : "the VM's screen shows nothing yet");
	}
	return ret == -ENOENT ? VM_NOT_FOUND : ret < 0 ? VM_FAILED : VM_OK;
}

enum vm_result vm_manager_restart_device(struct vm_manager *m, const char *id,
					 struct vmm_error *err)
{
	enum vm_result result = need_live(m, err);
	int ret;

	if (result != VM_OK) {
		return result;
	}
	ret = m->body->ops->restart_device(m->body, id, err);
	if (ret == -ENODEV) {
		(void)vmm_error_set(err, ret, "there is no device '%.40s'", id);
		return VM_NOT_FOUND;
	}
	return ret < 0 ? VM_FAILED : VM_OK;
}

/* ---- looking ---- */

enum vm_result vm_manager_info(struct vm_manager *m, json_t **out, struct vmm_error *err)
{
	json_t *config;

	if (!m->body) {
		return absent(err);
	}
	config = vm_config_to_json(&m->vm_config);
	*out = config ? json_pack("{s:o,s:s,s:I,s:s}", "config", config, "state",
				  vm_state_name(vm_manager_state(m)), "memory_actual_size",
				  (json_int_t)m->vm_config.memory.size, "isolation",
				  m->body->ops->isolation)
		      : NULL;
	return *out ? VM_OK : failed(-ENOMEM, "info", err);
}

static void emit_counter(void *ctx, const char *name, uint64_t value)
{
	/* JSON's integers are signed here; a counter that large has long lost its meaning. */
	(void)json_object_set_new((json_t *)ctx, name,
				  json_integer((json_int_t)(value & INT64_MAX)));
}

static void add_counters(struct vm_manager *m, const char *id, json_t *all)
{
	json_t *counters = json_object();

	if (counters && m->body->ops->counters(m->body, id, emit_counter, counters) == 0 &&
	    json_object_size(counters) > 0) {
		(void)json_object_set(all, id, counters);
	}
	json_decref(counters);
}

enum vm_result vm_manager_counters(struct vm_manager *m, json_t **out, struct vmm_error *err)
{
	enum vm_result result = need_live(m, err);
	size_t i;

	if (result != VM_OK) {
		return result;
	}
	*out = json_object();
	if (!*out) {
		return failed(-ENOMEM, "counters", err);
	}
	add_counters(m, VM_CONSOLE_ID, *out);
	for (i = 0; i < m->vm_config.disk_count; i++) {
		add_counters(m, m->vm_config.disks[i].id, *out);
	}
	for (i = 0; i < m->vm_config.net_count; i++) {
		add_counters(m, m->vm_config.nets[i].id, *out);
	}
	for (i = 0; i < m->vm_config.gpu_count; i++) {
		add_counters(m, m->vm_config.gpus[i].id, *out);
	}
	return VM_OK;
}

static void emit_process(void *ctx, const struct vm_process_info *process)
{
	json_t *object =
		json_pack("{s:s,s:s,s:i,s:i}", "name", process->name, "kind", process->kind, "pid",
			  (int)process->pid, "restarts", (int)process->restarts);

	if (object && process->profile) {
		(void)json_object_set_new(object, "profile", json_string(process->profile));
	}
	(void)json_array_append_new((json_t *)ctx, object);
}

enum vm_result vm_manager_processes(struct vm_manager *m, json_t **out, struct vmm_error *err)
{
	if (!m->body) {
		return absent(err);
	}
	*out = json_array();
	if (!*out) {
		return failed(-ENOMEM, "processes", err);
	}
	m->body->ops->processes(m->body, emit_process, *out);
	return VM_OK;
}

void vm_manager_tty_resized(struct vm_manager *m)
{
	if (m->body) {
		m->body->ops->tty_resized(m->body);
	}
}
