/* SPDX-License-Identifier: MIT */
#include "terminal.h"

#include <unistd.h>

/*
 * What curses programs in a guest may leave behind: the alternate screen, hidden cursor, key pad
 * and mouse modes, bracketed paste, colours.
 */
static const char reset_modes[] = "\033[?1049l\033[?25h\033[?1l\033>\033[?1000;1002;1003;1006l"
				  "\033[?2004l\033[m\r\n";

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
	terminal->raw = tcsetattr(fd, TCSAFLUSH, &raw) == 0;
	return terminal->raw;
}

void terminal_restore(struct terminal *terminal)
{
	if (!terminal->raw) {
		return;
	}
	(void)!write(terminal->fd, reset_modes, sizeof(reset_modes) - 1);
	(void)tcsetattr(terminal->fd, TCSAFLUSH, &terminal->saved);
	terminal->raw = false;
}
