/* Ring 3: into it, out of it by every way, and what it must not do. */
#include "rings.h"

#include "check.h"
#include "cpu.h"
#include "guest.h"
#include "pic.h"
#include "pit.h"
#include "print.h"

/* The numbers of user.S. */
enum {
    CALL_LEAVE = 0,
    CALL_ADD = 1,
    CALL_PUT = 2,
};

#define CALL_GATE_SELECTOR FREE_SELECTOR_1
#define TIMER_HZ 1000

/* call_gate_target in probes.S */
void call_gate_target(void);

struct task_state user_task;

/* The stack for traps out of ring 3, apart so that its use shows. */
static uint32_t trap_stack[1024];
static uint32_t *const trap_stack_end = trap_stack + 1024;

uint32_t user_address(const uint8_t *label) {
    return USER_CODE_ADDRESS + (uint32_t)(label - user_leave);
}

struct user_start {
    uint32_t eip, ecx, edx, eflags;
};

static void user_start(uint32_t argument) {
    const struct user_start *start = (const struct user_start *)argument;
    user_enter(start->eip, USER_STACK_END, start->eflags, start->ecx, start->edx);
}

struct outcome user_run(const uint8_t *snippet, uint32_t ecx, uint32_t edx, uint32_t eflags) {
    struct user_start start = {user_address(snippet), ecx, edx, eflags};
    return attempt(user_start, (uint32_t)&start);
}

void expect_left(const struct outcome *outcome, uint32_t result) {
    expect("trapped", outcome->trapped, true);
    expect("vector", outcome->frame.vector, TRAP_SYSTEM_CALL);
    expect("system call", outcome->frame.eax, CALL_LEAVE);
    expect("result", outcome->frame.ebx, result);
}

void check_user_trap(const char *name, const uint8_t *snippet, uint32_t ecx, uint32_t edx,
                     uint32_t vector, uint32_t error, const uint8_t *label) {
    check_begin(name);
    struct outcome outcome = user_run(snippet, ecx, edx, USER_FLAGS);
    expect_trap(&outcome, vector, error, user_address(label));
    expect("cs", outcome.frame.cs & 0xffff, USER_CODE);
    check_end();
}

static void system_call(struct trap_frame *frame) {
    switch (frame->eax) {
    case CALL_ADD:
        frame->eax = frame->ecx + frame->edx;
        break;
    case CALL_PUT:
        print_sink((char)frame->edx);
        break;
    default:
        attempt_end(frame);
    }
}

static void check_calls(void) {
    check_begin("ring 3 and back by system call");
    struct outcome outcome = user_run(user_leave, 0, 0, USER_FLAGS);
    expect_left(&outcome, 0);
    expect("eip", outcome.frame.eip, user_address(user_leave_after));
    expect("cs", outcome.frame.cs & 0xffff, USER_CODE);
    expect("eflags", outcome.frame.eflags & ~FLAGS_ARITHMETIC, USER_FLAGS);
    expect("ss", outcome.frame.user_ss & 0xffff, USER_DATA);
    expect("esp", outcome.frame.user_esp, USER_STACK_END);
    expect("frame", outcome.frame_address, (uint32_t)trap_stack_end - sizeof(struct trap_frame));
    check_end();

    check_begin("system call with a result");
    outcome = user_run(user_add, 40, 2, USER_FLAGS);
    expect_left(&outcome, 42);
    check_end();

    check_begin("system calls in a loop");
    outcome = user_run(user_greet, user_address(user_greet), 0, USER_FLAGS);
    expect_left(&outcome, 0);
    check_end();

    check_begin("iret to ring 3 empties kernel selectors");
    outcome = user_run(user_read_gs, 0, 0, USER_FLAGS);
    expect_left(&outcome, 0);
    check_end();

    check_begin("call gate");
    call_gate_set(CALL_GATE_SELECTOR, call_gate_target, 1);
    outcome = user_run(user_call_gate, 0, 21, USER_FLAGS);
    expect_left(&outcome, 42);
    expect("cs in ring 0", outcome.frame.edx, KERNEL_CODE);
    expect("esp", outcome.frame.user_esp, USER_STACK_END);
    check_end();

    check_user_trap("int n refused in ring 3", user_int, 0, 0, TRAP_PROTECTION,
                    ERROR_OF_VECTOR(0x40), user_int);
    trap_allow_user(TRAP_BREAKPOINT);
    check_user_trap("breakpoint in ring 3", user_breakpoint, 0, 0, TRAP_BREAKPOINT, 0,
                    user_breakpoint_after);
}

static void check_privileged(void) {
    static const struct {
        const char *name;
        const uint8_t *snippet;
    } instructions[] = {
        {"hlt refused in ring 3", user_hlt},
        {"cli refused in ring 3", user_cli},
        {"clts refused in ring 3", user_clts},
        {"mov from cr0 refused in ring 3", user_read_cr0},
        {"mov to cr3 refused in ring 3", user_load_cr3},
        {"lidt refused in ring 3", user_lidt},
        {"invlpg refused in ring 3", user_invlpg},
        {"rdmsr refused in ring 3", user_rdmsr},
    };
    for (size_t i = 0; i < sizeof instructions / sizeof instructions[0]; i++)
        check_user_trap(instructions[i].name, instructions[i].snippet, 0, 0, TRAP_PROTECTION, 0,
                        instructions[i].snippet);
    check_user_trap("kernel selector refused in ring 3", user_load_kernel_data, 0, 0,
                    TRAP_PROTECTION, KERNEL_DATA, user_load_kernel_data_at);

    check_begin("popf in ring 3 leaves IF and IOPL");
    struct outcome outcome =
        user_run(user_popf, 0, FLAG_FIXED | FLAG_IOPL_3 | FLAG_CARRY, USER_FLAGS);
    expect_left(&outcome, USER_FLAGS | FLAG_CARRY);
    check_end();

    check_begin("cli and sti in ring 3 with IOPL 3");
    outcome = user_run(user_cli_sti, 0, 0, USER_FLAGS | FLAG_IOPL_3);
    expect_left(&outcome, FLAG_FIXED | FLAG_IOPL_3);
    expect("eflags", outcome.frame.eflags & FLAG_INTERRUPT, FLAG_INTERRUPT);
    check_end();
}

