"""The oracle of the instruction count: stock Unicorn, one hook per instruction.

It runs the engine that `import unicorn` loads, another copy than the core's,
and shares only the devices with the machine under test. Exceptions are
delivered here, by the rules of the SDM and not by the engine. What it cannot
follow ends the run: `Limit` says what, and everything before it counts.
"""

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import engine_state as engine
import unicorn
from evidence import Limit, Log, View, memory_digest
from unicorn import unicorn_const as const
from unicorn import x86_const as x86

from ftvm.machine.boot.plan import BootPlan
from ftvm.machine.cpu import Entry, Kind

GENERAL = tuple(
    getattr(x86, f"UC_X86_REG_{name}")
    for name in ("EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI")
)
CPUID_RESULTS = tuple(getattr(x86, f"UC_X86_REG_{name}") for name in ("EAX", "EBX", "ECX", "EDX"))
SHOWN = (*GENERAL, x86.UC_X86_REG_EIP, x86.UC_X86_REG_EFLAGS)
CS, SS = 1, 2
SEGMENT_NUMBERS = tuple(
    getattr(x86, f"UC_X86_REG_{name}") for name in ("ES", "CS", "SS", "DS", "FS", "GS")
)
TRAP_FLAG, INTERRUPT_FLAG, NESTED_TASK, RESUME_FLAG, VIRTUAL_8086 = (
    1 << 8,
    1 << 9,
    1 << 14,
    1 << 16,
    1 << 17,
)

RDTSC, RDTSCP, RDRAND = b"\x0f\x31", b"\x0f\x01\xf9", b"\x0f\xc7"
SYSENTER, SYSCALL, RDPMC = b"\x0f\x34", b"\x0f\x05", b"\x0f\x33"
RDMSR, WRMSR, CMPXCHG8B = b"\x0f\x32", b"\x0f\x30", b"\x0f\xc7\x0d"
SYSENTER_MSRS = frozenset((0x174, 0x175, 0x176))
PREFIXES = b"\x66\x67\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65"

PAGING = 1 << 31  # CR0
PAGE_SIZE_EXTENSION, PHYSICAL_ADDRESS_EXTENSION = 0x10, 0x20  # CR4

WITH_ERROR_CODE = frozenset((8, 10, 11, 12, 13, 14, 17))


