"""The table of `ftvm status`: columns for people, and for awk."""

from collections.abc import Sequence

from ftvm.runtime.names import address_in
from ftvm.runtime.status import HostStatus
from ftvm.ui.host_answers import HostAnswer
from ftvm.ui.notices import wants_colour

_HEAD = ("HOST", "ROLE", "PROTECTION", "GEN", "INSTRUCTIONS", "LAG", "LOG", "HELD", "DIGEST")
_LEFT = (0, 1, 2)
_STYLES = {
    "running": "32",
    "starting": "33",
    "needSecondary": "1;33",
    "disabled": "2",
    "notConfigured": "2",
    "unreachable": "1;31",
}
_DIGEST_DIGITS = 8
_KIB = 1024


def lay_out(answers: Sequence[HostAnswer]) -> str:
    """Return the table, in colour if standard output is a terminal, with remarks below."""
    rows = [_HEAD, *(_row(answer) for answer in answers)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    colour = wants_colour(1)
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if at in _LEFT else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        if colour and row is _HEAD:
            cells = [f"\x1b[1m{cell}\x1b[0m" for cell in cells]
        elif colour:
            word = row[1] if row[1] == "unreachable" else row[2]
            at = 1 if row[1] == "unreachable" else 2
            cells[at] = f"\x1b[{_STYLES[word]}m{cells[at]}\x1b[0m"
        lines.append("  ".join(cells).rstrip())
    remarks = [remark for answer in answers if (remark := _remark(answer))]
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def _row(answer: HostAnswer) -> tuple[str, ...]:
    address, status = str(answer.address), answer.status
    if status is None:
        return (address, "unreachable", *["-"] * (len(_HEAD) - 2))
    if status.role == "standby":
        return (address, status.role, status.protection, *["-"] * (len(_HEAD) - 3))
    return (
        address,
        status.role,
        status.protection,
        str(status.generation),
        f"{status.instructions:,}",
        _lag(status),
        f"{_size(status.log_bytes_per_s)}/s",
        _size(status.held_bytes),
        status.digest[:_DIGEST_DIGITS] or "-",
    )


def _lag(status: HostStatus) -> str:
    if status.lag_instructions is None or status.lag_ns is None:
        return "-"
    return f"{_number(status.lag_instructions)} {status.lag_ns / 1e6:.0f}ms"


def _remark(answer: HostAnswer) -> str:
    status = answer.status
    if status is None:
        return f"{answer.address}: {answer.trouble.removeprefix(f'{answer.address}: ')}"
    said = []
    if status.reason:
        said.append(f"{status.reason} ({status.detail})" if status.detail else status.reason)
    elif status.role == "standby" and status.detail:
        said.append(f"stands by ({status.detail})")
    if status.protection == "starting" and status.peer:
        so_far = f": {status.transfer.describe()}" if status.transfer else ""
        said.append(f"{address_in(status.peer)} is being made the backup{so_far}")
    if status.wait:
        said.append(f"the guest waits: {status.wait}")
    return f"{answer.address}: {'; '.join(said)}" if said else ""


def _number(value: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= 10 * size:
            return f"{value // size}{unit}"
    return str(value)


def _size(value: int) -> str:
    for unit, size in (("G", _KIB**3), ("M", _KIB**2), ("K", _KIB)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return str(value)
