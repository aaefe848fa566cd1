/* SPDX-License-Identifier: MIT */
/*
 * Paths, methods, bodies and codes are those of cloud-hypervisor: 200 with a body, 204 without,
 * 400 for input that is wrong, 404 for what is not there, 409 for names taken, 500 for the rest. A
 * failure's body is an array of sentences, the outermost first.
 */
#include "api/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmm/version.h>

#define PREFIX "/api/v1/"

struct call {
	struct api_routes *routes;
	struct http_request *request;
	json_t *body;  /* borrowed; NULL when there is none */
	json_t *reply; /* set by the endpoint for 200 */
	struct vmm_error err;
};

typedef enum vm_result (*endpoint_fn)(struct call *call);

enum body_rule {
	NO_BODY,
	NEEDS_BODY,
};

struct endpoint {
	const char *name;
	enum http_method_kind method;
	enum body_rule body;
	endpoint_fn fn; /* NULL: known, but not carried out by this VMM */
	const char *failure;
};

static enum vm_result invalid(struct call *call, int ret, const char *what)
{
	(void)vmm_error_wrap(&call->err, ret, "%s", what);
	return ret == -EEXIST ? VM_CONFLICT : VM_INVALID;
}

/* ---- endpoints ---- */

static enum vm_result vmm_ping(struct call *call)
{
	call->reply = json_pack("{s:s,s:s,s:i,s:[]}", "build_version", "v" VMM_VERSION, "version",
				VMM_VERSION, "pid", (int)getpid(), "features");
	return VM_OK;
}

static enum vm_result vmm_shutdown(struct call *call)
{
	if (call->routes->on_shutdown) {
		call->routes->on_shutdown(call->routes->ctx);
	}
	return VM_OK;
}

static enum vm_result vm_info(struct call *call)
{
	return vm_manager_info(call->routes->manager, &call->reply, &call->err);
}

static enum vm_result vm_counters(struct call *call)
{
	return vm_manager_counters(call->routes->manager, &call->reply, &call->err);
}

static enum vm_result vm_processes(struct call *call)
{
	return vm_manager_processes(call->routes->manager, &call->reply, &call->err);
}

static enum vm_result vm_create(struct call *call)
{
	struct vm_config config;
	int ret;

	vm_config_init(&config);
	ret = vm_config_from_json(&config, call->body, &call->err);
	if (ret < 0) {
		return invalid(call, ret, "VmConfig");
	}
	return vm_manager_define(call->routes->manager, &config, &call->err);
}

static enum vm_result vm_delete(struct call *call)
{
	return vm_manager_delete(call->routes->manager, &call->err);
}

static enum vm_result vm_boot(struct call *call)
{
	return vm_manager_boot(call->routes->manager, &call->err);
}

static enum vm_result vm_shutdown(struct call *call)
{
	return vm_manager_shutdown(call->routes->manager, &call->err);
}

static enum vm_result vm_reboot(struct call *call)
{
	return vm_manager_reboot(call->routes->manager, &call->err);
}

static enum vm_result vm_pause(struct call *call)
{
	return vm_manager_pause(call->routes->manager, &call->err);
}

static enum vm_result vm_resume(struct call *call)
{
	return vm_manager_resume(call->routes->manager, &call->err);
}

static enum vm_result vm_power_button(struct call *call)
{
	return vm_manager_power_button(call->routes->manager, &call->err);
}

static enum vm_result vm_add_disk(struct call *call)
{
	enum vm_result result;
	struct vm_disk disk;
	int ret;

	vm_disk_init(&disk);
	ret = vm_disk_from_json(&disk, call->body, &call->err);
	result = ret < 0 ? invalid(call, ret, "DiskConfig")
			 : vm_manager_add_disk(call->routes->manager, &disk, &call->err);
	vm_disk_finish(&disk);
	return result;
}

static enum vm_result vm_add_gpu(struct call *call)
{
	enum vm_result result;
	struct vm_gpu gpu;
	int ret;

	vm_gpu_init(&gpu);
	ret = vm_gpu_from_json(&gpu, call->body, &call->err);
	result = ret < 0 ? invalid(call, ret, "GpuConfig")
			 : vm_manager_add_gpu(call->routes->manager, &gpu, &call->err);
	vm_gpu_finish(&gpu);
	return result;
}

