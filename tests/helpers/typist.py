"""A machine's console with somebody at it, who waits for an answer before typing on."""

from collections.abc import Sequence

from ftvm.log.recording import Recorder, Recording
from ftvm.machine.cpu import Reason
from ftvm.machine.machine import Machine
from ftvm.units import Nanoseconds

Script = Sequence[tuple[bytes, bytes]]
"""What to wait for in the output behind what was typed last, and what to type then."""

SLICE_NS = 50_000_000
STEPS_MAX = 30_000_000_000
"""No guest here needs so many: one that does never says what is waited for."""


class Typist:
    """Runs a live machine to its end, or until all is typed and `last` has come."""

    def __init__(self, machine: Machine, script: Script, last: bytes) -> None:
        self.machine = machine
        self.output = b""
        self._script = [*script, (last, b"")]
        self._seen = 0

    def run(self) -> Reason:
        """Return why the machine stopped; ATTENTION for an exit or the last answer."""
        machine = self.machine
        while machine.exit_value is None:
            reason = machine.run(deadline=Nanoseconds(machine.cpu.host_ns() + SLICE_NS))
            self.output += b"".join(output.data for output in machine.take_outputs())
            self.look_around()
            assert machine.count < STEPS_MAX, self.output[-2000:].decode("latin-1")
            if reason is Reason.SHUTDOWN:
                return reason
            if reason is Reason.HALTED and machine.cpu.halted_for_good:
                return reason
            waited_for, typed = self._script[0]
            at = self.output.find(waited_for, self._seen)
            if at >= 0:
                self._seen = at + len(waited_for)
                if len(self._script) == 1:
                    break
                self._script.pop(0)
                machine.input(typed)
        return Reason.ATTENTION

    def look_around(self) -> None:
        """Called after every run of the machine."""


class RecordingTypist(Typist):
    """The same, with a recording of it and a digest in its log every so often."""

    def __init__(self, machine: Machine, script: Script, last: bytes) -> None:
        super().__init__(machine, script, last)
        self._recorder = Recorder(machine)
        self._runs = 0

    def look_around(self) -> None:
        self._recorder.drain()
        self._runs += 1
        if self._runs % 4 == 0 and self.machine.exit_value is None:
            self.machine.checkpoint()

    def finish(self) -> Recording:
        return self._recorder.finish()
