"""The C core as Python sees it: run to a count, results, log, memory.

One `Cpu` is one guest CPU with its memory. The port bus answers its port
accesses in place, while `run` is in the middle of a block; an exception raised
there ends the run and comes out of it.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from ftvm._native import _core
from ftvm.errors import EngineError, HostError, StateError
from ftvm.units import PAGE_BYTES, GuestPhysical, InstructionCount, Nanoseconds

ffi: Any = _core.ffi
lib: Any = _core.lib

FOREVER: Final = InstructionCount(2**64 - 1)
NEVER: Final = Nanoseconds(2**64 - 1)
INTERRUPT_FLAG = 1 << 9  # EFLAGS.IF, Intel SDM vol. 1 figure 3-8
POST_PORTS = 16
_ERROR_BYTES = 200
_PAYLOAD_BYTES = 65536


class Reason(enum.IntEnum):
    """Why a run came back; the numbers are those of the C core."""

    TARGET = lib.CORE_TARGET
    ATTENTION = lib.CORE_ATTENTION
    DEADLINE = lib.CORE_DEADLINE
    TIMER_DUE = lib.CORE_TIMER_DUE
    HALTED = lib.CORE_HALTED
    EVENT = lib.CORE_EVENT
    LOG_EMPTY = lib.CORE_LOG_EMPTY
    LOG_FULL = lib.CORE_LOG_FULL
    SHUTDOWN = lib.CORE_SHUTDOWN
    DIVERGED = lib.CORE_DIVERGED
    ENGINE_ERROR = lib.CORE_ENGINE_ERROR


class Mode(enum.IntEnum):
    """Where results come from: the host, the host with a record kept, the log."""

    SOLO = lib.CORE_SOLO
    RECORD = lib.CORE_RECORD
    REPLAY = lib.CORE_REPLAY


class Kind(enum.IntEnum):
    """What a log entry is: TSC, RANDOM, CLOCK and FAILURE are results, the others events."""

    TSC = lib.CORE_TSC
    RANDOM = lib.CORE_RANDOM
    CLOCK = lib.CORE_CLOCK
    INTERRUPT = lib.CORE_INTERRUPT
    TIMER = lib.CORE_TIMER
    INPUT = lib.CORE_INPUT
    DIGEST = lib.CORE_DIGEST
    FAILURE = lib.CORE_FAILURE


@dataclass(frozen=True)
class Entry:
    """A log entry. `value` is the result, vector, guest time, channel, or what has failed."""

    kind: Kind
    count: InstructionCount
    value: int
    payload: bytes


def _failed(_kind: type[BaseException], error: BaseException, trace: TracebackType) -> None:
    """Keep what a device raised until the run it happened in has ended."""
    cpu = ffi.from_handle(trace.tb_frame.f_locals["handle"])
    cpu.failed_callback(error)


@ffi.def_extern(onerror=_failed, error=0xFFFFFFFF)  # type: ignore[untyped-decorator]
def python_port_read(handle: Any, port: int, size: int) -> int:
    """Answer a port read of the guest."""
    return ffi.from_handle(handle).port_read(port, size)  # type: ignore[no-any-return]


@ffi.def_extern(onerror=_failed)  # type: ignore[untyped-decorator]
def python_port_write(handle: Any, port: int, size: int, value: int) -> None:
    """Take a port write of the guest."""
    ffi.from_handle(handle).port_write(port, size, value)


_CALLBACKS = ffi.new(
    "CoreCallbacks *",
    {"port_read": lib.python_port_read, "port_write": lib.python_port_write},
)

GATHER_NS = Nanoseconds(lib.CORE_GATHER_NS)
"""How long a live guest runs on after an output before `run` comes back with
it: a line of text makes one message instead of eighty. A guest that sleeps
behind its output comes back at once."""


class Cpu:
    """A guest CPU and its memory of `memory_bytes`, a multiple of the page size.

    Raises EngineError if the engine is not the one that ftvm is built for,
    HostError if the host has no memory.
    """

    _tested = False

    def __init__(
        self,
        memory_bytes: int,
        *,
        port_read: Callable[[int, int], int],
        port_write: Callable[[int, int, int], None],
    ) -> None:
        error = ffi.new("char[]", _ERROR_BYTES)
        if not Cpu._tested:
            if lib.core_selftest(error, _ERROR_BYTES):
                raise EngineError(f"self-test of the CPU engine: {ffi.string(error).decode()}")
            Cpu._tested = True
        self.port_read = port_read
        self.port_write = port_write
        self.memory_bytes = memory_bytes
        self._handle = ffi.new_handle(self)
        core = lib.core_new(memory_bytes, self._handle, _CALLBACKS[0], error, _ERROR_BYTES)
        if not core:
            raise HostError(ffi.string(error).decode())
        self._core = ffi.gc(core, lib.core_free)
        self.interrupts = ffi.new("Interrupts *")
        """The interrupt controllers, of api.h; interrupts.py has what is above them."""
        self.post = memoryview(ffi.buffer(lib.core_post(core), POST_PORTS))
        """The bytes at ports 0x80 to 0x8f, which the guest writes without coming here."""
        lib.interrupts_reset(self.interrupts)
        lib.core_attach_interrupts(self._core, self.interrupts)
        self.pit = ffi.new("Pit *")
        """The interval timer, of api.h, on interrupt line 0."""
        lib.core_attach_pit(self._core, self.pit)
        self._uarts: list[Any] = []
        self._outputs = lib.core_outputs(core)
        self._callback_error: BaseException | None = None
        self._payload = ffi.new("uint8_t[]", _PAYLOAD_BYTES)
        self._event = ffi.new("CoreEvent *")
        self._buffer = ffi.new("uint8_t[]", 1 << 16)
        self.memory = ffi.buffer(lib.core_memory(self._core), memory_bytes)
        self.gather_ns = GATHER_NS

    def failed_callback(self, error: BaseException) -> None:
        """Let the run come to its end, and `error` out of it."""
        if self._callback_error is None:
            self._callback_error = error
        self.attention()

    # --- running ---

    def run(self, until: InstructionCount, deadline: Nanoseconds) -> Reason:
        """Run up to count `until`, exactly; `deadline` is in `host_ns` time."""
        reason = Reason(lib.core_run(self._core, until, deadline))
        if self._callback_error is not None:
            error, self._callback_error = self._callback_error, None
            raise error
        if reason is Reason.ENGINE_ERROR:
            raise EngineError(self.error)
        return reason

    def attention(self) -> None:
        """Make `run` return soon; from any thread."""
        lib.core_attention(self._core)

    def hurry(self) -> None:
        """From a device that has put something out: let the run end within `gather_ns`."""
        lib.core_hurry(self._core)

    def set_gather(self, span: Nanoseconds) -> None:
        """Let runs go on so long, in host time, behind an output or while they shall wake."""
        self.gather_ns = span
        lib.core_set_gather(self._core, span)

    def set_sleep(self, until: Nanoseconds) -> None:
        """Let a guest that halts wait for its timer within `run`, until this host time; 0: not.

        `hurry` ends that, so that who sleeps behind an output comes back at once.
        """
        lib.core_set_sleep(self._core, until)

    def set_wake(self, descriptor: int) -> None:
        """Make `run` return soon when `descriptor` is readable; -1 for none."""
        lib.core_set_wake(self._core, descriptor)

    def set_entry_stop(self, entries: int) -> None:
        """Make `run` return once `log_entries` has reached `entries`."""
        lib.core_set_entry_stop(self._core, entries)

    def stop_after_port(self) -> None:
        """From a device's write: make `run` return right behind this instruction."""
        lib.core_stop_after_port(self._core)

    def reset(self) -> None:
        """From a device's write: the reset line is pulled, `run` returns SHUTDOWN behind it."""
        lib.core_reset(self._core)

    def set_a20(self, level: bool) -> None:
        """From a device's write: address line 20 passes, or stays low, behind this instruction."""
        lib.core_set_a20(self._core, level)

    @property
    def was_reset(self) -> bool:
        """Whether a SHUTDOWN came from the reset line and not from a triple fault."""
        return bool(self.registers.shutdown == lib.CORE_SHUTDOWN_RESET)

    @property
    def count(self) -> InstructionCount:
        """Engine steps so far; in a device's method, those before this access."""
        return InstructionCount(lib.core_count(self._core))

    @count.setter
    def count(self, count: InstructionCount) -> None:
        lib.core_set_count(self._core, count)

    def set_uncounted(self) -> None:
        """Run without counting from here on, to measure what counting costs."""
        lib.core_set_uncounted(self._core)

    @property
    def error(self) -> str:
        """What the core says of its last failure."""
        return ffi.string(lib.core_error(self._core)).decode()  # type: ignore[no-any-return]

    @property
    def halted_for_good(self) -> bool:
        """Whether the guest halted with interrupts off: nothing can wake it."""
        registers = self.registers
        return bool(registers.halted) and not registers.eflags & INTERRUPT_FLAG

    @property
    def port_buffer(self) -> Any:
        """The one block of data that a port can have, a `CorePortBuffer` of api.h."""
        return lib.core_port_buffer(self._core)

    # --- serial ports ---

    def attach_uart(self, stream: int, port: int, line: int) -> Any:
        """Return a `Uart *` of api.h for the ports from `port` on; its interrupt is `line`.

        What it puts out is on `stream`, 0 to 3.
        """
        uart = ffi.new("Uart *")
        self._uarts.append(uart)  # the core has it
        lib.core_attach_uart(self._core, uart, stream, port, line)
        return uart

    def take_outputs(self) -> list[tuple[InstructionCount, int, bytes]]:
        """Return what UARTs put out since the last call: count, stream, bytes of each piece.

        The count is that of the instruction that put out a piece's last byte.
        """
        outputs = self._outputs
        taken, begin = [], 0
        for index in range(outputs.piece_count):
            piece = outputs.pieces[index]
            data = ffi.unpack(ffi.cast("char *", outputs.bytes) + begin, piece.end - begin)
            taken.append((InstructionCount(piece.count), piece.stream, data))
            begin = piece.end
        outputs.piece_count = outputs.byte_count = 0
        return taken

    # --- results and the log ---

    def set_mode(self, mode: Mode) -> None:
        """Choose where results come from; an earlier log in the core is dropped."""
        lib.core_set_mode(self._core, mode)

    def clock(self) -> Nanoseconds:
        """Guest time as a logged result, for devices."""
        return Nanoseconds(lib.core_clock(self._core))

    def log_failure(self, what: int) -> None:
        """From a device's access: what it is based on could not be read."""
        lib.core_log_failure(self._core, what)

    def failure_due(self) -> int | None:
        """Replaying, from a device's access: what could not be read at this instruction, if so."""
        what = ffi.new("uint64_t *")
        return int(what[0]) if lib.core_failure_due(self._core, what) else None

    def guest_ns(self) -> Nanoseconds:
        """Guest time now, not logged: to decide when a timer event is due."""
        return Nanoseconds(lib.core_guest_ns(self._core))

    def host_ns(self) -> Nanoseconds:
        """The host's monotonic time, in which `run` takes its deadline."""
        return Nanoseconds(lib.core_host_ns(self._core))

    def simulate_host(self, seed: int, host_ns: Nanoseconds) -> None:
        """Take random numbers from `seed` and host time from `set_host_ns`, for good.

        What a machine does then is a function of what it is given, also while it
        is live; guest time goes on from where it is.
        """
        lib.core_simulate_host(self._core, seed, host_ns)

    def set_host_ns(self, host_ns: Nanoseconds) -> None:
        """Move the clock of a simulated host, which stands still otherwise and never goes back."""
        lib.core_set_host_ns(self._core, host_ns)

    @property
    def last_time(self) -> Nanoseconds:
        """The last guest time that was given to the guest, a device or an event."""
        return Nanoseconds(lib.core_last_time(self._core))

    def set_timer(self, due: Nanoseconds) -> None:
        """Make `run` return TIMER_DUE once guest time has reached `due`."""
        lib.core_set_timer(self._core, due)

    @property
    def timer(self) -> Nanoseconds | None:
        """When the next timer of all is due, the local APIC's too; None for never."""
        due = lib.core_timer(self._core)
        return None if due == NEVER else Nanoseconds(due)

    def set_guest_ns(self, now: Nanoseconds) -> None:
        """Let guest time go on from `now`."""
        lib.core_set_guest_ns(self._core, now)

    def log_event(self, kind: Kind, value: int, payload: bytes = b"") -> None:
        """Log an event that is applied at the current count.

        Raises ValueError if no entry can say that, or if the log must be taken first.
        """
        if not lib.core_log_event(self._core, kind, value, payload, len(payload)):
            raise ValueError(
                f"{kind.name} with {value} and {len(payload)} bytes cannot be logged at count "
                f"{self.count}, with {self.log_pending} bytes waiting to be taken"
            )

    def log_take(self) -> bytes:
        """Return the encoded entries recorded since the last call."""
        pending = lib.core_log_pending(self._core)
        if pending > len(self._buffer):
            self._buffer = ffi.new("uint8_t[]", pending)
        taken = lib.core_log_take(self._core, self._buffer, len(self._buffer))
        return bytes(ffi.buffer(self._buffer, taken))

    def log_put(self, entries: bytes) -> int:
        """Give entries to replay; returns how many bytes there was room for."""
        return int(lib.core_log_put(self._core, entries, len(entries)))

    @property
    def log_pending(self) -> int:
        """Bytes of entries recorded and not taken, or given and not replayed."""
        return int(lib.core_log_pending(self._core))

    @property
    def log_entries(self) -> int:
        """Entries recorded or replayed so far."""
        return int(lib.core_log_entries(self._core))

    @log_entries.setter
    def log_entries(self, entries: int) -> None:
        lib.core_set_log_entries(self._core, entries)

    @property
    def log_bases(self) -> tuple[int, int]:
        """Count and time that the next entry's differences refer to."""
        count, time = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        lib.core_log_bases(self._core, count, time)
        return count[0], time[0]

    @log_bases.setter
    def log_bases(self, bases: tuple[int, int]) -> None:
        lib.core_set_log_bases(self._core, *bases)

    @property
    def clock_reading(self) -> tuple[int, int] | None:
        """Count and time of the last TSC, if those of the next instructions may follow from it."""
        count, time = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        known = lib.core_clock_reading(self._core, count, time)
        return (count[0], time[0]) if known else None

    @clock_reading.setter
    def clock_reading(self, reading: tuple[int, int]) -> None:
        lib.core_set_clock_reading(self._core, *reading)

    def set_mark(self, count: InstructionCount) -> None:
        """Allow a replay to run up to `count`: every entry before it is here."""
        lib.core_set_mark(self._core, count)

    def next_event(self) -> Entry | None:
        """Take the event that is due at the current count; None if none is."""
        event = self._event
        if not lib.core_next_event(self._core, event, self._payload, _PAYLOAD_BYTES):
            return None
        payload = bytes(ffi.buffer(self._payload, event.payload_length))
        return Entry(Kind(event.kind), InstructionCount(event.count), event.value, payload)

    # --- state ---

    @property
    def registers(self) -> Any:
        """The CPU's state, a `CoreCpu` of api.h; a copy."""
        registers = ffi.new("CoreCpu *")
        lib.core_get_cpu(self._core, registers)
        return registers

    @registers.setter
    def registers(self, registers: Any) -> None:
        """Raises StateError, with the CPU as it was, for a state that no CPU can have."""
        fault = lib.core_cpu_fault(registers)
        if fault:
            raise StateError(f"cpu: {ffi.string(fault).decode()}")
        lib.core_set_cpu(self._core, registers)

    @property
    def register_bytes(self) -> bytes:
        """The CPU's state as bytes, equal for equal states."""
        return bytes(ffi.buffer(self.registers))

    @register_bytes.setter
    def register_bytes(self, state: bytes) -> None:
        registers = ffi.new("CoreCpu *")
        ffi.buffer(registers)[:] = state
        self.registers = registers

    def write_memory(self, address: GuestPhysical, data: bytes | memoryview) -> None:
        """Write guest memory from outside; translated code there is dropped."""
        self.memory[address : address + len(data)] = data
        lib.core_memory_written(self._core, address, len(data))

    def hash_memory(self) -> int:
        """Return the 64-bit hash of all memory."""
        return int(lib.core_hash_memory(self._core))

    @property
    def dirty_page_count(self) -> int:
        """How many pages were written since the last `synchronize`."""
        return int(lib.core_dirty_page_count(self._core))

    @property
    def dirtied_pages(self) -> int:
        """The sum of that over all spans between two: one written in each counts in each."""
        return int(lib.core_dirtied_pages(self._core))

    def set_dirty_pages_max(self, pages: int) -> None:
        """Make `run` return soon, as at its deadline, once there are so many."""
        lib.core_set_dirty_pages_max(self._core, pages)

    def dirty_pages(self) -> Sequence[int]:
        """Return the numbers of pages written since the last `synchronize`."""
        return self._pages(lib.core_dirty_pages)

    def used_pages(self) -> Sequence[int]:
        """Return the numbers of pages that are not all zeros, as of the last `hash_memory`."""
        return self._pages(lib.core_used_pages)

    def _pages(self, list_pages: Any) -> Sequence[int]:
        pages = self._room_for_pages()
        return _page_numbers(pages, list_pages(self._core, pages, len(pages)))

    @property
    def unsent_pages(self) -> int:
        """How many pages were written since `take_unsent`."""
        return int(lib.core_unsent_pages(self._core))

    def unwritten(self, pages: Sequence[int]) -> list[int]:
        """Return those of `pages` that were not written since."""
        core, is_unsent = self._core, lib.core_is_unsent
        return [page for page in pages if not is_unsent(core, page)]

    def take_unsent(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return the pages written since the last call: with content, and those that are zeros.

        Call it right behind `synchronize`.
        """
        pages, zeros = self._room_for_pages(), self._room_for_pages()
        zero_count = ffi.new("size_t *")
        count = lib.core_take_unsent(self._core, pages, zeros, zero_count)
        return _page_numbers(pages, count), _page_numbers(zeros, zero_count[0])

    def _room_for_pages(self) -> Any:
        return ffi.new("uint32_t[]", self.memory_bytes // PAGE_BYTES)

    def synchronize(self) -> None:
        """Make what follows independent of what went before; see state.c."""
        lib.core_synchronize(self._core)


def _page_numbers(pages: Any, count: int) -> Sequence[int]:
    """Those in a C array: a list of all pages of a large machine takes Python long to make."""
    return memoryview(ffi.buffer(pages, count * ffi.sizeof("uint32_t"))).cast("I")


REGISTER_BYTES: Final = ffi.sizeof("CoreCpu")
