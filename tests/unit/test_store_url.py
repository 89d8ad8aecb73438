"""A store's URL names a directory or an etcd server, or is refused."""

from pathlib import Path

import pytest

from ftvm.errors import UsageError
from ftvm.replication.arbitration import Unreachable, Won
from ftvm.runtime.etcd_store import EtcdStore
from ftvm.runtime.store_url import parse_store_url
from ftvm.runtime.stores import FileStore, Holder
from ftvm.units import Generation

RUN = bytes(range(16))


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}", "FILE://{}"])
def test_directory(tmp_path: Path, form: str) -> None:
    path = tmp_path / "store"
    assert parse_store_url(form.format(path)).open(RUN).advance(Generation(0), "a") == Won(
        Generation(1)
    )
    assert FileStore(path, RUN).current() == Holder(Generation(1), "a")


def test_directory_with_a_blank(tmp_path: Path) -> None:
    path = tmp_path / "my store"
    assert parse_store_url(f"file://{tmp_path}/my%20store").open(RUN).advance(Generation(0), "a")
    assert FileStore(path, RUN).current().owner == "a"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("etcd://10.0.0.7:2379", "10.0.0.7:2379"),
        ("etcd://[::1]:2379/", "::1:2379"),
        ("etcd://a-host.example:65535/my/runs", "a-host.example:65535"),
    ],
)
def test_etcd_server(url: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: tuple[str, int], *_: object, **__: object) -> None:
        raise ConnectionRefusedError(111, "refused here")

    monkeypatch.setattr("socket.create_connection", refuse)  # what is named must not be asked
    store = parse_store_url(url).open(RUN)
    assert isinstance(store, EtcdStore)
    outcome = store.advance(Generation(0), "a")
    assert isinstance(outcome, Unreachable)
    assert named in outcome.detail


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a\nb",
        "etcd://",
        "etcd://host",
        "etcd://host:0",
        "etcd://host:65536",
        "etcd://host:port",
        "etcd://:2379",
        "etcd://a..b:2379",
        "etcd://" + "a" * 64 + ":2379",
        "etcd://[::1:2379",
        "etcd://user@host:2379",
        "etcd://host:2379/a b",
        "etcd://host:2379/a//b",
        "etcd://host:2379/?a=b",
        "etcd://host:2379/#a",
        "http://host:2379",
        "etcds://host:2379",
        "file://host/path",
        "file://",
        "file:///",
        "file:///a%00b",
    ],
)
def test_anything_else_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(UsageError, match="give a directory") as caught:
        parse_store_url(url).open(RUN)
    assert "\n" not in str(caught.value)
