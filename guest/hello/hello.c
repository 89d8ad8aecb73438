/* The smallest guest: say one line and leave. */
#include "guest.h"
#include "print.h"

const char guest_name[] = "hello";

int guest_main(void) {
    print("hello: hello, world\n");
    return EXIT_OK;
}
