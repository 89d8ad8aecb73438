"""Bare-metal guests without an image: tables, exception handlers, machines.

What stands where in a guest's memory::

    0x00500  GDT            0x02000  page directory
    0x00600  IDT            0x03000  page table of the first 4 MiB
    0x00e00  TSS            0x06000  end of the ring-0 stack
    0x01000  handlers       0x07f00  end of the program's stack
    0x08000  data, and from DATA_END the notes of the handlers
    0x10000  the program    0x18000  pages with special rights, see PAGES
"""

from collections.abc import Iterable

from assembler import EAX, EBX, Assembler, absolute, le32

from ftvm.machine.boot.plan import BootPlan, SegmentRegister, StartRegisters
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.units import GuestPhysical

MEMORY_BYTES = 1 << 20
EPOCH_S = 1_700_000_000

GDT, IDT, TSS, HANDLERS = 0x500, 0x600, 0xE00, 0x1000
PAGE_DIRECTORY, PAGE_TABLE = 0x2000, 0x3000
KERNEL_STACK, STACK = 0x6000, 0x7F00
DATA, DATA_END = 0x8000, 0xBD00
CODE = 0x10000

# The handlers' notes
RESUME = DATA_END  # where an exception handler returns to
ERROR_CODE = DATA_END + 4
FAULT_ADDRESS = DATA_END + 8
COUNTS = DATA_END + 16  # by vector

ABSENT, READ_ONLY, SUPERVISOR = 0x18000, 0x19000, 0x1A000
"""Pages with special rights once paging is on. ABSENT is there after a first fault."""

KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, TASK = 0x08, 0x10, 0x1B, 0x23, 0x28
CODE_FLAGS, DATA_FLAGS = 0xCF9B00, 0xCF9300
FLAT = 0xFFFFFFFF

PAGING = 1 << 31
WRITE_PROTECT = 1 << 16
VECTORS_WITH_ERROR_CODE = frozenset((8, 10, 11, 12, 13, 14, 17))
SYSCALL, END = 0x80, 0x82
"""INT SYSCALL comes back; INT END halts for good, from any ring."""
USER_GATES = (3, 4, SYSCALL, END)


def descriptor(base: int, limit: int, access: int, flags: int) -> bytes:
    """Return a segment descriptor (SDM vol. 3A figure 3-8)."""
    return bytes(
        (
            limit & 0xFF,
            limit >> 8 & 0xFF,
            base & 0xFF,
            base >> 8 & 0xFF,
            base >> 16 & 0xFF,
            access,
            flags << 4 | limit >> 16 & 0xF,
            base >> 24,
        )
    )


def gate(handler: int, access: int = 0x8E, selector: int = KERNEL_CODE) -> bytes:
    """Return an interrupt gate (SDM vol. 3A figure 6-2)."""
    low, high = handler & 0xFFFF, handler >> 16
    return low.to_bytes(2, "little") + bytes((selector, 0, 0, access)) + high.to_bytes(2, "little")


def global_table() -> bytes:
    return (
        bytes(8)
        + descriptor(0, 0xFFFFF, 0x9B, 0xC)
        + descriptor(0, 0xFFFFF, 0x93, 0xC)
        + descriptor(0, 0xFFFFF, 0xFB, 0xC)
        + descriptor(0, 0xFFFFF, 0xF3, 0xC)
        + descriptor(TSS, 0x67, 0x89, 0)
    )


def task_segment() -> bytes:
    return bytes(4) + le32(KERNEL_STACK) + le32(KERNEL_DATA) + bytes(104 - 12)


