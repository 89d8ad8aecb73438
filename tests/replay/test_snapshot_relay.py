"""A run handed from process to process at random instructions ends as one that was let alone.

The snapshots are taken where nothing was prepared for them: the recorded run knows nothing
of the counts, and of no snapshot. With --long it is thousands of millions of instructions.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from debian_guests import MIB, PROMPT, boot, find_guests
from debian_session import drawn_seed
from relay import run_relay
from typist import RecordingTypist, Script

from ftvm.machine.boot.image import BootFiles
from ftvm.machine.machine import Machine

SNAPSHOTS = 8
LONG = 4_000_000_000


def hand_around(
    make: Callable[[], Machine], script: Script, folder: Path, config: pytest.Config
) -> int:
    """Run the machine to its end here, and again in relay; return its instructions."""
    typist = RecordingTypist(make(), script, b"never said")
    typist.run()
    assert typist.machine.exit_value == 0
    recording = typist.finish()
    seed = drawn_seed(config)
    counts = sorted(random.Random(seed).sample(range(1, recording.end_count), SNAPSHOTS))
    print(f"seed {seed}: snapshots at {counts} of {recording.end_count}")
    run_relay(folder, make(), recording, counts)
    return recording.end_count


@pytest.mark.parametrize(
    ("operations", "least"), [(20_000, 10_000_000), (5_500_000, LONG)], ids=["short", "long"]
)
def test_a_storm_in_many_processes(
    operations: int, least: int, guest_images: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Paging, ring 3, exceptions, interrupts, clocks and devices, at random."""
    if least >= LONG and not pytestconfig.getoption("long"):
        pytest.skip("4 thousand million instructions: run with --long")
    image = (guest_images / "storm.elf").read_bytes()
    files = BootFiles("storm", image, f"ops={operations} nondet")
    assert hand_around(lambda: boot(files, 16 * MIB), (), tmp_path, pytestconfig) >= least


def test_linux_in_many_processes(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Debian's kernel from its first instruction to its last, with a shell between."""
    if not pytestconfig.getoption("long"):
        pytest.skip("4 thousand million instructions: run with --long")
    guests = find_guests()
    script = ((PROMPT, b"find / -xdev | sort | md5sum\n"), (PROMPT, b"poweroff -f\n"))
    instructions = hand_around(
        lambda: guests.linux("686-pae", "console=ttyS0"), script, tmp_path, pytestconfig
    )
    assert instructions >= LONG
