"""Draws the screen of real runs as SVG, for README.md and usage.md.

Run it after a change of the screen: python docs/make_screenshots.py. A pair computes; its
primary is killed, it is protected again, and a bit of its backup is flipped. The pictures
have the colours of a dark terminal, the README's one those of a light one too.
"""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from ftvm.runtime.clock import now_ns
from ftvm.runtime.run_spec import RunSpec
from ftvm.runtime.supervisor import Supervisor
from ftvm.ui.images import find_image
from ftvm.ui.teller import Teller
from ftvm.ui.watch.event_notices import EventNotices
from ftvm.ui.watch.frame import draw
from ftvm.ui.watch.hand import Hand
from ftvm.ui.watch.lookout import Lookout
from ftvm.ui.watch.model import PairModel
from ftvm.ui.watch.screen import Screen
from ftvm.units import Nanoseconds

HERE = Path(__file__).parent
GUEST, OPTIONS = "guest:storm", "seed=7 ops=100000000"
MEMORY_BYTES = 64 << 20
WIDTH, HEIGHT = 100, 32
TICK = Nanoseconds(20_000_000)
PATIENCE_S = 120

# Ink and paper, then the eight colours, then the eight bright ones.
_BRIGHT = [(120, 126, 138), (240, 113, 120), (152, 195, 121), (229, 192, 123),
           (97, 175, 239), (198, 120, 221), (86, 182, 194), (255, 255, 255)]  # fmt: skip
DARK = TerminalTheme(
    (24, 26, 31), (212, 215, 222),
    [(24, 26, 31), (224, 108, 117), (126, 186, 106), (219, 178, 90),
     (97, 175, 239), (198, 120, 221), (86, 182, 194), (212, 215, 222)],
    _BRIGHT,
)  # fmt: skip
LIGHT = TerminalTheme(
    (255, 255, 255), (36, 41, 47),
    [(255, 255, 255), (207, 34, 46), (46, 160, 67), (191, 135, 0),
     (9, 105, 218), (130, 80, 223), (27, 124, 131), (36, 41, 47)],
    _BRIGHT,
)  # fmt: skip
DARK_ONLY = {"": DARK}
_FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


class Sitter:
    """A run whose screen is drawn whenever somebody wants a picture of it."""

    def __init__(self, supervisor: Supervisor, spec: RunSpec, model: PairModel) -> None:
        self._supervisor = supervisor
        self._model = model
        self._teller = Teller(spec, EventNotices(model))
        self._lookout = Lookout(supervisor, model)
        self.screen = Screen(model, Hand(supervisor, MEMORY_BYTES).do, lambda _: None)

    def until(self, condition: Callable[[], bool], seconds: float = 0) -> None:
        """Let it run until something is so, and for some seconds at least."""
        begun = time.monotonic()
        while not condition() or time.monotonic() < begun + seconds:
            if time.monotonic() > begun + PATIENCE_S:
                raise SystemExit("the run does not come to what is to be drawn")
            self._supervisor.poll(TICK)
            self._teller.look(self._supervisor)
            self._lookout.look()

    def press(self, keys: str) -> None:
        """Press keys."""
        self.screen.take(keys.encode())

    def take_picture(self, name: str, themes: dict[str, TerminalTheme] = DARK_ONLY) -> None:
        """Write what the screen shows, once for each theme."""
        frame = draw(self._model, self.screen.view, self.screen.grid, WIDTH, HEIGHT)
        for suffix, theme in themes.items():
            console = Console(
                record=True, file=io.StringIO(), width=WIDTH, force_terminal=True,
                color_system="standard", legacy_windows=False, no_color=False,
            )  # fmt: skip
            for line in frame.lines:
                console.print(line, no_wrap=True, highlight=False, crop=False)
            picture = console.export_svg(title="ftvm run --watch", theme=theme, unique_id=name)
            # Pictures of ours fetch nothing from elsewhere.
            picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
            picture = picture.replace("Fira Code, monospace", _FONTS)
            path = HERE / f"{name}{suffix}.svg"
            path.write_text("\n".join(map(str.rstrip, picture.splitlines())) + "\n")
            print(path)


def main() -> None:
    """Make all pictures."""
    image = find_image(GUEST)
    spec = RunSpec(
        image, GUEST.removeprefix("guest:"), MEMORY_BYTES, OPTIONS, False, (), int(time.time()),
        protects=False,
    )  # fmt: skip
    model = PairModel(f"{spec.image_name}  64 MiB", now_ns(), owned=True)
    sitters: list[Sitter] = []
    with Supervisor(spec, lambda data: sitters[0].screen.grid.feed(data)) as supervisor:
        supervisor.start()
        sitter = Sitter(supervisor, spec, model)
        sitters.append(sitter)
        sitter.until(lambda: model.state == "protected", 15)
        sitter.press("k")
        sitter.until(lambda: model.state == "alone", 2)
        sitter.take_picture("watch-alone")
        sitter.press("p")
        sitter.until(lambda: model.state == "protected", 12)
        sitter.take_picture("watch", {"": DARK, "-light": LIGHT})
        sitter.press("f")
        sitter.until(lambda: model.state == "alone", 2)
        sitter.screen.view.selected = model.chain.differing[-1].number
        sitter.take_picture("watch-divergence")


if __name__ == "__main__":
    main()
