#include "segments.h"

#include <stddef.h>

/* One entry of the table as two words, Intel SDM vol. 3A figure 3-8. */
struct descriptor {
    uint32_t low, high;
};

extern struct descriptor gdt[GDT_ENTRIES];

void descriptor_set(unsigned selector, const void *base, uint32_t limit, unsigned type) {
    uint32_t address = (uint32_t)base;
    gdt[selector / 8].low = (address << 16) | (limit & 0xffff);
    gdt[selector / 8].high =
        (address & 0xff000000) | (limit & 0xf0000) | (type << 8) | ((address >> 16) & 0xff);
}

void call_gate_set(unsigned selector, void (*target)(void), unsigned parameters) {
    /* Intel SDM vol. 3A figure 5-8. */
    uint32_t address = (uint32_t)target;
    gdt[selector / 8].low = ((uint32_t)KERNEL_CODE << 16) | (address & 0xffff);
    gdt[selector / 8].high =
        (address & 0xffff0000) | ((DESCRIPTOR_CALL_GATE | DESCRIPTOR_RING3) << 8) | parameters;
}

void task_init(struct task_state *task, void *stack_end) {
    *task = (struct task_state){.esp0 = (uint32_t)stack_end, .ss0 = KERNEL_DATA};
    for (size_t i = 0; i < sizeof task->bitmap; i++)
        task->bitmap[i] = 0xff;
    task->bitmap_end = 0xff;
    task_ports(task, false);

    uint32_t limit = offsetof(struct task_state, bitmap_end);
    descriptor_set(TASK_SELECTOR, task, limit, DESCRIPTOR_TASK);
    /* The task register is where the processor finds all this. */
    __asm__ volatile("ltr %w0" : : "r"(TASK_SELECTOR) : "memory");
}

void task_ports(struct task_state *task, bool bitmap_in_use) {
    /* An offset beyond the segment's limit means that there is no bitmap. */
    task->bitmap_offset = bitmap_in_use ? offsetof(struct task_state, bitmap) : 0xffff;
}

void task_allow_port(struct task_state *task, unsigned port) {
    task->bitmap[port / 8] &= (uint8_t)~(1u << port % 8);
}
