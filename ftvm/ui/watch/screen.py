"""The screen at work: keys come in, the pair is drawn."""

import bisect
from collections.abc import Callable

from ftvm.runtime.clock import now_ns
from ftvm.ui.watch import deeds
from ftvm.ui.watch.deeds import Deed
from ftvm.ui.watch.display import Display
from ftvm.ui.watch.frame import draw
from ftvm.ui.watch.grid import Grid
from ftvm.ui.watch.keys import ESCAPE_BYTE, name_of, split_keys
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.view import View
from ftvm.units import Nanoseconds

REDRAW_NS = Nanoseconds(200_000_000)
"""Numbers change so often: nobody reads faster."""
HURRY_NS = Nanoseconds(30_000_000)
"""What was typed, and what the guest says, is seen as soon as that."""
_NOTICE_NS = Nanoseconds(4_000_000_000)
_PAGE = 10
_BY_KEY = {deed.key: deed for deed in deeds.DEEDS}


class Screen:
    """One screen. `do` does a deed and returns what to tell; `type_` types at the guest."""

    def __init__(
        self,
        model: PairModel,
        do: Callable[[Deed], str],
        type_: Callable[[bytes], None],
    ) -> None:
        self.model = model
        self.view = View()
        self.grid = Grid(type_)
        self.wants_to_leave = self.interrupted = False
        self._has_escaped = False
        self._do = do
        self._type = type_
        self._pressed = 0
        self._seen = (0, 0, 0)
        """What was there when the screen was drawn last: output, events, keys."""
        self._drawn_ns = self._noticed_ns = Nanoseconds(0)

    def take(self, typed: bytes) -> None:
        """Take what was typed at the terminal."""
        self._pressed += 1
        if self.view.typing:
            mine, escape, rest = typed.partition(ESCAPE_BYTE)
            if mine:
                self._type(mine)
            if escape:
                self.view.typing, self._has_escaped = False, True
                self.take(rest)
            return
        pieces = split_keys(typed)
        for at, piece in enumerate(pieces):
            has_escaped, self._has_escaped = self._has_escaped, False
            self._press(name_of(piece), has_escaped=has_escaped)
            if self.view.typing:
                self.take(b"".join(pieces[at + 1 :]))
                return

    def notify(self, notice: str, *, question: str = "") -> None:
        """Say something at the foot of the screen for a while."""
        self.view.notice, self.view.question = notice, question
        self._noticed_ns = now_ns()

    def draw(self, display: Display, *, now: Nanoseconds | None = None) -> None:
        """Draw, unless that was done a moment ago."""
        now = now_ns() if now is None else now
        seen = self.grid.changes, self.model.told, self._pressed
        if now - self._drawn_ns < (REDRAW_NS if seen == self._seen else HURRY_NS):
            return
        self._seen = seen
        if self.view.notice and now - self._noticed_ns > _NOTICE_NS:
            self.view.notice = self.view.question = ""
        self._drawn_ns = now
        display.show(draw(self.model, self.view, self.grid, *display.size))

    # --- keys ---

    def _press(self, key: str, *, has_escaped: bool) -> None:
        view = self.view
        question, view.question, view.notice = view.question, "", ""
        if view.helping and key not in ("q", "ctrl-c"):
            view.helping = False
            return
        match key:
            case "q" | "x":
                self._leave(sure=question == "q")
            case "ctrl-c":
                self.interrupted = True
            case "?" | "h":
                view.helping = True
            case "tab" | "enter":
                self._begin_to_type()
            case "ctrl-a" if has_escaped:  # the second of two is for the guest
                self._begin_to_type()
                if view.typing:
                    self._type(ESCAPE_BYTE)
            case "up" | "down" | "page up" | "page down" | "home" | "end" | "escape":
                self._step(key)
            case _ if key in _BY_KEY:
                self._try(_BY_KEY[key], sure=question == key)

    def _leave(self, *, sure: bool) -> None:
        model = self.model
        if sure or not model.owned or model.end:
            self.wants_to_leave = True
        else:
            self.notify("q again stops the guest and leaves.", question="q")

    def _begin_to_type(self) -> None:
        if self.model.end:
            self.notify("The guest has ended.")
        else:
            self.view.typing = True

    def _try(self, deed: Deed, *, sure: bool) -> None:
        why = deeds.hindrance(deed, self.model)
        if why:
            self.notify(f"{deed.key}: {why}.")
        elif deeds.would_lose_guest(deed, self.model) and not sure:
            self.notify(
                f"The guest has no backup and dies with its primary: {deed.key} again does it.",
                question=deed.key,
            )
        elif told := self._do(deed):
            self.model.tell("info", told, now_ns())

    def _step(self, key: str) -> None:
        """Look at another check."""
        numbers = self.model.chain.numbers()
        if key in ("end", "escape") or not numbers:
            self.view.selected = None
            return
        selected = self.view.selected
        at = len(numbers) if selected is None else bisect.bisect_left(numbers, selected)
        at += {"up": -1, "down": 1, "page up": -_PAGE, "page down": _PAGE}.get(key, -at)
        self.view.selected = None if at >= len(numbers) else numbers[max(at, 0)]
