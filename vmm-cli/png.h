/* SPDX-License-Identifier: MIT */
#ifndef VMM_CLI_PNG_H
#define VMM_CLI_PNG_H

#include <stdint.h>
#include <stdio.h>

/*
 * Writes an image of width times height pixels (1 to 65535 each), three bytes for each, as PNG:
 * uncompressed, which every reader takes. -EINVAL, or the errno of writing.
 */
int png_write(FILE *out, const uint8_t *rgb, uint32_t width, uint32_t height);

#endif
