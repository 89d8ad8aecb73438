"""What a terminal shows of what a program wrote to it."""

import re


def screen_of(output: bytes) -> list[str]:
    """Return the lines of a 80 x 25 terminal that got `output` (ECMA-48, CUP alone)."""
    lines = [[" "] * 80 for _ in range(25)]
    row = column = 0
    for move, end, shown in re.findall(rb"\x1b\[\??([0-9;]*)([A-Za-z])|([ -~])", output):
        if shown and column < 80:
            lines[row][column] = shown.decode()
            column += 1
        elif end == b"H":
            row, column = (int(number) - 1 for number in move.split(b";"))
    return ["".join(line).rstrip() for line in lines]
