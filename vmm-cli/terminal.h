/* SPDX-License-Identifier: MIT */
/* The user's terminal: raw while it is a guest's console, as it was at every way out. */
#ifndef VMM_CLI_TERMINAL_H
#define VMM_CLI_TERMINAL_H

#include <stdbool.h>
#include <termios.h>

/* Keys that a console keeps for itself. */
#define TERMINAL_KEY_LEAVE 0x1d /* Ctrl-] */
#define TERMINAL_KEY_NEXT  0x1c /* Ctrl-\ */

struct terminal {
	int fd;
	bool raw;
	struct termios saved;
};

/* Puts fd into raw mode if it is a terminal; false (and nothing done) when it is not. */
bool terminal_raw(struct terminal *terminal, int fd);
/* Back to how it was; does nothing when it is not raw. */
void terminal_restore(struct terminal *terminal);

/*
 * Undoes on the screen fd (if it is one) what programs of a guest may have left on: the alternate
 * screen, mouse reports and the like. With clear the screen is emptied.
 */
void terminal_reset(int fd, bool clear);

#endif
