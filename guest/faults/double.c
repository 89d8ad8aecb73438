/*
 * Double faults: a fault that cannot be delivered because of another. Intel SDM
 * vol. 3A section 6.15, "Interrupt 8". An ordinary gate serves if the stack is
 * sound; if it is not, only a task of its own does.
 */
#include "rings.h"

#include "check.h"
#include "cpu.h"

#define FAULT_TASK_SELECTOR FREE_SELECTOR_2

/* A stack pointer in the window, where nothing is mapped. */
#define BAD_STACK (WINDOW + 0x800)

/* probes.S, which calls the function below it. */
void double_fault_entry(void);
void double_fault_task(uint32_t error);

static struct task_state fault_task;
static uint32_t fault_stack[512];

/* What the task saw of the one it interrupted. */
static struct {
    unsigned count;
    uint32_t error, cr2, cr0, eip, esp, previous;
} seen;

void double_fault_task(uint32_t error) {
    seen.count++;
    seen.error = error;
    seen.cr2 = cr2_read();
    seen.cr0 = cr0_read();
    seen.eip = user_task.eip;
    seen.esp = user_task.esp;
    seen.previous = fault_task.previous_task;
    /* The switch marks the FPU's state as another task's; we have no use for it. */
    cr0_write(seen.cr0 & ~CR0_TASK_SWITCHED);
    user_task.eip = (uint32_t)probe_push_after;
}

static void check_task(const char *name) {
    check_begin(name);
    seen.count = 0;
    expect("trapped", attempt(probe_push, BAD_STACK).trapped, false);
    expect("double faults", seen.count, 1);
    expect("error code", seen.error, 0);
    expect("cr2", seen.cr2, BAD_STACK - 4);
    expect("CR0.TS", seen.cr0 & CR0_TASK_SWITCHED, CR0_TASK_SWITCHED);
    expect("eip", seen.eip, (uint32_t)probe_push_at);
    expect("esp", seen.esp, BAD_STACK);
    expect("previous task", seen.previous & 0xffff, TASK_SELECTOR);
    check_end();
}

void check_double_faults(void) {
    /* A divide error whose gate is not present is two faults at once. */
    check_begin("double fault, ordinary gate");
    trap_set_present(TRAP_DIVIDE, false);
    struct outcome outcome = attempt(probe_divide, 0);
    trap_set_present(TRAP_DIVIDE, true);
    expect("vector", outcome.frame.vector, TRAP_DOUBLE_FAULT);
    expect("error code", outcome.frame.error, 0);
    check_end();

    fault_task = (struct task_state){
        .cr3 = cr3_read(),
        .eip = (uint32_t)double_fault_entry,
        .eflags = FLAG_FIXED,
        .esp = (uint32_t)(fault_stack + sizeof fault_stack / sizeof fault_stack[0]),
        .cs = KERNEL_CODE,
        .es = KERNEL_DATA,
        .ss = KERNEL_DATA,
        .ds = KERNEL_DATA,
        .fs = KERNEL_DATA,
        .gs = KERNEL_DATA,
        .bitmap_offset = 0xffff,
    };
    descriptor_set(FAULT_TASK_SELECTOR, &fault_task, sizeof fault_task - 1, DESCRIPTOR_TASK);
    trap_set_task(TRAP_DOUBLE_FAULT, FAULT_TASK_SELECTOR);
    check_task("double fault, task gate");
    check_task("double fault, task gate again");
    trap_set_gate(TRAP_DOUBLE_FAULT);
}
