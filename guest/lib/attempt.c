#include "attempt.h"

#include "cpu.h"

/* attempt.S */
void attempt_run(void (*probe)(uint32_t argument), uint32_t argument);
_Noreturn void attempt_leave(void);

static struct outcome current;

struct outcome attempt(void (*probe)(uint32_t argument), uint32_t argument) {
    current = (struct outcome){0};
    attempt_run(probe, argument);
    return current;
}

_Noreturn void attempt_end(struct trap_frame *frame) {
    current.trapped = true;
    current.cr2 = cr2_read();
    current.frame_address = (uint32_t)frame;
    current.frame = *frame;
    attempt_leave();
}
