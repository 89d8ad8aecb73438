"""Operating systems that know nothing of us, recorded and replayed to the last bit."""

import re

import pytest
from debian_guests import MIB, PROMPT, DebianGuests, boot, find_guests
from text_screen import screen_of
from typist import RecordingTypist

from ftvm.log.recording import replay
from ftvm.machine.boot.image import BootFiles
from ftvm.machine.cpu import Reason


@pytest.fixture(scope="module")
def guests() -> DebianGuests:
    return find_guests()


def output_of(replayed: object) -> bytes:
    return b"".join(output.data for output in replayed.take_outputs())  # type: ignore[attr-defined]


def test_linux_boots_to_a_shell_and_again_from_the_recording(guests: DebianGuests) -> None:
    """With PAE, no-execute pages, APICs and ACPI: no option keeps it from them."""
    script = (
        (PROMPT, b"uname -rm; echo $((6 * 7)) > /answer; cat /answer; date -u +%Y\n"),
        (PROMPT, b"grep -c IO-APIC /proc/interrupts; dmesg | grep -c 'NX.*active'\n"),
        (PROMPT, b"poweroff -f\n"),
    )
    typist = RecordingTypist(guests.linux("686-pae", "console=ttyS0"), script, b"never")
    typist.run()
    assert typist.machine.exit_value == 0, "switched off by ACPI"
    text = typist.output.replace(b"\r", b"")
    assert re.search(rb"-686-pae i686\n42\n2023\n", text)
    assert re.search(rb"active'\n[3-9]\n1\n", text)
    assert b"reboot: Power down" in text
    recording = typist.finish()
    replayed = guests.linux("686-pae", "console=ttyS0")
    replay(replayed, recording)
    assert output_of(replayed) == typist.output
    assert replayed.digest == typist.machine.digest


def test_mach_starts_and_panics_for_want_of_a_task(guests: DebianGuests) -> None:
    """Nothing but the kernel is given, so it says what it found and stops."""
    files = BootFiles("gnumach", guests.read("gnumach-486.gz"), "console=com0")
    typist = RecordingTypist(boot(files, 64 * MIB), (), b"bootstrap code loaded with the kernel!")
    assert typist.run() is Reason.ATTENTION
    text = typist.output.decode("ascii")
    assert "GNU Mach 1.8" in text
    assert "000000000000100000:000000000004000000, available" in text
    assert "RTC time is 2023-11-14 22:13:2" in text
    replayed = boot(files, 64 * MIB)
    replay(replayed, typist.finish())
    assert output_of(replayed) == typist.output


def test_memtest_finds_no_errors(guests: DebianGuests) -> None:
    """Up to the one that waits; each would show an error at once.

    The screen is drawn every two seconds, so which of the short ones it names is chance.
    """
    files = BootFiles("memtest", guests.read("memtest86+ia32.bin"), "console=ttyS0,115200 nobench")
    typist = RecordingTypist(boot(files, 8 * MIB), (), b"[Bit fade test, 2 patterns]")
    assert typist.run() is Reason.ATTENTION
    assert b"Memtest86+" in typist.output
    assert screen_of(typist.output)[8].endswith("Pass:  0        Errors: 0")
    replayed = boot(files, 8 * MIB)
    replay(replayed, typist.finish())
    assert output_of(replayed) == typist.output
