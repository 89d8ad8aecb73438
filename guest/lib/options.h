/*
 * The command line: words separated by spaces. `key=value` gives a number,
 * a bare `key` sets a switch. Words that nobody asks for are ignored, since
 * loaders put the image's own name there too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Keep a copy of the line, up to 255 characters of it. */
void options_init(const char *line);

/*
 * The number behind `key=`, decimal or 0x hexadecimal, or `fallback` if there is
 * none. One that is not a number from `least` to `most` ends the guest with a
 * message and EXIT_BAD_OPTION.
 */
uint32_t option_number(const char *key, uint32_t fallback, uint32_t least, uint32_t most);

/* Whether the bare word `key` is there. */
bool option_switch(const char *key);
