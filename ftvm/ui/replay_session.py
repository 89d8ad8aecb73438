"""One replay on the standard streams: output, verdict, and the way from there to life."""

import contextlib
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ftvm.errors import (
    EXIT_BROKEN_PIPE,
    EXIT_SIGNALLED,
    DivergenceError,
    HostError,
    LogError,
    UsageError,
)
from ftvm.log.run_reader import RunReader
from ftvm.log.run_replay import Finding, RunReplay, check_engine
from ftvm.machine import snapshot
from ftvm.machine.cpu import FOREVER
from ftvm.machine.disk import DiskConfig
from ftvm.machine.engine import ENGINE
from ftvm.runtime.disk_image import DiskFile, identify, open_image
from ftvm.runtime.run_spec import RunSpec
from ftvm.ui.console import STDOUT, Output
from ftvm.ui.notices import Notices
from ftvm.ui.progress import ProgressBar
from ftvm.ui.screen_view import ScreenView
from ftvm.ui.session import Session
from ftvm.ui.signals import Signals
from ftvm.units import InstructionCount, Nanoseconds

EXIT_TORN = 1
_SLICE_NS = 50_000_000
_FIRST_SLICE_NS = 1_000_000
"""The first words are shown at once; the slices grow from here."""
_STATUS = {
    Finding.EQUAL: 0,
    Finding.TORN: EXIT_TORN,
    Finding.DAMAGED: LogError.exit_status,
    Finding.DIVERGED: DivergenceError.exit_status,
}


@dataclass(frozen=True)
class Verdict:
    """What a replay came to; ``verdict`` is equal, torn, damaged or diverged.

    It went from instruction `begin` to `instruction`; ``whole``: which are the
    run's beginning and its end. ``digests`` were compared and found equal since
    the checkpoint that it started at.
    """

    verdict: str
    detail: str
    begin: int
    instruction: int
    whole: bool
    digests: int
    output_bytes: int
    wall_ns: int


