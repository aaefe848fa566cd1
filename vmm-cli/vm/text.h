/* SPDX-License-Identifier: MIT */
#ifndef VMM_CLI_VM_TEXT_H
#define VMM_CLI_VM_TEXT_H

/* Text of another process, in place: what could steer a terminal or is not ASCII becomes '?'. */
static inline void vm_text_clean(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~') {
			*text = '?';
		}
	}
}

#endif