static void check_user_page_fault(const char *name, const uint8_t *snippet, uint32_t flags,
                                  uint32_t error) {
    uint32_t address = WINDOW + 0x10;
    page_map(&space, WINDOW, frames[0], flags);
    check_begin(name);
    struct outcome outcome = user_run(snippet, address, 0, USER_FLAGS);
    uint32_t eip = snippet == user_fetch ? address : user_address(snippet);
    expect_page_fault(&outcome, error | FAULT_USER, eip, address);
    check_end();
}

/* Make the stack's page present when ring 3 first pushes. */
static void bring_stack(struct trap_frame *frame) {
    (void)frame;
    page_map(&space, USER_STACK_ADDRESS, frames[3], PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER);
}

static void check_user_pages(void) {
    const uint32_t kernel = PAGE_PRESENT | PAGE_WRITABLE;
    const uint32_t user = kernel | PAGE_USER;
    check_user_page_fault("ring 3 read, not present", user_read, 0, 0);
    check_user_page_fault("ring 3 write, not present", user_write, 0, FAULT_WRITE);
    check_user_page_fault("ring 3 fetch, not present", user_fetch, 0, 0);
    check_user_page_fault("ring 3 read, kernel's page", user_read, kernel, FAULT_PROTECTION);
    check_user_page_fault("ring 3 write, kernel's page", user_write, kernel,
                          FAULT_PROTECTION | FAULT_WRITE);
    check_user_page_fault("ring 3 fetch, kernel's page", user_fetch, kernel, FAULT_PROTECTION);
    check_user_page_fault("ring 3 write, read-only page", user_write, PAGE_PRESENT | PAGE_USER,
                          FAULT_PROTECTION | FAULT_WRITE);

    page_map(&space, WINDOW, frames[0], user);
    *directory_entry(&space, WINDOW) &= ~(uint32_t)PAGE_USER;
    cr3_write((uint32_t)&space);
    check_user_page_fault("ring 3 read, kernel's directory entry", user_read, user,
                          FAULT_PROTECTION);
    *directory_entry(&space, WINDOW) |= PAGE_USER;
    cr3_write((uint32_t)&space);

    check_begin("ring 3 read and write, own page");
    frames_fill();
    struct outcome outcome = user_run(user_read, WINDOW + 0x10, 0, USER_FLAGS);
    expect_left(&outcome, FRAME_WORD(0, 4));
    outcome = user_run(user_write, WINDOW + 0x10, 0, USER_FLAGS);
    expect_left(&outcome, 0);
    expect("word", frames[0][4], WRITTEN);
    check_end();
    page_map(&space, WINDOW, NULL, 0);

    check_begin("ring 3 stack brought at the first push");
    page_map(&space, USER_STACK_ADDRESS, NULL, 0);
    trap_set(TRAP_PAGE, bring_stack);
    outcome = user_run(user_push, 0, 4711, USER_FLAGS);
    trap_set(TRAP_PAGE, attempt_end);
    expect_left(&outcome, 4711);
    expect("word on the stack", frames[3][PAGE_BYTES / 4 - 1], 4711);
    check_end();
}

/* The timer finds ring 3 at work, and ends its waiting. */
static void interrupt_user(struct trap_frame *frame) {
    irq_dispatch(PIT_IRQ);
    frames[0][0] = frame->cs & 0xffff;
}

static void nothing(void) {}

static void check_user_interrupt(void) {
    check_begin("timer interrupt in ring 3");
    frames[0][0] = 0;
    page_map(&space, WINDOW, frames[0], PAGE_PRESENT | PAGE_USER);
    trap_set(PIC_FIRST_VECTOR + PIT_IRQ, interrupt_user);
    irq_enable(PIT_IRQ, nothing);
    pit_periodic(TIMER_HZ);
    struct outcome outcome = user_run(user_wait, WINDOW, 0, USER_FLAGS);
    irq_disable(PIT_IRQ);
    trap_set(PIC_FIRST_VECTOR + PIT_IRQ, NULL);
    expect_left(&outcome, USER_CODE);
    check_end();
    page_map(&space, WINDOW, NULL, 0);
}

void check_rings(void) {
    task_init(&user_task, trap_stack_end);
    /* A task switch brings the directory back from here; see double.c. */
    user_task.cr3 = cr3_read();
    trap_set(TRAP_SYSTEM_CALL, system_call);
    trap_allow_user(TRAP_SYSTEM_CALL);

    for (const uint8_t *page = user_leave; page < user_end; page += PAGE_BYTES)
        page_map(&space, user_address(page), page, PAGE_PRESENT | PAGE_USER);
    page_map(&space, USER_STACK_ADDRESS, frames[3], PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER);

    check_calls();
    check_privileged();
    check_user_pages();
    check_user_interrupt();
}