class ReplaySession:
    """Replays from instruction `begin` (or the run's beginning) to `until` (or its end)."""

    def __init__(
        self,
        reader: RunReader,
        begin: InstructionCount | None,
        until: InstructionCount | None,
        *,
        as_json: bool,
        screen: bool = False,
    ) -> None:
        """Raises UsageError if the run cannot be replayed here at all."""
        check_engine(reader, ENGINE)
        self._reader = reader
        self._begin = reader.begin_count if begin is None else begin
        self._until = FOREVER if until is None else until
        place = None if begin is None else reader.place_before(begin)
        self._replay = RunReplay(reader, place)
        self._whole = begin is None and until is None
        self._as_json = as_json
        self._notices = Notices()
        self._signals = Signals()
        self._output = Output(self._signals, self._notices)
        self._view = ScreenView(self._output, self._notices) if screen else None
        self._output_bytes = 0

    def run(self) -> int:
        """Replay, print and judge; returns the exit status."""
        start_ns = time.monotonic_ns()
        skipped = self._replay.machine.links
        with self._signals:
            try:
                with self._view or contextlib.nullcontext():
                    status = self._run()
                if status is not None:
                    return status
                finding, detail = self._replay.judge()
            except DivergenceError as error:
                finding, detail = Finding.DIVERGED, str(error)
        machine = self._replay.machine
        verdict = Verdict(
            verdict=finding.value,
            detail=detail,
            begin=self._begin,
            instruction=machine.count,
            whole=self._whole and finding is Finding.EQUAL,
            digests=machine.links - skipped,
            output_bytes=self._output_bytes,
            wall_ns=time.monotonic_ns() - start_ns,
        )
        self._tell(verdict)
        return _STATUS[finding]

    def go_live(self, *, eof_exit: bool, record: Path | None) -> int:
        """Let the guest run on by itself from here; returns its exit status."""
        machine = self._replay.machine
        if machine.exit_value is not None or machine.cpu.registers.shutdown:
            raise UsageError(
                f"the guest has ended at instruction {machine.count:,}, and does not run on; "
                "leave the recording before, with --until"
            )
        disks = tuple(_find_image(disk) for disk in machine.config.disks)
        try:
            with tempfile.NamedTemporaryFile(prefix="ftvm-") as file:
                file.write(snapshot.take(machine))
                file.flush()
                spec = RunSpec(
                    image_path=Path(file.name),
                    image_name=self._reader.header.image_name,
                    memory_bytes=machine.config.memory_bytes,
                    append=self._reader.header.append,
                    solo=True,
                    crashes=(),
                    epoch_s=machine.config.epoch_s,
                    screen=self._view is not None,
                    is_state=True,
                    disks=disks,
                    record=record,
                )
                return Session(spec, eof_exit=eof_exit).run().exit_status
        except OSError as error:
            place = tempfile.gettempdir()
            raise HostError(f"cannot write to {place}: {error.strerror}; set TMPDIR") from None

    # --- running ---

    def _run(self) -> int | None:
        """Run to the end; return the exit status if something else is the end of it."""
        replay = self._replay
        target = min(self._until, self._reader.end_count)
        if replay.count < self._begin:
            self._advance(self._begin, "looking for the instruction", show=False)
        status = self._advance(target, "replaying", show=True)
        if status is None and self._until == FOREVER and not replay.over:
            self._show(replay.run(), show=True)  # what comes at the last count
        return status

    def _advance(self, until: InstructionCount, what: str, *, show: bool) -> int | None:
        replay = self._replay
        first = replay.count
        quiet = show and not self._as_json and os.isatty(STDOUT)
        slice_ns = _FIRST_SLICE_NS
        with ProgressBar(what, until - first, quiet=quiet) as progress:
            while replay.count < until and not replay.over:
                deadline = Nanoseconds(replay.machine.cpu.host_ns() + slice_ns)
                slice_ns = min(slice_ns * 2, _SLICE_NS)
                self._show(replay.run(until, deadline), show=show)
                progress.at(replay.count - first)
                if (status := self._interruption()) is not None:
                    return status
        return None

    def _show(self, data: bytes, *, show: bool) -> None:
        if data and show:
            self._output_bytes += len(data)
            if not self._as_json and self._view is None:
                self._output.write(data)
        if show and self._view is not None:
            self._view.take(self._replay.machine.screen.frame())

    def _interruption(self) -> int | None:
        if self._signals.caught is not None:
            self._notices.info(f"interrupted at instruction {self._replay.count:,}")
            return EXIT_SIGNALLED + self._signals.caught
        if self._output.reader_left:
            return EXIT_BROKEN_PIPE
        if self._output.failure is not None:
            raise self._output.failure
        return None

    # --- telling ---

    def _tell(self, verdict: Verdict) -> None:
        if self._as_json:
            print(json.dumps(asdict(verdict), indent=2))
            return
        span = f"in {verdict.wall_ns / 1e9:.2f} s"
        to = f"instruction {verdict.instruction:,}"
        compared = f"{verdict.digests} digest{'' if verdict.digests == 1 else 's'}"
        match verdict.verdict:
            case "equal" if self._replay.over:
                self._notices.info(f"equal: {compared}, output and end at {to}, {span}")
            case "equal":
                self._notices.info(f"equal so far: {compared}, up to {to}, {span}")
            case "torn":
                what = "its end is missing, and the recording is"
                self._notices.error(f"equal up to {to}, but {what} {verdict.detail}")
            case "damaged":
                self._notices.error(f"{verdict.detail}; equal up to {to}, as far as it is good")
            case _:
                self._notices.error(f"the replay differs: {verdict.detail}")


def _find_image(disk: DiskConfig) -> DiskFile:
    """Open a disk's image for a guest that goes live; what it writes is dropped at the end."""
    file = open_image(disk.path, "snapshot", b"")
    identify(file, disk)
    return file
