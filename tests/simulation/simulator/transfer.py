"""A model guest's state on its way to another node, in rounds, as the real machine's."""

import json

from .guest import PAGES, DivergedError, ModelGuest, Past

REST_PAGES_MAX = 3
ROUNDS_MAX = 4


class ModelSender:
    """Sends pages while the guest runs on, and the rest while it stands still."""

    def __init__(self, guest: ModelGuest) -> None:
        self.guest = guest
        self._pages = list(range(PAGES))
        self._rounds = 1
        guest.checkpoint()
        guest.dirty.clear()

    def next_piece(self) -> bytes | None:
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
        self.guest.checkpoint()
        self._pages += self.written()
        pieces = []
        while self._pages:
            pieces.append(self._page_piece())
        end = {"registers": self.guest.registers(), "digest": self.guest.digest()}
        return [*pieces, json.dumps(end).encode()]

    def _page_piece(self) -> bytes:
        page = self._pages.pop(0)
        return json.dumps([page, self.guest.pages[page]]).encode()


class ModelReceiver:
    """Makes a guest of the pieces."""

    def __init__(self) -> None:
        self._pages = [0] * PAGES

    def feed(self, piece: bytes, past: Past) -> ModelGuest | None:
        part = json.loads(piece)
        if isinstance(part, list):
            self._pages[part[0]] = part[1]
            return None
        guest = ModelGuest()
        guest.resume(part["registers"], self._pages, past)
        if part["digest"] not in (guest.digest(), None):
            raise DivergedError(f"the guest received is not the one sent, at {guest.count}")
        return guest
