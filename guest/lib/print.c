#include "print.h"

#include <stdarg.h>
#include <stdbool.h>

#include "console.h"

void (*print_sink)(char byte) = console_put;

/*
 * Divide in place, return the remainder. There is no 64-bit division in the
 * i386 instruction set and no library to bring one, but a small divisor needs
 * only schoolbook division with 32-bit digits.
 */
static uint32_t divide(uint64_t *number, uint32_t divisor) {
    uint32_t high = (uint32_t)(*number >> 32), low = (uint32_t)*number;
    uint32_t high_quotient = high / divisor;
    uint32_t remainder = high % divisor;
    /* EDX:EAX by the divisor; EDX is below the divisor, so it cannot overflow. */
    __asm__("divl %2" : "+a"(low), "+d"(remainder) : "r"(divisor) : "cc");
    *number = (uint64_t)high_quotient << 32 | low;
    return remainder;
}

static void print_number(uint64_t number, uint32_t base, bool negative, int width, char padding) {
    char digits[24];
    int count = 0;
    do
        digits[count++] = "0123456789abcdef"[divide(&number, base)];
    while (number);
    if (negative)
        digits[count++] = '-';
    for (int i = count; i < width; i++)
        print_sink(padding);
    while (count)
        print_sink(digits[--count]);
}

static void print_string(const char *string, int width) {
    for (; *string; string++, width--)
        print_sink(*string);
    for (; width > 0; width--)
        print_sink(' ');
}

void print(const char *format, ...) {
    va_list values;
    va_start(values, format);
    for (; *format; format++) {
        if (*format != '%') {
            print_sink(*format);
            continue;
        }
        format++;
        char padding = ' ';
        if (*format == '0')
            padding = *format++;
        int width = 0;
        while (*format >= '0' && *format <= '9')
            width = width * 10 + (*format++ - '0');
        bool is_long = false;
        for (; *format == 'l'; format++)
            is_long = true;

        if (*format == 's') {
            print_string(va_arg(values, const char *), width);
        } else if (*format == 'c') {
            print_sink((char)va_arg(values, int));
        } else if (*format == 'd') {
            int32_t value = va_arg(values, int32_t);
            uint32_t size = value < 0 ? -(uint32_t)value : (uint32_t)value;
            print_number(size, 10, value < 0, width, padding);
        } else if (*format == 'u' || *format == 'x') {
            uint64_t value = is_long ? va_arg(values, uint64_t) : va_arg(values, uint32_t);
            print_number(value, *format == 'x' ? 16 : 10, false, width, padding);
        } else {
            print_sink(*format);
        }
    }
    va_end(values);
}
