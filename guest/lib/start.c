/* From boot.S to the guest's own main function, and out of the machine again. */
#include "guest.h"

#include "console.h"
#include "cpu.h"
#include "options.h"
#include "pic.h"
#include "print.h"
#include "traps.h"

/* What EAX holds if a Multiboot loader started us, Multiboot section 3.2. */
#define LOADER_MAGIC 0x2BADB002u

/* QEMU's isa-debug-exit device, where the command line in README.md puts it. */
#define DEBUG_EXIT_PORT 0xf4

/* The start of what the loader tells, Multiboot section 3.3. */
struct multiboot_info {
    uint32_t flags; /* which of the fields below are there */
    uint32_t mem_lower, mem_upper, boot_device;
    uint32_t command_line; /* address of a string, if INFO_COMMAND_LINE */
};
#define INFO_COMMAND_LINE (1u << 2)

_Noreturn void guest_start(uint32_t magic, const struct multiboot_info *info);

_Noreturn void guest_start(uint32_t magic, const struct multiboot_info *info) {
    console_init();
    pic_init();
    traps_init();
    if (magic == LOADER_MAGIC && (info->flags & INFO_COMMAND_LINE))
        options_init((const char *)info->command_line);
    if (option_switch("go")) /* for whoever measures what comes now */
        print("go\n");
    guest_exit(guest_main());
}

_Noreturn void guest_exit(uint8_t status) {
    interrupts_off();
    console_drain();
    out8(DEBUG_EXIT_PORT, status);
    /* On a machine without that port: halt for good. */
    for (;;)
        __asm__ volatile("hlt");
}
