"""Programs for hypothesis to make: every kind of instruction, and always an end.

A program is a tree of pieces. Registers and data hold whatever the pieces leave
there; only the stack pointer, the loop counters and the handlers' notes are
kept out of reach, so that a program ends and its faults come back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from assembler import (
    CONDITIONS,
    EAX,
    EBX,
    ECX,
    EDI,
    EDX,
    ESI,
    ESP,
    Assembler,
    absolute,
    direct,
    le32,
)
from bare import (
    ABSENT,
    CODE,
    DATA,
    DATA_END,
    END,
    READ_ONLY,
    RESUME,
    SUPERVISOR,
    enter_paging,
    enter_user,
    unmap_absent,
)
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

SCRATCH_END = DATA_END - 0x400  # what random data accesses stay below
COUNTERS = DATA_END - 0x100
POST_PORT, NO_PORT = 0x80, 0x1234
FUNCTIONS = CODE + 0x4000
ABSENT_FUNCTION = ABSENT + 0x800


class Emitter(Assembler):
    """An assembler that also knows what the pieces of a program share."""

    def __init__(self, origin: int) -> None:
        super().__init__(origin)
        self.functions: list[tuple[str, tuple[Piece, ...]]] = []
        self._made = 0

    def new_label(self) -> str:
        self._made += 1
        return f"label{self._made}"

    def new_counter(self) -> int:
        self._made += 1
        return COUNTERS + 4 * (self._made % 32)


class Piece(Protocol):
    def emit(self, code: Emitter) -> None: ...


@dataclass(frozen=True)
class Plain:
    """Instructions that do not fault and go on behind themselves."""

    code: bytes

    def emit(self, code: Emitter) -> None:
        code.add_bytes(self.code)


@dataclass(frozen=True)
class Attempt:
    """Instructions that may fault; if so, the program goes on behind them."""

    code: bytes

    def emit(self, code: Emitter) -> None:
        store_bytes = 10
        code.store_value(RESUME, code.here + store_bytes + len(self.code)).add_bytes(self.code)


@dataclass(frozen=True)
class Loop:
    """A loop by a counter in memory."""

    times: int
    body: tuple[Piece, ...]

    def emit(self, code: Emitter) -> None:
        counter, top = code.new_counter(), code.new_label()
        code.store_value(counter, self.times).label(top)
        for piece in self.body:
            piece.emit(code)
        code.raw(0xFF).add_bytes(absolute(1, counter)).j("ne", top)  # dec dword [counter]


@dataclass(frozen=True)
class CountedLoop:
    """LOOP, LOOPE or LOOPNE around plain instructions."""

    opcode: int
    times: int
    body: bytes

    def emit(self, code: Emitter) -> None:
        code.mov(ECX, self.times).push(ECX).add_bytes(self.body).pop(ECX)
        code.raw(self.opcode, 0x100 - (len(self.body) + 4))


@dataclass(frozen=True)
class Skip:
    """A conditional jump forward."""

    condition: str
    body: tuple[Piece, ...]

    def emit(self, code: Emitter) -> None:
        behind = code.new_label()
        code.j(self.condition, behind)
        for piece in self.body:
            piece.emit(code)
        code.label(behind)


@dataclass(frozen=True)
class Call:
    """A function in another page."""

    body: tuple[Piece, ...]

    def emit(self, code: Emitter) -> None:
        name = code.new_label()
        code.functions.append((name, self.body))
        code.call(name)


@dataclass(frozen=True)
class Saved:
    """A body between a push and a pop."""

    push: bytes
    pop: bytes
    body: tuple[Piece, ...]

    def emit(self, code: Emitter) -> None:
        code.add_bytes(self.push)
        for piece in self.body:
            piece.emit(code)
        code.add_bytes(self.pop)


@dataclass(frozen=True)
class Patch:
    """A store of an opcode into NOPs `distance` bytes ahead, in its own block."""

    opcode: int
    distance: int

    def emit(self, code: Emitter) -> None:
        store_bytes = 7
        code.store_byte(code.here + store_bytes + self.distance, self.opcode)
        code.add_bytes(b"\x90" * (self.distance + 1))


@dataclass(frozen=True)
class FillCode:
    """REP STOSB of an opcode over the NOPs that follow it."""

    opcode: int
    count: int

    def emit(self, code: Emitter) -> None:
        code.raw(0xFC, 0xB0, self.opcode).mov(ECX, self.count)
        mov_bytes, rep_bytes = 5, 2
        code.mov(EDI, code.here + mov_bytes + rep_bytes).raw(0xF3, 0xAA)
        code.add_bytes(b"\x90" * (self.count + 1))


@dataclass(frozen=True)
class PatchedCall:
    """A function in the same page, called, changed and called again."""

    value: int

    def emit(self, code: Emitter) -> None:
        function, behind = code.new_label(), code.new_label()
        code.jmp(behind).label(function).mov(EBX, 1).ret()
        code.label(behind).call(function)
        code.store_value(code.address(function) + 1, self.value).call(function)


@dataclass(frozen=True)
class AbsentCall:
    """A function in the page that is absent at first."""

    def emit(self, code: Emitter) -> None:
        mov_bytes, call_bytes = 5, 2
        code.store_value(RESUME, code.here + 10 + mov_bytes + call_bytes)
        code.mov(EAX, ABSENT_FUNCTION).raw(0xFF, 0xD0)  # call eax


@dataclass(frozen=True)
class Unmap:
    """The absent page is absent once more, if this is ring 0."""

    def emit(self, code: Emitter) -> None:
        Attempt(unmap_absent(Assembler(0)).bytes()).emit(code)


registers = st.sampled_from([r for r in range(8) if r != ESP])
byte_registers = st.integers(0, 7)
operations = st.integers(0, 7)
small = st.integers(0, 255)
words = st.one_of(
    st.sampled_from([0, 1, 0x7F, 0x80, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]),
    st.integers(0, 0xFFFFFFFF),
)
sizes = st.sampled_from([b"", b"", b"", b"\x66"])
cells = st.one_of(
    st.integers(DATA, SCRATCH_END - 16),
    st.integers(DATA + 0xFF0, DATA + 0x1000),  # across two pages
    st.integers(DATA, DATA + 64),
)
middle = st.integers(DATA + 0x100, SCRATCH_END - 0x100)


def opcodes(codes: str) -> SearchStrategy[bytes]:
    """Return the strategy of instructions, or parts, given in hexadecimal."""
    return st.sampled_from([bytes.fromhex(code) for code in codes.split()])


def build(function: Callable[..., bytes], *parts: SearchStrategy[object]) -> SearchStrategy[bytes]:
    """Return the strategy of what `function` makes of drawn parts."""
    return st.tuples(*parts).map(lambda drawn: function(*drawn))


def joined(*parts: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def sized(size: bytes, value: int) -> bytes:
    """Return an immediate of two bytes behind an operand-size prefix, else of four."""
    return le32(value)[: 2 if size else 4]


pairs = build(direct, registers, registers)
byte_pairs = build(direct, byte_registers, byte_registers)
addressed = build(absolute, registers, cells)
condition_codes = st.integers(0, 15)

arithmetic = st.one_of(
    # add or adc sbb and sub xor cmp, both ways, and with immediates
    joined(sizes, opcodes("01 03 09 0b 11 13 19 1b 21 23 29 2b 31 33 39 3b"), pairs),
    joined(opcodes("00 02 08 0a 10 12 18 1a 20 22 28 2a 30 32 38 3a"), byte_pairs),
    build(
        lambda size, op, r, v: size + b"\x81" + direct(op, r) + sized(size, v),
        sizes,
        operations,
        registers,
        words,
    ),
    build(lambda r, v: bytes((0xB8 + r,)) + le32(v), registers, words),
    build(lambda op, r: bytes((op + r,)), st.sampled_from([0x40, 0x48]), registers),  # inc dec
    # not neg mul imul
    build(lambda size, op, r: size + b"\xf7" + direct(op, r), sizes, st.integers(2, 5), registers),
    build(lambda c, pair: bytes((0x0F, 0x40 + c)) + pair, condition_codes, pairs),  # cmovcc
    build(lambda c, r: bytes((0x0F, 0x90 + c)) + direct(0, r), condition_codes, byte_registers),
    build(lambda r: bytes((0x0F, 0xC8 + r)), registers),  # bswap
    # imul movzx movsx bsf bsr bt bts xadd cmpxchg
    joined(opcodes("0faf 0fb6 0fb7 0fbe 0fbf 0fbc 0fbd 0fa3 0fab 0fc1 0fb1"), pairs),
    # cwde cdq lahf sahf cmc clc stc cld std nop aas daa aaa das salc aad xchg pause wait
    opcodes("98 99 9f 9e f5 f8 f9 fc fd 90 3f 27 37 2f d6 d50a 93 f390 9b"),
)

shifts = st.one_of(
    # rol ror rcl rcr shl shr sal sar, by a number, by CL, by one
    build(
        lambda size, op, r, n: size + b"\xc1" + direct(op, r) + bytes((n,)),
        sizes,
        operations,
        registers,
        small,
    ),
    build(lambda size, op, r: size + b"\xd3" + direct(op, r), sizes, operations, registers),
    build(lambda op, r: b"\xd0" + direct(op, r), operations, byte_registers),
    build(lambda op, pair, n: op + pair + bytes((n,)), opcodes("0fa4 0fac"), pairs, small),
    joined(opcodes("0fa5 0fad"), pairs),
)

memory = st.one_of(
    # the eight operations, mov, xchg, movzx, movsx, xadd, cmpxchg, and with LOCK
    joined(sizes, opcodes("01 03 11 13 19 1b 29 2b 31 33 39 3b 89 8b 87"), addressed),
    joined(opcodes("88 8a 86 00 02 20 22"), addressed),
    joined(opcodes("0fb6 0fb7 0fbe 0fbf 0fc1 0fb1 f00fc1 f00fb1 f001"), addressed),
    build(lambda op, a: b"\xff" + absolute(op, a), st.integers(0, 1), cells),
    build(lambda a, v: b"\xc7" + absolute(0, a) + le32(v), cells, words),
    # bts btr btc
    build(
        lambda op, a, n: b"\x0f\xba" + absolute(op, a) + bytes((n,)),
        st.integers(5, 7),
        cells,
        small,
    ),
    # enter and leave
    opcodes("c8100000c9 89e5c8000002c9"),
)

floating = st.one_of(
    # fld1 fldpi fadd fmul fsqrt fchs fxch fninit fnstsw fstp
    opcodes("d9e8 d9eb d8c1 d8c9 d9fa d9e0 d9c9 dbe3 dfe0 ddd8"),
    # fld fstp fild fistp fldcw fnstcw fld tbyte, fstp tbyte
    build(
        lambda op, a: op[:1] + absolute(op[1], a),
        opcodes("dd00 dd03 db00 db03 d907 db05 db07"),
        cells,
    ),
    joined(opcodes("0f10 0f11"), addressed),  # movups
    joined(opcodes("0f58 0f59 660ffe 660fef f20f58"), byte_pairs),  # addps mulps paddd pxor addsd
)


def string_operation(
    direction: bytes, prefixes: bytes, operation: bytes, count: int, source: int, target: int
) -> bytes:
    """Return a string operation, REP or not, with its registers set."""
    values = ((ECX, count), (ESI, source), (EDI, target), (EDX, POST_PORT))
    setup = b"".join(bytes((0xB8 + register,)) + le32(value) for register, value in values)
    return setup + direction + prefixes + operation


strings = build(
    string_operation,
    opcodes("fc fd"),
    st.one_of(st.just(b""), opcodes("f3 f3 f2 f366 f266 f367 f26766 67")),
    opcodes("a4 a5 a6 a7 aa ab ac ad ae af 6c 6d 6e 6f"),
    st.integers(0, 12),
    middle,
    middle,
)

ports = st.one_of(
    build(lambda size, op: size + bytes((op, POST_PORT)), sizes, st.integers(0xE4, 0xE7)),
    build(
        lambda port, op: bytes((0xB8 + EDX,)) + le32(port) + bytes((op,)),
        st.sampled_from([NO_PORT, POST_PORT, POST_PORT + 1]),
        st.integers(0xEC, 0xEF),
    ),
    # the timer's counter, latched and not; the clock's second and hour
    opcodes("b000e643e440 e440 e540 b000e670e471 b004e670e471"),
)

results = st.one_of(
    opcodes("0f31"),
    # rdrand rdseed
    build(
        lambda size, op, r: size + b"\x0f\xc7" + direct(op, r), sizes, st.integers(6, 7), registers
    ),
)

faulting = st.one_of(
    # div idiv aam
    build(lambda size, op, r: size + b"\xf7" + direct(op, r), sizes, st.integers(6, 7), registers),
    build(lambda op, r: b"\xf6" + direct(op, r), st.integers(6, 7), byte_registers),
    build(lambda op, a: b"\xf7" + absolute(op, a), st.integers(6, 7), cells),
    opcodes("d400 d40a"),
    # what is no instruction
    opcodes("0f0b 0fffc0 0fb9c0 ffff f090 0f04 f001c0 8fc8 fed0"),
    # int3, int 0x80, int 5, int 6, into, icebp; into behind an overflow; bound
    opcodes("cc cd80 cd05 cd06 ce f1 b07f0401ce"),
    build(lambda r, a: b"\x62" + absolute(r, a), registers, cells),
    # cli, sti, sti with nop, clts, mov eax cr0, mov ebx cr2: for ring 0 only, or by IOPL
    opcodes("fa fb fb90 0f06 0f20c0 0f20d3"),
    # null in SS, a selector beyond the GDT, code in SS, a selector of no segment for LTR
    opcodes("31c08ed0 b8500000008ed8 b8080000008ed0 31c00f00d8"),
    # push and pop of segment registers, mov to ES and SS
    opcodes("1e1f 0607 1617 8cd88ec0 8cd08ed0 0fa00fa1 0fa80fa9"),
    # pages with special rights
    build(
        lambda op, page, at, r: op + absolute(r, page + at),
        opcodes("89 8b 01 87"),
        st.sampled_from([ABSENT, READ_ONLY, SUPERVISOR]),
        st.sampled_from([0, 4, 0x100, 0xFFE]),
        registers,
    ),
    build(
        lambda op, count, back: string_operation(
            b"\xfc", b"\xf3", op, count, DATA + 0x100, READ_ONLY - 4 * back
        ),
        opcodes("a5 ab"),
        st.integers(1, 8),
        st.integers(0, 4),
    ),
    floating,
)

pushes = st.one_of(
    build(lambda a, b: bytes((0x50 + a, 0x58 + b)), byte_registers, registers),
    opcodes("6061 9c9d 1e1f"),
).map(lambda pair: (pair[:1], pair[1:]))

patches = st.one_of(
    st.builds(Patch, st.sampled_from([0x40, 0x41, 0x43, 0x4A, 0xF9, 0x90]), st.integers(0, 9)),
    st.builds(FillCode, st.sampled_from([0x40, 0x46, 0x90, 0xF5]), st.integers(0, 9)),
    st.builds(PatchedCall, words),
)

leaves: SearchStrategy[Piece] = st.one_of(
    arithmetic.map(Plain),
    arithmetic.map(Plain),
    shifts.map(Plain),
    memory.map(Plain),
    memory.map(Plain),
    strings.map(Plain),
    ports.map(Plain),
    results.map(Plain),
    faulting.map(Attempt),
    faulting.map(Attempt),
    patches,
    st.just(AbsentCall()),
    st.just(Unmap()),
    st.builds(
        CountedLoop,
        st.integers(0xE0, 0xE2),
        st.integers(1, 6),
        st.lists(st.one_of(arithmetic, shifts), max_size=4).map(b"".join),
    ),
)


def _nested(inner: SearchStrategy[Piece]) -> SearchStrategy[Piece]:
    body = st.lists(inner, max_size=5).map(tuple)
    return st.one_of(
        st.builds(Loop, st.integers(1, 4), body),
        st.builds(Skip, st.sampled_from(CONDITIONS), body),
        st.builds(Call, body),
        st.builds(lambda pair, body: Saved(*pair, body), pushes, body),
    )


@dataclass(frozen=True)
class Program:
    """Pieces, and where they run: ``paging`` and, only with it, ``user`` for ring 3."""

    pieces: tuple[Piece, ...]
    paging: bool
    user: bool

    def segments(self) -> list[tuple[int, bytes]]:
        """Return the code, which begins at CODE and ends by INT END."""
        code = Emitter(CODE)
        code.mov(EAX, 0x600).mov_cr(4, EAX)  # OSFXSR, OSXMMEXCPT: SSE
        if self.paging:
            enter_paging(code)
        if self.user:
            start = code.here + len(enter_user(Assembler(0), 0).bytes())
            enter_user(code, start)
        for piece in self.pieces:
            piece.emit(code)
        code.raw(0xCD, END)
        code.org(max(code.here, FUNCTIONS))
        while code.functions:
            name, body = code.functions.pop()
            code.label(name)
            for piece in body:
                piece.emit(code)
            code.ret()
        assert code.here < ABSENT
        function = Assembler(ABSENT_FUNCTION).inc(EAX).ret()
        return [(CODE, code.bytes()), (ABSENT_FUNCTION, function.bytes())]


programs = st.builds(
    lambda pieces, mode: Program(tuple(pieces), mode >= 1, mode == 2),
    st.lists(st.recursive(leaves, _nested, max_leaves=12), min_size=1, max_size=14),
    st.integers(0, 2),
)
