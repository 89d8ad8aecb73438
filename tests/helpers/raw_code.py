"""Any bytes as code, in ring 3, where they can do no lasting harm.

The code is a row of slots of 16 bytes. Whatever faults in one is followed by
the next slot, with fresh registers that point into the data; whatever jumps
about is welcome to. Handlers, tables and their stack are out of its reach.
"""

from assembler import EAX, EBX, ECX, EDI, EDX, ESI, Assembler, le32
from bare import (
    CODE,
    DATA,
    GDT,
    HANDLERS,
    IDT,
    KERNEL_DATA,
    PAGE_DIRECTORY,
    PAGE_TABLE,
    STACK,
    TSS,
    USER_CODE,
    USER_DATA,
    VECTORS_WITH_ERROR_CODE,
    enter_paging,
    enter_user,
    gate,
    global_table,
    page_tables,
    task_segment,
)
from hypothesis import strategies as st

SLOT_BYTES, SLOTS = 16, 24
SLOTS_AT = CODE + 0x1000
FIRST_USER_PAGE = DATA >> 12
EFLAGS = 0x3002  # IOPL 3, so that IN and OUT need no bitmap

# What the oracle cannot follow: CMPXCHG8B and IRET with RF
FORBIDDEN = (b"\x0f\xc7", b"\xcf")


def handlers() -> tuple[bytes, bytes]:
    """Return handlers and IDT: go on at the slot behind, with fresh registers."""
    code = Assembler(HANDLERS)
    idt = bytearray(0x800)
    for vector in range(32):
        idt[8 * vector : 8 * vector + 8] = gate(code.here, 0xEE if vector in (3, 4) else 0x8E)
        if vector not in VECTORS_WITH_ERROR_CODE:
            code.push_value(0)
        code.jmp("common")
    code.label("common").mov(EAX, KERNEL_DATA).raw(0x8E, 0xD8)
    code.raw(0x8B, 0x44, 0x24, 4)  # mov eax, [esp+4]: where it was
    code.alu("or", EAX, SLOT_BYTES - 1).inc(EAX)
    end = SLOTS_AT + SLOTS * SLOT_BYTES
    code.alu("cmp", EAX, SLOTS_AT).j("b", "end").alu("cmp", EAX, end).j("b", "go")
    code.label("end").hlt()
    code.label("go").push_value(USER_DATA).push_value(STACK).push_value(EFLAGS)
    code.push_value(USER_CODE).push(EAX).mov(EAX, USER_DATA)
    for load in (0xD8, 0xC0, 0xE0, 0xE8):  # DS ES FS GS
        code.raw(0x8E, load)
    for register, value in ((EBX, DATA + 0x200), (ESI, DATA + 0x400), (EDI, DATA + 0x600)):
        code.mov(register, value)
    code.mov(EAX, DATA + 0x800).mov(ECX, 5).mov(EDX, 0x80).mov(5, DATA + 0xA00).iret()
    return code.bytes(), bytes(idt)


def protected_pages() -> bytes:
    """Return page tables by which ring 3 reaches only data, stack and code."""
    tables = bytearray(page_tables())
    table = PAGE_TABLE - PAGE_DIRECTORY
    for page in range(1024):
        user = FIRST_USER_PAGE - 1 <= page < 0x80
        at = table + 4 * page
        tables[at : at + 4] = le32(page << 12 | (0x67 if user else 0x63))
    return bytes(tables)


def segments(slots: list[bytes]) -> list[tuple[int, bytes]]:
    """Return memory with `slots` as code and what is around it; it starts at CODE."""
    handler_code, idt = handlers()
    start = enter_user(enter_paging(Assembler(CODE)), SLOTS_AT, EFLAGS).bytes()
    code = b"".join(slot[:SLOT_BYTES].ljust(SLOT_BYTES, b"\x90") for slot in slots)
    return [
        (GDT, global_table()),
        (IDT, idt),
        (TSS, task_segment()),
        (HANDLERS, handler_code),
        (PAGE_DIRECTORY, protected_pages()),
        (CODE, start),
        (SLOTS_AT, code),
    ]


prefixes = st.lists(
    st.sampled_from([b"\x66", b"\x67", b"\xf2", b"\xf3", b"\xf0", b"\x64", b"\x2e"]), max_size=2
).map(b"".join)
operands = st.one_of(
    st.binary(min_size=0, max_size=7),
    st.integers(0, 0x3F).map(lambda mode: bytes((mode,))),  # [register]
    st.integers(0xC0, 0xFF).map(lambda mode: bytes((mode,))),  # register
    st.tuples(st.integers(0, 7), st.integers(DATA, DATA + 0x1000)).map(
        lambda drawn: bytes((drawn[0] << 3 | 5,)) + le32(drawn[1])
    ),
)
instructions = st.tuples(
    st.one_of(st.just(b""), prefixes),
    st.one_of(
        st.integers(0, 255).map(lambda opcode: bytes((opcode,))),
        st.integers(0, 255).map(lambda opcode: bytes((0x0F, opcode))),
        st.tuples(st.sampled_from([0x38, 0x3A]), st.integers(0, 255)).map(
            lambda drawn: bytes((0x0F, *drawn))
        ),
    ),
    operands,
).map(b"".join)
slots = st.lists(
    st.lists(instructions, min_size=1, max_size=5).map(b"".join), min_size=1, max_size=SLOTS
).filter(lambda drawn: not any(part in slot for slot in drawn for part in FORBIDDEN))
