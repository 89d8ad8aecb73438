"""Transcendental functions of the x87, computed by a guest.

As a program it prints the digest of a great many results: `python x87.py`.
"""

import hashlib
import random
import struct
from collections.abc import Sequence

from assembler import Assembler, le32
from bare import CODE, bare_machine

from ftvm.machine.cpu import Reason
from ftvm.units import InstructionCount

OPERATIONS = {
    "fsin": 0xFE, "fcos": 0xFF, "fsincos": 0xFB, "fptan": 0xF2,
    "fpatan": 0xF3, "fyl2x": 0xF1, "fyl2xp1": 0xF9, "f2xm1": 0xF0,
}  # fmt: skip
"""Second bytes of the opcodes, behind D9 (Intel SDM vol. 2)."""

OPERANDS, RESULTS = 0x20000, 0x30000
PAIRS_MAX = 1000
Pair = tuple[float, float]


def compute(operation: str, operands: Sequence[Pair]) -> list[Pair]:
    """Return ST(0) and ST(1) behind an operation, for each ST(0) and ST(1) before it."""
    code = Assembler(CODE)
    for index in range(len(operands)):
        at, to = OPERANDS + 16 * index, RESULTS + 16 * index
        code.raw(0xDB, 0xE3)  # fninit
        code.raw(0xDD, 0x05, *le32(at + 8)).raw(0xDD, 0x05, *le32(at))  # fld
        code.raw(0xD9, OPERATIONS[operation])
        code.raw(0xDD, 0x1D, *le32(to)).raw(0xDD, 0x1D, *le32(to + 8))  # fstp
    data = b"".join(struct.pack("<dd", *pair) for pair in operands)
    machine = bare_machine((CODE, code.hlt().bytes()), (OPERANDS, data))
    assert machine.run(InstructionCount(100_000)) is Reason.HALTED
    return [
        struct.unpack_from("<dd", machine.cpu.memory, RESULTS + 16 * index)
        for index in range(len(operands))
    ]


def digest(seed: int) -> str:
    """Return a digest of results of every operation, whose operands follow from a seed."""
    draw = random.Random(seed)
    found = hashlib.sha256()
    for operation in OPERATIONS:
        spread = 1.0 if operation in ("f2xm1", "fyl2xp1") else 1e6
        pairs = [(draw.uniform(0, spread), draw.uniform(1, 2)) for _ in range(PAIRS_MAX)]
        for pair in compute(operation, pairs):
            found.update(struct.pack("<dd", *pair))
    return found.hexdigest()


if __name__ == "__main__":
    print(digest(1))
