#include "traps.h"

#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "pic.h"
#include "print.h"
#include "segments.h"

/* One entry of the trap table, Intel SDM vol. 3A figure 6-2. */
struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t reserved;
    uint8_t type;
    uint16_t offset_high;
};

enum {
    GATE_TASK = 0x05,
    GATE_INTERRUPT = 0x0e, /* 32-bit; clears the interrupt flag on the way in */
    GATE_RING3 = 0x60,
    GATE_PRESENT = 0x80,
    STUB_BYTES = 16, /* as traps.S has it */
};

extern const uint8_t trap_stubs[];

static struct gate table[TRAP_VECTORS] __attribute__((aligned(8)));
static trap_handler handlers[TRAP_VECTORS];

void trap_dispatch(struct trap_frame *frame);

static _Noreturn void unexpected(const struct trap_frame *frame) {
    print_sink = console_put;
    print("%s: unexpected trap %u, error 0x%x, at 0x%x, cr2 0x%x\n", guest_name, frame->vector,
          frame->error, frame->eip, cr2_read());
    guest_exit(EXIT_UNEXPECTED_TRAP);
}

void trap_dispatch(struct trap_frame *frame) {
    if (handlers[frame->vector] != NULL)
        handlers[frame->vector](frame);
    else if (frame->vector - PIC_FIRST_VECTOR < PIC_LINES)
        irq_dispatch(frame->vector - PIC_FIRST_VECTOR);
    else
        unexpected(frame);
}

void traps_init(void) {
    for (unsigned vector = 0; vector < TRAP_VECTORS; vector++)
        trap_set_gate(vector);
    traps_load(TRAP_VECTORS);
}

void traps_load(unsigned vectors) {
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) pointer = {
        (uint16_t)(vectors ? vectors * sizeof(struct gate) - 1 : 0),
        (uint32_t)table,
    };
    __asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
}

void trap_set(unsigned vector, trap_handler handler) { handlers[vector] = handler; }

void trap_set_gate(unsigned vector) {
    uint32_t stub = (uint32_t)trap_stubs + vector * STUB_BYTES;
    table[vector] = (struct gate){
        .offset_low = (uint16_t)stub,
        .selector = KERNEL_CODE,
        .type = GATE_PRESENT | GATE_INTERRUPT,
        .offset_high = (uint16_t)(stub >> 16),
    };
}

void trap_set_task(unsigned vector, uint16_t task_selector) {
    table[vector] = (struct gate){.selector = task_selector, .type = GATE_PRESENT | GATE_TASK};
}

void trap_allow_user(unsigned vector) { table[vector].type |= GATE_RING3; }

void trap_set_present(unsigned vector, bool present) {
    if (present)
        table[vector].type |= GATE_PRESENT;
    else
        table[vector].type &= (uint8_t)~GATE_PRESENT;
}
