"""Memory sizes as they are typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftvm.errors import UsageError
from ftvm.ui.arguments import parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("64M", 64 << 20),
        ("1M", 1 << 20),
        ("1024k", 1 << 20),
        ("1028K", 1028 << 10),
        ("3g", 3 << 30),
        ("1048576", 1 << 20),
        ("0064M", 64 << 20),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not a number"),
        ("M", "is not a number"),
        ("64MB", "is not a number"),
        ("64 M", "is not a number"),
        ("-64M", "is not a number"),
        ("1.5G", "is not a number"),
        ("0x100000", "is not a number"),
        ("64M\n", "is not a number"),
        ("\u0666\u0664M", "is not a number"),
        ("9" * 5000, "is not a number"),
        ("0", "out of range"),
        ("64", "out of range"),
        ("1023K", "out of range"),
        ("4G", "out of range"),
        ("999999999999999G", "out of range"),
        ("1025K", "not whole pages"),
    ],
)
def test_sizes_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_size(text)
    assert "give " in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text() | st.from_regex(r"[0-9]+[kKmMgG]?"))
def test_any_text_is_a_possible_size_or_refused(text: str) -> None:
    try:
        size_bytes = parse_size(text)
    except UsageError:
        return
    assert 1 << 20 <= size_bytes <= 3 << 30
    assert size_bytes % 4096 == 0
