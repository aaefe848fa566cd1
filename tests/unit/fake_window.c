/* SPDX-License-Identifier: MIT */
/* In place of vmm-window: what it does is the VM's name, its last argument. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const wanted[] = {"--control-fd", "3", "--gpu-fd",     "4", "--keyboard-fd", "5",
				     "--tablet-fd",  "6", "--wayland-fd", "7", "--title"};

#define WANTED (sizeof(wanted) / sizeof(wanted[0]))

int main(int argc, char **argv)
{
	if (argc != (int)WANTED + 2) {
		return 9;
	}
	for (size_t i = 0; i < WANTED; i++) {
		if (strcmp(argv[i + 1], wanted[i]) != 0) {
			return 9;
		}
	}
	if (strcmp(argv[WANTED + 1], "closed-twice") == 0) {
		(void)!write(3, "c", 1);
		(void)!write(3, "c", 1);
		(void)pause();
	}
	/* Each descriptor says which one it is; the control one nothing that is known. */
	(void)!write(4, "g", 1);
	(void)!write(5, "k", 1);
	(void)!write(6, "t", 1);
	(void)!write(7, "w", 1);
	(void)!write(3, "x", 1);
	return 0;
}
