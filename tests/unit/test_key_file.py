"""A key file is a secret in one form, or is refused in one line that says what to do."""

import os
from pathlib import Path

import pytest

from ftvm.errors import FtvmError, UsageError
from ftvm.runtime.key_file import KEY_BYTES, generate_key, read_key_file, read_private_file

DIGITS = "0123456789abcdef" * 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "pair.key"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize("text", [DIGITS, DIGITS + "\n", DIGITS.upper() + "\n"])
def test_key_is_read(path: Path, text: str) -> None:
    path.write_text(text)
    assert read_key_file(path) == bytes.fromhex(DIGITS)


def test_generated_keys_differ() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {KEY_BYTES}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "64 hexadecimal digits"),
        (b"correct horse battery staple\n", "64 hexadecimal digits"),
        (DIGITS[:-1].encode(), "64 hexadecimal digits"),
        (DIGITS.encode() + b"0", "64 hexadecimal digits"),
        (DIGITS.encode() + b"\n\n", "64 hexadecimal digits"),
        (b" " + DIGITS.encode(), "64 hexadecimal digits"),
        (DIGITS[:-1].encode() + "\u0664".encode(), "64 hexadecimal digits"),
        (b"\0" * 64, "64 hexadecimal digits"),
        (b"0" * 64, "no random key"),
        (b"deadbeef" * 8, "no random key"),
        (b"x" * 70_000, "more than any key"),
    ],
)
def test_other_content_is_refused(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        read_key_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert content.decode(errors="replace").strip()[:20] not in str(caught.value) or not content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777, 0o610, 0o620])
def test_file_that_others_may_use(path: Path, mode: int) -> None:
    path.write_text(DIGITS)
    path.chmod(mode)
    with pytest.raises(UsageError, match=f"mode {mode:04o}.*chmod 600"):
        read_key_file(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_file_of_ones_own(path: Path, mode: int) -> None:
    path.write_text(DIGITS)
    path.chmod(mode)
    assert read_key_file(path) == bytes.fromhex(DIGITS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_user(path: Path) -> None:
    path.write_text(DIGITS)
    os.chown(path, 12345, -1)
    with pytest.raises(UsageError, match="another user"):
        read_key_file(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    os.mkdir(tmp_path / "directory", 0o700)
    for name in ("fifo", "directory", "missing"):
        with pytest.raises(FtvmError, match=f"{name} (is not a regular file|does not exist)"):
            read_private_file(tmp_path / name)


def test_link_to_a_file_of_ones_own(tmp_path: Path, path: Path) -> None:
    path.write_text(DIGITS)
    (tmp_path / "link").symlink_to(path)
    assert read_key_file(tmp_path / "link") == bytes.fromhex(DIGITS)
