"""What the screen tells, as lines for a pipe or a file: one for each thing, as it comes."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from ftvm.ui.watch import figures
from ftvm.ui.watch.lines import plain
from ftvm.ui.watch.model import PairModel

_LINE_BYTES_MAX = 4096


class PlainLines:
    """Call `flush` again and again; `write` gets whole lines. The guest's come by `console`."""

    def __init__(
        self, model: PairModel, write: Callable[[bytes], None], *, as_json: bool = False
    ) -> None:
        self._model = model
        self._write = write
        self._as_json = as_json
        self._told = 0
        self._state = ""
        self._partial = b""

    def console(self, data: bytes) -> None:
        """Take what the guest says."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _LINE_BYTES_MAX:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            self._say("console", text=line.decode(errors="replace").rstrip("\r"))

    def flush(self) -> None:
        """Write what is new in the model."""
        model = self._model
        if (state := model.state) != self._state:
            self._state = state
            self._say("state", text=state, generation=model.generation)
        for link in model.chain.take_settled():
            self._say(
                "check",
                number=link.number,
                instruction=link.instruction,
                digest=link.digest,
                verdict=link.verdict,
                apart_ns=link.apart_ns,
            )
        new, self._told = model.told - self._told, model.told
        for event in list(model.events)[len(model.events) - new :] if new else ():
            self._say("event", event.after_ns, text=event.text, weight=event.weight)

    def finish(self) -> None:
        """Write what is left, a line that the guest did not end too."""
        if self._partial:
            self.console(b"\n")
        self.flush()

    def _say(self, kind: str, after_ns: int | None = None, **said: Any) -> None:
        if after_ns is None:
            after_ns = self._model.after(self._model.now)
        if self._as_json:
            line = json.dumps({"after_ns": after_ns, "kind": kind, **said})
        else:
            line = f"{after_ns / 1e9:9.3f} s  {kind:7}  {' '.join(_words(kind, said))}"
        self._write(line.encode() + b"\n")


def _words(kind: str, said: dict[str, Any]) -> Iterator[str]:
    if kind == "check":
        yield f"{said['number']:>6} at {said['instruction']:,} {said['digest'][:8]}"
        yield "equal," if said["verdict"] == "equal" else "NOT EQUAL,"
        yield f"{figures.milliseconds(said['apart_ns'])} ms apart"
    else:
        yield plain(said["text"])
    if kind == "state":
        yield f"(generation {said['generation']})"
