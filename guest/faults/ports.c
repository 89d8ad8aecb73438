/*
 * Which ports ring 3 may use: all of them with IOPL 3, else those whose bit in
 * the TSS is clear, each byte of a wider access by its own bit. Intel SDM vol. 1
 * section 19.5.
 */
#include "rings.h"

#include "check.h"
#include "cpu.h"

/* Four ports where a PC has nothing: reads give ones. */
#define EMPTY_PORT 0xe0

/* For the firmware's diagnostic codes: may be written without effect. */
#define POST_PORT 0x80

/* COM1, which is beyond the end of our bitmap. */
#define BEYOND_PORT 0x3f8

static void check_refused(const char *name, const uint8_t *snippet, uint32_t port) {
    check_user_trap(name, snippet, 0, port, TRAP_PROTECTION, 0, snippet);
}

static void check_allowed(const char *name, const uint8_t *snippet, uint32_t port,
                          uint32_t result) {
    check_begin(name);
    struct outcome outcome = user_run(snippet, 0, port, USER_FLAGS);
    expect_left(&outcome, result);
    check_end();
}

void check_ports(void) {
    check_refused("port in refused, no bitmap", user_in8, EMPTY_PORT);
    check_refused("port out refused, no bitmap", user_out8, POST_PORT);

    task_ports(&user_task, true);
    check_refused("port in refused, bit set", user_in8, EMPTY_PORT);
    for (unsigned i = 0; i < 3; i++)
        task_allow_port(&user_task, EMPTY_PORT + i);
    check_allowed("port in allowed, bit clear", user_in8, EMPTY_PORT, 0xff);
    check_allowed("port in allowed, two bits clear", user_in16, EMPTY_PORT, 0xffff);
    check_refused("port in refused, second bit of two set", user_in16, EMPTY_PORT + 2);
    check_refused("port in refused, last bit of four set", user_in32, EMPTY_PORT);
    task_allow_port(&user_task, EMPTY_PORT + 3);
    check_allowed("port in allowed, four bits clear", user_in32, EMPTY_PORT, 0xffffffff);
    check_refused("port in refused, beyond the bitmap", user_in8, BEYOND_PORT);

    check_user_trap("repeated port out refused", user_outs, 0, POST_PORT, TRAP_PROTECTION, 0,
                    user_outs_at);
    task_allow_port(&user_task, POST_PORT);
    check_allowed("port out allowed", user_out8, POST_PORT, 0);
    check_allowed("repeated port out allowed", user_outs, POST_PORT, 0);

    check_begin("port in with IOPL 3 needs no bitmap");
    task_ports(&user_task, false);
    struct outcome outcome = user_run(user_in8, 0, EMPTY_PORT, USER_FLAGS | FLAG_IOPL_3);
    expect_left(&outcome, 0xff);
    check_end();
}
