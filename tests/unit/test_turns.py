"""A primary's guest in its turns: how often one that prints is interrupted."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from primary_rig import identity

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import GATHER_NS
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.replication.arbitration import Won
from ftvm.replication.events import InputArrived
from ftvm.replication.messages import CONSOLE
from ftvm.replication.primary import PrimaryProtocol
from ftvm.replication.settings import Settings
from ftvm.runtime.channels import CHANNELS
from ftvm.runtime.guest import Guest
from ftvm.runtime.observers import Observers
from ftvm.runtime.turns import PRINTING_GATHER_NS, PRINTING_TURNS, LiveTurns
from ftvm.units import Generation, Nanoseconds, StreamOffset

CONFIG = MachineConfig(memory_bytes=16 << 20, epoch_s=1_700_000_000)


class Unobserved(Observers):
    """Nobody looks on."""

    def __init__(self) -> None:
        self.hold = self._witness = None


Start = Callable[[str, str], tuple[LiveTurns, Guest]]


@pytest.fixture
def start(guest_images: Path) -> Iterator[Start]:
    wake = os.eventfd(0, os.EFD_CLOEXEC)

    def turns_of(name: str, append: str) -> tuple[LiveTurns, Guest]:
        machine = Machine(CONFIG)
        image = (guest_images / f"{name}.elf").read_bytes()
        machine.boot(load(image, CONFIG.memory_bytes, append, name))
        machine.record()
        guest = Guest(machine, wake)
        protocol = PrimaryProtocol(identity("p"), Settings(), CHANNELS)
        protocol.start()
        protocol.store_answered(Won(Generation(1)), Nanoseconds(0))
        protocol.run_alone()
        return LiveTurns(guest, protocol, Unobserved()), guest

    yield turns_of
    os.close(wake)


def turn(turns: LiveTurns) -> None:
    turns.run()
    turns.rest()


def test_a_guest_that_prints_on_is_interrupted_less_often(start: Start) -> None:
    turns, guest = start("bench/lines", "rounds=1000000")
    while not guest.output_bytes:
        turn(turns)
    for _ in range(PRINTING_TURNS - 1):
        assert guest.machine.cpu.gather_ns == GATHER_NS
        turn(turns)
    assert guest.machine.cpu.gather_ns == PRINTING_GATHER_NS


def test_a_guest_that_sleeps_behind_its_output_is_handed_out_at_once(start: Start) -> None:
    turns, guest = start("counter", "")
    turn(turns)
    for typed in range(2 * PRINTING_TURNS):
        turns.take_input(InputArrived(CONSOLE, StreamOffset(typed), b"i"))
        assert turns.give_input()
        before = guest.output_bytes
        turn(turns)
        assert guest.output_bytes > before
        assert guest.machine.cpu.gather_ns == GATHER_NS
