"""Debian's kernel on its text screen, typed at on its keyboard, while the primary dies.

It takes a boot of a kernel, so only with --long; what the screen and the keyboard
are made of is tested without.
"""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from debian_guests import find_guests
from debian_session import PATIENCE_S, TICK, check_seamless, guest_spec

from ftvm.machine.channels import Stream
from ftvm.machine.text_screen import Frame, FrameDecoder
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.keys import scan_codes
from ftvm.ui.text_screen import text_of

APPEND = "noapic nolapic acpi=off pci=off nosmp quiet console=tty0"
PROMPT = "/ #"
COMMANDS = (b"echo $((6 * 7)) | tr 4 A\n", b'for n in 1 2 3; do echo "Line_$n" ~; done\n')
ANSWERS = ["/ # echo $((6 * 7)) | tr 4 A", "A2"]
MORE_ANSWERS = [
    '/ # for n in 1 2 3; do echo "Line_$n" ~; done',
    *(f"Line_{n} /" for n in (1, 2, 3)),
    PROMPT,
]


class Screen:
    """The newest frame, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._decoder = FrameDecoder()

    def take(self, data: bytes) -> None:
        frame = self._decoder.feed(data)
        if isinstance(frame, Frame):
            self.lines = text_of(frame)


@pytest.mark.parametrize("crash", ["primary@instruction:2500000000", "primary@time:20s"])
def test_linux_is_typed_at_on_its_screen(
    crash: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("long"):
        pytest.skip("two boots: run with --long")
    guests = find_guests()
    initrd = tmp_path / "initrd.gz"
    initrd.write_bytes(guests.initrd())
    spec = guest_spec(guests.folder / "vmlinuz-686", APPEND, crash, initrd=initrd)
    screen, commands = Screen(), list(COMMANDS)
    give_up = time.monotonic() + PATIENCE_S
    with Supervisor(
        replace(spec, screen=True), lambda _: None, {Stream.SCREEN: screen.take}
    ) as pair:
        pair.start()
        while commands or screen.lines[-5:] != MORE_ANSWERS or not pair.report().failovers:
            assert time.monotonic() < give_up, screen.lines
            pair.poll(TICK)
            if commands and screen.lines[-1:] == [PROMPT]:
                pair.write(scan_codes(commands.pop(0)), Stream.KEYBOARD)
                screen.lines = []
        pair.stop("seen enough")
        while not pair.finished:
            pair.poll(TICK)
        report = pair.report()
    assert screen.lines[-7:] == ANSWERS + MORE_ANSWERS
    check_seamless(report, crash)
