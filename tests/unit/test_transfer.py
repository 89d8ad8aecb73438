"""A machine's state moves to another machine while the guest runs, whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ftvm.errors import StateError
from ftvm.machine import transfer
from ftvm.machine.boot.multiboot1 import load
from ftvm.machine.cpu import Reason
from ftvm.machine.machine import Machine, MachineConfig
from ftvm.machine.plain import encode_plain
from ftvm.machine.transfer import PIECE_PAGES, StateReceiver, StateSender
from ftvm.units import PAGE_BYTES, GuestPhysical, InstructionCount

CONFIG = MachineConfig(memory_bytes=16 << 20, epoch_s=1_700_000_000)
PAGE_COUNT = CONFIG.memory_bytes // PAGE_BYTES


@pytest.fixture
def machine(guest_images: Path) -> Machine:
    machine = Machine(CONFIG)
    image = (guest_images / "sort.elf").read_bytes()
    machine.boot(load(image, CONFIG.memory_bytes, "", "sort"))
    machine.record()
    machine.run(InstructionCount(1_000_000))
    return machine


def pieces_of(machine: Machine, step: int = 0, rest: int = 16) -> tuple[list[bytes], StateSender]:
    """All pieces, the guest going on by `step` instructions after each."""
    sender = StateSender(machine, rest)
    pieces = []
    while (piece := sender.next_piece()) is not None:
        pieces.append(piece)
        machine.run(InstructionCount(machine.count + min(step, sender.allowance or step)))
        machine.cpu.log_take()
    return pieces + sender.finish(), sender


def received(pieces: list[bytes], config: MachineConfig | None = CONFIG) -> Machine:
    receiver = StateReceiver(config)
    machines = [receiver.feed(piece) for piece in pieces]
    assert machines[:-1] == [None] * (len(pieces) - 1)
    assert machines[-1] is not None
    return machines[-1]


@pytest.mark.parametrize("step", [0, 1, 1_000, 50_000])
def test_the_machine_received_is_the_one_sent(machine: Machine, step: int) -> None:
    pieces, _ = pieces_of(machine, step)
    copy = received(pieces)
    assert copy.count == machine.count
    assert copy.digest == machine.digest
    assert copy.state_digest() == machine.state_digest()
    assert copy.cpu.log_entries == machine.cpu.log_entries
    assert copy.cpu.memory[:] == machine.cpu.memory[:]


def test_pages_that_became_zeros_arrive_as_zeros(machine: Machine) -> None:
    machine.cpu.write_memory(GuestPhysical(8 << 20), b"\xff" * PAGE_BYTES)
    sender = StateSender(machine, 16)
    pieces = []
    while (piece := sender.next_piece()) is not None:
        pieces.append(piece)
    machine.cpu.write_memory(GuestPhysical(8 << 20), bytes(PAGE_BYTES))
    copy = received(pieces + sender.finish())
    assert copy.state_digest() == machine.state_digest()


def test_untouched_memory_is_not_sent(machine: Machine) -> None:
    pieces, sender = pieces_of(machine)
    used = sum(
        any(machine.cpu.memory[n * PAGE_BYTES : (n + 1) * PAGE_BYTES]) for n in range(PAGE_COUNT)
    )
    assert sender.pages == used < PAGE_COUNT / 2
    assert sum(map(len, pieces)) < (used + 16) * PAGE_BYTES


def test_a_guest_that_writes_faster_than_it_is_sent_is_slowed_down(machine: Machine) -> None:
    pieces, sender = pieces_of(machine, 1_000_000, rest=4)
    assert sender.allowance is not None
    assert sender.rounds > 2
    last = [piece for piece in pieces if piece[:1] == b"P"][-1]
    assert len(last) <= 4 * (PAGE_BYTES + 4) + 13
    assert received(pieces).state_digest() == machine.state_digest()


def test_both_sides_know_how_much_is_left(machine: Machine) -> None:
    sender = StateSender(machine)
    receiver = StateReceiver()
    begun = sender.left_pages
    assert begun == len(machine.cpu.used_pages())
    receiver.feed(sender.next_piece() or b"")  # the configuration
    while (piece := sender.next_piece()) is not None:
        receiver.feed(piece)
        assert receiver.pages == sender.pages
        assert receiver.left_pages == sender.left_pages == begun - sender.pages
    assert sender.left_pages == 0


def test_the_sender_goes_on_as_if_nothing_had_happened(machine: Machine) -> None:
    copy = received(pieces_of(machine, 1_000)[0])
    machine.record()
    copy.record()
    for twin in (machine, copy):
        twin.run(InstructionCount(machine.config.memory_bytes))
    assert copy.state_digest() == machine.state_digest()


Damage = Callable[[list[bytes]], list[bytes]]
DAMAGES: dict[str, Damage] = {
    "no beginning": lambda p: p[1:],
    "begun twice": lambda p: [p[0], *p],
    "a page piece missing": lambda p: [p[0], *p[2:]],
    "a piece cut off": lambda p: [p[0], p[1][:-1], *p[2:]],
    "a piece cut to its kind": lambda p: [p[0], p[1][:1], *p[2:]],
    "an empty piece": lambda p: [p[0], b"", *p[1:]],
    "a piece too long": lambda p: [p[0], p[1] + b"\0", *p[2:]],
    "a bit of a page flipped": lambda p: [p[0], p[1][:-1] + bytes([p[1][-1] ^ 1]), *p[2:]],
    "a page elsewhere": lambda p: [p[0], p[1][:13] + b"\xff\x0f\0\0" + p[1][17:], *p[2:]],
    "a page behind the memory": lambda p: [p[0], p[1][:13] + b"\0\x10\0\0" + p[1][17:], *p[2:]],
    "too many pages": lambda p: [p[0], b"P" + bytes(4) + b"\xff\0\0\0" + bytes(4 * 256), *p[1:]],
    "no pages": lambda p: [p[0], b"P" + bytes(12), *p[1:]],
    "an unknown piece": lambda p: [p[0], b"X", *p[1:]],
    "a configuration that is none": lambda p: [b"H\xc1", *p[1:]],
    "no memory": lambda p: [b"H" + encode_plain(MachineConfig(0, CONFIG.epoch_s)), *p[1:]],
    "half a page": lambda p: [b"H" + encode_plain(MachineConfig(2048, CONFIG.epoch_s)), *p[1:]],
    "too much memory": lambda p: [b"H" + encode_plain(MachineConfig(1 << 33, 0)), *p[1:]],
    "other ends": lambda p: [b"H" + encode_plain(MachineConfig(16 << 20, 0)), *p[1:]],
    "an end that is none": lambda p: [*p[:-1], b"E\xc1"],
    "an end cut off": lambda p: [*p[:-1], p[-1][:-1]],
    "a piece after the end": lambda p: [*p, p[1]],
}


def feed_all(receiver: StateReceiver, pieces: list[bytes]) -> None:
    for piece in pieces:
        receiver.feed(piece)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_and_leaves_nothing(machine: Machine, damage: str) -> None:
    pieces = DAMAGES[damage](pieces_of(machine)[0])
    receiver = StateReceiver()
    with pytest.raises(StateError, match=r"^transfer: "):
        feed_all(receiver, pieces)
    with pytest.raises(StateError, match="after the end"):
        receiver.feed(pieces[0])


def test_another_configuration_is_refused(machine: Machine) -> None:
    pieces, _ = pieces_of(machine)
    with pytest.raises(StateError, match="configured otherwise"):
        StateReceiver(MachineConfig(8 << 20, CONFIG.epoch_s)).feed(pieces[0])


def test_what_is_true_of_any_machine_suits_a_receiver_that_takes_what_comes(
    machine: Machine,
) -> None:
    assert received(pieces_of(machine)[0], None).config == CONFIG


def test_a_run_ends_soon_once_so_many_pages_are_written(machine: Machine) -> None:
    machine.cpu.synchronize()
    machine.cpu.set_dirty_pages_max(8)
    assert machine.run() is Reason.DEADLINE
    assert machine.cpu.dirty_page_count == len(machine.cpu.dirty_pages()) >= 8
    assert machine.exit_value is None


def test_a_page_counts_as_written_once_before_each_digest(machine: Machine) -> None:
    before = machine.cpu.dirtied_pages
    for _ in range(3):
        machine.checkpoint()
        for _ in range(2):
            machine.cpu.write_memory(GuestPhysical(0x8000), b"again")
    assert machine.cpu.dirtied_pages - before == 3


def test_memory_is_hashed_anew_when_something_was_written(machine: Machine) -> None:
    hashes = [machine.cpu.hash_memory(), machine.cpu.hash_memory()]
    machine.cpu.write_memory(GuestPhysical(0x8000), b"other")
    hashes.append(machine.cpu.hash_memory())
    machine.run(InstructionCount(machine.count + 1000))
    hashes.append(machine.cpu.hash_memory())
    assert len(set(hashes)) == 3


def test_pieces_are_bounded(machine: Machine) -> None:
    pieces, _ = pieces_of(machine, 10_000)
    assert max(map(len, pieces)) <= PIECE_PAGES * (PAGE_BYTES + 4) + 13
    assert transfer.REST_PAGES_MAX * PAGE_BYTES <= 2 << 20
