"""What ftvm has to say of a run, as events of its screen instead of lines on standard error."""

from ftvm.runtime.clock import now_ns
from ftvm.ui.notices import Notices
from ftvm.ui.watch.model import PairModel

_TOLD_MAX = 50


class EventNotices(Notices):
    """Keeps the lines; `tell_again` says them when the screen is gone."""

    def __init__(self, model: PairModel) -> None:
        super().__init__()
        self._model = model

    def info(self, text: str) -> None:
        """Say what is so."""
        self._model.tell("info", text, now_ns())

    def event(self, text: str) -> None:
        """Say what happened."""
        self._model.tell("event", text, now_ns())

    def error(self, text: str) -> None:
        """Say what went wrong."""
        self._model.tell("error", text, now_ns())

    def say_error(self, text: str) -> None:
        """Say on standard error at once what went wrong."""
        super().error(text)

    def tell_again(self) -> None:
        """Say all of it on standard error, the newest if that is a lot."""
        says = {"info": super().info, "event": super().event, "error": super().error}
        for event in list(self._model.events)[-_TOLD_MAX:]:
            says[event.weight](event.text)
