#include "check.h"

#include <stdbool.h>

#include "guest.h"
#include "print.h"

static const char *name;
static bool failed;
static unsigned checks, failures;

void check_begin(const char *check_name) {
    name = check_name;
    failed = false;
}

void expect(const char *what, uint32_t value, uint32_t wanted) {
    if (value == wanted || failed)
        return;
    failed = true;
    print("%s: FAIL, %s is 0x%x, not 0x%x\n", name, what, value, wanted);
}

void check_end(void) {
    checks++;
    failures += failed;
    if (!failed)
        print("%s: ok\n", name);
}

int check_summary(void) {
    if (failures)
        print("%s: %u of %u checks FAILED\n", guest_name, failures, checks);
    else
        print("%s: all %u checks ok\n", guest_name, checks);
    return failures ? EXIT_CHECK_FAILED : EXIT_OK;
}
