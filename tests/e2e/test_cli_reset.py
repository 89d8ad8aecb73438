"""A guest that resets the machine ends the same solo, as a pair, over a failover, replayed."""

import json

import pytest
from ftvm_command import FtvmCommand
from port_program import COM1, out_byte, program, say

KEYBOARD_CONTROLLER = out_byte(0x64, 0xFE)
CONTROL_PORT_A = out_byte(0x92, 0x01)
RESET_CONTROL = out_byte(0xCF9, 0x02) + out_byte(0xCF9, 0x06)
TRIPLE_FAULT = bytes.fromhex("0f011d00000000 0f0b")  # lidt [0], all zeros; ud2
BUSY = bytes.fromhex("b9a0860100 49 75fd")  # mov ecx, 100000; dec ecx; jnz

WAYS = pytest.mark.parametrize(
    ("code", "end", "status"),
    [
        (KEYBOARD_CONTROLLER, "reset", 0),
        (CONTROL_PORT_A, "reset", 0),
        (RESET_CONTROL, "reset", 0),
        (TRIPLE_FAULT, "triple fault", 120),
    ],
    ids=["8042", "port 92h", "port cf9h", "triple fault"],
)


@WAYS
def test_a_reset_is_the_end_for_all_replicas_and_again(
    ftvm: FtvmCommand, code: bytes, end: str, status: int
) -> None:
    (ftvm.home / "guest").write_bytes(program(say(COM1, b"so far\n"), BUSY, code))
    crash = ("--crash", "primary@instruction:100000")
    for options in (("--solo", "--record", "run"), crash):
        done = ftvm("run", "guest", *options, "--report", "report")
        assert (done.status, done.out) == (status, b"so far\n")
        report = json.loads((ftvm.home / "report").read_text())
        assert report["end"] == end
        assert len(report["failovers"]) == (options == crash)
    again = ftvm("replay", "run")
    assert (again.status, again.out) == (0, b"so far\n"), again.err
