"""Which secret a command takes: what is given, or on loopback the user's own key."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from children import exit_status, run_in_child

from ftvm.errors import HostError, UsageError
from ftvm.runtime.addresses import Address
from ftvm.runtime.secret import own_key, security_for

HERE, AWAY = Address("127.0.0.1", 7000), Address("198.18.0.1", 7000)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def test_own_key_is_made_once_and_for_nobody_else(config: Path) -> None:
    first = own_key()
    assert own_key() == first
    path = config / "ftvm" / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["key"]


def test_commands_that_make_it_at_once_have_the_same(config: Path) -> None:
    def work(name: int) -> Callable[[], int]:
        def write() -> int:
            (config.parent / f"key-{name}").write_bytes(own_key())
            return 0

        return write

    pids = [run_in_child(work(name)) for name in range(8)]
    assert [exit_status(pid) for pid in pids] == [0] * 8
    assert len({(config.parent / f"key-{name}").read_bytes() for name in range(8)}) == 1


def test_own_key_open_to_others_is_refused(config: Path) -> None:
    own_key()
    (config / "ftvm" / "key").chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        own_key()


def test_no_place_for_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(HostError, match="--key-file"):
        own_key()


def test_relative_config_home_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    own_key()
    assert (tmp_path / ".config" / "ftvm" / "key").exists()
    assert not (tmp_path / "here").exists()


def test_loopback_needs_nothing_and_a_network_does(config: Path) -> None:
    assert security_for([HERE], None, None).public_key is not None
    with pytest.raises(UsageError, match=r"198\.18\.0\.1:7000 is not on loopback: .*--key-file"):
        security_for([HERE, AWAY], None, None)
