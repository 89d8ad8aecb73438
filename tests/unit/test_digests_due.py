"""When a live guest's digest is taken: at its time, or as late again if somebody would wait."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.channels import Stream
from ftvm.machine.cpu import FOREVER
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.runtime.clock import now_ns
from ftvm.runtime.guest import CHECKPOINT_INTERVAL_NS, Guest
from ftvm.units import Nanoseconds

CONFIG = MachineConfig(memory_bytes=16 << 20, epoch_s=1_700_000_000)
SOME_TIME_NS = 10_000_000_000


@pytest.fixture
def guest(guest_images: Path) -> Iterator[Guest]:
    machine = Machine(CONFIG)
    image = (guest_images / "counter.elf").read_bytes()
    machine.boot(load(image, CONFIG.memory_bytes, "", "counter"))
    machine.record()
    wake = os.eventfd(0, os.EFD_CLOEXEC)
    yield Guest(machine, wake)
    os.close(wake)


def type_at(guest: Guest) -> None:
    guest.input(b"i", Stream.CONSOLE)
    guest.run(FOREVER, Nanoseconds(now_ns() + SOME_TIME_NS))


def test_a_digest_can_wait_once_more_its_time_and_no_longer(guest: Guest) -> None:
    type_at(guest)
    begun = now_ns()
    assert guest.checkpoint_if_due(begun)

    def due(intervals: float, *, can_wait: bool) -> bool:
        now = Nanoseconds(begun + int(intervals * CHECKPOINT_INTERVAL_NS))
        return guest.checkpoint_if_due(now, can_wait=can_wait)

    assert not due(9, can_wait=False)  # it has done nothing since
    type_at(guest)
    assert not due(0.9, can_wait=False)
    assert not due(1.9, can_wait=True)
    assert due(2, can_wait=True)
    type_at(guest)
    assert due(3, can_wait=False)
    assert len(guest.machine.take_links()) == 0
    assert len(guest.checks) == 3
