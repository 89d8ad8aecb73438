"""Wherever in its life a guest is copied while it runs, the copy is its replica from there on."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import Mode, Reason
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.machine.transfer import StateReceiver, StateSender
from ftvm.units import InstructionCount

CONFIG = MachineConfig(memory_bytes=8 << 20, epoch_s=1_700_000_000)
GUESTS = {
    "counter": "",
    "entropy": "n=40",
    "ticker": "rate=1000 ticks=30",
    "storm": "ops=2000 nondet",
    "faults": "",
    "smc": "",
    "sort": "",
}


class Pair:
    """A live machine that logs, and perhaps a replica that lives on its log."""

    def __init__(self, machine: Machine) -> None:
        self.primary = machine
        self.backup: Machine | None = None
        self.outputs: list[bytes] = []
        self.copied = b""

    @property
    def over(self) -> bool:
        return self.primary.exit_value is not None

    def run(self, span: int, key: bytes) -> None:
        machine = self.primary
        reason = machine.run(InstructionCount(machine.count + span))
        if reason is Reason.HALTED and not self.over:
            machine.input(key)
        self._share()

    def checkpoint(self) -> None:
        if not self.over:
            self.primary.checkpoint()
            self._share()

    def _share(self) -> None:
        out = b"".join(output.data for output in self.primary.take_outputs())
        log = self.primary.cpu.log_take()
        if self.backup is None:
            return
        self.copied += out
        assert self.backup.cpu.log_put(log) == len(log)
        self.backup.cpu.set_mark(self.primary.count)
        while self.backup.count < self.primary.count or self.backup.cpu.log_pending:
            before = self.backup.count, self.backup.cpu.log_pending
            self.backup.run()
            assert (self.backup.count, self.backup.cpu.log_pending) != before
        made = b"".join(output.data for output in self.backup.take_outputs())
        assert made == out

    def protect(self, spans: list[int], rest: int) -> None:
        """Copy the machine while it runs on."""
        sender, receiver = StateSender(self.primary, rest), StateReceiver(CONFIG)
        self.primary.cpu.log_take()
        turn = 0
        while (piece := sender.next_piece()) is not None:
            assert receiver.feed(piece) is None
            span = spans[turn % len(spans)]
            self.run(min(span, sender.allowance or span), b"i")
            turn += 1
        for piece in sender.finish():
            self.backup = receiver.feed(piece)
        self.primary.cpu.log_take()
        assert self.backup is not None
        self.backup.replay()

    def fail_over(self) -> None:
        assert self.backup is not None
        self.backup.go_live(Mode.RECORD)
        self.primary, self.backup = self.backup, None


@pytest.mark.parametrize("guest", GUESTS)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    starts=st.lists(st.integers(0, 300_000), min_size=1, max_size=4),
    spans=st.lists(st.integers(1, 20_000), min_size=1, max_size=8),
    rest=st.integers(0, 64),
)
def test_a_copy_made_at_any_time_is_in_lockstep(
    guest_images: Path, guest: str, starts: list[int], spans: list[int], rest: int
) -> None:
    machine = Machine(CONFIG)
    image = (guest_images / f"{guest}.elf").read_bytes()
    machine.boot(load(image, CONFIG.memory_bytes, GUESTS[guest], guest))
    machine.record()
    pair = Pair(machine)
    for start in starts:
        pair.run(start, b"i")
        if pair.over:
            break
        pair.protect(spans, rest)
        for span in spans:
            pair.run(span, b"i")
            pair.checkpoint()
        assert pair.backup is not None
        assert pair.backup.state_digest() == pair.primary.state_digest()
        assert pair.backup.digest == pair.primary.digest
        assert pair.backup.cpu.log_entries == pair.primary.cpu.log_entries
        pair.fail_over()
    for _ in range(50):
        pair.run(1_000_000, b"q")
        if pair.over:
            break
