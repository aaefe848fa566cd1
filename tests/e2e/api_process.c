/* SPDX-License-Identifier: MIT */
/*
 * `vmm-cli vmm` as a process, with a guest on this machine's KVM: what supervisors and clients
 * rely on. VMM_CLI and VMM_GUEST name the program and the guest's kernel.
 */
#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/client.h"
#include "api/listen.h"

#include <vmm/vm.h>

#define WAIT_MS 20000

static char dir[64];
static char sock_path[96];
static char log_path[96];
static pid_t vmm = -1;
static struct vmm_error err;

/* ---- the process ---- */

static void make_dir(void)
{
	memset(&err, 0, sizeof(err));
	(void)snprintf(dir, sizeof(dir), "/tmp/e2e-api-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(sock_path, sizeof(sock_path), "%s/vmm", dir);
	(void)snprintf(log_path, sizeof(log_path), "%s/serial.log", dir);
}

static void drop_dir(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* Replaces a child by the VMM; descriptor 3, which may be -1 here, becomes its ready_fd. */
static void exec_vmm(const char *socket, const char *extra)
{
	const char *program = getenv("VMM_CLI");

	(void)execl(program, program, "vmm", "--api-socket", socket, extra, NULL);
	_exit(127);
}

static void start(const char *socket, const char *extra)
{
	vmm = fork();
	ck_assert_int_ge(vmm, 0);
	if (vmm == 0) {
		exec_vmm(socket, extra);
	}
}

/* Starts it on sock_path and waits for the newline that says it is ready. */
static void start_ready(void)
{
	char target[128];
	char extra[32];
	char byte = 0;
	int ready[2];

	(void)snprintf(target, sizeof(target), "path=%s", sock_path);
	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(fcntl(ready[0], F_SETFD, FD_CLOEXEC), 0);
	(void)snprintf(extra, sizeof(extra), "--ready-fd=%d", ready[1]);
	start(target, extra);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(byte, '\n');
	/* And closes it. */
	ck_assert_int_eq(read(ready[0], &byte, 1), 0);
	close(ready[0]);
}

static void nap(void)
{
	const struct timespec ms10 = {.tv_nsec = 10000000};

	(void)nanosleep(&ms10, NULL);
}

/* The exit status of the VMM; fails when it does not end in time. */
static int wait_end(void)
{
	int status = 0;

	for (int i = 0; i < WAIT_MS / 10; i++) {
		if (waitpid(vmm, &status, WNOHANG) == vmm) {
			vmm = -1;
			ck_assert_msg(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
			return WEXITSTATUS(status);
		}
		nap();
	}
	(void)kill(vmm, SIGKILL);
	(void)waitpid(vmm, NULL, 0);
	ck_abort_msg("the VMM did not end");
	return -1;
}

/* ---- the API ---- */

static void call(const char *endpoint)
{
	int ret = api_call(sock_path, "PUT", endpoint, NULL, NULL, 0, NULL, &err);

	ck_assert_msg(ret == 0, "%s: %s", endpoint, err.message);
}

static void call_fails(const char *endpoint)
{
	ck_assert_int_eq(api_call(sock_path, "PUT", endpoint, NULL, NULL, 0, NULL, &err),
			 -EREMOTEIO);
}

static json_t *info(void)
{
	json_t *json = NULL;
	int ret = api_call(sock_path, "GET", "vm.info", NULL, NULL, 0, &json, &err);

	ck_assert_msg(ret == 0, "%s", err.message);
	return json;
}

static void state_is(const char *state)
{
	json_t *json = info();

	ck_assert_str_eq(json_string_value(json_object_get(json, "state")), state);
	json_decref(json);
}

static json_t *vm_config(const char *cmdline)
{
	return json_pack("{s:{s:s,s:s},s:{s:i},s:{s:s},s:{s:s,s:s}}", "payload", "kernel",
			 getenv("VMM_GUEST"), "cmdline", cmdline, "memory", "size", 64 << 20,
			 "console", "mode", "Pty", "serial", "mode", "File", "file", log_path);
}

static void create(const char *cmdline)
{
	json_t *config = vm_config(cmdline);
	int ret = api_call(sock_path, "PUT", "vm.create", config, NULL, 0, NULL, &err);

	json_decref(config);
	ck_assert_msg(ret == 0, "vm.create: %s", err.message);
}

static void add(const char *endpoint, json_t *body, const int *fd)
{
	int ret = api_call(sock_path, "PUT", endpoint, body, fd, fd ? 1 : 0, NULL, &err);

	json_decref(body);
	ck_assert_msg(ret == 0, "%s: %s", endpoint, err.message);
}

/* How often the guest has said that it is up. */
static unsigned ups(void)
{
	char text[4096] = "";
	unsigned count = 0;
	const char *at = text;
	FILE *f = fopen(log_path, "r");

	if (!f) {
		return 0;
	}
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	while ((at = strstr(at, "up\n")) != NULL) {
		count++;
		at++;
	}
	return count;
}

static void wait_ups(unsigned wanted)
{
	for (int i = 0; i < WAIT_MS / 10 && ups() < wanted; i++) {
		nap();
	}
	ck_assert_uint_eq(ups(), wanted);
}

/* ---- tests ---- */

START_TEST(api_guest_poweroff_ends_the_process_with_0)
{
	struct stat st;

	make_dir();
	start_ready();
	create("off");
	state_is("Created");
	call("vm.boot");
	wait_ups(1);
	state_is("Running");
	call_fails("vm.boot");
	call("vm.power-button");
	ck_assert_int_eq(wait_end(), 0);
	/* Nothing of it is left. */
	ck_assert_int_eq(stat(sock_path, &st), -1);
	drop_dir();
}
END_TEST

START_TEST(api_guest_reset_reboots_in_the_same_process)
{
	make_dir();
	start_ready();
	create("reset");
	call("vm.boot");
	for (unsigned i = 1; i <= 5; i++) {
		wait_ups(i);
		call("vm.power-button");
	}
	wait_ups(6);
	call("vm.reboot");
	wait_ups(7);
	state_is("Running");
	call("vmm.shutdown");
	ck_assert_int_eq(wait_end(), 0);
	drop_dir();
}
END_TEST

/* A triple fault is a reset on a PC; a kernel that does nothing else has crashed. */
START_TEST(api_guest_crash_ends_the_process_with_1)
{
	make_dir();
	start_ready();
	create("crash");
	call("vm.boot");
	ck_assert_int_eq(wait_end(), 1);
	ck_assert_uint_gt(ups(), 1);
	drop_dir();
}
END_TEST

START_TEST(api_shutdown_then_boot_runs_again_with_the_same_pty)
{
	char pty[64];
	json_t *json;

	make_dir();
	start_ready();
	create("off");
	json = info();
	(void)snprintf(
		pty, sizeof(pty), "%s",
		json_string_value(json_object_get(
			json_object_get(json_object_get(json, "config"), "console"), "file")));
	json_decref(json);
	ck_assert_int_eq(access(pty, R_OK | W_OK), 0);
	for (unsigned i = 1; i <= 3; i++) {
		call("vm.boot");
		wait_ups(i);
		call("vm.shutdown");
		state_is("Created");
		call_fails("vm.shutdown");
	}
	json = info();
	ck_assert_str_eq(
		json_string_value(json_object_get(
			json_object_get(json_object_get(json, "config"), "console"), "file")),
		pty);
	json_decref(json);
	call("vm.delete");
	ck_assert_int_eq(api_call(sock_path, "GET", "vm.info", NULL, NULL, 0, NULL, &err),
			 -EREMOTEIO);
	call("vmm.shutdown");
	ck_assert_int_eq(wait_end(), 0);
	drop_dir();
}
END_TEST

START_TEST(api_paused_guest_stands_still_and_goes_on)
{
	make_dir();
	start_ready();
	create("off");
	call("vm.boot");
	wait_ups(1);
	call("vm.pause");
	state_is("Paused");
	call_fails("vm.pause");
	call_fails("vm.power-button");
	call("vm.resume");
	state_is("Running");
	call_fails("vm.resume");
	call("vm.power-button");
	ck_assert_int_eq(wait_end(), 0);
	drop_dir();
}
END_TEST

START_TEST(api_signals_end_a_running_vm_with_0)
{
	static const int signals[] = {SIGTERM, SIGINT};

	for (size_t i = 0; i < 2; i++) {
		struct stat st;

		make_dir();
		start_ready();
		create("off");
		call("vm.boot");
		wait_ups(1);
		ck_assert_int_eq(kill(vmm, signals[i]), 0);
		ck_assert_int_eq(wait_end(), 0);
		ck_assert_int_eq(stat(sock_path, &st), -1);
		drop_dir();
	}
}
END_TEST

START_TEST(api_no_shutdown_keeps_the_process_for_another_boot)
{
	char target[128];

	make_dir();
	(void)snprintf(target, sizeof(target), "path=%s", sock_path);
	start(target, "--no-shutdown");
	for (int i = 0; i < WAIT_MS / 10 &&
			api_call(sock_path, "GET", "vmm.ping", NULL, NULL, 0, NULL, &err) < 0;
	     i++) {
		nap();
	}
	create("off");
	for (unsigned i = 1; i <= 3; i++) {
		const char *state = "Running";
		json_t *json = NULL;

		call("vm.boot");
		wait_ups(i);
		call("vm.power-button");
		for (int tries = 0; tries < WAIT_MS / 10 && strcmp(state, "Running") == 0;
		     tries++) {
			nap();
			json_decref(json);
			json = info();
			state = json_string_value(json_object_get(json, "state"));
		}
		ck_assert_str_eq(state, "Created");
		json_decref(json);
	}
	call("vmm.shutdown");
	ck_assert_int_eq(wait_end(), 0);
	drop_dir();
}
END_TEST

START_TEST(api_socket_of_a_killed_vmm_is_replaced)
{
	make_dir();
	start_ready();
	ck_assert_int_eq(kill(vmm, SIGKILL), 0);
	ck_assert_int_eq(waitpid(vmm, NULL, 0), vmm);
	ck_assert_int_eq(access(sock_path, F_OK), 0);
	start_ready();
	create("off");
	state_is("Created");
	call("vmm.shutdown");
	ck_assert_int_eq(wait_end(), 0);
	drop_dir();
}
END_TEST

START_TEST(api_second_vmm_on_one_path_fails_and_the_first_lives)
{
	char target[128];
	pid_t first;

	make_dir();
	start_ready();
	first = vmm;
	(void)snprintf(target, sizeof(target), "path=%s", sock_path);
	start(target, NULL);
	ck_assert_int_eq(wait_end(), 1);
	vmm = first;
	create("off");
	call("vmm.shutdown");
	ck_assert_int_eq(wait_end(), 0);
	drop_dir();
}
END_TEST

/*
 * As start-vmm does it: the socket is bound before, a client waits in its queue already, and a
 * pipe's read end without CLOEXEC tells a watcher when the VMM has gone.
 */
START_TEST(api_inherited_descriptors_and_queued_clients_are_kept)
{
	static const char ping[] = "GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct pollfd poller;
	char reply[512];
	char target[32];
	ssize_t n;
	int watch[2];
	int client;
	int fd;

	make_dir();
	memcpy(addr.sun_path, sock_path, strlen(sock_path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(send(client, ping, sizeof(ping) - 1, 0), (ssize_t)sizeof(ping) - 1);
	ck_assert_int_eq(pipe(watch), 0);
	ck_assert_int_eq(fcntl(watch[1], F_SETFD, FD_CLOEXEC), 0);
	(void)snprintf(target, sizeof(target), "fd=%d", fd);
	start(target, NULL);
	close(watch[0]);
	n = recv(client, reply, sizeof(reply) - 1, 0);
	ck_assert_int_gt(n, 0);
	reply[n] = '\0';
	ck_assert_ptr_nonnull(strstr(reply, "HTTP/1.1 200 \r\n"));
	(void)snprintf(target, sizeof(target), "\"pid\":%d", (int)vmm);
	ck_assert_ptr_nonnull(strstr(reply, target));
	/* The pipe's read end is still open in there. */
	poller = (struct pollfd){.fd = watch[1]};
	ck_assert_int_eq(poll(&poller, 1, 0), 0);
	create("off");
	call("vm.boot");
	wait_ups(1);
	call("vm.power-button");
	ck_assert_int_eq(wait_end(), 0);
	/* Now it is not. */
	ck_assert_int_eq(poll(&poller, 1, 0), 1);
	/* The socket was not its to unlink. */
	ck_assert_int_eq(access(sock_path, F_OK), 0);
	close(client);
	close(fd);
	close(watch[1]);
	drop_dir();
}
END_TEST

START_TEST(api_bad_input_gets_an_error_and_loses_nothing)
{
	static const char *const kernels[] = {"/nonexistent", "/etc", "/etc/passwd", "/dev/null"};

	make_dir();
	start_ready();
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		json_t *config = json_pack("{s:{s:s},s:{s:s}}", "payload", "kernel", kernels[i],
					   "console", "mode", "Null");

		ck_assert_int_eq(
			api_call(sock_path, "PUT", "vm.create", config, NULL, 0, NULL, &err), 0);
		json_decref(config);
		call_fails("vm.boot");
		ck_assert_msg(strstr(err.message, kernels[i]) != NULL, "said: %s", err.message);
		state_is("Created");
		call("vm.delete");
	}
	create("off");
	add("vm.add-disk", json_pack("{s:s,s:b}", "path", dir, "readonly", 1), NULL);
	call_fails("vm.boot");
	ck_assert_msg(strstr(err.message, "directory") != NULL, "said: %s", err.message);
	add("vm.remove-device", json_pack("{s:s}", "id", "_disk0"), NULL);
	call("vm.boot");
	wait_ups(1);
	call("vm.power-button");
	ck_assert_int_eq(wait_end(), 0);
	drop_dir();
}
END_TEST

/* Is the other end of this socket still open somewhere? */
static bool peer_open(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	return poll(&poller, 1, 0) == 0;
}

START_TEST(api_devices_are_kept_over_boots_and_let_go_on_removal)
{
	char image[96];
	json_t *counters = NULL;
	int pair[2];
	int fd;

	make_dir();
	(void)snprintf(image, sizeof(image), "%s/disk.img", dir);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	close(fd);
	start_ready();
	create("off");
	add("vm.add-disk", json_pack("{s:s,s:s}", "path", image, "id", "data"), NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	add("vm.add-net", json_pack("{s:s,s:s}", "id", "link", "mac", "0A:B3:EC:00:00:09"),
	    &pair[0]);
	close(pair[0]);
	for (unsigned i = 1; i <= 2; i++) {
		call("vm.boot");
		wait_ups(i);
		ck_assert_int_eq(
			api_call(sock_path, "GET", "vm.counters", NULL, NULL, 0, &counters, &err),
			0);
		ck_assert_ptr_nonnull(
			json_object_get(json_object_get(counters, "data"), "write_ops"));
		ck_assert_ptr_nonnull(
			json_object_get(json_object_get(counters, "link"), "rx_frames"));
		json_decref(counters);
		call("vm.shutdown");
		ck_assert(peer_open(pair[1]));
	}
	add("vm.remove-device", json_pack("{s:s}", "id", "link"), NULL);
	ck_assert(!peer_open(pair[1]));
	call("vm.boot");
	wait_ups(3);
	call("vm.power-button");
	ck_assert_int_eq(wait_end(), 0);
	close(pair[1]);
	drop_dir();
}
END_TEST

START_TEST(api_bad_command_lines_are_refused)
{
	static const char *const sockets[] = {
		"fd=x", "fd=", "path=", "fd=99999999999", "fd=-1", "path=/tmp/x,mode=9"};

	make_dir();
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		start(sockets[i], NULL);
		ck_assert_msg(wait_end() == 2, "%s was taken", sockets[i]);
	}
	start("fd=0", NULL); /* no socket, or not one that listens */
	ck_assert_int_eq(wait_end(), 1);
	start("path=/nonexistent/vmm", NULL);
	ck_assert_int_eq(wait_end(), 1);
	start("path=/tmp/x", "--nonsense");
	ck_assert_int_eq(wait_end(), 2);
	drop_dir();
}
END_TEST

static int suite(void)
{
	const TTest *const tests[] = {
		api_guest_poweroff_ends_the_process_with_0,
		api_guest_reset_reboots_in_the_same_process,
		api_guest_crash_ends_the_process_with_1,
		api_shutdown_then_boot_runs_again_with_the_same_pty,
		api_paused_guest_stands_still_and_goes_on,
		api_signals_end_a_running_vm_with_0,
		api_no_shutdown_keeps_the_process_for_another_boot,
		api_socket_of_a_killed_vmm_is_replaced,
		api_second_vmm_on_one_path_fails_and_the_first_lives,
		api_inherited_descriptors_and_queued_clients_are_kept,
		api_bad_input_gets_an_error_and_loses_nothing,
		api_devices_are_kept_over_boots_and_let_go_on_removal,
		api_bad_command_lines_are_refused,
	};

	return suite_run("api_process", tests, sizeof(tests) / sizeof(tests[0]));
}

int main(void)
{
	struct vmm_error why = {0};

	if (!getenv("VMM_CLI") || !getenv("VMM_GUEST")) {
		(void)fprintf(stderr, "VMM_CLI and VMM_GUEST must be set\n");
		return EXIT_FAILURE;
	}
	if (vmm_host_check(0, &why) < 0) {
		(void)printf("skipped: e2e.api: %s\n", why.message);
		return 77;
	}
	return suite();
}
