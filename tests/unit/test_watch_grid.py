"""The guest's terminal in the screen: what is seen when bytes come."""

from ftvm.ui.watch.grid import COLUMNS, HISTORY_ROWS, ROWS, Grid


def show(*pieces: bytes, height: int = ROWS) -> list[str]:
    """The rows that are seen, without blanks at their ends."""
    answers: list[bytes] = []
    grid = Grid(answers.append)
    for piece in pieces:
        grid.feed(piece)
    rows, _ = grid.view(height)
    return ["".join(cell.text for cell in row).rstrip() for row in rows]


def lines(*pieces: bytes) -> list[str]:
    seen = show(*pieces)
    while seen and not seen[-1]:
        seen.pop()
    return seen


def test_lines_come_one_below_the_other() -> None:
    assert lines(b"one\ntwo\r\nthree") == ["one", "two", "three"]


def test_a_carriage_return_and_a_backspace_write_over() -> None:
    assert lines(b"10 %\r20 %") == ["20 %"]
    assert lines(b"cat\b\bo") == ["cot"]
    assert lines(b"a\tb") == ["a       b"]


def test_a_long_line_goes_on_in_the_next_row() -> None:
    assert lines(b"x" * COLUMNS) == ["x" * COLUMNS]
    assert lines(b"x" * COLUMNS + b"y") == ["x" * COLUMNS, "y"]
    assert lines(b"x" * COLUMNS + b"\ny") == ["x" * COLUMNS, "y"]


def test_what_scrolls_out_is_kept_for_a_while() -> None:
    text = b"".join(b"%d\n" % n for n in range(HISTORY_ROWS + 100))
    seen = show(text, height=HISTORY_ROWS)
    assert seen[-2:] == [str(HISTORY_ROWS + 99), ""]
    assert seen[0] == str(101)


def test_a_few_rows_show_the_newest() -> None:
    assert show(b"1\n2\n3\n4", height=2) == ["3", "4"]


def test_the_cursor_is_always_among_the_rows_that_are_seen() -> None:
    grid = Grid(lambda _: None)
    grid.feed(b"".join(b"%d\n" % n for n in range(30)) + b"\x1b[1;1Hhere")
    rows, (row, column) = grid.view(5)
    assert "".join(cell.text for cell in rows[row]).startswith("here")
    assert column == 4


def test_moving_and_erasing() -> None:
    assert lines(b"abc\x1b[2;3Hx\x1b[1;1HA") == ["Abc", "  x"]
    assert lines(b"abcdef\x1b[3D\x1b[K") == ["abc"]
    assert lines(b"abcdef\x1b[1K") == [""] or lines(b"abcdef\x1b[1K") == []
    assert lines(b"one\ntwo\x1b[2J\x1b[Hnew") == ["new"]
    assert lines(b"abcdef\x1b[4G\x1b[2P") == ["abcf"]
    assert lines(b"abc\x1b[2G\x1b[2@") == ["a  bc"]
    assert lines(b"abcdef\x1b[2G\x1b[3X") == ["a   ef"]
    assert lines(b"1\n2\n3\x1b[2;1H\x1b[L") == ["1", "", "2", "3"]
    assert lines(b"1\n2\n3\x1b[2;1H\x1b[M") == ["1", "3"]


def test_a_region_scrolls_alone() -> None:
    text = b"top\nx\ny\nz\x1b[2;3r\x1b[3;1H\nnew"
    assert lines(text) == ["top", "y", "new", "z"]
    assert lines(b"a\nb\x1b[1;1H\x1bMfirst") == ["first", "a", "b"]


def test_colours_are_kept_and_those_of_many_do_no_harm() -> None:
    grid = Grid(lambda _: None)
    grid.feed(b"\x1b[1;31mred\x1b[0m \x1b[38;5;196mx\x1b[38;2;1;2;3my\x1b[92;44mz")
    (row, *_), _ = grid.view(ROWS)
    assert [cell.style for cell in row[:7]] == ["bold red"] * 3 + [""] * 3 + [
        "bright_green on blue"
    ]


def test_a_guest_that_asks_where_the_cursor_is_gets_an_answer() -> None:
    answers: list[bytes] = []
    grid = Grid(answers.append)
    grid.feed(b"ab\x1b[6n\x1b[5n\x1b[c")
    assert answers == [b"\x1b[1;3R", b"\x1b[0n", b"\x1b[?6c"]


def test_what_is_not_known_is_taken_and_has_no_effect() -> None:
    assert lines(b"a\x1b]0;title\ab\x1b[?2004hc\x1b(Bd\x1b[>0qe\x1bPx\x1b\\f") == ["abcdef"]


def test_sequences_and_characters_may_come_in_pieces() -> None:
    whole = "\x1b[1mä\x1b[3;4H→".encode()
    assert show(*(bytes([byte]) for byte in whole)) == show(whole)


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert lines(bytes(range(128, 256)))[0].count("\N{REPLACEMENT CHARACTER}") > 0
    assert lines(b"\x1b[" + b"9" * 1000 + b"\nstill here")[-1] == "still here"