/* The numbers in "fds" are the client's; what counts is what came with the request. */
static int take_tap(struct vm_net *net, struct http_request *request, struct vmm_error *err)
{
	if (request->fd_count > 1) {
		return vmm_error_set(
			err, -EINVAL,
			"%zu descriptors came with the request: more than one pair of queues is not supported",
			request->fd_count);
	}
	if (request->fd_count == 1) {
		if (net->tap) {
			return vmm_error_set(
				err, -EINVAL,
				"tap: a descriptor came with the request too; give one of the two");
		}
		net->fd = request->fds[0];
		request->fds[0] = -1;
	}
	return 0;
}

static enum vm_result vm_add_net(struct call *call)
{
	enum vm_result result;
	struct vm_net net;
	int ret;

	vm_net_init(&net);
	ret = vm_net_from_json(&net, call->body, &call->err);
	if (ret == 0) {
		ret = take_tap(&net, call->request, &call->err);
	}
	result = ret < 0 ? invalid(call, ret, "NetConfig")
			 : vm_manager_add_net(call->routes->manager, &net, &call->err);
	vm_net_finish(&net);
	return result;
}

static enum vm_result vm_remove_device(struct call *call)
{
	const char *id = json_string_value(json_object_get(call->body, "id"));

	if (!id) {
		(void)vmm_error_set(&call->err, -EINVAL, "id: a string is expected");
		return VM_INVALID;
	}
	return vm_manager_remove(call->routes->manager, id, &call->err);
}

static enum vm_result vm_restart_device(struct call *call)
{
	const char *id = json_string_value(json_object_get(call->body, "id"));

	if (!id) {
		(void)vmm_error_set(&call->err, -EINVAL, "id: a string is expected");
		return VM_INVALID;
	}
	return vm_manager_restart_device(call->routes->manager, id, &call->err);
}

/* The image goes into a file that came with the request. */
static enum vm_result vm_screenshot(struct call *call)
{
	if (call->request->fd_count != 1) {
		(void)vmm_error_set(&call->err, -EINVAL,
				    "one descriptor, of an empty file, is expected");
		return VM_INVALID;
	}
	return vm_manager_screenshot(call->routes->manager, call->request->fds[0], &call->err);
}

#define GET HTTP_METHOD_GET
#define PUT HTTP_METHOD_PUT

static const struct endpoint endpoints[] = {
	{"vmm.ping", GET, NO_BODY, vmm_ping, "The VMM could not be pinged"},
	{"vmm.shutdown", PUT, NO_BODY, vmm_shutdown, "The VMM could not be ended"},
	{"vm.info", GET, NO_BODY, vm_info, "The VM's info could not be had"},
	{"vm.counters", GET, NO_BODY, vm_counters, "The VM's counters could not be had"},
	{"vm.processes", GET, NO_BODY, vm_processes, "The VM's processes could not be had"},
	{"vm.create", PUT, NEEDS_BODY, vm_create, "The VM could not be created"},
	{"vm.delete", PUT, NO_BODY, vm_delete, "The VM could not be deleted"},
	{"vm.boot", PUT, NO_BODY, vm_boot, "The VM could not boot"},
	{"vm.shutdown", PUT, NO_BODY, vm_shutdown, "The VM could not be shut down"},
	{"vm.reboot", PUT, NO_BODY, vm_reboot, "The VM could not be rebooted"},
	{"vm.pause", PUT, NO_BODY, vm_pause, "The VM could not be paused"},
	{"vm.resume", PUT, NO_BODY, vm_resume, "The VM could not be resumed"},
	{"vm.power-button", PUT, NO_BODY, vm_power_button,
	 "The VM's power button could not be pressed"},
	{"vm.add-disk", PUT, NEEDS_BODY, vm_add_disk, "The disk could not be added"},
	{"vm.add-net", PUT, NEEDS_BODY, vm_add_net, "The network device could not be added"},
	{"vm.remove-device", PUT, NEEDS_BODY, vm_remove_device, "The device could not be removed"},
	{"vm.restart-device", PUT, NEEDS_BODY, vm_restart_device,
	 "The device could not be restarted"},
	{"vm.screenshot", PUT, NO_BODY, vm_screenshot, "No picture of the screen was taken"},
	{"vm.nmi", PUT, NO_BODY, NULL, "No NMI was sent"},
	{"vm.resize", PUT, NEEDS_BODY, NULL, "The VM could not be resized"},
	{"vm.resize-disk", PUT, NEEDS_BODY, NULL, "The disk could not be resized"},
	{"vm.resize-zone", PUT, NEEDS_BODY, NULL, "The memory zone could not be resized"},
	{"vm.add-device", PUT, NEEDS_BODY, NULL, "The device could not be added"},
	{"vm.add-fs", PUT, NEEDS_BODY, NULL, "The file system could not be added"},
	{"vm.add-pmem", PUT, NEEDS_BODY, NULL, "The memory device could not be added"},
	{"vm.add-vsock", PUT, NEEDS_BODY, NULL, "The vsock device could not be added"},
	{"vm.add-vdpa", PUT, NEEDS_BODY, NULL, "The vDPA device could not be added"},
	{"vm.add-gpu", PUT, NEEDS_BODY, vm_add_gpu, "The GPU could not be added"},
	{"vm.add-user-device", PUT, NEEDS_BODY, NULL, "The device could not be added"},
	{"vm.add-generic-vhost-user", PUT, NEEDS_BODY, NULL, "The device could not be added"},
	{"vm.snapshot", PUT, NEEDS_BODY, NULL, "No snapshot was taken"},
	{"vm.restore", PUT, NEEDS_BODY, NULL, "The VM could not be restored"},
	{"vm.send-migration", PUT, NEEDS_BODY, NULL, "The VM could not be sent"},
	{"vm.receive-migration", PUT, NEEDS_BODY, NULL, "The VM could not be received"},
	{"vm.coredump", PUT, NEEDS_BODY, NULL, "No core dump was taken"},
};

