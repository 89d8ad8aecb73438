"""Whatever somebody of the pair says first: the entrance admits him, or turns him away."""

from hypothesis import given
from hypothesis import strategies as st

from ftvm.replication.events import Link
from ftvm.replication.framing import Kind, encode
from ftvm.replication.messages import StatusWanted
from ftvm.replication.settings import Settings
from ftvm.runtime.entrance import Admitted, Entrance
from ftvm.runtime.happenings import Accepted, Received
from ftvm.runtime.status import HostStatus
from ftvm.runtime.transport import Transport
from ftvm.units import Nanoseconds

LINK = Link(1)
NOW = Nanoseconds(0)
STATUS = HostStatus(
    node="n", role="standby", state="standby", protection="disabled", reason="", detail="",
    run="", generation=0,
)  # fmt: skip


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5), st.booleans())
def test_any_bytes(pieces: list[bytes], greets: bool) -> None:
    refused: list[str] = []
    entrance = Entrance(Transport(None), Settings(), lambda: STATUS, refused.append)
    entrance.take(Accepted(LINK, "host"), NOW)
    if greets:
        pieces = [encode(StatusWanted()), *pieces]
    admitted = None
    for piece in pieces:
        told = entrance.take(Received(LINK, piece), NOW)
        if isinstance(told, Admitted):
            admitted = told
    said = b"".join(pieces)
    if admitted is not None:
        assert admitted.kind in (Kind.LOGGING, Kind.CONSOLE)
        assert entrance.let_in(LINK) == said
    elif greets:
        assert refused == []
    else:  # as soon as it shows, and with the sixth byte at the latest
        assert len(refused) == 1 if len(said) >= 6 else len(refused) <= 1
        assert all(line.startswith("a peer refused: ") for line in refused)
