/* A guest that says what its boot loader handed it, one "name value" a line on COM1.
 *
 * Run by QEMU's loader and by ours, the lines have to agree wherever both loaders
 * are bound to. It ends by writing 0 to the debug exit port.
 */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

enum { COM1_DATA = 0x3f8, DEBUG_EXIT = 0xf4 };

/* Multiboot 0.6.96, section 3.1.1; flags: page alignment, memory information. */
enum { HEADER_MAGIC = 0x1badb002, HEADER_FLAGS = 3 };
__attribute__((section(".multiboot"), used)) static const u32 header[] = {
    HEADER_MAGIC, HEADER_FLAGS, -(HEADER_MAGIC + HEADER_FLAGS)};

/* Section 3.3, as far as it is reported. */
struct info {
    u32 flags, mem_lower, mem_upper, boot_device;
    const char *command_line;
    u32 mods_count, mods_addr, syms[4], mmap_length, mmap_addr, drives[2], config_table;
    const char *boot_loader_name;
};

struct map_entry {
    u32 size;
    u64 start, size_bytes;
    u32 type;
} __attribute__((packed));

/* What the CPU was at entry, in the order that _start pushes it, last first. */
struct entry_state {
    u32 eflags, cr0, cr4, cs_limit, ds_limit, ss_limit, eax;
    const struct info *info;
};

/* Save all that matters before C changes it: limits by LSL of the selectors. */
__asm__(".globl _start\n"
        "_start:\n"
        "    mov $stack_top, %esp\n"
        "    push %ebx\n"
        "    push %eax\n"
        "    pushf\n"
        "    pop %edx\n"
        "    mov %ss, %ecx\n"
        "    lsl %ecx, %ecx\n"
        "    push %ecx\n"
        "    mov %ds, %ecx\n"
        "    lsl %ecx, %ecx\n"
        "    push %ecx\n"
        "    mov %cs, %ecx\n"
        "    lsl %ecx, %ecx\n"
        "    push %ecx\n"
        "    mov %cr4, %ecx\n"
        "    push %ecx\n"
        "    mov %cr0, %ecx\n"
        "    push %ecx\n"
        "    push %edx\n"
        "    push %esp\n"
        "    call report\n"
        "1:  cli\n"
        "    hlt\n"
        "    jmp 1b\n"
        ".bss\n"
        ".align 16\n"
        "    .skip 4096\n"
        "stack_top:\n"
        ".text\n");

static void write_port(u32 port, u8 value) {
    __asm__ volatile("outb %0, %w1" : : "a"(value), "d"(port));
}

static void print(const char *text) {
    while (*text)
        write_port(COM1_DATA, (u8)*text++);
}

static void print_hex(u64 value) {
    for (int shift = 60; shift >= 0; shift -= 4)
        write_port(COM1_DATA, (u8) "0123456789abcdef"[(value >> shift) & 15]);
}

static void line(const char *name, u64 value) {
    print(name);
    print_hex(value);
    print("\n");
}

void report(const struct entry_state *at_entry) {
    const struct info *info = at_entry->info;
    line("eax ", at_entry->eax);
    line("eflags ", at_entry->eflags);
    line("cr0 ", at_entry->cr0);
    line("cr4 ", at_entry->cr4);
    line("cs_limit ", at_entry->cs_limit);
    line("ds_limit ", at_entry->ds_limit);
    line("ss_limit ", at_entry->ss_limit);
    line("flags ", info->flags);
    line("mem_lower ", info->mem_lower);
    line("mem_upper ", info->mem_upper);
    print("command_line ");
    print(info->command_line);
    print("\nboot_loader_name ");
    print(info->boot_loader_name);
    print("\n");
    for (u32 at = info->mmap_addr; at < info->mmap_addr + info->mmap_length;) {
        const struct map_entry *entry = (const struct map_entry *)at;
        print("map ");
        print_hex(entry->start);
        print(" ");
        print_hex(entry->size_bytes);
        print(" ");
        print_hex(entry->type);
        print("\n");
        at += entry->size + sizeof entry->size;
    }
    write_port(DEBUG_EXIT, 0);
}
