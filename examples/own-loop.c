/* SPDX-License-Identifier: MIT */
/*
 * A VM inside a program that has an event loop of its own (here: poll): own-loop KERNEL
 * [COMMAND-LINE].
 *
 * The VM's loop is one descriptor among the program's. Each line typed is a command: p pauses, r
 * resumes, b presses the power button, q pulls the plug.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <vmm/dev/chardev.h>
#include <vmm/dev/serial.h>
#include <vmm/vm.h>

static void on_exit_note(void *ctx, const struct vmm_exit *exit)
{
	*(bool *)ctx = true;
	printf("the guest has ended: %s\n",
	       exit->reason == VMM_EXIT_POWEROFF ? "powered off" : "otherwise");
}

static void command(struct vmm_vm *vm, char c, bool *done)
{
	switch (c) {
	case 'p':
		printf("pause: %d\n", vmm_vm_pause(vm));
		break;
	case 'r':
		printf("resume: %d\n", vmm_vm_resume(vm));
		break;
	case 'b':
		printf("power button: %d\n", vmm_vm_power_button(vm));
		break;
	case 'q':
		printf("stop: %d\n", vmm_vm_stop(vm));
		*done = true;
		break;
	default:
		break;
	}
}

int main(int argc, char **argv)
{
	struct vmm_fdchar_config log_config = {.in_fd = -1, .out_fd = STDOUT_FILENO};
	struct vmm_serial_config serial_config = {0};
	struct vmm_platform_device *serial;
	struct vmm_error err = {0};
	bool done = false;
	struct vmm_vm_config config = {.on_exit = on_exit_note, .ctx = &done};
	struct vmm_loop *loop = NULL;
	struct vmm_vm *vm = NULL;
	int ret = 1;

	if (argc < 2) {
		fprintf(stderr, "usage: own-loop KERNEL [COMMAND-LINE]\n");
		return 2;
	}
	if (vmm_loop_create(&loop) < 0) {
		return 1;
	}
	config.loop = loop;
	serial_config.loop = loop;
	if (vmm_fdchar_create(&serial_config.output, &log_config, &err) < 0 ||
	    vmm_vm_create(&vm, &config, &err) < 0 ||
	    vmm_vm_set_kernel(vm, open(argv[1], O_RDONLY | O_CLOEXEC), &err) < 0 ||
	    vmm_vm_set_cmdline(vm, argc > 2 ? argv[2] : "console=ttyS0", &err) < 0 ||
	    vmm_serial_create(&serial, &serial_config, &err) < 0 ||
	    vmm_vm_add_platform(vm, serial, &err) < 0 || vmm_vm_start(vm, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		done = true;
	} else {
		ret = 0;
	}
	while (!done) {
		struct pollfd fds[] = {
			{.fd = vmm_loop_fd(loop), .events = POLLIN},
			{.fd = STDIN_FILENO, .events = POLLIN},
		};
		char c;

		if (poll(fds, 2, -1) > 0 && fds[0].revents) {
			vmm_loop_dispatch(loop, 0);
		}
		if (!done && fds[1].revents) {
			command(vm, read(STDIN_FILENO, &c, 1) == 1 ? c : 'q', &done);
		}
	}
	vmm_vm_destroy(vm);
	vmm_chardev_destroy(serial_config.output);
	vmm_loop_destroy(loop);
	return ret;
}
