"""A kernel and a memory test that know nothing of us, while the primary dies.

By default once each, in the middle; with --long twenty times, at moments drawn at
random, and what they say is then compared with what they say when nobody dies.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from debian_guests import MIB, DebianGuests, find_guests
from debian_session import (
    Session,
    check_seamless,
    converse,
    drawn_crashes,
    drawn_seed,
    guest_spec,
)
from text_screen import screen_of

from ftvm.runtime.report import RunReport


@dataclass(frozen=True)
class Stranger:
    """A guest, what it says when it has done enough, and what of its output is to be the same."""

    image: str
    append: str
    memory_bytes: int
    last: bytes
    judged: Callable[[bytes], object]
    middle: int
    """An instruction in the middle of it."""


def mach_says(output: bytes) -> bytes:
    assert output.startswith(b"GNU Mach 1.8")
    assert b"RTC time is 2023-11-14 22:1" in output
    return re.sub(rb"RTC time is [-0-9: ]+", b"RTC time is", output)


def memtest_says(output: bytes) -> tuple[str, ...]:
    """The verdict, and what it found the machine to be; not how long it took."""
    lines = screen_of(output)
    assert lines[8].endswith("Pass:  0        Errors: 0"), lines
    return (lines[0], lines[4].partition("|")[0], lines[5].partition("|")[0])


MACH = Stranger(
    "gnumach-486.gz",
    "console=com0",
    64 * MIB,
    b"bootstrap code loaded with the kernel!",
    mach_says,
    200_000_000,
)
MEMTEST = Stranger(
    "memtest86+ia32.bin",
    "console=ttyS0,115200 nobench",
    8 * MIB,
    b"[Moving inversions, 32 bit pattern]",
    memtest_says,
    900_000_000,
)
ALL = pytest.mark.parametrize("stranger", [MACH, MEMTEST], ids=lambda stranger: stranger.image)


@pytest.fixture(scope="module")
def guests() -> DebianGuests:
    return find_guests()


def run(guests: DebianGuests, stranger: Stranger, *crashes: str) -> tuple[bytes, RunReport]:
    session = Session()
    memory = stranger.memory_bytes
    spec = guest_spec(
        guests.folder / stranger.image, stranger.append, *crashes, memory_bytes=memory
    )
    report = converse(spec, session, stranger.last)
    said, last, _ = bytes(session.output).partition(stranger.last)
    return said + last, report


@ALL
def test_the_primary_dies_and_nobody_notices(guests: DebianGuests, stranger: Stranger) -> None:
    crash = f"primary@instruction:{stranger.middle}"
    said, report = run(guests, stranger, crash)
    check_seamless(report, crash)
    assert stranger.judged(said)


@ALL
def test_the_primary_dies_at_any_moment(
    guests: DebianGuests,
    stranger: Stranger,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    if not pytestconfig.getoption("long"):
        pytest.skip("twenty runs: run with --long")
    seed = drawn_seed(pytestconfig)
    record_property("seed", seed)
    untouched, whole = run(guests, stranger)
    for crash in drawn_crashes(seed, whole.instructions):
        said, report = run(guests, stranger, crash)
        check_seamless(report, crash)
        assert stranger.judged(said) == stranger.judged(untouched), f"{crash}, seed {seed}"