def handlers() -> tuple[bytes, bytes]:
    """Return handlers and IDT: note what happened, go on at [RESUME].

    A fault on ABSENT makes that page present and tries again.
    """
    code = Assembler(HANDLERS)
    idt = bytearray(0x800)
    for vector in (*range(32), SYSCALL):
        access = 0xEE if vector in USER_GATES else 0x8E
        idt[8 * vector : 8 * vector + 8] = gate(code.here, access)
        if vector not in VECTORS_WITH_ERROR_CODE:
            code.push_value(0)
        code.push_value(vector).jmp("common")
    idt[8 * END : 8 * END + 8] = gate(code.here, 0xEE)
    code.hlt()
    code.label("common").push(EAX).push(EBX)
    code.raw(0x8B, 0x5C, 0x24, 8)  # mov ebx, [esp+8]: the vector
    code.raw(0xFF, 0x04, 0x9D).add_bytes(le32(COUNTS))  # inc dword [COUNTS + 4*ebx]
    code.raw(0x8B, 0x44, 0x24, 12).store(ERROR_CODE, EAX)  # mov eax, [esp+12]
    code.mov_from_cr(EAX, 2).store(FAULT_ADDRESS, EAX)
    code.alu("cmp", EBX, 14).j("ne", "skip")
    code.alu("and", EAX, 0xFFFFF000).alu("cmp", EAX, ABSENT).j("ne", "skip")
    code.load(EAX, PAGE_TABLE + ABSENT // 1024)
    code.raw(0xA8, 1).j("ne", "skip")  # test al, 1
    code.inc_memory(PAGE_TABLE + ABSENT // 1024)
    code.raw(0x0F, 0x01, 0x3D).add_bytes(le32(ABSENT))  # invlpg [ABSENT]
    code.jmp("return")
    code.label("skip").load(EAX, RESUME)
    code.raw(0x89, 0x44, 0x24, 16)  # mov [esp+16], eax
    code.label("return").pop(EBX).pop(EAX)
    code.raw(0x83, 0xC4, 8).iret()  # add esp, 8
    return code.bytes(), bytes(idt)


def page_tables() -> bytes:
    """Return directory and table: linear addresses are physical ones, all for the user.

    Everything has been accessed and written, but for the pages with special
    rights, so that when a translator looks ahead does not show.
    """
    present, write, user, accessed, dirty = 1, 2, 4, 0x20, 0x40
    rights = {
        ABSENT >> 12: write | user,
        READ_ONLY >> 12: present | user,
        SUPERVISOR >> 12: present | write,
    }
    usual = present | write | user | accessed | dirty
    directory = le32(PAGE_TABLE | usual) + bytes(4092)
    table = b"".join(le32(page << 12 | rights.get(page, usual)) for page in range(1024))
    return directory + table


def unmap_absent(code: Assembler) -> Assembler:
    """Make ABSENT absent again, in ring 0; elsewhere the first instruction faults."""
    code.raw(0x0F, 0x06)  # clts
    code.raw(0x83).add_bytes(absolute(4, PAGE_TABLE + ABSENT // 1024)).raw(0xFE)  # and [], ~1
    return code.raw(0x0F, 0x01, 0x3D).add_bytes(le32(ABSENT))


def enter_paging(code: Assembler) -> Assembler:
    """Turn paging on, with write protection in ring 0 too; changes EAX."""
    code.mov(EAX, PAGE_DIRECTORY).mov_cr(3, EAX)
    return code.mov(EAX, PAGING | WRITE_PROTECT | 0x11).mov_cr(0, EAX)


def enter_user(code: Assembler, target: int, eflags: int = 0x3002) -> Assembler:
    """Go to ring 3 at `target`, with all I/O ports open by IOPL; changes EAX."""
    code.ltr(TASK).mov(EAX, USER_DATA)
    for load in (0xD8, 0xC0, 0xE0, 0xE8):  # DS ES FS GS
        code.raw(0x8E, load)
    code.push_value(USER_DATA).push_value(STACK).push_value(eflags)
    return code.push_value(USER_CODE).push_value(target).iret()


def tables() -> list[tuple[GuestPhysical, bytes]]:
    """Return everything that stands below the data, as segments of a boot plan."""
    handler_code, idt = handlers()
    return [
        (GuestPhysical(GDT), global_table()),
        (GuestPhysical(IDT), idt),
        (GuestPhysical(TSS), task_segment()),
        (GuestPhysical(HANDLERS), handler_code),
        (GuestPhysical(PAGE_DIRECTORY), page_tables()),
    ]


def boot_plan(segments: Iterable[tuple[int, bytes]], entry: int) -> BootPlan:
    """Return a plan that starts at `entry` in flat 32-bit ring 0."""
    data = SegmentRegister(KERNEL_DATA, 0, FLAT, DATA_FLAGS)
    return BootPlan(
        segments=tuple((GuestPhysical(address), bytes_) for address, bytes_ in segments),
        zeroed=(),
        registers=StartRegisters(
            eip=entry,
            eax=0,
            ebx=0,
            esi=0,
            eflags=2,
            cr0=0x11,
            code=SegmentRegister(KERNEL_CODE, 0, FLAT, CODE_FLAGS),
            data=data,
            gdt_base=GuestPhysical(GDT),
            gdt_limit=len(global_table()) - 1,
        ),
    )


def bare_machine(
    *segments: tuple[int, bytes], entry: int = CODE, memory_bytes: int = MEMORY_BYTES
) -> Machine:
    """Return a machine with the tables and `segments`, its stack at STACK."""
    machine = Machine(MachineConfig(memory_bytes, EPOCH_S))
    machine.boot(boot_plan([*tables(), *segments], entry))
    registers = machine.cpu.registers
    registers.gpr[4] = STACK
    registers.idt.base, registers.idt.limit = IDT, 0x7FF
    machine.cpu.registers = registers
    return machine


def machine_of(code: Assembler, **keywords: int) -> Machine:
    """Return a machine that starts at the first byte of `code`."""
    return bare_machine((code.origin, code.bytes()), entry=code.origin, **keywords)
