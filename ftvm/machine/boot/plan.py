"""What a machine must be given before its first instruction, as plain data.

A boot protocol makes a plan; the machine writes, zeroes and loads registers.
Registers that are not named start as zero; CR4 is one of them, whatever the
CPU engine starts with.
"""

from dataclasses import dataclass

from ftvm.units import GuestPhysical


@dataclass(frozen=True)
class SegmentRegister:
    """A segment register with its hidden part.

    ``limit`` is the last valid offset in bytes. ``descriptor_high`` is the
    upper doubleword of the descriptor, whose bits 8..23 are the attributes
    (Intel SDM vol. 3A, figure 3-8).
    """

    selector: int
    base: int
    limit: int
    descriptor_high: int


@dataclass(frozen=True)
class StartRegisters:
    """The CPU at the first instruction; ``data`` is for DS, ES, FS, GS and SS alike.

    The descriptors of ``code`` and ``data`` stand in the table at ``gdt_base``,
    so loading the selectors gives the same as the hidden parts named here.
    """

    eip: int
    eax: int
    ebx: int
    eflags: int
    cr0: int
    code: SegmentRegister
    data: SegmentRegister
    gdt_base: GuestPhysical
    gdt_limit: int


@dataclass(frozen=True)
class BootPlan:
    """Bytes to write, ranges (address, length in bytes) to zero, and the CPU's start.

    No two of the writes and ranges overlap, and all lie in the machine's memory.
    """

    segments: tuple[tuple[GuestPhysical, bytes], ...]
    zeroed: tuple[tuple[GuestPhysical, int], ...]
    registers: StartRegisters

    @property
    def entry(self) -> GuestPhysical:
        """Where the first instruction is; segments are flat, so EIP is physical."""
        return GuestPhysical(self.registers.eip)
