"""A supervised guest with a client that types, and what its user must see."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ftvm.runtime.crash import parse_crash_point
from ftvm.runtime.report import RunReport
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.units import Nanoseconds

MEMORY_BYTES = 16 << 20
EPOCH_S = 1_700_000_000
SESSION = ((b"i", b"1\n"), (b"i", b"2\n"), (b"xi", b"3\n"), (b"r", b"3\n"), (b"q", b""))
SESSION_OUTPUT = b"counter: ready\n" + b"".join(answer for _, answer in SESSION)
TICK = Nanoseconds(20_000_000)
PATIENCE_S = 120
"""Whatever takes so long hangs, on a busy host too."""


@dataclass
class Session:
    """A supervised guest with a client that types."""

    supervisor: Supervisor
    output: bytearray

    def until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert not self.supervisor.finished, "the run is over"
            assert time.monotonic() < until, "it takes too long"
            self.supervisor.poll(TICK)

    def until_output(self, length: int) -> None:
        self.until(lambda: len(self.output) >= length)

    def finish(self) -> RunReport:
        self.until(lambda: self.supervisor.finished)
        return self.supervisor.report()


def judge_counter(session: Session) -> RunReport:
    """Type the session, each key when the one before is answered; check what its user sees."""
    expected = b"counter: ready\n"
    for keys, answer in SESSION:
        session.until_output(len(expected))
        session.supervisor.write(keys)
        expected += answer
    report = session.finish()
    assert bytes(session.output) == expected == SESSION_OUTPUT
    assert (report.end, report.exit_status) == ("exit", 0)
    assert report.contradictions == []
    assert report.divergences == []
    return report


def run_spec(
    images: Path,
    guest: str,
    *crashes: str,
    append: str = "",
    solo: bool = False,
    store_url: str | None = None,
    record: Path | None = None,
    journals: Path | None = None,
) -> RunSpec:
    """What is to be run, for a bundled guest."""
    return RunSpec(
        image_path=images / f"{guest}.elf",
        image_name=guest,
        memory_bytes=MEMORY_BYTES,
        append=append,
        solo=solo,
        crashes=tuple(parse_crash_point(crash) for crash in crashes),
        epoch_s=EPOCH_S,
        store_url=store_url,
        record=record,
        journals=journals,
    )
