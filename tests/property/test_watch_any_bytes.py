"""Whatever a guest sends or a user types, the screen stays what it is."""

from hypothesis import given
from hypothesis import strategies as st
from watched_pair import Pair, well

from ftvm.ui.watch.frame import draw
from ftvm.ui.watch.grid import COLUMNS, Grid
from ftvm.ui.watch.screen import Screen

_PIECES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"\x1b[", b"\x1b", b"\n", b"\r", b"\x1b[r", b"m", b"H", b";", b"\x1b[5;2r"]),
    st.builds(
        lambda n, m, final: b"\x1b[%d;%d%c" % (n, m, final),
        st.integers(0, 200),
        st.integers(0, 200),
        st.sampled_from(b"ABCDEFGHJKLMPSTX@dfhlmrsu"),
    ),
)


@given(st.lists(_PIECES, max_size=30), st.integers(1, 60))
def test_the_grid_keeps_its_size_and_its_cursor(pieces: list[bytes], height: int) -> None:
    grid = Grid(lambda _: None)
    for piece in pieces:
        grid.feed(piece)
    rows, (row, column) = grid.view(height)
    assert [len(each) for each in rows] == [COLUMNS] * height
    assert 0 <= row < height
    assert 0 <= column < COLUMNS


@given(
    st.lists(_PIECES, max_size=10),
    st.binary(max_size=10),
    st.integers(1, 220),
    st.integers(1, 70),
)
def test_a_screen_fills_its_terminal_exactly(
    pieces: list[bytes], typed: bytes, width: int, height: int
) -> None:
    pair = Pair()
    pair.step(*well(), times=30)
    screen = Screen(pair.model, lambda deed: deed.words, lambda _: None)
    for piece in pieces:
        screen.grid.feed(piece)
    screen.take(typed)
    frame = draw(pair.model, screen.view, screen.grid, width, height)
    assert [line.cell_len for line in frame.lines] == [width] * height
    if frame.cursor is not None:
        row, column = frame.cursor
        assert row < height
        assert column < width