/* ---- dispatch ---- */

static const struct endpoint *find(const char *path)
{
	size_t i;

	if (strncmp(path, PREFIX, strlen(PREFIX)) != 0) {
		return NULL;
	}
	for (i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		if (strcmp(path + strlen(PREFIX), endpoints[i].name) == 0) {
			return &endpoints[i];
		}
	}
	return NULL;
}

static void answer_error(struct api_reply *reply, int code, const char *outer, const char *inner)
{
	json_t *words = json_string(inner);
	json_t *list = json_array();

	/* Words can quote the request and be cut in the middle of a character: not JSON any more.
	 */
	if (!words) {
		words = json_string("the reason cannot be shown: it is not UTF-8");
	}
	(void)json_array_append_new(list, json_string(outer));
	(void)json_array_append_new(list, words);
	reply->code = code;
	reply->body = json_dumps(list, JSON_COMPACT);
	json_decref(list);
}

static int code_of(enum vm_result result)
{
	switch (result) {
	case VM_INVALID:
		return 400;
	case VM_NOT_FOUND:
		return 404;
	case VM_CONFLICT:
		return 409;
	case VM_OK:
	case VM_FAILED:
		break;
	}
	return 500;
}

/* Is the request of the form the endpoint wants? NULL: yes; else why not. */
static const char *misfit(const struct endpoint *endpoint, const struct http_request *request)
{
	if (request->method != endpoint->method) {
		return endpoint->method == HTTP_METHOD_GET ? "this endpoint wants GET"
							   : "this endpoint wants PUT";
	}
	if (endpoint->body == NO_BODY && request->body_len > 0) {
		return "this endpoint takes no body";
	}
	if (endpoint->body == NEEDS_BODY && request->body_len == 0) {
		return "this endpoint wants a body";
	}
	return NULL;
}

static void carry_out(const struct endpoint *endpoint, struct call *call, struct api_reply *reply)
{
	enum vm_result result = endpoint->fn(call);

	if (result != VM_OK) {
		answer_error(reply, code_of(result), endpoint->failure, call->err.message);
		return;
	}
	reply->code = 204;
	if (call->reply) {
		reply->body = json_dumps(call->reply, JSON_COMPACT);
		reply->code = reply->body ? 200 : 500;
	}
}

void api_routes_handle(void *routes, struct http_request *request, struct api_reply *reply)
{
	const struct endpoint *endpoint = find(request->path);
	struct call call = {.routes = routes, .request = request};
	const char *why;

	if (!endpoint) {
		answer_error(reply, 404, "There is no such endpoint", "the path is unknown");
		return;
	}
	why = misfit(endpoint, request);
	if (why) {
		answer_error(reply, 400, endpoint->failure, why);
		return;
	}
	if (!endpoint->fn) {
		answer_error(reply, 500, endpoint->failure, "this VMM does not support it");
		return;
	}
	if (request->body_len > 0 &&
	    vm_json_parse(&call.body, request->body, request->body_len, &call.err) < 0) {
		answer_error(reply, 400, endpoint->failure, call.err.message);
		return;
	}
	carry_out(endpoint, &call, reply);
	json_decref(call.body);
	json_decref(call.reply);
}