class World(Protocol):
    """What is around the oracle's CPU; counts are those before the instruction."""

    def read(self, port: int, size: int) -> int: ...

    def write(self, port: int, size: int, value: int) -> None: ...

    def cpuid(self, leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        """Return EAX, EBX, ECX and EDX."""
        ...

    def event(self, entry: Entry) -> int | None:
        """Take in an event; the vector, if the CPU takes an interrupt by it."""
        ...

    @property
    def done(self) -> bool:
        """Whether the guest wants to leave."""
        ...


@dataclass
class Oracle:
    """A guest on stock Unicorn, with what came from outside taken from `log`.

    ``world`` answers ports and events. ``reads_code`` is for guests with
    instructions that the core defines, and costs time. `views` has what the
    guest showed at the stops asked for.
    """

    plan: BootPlan
    memory_bytes: int
    log: Log
    world: World
    reads_code: bool = True

    def __post_init__(self) -> None:
        self.count = 0
        self.limit: str | None = None
        self.views: dict[int, View] = {}
        self._stops: list[int] = []
        self._until: int | None = None
        self._next_stop: int | None = None
        self._error: BaseException | None = None
        self._stopped = False
        self._address = -1
        self._registers = (0, 0)
        self._code_pages: set[int] = set()
        self._ram = (ctypes.c_uint8 * self.memory_bytes)()
        self.ram = memoryview(self._ram).cast("B")
        self._make_engine()

    def _make_engine(self) -> None:
        self.uc = uc = unicorn.Uc(const.UC_ARCH_X86, const.UC_MODE_32)
        uc.ctl_set_cpu_model(x86.UC_CPU_X86_QEMU32)
        uc.ctl_exits_enabled(True)
        uc.mem_map_ptr(0, self.memory_bytes, const.UC_PROT_ALL, ctypes.addressof(self._ram))
        uc.mmio_map(
            self.memory_bytes,
            (1 << 32) - self.memory_bytes,
            lambda uc, offset, size, _: (1 << 8 * size) - 1,
            None,
            lambda uc, offset, size, value, _: None,
            None,
        )
        for address, data in self.plan.segments:
            self.ram[address : address + len(data)] = data
        uc.hook_add(const.UC_HOOK_CODE, self._guard(self._on_instruction))
        uc.hook_add(const.UC_HOOK_INTR, self._guard(self._on_exception))
        uc.hook_add(const.UC_HOOK_INSN_INVALID, self._guard(self._on_invalid, error=False))
        uc.hook_add(const.UC_HOOK_INSN, self._guard(self._on_in, error=0), aux1=x86.UC_X86_INS_IN)
        uc.hook_add(const.UC_HOOK_INSN, self._guard(self._on_out), aux1=x86.UC_X86_INS_OUT)
        uc.hook_add(
            const.UC_HOOK_INSN, self._guard(self._on_cpuid, error=1), aux1=x86.UC_X86_INS_CPUID
        )
        start = self.plan.registers
        uc.reg_write(x86.UC_X86_REG_GDTR, (0, start.gdt_base, start.gdt_limit, 0))
        uc.reg_write(x86.UC_X86_REG_CR0, start.cr0)
        uc.reg_write(x86.UC_X86_REG_CR4, 0)
        for number, register in enumerate(SEGMENT_NUMBERS):
            segment = start.code if number == CS else start.data
            uc.reg_write(register, segment.selector)
        uc.reg_write(x86.UC_X86_REG_EFLAGS, start.eflags)
        uc.reg_write(x86.UC_X86_REG_EAX, start.eax)
        uc.reg_write(x86.UC_X86_REG_EBX, start.ebx)
        uc.reg_write(x86.UC_X86_REG_EIP, start.eip)
        self._environment = engine.Environment(uc)

    def set_stack_and_idt(self, esp: int, base: int, limit: int) -> None:
        """Set what a boot plan leaves at zero."""
        self.uc.reg_write(x86.UC_X86_REG_ESP, esp)
        self.uc.reg_write(x86.UC_X86_REG_IDTR, (0, base, limit, 0))

    # --- running ---

    def run(self, until: int | None, stops: Iterable[int] = ()) -> None:
        """Run to count `until` or to the guest's end or the oracle's, which sets `limit`."""
        self._stops = sorted(set(stops), reverse=True)
        self._until = until
        self._look()
        while self._error is None and not self.world.done and self.count != until:
            self._start()
            if self._error is None and not self._stopped and not self._wake():
                break
        if isinstance(self._error, Limit):
            self.limit = str(self._error)
        elif self._error is not None:
            raise self._error
        else:
            self._look()

    def _start(self) -> None:
        self._stopped = False
        try:
            self.uc.emu_start(self.uc.reg_read(x86.UC_X86_REG_EIP), 0)
        except unicorn.UcError as error:
            self._error = self._error or Limit(str(error))

    def _wake(self) -> bool:
        """The guest has halted: take in what the log has for now. False if nothing."""
        if self.log.next_event != self.count:
            return False
        self._look()
        self._events()
        return True

    def _events(self) -> bool:
        """Take in what the log has for this count. True: an interrupt was taken."""
        taken = False
        while (entry := self.log.event(self.count)) is not None:
            vector = self.world.event(entry)
            if vector is not None:
                self._deliver(vector, 0, False, hardware=True)
                taken = True
        return taken

    def _stop(self) -> None:
        self._stopped = True
        self.uc.emu_stop()

    def _guard(self, hook: Callable[..., object], error: object = None) -> Callable[..., object]:
        """Hooks cannot raise: keep the exception and stop."""

        def guarded(*arguments: object) -> object:
            if self._error is None:
                try:
                    return hook(*arguments)
                except BaseException as raised:
                    self._error = raised
            self._stop()
            return error

        return guarded

    def _on_instruction(self, uc: unicorn.Uc, address: int, size: int, _: object) -> None:
        if self._stopped:
            return  # the engine finishes its block before it stops
        registers = self._environment.get(engine.ECX), self._environment.get(engine.ESP)
        if address == self._address and registers == self._registers:
            # It stored into its own block, and the engine begins it again, once
            # more believing that the flags are still to be computed.
            self._environment.put(engine.CC_OP, engine.CC_OP_EFLAGS)
            return
        if self.count == self._next_stop:
            self._look()
            if self.count == self._until:
                self._stop()
                return
        if self.log.next_event == self.count and self._events():
            self._go_on(self._environment.get(engine.EIP))
            return
        self._address, self._registers = address, registers
        self.count += 1
        if self.reads_code:
            self._code_pages.add(address >> 12)
            self._defined_here(self._fetch(address))

    def _defined_here(self, code: bytes) -> None:
        """Do the instruction if stock Unicorn does not, or not as the CPU."""
        instruction = code.lstrip(PREFIXES)
        behind = self.uc.reg_read(x86.UC_X86_REG_EIP) + len(code) - len(instruction)
        if instruction.startswith((RDTSC, RDTSCP)):
            if self._environment.get(engine.CR4) & 4 and self._environment.get(engine.HFLAGS) & 3:
                raise Limit("a time stamp that ring 3 is refused")
            value = self.log.time_stamp(self.count - 1)
            self.uc.reg_write(x86.UC_X86_REG_EAX, value & 0xFFFFFFFF)
            self.uc.reg_write(x86.UC_X86_REG_EDX, value >> 32)
            if instruction.startswith(RDTSCP):
                self.uc.reg_write(x86.UC_X86_REG_ECX, self._environment.get(engine.TSC_AUX))
                behind += 1
            self._go_on(behind + len(RDTSC))
        elif instruction.startswith(SYSENTER):
            self._sysenter()
        elif instruction.startswith((SYSCALL, RDPMC)):
            self._deliver(6, 0, False)
            self._go_on(self._environment.get(engine.EIP))
        elif (
            instruction.startswith((RDMSR, WRMSR))
            and self.uc.reg_read(x86.UC_X86_REG_ECX) not in SYSENTER_MSRS
        ) or instruction.startswith(CMPXCHG8B):
            self.count -= 1
            raise Limit("stock Unicorn does this otherwise")

    def _go_on(self, eip: int) -> None:
        """Go on at `eip`: what a hook writes there holds only if the engine is told so."""
        self._address = -1
        self.uc.reg_write(x86.UC_X86_REG_EIP, eip & 0xFFFFFFFF)

    def _sysenter(self) -> None:
        """SDM vol. 2B, SYSENTER."""
        environment = self._environment
        selector = environment.get(engine.SYSENTER_CS) & 0xFFFC
        if not selector:
            self._deliver(13, 0, False)
            self._go_on(environment.get(engine.EIP))
            return
        environment.put_segment(CS, selector, (0, 0xFFFFFFFF, 0xC09B00))
        environment.put_segment(SS, selector + 8, (0, 0xFFFFFFFF, 0xC09300))
        flags = self.uc.reg_read(x86.UC_X86_REG_EFLAGS)
        environment.put_eflags(flags & ~(VIRTUAL_8086 | INTERRUPT_FLAG))
        if any(environment.segment(number)[1] for number in (0, 3)):
            raise Limit("data segments with a base")
        environment.put(engine.HFLAGS, environment.get(engine.HFLAGS) & ~0x73 | 0x30)
        self.uc.reg_write(x86.UC_X86_REG_ESP, environment.get(engine.SYSENTER_ESP))
        self._go_on(environment.get(engine.SYSENTER_EIP))

    def _fetch(self, linear: int) -> bytes:
        physical = self._translate(linear, write=False)
        return bytes(self.ram[physical : physical + 15])

    def _look(self) -> None:
        if self._stops and self._stops[-1] == self.count:
            self._stops.pop()
            *general, eip, eflags = self.uc.reg_read_batch(SHOWN)
            self.views[self.count] = View(
                self.count, tuple(general), eip, eflags, memory_digest(self.ram)
            )
        upcoming = [stop for stop in (self._until, *self._stops[-1:]) if stop is not None]
        self._next_stop = min(upcoming, default=None)

    # --- results and ports ---

    def _on_cpuid(self, uc: unicorn.Uc, _: object) -> int:
        """Answer as the core does: which features there are is its choice."""
        leaf, subleaf = uc.reg_read(x86.UC_X86_REG_EAX), uc.reg_read(x86.UC_X86_REG_ECX)
        for register, value in zip(CPUID_RESULTS, self.world.cpuid(leaf, subleaf), strict=True):
            uc.reg_write(register, value)
        return 1

    def _on_in(self, uc: unicorn.Uc, port: int, size: int, _: object) -> int:
        return self.world.read(port & 0xFFFF, size)

    def _on_out(self, uc: unicorn.Uc, port: int, size: int, value: int, _: object) -> None:
        self.world.write(port & 0xFFFF, size, value & (1 << 8 * size) - 1)
        if self.world.done:
            self._stop()

    def _on_invalid(self, uc: unicorn.Uc, _: object) -> bool:
        """#UD or INT 6; but RDRAND and RDSEED, which this CPU model lacks, are emulated."""
        environment = self._environment
        if environment.get(engine.EXCEPTION_IS_INT):
            environment.put(engine.EIP, environment.get(engine.EXCEPTION_NEXT_EIP))
            self._deliver(6, 0, True)
            return True
        environment.put(engine.CC_OP, engine.CC_OP_EFLAGS)  # as in _on_exception
        eip = uc.reg_read(x86.UC_X86_REG_EIP)
        code = self._fetch(eip)
        length = 0
        while length < 14 and code[length] in PREFIXES:
            length += 1
        modrm = code[length + 2]
        if code[length : length + 2] == RDRAND and modrm >= 0xF0:
            if set(code[:length]) - {0x66}:
                raise Limit("RDRAND with odd prefixes")
            value = self.log.result(Kind.RANDOM, self.count - 1)
            register = GENERAL[modrm & 7]
            if length:
                value = uc.reg_read(register) & 0xFFFF0000 | value & 0xFFFF
            uc.reg_write(register, value)
            flags = uc.reg_read(x86.UC_X86_REG_EFLAGS)
            uc.reg_write(x86.UC_X86_REG_EFLAGS, flags & ~0x8D5 | 1)
            uc.reg_write(x86.UC_X86_REG_EIP, eip + length + 3)
        else:
            self._deliver(6, 0, False)
        return True

    # --- exceptions, by hand ---

    def _on_exception(self, uc: unicorn.Uc, vector: int, _: object) -> None:
        environment = self._environment
        if uc.reg_read(x86.UC_X86_REG_EIP) == self._address:
            # A fault. The hook before the instruction has computed the flags, and
            # the engine believes again that they are still to be computed.
            environment.put(engine.CC_OP, engine.CC_OP_EFLAGS)
        is_int = bool(environment.get(engine.EXCEPTION_IS_INT))
        self._deliver(vector, environment.get(engine.ERROR_CODE), is_int)

    def _deliver(
        self, vector: int, error_code: int, is_int: bool, *, hardware: bool = False
    ) -> None:
        """Enter the handler of `vector` (SDM vol. 3A §6.12.1); EIP is what to save."""
        address, self._address = self._address, -1
        environment, uc = self._environment, self.uc
        flags = uc.reg_read(x86.UC_X86_REG_EFLAGS)
        eip = uc.reg_read(x86.UC_X86_REG_EIP)
        if not uc.reg_read(x86.UC_X86_REG_CR0) & 1 or flags & VIRTUAL_8086:
            raise Limit("an exception outside plain protected mode")
        _, base, limit, _ = uc.reg_read(x86.UC_X86_REG_IDTR)
        low, high = 0, 0
        if 8 * vector + 7 <= limit:
            low, high = self._read(base + 8 * vector), self._read(base + 8 * vector + 4)
        kind, gate_privilege, selector = high >> 8 & 0x1F, high >> 13 & 3, low >> 16
        privilege = environment.get(engine.HFLAGS) & 3
        if kind == 5:
            raise Limit("a task gate")
        if kind not in (0xE, 0xF) or (is_int and gate_privilege < privilege):
            self._deliver_failed(vector, 13, is_int, hardware, address)
            return
        if not high & 0x8000:
            self._deliver_failed(vector, 11, is_int, hardware, address)
            return
        code = self._descriptor(selector)
        code_privilege = code[2] >> 13 & 3
        if code[2] & 0x9800 != 0x9800 or code[2] & 0x400 or code_privilege > privilege:
            raise Limit("a handler in an odd segment")
        stack, frame = self._stack(privilege, code_privilege)
        frame += [flags, environment.segment(CS)[0], eip]
        if not is_int and not hardware and vector in WITH_ERROR_CODE:
            frame.append(error_code)
        self._push(stack, frame)
        keep = flags & ~(
            TRAP_FLAG | NESTED_TASK | RESUME_FLAG | (INTERRUPT_FLAG if kind == 0xE else 0)
        )
        environment.put_eflags(keep)
        environment.put_segment(CS, selector & ~3 | code_privilege, code)
        hflags = environment.get(engine.HFLAGS) & ~0x13
        environment.put(engine.HFLAGS, hflags | code_privilege | (code[2] >> 22 & 1) << 4)
        environment.put(engine.EIP, low & 0xFFFF | high & 0xFFFF0000)
        environment.put(engine.OLD_EXCEPTION, 0xFFFFFFFF)

    def _deliver_failed(
        self, vector: int, fault: int, is_int: bool, hardware: bool, address: int
    ) -> None:
        """The gate of `vector` is none: #GP or #NP, or a double fault (SDM vol. 3A table 6-5)."""
        if is_int:
            self._environment.put(engine.EIP, address)
        from_outside = is_int or hardware
        if not from_outside and vector == 8:
            raise Limit("a triple fault")
        if not from_outside and (vector in (0, 10, 11, 12, 13, 14)):
            self._deliver(8, 0, False)
        else:
            self._deliver(fault, vector * 8 + 2, False)

    def _stack(self, privilege: int, new_privilege: int) -> tuple[int, list[int]]:
        """Choose the handler's stack; return its top and what goes there first."""
        environment = self._environment
        if privilege == new_privilege:
            if not environment.segment(SS)[3] & 1 << 22:
                raise Limit("a 16-bit stack")
            return self.uc.reg_read(x86.UC_X86_REG_ESP), []
        _, task, task_limit, attributes = self.uc.reg_read(x86.UC_X86_REG_TR)
        if attributes >> 8 & 0xF not in (9, 11) or task_limit < 103 or new_privilege != 0:
            raise Limit("a change of ring without a TSS")
        old = [environment.segment(SS)[0], self.uc.reg_read(x86.UC_X86_REG_ESP)]
        stack, selector = self._read(task + 4), self._read(task + 8) & 0xFFFF
        descriptor = self._descriptor(selector)
        if descriptor[2] & 0xFA00 != 0x9200 or selector & 3 or not descriptor[2] & 1 << 22:
            raise Limit("a ring-0 stack in an odd segment")
        environment.put_segment(SS, selector, descriptor)
        hflags = environment.get(engine.HFLAGS) & ~0x23
        environment.put(engine.HFLAGS, hflags | (descriptor[2] >> 22 & 1) << 5)
        return stack, old

    def _push(self, stack: int, frame: list[int]) -> None:
        base = self._environment.segment(SS)[1]
        for value in frame:
            stack = stack - 4 & 0xFFFFFFFF
            physical = self._translate(base + stack & 0xFFFFFFFF, write=True)
            if physical & 0xFFF > 0xFFC or physical + 4 > self.memory_bytes:
                raise Limit("a stack across two pages or where there is no memory")
            if base + stack >> 12 in self._code_pages:
                raise Limit("a stack in code, which the engine would not see change")
            self.ram[physical : physical + 4] = value.to_bytes(4, "little")
        self.uc.reg_write(x86.UC_X86_REG_ESP, stack)

    def _descriptor(self, selector: int) -> tuple[int, int, int]:
        """Return base, limit and attributes of a segment in the GDT."""
        _, base, limit, _ = self.uc.reg_read(x86.UC_X86_REG_GDTR)
        at = selector & ~7
        if not at or selector & 4 or at + 7 > limit:
            raise Limit("a selector that is not in the GDT")
        low, high = self._read(base + at), self._read(base + at + 4)
        segment_limit = low & 0xFFFF | high & 0xF0000
        if high & 1 << 23:
            segment_limit = segment_limit << 12 | 0xFFF
        return low >> 16 | (high & 0xFF) << 16 | high & 0xFF000000, segment_limit, high

    # --- memory as the guest sees it ---

    def _read(self, linear: int) -> int:
        physical = self._translate(linear & 0xFFFFFFFF, write=False)
        if physical & 0xFFF > 0xFFC:
            raise Limit("a table entry across two pages")
        return self._physical(physical)

    def _physical(self, address: int) -> int:
        if address + 4 > self.memory_bytes:
            raise Limit("a table where there is no memory")
        return int.from_bytes(self.ram[address : address + 4], "little")

    def _translate(self, linear: int, *, write: bool) -> int:
        """Walk two-level page tables as the CPU does, setting accessed and dirty bits."""
        environment = self._environment
        if not environment.get(engine.CR0) & PAGING:
            return linear
        cr4 = environment.get(engine.CR4)
        if cr4 & PHYSICAL_ADDRESS_EXTENSION:
            raise Limit("three-level page tables")
        address = environment.get(engine.CR3) & ~0xFFF
        for shift in (22, 12):
            at = address + (linear >> shift & 0x3FF) * 4
            entry = self._physical(at)
            if not entry & 1 or (write and not entry & 2):
                raise Limit("a page fault while an exception is delivered")
            large = shift == 22 and entry & 0x80 and cr4 & PAGE_SIZE_EXTENSION
            seen = entry | 0x20 | (0x40 if write and (shift == 12 or large) else 0)
            if seen != entry:
                self.ram[at : at + 4] = seen.to_bytes(4, "little")
            if large:
                return entry & 0xFFC00000 | linear & 0x3FFFFF
            address = entry & ~0xFFF
        return address | linear & 0xFFF
