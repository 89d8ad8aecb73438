/* Formatted printing. Lines end with "\n" alone; nothing adds a "\r". */
#pragma once

#include <stdint.h>

/*
 * Where printed bytes go, console_put() at first. A guest that sends by
 * interrupt puts its own function here.
 */
extern void (*print_sink)(char byte);

/*
 * A small printf. Knows %s, %c, %u, %d, %x and %%, `ll` before u and x, and a
 * width, padded with spaces, or with zeros after a leading 0.
 */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
