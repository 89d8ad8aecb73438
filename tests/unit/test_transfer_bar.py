"""How far a transfer is: lines beside a guest's console, seldom, and none of a short one."""

import pytest

from ftvm.runtime.status import Transfer
from ftvm.ui.notices import Notices
from ftvm.ui.transfer_bar import TransferBar

SECOND = 1_000_000_000


def at(elapsed_s: float) -> Transfer:
    return Transfer(300, 100, 300 << 12, int(elapsed_s * SECOND))


def test_it_is_said_in_words() -> None:
    assert at(0.001).describe() == "75 % of 2 MiB, 1,172 MiB/s"
    assert Transfer(0, 0, 0, 0).percent == 0


def test_beside_a_console_it_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with TransferBar(Notices(), beside_console=True) as bar:
        for elapsed_s in (0.2, 0.9, 1.1, 1.3, 1.5):
            bar.show("sending the machine to backup c", at(elapsed_s))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "ftvm: sending the machine to backup c: 75 % of 2 MiB, 1 MiB/s\n"


def test_where_there_is_no_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with TransferBar(Notices(), beside_console=False) as bar:
        bar.show("receiving the machine", at(5))
    assert capsys.readouterr() == ("", "")
