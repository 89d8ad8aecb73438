"""A run as its log: what a machine was given, enough to make it do the same again.

The bytes of the entries are those of `ftvm.machine.cpu` (log.c describes them).
A recording begins where its machine began to record, at boot or behind a
snapshot, and ends at an instruction count with the digest of the state there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ftvm.errors import DivergenceError, LogError
from ftvm.machine.cpu import Entry, Reason
from ftvm.machine.log_entries import decode_entries
from ftvm.machine.machine import Machine
from ftvm.units import InstructionCount


@dataclass(frozen=True)
class Recording:
    """What was logged, the bases of its first entry, and where it ends."""

    log: bytes
    bases: tuple[int, int]
    end_count: InstructionCount
    end_digest: bytes

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in order; LogError tells at which byte there is none."""
        end = 0
        try:
            for entry, offset, _ in decode_entries(self.log, self.bases):
                end = offset
                yield entry
        except ValueError as error:
            raise LogError(f"log: {error}") from None
        if end != len(self.log):
            raise LogError(f"log: the entry at byte {end} is cut off")


class Recorder:
    """Keeps what a machine logs from here on; call `drain` after every run."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._bases = machine.cpu.log_bases
        self._log = bytearray()
        machine.record()

    def drain(self) -> None:
        """Take over what the machine has logged, so that its buffer never fills."""
        self._log += self._machine.cpu.log_take()

    def finish(self) -> Recording:
        """Return the recording, up to where the machine is now."""
        self.drain()
        digest = self._machine.state_digest()
        return Recording(bytes(self._log), self._bases, self._machine.count, digest)


def replay(machine: Machine, recording: Recording) -> None:
    """Make `machine`, at the recording's beginning, do it all again.

    Raises DivergenceError, naming the count, if it does anything else: an entry
    that it does not ask for, another digest on the way or at the end.
    """
    machine.replay()
    left = memoryview(recording.log)
    while machine.count < recording.end_count or left or machine.cpu.log_pending:
        left = left[machine.cpu.log_put(bytes(left)) :]
        if not left:
            machine.cpu.set_mark(recording.end_count)
        before = machine.count, machine.cpu.log_pending
        reason = machine.run()
        if reason is Reason.SHUTDOWN or machine.exit_value is not None:
            break
        if (machine.count, machine.cpu.log_pending) == before:
            raise DivergenceError(f"the replay goes no further than count {machine.count}")
    if machine.count != recording.end_count or left or machine.cpu.log_pending:
        raise DivergenceError(
            f"the replay ends at count {machine.count}, the recording at {recording.end_count}"
        )
    if machine.state_digest() != recording.end_digest:
        raise DivergenceError(f"the state at the end, count {machine.count}, is another")
