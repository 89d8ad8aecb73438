#include "options.h"

#include "guest.h"
#include "print.h"

static char command_line[256];

void options_init(const char *line) {
    for (size_t i = 0; i < sizeof command_line - 1 && line[i]; i++)
        command_line[i] = line[i];
}

/* What follows `key` in the word that begins with it, or NULL. */
static const char *find(const char *key) {
    const char *word = command_line;
    while (*word) {
        while (*word == ' ')
            word++;
        const char *a = word, *b = key;
        while (*b && *a == *b)
            a++, b++;
        if (!*b && (*a == '=' || *a == ' ' || !*a))
            return a;
        while (*word && *word != ' ')
            word++;
    }
    return NULL;
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

/* Read a number that must reach to the word's end; false if it does not. */
static bool parse(const char *text, uint32_t *number) {
    int base = 10;
    if (text[0] == '0' && text[1] == 'x') {
        base = 16;
        text += 2;
    }
    uint64_t value = 0;
    const char *first = text;
    for (; digit_value(*text) < base; text++) {
        value = value * (unsigned)base + (unsigned)digit_value(*text);
        if (value > UINT32_MAX)
            return false;
    }
    *number = (uint32_t)value;
    return text != first && (*text == ' ' || !*text);
}

uint32_t option_number(const char *key, uint32_t fallback, uint32_t least, uint32_t most) {
    const char *found = find(key);
    if (!found || *found != '=')
        return fallback;
    uint32_t number;
    if (parse(found + 1, &number) && number >= least && number <= most)
        return number;
    print("%s: option %s needs a number from %u to %u\n", guest_name, key, least, most);
    guest_exit(EXIT_BAD_OPTION);
}

bool option_switch(const char *key) {
    const char *found = find(key);
    return found && *found != '=';
}
