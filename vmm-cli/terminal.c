/* SPDX-License-Identifier: MIT */
#include "terminal.h"

#include <unistd.h>

/*
 * What curses programs in a guest may leave behind: the alternate screen, hidden cursor, key pad
 * and mouse modes, bracketed paste, colours.
 */
static const char reset_modes[] = "\033[?1049l\033[?25h\033[?1l\033>\033[?1000;1002;1003;1006l"
				  "\033[?2004l\033[m\r\n";

void terminal_reset(int fd, bool clear)
{
	if (isatty(fd)) {
		(void)!write(fd, reset_modes, sizeof(reset_modes) - 1);
		if (clear) {
			(void)!write(fd, "\033[H\033[2J", 7);
		}
	}
}

bool terminal_raw(struct terminal *terminal, int fd)
{
	struct termios raw;

	terminal->fd = fd;
	terminal->raw = false;
	if (!isatty(fd) || tcgetattr(fd, &terminal->saved) != 0) {
		return false;
	}
	raw = terminal->saved;
	cfmakeraw(&raw);
	terminal->raw = tcsetattr(fd, TCSADRAIN, &raw) == 0;
	return terminal->raw;
}

void terminal_restore(struct terminal *terminal)
{
	if (!terminal->raw) {
		return;
	}
	/* Drained, not flushed: what was typed meanwhile is for the shell. */
	(void)tcsetattr(terminal->fd, TCSADRAIN, &terminal->saved);
	terminal->raw = false;
}
