"""A model guest's state on its way to another node, in rounds, as the real machine's."""

import json
from dataclasses import dataclass

from ftvm.errors import DivergenceError
from ftvm.simulation.guest import Draw, Guest, Past
from ftvm.simulation.model import PAGES, ModelGuest
from ftvm.units import Nanoseconds

REST_PAGES_MAX = 3
ROUNDS_MAX = 4


class ModelSender:
    """Sends pages while the guest runs on, and the rest while it stands still."""

    allowance: int | None = None

    def __init__(self, guest: ModelGuest) -> None:
        self.guest = guest
        self._pages = list(range(PAGES))
        self._rounds = 1
        guest.checkpoint()
        guest.dirty.clear()

    def next_piece(self) -> bytes | None:
        """Return the next page; None when few are left."""
        if not self._pages:
            if len(self.guest.dirty) <= REST_PAGES_MAX or self._rounds == ROUNDS_MAX:
                return None
            self._rounds += 1
            self.guest.checkpoint()
            self._pages = self.written()
        return self._page_piece()

    def written(self) -> list[int]:
        """The pages that the next round must send; they are watched anew."""
        pages = sorted(self.guest.dirty)
        self.guest.dirty.clear()
        return pages

    def finish(self) -> list[bytes]:
        """Return the last pages, and all that is not in pages."""
        self.guest.checkpoint()
        self._pages += self.written()
        pieces = []
        while self._pages:
            pieces.append(self._page_piece())
        end = {"registers": self.guest.registers(), "digest": self.guest.digest().hex()}
        return [*pieces, json.dumps(end).encode()]

    def _page_piece(self) -> bytes:
        page = self._pages.pop(0)
        return json.dumps([page, self.guest.pages[page]]).encode()


class ModelReceiver:
    """Makes a guest of the pieces."""

    def __init__(self) -> None:
        self._pages = [0] * PAGES

    def feed(self, piece: bytes, past: Past) -> ModelGuest | None:
        """Take a piece; return the guest with the last."""
        part = json.loads(piece)
        if isinstance(part, list):
            self._pages[part[0]] = part[1]
            return None
        guest = ModelGuest()
        guest.resume(part["registers"], self._pages, past)
        if part["digest"] not in (guest.digest().hex(), None):
            raise DivergenceError(f"the guest received is not the one sent, at {guest.count}")
        return guest


@dataclass(frozen=True)
class ModelKind:
    """Model guests."""

    make_sender: type[ModelSender] = ModelSender
    steps: int = 1
    keys: bytes = b"iiiiix"

    def live(self, draw: Draw, now: Nanoseconds) -> ModelGuest:
        """Boot one that writes its log."""
        return ModelGuest(draw)

    def following(self) -> ModelGuest:
        """Boot one that lives on a log."""
        return ModelGuest()

    def sender(self, guest: Guest) -> ModelSender:
        """Begin to send a guest's state."""
        assert isinstance(guest, ModelGuest)
        return self.make_sender(guest)

    def receiver(self) -> ModelReceiver:
        """Be ready to take a guest's state."""
        return ModelReceiver()
